//! Route configurations as YAML.

use super::emit::{Map, Out, list, text};
use super::{
    boolean, cors, domain_text, duration, duration_or_off, edge, external_authorization, fault, jwt, number,
    percent, put_rate_limits, put_targets, retry, size, tls, tracing, word,
};
use crate::model::{
    ConnectAction, DirectResponse, Forward, HeaderEditKind, HeaderEdits, HeaderMatch, Mirror, PathMatch,
    PathRewrite, QueryMatch, Redirect, RedirectPath, RegexRewrite, Route, RouteAction, RouteConfiguration,
    RouteMatch, RoutePriority, SameSite, SessionCookie, StringMatch, VirtualHost, defaults,
};

pub(super) fn route_configuration(routes: &RouteConfiguration) -> Out {
    Map::default()
        .with("name", text(&routes.name))
        .with(
            "virtual_hosts",
            list(routes.virtual_hosts.iter().map(|host| virtual_host(host))),
        )
        .into()
}

fn virtual_host(host: &VirtualHost) -> Out {
    let mut map = Map::default().with("name", text(&host.name)).with(
        "domains",
        list(host.domains.iter().map(|domain| text(domain_text(domain)))),
    );
    put_edits(&mut map, &host.request_headers, &host.response_headers);
    if let Some(settings) = &host.cors {
        map.put("cors", cors::cors(settings));
    }
    edge::put_virtual_host(&mut map, host);
    put_rate_limits(&mut map, &host.rate_limits);
    if let Some(changes) = &host.tracing {
        map.put("tracing", tracing::of_route(changes));
    }
    map.with("routes", list(host.routes.iter().map(route))).into()
}

fn route(route: &Route) -> Out {
    let mut map = Map::default()
        .with("name", text(&route.name))
        .with("match", route_match(&route.matches));
    match &route.action {
        RouteAction::Forward(action) => map.put("forward", forward(action, route.matches.connect)),
        RouteAction::Redirect(action) => map.put("redirect", redirect(action)),
        RouteAction::DirectResponse(action) => map.put("direct_response", direct_response(action)),
    }
    put_edits(&mut map, &route.request_headers, &route.response_headers);
    match route.request_body_bytes_max {
        Some(bytes) => map.put("request_body_max", size(bytes)),
        None => map.comment("request_body_max: unlimited"),
    }
    match route.response_body_bytes_max {
        Some(bytes) => map.put("response_body_max", size(bytes)),
        None => map.comment("response_body_max: unlimited"),
    }
    match &route.cors {
        Some(Some(settings)) => map.put("cors", cors::cors(settings)),
        Some(None) => map.put("cors", word("off")),
        None => {}
    }
    map.put("compression", word(if route.compression { "on" } else { "off" }));
    if !route.authorization.is_empty() {
        map.put("authorization", list(route.authorization.iter().map(text)));
    }
    put_rate_limits(&mut map, &route.rate_limits);
    if let Some(settings) = &route.fault {
        map.put("fault", fault::fault(settings.as_deref()));
    }
    match &route.jwt {
        Some(Some(required)) => map.put("jwt", jwt::requirement(required)),
        Some(None) => map.put("jwt", word("off")),
        None => {}
    }
    if let Some(changes) = &route.external_authorization {
        map.put(
            "external_authorization",
            external_authorization::of_route(changes),
        );
    }
    if let Some(changes) = &route.tracing {
        map.put("tracing", tracing::of_route(changes));
    }
    map.into()
}

fn put_edits(map: &mut Map, request: &HeaderEdits, response: &HeaderEdits) {
    for (field, edits) in [("request_headers", request), ("response_headers", response)] {
        if !edits.is_empty() {
            map.put(field, header_edits(edits));
        }
    }
}

