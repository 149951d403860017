//! Faults in force, told whenever a configuration is: whoever injects them forgets them.

use outrigger_config::model::{Fault, FaultAbortKind, Fraction};
use outrigger_config::{MeshConfig, Timestamp};
use std::time::SystemTime;

/// Warns of every fault in a configuration that was put in force.
pub(crate) fn warn(config: &MeshConfig, now: SystemTime) {
    for (place, fault) in all(config) {
        let what = describe(fault);
        match fault.expires() {
            Some(moment) if now >= moment => {
                tracing::warn!(%place, "a fault has expired ({}) and does nothing: {what}", Timestamp(moment));
            }
            Some(moment) => {
                tracing::warn!(%place, "a fault is injected until {}: {what}", Timestamp(moment));
            }
            None => tracing::warn!(%place, "a fault is injected, with no end: {what}"),
        }
    }
}

/// Every fault, and where it stands.
fn all(config: &MeshConfig) -> Vec<(String, &Fault)> {
    let mut found = Vec::new();
    for listener in config.listeners() {
        for chain in listener.filter_chains() {
            let options = chain.mode().http();
            if let Some(fault) = options.and_then(|options| options.fault().as_ref()) {
                let place = format!("listener {}, filter chain {}", listener.name(), chain.name());
                found.push((place, &**fault));
            }
        }
    }
    for routes in config.route_configurations() {
        for host in routes.virtual_hosts() {
            for route in host.routes() {
                if let Some(Some(fault)) = route.fault() {
                    let place = format!("route {} of {}", route.name(), routes.name());
                    found.push((place, &**fault));
                }
            }
        }
    }
    found
}

/// What a fault does, in words.
pub(crate) fn describe(fault: &Fault) -> String {
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
