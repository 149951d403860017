//! Circuit breakers whose limits are never reached, or always.

use super::Code;
use super::findings::{Findings, place};
use crate::model::{BreakerThresholds, Cluster, Name, RouteAction, RoutePriority, defaults};
use std::collections::HashSet;

/// The breakers of each cluster, beside the priorities of the routes to it.
pub(super) fn of_each(findings: &mut Findings<'_>) {
    let mut high: HashSet<&Name> = HashSet::new();
    for placed in findings.routes() {
        findings.step();
        if let RouteAction::Forward(forward) = &placed.route.action
            && forward.priority == RoutePriority::High
        {
            high.extend(forward.clusters.iter().map(|target| &target.cluster));
        }
    }
    for cluster in &findings.config.clusters {
        findings.step();
        let high = high.contains(&cluster.name);
        priority(
            findings,
            cluster,
            "default",
            cluster.circuit_breakers.default_priority,
        );
        if high {
            priority(findings, cluster, "high", cluster.circuit_breakers.high_priority);
        } else {
            unused(findings, cluster);
        }
        endpoints(findings, cluster, high);
        adaptive(findings, cluster, high);
    }
}

fn remark(
    findings: &mut Findings<'_>,
    cluster: &Cluster,
    code: Code,
    field: &str,
    message: String,
    help: &str,
) {
    findings.remark(
        code,
        place("cluster", &cluster.name, &cluster.origin, field),
        message,
        help,
    );
}

fn priority(findings: &mut Findings<'_>, cluster: &Cluster, word: &str, limits: BreakerThresholds) {
    if limits.pending_max != defaults::BREAKER_PENDING_MAX && limits.pending_max >= limits.requests_max {
        remark(
            findings,
            cluster,
            Code::PendingLimitNeverReached,
            &format!("circuit_breakers.{word}.pending_max"),
            format!(
                "{} pending requests are never reached: pending ones count among `requests_max`, which is {}",
                limits.pending_max, limits.requests_max
            ),
            "make it smaller than `requests_max`, or raise that",
        );
    }
}

fn unused(findings: &mut Findings<'_>, cluster: &Cluster) {
    let high = cluster.circuit_breakers.high_priority;
    // What is pushed is told to many: routes of others may have it.
    if cluster.origin.path.is_some() {
        return;
    }
    if high != BreakerThresholds::default() && high != cluster.circuit_breakers.default_priority {
        remark(
            findings,
            cluster,
            Code::HighPriorityUnused,
            "circuit_breakers.high",
            "the limits for high priority have no effect: no route to this cluster has `priority: high`"
                .to_owned(),
            "give a route `priority: high`, or remove them",
        );
    }
}

/// What requests of all priorities may have at once.
fn whole(cluster: &Cluster, high: bool, of: fn(BreakerThresholds) -> u32) -> u64 {
    let breakers = &cluster.circuit_breakers;
    let more = if high { of(breakers.high_priority) } else { 0 };
    u64::from(of(breakers.default_priority)) + u64::from(more)
}

fn endpoints(findings: &mut Findings<'_>, cluster: &Cluster, high: bool) {
    let own = cluster.circuit_breakers.endpoint;
    let limits = [
        (
            "requests_max",
            own.requests_max,
            whole(cluster, high, BreakerThresholds::requests_max),
            false,
        ),
        (
            "connections_max",
            own.connections_max,
            whole(cluster, high, BreakerThresholds::connections_max),
            true,
        ),
    ];
    for (field, limit, whole, above) in limits {
        let Some(limit) = limit.map(u64::from) else {
            continue;
        };
        // Each worker may have one connection beyond the limit.
        if limit > whole || (limit == whole && !above) {
            remark(
                findings,
                cluster,
                Code::EndpointLimitNeverReached,
                &format!("circuit_breakers.endpoint.{field}"),
                format!("{limit} at one endpoint are never reached: the whole cluster has {whole} at most"),
                "make it smaller than the cluster's limit, or remove it",
            );
        }
    }
}

fn adaptive(findings: &mut Findings<'_>, cluster: &Cluster, high: bool) {
    let Some(adaptive) = &cluster.adaptive_concurrency else {
        return;
    };
    let whole = whole(cluster, high, BreakerThresholds::requests_max);
    if u64::from(adaptive.concurrency_min) >= whole {
        remark(
            findings,
            cluster,
            Code::AdaptiveLimitNeverReached,
            "adaptive_concurrency.concurrency_min",
            format!(
                "the limit is {} at least, and the circuit breakers allow {whole} requests at most",
                adaptive.concurrency_min
            ),
            "lower `concurrency_min`, or raise `requests_max` of the breakers",
        );
    }
}
