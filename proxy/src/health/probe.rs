//! One check of an endpoint, by the protocol that its cluster asks for.

mod grpc;
mod tcp;

use super::exchange::{self, Answer, Session};
use super::finding::Finding;
use super::target::{Target, Version};
use bytes::Bytes;
use http::header::{HOST, HeaderName, HeaderValue, USER_AGENT};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Method, Request, Uri};
use http_body_util::Full;
use outrigger_config::model::{HealthCheckProtocol, HttpHealthCheck};
use outrigger_traffic::value_matches;
use std::net::SocketAddr;

/// In the answer of an endpoint that serves, and would rather not: Envoy's.
const DEGRADED: &str = "x-envoy-degraded";

/// What an endpoint sees of who asks.
const AGENT: HeaderValue = HeaderValue::from_static("outrigger-health-check");

/// Asks within the check's timeout. `kept` is the connection of the check before, and that for the next one. Dropping the
/// future gives the check up, and `kept` with it.
pub(super) async fn probe(target: &Target, addresses: &[SocketAddr], kept: &mut Option<Session>) -> Finding {
    let asking = async {
        match target.check.protocol() {
            HealthCheckProtocol::Http(check) => http(target, check, addresses, kept).await,
            HealthCheckProtocol::Grpc(check) => {
                let passed = grpc::ask(target, check, addresses, kept).await;
                passed.map(|()| Finding::Passed)
            }
            HealthCheckProtocol::Tcp(check) => {
                let passed = tcp::ask(target, check, addresses).await;
                passed.map(|()| Finding::Passed)
            }
        }
    };
    let found = tokio::time::timeout(target.check.timeout(), asking).await;
    match found {
        Ok(Ok(finding) | Err(finding)) => finding,
        Err(_) => {
            *kept = None;
            Finding::TimedOut
        }
    }
}

async fn http(
    target: &Target,
    check: &HttpHealthCheck,
    addresses: &[SocketAddr],
    kept: &mut Option<Session>,
) -> Result<Finding, Finding> {
    let host = check.host().as_deref().unwrap_or(&target.cluster);
    let method = Method::from_bytes(check.method().as_bytes()).map_err(invalid)?;
    let make = |version| {
        let mut request = request(target, version, method.clone(), host, check.path(), Bytes::new());
        for (name, value) in check.headers() {
            let name = HeaderName::from_bytes(name.as_str().as_bytes());
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
                request.headers_mut().append(name, value);
            }
        }
        request
    };
    let answer = exchange::exchange(target, addresses, kept, make).await?;
    judge(check, &answer)
}

/// What an answer says, by what is expected.
fn judge(check: &HttpHealthCheck, answer: &Answer) -> Result<Finding, Finding> {
    let status = answer.status;
    let expected = match check.expected_statuses().as_slice() {
        [] => status == 200,
        ranges => ranges.iter().any(|range| range.contains(&status)),
    };
    if !expected {
        let retriable = check
            .retriable_statuses()
            .iter()
            .any(|range| range.contains(&status));
        return Err(Finding::Status { status, retriable });
    }
    match check.expected_body() {
        Some(wanted) if !value_matches(wanted, &answer.body) => Err(Finding::Body),
        _ if answer.headers.contains_key(DEGRADED) => Ok(Finding::Degraded),
        _ => Ok(Finding::Passed),
    }
}

/// A request of the version that the connection speaks. What cannot be an authority or a path was refused with the
/// configuration.
fn request(
    target: &Target,
    version: Version,
    method: Method,
    host: &str,
    path: &str,
    body: Bytes,
) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method;
    let path = PathAndQuery::try_from(path).unwrap_or_else(|_| PathAndQuery::from_static("/"));
    let mut parts = http::uri::Parts::default();
    parts.path_and_query = Some(path);
    if version == Version::Http2 {
        let authority = Authority::try_from(host).ok();
        parts.authority = Some(authority.unwrap_or_else(|| Authority::from_static("localhost")));
        parts.scheme = Some(match target.is_tls() {
            true => Scheme::HTTPS,
            false => Scheme::HTTP,
        });
    } else if let Ok(host) = HeaderValue::from_str(host) {
        request.headers_mut().insert(HOST, host);
    }
    *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
    request.headers_mut().insert(USER_AGENT, AGENT);
    request
}

fn invalid(error: impl std::fmt::Display) -> Finding {
    Finding::Protocol(error.to_string())
}
