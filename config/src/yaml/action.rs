//! What is done with a request: forward, redirect, direct response.

use super::forward::{self, Around};
use super::reader::{Fields, Reader};
use super::rewrite::{Matched, path_rewrite};
use super::scalar::{self, problem};
use super::shapes::{DIRECT_RESPONSE, REDIRECT};
use super::tree::Node;
use crate::model::{
    DirectResponse, PathMatch, PathRewrite, Redirect, RedirectPath, RouteAction, RouteMatch, defaults,
};

pub(super) fn action(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    around: Around<'_>,
) -> Option<RouteAction> {
    let forward = fields
        .node(reader, "forward")
        .and_then(|node| forward::forward(reader, node, around));
    let redirect = fields
        .node(reader, "redirect")
        .and_then(|node| redirect(reader, node, around.matched, around.matches));
    let direct = fields
        .node(reader, "direct_response")
        .and_then(|node| direct_response(reader, node));
    forward
        .map(RouteAction::Forward)
        .or(redirect.map(RouteAction::Redirect))
        .or(direct.map(RouteAction::DirectResponse))
}

fn redirect(
    reader: &mut Reader<'_>,
    node: &Node,
    matched: Matched<'_>,
    matches: Option<&RouteMatch>,
) -> Option<Redirect> {
    let fields = reader.fields(node, &REDIRECT)?;
    let faults_before = reader.fault_count();
    let scheme = fields
        .choice(reader, "scheme", &[("http", "http"), ("https", "https")])
        .map(str::to_owned);
    let host = fields.parsed(reader, "host", scalar::host);
    let port = fields
        .integer(reader, "port")
        .and_then(|port| u16::try_from(port).ok());
    let full = fields
        .parsed(reader, "path", scalar::path)
        .map(RedirectPath::Full);
    let path = full.or(path_rewrite(reader, &fields, matched).map(RedirectPath::Rewrite));
    let status = fields
        .integer(reader, "status")
        .and_then(|status| u16::try_from(status).ok());
    let redirect = Redirect {
        scheme,
        host,
        port,
        path,
        status: status.unwrap_or(defaults::REDIRECT_STATUS),
        strip_query: fields.boolean(reader, "strip_query").unwrap_or(false),
    };
    if reader.fault_count() == faults_before && changes_nothing(&redirect, matches) {
        let help = "give it a `scheme`, `host`, `port` or another path";
        reader.fault_with_help(node.span, "this redirects a request to itself", help);
    }
    Some(redirect)
}

/// The redirect's target is what was asked for, at least for some request that the route takes.
fn changes_nothing(redirect: &Redirect, matches: Option<&RouteMatch>) -> bool {
    if redirect.scheme.is_some() || redirect.host.is_some() || redirect.port.is_some() {
        return false;
    }
    if redirect.strip_query && matches.is_none_or(|matches| !matches.query.is_empty()) {
        return false;
    }
    match (&redirect.path, matches.map(|matches| &matches.path)) {
        (None, _) => true,
        (Some(RedirectPath::Full(to)), Some(PathMatch::Exact(from))) => to == from,
        (Some(RedirectPath::Rewrite(PathRewrite::Template(to))), Some(PathMatch::Template(from))) => {
            to.source == from.source
        }
        (
            Some(RedirectPath::Rewrite(PathRewrite::Prefix(to))),
            Some(PathMatch::Exact(from) | PathMatch::Prefix(from) | PathMatch::StringPrefix(from)),
        ) => to == from,
        _ => false,
    }
}

fn direct_response(reader: &mut Reader<'_>, node: &Node) -> Option<DirectResponse> {
    let fields = reader.fields(node, &DIRECT_RESPONSE)?;
    let status = fields
        .integer(reader, "status")
        .and_then(|status| u16::try_from(status).ok());
    let body = fields.parsed(reader, "body", |text| match text.len() {
        0..=defaults::DIRECT_RESPONSE_BODY_BYTES_MAX => Ok(text.to_owned()),
        length => problem(format!(
            "the body has {length} bytes; at most {} are allowed",
            defaults::DIRECT_RESPONSE_BODY_BYTES_MAX
        )),
    });
    let content_type = fields.parsed(reader, "content_type", scalar::media_type);
    let status = status?;
    if matches!(status, 204 | 205 | 304) && body.as_ref().is_some_and(|body| !body.is_empty()) {
        reader.fault(
            fields.span_of("body"),
            format!("a response with status {status} has no body"),
        );
    }
    Some(DirectResponse {
        status,
        body: body.unwrap_or_default(),
        content_type: content_type.unwrap_or_else(|| defaults::DIRECT_RESPONSE_CONTENT_TYPE.to_owned()),
    })
}
