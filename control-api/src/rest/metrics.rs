//! What is counted of calls, and of the fleet when it is asked for.

use http::StatusCode;
use prometheus::core::Collector;
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// The families.
pub(super) struct RestMetrics {
    calls: IntCounterVec,
    unaudited: IntCounter,
    nodes: IntGaugeVec,
    revision: IntGauge,
}

impl RestMetrics {
    /// Registers them.
    pub(super) fn register(registry: &Registry) -> Result<RestMetrics, prometheus::Error> {
        let calls = Opts::new("outrigger_control_rest_calls_total", "Calls that were answered.");
        let nodes = Opts::new("outrigger_control_nodes", "Nodes, by how they stand.");
        let metrics = RestMetrics {
            calls: IntCounterVec::new(calls, &["operation", "status"])?,
            unaudited: IntCounter::new(
                "outrigger_control_rest_refusals_unaudited_total",
                "Refused calls that were too many to be told to the audit log.",
            )?,
            nodes: IntGaugeVec::new(nodes, &["state"])?,
            revision: IntGauge::new(
                "outrigger_control_revision",
                "The revision that everybody is to have.",
            )?,
        };
        let collectors: [Box<dyn Collector>; 4] = [
            Box::new(metrics.calls.clone()),
            Box::new(metrics.unaudited.clone()),
            Box::new(metrics.nodes.clone()),
            Box::new(metrics.revision.clone()),
        ];
        for collector in collectors {
            registry.register(collector)?;
        }
        Ok(metrics)
    }

    /// A call was answered.
    pub(super) fn answered(&self, operation: &str, status: StatusCode) {
        self.calls.with_label_values(&[operation, status.as_str()]).inc();
    }

    /// A refused call was not told.
    pub(super) fn unaudited(&self) {
        self.unaudited.inc();
    }

    /// How the fleet stands.
    pub(super) fn fleet(&self, revision: u64, states: &[(&str, usize)]) {
        self.revision.set(i64::try_from(revision).unwrap_or(i64::MAX));
        for (state, count) in states {
            self.nodes
                .with_label_values(&[state])
                .set(i64::try_from(*count).unwrap_or(i64::MAX));
        }
    }
}
