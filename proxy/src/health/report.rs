//! How an endpoint's health stands, as the admin endpoint shows it.

use super::Shared;
use outrigger_config::model::{HealthCheckProtocol, Name};
use outrigger_dataplane::snapshot::EndpointState;
use serde_json::{Value, json};

/// What checks and answers say of an endpoint.
pub(crate) struct EndpointReport {
    /// None: it is not checked.
    pub(crate) check: Option<Value>,
    /// None: nobody looks for outliers.
    pub(crate) outlier: Option<Value>,
}

impl Shared {
    /// How an endpoint of a cluster in force stands.
    pub(crate) fn report(&self, cluster: &Name, endpoint: &EndpointState) -> EndpointReport {
        EndpointReport {
            check: self.check_report(cluster, endpoint),
            outlier: self.outlier_report(cluster, endpoint),
        }
    }

    fn check_report(&self, cluster: &Name, endpoint: &EndpointState) -> Option<Value> {
        let clusters = self.clusters.lock();
        let checks = clusters.get(cluster)?;
        let seen = checks.endpoint(endpoint.health())?.seen();
        let protocol = match checks.check().protocol() {
            HealthCheckProtocol::Http(_) => "http",
            HealthCheckProtocol::Grpc(_) => "grpc",
            HealthCheckProtocol::Tcp(_) => "tcp",
        };
        Some(json!({
            "protocol": protocol,
            "checked": seen.state.is_checked(),
            "healthy": seen.state.is_healthy(),
            "passed_in_row": seen.state.passed_in_row(),
            "failed_in_row": seen.state.failed_in_row(),
            "last_result": seen.last.as_ref().map(|(finding, _)| finding.to_string()),
            "last_age_seconds": seen.last.as_ref().map(|(_, at)| at.elapsed().as_secs_f64()),
        }))
    }

    fn outlier_report(&self, cluster: &Name, endpoint: &EndpointState) -> Option<Value> {
        let outliers = self.outliers.lock();
        let standing = outliers.get(cluster)?.standing(endpoint.address());
        let mut report = json!({
            "ejected": standing.ejected.is_some(),
            "times_ejected": standing.times_ejected,
            "ejection_multiplier": standing.multiplier,
            "success_rate_percent": standing.success_rate,
        });
        if let Some((kind, left)) = standing.ejected {
            report["reason"] = json!(kind.as_str());
            report["ejected_for_seconds"] = json!(left.as_secs_f64());
        }
        Some(report)
    }
}
