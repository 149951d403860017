//! How much of a cluster may be in use at once.

use super::reader::{Fields, Reader, Said};
use super::shapes::{
    ADAPTIVE_CONCURRENCY, BREAKER_THRESHOLDS, CIRCUIT_BREAKERS, ENDPOINT_THRESHOLDS, RETRY_BUDGET,
};
use crate::model::{
    AdaptiveConcurrency, BreakerThresholds, CircuitBreakers, EndpointThresholds, RetryBudgetOptions, defaults,
};

/// A cluster's `circuit_breakers`.
pub(super) fn circuit_breakers(reader: &mut Reader<'_>, cluster: &Fields<'_>) -> CircuitBreakers {
    let node = cluster.node(reader, "circuit_breakers");
    let Some(fields) = node.and_then(|node| reader.fields(node, &CIRCUIT_BREAKERS)) else {
        return CircuitBreakers::default();
    };
    CircuitBreakers {
        default_priority: thresholds(reader, &fields, "default"),
        high_priority: thresholds(reader, &fields, "high"),
        endpoint: endpoint(reader, &fields),
    }
}

fn thresholds(reader: &mut Reader<'_>, breakers: &Fields<'_>, name: &str) -> BreakerThresholds {
    let mut thresholds = BreakerThresholds::default();
    let node = breakers.node(reader, name);
    let Some(fields) = node.and_then(|node| reader.fields(node, &BREAKER_THRESHOLDS)) else {
        return thresholds;
    };
    for (name, limit) in [
        ("connections_max", &mut thresholds.connections_max),
        ("pending_max", &mut thresholds.pending_max),
        ("requests_max", &mut thresholds.requests_max),
    ] {
        *limit = fields.integer32(reader, name).unwrap_or(*limit);
    }
    thresholds
}

fn endpoint(reader: &mut Reader<'_>, breakers: &Fields<'_>) -> EndpointThresholds {
    let node = breakers.node(reader, "endpoint");
    let Some(fields) = node.and_then(|node| reader.fields(node, &ENDPOINT_THRESHOLDS)) else {
        return EndpointThresholds::default();
    };
    EndpointThresholds {
        connections_max: fields.integer32_or_off(reader, "connections_max"),
        requests_max: fields.integer32_or_off(reader, "requests_max"),
    }
}

/// A cluster's `retry_budget`.
pub(super) fn retry_budget(reader: &mut Reader<'_>, cluster: &Fields<'_>) -> RetryBudgetOptions {
    let mut budget = RetryBudgetOptions::default();
    let node = cluster.node(reader, "retry_budget");
    if let Some(fields) = node.and_then(|node| reader.fields(node, &RETRY_BUDGET)) {
        budget.percent = fields.integer32(reader, "percent").unwrap_or(budget.percent);
        budget.concurrency_min = fields
            .integer32(reader, "concurrency_min")
            .unwrap_or(budget.concurrency_min);
    }
    budget
}

/// A cluster's `adaptive_concurrency`; none: off.
pub(super) fn adaptive_concurrency(
    reader: &mut Reader<'_>,
    cluster: &Fields<'_>,
) -> Option<AdaptiveConcurrency> {
    let mut settings = AdaptiveConcurrency {
        quantile_percent: defaults::ADAPTIVE_QUANTILE_PERCENT,
        update_interval: defaults::ADAPTIVE_UPDATE_INTERVAL,
        concurrency_max: defaults::ADAPTIVE_CONCURRENCY_MAX,
        concurrency_min: defaults::ADAPTIVE_CONCURRENCY_MIN,
        min_rtt_interval: defaults::ADAPTIVE_MIN_RTT_INTERVAL,
        min_rtt_requests: defaults::ADAPTIVE_MIN_RTT_REQUESTS,
        jitter_percent: defaults::ADAPTIVE_JITTER_PERCENT,
        buffer_percent: defaults::ADAPTIVE_BUFFER_PERCENT,
    };
    let node = match cluster.said(reader, "adaptive_concurrency") {
        Said::Off => return None,
        Said::On => return Some(settings),
        Said::Settings(node) => node,
    };
    let fields = reader.fields(node, &ADAPTIVE_CONCURRENCY)?;
    for (name, value) in [
        ("quantile", &mut settings.quantile_percent),
        ("concurrency_max", &mut settings.concurrency_max),
        ("concurrency_min", &mut settings.concurrency_min),
        ("min_rtt_requests", &mut settings.min_rtt_requests),
        ("jitter", &mut settings.jitter_percent),
        ("buffer", &mut settings.buffer_percent),
    ] {
        *value = fields.integer32(reader, name).unwrap_or(*value);
    }
    for (name, value) in [
        ("update_interval", &mut settings.update_interval),
        ("min_rtt_interval", &mut settings.min_rtt_interval),
    ] {
        *value = fields.duration(reader, name).unwrap_or(*value);
    }
    if settings.concurrency_min > settings.concurrency_max {
        let message = format!(
            "a limit of at least {} and at most {}",
            settings.concurrency_min, settings.concurrency_max
        );
        reader.fault(fields.span, message);
    }
    Some(settings)
}
