//! Rate limits that a service counts, and what both kinds of rate limits have: buckets and descriptors.

use super::super::carried::{Carried, CarriedKind};
use super::super::{Refusals, grpc, value};
use super::cors::all_or_none;
use crate::support::{Message, message};
use envoy_types::pb::envoy::config::ratelimit::v3::RateLimitServiceConfig;
use envoy_types::pb::envoy::config::route::v3::{
    RateLimit as Descriptor,
    rate_limit::{
        Action, action::ActionSpecifier, action::GenericKey, action::MaskedRemoteAddress,
        action::QueryParameters, action::RequestHeaders,
    },
};
use envoy_types::pb::envoy::extensions::filters::http::ratelimit::v3::{RateLimit, RateLimitPerRoute};
use envoy_types::pb::envoy::r#type::v3::TokenBucket;
use outrigger_config::document::{Map, Path, Value};
use prost::Message as _;
use std::time::Duration;

pub(super) const MESSAGES: &[&Message] = &[
    &RATE_LIMIT,
    &SERVICE,
    &DESCRIPTOR,
    &TOKEN_BUCKET,
    &GENERIC_KEY,
    &REQUEST_HEADERS,
    &QUERY_PARAMETERS,
    &MASKED_ADDRESS,
    &PER_ROUTE,
];

/// How filters are called that our own control API makes of rate limits that a service counts: this, and the limit's name.
pub(crate) const GLOBAL_LIMIT: &str = "outrigger.ratelimit.";

message! {
    pub(super) RATE_LIMIT, refuse_rate_limit: RateLimit
        as "envoy.extensions.filters.http.ratelimit.v3.RateLimit" {
        used: domain, timeout, failure_mode_deny, rate_limited_as_resource_exhausted, rate_limit_service,
            enable_x_ratelimit_headers, rate_limited_status, stat_prefix, filter_enabled, filter_enforced, rate_limits;
        refused: stage, request_type, disable_x_envoy_ratelimited_header, response_headers_to_add, status_on_error,
            failure_mode_deny_percent, metadata_namespace;
        ignored: enable_retry_after_header = "`retry-after` is always told";
    }
}
message! {
    pub(super) SERVICE, refuse_service: RateLimitServiceConfig
        as "envoy.config.ratelimit.v3.RateLimitServiceConfig" {
        used: grpc_service, transport_api_version;
        refused: ;
        ignored: ;
    }
}
message! {
    pub(super) DESCRIPTOR, refuse_descriptor: Descriptor as "envoy.config.route.v3.RateLimit" {
        used: actions;
        refused: stage, disable_key, limit, hits_addend, apply_on_stream_done, x_ratelimit_option;
        ignored: ;
    }
}
message! {
    pub(in crate::decode) TOKEN_BUCKET, refuse_token_bucket: TokenBucket as "envoy.type.v3.TokenBucket" {
        used: max_tokens, tokens_per_fill, fill_interval;
        refused: ;
        ignored: ;
    }
}
message! {
    pub(super) GENERIC_KEY, refuse_generic_key: GenericKey
        as "envoy.config.route.v3.RateLimit.Action.GenericKey" {
        used: descriptor_value, descriptor_key;
        refused: default_value;
        ignored: ;
    }
}
message! {
    pub(super) REQUEST_HEADERS, refuse_request_headers: RequestHeaders
        as "envoy.config.route.v3.RateLimit.Action.RequestHeaders" {
        used: header_name, descriptor_key;
        refused: skip_if_absent;
        ignored: ;
    }
}
message! {
    pub(super) QUERY_PARAMETERS, refuse_query_parameters: QueryParameters
        as "envoy.config.route.v3.RateLimit.Action.QueryParameters" {
        used: query_parameter_name, descriptor_key;
        refused: skip_if_absent;
        ignored: ;
    }
}
message! {
    pub(super) MASKED_ADDRESS, refuse_masked_address: MaskedRemoteAddress
        as "envoy.config.route.v3.RateLimit.Action.MaskedRemoteAddress" {
        used: v4_prefix_mask_len, v6_prefix_mask_len;
        refused: ;
        ignored: ;
    }
}

message! {
    pub(super) PER_ROUTE, refuse_per_route: RateLimitPerRoute
        as "envoy.extensions.filters.http.ratelimit.v3.RateLimitPerRoute" {
        used: rate_limits;
        refused: vh_rate_limits, override_option, domain;
        ignored: ;
    }
}

