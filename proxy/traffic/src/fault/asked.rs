//! Faults that a request asks for by Envoy's headers. Only peers that are believed are heard.

use crate::routing::RequestView;
use outrigger_config::model::FaultAbortKind;
use std::time::Duration;

/// What a header may delay a request by at most: what a stream may stand still for.
pub(super) const ASKED_DELAY_MAX: Duration = Duration::from_secs(300);

/// What a request asks for. A header that says nothing sensible says nothing, as in Envoy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AskedFaults {
    /// `x-envoy-fault-delay-request`: milliseconds.
    pub delay: Option<Duration>,
    /// `x-envoy-fault-delay-request-percentage`.
    pub delay_percent: Option<u32>,
    /// `x-envoy-fault-abort-request`, or else `x-envoy-fault-abort-grpc-request`.
    pub abort: Option<FaultAbortKind>,
    /// `x-envoy-fault-abort-request-percentage`, of either.
    pub abort_percent: Option<u32>,
    /// `x-envoy-fault-throughput-response`, which is in KiB a second.
    pub response_bytes_per_second: Option<u64>,
    /// `x-envoy-fault-throughput-response-percentage`.
    pub response_percent: Option<u32>,
}

impl AskedFaults {
    /// Reads a request's headers.
    pub fn read(request: &(impl RequestView + ?Sized)) -> AskedFaults {
        let number = |name: &str, max: u64| -> Option<u64> {
            let mut joined = Vec::new();
            let value = request.header(name, &mut joined)?;
            if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
                return None;
            }
            let number = std::str::from_utf8(value).ok()?.parse().ok()?;
            (number <= max).then_some(number)
        };
        let percent = |name: &str| number(name, 100).map(|percent| percent as u32);
        let status = number("x-envoy-fault-abort-request", 599)
            .filter(|status| *status >= 200)
            .map(|status| FaultAbortKind::Status(status as u16));
        let grpc =
            || number("x-envoy-fault-abort-grpc-request", 16).map(|code| FaultAbortKind::Grpc(code as u16));
        AskedFaults {
            delay: number("x-envoy-fault-delay-request", u64::MAX)
                .map(|millis| Duration::from_millis(millis).min(ASKED_DELAY_MAX)),
            delay_percent: percent("x-envoy-fault-delay-request-percentage"),
            abort: status.or_else(grpc),
            abort_percent: percent("x-envoy-fault-abort-request-percentage"),
            response_bytes_per_second: number("x-envoy-fault-throughput-response", u64::MAX / 1024)
                .filter(|kibibytes| *kibibytes > 0)
                .map(|kibibytes| kibibytes * 1024),
            response_percent: percent("x-envoy-fault-throughput-response-percentage"),
        }
    }
}
