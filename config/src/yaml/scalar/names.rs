//! Names in certificates: SPIFFE ids, trust domains, DNS names.

use super::{Problem, is_host, problem_with_help, shortened};
use crate::model::{ServerNameMatch, SpiffeFault, SpiffeId, TrustDomain};
use std::net::IpAddr;

pub(crate) fn spiffe_id(text: &str) -> Result<SpiffeId, Problem> {
    text.parse().map_err(|fault: SpiffeFault| Problem {
        message: format!("`{}` is not a SPIFFE id: {fault}", shortened(text)),
        help: Some("such as `spiffe://example.org/ns/prod/sa/api`".to_owned()),
    })
}

/// The id of a workload: by the X.509-SVID standard (section 4.1), one with a path.
pub(crate) fn workload_id(text: &str) -> Result<SpiffeId, Problem> {
    match spiffe_id(text)? {
        id if id.path().is_empty() => problem_with_help(
            format!("`{id}` names no workload: it has no path"),
            format!("write `trust_domain: {}` for all of them", id.trust_domain()),
        ),
        id => Ok(id),
    }
}

pub(crate) fn trust_domain(text: &str) -> Result<TrustDomain, Problem> {
    text.parse().map_err(|fault: SpiffeFault| {
        let message = format!("`{}` is not a trust domain: {fault}", shortened(text));
        let name = text.strip_prefix("spiffe://").unwrap_or(text);
        let name = name.split('/').next().unwrap_or_default().to_ascii_lowercase();
        let help = match name.parse::<TrustDomain>() {
            Ok(name) => format!("write `{name}`"),
            Err(_) => "such as `example.org`".to_owned(),
        };
        Problem {
            message,
            help: Some(help),
        }
    })
}

/// A DNS name that a certificate must hold.
pub(crate) fn dns_name_match(text: &str) -> Result<ServerNameMatch, Problem> {
    let lower = text.to_ascii_lowercase();
    let message = format!("`{}` is not a DNS name", shortened(text));
    if lower.parse::<IpAddr>().is_ok() || lower.starts_with('[') {
        return problem_with_help(message, "addresses in certificates are not matched");
    }
    match lower.strip_prefix("*.") {
        Some(rest) if is_host(rest) => Ok(ServerNameMatch::Suffix(lower[1..].to_owned())),
        None if is_host(&lower) => Ok(ServerNameMatch::Exact(lower)),
        _ => problem_with_help(message, "such as `a.example` or `*.a.example`"),
    }
}
