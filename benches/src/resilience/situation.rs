//! The situations: what the backends do, what is asked of them, and which policies are tried.

use std::time::Duration;

use clap::ValueEnum;

use super::backend::Behaviour;
use super::document::Written;
use crate::peer::Peer;

/// A situation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Situation {
    /// One of five backends takes 200 ms for 5 % of its requests.
    Stalls,
    /// One of five backends fails one request in three.
    FailsOften,
    /// One of five backends accepts and never answers.
    Silent,
    /// One backend is asked for four times of what it can do.
    Overload,
}

/// A load.
#[derive(Debug, Clone, Copy)]
pub(super) struct Phase {
    pub(super) name: &'static str,
    /// Requests a second.
    pub(super) rate: u32,
    pub(super) duration: Duration,
}

/// A policy, as each proxy writes it.
pub(super) struct Policy {
    pub(super) name: &'static str,
    outrigger: Option<(&'static str, &'static str)>,
    envoy: Option<(&'static str, &'static str, &'static str)>,
}

impl Policy {
    /// Its document; none if this product has nothing like it.
    pub(super) fn document(&self, peer: Peer) -> Option<Written> {
        match peer {
            Peer::Outrigger => {
                let (route, cluster) = self.outrigger?;
                Some(Written::Outrigger { route, cluster })
            }
            Peer::Envoy => {
                let (route, cluster, filter) = self.envoy?;
                Some(Written::Envoy {
                    route,
                    cluster,
                    filter,
                })
            }
            Peer::Haproxy | Peer::Nginx => None,
        }
    }
}

const NONE: Policy = Policy {
    name: "none",
    outrigger: Some(("", "")),
    envoy: Some(("", "", "")),
};

/// Envoy's own budget of 20 % is off unless it is asked for.
const ENVOY_BUDGET: &str = "circuit_breakers: { thresholds: [ { retry_budget: { budget_percent: { value: 20 }, min_retry_concurrency: 3 } } ] }";

const STALLS: &[Policy] = &[
    NONE,
    Policy {
        name: "hedged after 20 ms",
        outrigger: Some((
            "retry: { retry_on: [5xx], hedging: { after: 20ms, extra_load_max: 10 } }",
            "",
        )),
        envoy: Some((
            "retry_policy: { retry_on: 5xx, per_try_timeout: 0.02s, num_retries: 1 }, hedge_policy: { hedge_on_per_try_timeout: true }",
            ENVOY_BUDGET,
            "",
        )),
    },
    Policy {
        name: "hedged at the 95th percentile",
        outrigger: Some((
            "retry: { retry_on: [5xx], hedging: { after: { quantile: 95 }, extra_load_max: 10 } }",
            "",
        )),
        envoy: None,
    },
    Policy {
        name: "peak EWMA",
        outrigger: Some(("", "load_balancing: peak_ewma")),
        envoy: None,
    },
];

const FAILS_OFTEN: &[Policy] = &[
    NONE,
    Policy {
        name: "retry",
        outrigger: Some(("retry: { retry_on: [5xx], retries_max: 2 }", "")),
        envoy: Some((
            "retry_policy: { retry_on: 5xx, num_retries: 2 }",
            ENVOY_BUDGET,
            "",
        )),
    },
    Policy {
        name: "retry, ejection by failure percentage",
        outrigger: Some((
            "retry: { retry_on: [5xx], retries_max: 2 }",
            "outlier_detection: { interval: 500ms, base_ejection_time: 30s, failure_percentage_threshold: 25, enforcing_failure_percentage: 100, failure_percentage_request_volume: 20, max_ejection_percent: 20 }",
        )),
        envoy: Some((
            "retry_policy: { retry_on: 5xx, num_retries: 2 }",
            "circuit_breakers: { thresholds: [ { retry_budget: { budget_percent: { value: 20 }, min_retry_concurrency: 3 } } ] }, outlier_detection: { interval: 0.5s, base_ejection_time: 30s, failure_percentage_threshold: 25, enforcing_failure_percentage: 100, failure_percentage_request_volume: 20, max_ejection_percent: 20 }",
            "",
        )),
    },
];

const SILENT: &[Policy] = &[
    NONE,
    Policy {
        name: "200 ms for each try, retry",
        outrigger: Some((
            "timeout: 1s, retry: { retry_on: [5xx], retries_max: 2, per_try_timeout: 200ms }",
            "",
        )),
        envoy: Some((
            "timeout: 1s, retry_policy: { retry_on: 5xx, num_retries: 2, per_try_timeout: 0.2s }",
            ENVOY_BUDGET,
            "",
        )),
    },
    Policy {
        name: "the same, ejection after 5 in a row",
        outrigger: Some((
            "timeout: 1s, retry: { retry_on: [5xx], retries_max: 2, per_try_timeout: 200ms }",
            "outlier_detection: { interval: 500ms, max_ejection_percent: 20 }",
        )),
        envoy: Some((
            "timeout: 1s, retry_policy: { retry_on: 5xx, num_retries: 2, per_try_timeout: 0.2s }",
            "circuit_breakers: { thresholds: [ { retry_budget: { budget_percent: { value: 20 }, min_retry_concurrency: 3 } } ] }, outlier_detection: { interval: 0.5s, max_ejection_percent: 20 }",
            "",
        )),
    },
];

const OVERLOAD: &[Policy] = &[
    NONE,
    Policy {
        name: "at most 16 requests at once",
        outrigger: Some(("", "circuit_breakers: { default: { requests_max: 16 } }")),
        envoy: Some((
            "",
            "circuit_breakers: { thresholds: [ { max_requests: 16, max_connections: 16, max_pending_requests: 1 } ] }",
            "",
        )),
    },
    Policy {
        name: "adaptive concurrency",
        outrigger: Some((
            "",
            "adaptive_concurrency: { min_rtt_interval: 30s, min_rtt_requests: 50 }",
        )),
        envoy: Some(("", "", ADAPTIVE)),
    },
];

const ADAPTIVE: &str = r#"          - name: envoy.filters.http.adaptive_concurrency
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.adaptive_concurrency.v3.AdaptiveConcurrency
              gradient_controller_config:
                sample_aggregate_percentile: { value: 50 }
                concurrency_limit_params: { concurrency_update_interval: 0.1s }
                min_rtt_calc_params: { interval: 30s, request_count: 50 }
"#;

const fn phase(name: &'static str, rate: u32, seconds: u64) -> Phase {
    Phase {
        name,
        rate,
        duration: Duration::from_secs(seconds),
    }
}

impl Situation {
    pub(super) fn all() -> Vec<Situation> {
        Situation::value_variants().to_vec()
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Situation::Stalls => "stalls",
            Situation::FailsOften => "fails-often",
            Situation::Silent => "silent",
            Situation::Overload => "overload",
        }
    }