/// Edits are grouped by kind, in the order in which they are read back.
fn header_edits(edits: &HeaderEdits) -> Map {
    let mut map = Map::default();
    if !edits.remove.is_empty() {
        map.put(
            "remove",
            list(edits.remove.iter().map(|name| text(name.as_str()))),
        );
    }
    let groups = [
        ("add", HeaderEditKind::Add),
        ("set", HeaderEditKind::Set),
        ("append", HeaderEditKind::Append),
    ];
    for (field, kind) in groups {
        let mut names: Vec<(&str, Vec<String>)> = Vec::new();
        for edit in edits.write.iter().filter(|edit| edit.kind == kind) {
            match names.iter_mut().find(|(name, _)| *name == edit.name.as_str()) {
                Some((_, values)) => values.push(edit.value.to_string()),
                None => names.push((edit.name.as_str(), vec![edit.value.to_string()])),
            }
        }
        let mut group = Map::default();
        for (name, values) in &names {
            match values.as_slice() {
                [value] => group.put(name, text(value)),
                values => group.put(name, list(values.iter().map(text))),
            }
        }
        if !group.is_empty() {
            map.put(field, group);
        }
    }
    map
}

fn route_match(matches: &RouteMatch) -> Map {
    let mut map = Map::default();
    match &matches.path {
        _ if matches.connect => map.put("connect", boolean(true)),
        PathMatch::Exact(path) | PathMatch::Prefix(path) if matches.grpc => {
            let (service, method) = path.trim_start_matches('/').split_once('/').unwrap_or((path, ""));
            let mut grpc = Map::default().with("service", text(service));
            if !method.is_empty() {
                grpc.put("method", text(method));
            }
            map.put("grpc", grpc);
        }
        PathMatch::Exact(path) => map.put("path", text(path)),
        PathMatch::Prefix(path) => map.put("prefix", text(path)),
        PathMatch::StringPrefix(path) => map.put("string_prefix", text(path)),
        PathMatch::Template(template) => map.put("template", text(&template.source)),
        PathMatch::Regex(pattern) => map.put("regex", text(pattern.source())),
    }
    if !matches.methods.is_empty() {
        map.put("methods", list(matches.methods.iter().map(text)));
    }
    if !matches.headers.is_empty() {
        let header = |one: &HeaderMatch| string_match(one.name.as_str(), &one.value, one.invert);
        map.put("headers", list(matches.headers.iter().map(header)));
    }
    if !matches.query.is_empty() {
        let query = |one: &QueryMatch| string_match(&one.name, &one.value, one.invert);
        map.put("query", list(matches.query.iter().map(query)));
    }
    if !matches.source_identities.is_empty() {
        let identities = matches.source_identities.iter();
        map.put("source_identities", list(identities.map(tls::spiffe_match)));
    }
    map
}

pub(super) fn string_match(name: &str, value: &StringMatch, invert: bool) -> Map {
    let mut map = Map::default().with("name", text(name));
    put_string_match(&mut map, value);
    map.with("invert", boolean(invert))
}

pub(super) fn put_string_match(map: &mut Map, value: &StringMatch) {
    match value {
        StringMatch::Exact(value) => map.put("exact", text(value)),
        StringMatch::Prefix(value) => map.put("prefix", text(value)),
        StringMatch::Suffix(value) => map.put("suffix", text(value)),
        StringMatch::Contains(value) => map.put("contains", text(value)),
        StringMatch::Regex(pattern) => map.put("regex", text(pattern.source())),
        StringMatch::Present => map.put("present", boolean(true)),
    }
}

fn forward(forward: &Forward, connect: bool) -> Map {
    let mut map = Map::default();
    put_targets(&mut map, &forward.clusters);
    put_rewrite(&mut map, forward.path_rewrite.as_ref());
    if let Some(host) = &forward.host_rewrite {
        map.put("host_rewrite", text(host));
    }
    match forward.timeout_explicit {
        true => map.put("timeout", duration_or_off(forward.timeout)),
        false => map.comment(format!(
            "timeout: {}s, none for gRPC",
            defaults::ROUTE_TIMEOUT.as_secs()
        )),
    }
    match forward.stream_idle_timeout {
        Some(timeout) => map.put("stream_idle_timeout", duration_or_off(timeout)),
        None => map.comment("stream_idle_timeout: the filter chain's"),
    }
    match &forward.upgrades {
        Some(protocols) => map.put("upgrades", list(protocols.iter().map(text))),
        None if connect => {}
        None => map.comment("upgrades: the filter chain's"),
    }
    match forward.upgrade_idle_timeout {
        Some(timeout) => map.put("upgrade_idle_timeout", duration_or_off(timeout)),
        None => map.comment("upgrade_idle_timeout: the filter chain's"),
    }
    match forward.connect {
        ConnectAction::Pass => map.put("connect", word("pass")),
        ConnectAction::Terminate if connect => map.put("connect", word("terminate")),
        ConnectAction::Terminate => {}
    }
    if !forward.mirrors.is_empty() {
        map.put("mirrors", list(forward.mirrors.iter().map(mirror)));
    }
    if let Some(cookie) = &forward.session_cookie {
        map.put("session_cookie", session_cookie(cookie));
    }
    match &forward.retry {
        Some(policy) => map.put("retry", retry::policy(policy)),
        None => map.comment("retry: only of what never ran"),
    }
    if !forward.hash_policy.is_empty() {
        map.put(
            "hash_policy",
            list(forward.hash_policy.iter().map(retry::hash_policy)),
        );
    }
    let priority = match forward.priority {
        RoutePriority::Default => "default",
        RoutePriority::High => "high",
    };
    map.put("priority", word(priority));
    map.put(
        "stream_duration_max",
        duration_or_off(forward.stream_duration_max),
    );
    match forward.client_timeout_max {
        Some(timeout) => map.put("client_timeout_max", duration(timeout)),
        None => map.comment("client_timeout_max: the timeout, where one was written"),
    }
    map
}

