//! Clusters: balancing and health without effect.

use super::Code;
use super::findings::{Findings, place};
use crate::model::{
    Cluster, Discovery, EndpointStatus, Locality, LocalityBalancing, OutlierDetection, defaults,
};
use std::collections::HashMap;

/// Every cluster by itself.
pub(super) fn of_each(findings: &mut Findings<'_>) {
    for cluster in &findings.config.clusters {
        findings.step();
        outliers(findings, cluster);
        checks(findings, cluster);
        if is_listed(cluster) {
            localities(findings, cluster);
            locality_weights(findings, cluster);
            unhealthy(findings, cluster);
            statistics(findings, cluster);
        }
    }
}

/// Its endpoints are those of the configuration, and there are some.
fn is_listed(cluster: &Cluster) -> bool {
    matches!(cluster.discovery, Discovery::Static) && !cluster.endpoints.is_empty()
}

fn remark(
    findings: &mut Findings<'_>,
    cluster: &Cluster,
    code: Code,
    field: &str,
    message: impl Into<String>,
    help: &str,
) {
    let place = place("cluster", &cluster.name, &cluster.origin, field);
    findings.remark(code, place, message.into(), help);
}

fn localities(findings: &mut Findings<'_>, cluster: &Cluster) {
    let nowhere = cluster
        .endpoints
        .iter()
        .all(|endpoint| endpoint.locality.is_none());
    let count = cluster.endpoints.len();
    match &cluster.balancing.localities {
        LocalityBalancing::Weighted | LocalityBalancing::ZoneAware(_) if nowhere => remark(
            findings,
            cluster,
            Code::LocalityBalancingUnused,
            "locality_balancing",
            "`locality_balancing` has no effect: it is not known where any endpoint runs",
            "give the endpoints a `locality`, or remove it",
        ),
        LocalityBalancing::ZoneAware(zones) if zones.cluster_size_min as usize > count => remark(
            findings,
            cluster,
            Code::LocalityBalancingUnused,
            "locality_balancing.zone_aware.cluster_size_min",
            format!(
                "requests are never kept in a zone: that takes {} endpoints, and there are {count}",
                zones.cluster_size_min
            ),
            "lower `cluster_size_min`, or remove `locality_balancing`",
        ),
        _ => {}
    }
}

fn locality_weights(findings: &mut Findings<'_>, cluster: &Cluster) {
    if cluster.balancing.localities != LocalityBalancing::Weighted {
        return;
    }
    let shares = cluster.locality_weights.iter();
    let shares: HashMap<(&Locality, u32), u32> = shares
        .map(|share| ((&share.locality, share.priority), share.weight))
        .collect();
    let mut sums: HashMap<u32, u64> = HashMap::new();
    let unknown = Locality::default();
    for endpoint in &cluster.endpoints {
        findings.step();
        let at = (endpoint.locality.as_ref().unwrap_or(&unknown), endpoint.priority);
        *sums.entry(endpoint.priority).or_default() += u64::from(shares.get(&at).copied().unwrap_or(1));
    }
    let mut nothing: Vec<u32> = sums
        .into_iter()
        .filter(|(_, sum)| *sum == 0)
        .map(|(priority, _)| priority)
        .collect();
    nothing.sort_unstable();
    if let Some(priority) = nothing.first() {
        remark(
            findings,
            cluster,
            Code::LocalityWeightsNothing,
            "locality_weights",
            format!(
                "no endpoint of priority {priority} is ever picked: the weights of its localities sum to nothing"
            ),
            "give one of them a weight, or remove `locality_weights`",
        );
    }
}

/// What matters only once an endpoint is unhealthy, or new.
fn unhealthy(findings: &mut Findings<'_>, cluster: &Cluster) {
    let healthy = cluster
        .endpoints
        .iter()
        .all(|endpoint| endpoint.status == EndpointStatus::Healthy);
    if cluster.health_check.is_some() || cluster.outlier_detection.is_some() {
        return;
    }
    // Of endpoints by xDS others may come at any time.
    if cluster.balancing.slow_start.is_some()
        && !cluster.load_balancing.is_consistent()
        && cluster.origin.path.is_none()
    {
        remark(
            findings,
            cluster,
            Code::SlowStartUnused,
            "slow_start",
            "`slow_start` acts only when a changed configuration adds endpoints: they are listed, and none is ever found unhealthy",
            "give the cluster `health_check` or `outlier_detection`, or remove it",
        );
    }
    if !healthy {
        return;
    }
    let (least, most) = priorities(cluster);
    if least < most {
        remark(
            findings,
            cluster,
            Code::PriorityNeverUsed,
            "endpoints",
            format!(
                "endpoints of priority {most} never get a request: nothing finds those of priority {least} unhealthy"
            ),
            "give the cluster `health_check` or `outlier_detection`, or one priority",
        );
    }
    let options = &cluster.balancing;
    if options.panic_threshold != defaults::PANIC_THRESHOLD_PERCENT || options.fails_in_panic {
        let field = if options.fails_in_panic {
            "fails_in_panic"
        } else {
            "panic_threshold"
        };
        remark(
            findings,
            cluster,
            Code::PanicNever,
            field,
            format!("`{field}` has no effect: nothing finds an endpoint unhealthy"),
            "give the cluster `health_check` or `outlier_detection`, or remove it",
        );
    }
}

