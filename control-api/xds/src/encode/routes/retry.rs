//! When failed attempts are repeated.
//!
//! What may have run and is not idempotent is never sent twice here. Envoy is told so by a condition on the method, which
//! also keeps it from repeating what never ran; where a route declares all its requests idempotent there is no condition.

use super::route_match;
use super::virtual_host::Nearly;
use crate::decode::routes::IDEMPOTENT_METHODS;
use crate::encode::Remainder;
use crate::encode::value::{any, duration, number};
use envoy_types::pb::envoy::config::route::v3 as pb;
use envoy_types::pb::envoy::config::route::v3::header_matcher::HeaderMatchSpecifier;
use envoy_types::pb::envoy::config::route::v3::retry_policy::retry_host_predicate::ConfigType;
use envoy_types::pb::envoy::config::route::v3::retry_policy::{
    RateLimitedRetryBackOff, ResetHeader, ResetHeaderFormat, RetryBackOff, RetryHostPredicate,
};
use envoy_types::pb::envoy::extensions::retry::host::previous_hosts::v3::PreviousHostsPredicate;
use envoy_types::pb::envoy::r#type::matcher::v3::StringMatcher;
use envoy_types::pb::envoy::r#type::matcher::v3::string_matcher::MatchPattern;
use outrigger_config::model::{HedgeAfter, Idempotence, RetryPolicy};

/// How often Envoy picks anew where it picked an endpoint that was tried.
const PICKS_MAX: i64 = 5;

pub(super) fn policy(policy: &RetryPolicy, rest: &mut Remainder, nearly: &mut Nearly) -> pb::RetryPolicy {
    for field in [
        "retry_on",
        "retries_max",
        "per_try_timeout",
        "per_try_idle_timeout",
        "backoff",
        "retry_after_max",
        "retriable_status_codes",
    ] {
        rest.said(&format!("forward.retry.{field}"));
    }
    let known = policy.retriable_headers().iter().filter_map(route_match::header);
    let retriable_headers: Vec<_> = known.collect();
    match retriable_headers.len() == policy.retriable_headers().len() {
        true => drop(rest.said("forward.retry.retriable_headers")),
        false => nearly.made.push("forward.retry.retriable_headers"),
    }
    rest.unless("forward.retry.avoid_tried_endpoints", true);
    if *policy.idempotence() != Idempotence::Declared {
        rest.said("forward.retry.idempotent");
    }
    let names: Vec<&str> = policy.retry_on().names().collect();
    let avoids = policy.avoids_tried_endpoints();
    pb::RetryPolicy {
        retry_on: names.join(","),
        num_retries: Some(number(policy.retries_max())),
        per_try_timeout: policy.per_try_timeout().map(duration),
        per_try_idle_timeout: policy.per_try_idle_timeout().map(duration),
        retry_host_predicate: avoids.then(previous_hosts).into_iter().collect(),
        host_selection_retry_max_attempts: if avoids { PICKS_MAX } else { 0 },
        retriable_status_codes: policy
            .retriable_status_codes()
            .iter()
            .map(|status| (*status).into())
            .collect(),
        retry_back_off: Some(RetryBackOff {
            base_interval: Some(duration(policy.backoff_base())),
            max_interval: Some(duration(policy.backoff_max())),
        }),
        rate_limited_retry_back_off: policy.retry_after_max().map(|longest| RateLimitedRetryBackOff {
            reset_headers: ["retry-after", "x-ratelimit-reset"].map(reset_header).into(),
            max_interval: Some(duration(longest)),
        }),
        retriable_headers,
        retriable_request_headers: requests(policy.idempotence()),
        ..pb::RetryPolicy::default()
    }
}

fn previous_hosts() -> RetryHostPredicate {
    RetryHostPredicate {
        name: "envoy.retry_host_predicates.previous_hosts".to_owned(),
        config_type: Some(ConfigType::TypedConfig(any(&PreviousHostsPredicate {}))),
    }
}

fn reset_header(name: &str) -> ResetHeader {
    ResetHeader {
        name: name.to_owned(),
        format: ResetHeaderFormat::Seconds.into(),
    }
}

/// Requests that may be sent twice: one of these conditions holds; none: all.
fn requests(idempotence: &Idempotence) -> Vec<pb::HeaderMatcher> {
    let condition = |name: &str, specifier| pb::HeaderMatcher {
        name: name.to_owned(),
        header_match_specifier: Some(specifier),
        ..pb::HeaderMatcher::default()
    };
    let pattern = MatchPattern::SafeRegex(route_match::regex(IDEMPOTENT_METHODS));
    let methods = HeaderMatchSpecifier::StringMatch(StringMatcher {
        ignore_case: false,
        match_pattern: Some(pattern),
    });
    let mut conditions = vec![condition(":method", methods)];
    match idempotence {
        Idempotence::Declared => conditions.clear(),
        Idempotence::ByMethod => {}
        Idempotence::ByHeader(name) => {
            conditions.push(condition(name.as_str(), HeaderMatchSpecifier::PresentMatch(true)));
        }
    }
    conditions
}

/// Envoy hedges where an attempt's time has passed, and not otherwise.
pub(super) fn hedging(policy: &RetryPolicy, rest: &mut Remainder) -> Option<pb::HedgePolicy> {
    rest.unless("forward.retry.hedging", "off");
    let hedging = policy.hedging().as_ref()?;
    if hedging.after() != HedgeAfter::PerTryTimeout {
        return None;
    }
    rest.said("forward.retry.hedging.after");
    rest.unless("forward.retry.hedging.hedges_max", 1);
    rest.unless("forward.retry.hedging.extra_load_max", 10);
    Some(pb::HedgePolicy {
        hedge_on_per_try_timeout: true,
        ..pb::HedgePolicy::default()
    })
}
