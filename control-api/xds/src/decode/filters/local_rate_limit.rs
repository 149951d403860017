//! Local rate limits: each filter, or each route's settings of one, is a rate limit.

use super::super::Refusals;
use super::super::carried::{Carried, CarriedKind};
use super::cors::all_or_none;
use super::rate_limit::{bucket, descriptors};
use crate::support::{Message, message};
use envoy_types::pb::envoy::extensions::common::ratelimit::v3::{
    LocalRateLimitDescriptor, VhRateLimitsOptions, XRateLimitHeadersRfcVersion,
};
use envoy_types::pb::envoy::extensions::filters::http::local_ratelimit::v3::LocalRateLimit;
use outrigger_config::document::{Map, Path, Value};
use prost::Message as _;

pub(super) const MESSAGES: &[&Message] = &[&LOCAL, &DESCRIPTOR];

message! {
    pub(super) LOCAL, refuse_local: LocalRateLimit
        as "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit" {
        used: stat_prefix, status, token_bucket, filter_enabled, filter_enforced, descriptors,
            enable_x_ratelimit_headers, vh_rate_limits, always_consume_default_token_bucket,
            rate_limited_as_resource_exhausted, rate_limits, max_dynamic_descriptors;
        refused: request_headers_to_add_when_not_enforced, response_headers_to_add, stage,
            local_rate_limit_per_downstream_connection, local_cluster_rate_limit;
        ignored: enable_retry_after_header = "`retry-after` is always told";
    }
}
message! {
    pub(super) DESCRIPTOR, refuse_descriptor: LocalRateLimitDescriptor
        as "envoy.extensions.common.ratelimit.v3.LocalRateLimitDescriptor" {
        used: entries, token_bucket;
        refused: shadow_mode;
        ignored: ;
    }
}

/// The name of the limit that a filter is; none if it is off.
pub(super) fn limit(
    refusals: &mut Refusals,
    carried: &mut Carried,
    path: &Path,
    filter: &LocalRateLimit,
) -> Option<Value> {
    refuse_local(refusals, path, filter);
    // Envoy's filter does nothing unless it is told so.
    let enabled = path.field("filter_enabled");
    if !all_or_none(refusals, &enabled, filter.filter_enabled.as_ref(), false)
        || filter.token_bucket.is_none()
    {
        return None;
    }
    let place = path.field("stat_prefix");
    let key = (CarriedKind::RateLimit, filter.stat_prefix.as_str());
    let name = carried.part(refusals, &place, key, filter.encode_to_vec(), |refusals, _| {
        part(refusals, path, filter)
    });
    Some(Value::text(&place, name))
}

fn part(refusals: &mut Refusals, path: &Path, filter: &LocalRateLimit) -> Option<Map> {
    let mut map = Map::new(path);
    let enforced = path.field("filter_enforced");
    if !all_or_none(refusals, &enforced, filter.filter_enforced.as_ref(), false) {
        map.put("shadow", Value::plain(&enforced, true));
    }
    if let Some(status) = &filter.status {
        map.put("status", Value::plain(&path.field("status"), status.code));
    }
    if filter.rate_limited_as_resource_exhausted {
        let place = path.field("rate_limited_as_resource_exhausted");
        map.put("grpc_status", Value::plain(&place, "resource_exhausted"));
    }
    if filter.enable_x_ratelimit_headers == XRateLimitHeadersRfcVersion::DraftVersion03 as i32 {
        let place = path.field("enable_x_ratelimit_headers");
        map.put("headers", Value::plain(&place, true));
    }
    if filter.vh_rate_limits != VhRateLimitsOptions::Override as i32 {
        refusals.unsupported(
            &path.field("vh_rate_limits"),
            "including virtual hosts' rate limits",
        );
    }
    let mut local = Map::new(path);
    let place = path.field("token_bucket");
    let default = bucket(refusals, &place, filter.token_bucket.as_ref()?)?;
    if filter.rate_limits.is_empty() {
        if !filter.descriptors.is_empty() {
            let message = "descriptors without `rate_limits` in the filter are not implemented";
            refusals.fault(&path.field("descriptors"), message);
        }
        local.put("limit", default.into());
        map.put("local", local.into());
        return Some(map);
    }
    map.put(
        "descriptors",
        descriptors(refusals, &path.field("rate_limits"), &filter.rate_limits),
    );
    by_value(refusals, path, filter, &mut local);
    map.put("local", local.into());
    Some(map)
}

/// Buckets of values: one descriptor without values is everybody's, the others are overrides before it.
fn by_value(refusals: &mut Refusals, path: &Path, filter: &LocalRateLimit, local: &mut Map) {
    if filter
        .always_consume_default_token_bucket
        .is_none_or(|always| always.value)
    {
        let message = "a bucket for all beside those of values is not implemented";
        let help = "say `false`, and use another filter for the bucket of all";
        refusals.fault_with_help(&path.field("always_consume_default_token_bucket"), message, help);
    }
    let place = path.field("descriptors");
    let mut overrides = Vec::new();
    for (index, descriptor) in filter.descriptors.iter().enumerate() {
        let path = place.index(index);
        refuse_descriptor(refusals, &path, descriptor);
        let Some(found) = &descriptor.token_bucket else {
            refusals.fault(&path, "`token_bucket` is missing");
            continue;
        };
        let Some(limit) = bucket(refusals, &path.field("token_bucket"), found) else {
            continue;
        };
        let mut values = Map::new(&path);
        for entry in descriptor.entries.iter().filter(|entry| !entry.value.is_empty()) {
            values.put(entry.key.as_str(), Value::text(&path, entry.value.as_str()));
        }
        match (values.is_empty(), local.has("limit")) {
            (true, false) => local.put("limit", limit.into()),
            (true, true) => refusals.fault(&path, "a second bucket for all values"),
            (false, _) => {
                let one = Map::new(&path)
                    .with("values", values.into())
                    .with("limit", limit.into());
                overrides.push(one.into());
            }
        }
    }
    if !local.has("limit") {
        let message = "a descriptor for all values (one without values) is missing";
        refusals.fault(&place, message);
    }
    if !overrides.is_empty() {
        local.put("overrides", Value::list(&place, overrides));
    }
    let most = path.field("max_dynamic_descriptors");
    local.put_some(
        "keys_max",
        super::super::value::number(&most, filter.max_dynamic_descriptors.as_ref()),
    );
}
