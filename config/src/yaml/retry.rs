//! When requests are sent again, and what says who is believed about that.

use super::chain::distinct;
use super::reader::{Fields, Reader, is_off, scalar_of};
use super::scalar::{self, Problem, problem};
use super::shapes::{BACKOFF, HEDGE_QUANTILE, HEDGING, HINT_PEERS, IDEMPOTENCE, RETRY};
use super::tree::{Node, Value};
use super::{Unique, headers, listener, peers};
use crate::model::{
    HedgeAfter, Hedging, HintPeers, Idempotence, RetryConditions, RetryPolicy, RouteMatch, defaults,
};
use crate::receipt::Code;
use ipnet::IpNet;
use std::sync::Arc;
use std::time::Duration;

/// Statuses or header conditions in one list at most: each answer is compared with all of them.
const RETRIABLE_MAX: usize = 100;

/// Conditions that are told by an answer of gRPC.
const GRPC: RetryConditions = RetryConditions::CANCELLED
    .and(RetryConditions::DEADLINE_EXCEEDED)
    .and(RetryConditions::INTERNAL)
    .and(RetryConditions::RESOURCE_EXHAUSTED)
    .and(RetryConditions::UNAVAILABLE);

/// Conditions that are told by an answer of HTTP alone: what is answered so may have run.
const ANSWERED: RetryConditions = RetryConditions::RETRIABLE_4XX
    .and(RetryConditions::RETRIABLE_STATUS_CODES)
    .and(RetryConditions::RETRIABLE_HEADERS);

