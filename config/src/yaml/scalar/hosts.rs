//! Hosts, domains and server names.

use super::{Problem, problem, problem_with_help, shortened};
use crate::model::{Domain, ServerNameMatch};
use std::net::{IpAddr, Ipv6Addr};

/// A host name, an IPv4 address or a bracketed IPv6 address, without a port.
pub(crate) fn is_host(text: &str) -> bool {
    if let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return inner.parse::<Ipv6Addr>().is_ok();
    }
    !text.is_empty()
        && text.len() <= 253
        && text
            .split('.')
            .all(|label| !label.is_empty() && is_host_text(label))
}

fn is_host_text(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

pub(crate) fn host(text: &str) -> Result<String, Problem> {
    if is_host(text) {
        return Ok(text.to_owned());
    }
    if let Some((host, port)) = text.rsplit_once(':')
        && is_host(host)
        && port.parse::<u16>().is_ok()
    {
        return problem_with_help(
            format!("`{text}` has a port"),
            format!("write `{host}`, and the port in `port`"),
        );
    }
    problem(format!("`{}` is not a host name", shortened(text)))
}

/// A host with or without a port.
pub(crate) fn authority(text: &str) -> Result<String, Problem> {
    let without_port = match text.rsplit_once(':') {
        Some((host, port)) if is_host(host) && port.parse::<u16>().is_ok() => host,
        _ => text,
    };
    if is_host(without_port) {
        return Ok(text.to_owned());
    }
    problem(format!(
        "`{}` is not a host, with or without a port",
        shortened(text)
    ))
}

pub(crate) fn domain(text: &str) -> Result<Domain, Problem> {
    let lower = text.to_ascii_lowercase();
    if lower == "*" {
        return Ok(Domain::Any);
    }
    if is_host(&lower) {
        return Ok(Domain::Exact(lower));
    }
    if let Some(rest) = lower.strip_prefix('*')
        && !rest.is_empty()
        && is_host_text(rest)
    {
        return Ok(Domain::Suffix(rest.to_owned()));
    }
    if let Some(rest) = lower.strip_suffix('*')
        && !rest.is_empty()
        && is_host_text(rest)
    {
        return Ok(Domain::Prefix(rest.to_owned()));
    }
    let message = format!("`{}` is not a domain", shortened(text));
    match text.rsplit_once(':') {
        Some((host, port)) if port == "*" || port.parse::<u16>().is_ok() => {
            problem_with_help(message, format!("ports are ignored: write `{host}`"))
        }
        _ if text.contains('*') => {
            problem_with_help(message, "`*` stands alone, at the beginning or at the end")
        }
        _ => problem_with_help(message, "such as `a.example`, `*.a.example`, `api.*` or `*`"),
    }
}

pub(crate) fn server_name_match(text: &str) -> Result<ServerNameMatch, Problem> {
    let lower = text.to_ascii_lowercase();
    let message = format!("`{}` is not a server name", shortened(text));
    if lower.parse::<IpAddr>().is_ok() || lower.starts_with('[') {
        return problem_with_help(message, "clients send no server name for an IP address");
    }
    if lower == "*" {
        return problem_with_help(message, "leave `server_names` out to take every connection");
    }
    match lower.strip_prefix("*.") {
        Some(rest) if is_host(rest) => Ok(ServerNameMatch::Suffix(lower[1..].to_owned())),
        None if is_host(&lower) => Ok(ServerNameMatch::Exact(lower)),
        _ => problem_with_help(message, "such as `a.example` or `*.b.example`"),
    }
}

/// The name that an upstream's certificate must hold.
pub(crate) fn upstream_server_name(text: &str) -> Result<String, Problem> {
    if text.parse::<IpAddr>().is_ok() || (is_host(text) && !text.starts_with('[')) {
        return Ok(text.to_owned());
    }
    problem(format!(
        "`{}` is neither a DNS name nor an IP address",
        shortened(text)
    ))
}
