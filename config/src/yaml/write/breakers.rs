//! Circuit breakers, retry budgets and adaptive concurrency as YAML.

use super::emit::{Map, Out};
use super::{boolean, duration, number, number_or_off};
use crate::model::{AdaptiveConcurrency, BreakerThresholds, Cluster};

pub(super) fn put(map: &mut Map, cluster: &Cluster) {
    let breakers = &cluster.circuit_breakers;
    let endpoint = Map::default()
        .with(
            "connections_max",
            number_or_off(breakers.endpoint.connections_max),
        )
        .with("requests_max", number_or_off(breakers.endpoint.requests_max));
    map.put(
        "circuit_breakers",
        Map::default()
            .with("default", thresholds(breakers.default_priority))
            .with("high", thresholds(breakers.high_priority))
            .with("endpoint", endpoint),
    );
    let budget = Map::default()
        .with("percent", number(cluster.retry_budget.percent.into()))
        .with(
            "concurrency_min",
            number(cluster.retry_budget.concurrency_min.into()),
        );
    map.put("retry_budget", budget);
    map.put(
        "adaptive_concurrency",
        adaptive_concurrency(cluster.adaptive_concurrency.as_ref()),
    );
}

fn thresholds(thresholds: BreakerThresholds) -> Map {
    Map::default()
        .with("connections_max", number(thresholds.connections_max.into()))
        .with("pending_max", number(thresholds.pending_max.into()))
        .with("requests_max", number(thresholds.requests_max.into()))
}

fn adaptive_concurrency(settings: Option<&AdaptiveConcurrency>) -> Out {
    let Some(settings) = settings else {
        return boolean(false);
    };
    Map::default()
        .with("quantile", number(settings.quantile_percent.into()))
        .with("update_interval", duration(settings.update_interval))
        .with("concurrency_max", number(settings.concurrency_max.into()))
        .with("concurrency_min", number(settings.concurrency_min.into()))
        .with("min_rtt_interval", duration(settings.min_rtt_interval))
        .with("min_rtt_requests", number(settings.min_rtt_requests.into()))
        .with("jitter", number(settings.jitter_percent.into()))
        .with("buffer", number(settings.buffer_percent.into()))
        .into()
}
