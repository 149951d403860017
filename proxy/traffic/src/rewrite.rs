//! What a route makes of a path: the path that is sent upstream, and the `location` of a redirect.
//!
//! Given are normalized paths, and what comes out is a legal path again: it begins with `/`, holds no dot
//! segments and no broken escapes, whatever a substitution put together. The query is never rewritten.

use crate::path::{hex_digit, normalize};
use crate::template;
use outrigger_config::model::{
    EscapedSlashes, PathMatch, PathRewrite, Redirect, RedirectPath, RegexRewrite, RepeatedSlashes,
};

/// The path that is sent for `path`, which the route's `matched` has matched.
///
/// A prefix rewrite replaces the matched prefix, or the whole of an exact path; where Envoy would double or lose the
/// slash at the border (`/a` by `/`, `/` by `/a`), one stands there. Of a prefix that is a text the text is replaced. For templates and regular expressions, which have
/// no prefix to replace, the path stays (the model holds no such pair). A regex rewrite replaces every match. A template
/// puts what the variables of the matched template took, as it stands in the path, into places of its own; for
/// other matches, which have no variables, the path stays (the model holds no such pair).
pub fn rewrite_path(rewrite: &PathRewrite, matched: &PathMatch, path: &str) -> String {
    match rewrite {
        PathRewrite::Prefix(replacement) => match matched {
            PathMatch::Exact(_) => legal_path(replacement.clone()),
            PathMatch::Prefix(prefix) => legal_path(replace_prefix(
                replacement,
                path.strip_prefix(prefix.as_str()).unwrap_or(path),
            )),
            PathMatch::StringPrefix(prefix) => {
                let rest = path.strip_prefix(prefix.as_str()).unwrap_or(path);
                legal_path(format!("{replacement}{rest}"))
            }
            PathMatch::Template(_) | PathMatch::Regex(_) => path.to_owned(),
        },
        PathRewrite::Regex(rewrite) => legal_path(replace_matches(rewrite, path)),
        PathRewrite::Template(template) => match matched {
            PathMatch::Template(matched) => legal_path(template::expand(template, matched, path)),
            PathMatch::Exact(_) | PathMatch::Prefix(_) | PathMatch::StringPrefix(_) | PathMatch::Regex(_) => {
                path.to_owned()
            }
        },
    }
}

/// The `location` of a redirect, absolute. `host_with_port` is the request's authority, `query` comes without its `?`.
///
/// As Envoy: the request's port goes where the redirect names a host or a port, or changes the scheme from one whose
/// default that port is. A full path that has a query of its own keeps that one; else the request's is appended,
/// unless it is to be stripped.
pub fn redirect_location(
    redirect: &Redirect,
    matched: &PathMatch,
    scheme: &str,
    host_with_port: &str,
    path: &str,
    query: Option<&str>,
) -> String {
    let new_scheme = redirect.scheme().as_deref().unwrap_or(scheme);
    let host = match redirect.host() {
        Some(host) => host.as_str(),
        None => {
            let (host, port) = split_port(host_with_port);
            let is_default = matches!((scheme, port), ("http", Some("80")) | ("https", Some("443")));
            let drop_port = redirect.port().is_some() || (new_scheme != scheme && is_default);
            if drop_port { host } else { host_with_port }
        }
    };
    let path = match redirect.path() {
        Some(RedirectPath::Full(full)) => full.clone(),
        Some(RedirectPath::Rewrite(rewrite)) => rewrite_path(rewrite, matched, path),
        None => path.to_owned(),
    };
    let mut location = format!("{new_scheme}://{host}");
    if let Some(port) = redirect.port() {
        location.push_str(&format!(":{port}"));
    }
    location.push_str(&path);
    if let Some(query) = query.filter(|_| !redirect.strip_query() && !path.contains('?')) {
        location.push('?');
        location.push_str(query);
    }
    location
}

/// Host and port of an authority; a bare IPv6 address in brackets has colons and no port.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    }
}

fn replace_prefix(replacement: &str, rest: &str) -> String {
    let rest = match (replacement.ends_with('/'), rest.strip_prefix('/')) {
        (true, Some(rest)) => rest,
        (false, None) if !rest.is_empty() => return format!("{replacement}/{rest}"),
        _ => rest,
    };
    format!("{replacement}{rest}")
}

fn replace_matches(rewrite: &RegexRewrite, path: &str) -> String {
    rewrite
        .regex()
        .replace_all(path, rewrite.substitution())
        .into_owned()
}

/// A substitution may build what no request may carry: no slash at the front, `..` from `.x.`, half an escape, a
/// fragment. It is made a path here, so that the upstream reads what was matched and nothing above it.
fn legal_path(path: String) -> String {
    let path = if path.starts_with('/') {
        path
    } else {
        format!("/{path}")
    };
    let normal = |path: &str| {
        normalize(path, EscapedSlashes::Keep, RepeatedSlashes::Keep).map(|normalized| {
            normalized
                .is_rewritten()
                .then(|| normalized.into_path_and_query())
        })
    };
    match normal(&path) {
        Ok(None) => path,
        Ok(Some(normalized)) => normalized,
        Err(_) => {
            let escaped = escape_faults(&path);
            normal(&escaped).ok().flatten().unwrap_or(escaped)
        }
    }
}

/// Escapes what [`normalize`] refuses: blanks, control characters, `#`, and every `%` that begins no escape or `%00`.
fn escape_faults(path: &str) -> String {
    let mut escaped = String::with_capacity(path.len() + 8);
    for (at, character) in path.char_indices() {
        let faulty = match character {
            '%' => {
                let digits = path.as_bytes().get(at + 1..at + 3).unwrap_or_default();
                digits == b"00" || digits.len() < 2 || !digits.iter().all(|&digit| hex_digit(digit).is_some())
            }
            '#' | ' ' => true,
            _ => character.is_ascii_control(),
        };
        if faulty {
            escaped.push_str(&format!("%{:02X}", character as u32));
        } else {
            escaped.push(character);
        }
    }
    escaped
}
