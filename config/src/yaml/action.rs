//! What is done with a request: forward, redirect, direct response.

use super::reader::{Fields, Reader};
use super::scalar::{self, Problem, problem, problem_with_help};
use super::shapes::{DIRECT_RESPONSE, FORWARD, REDIRECT, REGEX_REWRITE};
use super::tree::Node;
use super::{targets, upgrades};
use crate::model::{
    ConnectAction, DirectResponse, Forward, PathMatch, PathRewrite, Redirect, RedirectPath, RegexRewrite,
    RouteAction, RouteMatch, defaults,
};
use regex::Regex;

/// What of a path a route's match knows, as far as rewrites need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Matched {
    /// A prefix, or the whole path.
    Prefix,
    Template,
    Regex,
    /// There is no path.
    Connect,
    /// The match is wrong itself.
    Unknown,
}

impl From<&RouteMatch> for Matched {
    fn from(matches: &RouteMatch) -> Matched {
        match matches.path {
            _ if matches.connect => Matched::Connect,
            PathMatch::Exact(_) | PathMatch::Prefix(_) => Matched::Prefix,
            PathMatch::Template(_) => Matched::Template,
            PathMatch::Regex(_) => Matched::Regex,
        }
    }
}

pub(super) fn action(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    matched: Matched,
    matches: Option<&RouteMatch>,
) -> Option<RouteAction> {
    let forward = fields
        .node(reader, "forward")
        .and_then(|node| forward(reader, node, matched));
    let redirect = fields
        .node(reader, "redirect")
        .and_then(|node| redirect(reader, node, matched, matches));
    let direct = fields
        .node(reader, "direct_response")
        .and_then(|node| direct_response(reader, node));
    forward
        .map(RouteAction::Forward)
        .or(redirect.map(RouteAction::Redirect))
        .or(direct.map(RouteAction::DirectResponse))
}

fn forward(reader: &mut Reader<'_>, node: &Node, matched: Matched) -> Option<Forward> {
    let fields = reader.fields(node, &FORWARD)?;
    let clusters = targets::targets(reader, &fields);
    let path_rewrite = path_rewrite(reader, &fields, matched);
    let host_rewrite = fields.parsed(reader, "host_rewrite", scalar::authority);
    let timeout = fields.duration_or_off(reader, "timeout");
    let stream_idle_timeout = fields.duration_or_off(reader, "stream_idle_timeout");
    let upgrades = upgrades::upgrades(reader, &fields);
    let upgrade_idle_timeout = fields.duration_or_off(reader, "upgrade_idle_timeout");
    let connect = connect(reader, &fields, matched);
    Some(Forward {
        clusters,
        path_rewrite,
        host_rewrite,
        timeout: timeout.unwrap_or(Some(defaults::ROUTE_TIMEOUT)),
        timeout_explicit: timeout.is_some(),
        stream_idle_timeout,
        upgrades,
        upgrade_idle_timeout,
        connect: connect.unwrap_or(ConnectAction::Terminate),
        mirrors: Vec::new(),
        session_cookie: None,
    })
}

fn connect(reader: &mut Reader<'_>, fields: &Fields<'_>, matched: Matched) -> Option<ConnectAction> {
    let words = [
        ("terminate", ConnectAction::Terminate),
        ("pass", ConnectAction::Pass),
    ];
    if fields.entry("connect").is_some() && !matches!(matched, Matched::Connect | Matched::Unknown) {
        let message = "`connect` on a route that takes no CONNECT requests";
        let help = "only one with `match: {connect: true}` does";
        reader.fault_with_help(fields.key_span_of("connect"), message, help);
    }
    if fields.entry("upgrades").is_some() && matched == Matched::Connect {
        let message = "`upgrades` has no effect on a route that takes CONNECT requests";
        reader.warn(fields.key_span_of("upgrades"), message, "remove it");
    }
    fields.choice(reader, "connect", &words)
}

fn path_rewrite(reader: &mut Reader<'_>, fields: &Fields<'_>, matched: Matched) -> Option<PathRewrite> {
    let prefix = fields.parsed(reader, "prefix_rewrite", scalar::path);
    let what = match matched {
        Matched::Template => Some("template"),
        Matched::Regex => Some("regex"),
        Matched::Prefix | Matched::Connect | Matched::Unknown => None,
    };
    if let (Some(what), true) = (what, fields.entry("prefix_rewrite").is_some()) {
        let message =
            format!("`prefix_rewrite` on a route that matches by `{what}`: there is no prefix to replace");
        let help = "use `regex_rewrite`, or match by `prefix` or `path`";
        reader.fault_with_help(fields.key_span_of("prefix_rewrite"), message, help);
    }
    for name in ["prefix_rewrite", "regex_rewrite"] {
        if matched == Matched::Connect && fields.entry(name).is_some() {
            let message = format!("`{name}` on a route that takes CONNECT requests, which have no path");
            reader.fault_with_help(fields.key_span_of(name), message, "remove it");
        }
    }
    let regex = fields
        .node(reader, "regex_rewrite")
        .and_then(|node| regex_rewrite(reader, node));
    prefix.map(PathRewrite::Prefix).or(regex.map(PathRewrite::Regex))
}

fn regex_rewrite(reader: &mut Reader<'_>, node: &Node) -> Option<RegexRewrite> {
    let fields = reader.fields(node, &REGEX_REWRITE)?;
    let pattern = fields.parsed(reader, "pattern", |text| match text {
        "" => problem("an empty pattern matches everywhere"),
        _ => Ok((text.to_owned(), scalar::regex(text)?)),
    });
    let groups = pattern
        .as_ref()
        .map(|(_, regex): &(String, Regex)| regex.captures_len() - 1);
    let substitution = fields.parsed(reader, "substitution", |text| substitution(text, groups));
    let (source, regex) = pattern?;
    Some(RegexRewrite {
        source,
        regex,
        substitution: substitution?,
    })
}

/// `\1` for a group and `\\` for a backslash, to the syntax of the regex crate.
fn substitution(text: &str, groups: Option<usize>) -> Result<String, Problem> {
    if text.len() > 4096 || !text.bytes().all(|byte| byte.is_ascii_graphic()) || text.contains(['?', '#']) {
        return problem_with_help(
            "a substitution is at most 4096 visible ASCII characters, without `?` and `#`",
            "percent-encode the rest",
        );
    }
    let mut result = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '$' => result.push_str("$$"),
            '\\' => match letters.next() {
                Some('\\') => result.push('\\'),
                Some(digit) if digit.is_ascii_digit() => {
                    let group = digit as usize - '0' as usize;
                    if groups.is_some_and(|groups| group > groups) {
                        return problem(format!("the pattern has no group {group}"));
                    }
                    result.push_str(&format!("${{{group}}}"));
                }
                _ => {
                    return problem_with_help(
                        "`\\` is not followed by a digit or `\\`",
                        "a literal `\\` is `\\\\`",
                    );
                }
            },
            other => result.push(other),
        }
    }
    Ok(result)
}

fn redirect(
    reader: &mut Reader<'_>,
    node: &Node,
    matched: Matched,
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
        (
            Some(RedirectPath::Rewrite(PathRewrite::Prefix(to))),
            Some(PathMatch::Exact(from) | PathMatch::Prefix(from)),
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
    let content_type = fields.parsed(reader, "content_type", |text| match scalar::header_value(text)? {
        value if value.split(';').next().is_some_and(|kind| kind.contains('/')) => Ok(value),
        _ => problem_with_help(
            format!("`{}` is not a media type", scalar::shortened(text)),
            "such as `text/plain`",
        ),
    });
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