/// What a route asks a service about stands in the words of the document beside it.
pub(super) fn of_route(
    refusals: &mut Refusals,
    path: &Path,
    name: &str,
    config: &RateLimitPerRoute,
    is_given: bool,
) {
    refuse_per_route(refusals, path, config);
    if !(is_given && name.starts_with(GLOBAL_LIMIT)) {
        let message = "descriptors of one route are not implemented";
        let help = "put them into the filter, or say the route's `rate_limits` in its metadata";
        refusals.fault_with_help(path, message, help);
    }
}

/// A token bucket: `requests`, `per` and `burst`.
pub(crate) fn bucket(refusals: &mut Refusals, path: &Path, bucket: &TokenBucket) -> Option<Map> {
    refuse_token_bucket(refusals, path, bucket);
    let Some(interval) = &bucket.fill_interval else {
        refusals.fault(path, "`fill_interval` is missing");
        return None;
    };
    let interval = value::duration(refusals, &path.field("fill_interval"), interval)?;
    let fill = bucket.tokens_per_fill.as_ref().map_or(1, |tokens| tokens.value);
    let map = Map::new(path)
        .with("requests", Value::plain(&path.field("tokens_per_fill"), fill))
        .with("per", Value::duration(&path.field("fill_interval"), interval))
        .with(
            "burst",
            Value::plain(&path.field("max_tokens"), bucket.max_tokens),
        );
    Some(map)
}

/// As whole tokens in a second; none, and a fault, if they are no whole ones.
pub(crate) fn per_second(refusals: &mut Refusals, path: &Path, bucket: &TokenBucket) -> Option<Map> {
    refuse_token_bucket(refusals, path, bucket);
    let interval = bucket.fill_interval.as_ref()?;
    let interval = value::duration(refusals, &path.field("fill_interval"), interval)?;
    let fill = u128::from(bucket.tokens_per_fill.as_ref().map_or(1, |tokens| tokens.value));
    let nanoseconds = interval.as_nanos().max(1);
    let tokens = fill * Duration::from_secs(1).as_nanos();
    if !tokens.is_multiple_of(nanoseconds) {
        refusals.unsupported(path, "a rate that is no whole number of connections in a second");
        return None;
    }
    let map = Map::new(path)
        .with("per_second", Value::plain(path, tokens / nanoseconds))
        .with(
            "burst",
            Value::plain(&path.field("max_tokens"), bucket.max_tokens),
        );
    Some(map)
}

/// The name of the limit that a filter is; none if it asks about nothing.
pub(super) fn limit(
    refusals: &mut Refusals,
    carried: &mut Carried,
    path: &Path,
    filter: &RateLimit,
) -> Option<Value> {
    refuse_rate_limit(refusals, path, filter);
    let enabled = path.field("filter_enabled");
    // Without descriptors of its own it asks about those of routes, which are refused where they stand.
    if !all_or_none(refusals, &enabled, filter.filter_enabled.as_ref(), true) || filter.rate_limits.is_empty()
    {
        return None;
    }
    let (place, name) = match filter.stat_prefix.is_empty() {
        true => (path.field("domain"), filter.domain.as_str()),
        false => (path.field("stat_prefix"), filter.stat_prefix.as_str()),
    };
    let key = (CarriedKind::RateLimit, name);
    let name = carried.part(refusals, &place, key, filter.encode_to_vec(), |refusals, _| {
        Some(part(refusals, path, filter))
    });
    Some(Value::text(&place, name))
}

fn part(refusals: &mut Refusals, path: &Path, filter: &RateLimit) -> Map {
    let mut map = Map::new(path);
    let enforced = path.field("filter_enforced");
    if !all_or_none(refusals, &enforced, filter.filter_enforced.as_ref(), true) {
        map.put("shadow", Value::plain(&enforced, true));
    }
    let mut global = Map::new(path);
    match &filter.rate_limit_service {
        Some(service) => {
            let path = path.field("rate_limit_service");
            refuse_service(refusals, &path, service);
            if service.transport_api_version == 1 {
                refusals.unsupported(&path.field("transport_api_version"), "version 2");
            }
            if let Some(service) = &service.grpc_service {
                for (name, value) in grpc::service(refusals, &path.field("grpc_service"), service)
                    .fields
                    .into_fields()
                {
                    global.put(name, value);
                }
            }
        }
        None => refusals.fault(path, "`rate_limit_service` is missing"),
    }
    global.put(
        "domain",
        Value::text(&path.field("domain"), filter.domain.as_str()),
    );
    global.put_some(
        "timeout",
        value::duration_value(refusals, &path.field("timeout"), filter.timeout.as_ref()),
    );
    if filter.failure_mode_deny {
        global.put(
            "failure_denied",
            Value::plain(&path.field("failure_mode_deny"), true),
        );
    }
    map.put("global", global.into());
    if let Some(status) = &filter.rate_limited_status {
        map.put(
            "status",
            Value::plain(&path.field("rate_limited_status"), status.code),
        );
    }
    if filter.rate_limited_as_resource_exhausted {
        let place = path.field("rate_limited_as_resource_exhausted");
        map.put("grpc_status", Value::plain(&place, "resource_exhausted"));
    }
    if filter.enable_x_ratelimit_headers != 0 {
        map.put(
            "headers",
            Value::plain(&path.field("enable_x_ratelimit_headers"), true),
        );
    }
    map.put(
        "descriptors",
        descriptors(refusals, &path.field("rate_limits"), &filter.rate_limits),
    );
    map
}