fn priorities(cluster: &Cluster) -> (u32, u32) {
    let all = || cluster.endpoints.iter().map(|endpoint| endpoint.priority);
    (all().min().unwrap_or(0), all().max().unwrap_or(0))
}

fn outliers(findings: &mut Findings<'_>, cluster: &Cluster) {
    let Some(detection) = &cluster.outlier_detection else {
        return;
    };
    let (code, field, why) = if detection.max_ejection_percent == 0 && !detection.always_eject_one {
        let field = "outlier_detection.max_ejection_percent";
        (
            Code::OutlierDetectionUnused,
            field,
            "0 percent of the endpoints may be ejected",
        )
    } else if enforces_nothing(detection) {
        (
            Code::OutlierDetectionUnused,
            "outlier_detection",
            "0 percent of all ejections are made",
        )
    } else if is_listed(cluster) && cluster.endpoints.len() == 1 && cluster.origin.path.is_none() {
        let why = "there is one endpoint, and the last one is never ejected";
        (Code::OneEndpointNeverEjected, "outlier_detection", why)
    } else {
        return;
    };
    let message = format!("nothing is ever ejected: {why}");
    remark(
        findings,
        cluster,
        code,
        field,
        message,
        "change that, or remove `outlier_detection`",
    );
}

fn enforces_nothing(detection: &OutlierDetection) -> bool {
    let local = detection.split_external_local_origin_errors;
    let enforced = [
        (
            detection.consecutive_5xx.is_some(),
            detection.enforcing_consecutive_5xx,
        ),
        (
            detection.consecutive_gateway_failure.is_some(),
            detection.enforcing_consecutive_gateway_failure,
        ),
        (
            local && detection.consecutive_local_origin_failure.is_some(),
            detection.enforcing_consecutive_local_origin_failure,
        ),
        (true, detection.enforcing_success_rate),
        (true, detection.enforcing_failure_percentage),
        (local, detection.enforcing_local_origin_success_rate),
        (local, detection.enforcing_failure_percentage_local_origin),
    ];
    enforced.into_iter().all(|(on, percent)| !on || percent == 0)
}

/// Statistics that need more endpoints than there are.
fn statistics(findings: &mut Findings<'_>, cluster: &Cluster) {
    let Some(detection) = &cluster.outlier_detection else {
        return;
    };
    let count = cluster.endpoints.len();
    let default = OutlierDetection::default();
    let rate = detection.success_rate_request_volume != default.success_rate_request_volume
        || detection.success_rate_stdev_factor != default.success_rate_stdev_factor
        || detection.success_rate_minimum_hosts != default.success_rate_minimum_hosts;
    let percentage = detection.enforcing_failure_percentage > 0;
    let asked = [
        (
            rate,
            "success_rate",
            "success_rate_minimum_hosts",
            detection.success_rate_minimum_hosts,
        ),
        (
            percentage,
            "failure_percentage",
            "failure_percentage_minimum_hosts",
            detection.failure_percentage_minimum_hosts,
        ),
    ];
    for (_, what, field, least) in asked
        .into_iter()
        .filter(|(asked, .., least)| *asked && *least as usize > count)
    {
        // One endpoint is never ejected whatever is counted: that is said already.
        if count > 1 {
            remark(
                findings,
                cluster,
                Code::OutlierStatisticsNeverCounted,
                &format!("outlier_detection.{field}"),
                format!(
                    "ejection by `{what}` never happens: it takes {least} endpoints, and there are {count}"
                ),
                &format!("lower `{field}`, or remove the settings of `{what}`"),
            );
        }
    }
}

fn checks(findings: &mut Findings<'_>, cluster: &Cluster) {
    let (Some(check), Some(detection)) = (&cluster.health_check, &cluster.outlier_detection) else {
        return;
    };
    let longest = detection.max_ejection_time + detection.max_ejection_time_jitter;
    if detection.successful_active_health_check_uneject_host && check.interval >= longest {
        remark(
            findings,
            cluster,
            Code::HealthCheckSlowerThanEjection,
            "health_check.interval",
            format!(
                "an ejected endpoint is back after {longest:?} at most, before a check, every {:?}, has looked at it",
                check.interval
            ),
            "check more often, or eject for longer by `max_ejection_time`",
        );
    }
}
