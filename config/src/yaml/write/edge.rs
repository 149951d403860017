//! What is done for browsers, as YAML.

use super::emit::{Map, Out, list, text};
use super::{boolean, duration, number, path, size, word};
use crate::model::{
    Compression, CompressionAlgorithm, ErrorPage, Hsts, HttpsRedirect, Maintenance, Page, PageBody,
    VirtualHost,
};

pub(super) fn put_virtual_host(map: &mut Map, host: &VirtualHost) {
    map.put(
        "https_redirect",
        host.https_redirect
            .as_ref()
            .map_or_else(|| boolean(false), https_redirect),
    );
    map.put("hsts", host.hsts.as_ref().map_or_else(|| boolean(false), hsts));
    if let Some(settings) = &host.maintenance {
        map.put("maintenance", maintenance(settings));
    }
    if !host.error_pages.is_empty() {
        map.put("error_pages", list(host.error_pages.iter().map(error_page)));
    }
}

fn https_redirect(redirect: &HttpsRedirect) -> Out {
    let mut map = Map::default();
    match redirect.port {
        Some(port) => map.put("port", number(port.into())),
        None => map.comment("port: 443"),
    }
    map.with("status", number(redirect.status.into())).into()
}

fn hsts(hsts: &Hsts) -> Out {
    Map::default()
        .with("max_age", duration(hsts.max_age))
        .with("include_subdomains", boolean(hsts.include_subdomains))
        .with("preload", boolean(hsts.preload))
        .into()
}

fn maintenance(maintenance: &Maintenance) -> Map {
    let mut map = Map::default().with("page", page(&maintenance.page));
    match maintenance.retry_after {
        Some(span) => map.put("retry_after", duration(span)),
        None => map.comment("retry_after: not sent"),
    }
    map.with("allow", list(maintenance.allow.iter().map(text)))
}

fn error_page(error: &ErrorPage) -> Map {
    Map::default()
        .with(
            "statuses",
            list(error.statuses.iter().map(|status| number((*status).into()))),
        )
        .with("page", page(&error.page))
}

fn page(page: &Page) -> Map {
    let mut map = Map::default();
    match page.status {
        Some(status) => map.put("status", number(status.into())),
        None => map.comment("status: that of the reply"),
    }
    match &page.body {
        PageBody::Inline(body) => map.put("body", text(body)),
        PageBody::File(file) => map.put("body_file", path(file)),
    }
    map.with("content_type", text(&page.content_type))
}

pub(super) fn compression(compression: Option<&Compression>) -> Out {
    let Some(compression) = compression else {
        return word("off");
    };
    Map::default()
        .with("algorithms", list(compression.algorithms.iter().map(algorithm)))
        .with("content_types", list(compression.content_types.iter().map(text)))
        .with("bytes_min", size(compression.bytes_min))
        .into()
}

fn algorithm(algorithm: &CompressionAlgorithm) -> Map {
    let (name, level) = match algorithm {
        CompressionAlgorithm::Gzip(level) => ("gzip", level),
        CompressionAlgorithm::Brotli(level) => ("br", level),
        CompressionAlgorithm::Zstd(level) => ("zstd", level),
    };
    Map::default().with(name, Map::default().with("level", number((*level).into())))
}
