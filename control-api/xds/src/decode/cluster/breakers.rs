//! Circuit breakers and the retry budget.

use super::balancing::percent;
use crate::decode::{Refusals, value};
use crate::support::message;
use circuit_breakers::{Thresholds, thresholds::RetryBudget};
use envoy_types::pb::envoy::config::cluster::v3::{self as cluster, circuit_breakers};
use envoy_types::pb::envoy::config::core::v3::RoutingPriority;
use outrigger_config::document::{Map, Path, Value};

message! {
    pub(super) BREAKERS, refuse_breakers: cluster::CircuitBreakers as "envoy.config.cluster.v3.CircuitBreakers" {
        used: thresholds, per_host_thresholds;
        refused: ;
        ignored: ;
    }
}
message! {
    pub(super) THRESHOLDS, refuse_thresholds: Thresholds
        as "envoy.config.cluster.v3.CircuitBreakers.Thresholds" {
        used: priority, max_connections, max_pending_requests, max_requests, max_retries, retry_budget;
        refused: max_connection_pools;
        ignored: track_remaining = "metrics show what is in use, and the limits";
    }
}
message! {
    pub(super) BUDGET, refuse_budget: RetryBudget
        as "envoy.config.cluster.v3.CircuitBreakers.Thresholds.RetryBudget" {
        used: budget_percent, min_retry_concurrency;
        refused: budget_interval;
        ignored: ;
    }
}

pub(super) fn put(refusals: &mut Refusals, path: &Path, message: &cluster::Cluster, map: &mut Map) {
    let Some(message) = &message.circuit_breakers else {
        return;
    };
    let path = path.field("circuit_breakers");
    refuse_breakers(refusals, &path, message);
    let mut breakers = Map::new(&path);
    let mut budget = Budget::default();
    let at = path.field("thresholds");
    for (index, thresholds) in message.thresholds.iter().enumerate() {
        let at = at.index(index);
        refuse_thresholds(refusals, &at, thresholds);
        let Some(name) = priority(refusals, &at, thresholds) else {
            continue;
        };
        if breakers.has(name) {
            refusals.fault(&at, "thresholds of this priority stand there already");
            continue;
        }
        let mut limits = Map::new(&at);
        for (name, field, limit) in [
            ("connections_max", "max_connections", &thresholds.max_connections),
            (
                "pending_max",
                "max_pending_requests",
                &thresholds.max_pending_requests,
            ),
            ("requests_max", "max_requests", &thresholds.max_requests),
        ] {
            limits.put_some(name, value::number(&at.field(field), limit.as_ref()));
        }
        breakers.put(name, limits.into());
        budget.read(refusals, &at, name, thresholds);
    }
    put_endpoint(refusals, &path, message, &mut breakers);
    map.put("circuit_breakers", breakers.into());
    map.put_some("retry_budget", budget.value);
}

fn priority(refusals: &mut Refusals, path: &Path, thresholds: &Thresholds) -> Option<&'static str> {
    match RoutingPriority::try_from(thresholds.priority) {
        Ok(RoutingPriority::Default) => Some("default"),
        Ok(RoutingPriority::High) => Some("high"),
        Err(_) => {
            refusals.fault(&path.field("priority"), "there is no such priority");
            None
        }
    }
}

/// The limits of each endpoint: Envoy looks at connections only.
fn put_endpoint(
    refusals: &mut Refusals,
    path: &Path,
    message: &cluster::CircuitBreakers,
    breakers: &mut Map,
) {
    let at = path.field("per_host_thresholds");
    for (index, thresholds) in message.per_host_thresholds.iter().enumerate() {
        let at = at.index(index);
        refuse_thresholds(refusals, &at, thresholds);
        if priority(refusals, &at, thresholds) == Some("high") || breakers.has("endpoint") {
            refusals.unsupported(&at, "a limit of endpoints for one priority alone");
            continue;
        }
        for (field, is_set) in [
            ("max_pending_requests", thresholds.max_pending_requests.is_some()),
            ("max_requests", thresholds.max_requests.is_some()),
            ("max_retries", thresholds.max_retries.is_some()),
            ("retry_budget", thresholds.retry_budget.is_some()),
        ] {
            refusals.refuse_set(&at, field, is_set);
        }
        let limit = value::number(&at.field("max_connections"), thresholds.max_connections.as_ref());
        let mut limits = Map::new(&at);
        limits.put_some("connections_max", limit);
        breakers.put("endpoint", limits.into());
    }
}

/// The budget of retries: one for both priorities.
#[derive(Default)]
struct Budget {
    value: Option<Value>,
    of_default: Option<Option<RetryBudget>>,
}

impl Budget {
    fn read(&mut self, refusals: &mut Refusals, path: &Path, priority: &str, thresholds: &Thresholds) {
        let budget = &thresholds.retry_budget;
        if priority == "high" {
            let same = match &self.of_default {
                Some(of_default) => of_default == budget,
                None => budget.is_none(),
            };
            if budget.is_some() && !same {
                let help = "give both priorities the same, the default one first";
                let message = "a retry budget for requests of high priority alone is not implemented";
                refusals.fault_with_help(&path.field("retry_budget"), message, help);
            }
            return;
        }
        self.of_default = Some(*budget);
        let mut map = Map::new(path);
        if let Some(budget) = budget {
            let at = path.field("retry_budget");
            refuse_budget(refusals, &at, budget);
            let share = percent(
                refusals,
                &at.field("budget_percent"),
                budget.budget_percent.as_ref(),
            );
            map.put_some("percent", share);
            let at = at.field("min_retry_concurrency");
            map.put_some(
                "concurrency_min",
                value::number(&at, budget.min_retry_concurrency.as_ref()),
            );
        } else if let Some(retries) = &thresholds.max_retries {
            // A number of retries is always allowed; beyond it the budget counts, which is always on. None at all is none.
            let at = path.field("max_retries");
            map.put("concurrency_min", Value::plain(&at, retries.value));
            if retries.value == 0 {
                map.put("percent", Value::plain(&at, 0));
            }
        }
        if !map.is_empty() {
            self.value = Some(map.into());
        }
    }
}
