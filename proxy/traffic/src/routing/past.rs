//! Why a request that is over met the route it met, by what was kept of it: method, host, path, identity, and what was found.
//!
//! Conditions on headers and queries cannot be checked any more. A route that was passed over although all else of it
//! matches was passed over for one of them, and that is what is told.

use super::conditions::{self, Failed};
use super::explanation::{self, Explanation, Mismatch, value_in_words};
use super::{Found, RequestView};
use outrigger_config::model::{RouteConfiguration, RouteMatch, SpiffeId, VirtualHost};

/// What was kept of a request.
#[derive(Debug, Clone, Copy)]
pub struct PastRequest<'r> {
    /// The method.
    pub method: &'r str,
    /// The authority without its port.
    pub host: &'r str,
    /// The path that was matched, without the query.
    pub path: &'r str,
    /// The peer's verified SPIFFE id.
    pub source_identity: Option<&'r SpiffeId>,
}

impl RequestView for PastRequest<'_> {
    fn method(&self) -> &str {
        self.method
    }
    fn source_identity(&self) -> Option<&SpiffeId> {
        self.source_identity
    }
    fn host(&self) -> &str {
        self.host
    }
    fn path(&self) -> &str {
        self.path
    }
    fn query(&self) -> Option<&str> {
        None
    }
    fn header<'a>(&'a self, _: &str, _: &'a mut Vec<u8>) -> Option<&'a [u8]> {
        None
    }
}

/// Explains what was found for a request by this configuration, which is the one that was in force then.
pub fn explain_past(config: &RouteConfiguration, found: Found, request: &PastRequest<'_>) -> Explanation {
    let hosts: Vec<&VirtualHost> = config.virtual_hosts().iter().map(AsRef::as_ref).collect();
    explanation::explain_by(found, &hosts, request, &|matches| judge(matches, request))
}

fn judge(matches: &RouteMatch, request: &PastRequest<'_>) -> Option<Mismatch> {
    if let Some(failed @ (Failed::Connect | Failed::Method | Failed::Identity)) =
        conditions::first_failed(matches, request)
    {
        return Some(explanation::mismatch(&failed, matches, request));
    }
    let grpc = matches
        .grpc()
        .then(|| "header `content-type` must begin with `application/grpc`".to_owned());
    let headers = matches.headers().iter().map(|condition| {
        let wanted = value_in_words(condition.value(), condition.invert());
        format!("header `{}` {wanted}", condition.name().as_str())
    });
    let parameters = matches.query().iter().map(|condition| {
        let wanted = value_in_words(condition.value(), condition.invert());
        format!("query parameter `{}` {wanted}", condition.name())
    });
    let wanted: Vec<String> = grpc.into_iter().chain(headers).chain(parameters).collect();
    (!wanted.is_empty()).then_some(Mismatch::Forgotten { wanted })
}
