//! Circuit breakers and the retry budget.

use super::{Remainder, value};
use circuit_breakers::{Thresholds, thresholds::RetryBudget};
use envoy_types::pb::envoy::config::cluster::v3::{self as cluster, circuit_breakers};
use envoy_types::pb::envoy::config::core::v3::RoutingPriority;
use envoy_types::pb::envoy::r#type::v3::Percent;
use outrigger_config::model::{BreakerThresholds, Cluster};

/// All of it, since Envoy allows a number of retries where no budget is said. The requests of one endpoint are bounded by
/// ours only.
pub(super) fn put(model: &Cluster, remainder: &mut Remainder, message: &mut cluster::Cluster) {
    let breakers = model.circuit_breakers();
    let budget = model.retry_budget();
    let budget = RetryBudget {
        budget_percent: Some(Percent {
            value: budget.percent().into(),
        }),
        min_retry_concurrency: Some(value::number(budget.concurrency_min())),
        ..RetryBudget::default()
    };
    let thresholds = |priority: RoutingPriority, limits: BreakerThresholds| Thresholds {
        priority: priority as i32,
        max_connections: Some(value::number(limits.connections_max())),
        max_pending_requests: Some(value::number(limits.pending_max())),
        max_requests: Some(value::number(limits.requests_max())),
        retry_budget: Some(budget),
        ..Thresholds::default()
    };
    let per_host = breakers
        .endpoint()
        .connections_max()
        .map(|connections| Thresholds {
            max_connections: Some(value::number(connections)),
            ..Thresholds::default()
        });
    message.circuit_breakers = Some(cluster::CircuitBreakers {
        thresholds: vec![
            thresholds(RoutingPriority::Default, breakers.default_priority()),
            thresholds(RoutingPriority::High, breakers.high_priority()),
        ],
        per_host_thresholds: Vec::from_iter(per_host),
    });
    remainder.said("circuit_breakers.default");
    remainder.said("circuit_breakers.high");
    remainder.said("circuit_breakers.endpoint.connections_max");
    remainder.unless("circuit_breakers.endpoint.requests_max", "off");
    remainder.said("retry_budget");
}