fn mirror(mirror: &Mirror) -> Map {
    Map::default()
        .with("cluster", text(&mirror.cluster))
        .with("percent", percent(mirror.fraction.parts_per_million()))
}

fn session_cookie(cookie: &SessionCookie) -> Map {
    let mut map = Map::default().with("name", text(&cookie.name));
    match cookie.max_age {
        Some(age) => map.put("max_age", duration(age)),
        None => map.comment("max_age: the browser's session"),
    }
    map.put("path", text(&cookie.path));
    map.put("strict", boolean(cookie.strict));
    match cookie.same_site {
        Some(SameSite::Strict) => map.put("same_site", word("strict")),
        Some(SameSite::Lax) => map.put("same_site", word("lax")),
        Some(SameSite::None) => map.put("same_site", word("none")),
        None => {}
    }
    map
}

fn put_rewrite(map: &mut Map, rewrite: Option<&PathRewrite>) {
    match rewrite {
        Some(PathRewrite::Prefix(prefix)) => map.put("prefix_rewrite", text(prefix)),
        Some(PathRewrite::Regex(rewrite)) => map.put("regex_rewrite", regex_rewrite(rewrite)),
        Some(PathRewrite::Template(template)) => map.put("template_rewrite", text(&template.source)),
        None => {}
    }
}

fn regex_rewrite(rewrite: &RegexRewrite) -> Map {
    Map::default()
        .with("pattern", text(&rewrite.source))
        .with("substitution", text(written_substitution(&rewrite.substitution)))
}

/// From the regex crate's syntax to the document's: `${1}` is `\1`, `$$` is `$`.
fn written_substitution(substitution: &str) -> String {
    let mut written = String::with_capacity(substitution.len());
    let mut rest = substitution;
    while let Some(letter) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("$$") {
            written.push('$');
            rest = after;
        } else if let Some((group, after)) = rest.strip_prefix("${").and_then(|inner| inner.split_once('}')) {
            written.push('\\');
            written.push_str(group);
            rest = after;
        } else {
            written.push_str(if letter == '\\' {
                "\\\\"
            } else {
                &rest[..letter.len_utf8()]
            });
            rest = &rest[letter.len_utf8()..];
        }
    }
    written
}

fn redirect(redirect: &Redirect) -> Map {
    let mut map = Map::default();
    if let Some(scheme) = &redirect.scheme {
        map.put("scheme", text(scheme));
    }
    if let Some(host) = &redirect.host {
        map.put("host", text(host));
    }
    if let Some(port) = redirect.port {
        map.put("port", number(port.into()));
    }
    match &redirect.path {
        Some(RedirectPath::Full(path)) => map.put("path", text(path)),
        Some(RedirectPath::Rewrite(rewrite)) => put_rewrite(&mut map, Some(rewrite)),
        None => {}
    }
    map.with("status", number(redirect.status.into()))
        .with("strip_query", boolean(redirect.strip_query))
}

fn direct_response(response: &DirectResponse) -> Map {
    Map::default()
        .with("status", number(response.status.into()))
        .with("body", text(&response.body))
        .with("content_type", text(&response.content_type))
}
