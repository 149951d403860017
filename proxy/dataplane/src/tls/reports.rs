//! Telling of failed handshakes: each at debug level, and now and then one as a warning.

use crate::snapshot::EndpointState;
use outrigger_telemetry::TlsFailure;
use std::cell::Cell;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::Instant;

/// One warning of each side in this time: a peer that tries again and again must not fill the log.
const WARNING_INTERVAL: Duration = Duration::from_secs(10);

/// A worker's reports.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    downstream: Gate,
    upstream: Gate,
}

impl Reports {
    /// A client's handshake failed.
    pub(crate) fn downstream(&self, failure: TlsFailure, error: &dyn std::fmt::Display, client: SocketAddr) {
        let reason = failure.as_str();
        tracing::debug!(reason, %error, %client, "TLS handshake failed");
        if is_worth_a_warning(failure)
            && let Some(others) = self.downstream.open(Instant::now())
        {
            tracing::warn!(reason, %error, %client, others, "TLS handshake with a client failed");
        }
    }

    /// A handshake with an endpoint failed.
    pub(crate) fn upstream(
        &self,
        failure: TlsFailure,
        error: &dyn std::fmt::Display,
        endpoint: &EndpointState,
    ) {
        let (reason, endpoint) = (failure.as_str(), &endpoint.address_text);
        tracing::debug!(reason, %error, %endpoint, "TLS handshake failed");
        if is_worth_a_warning(failure)
            && let Some(others) = self.upstream.open(Instant::now())
        {
            tracing::warn!(reason, %error, %endpoint, others, "TLS handshake with an endpoint failed");
        }
    }
}

/// True if somebody has to mend something: scanners and clients that go away are everyday.
fn is_worth_a_warning(failure: TlsFailure) -> bool {
    !matches!(
        failure,
        TlsFailure::Timeout | TlsFailure::Closed | TlsFailure::Protocol | TlsFailure::NothingShared
    )
}

/// Lets one through in each interval, and counts those that it kept back.
#[derive(Debug, Default)]
struct Gate {
    last: Cell<Option<Instant>>,
    kept_back: Cell<u64>,
}

impl Gate {
    /// How many were kept back since the last; none: this one is too.
    fn open(&self, now: Instant) -> Option<u64> {
        let is_early = |last| now.duration_since(last) < WARNING_INTERVAL;
        if self.last.get().is_some_and(is_early) {
            self.kept_back.set(self.kept_back.get() + 1);
            return None;
        }
        self.last.set(Some(now));
        Some(self.kept_back.take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_each_interval_passes_and_tells_of_the_others() {
        let (gate, start) = (Gate::default(), Instant::now());
        assert_eq!(gate.open(start), Some(0));
        assert_eq!(gate.open(start + WARNING_INTERVAL / 2), None);
        assert_eq!(gate.open(start + WARNING_INTERVAL / 2), None);
        assert_eq!(gate.open(start + WARNING_INTERVAL), Some(2));
        assert_eq!(gate.open(start + 3 * WARNING_INTERVAL), Some(0));
    }
}
