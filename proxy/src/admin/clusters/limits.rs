//! The limits of a cluster and what is in use of them.

use outrigger_config::model::RoutePriority;
use outrigger_dataplane::snapshot::{ClusterPolicy, priority_name};
use outrigger_traffic::adaptive::AdaptiveState;
use outrigger_traffic::breakers::BreakerKind;
use serde_json::{Value, json};

/// By priority and kind: limit, what is in use, and whether nothing more may begin. The limits of endpoints too, where
/// there are any.
pub(super) fn breakers(cluster: &ClusterPolicy) -> Value {
    let mut value = json!({});
    for priority in [RoutePriority::Default, RoutePriority::High] {
        for kind in BreakerKind::ALL {
            let breaker = cluster.breakers().of(priority).kind(kind);
            value[priority_name(priority)][kind.as_str()] = json!({
                "limit": breaker.limit(),
                "active": breaker.active(),
                "open": breaker.is_open(),
            });
        }
    }
    let endpoint = cluster.config().circuit_breakers().endpoint();
    if let Some(max) = endpoint.connections_max() {
        value["endpoint"]["connections"] = json!(max);
    }
    if let Some(max) = endpoint.requests_max() {
        value["endpoint"]["requests"] = json!(max);
    }
    value
}

/// The limit that follows response times.
pub(super) fn adaptive(state: AdaptiveState) -> Value {
    json!({
        "limit": state.limit,
        "active": state.active,
        "measuring": state.measuring,
        "min_rtt_seconds": state.min_rtt.map(|time| time.as_secs_f64()),
        "sample_rtt_seconds": state.sample_rtt.map(|time| time.as_secs_f64()),
    })
}