/// The `retry` of a virtual host or a forward; `Some(None)`: off.
pub(super) fn policy(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<Option<Arc<RetryPolicy>>> {
    let node = fields.node(reader, "retry")?;
    if is_off(node) {
        return Some(None);
    }
    if scalar_of(node).is_some() {
        reader.mismatch(node, "`off` or a map (retry)");
        return None;
    }
    Some(settings(reader, node).map(Arc::new))
}

fn settings(reader: &mut Reader<'_>, node: &Node) -> Option<RetryPolicy> {
    let fields = reader.fields(node, &RETRY)?;
    let retry_on = conditions(reader, &fields);
    let retries_max = fields.integer32(reader, "retries_max");
    let per_try_timeout = fields.duration_or_off(reader, "per_try_timeout").flatten();
    let per_try_idle_timeout = fields.duration_or_off(reader, "per_try_idle_timeout").flatten();
    let (backoff_base, backoff_max) = backoff(reader, &fields);
    let retry_after_max = fields.duration_or_off(reader, "retry_after_max").flatten();
    let retriable_status_codes = statuses(reader, &fields);
    let retriable_headers = headers::header_matches(reader, &fields, "retriable_headers");
    bounded(reader, &fields, "retriable_headers", retriable_headers.len());
    let idempotence = idempotence(reader, &fields);
    let avoids_tried_endpoints = fields.boolean(reader, "avoid_tried_endpoints");
    let hedging = hedging(reader, &fields);
    let policy = RetryPolicy {
        retry_on,
        retries_max: retries_max.unwrap_or(defaults::RETRIES_MAX),
        per_try_timeout,
        per_try_idle_timeout,
        backoff_base,
        backoff_max,
        retry_after_max,
        retriable_status_codes,
        retriable_headers,
        idempotence: idempotence.unwrap_or(Idempotence::ByMethod),
        avoids_tried_endpoints: avoids_tried_endpoints.unwrap_or(true),
        hedging,
    };
    check(reader, &fields, &policy);
    Some(policy)
}

fn conditions(reader: &mut Reader<'_>, fields: &Fields<'_>) -> RetryConditions {
    let mut seen = Unique::new("condition");
    let mut conditions = RetryConditions::NONE;
    let given = fields.entry("retry_on").and_then(|entry| scalar_of(&entry.value));
    if let Some(given) = given.filter(|given| !given.nothing) {
        // As Envoy has it.
        let words: Vec<&str> = given.text.split(',').map(str::trim).collect();
        let message = format!("expected a list, found `{}`", scalar::shortened(&given.text));
        let help = format!("write `retry_on: [{}]`", scalar::shortened(&words.join(", ")));
        reader.fault_with_help(fields.span_of("retry_on"), message, help);
        return conditions;
    }
    for node in fields.list(reader, "retry_on") {
        if let Some(condition) = reader.choose(node, RetryConditions::NAMES) {
            seen.insert(reader, condition.names().next().unwrap_or_default(), node.span);
            conditions = conditions.and(condition);
        }
    }
    conditions
}

/// Base and maximum.
fn backoff(reader: &mut Reader<'_>, fields: &Fields<'_>) -> (Duration, Duration) {
    let node = fields.node(reader, "backoff");
    let Some(fields) = node.and_then(|node| reader.fields(node, &BACKOFF)) else {
        return (defaults::RETRY_BACKOFF_BASE, defaults::RETRY_BACKOFF_MAX);
    };
    let base = fields
        .duration(reader, "base")
        .unwrap_or(defaults::RETRY_BACKOFF_BASE);
    // Envoy's rule; of the default base it makes the default maximum.
    let max = fields.duration(reader, "max").unwrap_or(base.saturating_mul(10));
    if max < base {
        let message = format!("the longest backoff, {max:?}, is shorter than its base, {base:?}");
        reader.fault(fields.span_of("max"), message);
    }
    (base, max)
}

fn statuses(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Vec<u16> {
    let mut seen = Unique::new("status");
    let mut statuses = Vec::new();
    let nodes = fields.list(reader, "retriable_status_codes");
    bounded(reader, fields, "retriable_status_codes", nodes.len());
    for node in nodes.iter().take(RETRIABLE_MAX) {
        let status = reader
            .integer(node, 200, 599)
            .and_then(|status| u16::try_from(status).ok());
        if let Some(status) = status {
            seen.insert(reader, status, node.span);
            statuses.push(status);
        }
    }
    statuses
}

fn bounded(reader: &mut Reader<'_>, fields: &Fields<'_>, name: &str, count: usize) {
    if count > RETRIABLE_MAX {
        let message = format!("`{name}` has {count} items; at most {RETRIABLE_MAX} are allowed");
        reader.fault(fields.span_of(name), message);
    }
}

fn idempotence(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<Idempotence> {
    let node = fields.node(reader, "idempotent")?;
    let words = [("by_method", false), ("declared", true)];
    if let Value::Map(_) = &node.value {
        let fields = reader.fields(node, &IDEMPOTENCE)?;
        let header = fields.parsed(reader, "header", scalar::header_name);
        return header.map(Idempotence::ByHeader);
    }
    if scalar_of(node).is_none() {
        reader.mismatch(node, "`by_method`, `declared` or `{header: idempotency-key}`");
        return None;
    }
    Some(match reader.choose(node, &words)? {
        true => Idempotence::Declared,
        false => Idempotence::ByMethod,
    })
}

fn hedging(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<Hedging> {
    let node = listener::settings(reader, fields, "hedging")?;
    let fields = reader.fields(node, &HEDGING)?;
    let after = fields.node(reader, "after").and_then(|node| after(reader, node));
    let hedges_max = fields.integer32(reader, "hedges_max");
    let extra_load = fields.integer32(reader, "extra_load_max");
    Some(Hedging {
        after: after?,
        hedges_max: hedges_max.unwrap_or(defaults::HEDGES_MAX),
        extra_load_percent: extra_load.unwrap_or(defaults::HEDGE_EXTRA_LOAD_PERCENT),
    })
}

fn after(reader: &mut Reader<'_>, node: &Node) -> Option<HedgeAfter> {
    if let Value::Map(_) = &node.value {
        let fields = reader.fields(node, &HEDGE_QUANTILE)?;
        let quantile = fields.parsed(reader, "quantile", quantile);
        let delay_min = fields.duration(reader, "delay_min");
        return Some(HedgeAfter::Quantile {
            quantile: quantile?,
            delay_min: delay_min.unwrap_or(defaults::HEDGE_DELAY_MIN),
        });
    }
    let expected = "a duration, `per_try_timeout` or `{quantile: 95}`";
    reader.parse(node, expected, |text| match text {
        "per_try_timeout" => Ok(HedgeAfter::PerTryTimeout),
        _ => match scalar::duration(text)? {
            Duration::ZERO => problem("this duration may not be zero"),
            delay => Ok(HedgeAfter::Delay(delay)),
        },
    })
}

/// In thousandths of a percent.
fn quantile(text: &str) -> Result<u32, Problem> {
    let parts = scalar::percent(text)?.parts_per_million();
    match parts {
        0 | 1_000_000 => problem("a quantile lies above 0 and below 100"),
        parts if !parts.is_multiple_of(10) => problem("a quantile has at most three digits after the point"),
        parts => Ok(parts / 10),
    }
}

/// Refuses what cannot work, and warns of what never happens.
fn check(reader: &mut Reader<'_>, fields: &Fields<'_>, policy: &RetryPolicy) {
    let lists = [
        (
            "retriable_status_codes",
            "retriable-status-codes",
            RetryConditions::RETRIABLE_STATUS_CODES,
        ),
        (
            "retriable_headers",
            "retriable-headers",
            RetryConditions::RETRIABLE_HEADERS,
        ),
    ];
    for (field, word, condition) in lists {
        let is_given = !fields.list_is_empty(field);
        if is_given && !policy.retry_on.has(condition) {
            let message = format!("`{field}` has no effect: `{word}` is not in `retry_on`");
            let help = format!("add `{word}` to `retry_on`, or remove `{field}`");
            reader.warn(
                Code::RetriableListUnused,
                fields.key_span_of(field),
                message,
                help,
            );
        } else if !is_given && policy.retry_on.has(condition) {
            let message = format!("`{word}` in `retry_on` without `{field}`");
            reader.fault_with_help(
                fields.span_of("retry_on"),
                message,
                format!("write `{field}: […]`"),
            );
        }
    }
    let hedging = policy.hedging.as_ref();
    if hedging.is_some_and(|hedging| hedging.after == HedgeAfter::PerTryTimeout)
        && policy.per_try_timeout.is_none()
    {
        let message = "hedging after `per_try_timeout`, and there is none";
        reader.fault_with_help(
            fields.span_of("hedging"),
            message,
            "write `per_try_timeout: 500ms`",
        );
    }
    if policy.retry_on == RetryConditions::NONE && hedging.is_none() {
        let message = "this policy repeats nothing: `retry_on` names no condition";
        reader.warn(
            Code::RetriesNothing,
            fields.span,
            message,
            "write `retry_on: [5xx]`, or `retry: off`",
        );
    }
    let of_grpc: Vec<&str> = named(policy.retry_on, GRPC);
    if policy.idempotence == Idempotence::ByMethod && !of_grpc.is_empty() {
        let message = format!(
            "{} in `retry_on` has no effect: gRPC requests have the method POST, and what may have run is not sent again",
            super::reader::quoted(&of_grpc)
        );
        let help = "write `idempotent: declared` if the methods that are called are, or `idempotent: {header: NAME}`";
        reader.warn(
            Code::RetriesNotIdempotent,
            fields.span_of("retry_on"),
            message,
            help,
        );
    }
}

/// The names of those conditions that are among `others`.
fn named(conditions: RetryConditions, others: RetryConditions) -> Vec<&'static str> {
    conditions
        .names()
        .filter(|name| RetryConditions::named(name).is_some_and(|condition| others.has(condition)))
        .collect()
}

/// Warns of what a policy can never do on a forward, whose fields these are.
pub(super) fn warn(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    policy: &RetryPolicy,
    timeout: Option<Duration>,
    matches: Option<&RouteMatch>,
) {
    let span = fields.span_of("retry");
    if let (Some(attempt), Some(whole)) = (policy.per_try_timeout, timeout)
        && attempt >= whole
    {
        let message =
            format!("`per_try_timeout`, {attempt:?}, never passes: the route's `timeout` is {whole:?}");
        reader.warn(
            Code::AttemptTimeoutNeverPasses,
            span,
            message,
            "give the route a longer `timeout`, or attempts a shorter one",
        );
    }
    let is_post = matches.is_some_and(|matches| {
        let once = |method: &String| matches!(method.as_str(), "POST" | "PATCH");
        matches.grpc || (!matches.methods.is_empty() && matches.methods.iter().all(once))
    });
    if !is_post || policy.idempotence != Idempotence::ByMethod {
        return;
    }
    let help = "write `idempotent: declared` if what is done is, or `idempotent: {header: NAME}`";
    if policy.hedging.is_some() {
        let message = "`hedging` has no effect: the route takes only methods that are not idempotent";
        reader.warn(Code::HedgingNotIdempotent, span, message, help);
    }
    let answered = named(policy.retry_on, ANSWERED);
    if !answered.is_empty() {
        let message = format!(
            "{} in `retry_on` has no effect: the route takes only methods that are not idempotent, and what may have run is \
             not sent again",
            super::reader::quoted(&answered)
        );
        reader.warn(Code::RetriesNotIdempotent, span, message, help);
    }
}

/// The `hint_peers` of a filter chain's `http`.
pub(super) fn hint_peers(reader: &mut Reader<'_>, http: &Fields<'_>) -> HintPeers {
    let node = http.node(reader, "hint_peers");
    let Some(fields) = node.and_then(|node| reader.fields(node, &HINT_PEERS)) else {
        return HintPeers::default();
    };
    let authenticated = fields.boolean(reader, "authenticated").unwrap_or(true);
    let identities = peers::spiffe_matches(reader, &fields, "identities", "identity");
    let addresses = distinct(reader, &fields, "addresses", scalar::prefix, IpNet::to_string);
    if authenticated && !identities.is_empty() {
        let message = "`identities` has no effect: every authenticated peer is believed";
        reader.warn(
            Code::HintIdentitiesUnused,
            fields.key_span_of("identities"),
            message,
            "write `authenticated: false`, or remove it",
        );
    }
    HintPeers {
        authenticated,
        identities,
        addresses,
    }
}