/// What requests are told apart by: each item a list of parts.
pub(super) fn descriptors(refusals: &mut Refusals, path: &Path, found: &[Descriptor]) -> Value {
    let mut lists = Vec::with_capacity(found.len());
    for (index, descriptor) in found.iter().enumerate() {
        let path = path.index(index);
        refuse_descriptor(refusals, &path, descriptor);
        let path = path.field("actions");
        let mut parts = Vec::with_capacity(descriptor.actions.len());
        for (index, action) in descriptor.actions.iter().enumerate() {
            parts.extend(self::action(refusals, &path.index(index), action));
        }
        lists.push(Value::list(&path, parts));
    }
    Value::list(path, lists)
}

fn action(refusals: &mut Refusals, path: &Path, action: &Action) -> Option<Value> {
    let keyed = |path: &Path, key: &str, source: &'static str, value: Value| {
        let mut map = Map::new(path);
        if !key.is_empty() {
            map.put("key", Value::text(&path.field("descriptor_key"), key));
        }
        Some(map.with(source, value).into())
    };
    match &action.action_specifier {
        Some(ActionSpecifier::GenericKey(found)) => {
            let path = path.field("generic_key");
            refuse_generic_key(refusals, &path, found);
            let value = Value::text(&path.field("descriptor_value"), found.descriptor_value.as_str());
            keyed(&path, &found.descriptor_key, "constant", value)
        }
        Some(ActionSpecifier::RemoteAddress(_)) => {
            let path = path.field("remote_address");
            keyed(&path, "", "remote_address", Value::plain(&path, true))
        }
        Some(ActionSpecifier::MaskedRemoteAddress(found)) => {
            let path = path.field("masked_remote_address");
            refuse_masked_address(refusals, &path, found);
            let mut prefixes = Map::new(&path);
            let v4 = value::number(
                &path.field("v4_prefix_mask_len"),
                found.v4_prefix_mask_len.as_ref(),
            );
            prefixes.put_some("v4_prefix", v4);
            let v6 = value::number(
                &path.field("v6_prefix_mask_len"),
                found.v6_prefix_mask_len.as_ref(),
            );
            prefixes.put_some("v6_prefix", v6);
            keyed(&path, "masked_remote_address", "remote_address", prefixes.into())
        }
        Some(ActionSpecifier::RequestHeaders(found)) => {
            let path = path.field("request_headers");
            refuse_request_headers(refusals, &path, found);
            let name = path.field("header_name");
            match found.header_name.as_str() {
                ":method" => keyed(&path, &found.descriptor_key, "method", Value::plain(&name, true)),
                pseudo if pseudo.starts_with(':') => {
                    refusals.unsupported(&name, format_args!("telling requests apart by `{pseudo}`"));
                    None
                }
                header => keyed(&path, &found.descriptor_key, "header", Value::text(&name, header)),
            }
        }
        Some(ActionSpecifier::QueryParameters(found)) => {
            let path = path.field("query_parameters");
            refuse_query_parameters(refusals, &path, found);
            let name = Value::text(
                &path.field("query_parameter_name"),
                found.query_parameter_name.as_str(),
            );
            keyed(&path, &found.descriptor_key, "query", name)
        }
        Some(_) => {
            let help = "say it in the metadata, in the words of the document";
            refusals.fault_with_help(path, "telling requests apart by this is not implemented", help);
            None
        }
        None => {
            refusals.fault(path, "this action says nothing");
            None
        }
    }
}
