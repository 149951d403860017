//! Rate limits that never refuse anything.

use super::Code;
use super::findings::{COMPARED_MAX, Findings, place};
use crate::model::{LocalRateLimit, Name, RateLimit, RateLimitBucket, RateLimitCounting};
use std::collections::HashSet;

/// Limits beside a stricter one that counts all that they count, by the same descriptor.
pub(super) fn stricter(findings: &mut Findings<'_>) {
    let mut said: HashSet<&Name> = HashSet::new();
    // What applies to one request, from the inside out: the first list is looked at, beside all.
    let mut lists: Vec<(String, Vec<&[Name]>)> = Vec::new();
    for placed in findings.routes() {
        let outer = findings
            .around(placed.configuration)
            .map(|around| around.rate_limits)
            .unwrap_or_default();
        if !placed.route.rate_limits.is_empty() {
            let all = vec![&placed.route.rate_limits[..], &placed.host.rate_limits[..], outer];
            lists.push((format!("route `{}`", placed.route.name), all));
        }
    }
    for (configuration, host) in findings.hosts() {
        let outer = findings
            .around(configuration)
            .map(|around| around.rate_limits)
            .unwrap_or_default();
        if !host.rate_limits.is_empty() {
            lists.push((
                format!("virtual host `{}`", host.name),
                vec![&host.rate_limits[..], outer],
            ));
        }
    }
    for (_, chain) in findings.chains() {
        if let Some(http) = chain.mode.http().filter(|http| http.rate_limits.len() > 1) {
            lists.push((
                format!("filter chain `{}`", chain.name),
                vec![&http.rate_limits[..]],
            ));
        }
    }
    for (owner, lists) in lists {
        findings.step();
        for name in lists[0].iter().take(COMPARED_MAX) {
            let Some(limit) = findings
                .limits
                .get(name)
                .copied()
                .filter(|limit| !said.contains(&limit.name))
            else {
                continue;
            };
            let others = lists.iter().flat_map(|list| list.iter()).take(COMPARED_MAX);
            let others: Vec<&RateLimit> = others
                .filter_map(|other| findings.limits.get(other).copied())
                .collect();
            let stricter = others.into_iter().find(|other| {
                findings.step();
                is_stricter(other, limit)
            });
            if let Some(other) = stricter {
                said.insert(&limit.name);
                findings.remark(
                    Code::RateLimitNeverRefuses,
                    place("rate limit", &limit.name, &limit.origin, "local.limit"),
                    format!(
                        "the rate limit `{}` never refuses anything on the {owner}: `{}` counts the same there, and is stricter",
                        limit.name, other.name
                    ),
                    "make it the stricter one, tell requests apart by something else, or remove it",
                );
            }
        }
    }
}

/// Where both count a request, `other` has refused it before `limit` would.
fn is_stricter(other: &RateLimit, limit: &RateLimit) -> bool {
    let (Some(one), Some(two)) = (plain(other), plain(limit)) else {
        return false;
    };
    !std::ptr::eq(other, limit)
        && !other.shadow
        && other.descriptors == limit.descriptors
        && one.keys_max >= two.keys_max
        && one.bucket != two.bucket
        && one.bucket.burst <= two.bucket.burst
        && is_slower(one.bucket, two.bucket)
}

fn plain(limit: &RateLimit) -> Option<&LocalRateLimit> {
    match &limit.counting {
        RateLimitCounting::Local(local) if local.overrides.is_empty() => Some(local),
        _ => None,
    }
}

fn is_slower(one: RateLimitBucket, other: RateLimitBucket) -> bool {
    let requests = |bucket: RateLimitBucket| u128::from(bucket.requests.get());
    requests(one) * other.interval.as_nanos() <= requests(other) * one.interval.as_nanos()
}

/// Overrides after one that takes all their values.
pub(super) fn overrides(findings: &mut Findings<'_>) {
    for limit in &findings.config.rate_limits {
        findings.step();
        let RateLimitCounting::Local(local) = &limit.counting else {
            continue;
        };
        for (index, one) in local.overrides.iter().enumerate() {
            let mut earlier = local.overrides[..index].iter().take(COMPARED_MAX);
            let first = earlier.position(|other| {
                findings.step();
                other.values.iter().all(|value| one.values.contains(value))
            });
            if let Some(first) = first {
                let field = format!("local.overrides[{index}]");
                findings.remark(
                    Code::RateLimitOverrideShadowed,
                    place("rate limit", &limit.name, &limit.origin, &field),
                    format!("this override is never used: override {first} (counted from 0) takes its values before"),
                    "put it before that one, or remove it",
                );
            }
        }
    }
}
