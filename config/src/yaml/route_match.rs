//! Which requests a route takes.

use super::reader::{Fields, Reader};
use super::scalar::{self, Problem, problem, problem_with_help};
use super::shapes::{GRPC_MATCH, ROUTE_MATCH};
use super::tree::Node;
use super::{Unique, headers, peers, template};
use crate::model::{PathMatch, RouteMatch};

pub(super) fn route_match(reader: &mut Reader<'_>, node: &Node) -> Option<RouteMatch> {
    let fields = reader.fields(node, &ROUTE_MATCH)?;
    let path = path_match(reader, &fields);
    let grpc = fields.node(reader, "grpc").and_then(|node| grpc(reader, node));
    let connect = connect(reader, &fields);
    let methods = methods(reader, &fields);
    let is_grpc = grpc.is_some();
    if is_grpc && !methods.is_empty() && !methods.iter().any(|method| method == "POST") {
        let message = "a gRPC request has the method POST, so this never matches";
        reader.fault_with_help(fields.span_of("methods"), message, "remove `methods`");
    }
    let headers = headers::header_matches(reader, &fields, "headers");
    let query = headers::query_matches(reader, &fields);
    let source_identities = peers::spiffe_matches(reader, &fields, "source_identities", "match of");
    let is_connect = connect.is_some();
    let path = path.or(grpc).or(connect)?;
    Some(RouteMatch {
        source_identities,
        path,
        methods,
        headers,
        query,
        grpc: is_grpc,
        connect: is_connect,
    })
}

/// Which paths, in the fields `path`, `prefix`, `string_prefix`, `template` and `regex`.
pub(super) fn path_match(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<PathMatch> {
    let exact = fields.parsed(reader, "path", scalar::path).map(PathMatch::Exact);
    let prefix = fields
        .parsed(reader, "prefix", scalar::path)
        .map(PathMatch::Prefix);
    let string_prefix = fields
        .parsed(reader, "string_prefix", scalar::path)
        .map(PathMatch::StringPrefix);
    let template = fields
        .parsed(reader, "template", template::matching)
        .map(PathMatch::Template);
    let regex = fields
        .parsed(reader, "regex", scalar::pattern)
        .map(PathMatch::Regex);
    exact.or(prefix).or(string_prefix).or(template).or(regex)
}

/// CONNECT requests have neither path nor query, and one method: no other condition on these can hold.
fn connect(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<PathMatch> {
    if !fields.boolean(reader, "connect")? {
        let help = "remove it: only `connect: true` takes CONNECT requests";
        reader.fault_with_help(
            fields.span_of("connect"),
            "`connect: false` matches nothing",
            help,
        );
    }
    for (name, why) in [
        ("methods", "the method is CONNECT"),
        ("query", "they have no query"),
    ] {
        if fields.entry(name).is_some() {
            let message = format!("`{name}` on a route that takes CONNECT requests: {why}");
            reader.fault_with_help(fields.key_span_of(name), message, format!("remove `{name}`"));
        }
    }
    Some(PathMatch::Prefix("/".to_owned()))
}

fn methods(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Vec<String> {
    let mut methods = Vec::new();
    let mut seen = Unique::new("method");
    for node in fields.list(reader, "methods") {
        if let Some(method) = reader.parse(node, "a method", method) {
            seen.insert(reader, method.clone(), node.span);
            methods.push(method);
        }
    }
    methods
}

fn method(text: &str) -> Result<String, Problem> {
    match scalar::method(text)? {
        method if method == "CONNECT" => problem_with_help(
            "a route with a path never takes CONNECT requests, which have none",
            "give them a route with `match: {connect: true}`",
        ),
        method => Ok(method),
    }
}

fn grpc(reader: &mut Reader<'_>, node: &Node) -> Option<PathMatch> {
    let fields = reader.fields(node, &GRPC_MATCH)?;
    let is_name = |text: &str, also: &str| {
        !text.is_empty()
            && text.len() <= 1024
            && text
                .chars()
                .all(|letter| letter.is_ascii_alphanumeric() || letter == '_' || also.contains(letter))
    };
    let service = fields.parsed(reader, "service", |text| match is_name(text, ".") {
        true => Ok(text.to_owned()),
        false => problem_with_help(
            format!("`{}` is not the name of a gRPC service", scalar::shortened(text)),
            "such as `package.Service`",
        ),
    });
    let method = fields.parsed(reader, "method", |text| match is_name(text, "") {
        true => Ok(text.to_owned()),
        false => problem(format!(
            "`{}` is not the name of a gRPC method",
            scalar::shortened(text)
        )),
    });
    let has_method = fields.entry("method").is_some();
    match (service?, method, has_method) {
        (service, Some(method), _) => Some(PathMatch::Exact(format!("/{service}/{method}"))),
        (service, None, false) => Some(PathMatch::Prefix(format!("/{service}/"))),
        (_, None, true) => None,
    }
}
