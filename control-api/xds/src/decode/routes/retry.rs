//! When failed attempts are repeated.

use super::Refusals;
use crate::decode::{any, matching, value};
use crate::support::message;
use envoy_types::pb::envoy::config::route::v3::header_matcher::HeaderMatchSpecifier;
use envoy_types::pb::envoy::config::route::v3::retry_policy::retry_host_predicate::ConfigType;
use envoy_types::pb::envoy::config::route::v3::retry_policy::{
    RateLimitedRetryBackOff, ResetHeader, RetryBackOff, RetryHostPredicate,
};
use envoy_types::pb::envoy::config::route::v3::{HeaderMatcher, HedgePolicy, RetryPolicy};
use envoy_types::pb::envoy::extensions::retry::host::previous_hosts::v3::PreviousHostsPredicate;
use outrigger_config::document::{Map, Path, Value};

message! {
    pub(super) RETRY_POLICY, refuse_retry_policy: RetryPolicy as "envoy.config.route.v3.RetryPolicy" {
        used: retry_on, num_retries, per_try_timeout, per_try_idle_timeout, retry_host_predicate,
            retriable_status_codes, retry_back_off, rate_limited_retry_back_off, retriable_headers,
            retriable_request_headers;
        refused: retry_priority, retry_options_predicates, refresh_cluster_on_retry;
        ignored: host_selection_retry_max_attempts = "another endpoint is found at once, if there is one";
    }
}
message! {
    pub(super) RETRY_BACK_OFF, refuse_retry_back_off:
        RetryBackOff as "envoy.config.route.v3.RetryPolicy.RetryBackOff" {
        used: base_interval, max_interval;
        refused: ;
        ignored: ;
    }
}
message! {
    pub(super) RATE_LIMITED_BACK_OFF, refuse_rate_limited_back_off:
        RateLimitedRetryBackOff as "envoy.config.route.v3.RetryPolicy.RateLimitedRetryBackOff" {
        used: reset_headers, max_interval;
        refused: ;
        ignored: ;
    }
}
message! {
    pub(super) RESET_HEADER, refuse_reset_header: ResetHeader as "envoy.config.route.v3.RetryPolicy.ResetHeader" {
        used: name;
        refused: ;
        ignored: format = "a number is a time or a span by its size";
    }
}
message! {
    pub(super) HEDGE_POLICY, refuse_hedge_policy: HedgePolicy as "envoy.config.route.v3.HedgePolicy" {
        used: initial_requests, hedge_on_per_try_timeout;
        refused: additional_request_chance;
        ignored: ;
    }
}

/// Methods that may be sent twice, as a condition of Envoy's on `:method`.
pub(crate) const IDEMPOTENT_METHODS: &str = "GET|HEAD|OPTIONS|TRACE|PUT|DELETE";

/// Envoy's limit of waits that an answer asks for, where it is not given.
const RATE_LIMITED_WAIT_MAX: &str = "300s";

/// The document's `retry`, of a route or a virtual host; none: nothing is said.
pub(super) fn policy(
    refusals: &mut Refusals,
    path: &Path,
    policy: Option<&RetryPolicy>,
    hedging: Option<&HedgePolicy>,
) -> Option<Value> {
    let hedging_at = path.field("hedge_policy");
    let hedges = hedging.is_some_and(|policy| hedges(refusals, &hedging_at, policy));
    let Some(policy) = policy else {
        if hedges {
            refusals.fault(
                &hedging_at,
                "without a `retry_policy` no attempt has a timeout, after which one is hedged",
            );
        }
        return None;
    };
    let path = path.field("retry_policy");
    let mut map = settings(refusals, &path, policy);
    if hedges {
        let after = Value::plain(&hedging_at.field("hedge_on_per_try_timeout"), "per_try_timeout");
        map.put("hedging", Map::new(&hedging_at).with("after", after).into());
    }
    match &policy.num_retries {
        Some(number) if number.value == 0 => Some(Value::plain(&path.field("num_retries"), "off")),
        _ => Some(map.into()),
    }
}

fn hedges(refusals: &mut Refusals, path: &Path, policy: &HedgePolicy) -> bool {
    refuse_hedge_policy(refusals, path, policy);
    if policy.initial_requests.is_some_and(|number| number.value != 1) {
        refusals.unsupported(&path.field("initial_requests"), "several requests from the start");
    }
    policy.hedge_on_per_try_timeout
}

