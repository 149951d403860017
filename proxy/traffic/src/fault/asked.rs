//! Faults that a request asks for by Envoy's headers. Only peers that are believed are heard.

use outrigger_config::model::FaultAbortKind;
use std::time::Duration;

/// What a header may delay a request by at most: what a stream may stand still for.
pub(super) const ASKED_DELAY_MAX: Duration = Duration::from_secs(300);

/// The headers, in lower case.
pub const FAULT_HEADERS: [&str; 7] = [
    "x-envoy-fault-delay-request",
    "x-envoy-fault-delay-request-percentage",
    "x-envoy-fault-abort-request",
    "x-envoy-fault-abort-grpc-request",
    "x-envoy-fault-abort-request-percentage",
    "x-envoy-fault-throughput-response",
    "x-envoy-fault-throughput-response-percentage",
];

/// What a request asks for. A header that says nothing sensible says nothing, as in Envoy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AskedFaults {
    /// Milliseconds in the header.
    pub(super) delay: Option<Duration>,
    pub(super) delay_percent: Option<u32>,
    status: Option<u16>,
    grpc_status: Option<u16>,
    /// Of either.
    pub(super) abort_percent: Option<u32>,
    /// KiB in the header.
    pub(super) response_bytes_per_second: Option<u64>,
    pub(super) response_percent: Option<u32>,
}

impl AskedFaults {
    /// Reads one field of a request; its name is in lower case.
    pub fn note(&mut self, name: &[u8], value: &[u8]) {
        let Some(header) = FAULT_HEADERS.iter().position(|header| header.as_bytes() == name) else {
            return;
        };
        let Some(number) = number(value) else { return };
        let percent = u32::try_from(number).ok().filter(|percent| *percent <= 100);
        let code = u16::try_from(number).ok();
        match header {
            0 => self.delay = Some(Duration::from_millis(number).min(ASKED_DELAY_MAX)),
            1 => self.delay_percent = percent,
            2 => self.status = code.filter(|status| (200..600).contains(status)),
            3 => self.grpc_status = code.filter(|status| *status <= 16),
            4 => self.abort_percent = percent,
            5 => self.response_bytes_per_second = number.checked_mul(1024).filter(|bytes| *bytes > 0),
            _ => self.response_percent = percent,
        }
    }

    /// A status of HTTP comes before one of gRPC, as in Envoy.
    pub(super) fn abort(&self) -> Option<FaultAbortKind> {
        let grpc = || self.grpc_status.map(FaultAbortKind::Grpc);
        self.status.map(FaultAbortKind::Status).or_else(grpc)
    }
}

fn number(value: &[u8]) -> Option<u64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}
