//! What is counted of calls, and of the fleet when it is asked for.

use http::StatusCode;
use outrigger_config::MeshWork;
use parking_lot::Mutex;
use prometheus::core::Collector;
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// The families.
pub(super) struct RestMetrics {
    calls: IntCounterVec,
    unaudited: IntCounter,
    nodes: IntGaugeVec,
    revision: IntGauge,
    current: IntGauge,
    well: IntGauge,
    reporting: IntGauge,
    work: IntCounterVec,
    /// What `work` tells.
    worked: Mutex<MeshWork>,
}

impl RestMetrics {
    /// Registers them.
    pub(super) fn register(registry: &Registry) -> Result<RestMetrics, prometheus::Error> {
        let calls = Opts::new("outrigger_control_rest_calls_total", "Calls that were answered.");
        let work = Opts::new(
            "outrigger_control_mesh_work_total",
            "Parts of meshes that were read or made: what is known from before is not.",
        );
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
            current: IntGauge::new(
                "outrigger_control_store_revision",
                "The newest revision of the store.",
            )?,
            well: IntGauge::new(
                "outrigger_control_store_well",
                "1 while the store can be read and written; 0 while something is wrong with it.",
            )?,
            reporting: IntGauge::new(
                "outrigger_control_nodes_reporting",
                "Nodes that report how endpoints stand.",
            )?,
            work: IntCounterVec::new(work, &["what"])?,
            worked: Mutex::default(),
        };
        let collectors: [Box<dyn Collector>; 8] = [
            Box::new(metrics.work.clone()),
            Box::new(metrics.calls.clone()),
            Box::new(metrics.unaudited.clone()),
            Box::new(metrics.nodes.clone()),
            Box::new(metrics.revision.clone()),
            Box::new(metrics.current.clone()),
            Box::new(metrics.well.clone()),
            Box::new(metrics.reporting.clone()),
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

    /// How the store stands.
    pub(super) fn store(&self, revision: u64, is_well: bool) {
        self.current.set(i64::try_from(revision).unwrap_or(i64::MAX));
        self.well.set(i64::from(is_well));
    }

    /// So many nodes report.
    pub(super) fn reporting(&self, nodes: usize) {
        self.reporting.set(i64::try_from(nodes).unwrap_or(i64::MAX));
    }

    /// So much was done for meshes since the server began.
    pub(super) fn work(&self, work: MeshWork) {
        let mut before = self.worked.lock();
        for ((what, now), (_, before)) in of_work(&work).into_iter().zip(of_work(&before)) {
            let more = u64::try_from(now.saturating_sub(before)).unwrap_or(u64::MAX);
            self.work.with_label_values(&[what]).inc_by(more);
        }
        *before = work;
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

/// The counts of some work, by their labels.
fn of_work(work: &MeshWork) -> [(&'static str, usize); 6] {
    let MeshWork {
        meshes_read,
        documents_read,
        services_made,
        views_made,
        clusters_read,
        route_configurations_read,
    } = *work;
    [
        ("meshes", meshes_read),
        ("documents", documents_read),
        ("services", services_made),
        ("views", views_made),
        ("clusters", clusters_read),
        ("route_configurations", route_configurations_read),
    ]
}
