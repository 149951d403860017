//! A cluster's limits as metrics and reports have them.

use super::ClusterPolicy;
use outrigger_config::model::{self, RoutePriority};
use outrigger_telemetry::{AdaptiveMetrics, BreakerMetrics, Metrics};
use outrigger_traffic::breakers::BreakerKind;
use std::sync::Arc;

/// Gauges of a cluster's limits, set when somebody reads them.
#[derive(Debug)]
pub(crate) struct LimitGauges {
    breakers: Vec<(RoutePriority, BreakerKind, Arc<BreakerMetrics>)>,
    adaptive: Option<Arc<AdaptiveMetrics>>,
}

impl LimitGauges {
    /// Those of default priority, and of high priority where its limits were set.
    pub(super) fn new(cluster: &model::Cluster, metrics: &Metrics) -> LimitGauges {
        let name = cluster.name().as_str();
        let breakers = cluster.circuit_breakers();
        let has_high = breakers.high_priority() != model::BreakerThresholds::default();
        let priorities = [RoutePriority::Default, RoutePriority::High];
        let gauges = priorities[..1 + usize::from(has_high)]
            .iter()
            .flat_map(|priority| BreakerKind::ALL.map(|kind| (*priority, kind)))
            .map(|(priority, kind)| {
                let gauge = metrics.breaker(name, priority_name(priority), kind.as_str());
                (priority, kind, gauge)
            });
        LimitGauges {
            breakers: gauges.collect(),
            adaptive: cluster
                .adaptive_concurrency()
                .as_ref()
                .map(|_| metrics.adaptive_limit(name)),
        }
    }
}

/// A priority's name, in metrics and reports.
pub fn priority_name(priority: RoutePriority) -> &'static str {
    match priority {
        RoutePriority::Default => "default",
        RoutePriority::High => "high",
    }
}

impl ClusterPolicy {
    /// Brings the gauges of its limits up to date, for a scrape.
    pub fn refresh_gauges(&self) {
        for (priority, kind, gauge) in &self.limit_gauges.breakers {
            let remaining = self.shared.breakers.of(*priority).kind(*kind).remaining();
            let cells = gauge.worker(0);
            cells.remaining.set(i64::from(remaining));
            cells.open.set(i64::from(remaining == 0));
        }
        if let (Some(gauge), Some(state)) = (&self.limit_gauges.adaptive, self.adaptive()) {
            let cells = gauge.worker(0);
            cells.limit.set(i64::from(state.limit));
            cells.active.set(i64::from(state.active));
            cells.measuring.set(i64::from(state.measuring));
        }
    }
}
