//! Outlier detection: which endpoints are taken out for what they answer, and for how long, by Envoy's rules.
//!
//! The source of every rule and number is Envoy's guide ("Outlier detection": ejection algorithm, detection types) and
//! its reference of `config.cluster.v3.OutlierDetection`, release 1.40. Where this differs:
//!
//! * Never is the last endpoint ejected that serves, whatever the percentages.
//! * Where failures seen here are told from answers, any answer ends a run of them, and a reset is one of them. Envoy
//!   ends the run with the connection, so that resets on good connections never add up.
//!
//! Workers count into [`OutlierCounts`], one an endpoint, shared by all. They say when a run reaches its threshold; whoever
//! ejects asks one [`OutlierDetector`] a cluster.

mod counts;
mod detector;
mod statistics;

pub use counts::{Crossings, Outcome, OutlierCounts, OutlierRules, grpc_status_as_http};
pub use detector::{
    Detected, EjectionStanding, Fellow, OutlierDetector, OutlierSettings, Unejected, Verdict,
};

use outrigger_config::model::OutlierDetection;

/// Why an endpoint is ejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EjectionKind {
    /// Answers 5xx in a row.
    Consecutive5xx,
    /// Answers 502, 503 and 504 in a row.
    ConsecutiveGatewayFailure,
    /// Failures seen here in a row.
    ConsecutiveLocalOriginFailure,
    /// Fewer successes than the others, by the answers.
    SuccessRate,
    /// Fewer successes than the others, by the failures seen here.
    LocalOriginSuccessRate,
    /// Too large a share of failures, by the answers.
    FailurePercentage,
    /// Too large a share of failures seen here.
    LocalOriginFailurePercentage,
}

impl EjectionKind {
    /// All of them.
    pub const ALL: [EjectionKind; 7] = [
        EjectionKind::Consecutive5xx,
        EjectionKind::ConsecutiveGatewayFailure,
        EjectionKind::ConsecutiveLocalOriginFailure,
        EjectionKind::SuccessRate,
        EjectionKind::LocalOriginSuccessRate,
        EjectionKind::FailurePercentage,
        EjectionKind::LocalOriginFailurePercentage,
    ];

    /// In snake case, as in Envoy's statistics.
    pub fn as_str(self) -> &'static str {
        match self {
            EjectionKind::Consecutive5xx => "consecutive_5xx",
            EjectionKind::ConsecutiveGatewayFailure => "consecutive_gateway_failure",
            EjectionKind::ConsecutiveLocalOriginFailure => "consecutive_local_origin_failure",
            EjectionKind::SuccessRate => "success_rate",
            EjectionKind::LocalOriginSuccessRate => "local_origin_success_rate",
            EjectionKind::FailurePercentage => "failure_percentage",
            EjectionKind::LocalOriginFailurePercentage => "local_origin_failure_percentage",
        }
    }

    /// How many of these ejections are made, percent.
    fn enforcing(self, config: &OutlierDetection) -> u32 {
        match self {
            EjectionKind::Consecutive5xx => config.enforcing_consecutive_5xx(),
            EjectionKind::ConsecutiveGatewayFailure => config.enforcing_consecutive_gateway_failure(),
            EjectionKind::ConsecutiveLocalOriginFailure => {
                config.enforcing_consecutive_local_origin_failure()
            }
            EjectionKind::SuccessRate => config.enforcing_success_rate(),
            EjectionKind::LocalOriginSuccessRate => config.enforcing_local_origin_success_rate(),
            EjectionKind::FailurePercentage => config.enforcing_failure_percentage(),
            EjectionKind::LocalOriginFailurePercentage => config.enforcing_failure_percentage_local_origin(),
        }
    }
}

#[cfg(test)]
mod tests;
