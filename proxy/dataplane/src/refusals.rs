//! The reasons for which requests are refused before they are routed, as metric labels.

use crate::head::Http2RequestFault;
use outrigger_http1::RequestError;
use outrigger_traffic::path::PathFault;
use std::sync::OnceLock;

/// The head did not end in time.
pub(crate) const HEAD_TIMEOUT: &str = "request_header_timeout";
/// The whole request did not come in time.
pub(crate) const REQUEST_TIMEOUT: &str = "request_overall_timeout";
/// A TLS handshake where plain HTTP is spoken.
pub(crate) const TLS_ON_PLAIN_PORT: &str = "tls_on_plain_port";
/// CONNECT, which no route allows.
pub(crate) const CONNECT: &str = "connect_not_allowed";

/// A `sec-websocket-key` that is missing or none, where the answer to it is made here.
pub(crate) const WEBSOCKET_KEY: &str = "invalid_websocket_key";

/// All reasons; a label's index is its place here.
pub fn reasons() -> &'static [&'static str] {
    static REASONS: OnceLock<Vec<&'static str>> = OnceLock::new();
    REASONS.get_or_init(|| {
        let mut reasons = RequestError::ALL.to_vec();
        reasons.extend(Http2RequestFault::ALL.iter().map(|fault| fault.reason()));
        reasons.extend(PathFault::ALL.iter().map(|fault| fault.reason()));
        reasons.extend([
            HEAD_TIMEOUT,
            REQUEST_TIMEOUT,
            TLS_ON_PLAIN_PORT,
            CONNECT,
            WEBSOCKET_KEY,
        ]);
        reasons
    })
}

/// The index of a reason; a refusal is rare enough for a search.
pub(crate) fn index(reason: &str) -> usize {
    let place = reasons().iter().position(|other| *other == reason);
    debug_assert!(place.is_some(), "{reason} is not a registered refusal");
    place.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_listed_once() {
        let distinct: std::collections::BTreeSet<_> = reasons().iter().collect();
        assert_eq!(distinct.len(), reasons().len());
        assert_eq!(reasons()[index(CONNECT)], CONNECT);
    }
}