    /// What is the matter, for the report.
    pub(super) fn says(self) -> &'static str {
        match self {
            Situation::Stalls => {
                "Five backends answer after 2 ms; one of them takes 200 ms for one request in twenty."
            }
            Situation::FailsOften => {
                "Five backends answer after 2 ms; one of them answers one request in three with 503."
            }
            Situation::Silent => {
                "Four backends answer after 2 ms; a fifth accepts and never answers. Clients wait 2 s."
            }
            Situation::Overload => {
                "One backend has four slots and needs 5 ms for a request: 800 a second. Its queue has no end. Clients wait 250 ms."
            }
        }
    }

    pub(super) fn behaviours(self) -> &'static [Behaviour] {
        use Behaviour::{FailsOneIn, Silent, Slots, Stalls, Steady};
        const STALLS: &[Behaviour] = &[
            Steady,
            Steady,
            Stalls(20, Duration::from_millis(200)),
            Steady,
            Steady,
        ];
        const OVERLOAD: &[Behaviour] = &[Slots(4, Duration::from_millis(5))];
        match self {
            Situation::Stalls => STALLS,
            Situation::FailsOften => &[Steady, Steady, FailsOneIn(3), Steady, Steady],
            Situation::Silent => &[Steady, Steady, Silent, Steady, Steady],
            Situation::Overload => OVERLOAD,
        }
    }

    pub(super) fn phases(self) -> &'static [Phase] {
        const FIVE: &[Phase] = &[phase("400/s", 400, 10)];
        const OVERLOADED: &[Phase] = &[phase("0.9 x", 720, 5), phase("4 x", 3_200, 10)];
        match self {
            Situation::Stalls | Situation::FailsOften | Situation::Silent => FIVE,
            Situation::Overload => OVERLOADED,
        }
    }

    /// How long clients wait.
    pub(super) fn patience(self) -> Duration {
        match self {
            Situation::Overload => Duration::from_millis(250),
            _ => Duration::from_secs(2),
        }
    }

    pub(super) fn policies(self) -> &'static [Policy] {
        match self {
            Situation::Stalls => STALLS,
            Situation::FailsOften => FAILS_OFTEN,
            Situation::Silent => SILENT,
            Situation::Overload => OVERLOAD,
        }
    }
}
