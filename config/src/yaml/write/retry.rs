//! Retries, hedging, hash policies and hint peers as YAML.

use super::emit::{Map, Out, list, text};
use super::route::string_match;
use super::{boolean, duration, duration_or_off, number, tls, word};
use crate::model::{HashPolicy, HashSource, HedgeAfter, Hedging, HintPeers, Idempotence, RetryPolicy};

pub(super) fn policy(policy: &RetryPolicy) -> Map {
    let backoff = Map::default()
        .with("base", duration(policy.backoff_base))
        .with("max", duration(policy.backoff_max));
    let mut map = Map::default()
        .with("retry_on", list(policy.retry_on.names().map(text)))
        .with("retries_max", number(policy.retries_max.into()))
        .with("per_try_timeout", duration_or_off(policy.per_try_timeout))
        .with(
            "per_try_idle_timeout",
            duration_or_off(policy.per_try_idle_timeout),
        )
        .with("backoff", backoff)
        .with("retry_after_max", duration_or_off(policy.retry_after_max));
    if !policy.retriable_status_codes.is_empty() {
        let statuses = policy.retriable_status_codes.iter();
        map.put(
            "retriable_status_codes",
            list(statuses.map(|status| number((*status).into()))),
        );
    }
    if !policy.retriable_headers.is_empty() {
        let headers = policy.retriable_headers.iter();
        map.put(
            "retriable_headers",
            list(headers.map(|one| string_match(one.name.as_str(), &one.value, one.invert))),
        );
    }
    let idempotent = match &policy.idempotence {
        Idempotence::ByMethod => word("by_method"),
        Idempotence::Declared => word("declared"),
        Idempotence::ByHeader(name) => Map::default().with("header", text(name.as_str())).into(),
    };
    map.with("idempotent", idempotent)
        .with("avoid_tried_endpoints", boolean(policy.avoids_tried_endpoints))
        .with("hedging", hedging(policy.hedging.as_ref()))
}

fn hedging(hedging: Option<&Hedging>) -> Out {
    let Some(hedging) = hedging else {
        return word("off");
    };
    let after = match hedging.after {
        HedgeAfter::Delay(delay) => duration(delay),
        HedgeAfter::PerTryTimeout => word("per_try_timeout"),
        HedgeAfter::Quantile { quantile, delay_min } => Map::default()
            .with("quantile", super::percent(quantile * 10))
            .with("delay_min", duration(delay_min))
            .into(),
    };
    Map::default()
        .with("after", after)
        .with("hedges_max", number(hedging.hedges_max.into()))
        .with("extra_load_max", number(hedging.extra_load_percent.into()))
        .into()
}

pub(super) fn hash_policy(policy: &HashPolicy) -> Map {
    let mut map = Map::default();
    match &policy.source {
        HashSource::Header(name) => map.put("header", text(name.as_str())),
        HashSource::Cookie { name, ttl, path } => {
            let mut cookie = Map::default().with("name", text(name));
            // Without a lifetime no cookie is given, and its path would be warned of.
            match ttl {
                Some(ttl) => cookie = cookie.with("ttl", duration(*ttl)).with("path", text(path)),
                None => cookie.comment("ttl: no cookie is given"),
            }
            map.put("cookie", cookie);
        }
        HashSource::SourceAddress => map.put("source_address", boolean(true)),
        HashSource::Query(name) => map.put("query", text(name)),
    }
    map.with("terminal", boolean(policy.terminal))
}

pub(super) fn hint_peers(peers: &HintPeers) -> Map {
    let mut map = Map::default().with("authenticated", boolean(peers.authenticated));
    if !peers.identities.is_empty() {
        map.put("identities", list(peers.identities.iter().map(tls::spiffe_match)));
    }
    if !peers.addresses.is_empty() {
        map.put("addresses", list(peers.addresses.iter().map(text)));
    }
    map
}