fn settings(refusals: &mut Refusals, path: &Path, policy: &RetryPolicy) -> Map {
    refuse_retry_policy(refusals, path, policy);
    let mut map = Map::new(path);
    let statuses = &policy.retriable_status_codes;
    map.put("retry_on", conditions(&path.field("retry_on"), policy));
    map.put_some(
        "retries_max",
        value::number(&path.field("num_retries"), policy.num_retries.as_ref()),
    );
    for (name, field, given) in [
        ("per_try_timeout", "per_try_timeout", &policy.per_try_timeout),
        (
            "per_try_idle_timeout",
            "per_try_idle_timeout",
            &policy.per_try_idle_timeout,
        ),
    ] {
        let value = value::duration_value(refusals, &path.field(field), given.as_ref());
        map.put_some(name, value.filter(|value| value.as_scalar() != Some("0s")));
    }
    if let Some(backoff) = &policy.retry_back_off {
        map.put(
            "backoff",
            self::backoff(refusals, &path.field("retry_back_off"), backoff),
        );
    }
    if let Some(backoff) = &policy.rate_limited_retry_back_off {
        let path = path.field("rate_limited_retry_back_off");
        map.put_some("retry_after_max", rate_limited(refusals, &path, backoff));
    }
    if !statuses.is_empty() {
        let path = path.field("retriable_status_codes");
        let items = statuses.iter().enumerate();
        let items: Vec<Value> = items
            .map(|(index, status)| Value::plain(&path.index(index), status))
            .collect();
        map.put("retriable_status_codes", Value::list(&path, items));
    }
    if !policy.retriable_headers.is_empty() {
        let path = path.field("retriable_headers");
        let mut headers = Vec::with_capacity(policy.retriable_headers.len());
        for (index, header) in policy.retriable_headers.iter().enumerate() {
            if matching::needs_presence(header) {
                let what = "the opposite of a condition, but not where the header is missing,";
                refusals.unsupported(&path.index(index).field("invert_match"), what);
            }
            headers.extend(matching::header(refusals, &path.index(index), header));
        }
        map.put("retriable_headers", Value::list(&path, headers));
    }
    let requests_at = path.field("retriable_request_headers");
    idempotence(
        refusals,
        &requests_at,
        &policy.retriable_request_headers,
        &mut map,
    );
    let predicates_at = path.field("retry_host_predicate");
    for (index, predicate) in policy.retry_host_predicate.iter().enumerate() {
        host_predicate(refusals, &predicates_at.index(index), predicate);
    }
    map
}

/// The words of `retry_on`; those that name a list which is empty mean nothing to Envoy.
fn conditions(path: &Path, policy: &RetryPolicy) -> Value {
    let words = policy
        .retry_on
        .split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty());
    let mut seen: Vec<&str> = Vec::new();
    for word in words {
        let says_nothing = match word {
            "retriable-status-codes" => policy.retriable_status_codes.is_empty(),
            "retriable-headers" => policy.retriable_headers.is_empty(),
            _ => false,
        };
        if !says_nothing && !seen.contains(&word) {
            seen.push(word);
        }
    }
    Value::list(path, seen.into_iter().map(|word| Value::text(path, word)))
}

fn backoff(refusals: &mut Refusals, path: &Path, message: &RetryBackOff) -> Value {
    refuse_retry_back_off(refusals, path, message);
    let mut map = Map::new(path);
    for (name, field, given) in [
        ("base", "base_interval", &message.base_interval),
        ("max", "max_interval", &message.max_interval),
    ] {
        let value = value::duration_value(refusals, &path.field(field), given.as_ref());
        map.put_some(name, value);
    }
    map.into()
}

fn rate_limited(refusals: &mut Refusals, path: &Path, message: &RateLimitedRetryBackOff) -> Option<Value> {
    refuse_rate_limited_back_off(refusals, path, message);
    let headers_at = path.field("reset_headers");
    for (index, header) in message.reset_headers.iter().enumerate() {
        let path = headers_at.index(index);
        refuse_reset_header(refusals, &path, header);
        let known = ["retry-after", "x-ratelimit-reset"];
        if !known.iter().any(|name| header.name.eq_ignore_ascii_case(name)) {
            let message = format!("`{}` is not looked at", header.name);
            refusals.fault_with_help(
                &path.field("name"),
                message,
                "`retry-after` and `x-ratelimit-reset` are",
            );
        }
    }
    let max_at = path.field("max_interval");
    match &message.max_interval {
        None => Some(Value::plain(&max_at, RATE_LIMITED_WAIT_MAX)),
        given => value::duration_value(refusals, &max_at, given.as_ref()),
    }
}

/// Which requests may be sent twice: Envoy says it by conditions on requests, of which one must hold.
fn idempotence(refusals: &mut Refusals, path: &Path, matchers: &[HeaderMatcher], map: &mut Map) {
    let is_method = |matcher: &HeaderMatcher| {
        matcher.name == ":method"
            && super::route_match::methods(matcher)
                .is_some_and(|methods| methods.join("|") == IDEMPOTENT_METHODS)
    };
    let is_presence = |matcher: &HeaderMatcher| {
        let specifier = &matcher.header_match_specifier;
        matches!(specifier, None | Some(HeaderMatchSpecifier::PresentMatch(true))) && !matcher.invert_match
    };
    match matchers {
        [] => {}
        [method] if is_method(method) => {}
        [method, header] if is_method(method) && is_presence(header) => {
            let path = path.index(1);
            let name = Value::text(&path.field("name"), header.name.as_str());
            map.put("idempotent", Map::new(&path).with("header", name).into());
        }
        _ => refusals.unsupported(
            path,
            format_args!("a condition on requests other than `:method` being {IDEMPOTENT_METHODS}, or that with a header,"),
        ),
    }
}

fn host_predicate(refusals: &mut Refusals, path: &Path, predicate: &RetryHostPredicate) {
    let RetryHostPredicate { name, config_type } = predicate;
    let path = path.field("typed_config");
    let config = match config_type {
        Some(ConfigType::TypedConfig(config)) => config,
        // By its name alone, as it was said once.
        None if name == "envoy.retry_host_predicates.previous_hosts" => return,
        None => return refusals.unsupported(&path, format_args!("`{name}`")),
    };
    if config.type_url != any::type_url::<PreviousHostsPredicate>() {
        return refusals.unsupported(&path, format_args!("{}", config.type_url));
    }
    let _: Option<PreviousHostsPredicate> = any::decode(refusals, &path, &config.value);
}
