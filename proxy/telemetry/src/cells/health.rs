//! What is counted of the health of endpoints.

use super::{Cells, Family};
use crate::cell::labelled::CounterBy;
use crate::cell::{Series, SharedGauge, Terms};
use crate::exposition::Heading;
use crate::labels::{CheckOutcome, EjectionEnd, EjectionPrevented, HealthChange, Outlier};

cells! {
    /// What is counted of the health of a cluster's endpoints. Whoever writes holds a lock.
    pub struct HealthCells ["cluster"] {
        /// Health checks, by what came of them.
        checks: CounterBy<CheckOutcome, { CheckOutcome::COUNT }> = "outrigger_cluster_health_checks_total",
        /// Changes of endpoints' health by their checks; the first check of an endpoint that passes is one.
        transitions: CounterBy<HealthChange, { HealthChange::COUNT }> = "outrigger_cluster_health_transitions_total",
        /// Endpoints that get requests, as far as checks, ejections and their status say.
        endpoints_healthy: SharedGauge = "outrigger_cluster_health_endpoints_healthy",
        /// Endpoints that get none unless there is panic: they fail their checks, are ejected, or are said to be unhealthy.
        endpoints_unhealthy: SharedGauge = "outrigger_cluster_health_endpoints_unhealthy",
        /// Endpoints that were found to be outliers, ejected or not, by reason.
        outliers_detected: CounterBy<Outlier, { Outlier::COUNT }> = "outrigger_cluster_outliers_detected_total",
        /// Ejections, by reason.
        ejections: CounterBy<Outlier, { Outlier::COUNT }> = "outrigger_cluster_outlier_ejections_total",
        /// Outliers that were not ejected, by reason.
        ejections_prevented: CounterBy<EjectionPrevented, { EjectionPrevented::COUNT }> =
            "outrigger_cluster_outlier_ejections_prevented_total",
        /// Ejections that ended, by reason; those of endpoints that leave are not among them.
        ejections_ended: CounterBy<EjectionEnd, { EjectionEnd::COUNT }> =
            "outrigger_cluster_outlier_ejections_ended_total",
        /// Endpoints that are ejected now.
        ejections_active: SharedGauge = "outrigger_cluster_outlier_ejections_active",
    }
}
