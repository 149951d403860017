//! What a virtual host does for browsers: HTTPS, maintenance, pages of its own.

use super::Unique;
use super::chain::distinct;
use super::reader::{Fields, Reader, Said};
use super::scalar::{self, problem};
use super::shapes::{ERROR_PAGE, HSTS, HTTPS_REDIRECT, MAINTENANCE, PAGE};
use super::tree::Node;
use crate::model::{ErrorPage, Hsts, HttpsRedirect, Maintenance, Page, PageBody, defaults};
use ipnet::IpNet;

/// Preload lists of browsers want no less than this; it is the longest span that can be written, too.
const PRELOAD_AGE_MIN: std::time::Duration = defaults::HSTS_MAX_AGE;

/// A virtual host's `https_redirect`; none: requests are served as they come.
pub(super) fn https_redirect(reader: &mut Reader<'_>, host: &Fields<'_>) -> Option<HttpsRedirect> {
    let mut redirect = HttpsRedirect {
        port: None,
        status: defaults::HTTPS_REDIRECT_STATUS,
    };
    let node = match host.said(reader, "https_redirect") {
        Said::Off => return None,
        Said::On => return Some(redirect),
        Said::Settings(node) => node,
    };
    let fields = reader.fields(node, &HTTPS_REDIRECT)?;
    let number = |reader: &mut Reader<'_>, name| {
        fields
            .integer(reader, name)
            .and_then(|number| u16::try_from(number).ok())
    };
    redirect.port = number(reader, "port");
    redirect.status = number(reader, "status").unwrap_or(redirect.status);
    Some(redirect)
}

/// A virtual host's `hsts`; none: not sent.
pub(super) fn hsts(reader: &mut Reader<'_>, host: &Fields<'_>) -> Option<Hsts> {
    let mut hsts = Hsts {
        max_age: defaults::HSTS_MAX_AGE,
        include_subdomains: false,
        preload: false,
    };
    let node = match host.said(reader, "hsts") {
        Said::Off => return None,
        Said::On => return Some(hsts),
        Said::Settings(node) => node,
    };
    let fields = reader.fields(node, &HSTS)?;
    hsts.max_age = fields.whole_seconds(reader, "max_age").unwrap_or(hsts.max_age);
    hsts.include_subdomains = fields.boolean(reader, "include_subdomains").unwrap_or(false);
    hsts.preload = fields.boolean(reader, "preload").unwrap_or(false);
    if hsts.preload && !hsts.include_subdomains {
        let help = "write `include_subdomains: true`, or remove `preload`";
        reader.fault_with_help(
            fields.key_span_of("preload"),
            "`preload` without subdomains",
            help,
        );
    }
    if hsts.preload && hsts.max_age < PRELOAD_AGE_MIN {
        let help = format!(
            "write `{}s` or more, or remove `preload`",
            PRELOAD_AGE_MIN.as_secs()
        );
        reader.fault_with_help(fields.span_of("max_age"), "`preload` for less than a year", help);
    }
    Some(hsts)
}

/// A virtual host's `maintenance`; none: requests are served.
pub(super) fn maintenance(reader: &mut Reader<'_>, host: &Fields<'_>) -> Option<Maintenance> {
    let node = host.node(reader, "maintenance")?;
    let fields = reader.fields(node, &MAINTENANCE)?;
    let page = fields.node(reader, "page").and_then(|node| page(reader, node));
    let retry_after = fields.whole_seconds(reader, "retry_after");
    let allow = distinct(reader, &fields, "allow", scalar::prefix, IpNet::to_string);
    Some(Maintenance {
        page: page?,
        retry_after,
        allow,
    })
}

/// A virtual host's `error_pages`.
pub(super) fn error_pages(reader: &mut Reader<'_>, host: &Fields<'_>) -> Vec<ErrorPage> {
    let mut seen = Unique::new("page for the status");
    let mut pages = Vec::new();
    for node in host.list(reader, "error_pages") {
        let Some(fields) = reader.fields(node, &ERROR_PAGE) else {
            continue;
        };
        let mut statuses = Vec::new();
        for node in fields.list(reader, "statuses") {
            let status = reader
                .integer(node, 400, 599)
                .and_then(|status| u16::try_from(status).ok());
            if let Some(status) = status {
                seen.insert(reader, status, node.span);
                statuses.push(status);
            }
        }
        if let Some(page) = fields.node(reader, "page").and_then(|node| page(reader, node)) {
            pages.push(ErrorPage { statuses, page });
        }
    }
    pages
}

fn page(reader: &mut Reader<'_>, node: &Node) -> Option<Page> {
    let fields = reader.fields(node, &PAGE)?;
    let status = fields
        .integer(reader, "status")
        .and_then(|status| u16::try_from(status).ok());
    let body = fields.parsed(reader, "body", |text| match text.len() {
        0..=defaults::PAGE_BYTES_MAX => Ok(text.to_owned()),
        length => problem(format!(
            "the page has {length} bytes; at most {} are allowed",
            defaults::PAGE_BYTES_MAX
        )),
    });
    let file = fields.file(reader, "body_file");
    let content_type = fields.parsed(reader, "content_type", scalar::media_type);
    if let Some(status @ (204 | 205 | 304)) = status {
        let message = format!("a response with status {status} has no body");
        reader.fault(fields.span_of("status"), message);
    }
    let body = body.map(PageBody::Inline).or(file.map(PageBody::File));
    Some(Page {
        status,
        body: body?,
        content_type: content_type.unwrap_or_else(|| defaults::PAGE_CONTENT_TYPE.to_owned()),
    })
}
