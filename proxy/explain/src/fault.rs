//! What a fault does, in words.

use outrigger_config::model::{Fault, FaultAbortKind, Fraction};

/// What a fault does, in words.
pub fn describe_fault(fault: &Fault) -> String {
    let mut parts = Vec::new();
    if let Some(delay) = fault.delay() {
        let (share, time) = (percent(delay.fraction()), delay.duration());
        parts.push(format!("{share} % delayed by {time:?}"));
    }
    if let Some(abort) = fault.abort() {
        let share = percent(abort.fraction());
        parts.push(match abort.kind() {
            FaultAbortKind::Status(status) => format!("{share} % answered {status}"),
            FaultAbortKind::Grpc(status) => format!("{share} % answered with gRPC status {status}"),
            FaultAbortKind::Reset => format!("{share} % reset"),
        });
    }
    if let Some(rate) = fault.response_rate() {
        let (share, bytes) = (percent(rate.fraction()), rate.bytes_per_second());
        parts.push(format!("{share} % answered at {bytes} bytes a second"));
    }
    if fault.by_header() {
        parts.push("what hint peers ask for".to_owned());
    }
    let only = match (fault.headers().is_empty(), fault.identities().is_empty()) {
        (true, true) => "",
        (false, true) => "; only requests with certain headers",
        (true, false) => "; only requests of certain identities",
        (false, false) => "; only requests with certain headers, of certain identities",
    };
    let max = fault.affected_max();
    let most = match max == Fraction::ALL {
        true => String::new(),
        false => format!("; at most {} % of requests", percent(max)),
    };
    format!("{}{only}{most}", parts.join(", "))
}

fn percent(fraction: Fraction) -> f64 {
    f64::from(fraction.parts_per_million()) / 10_000.0
}
