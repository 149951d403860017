//! Rate limits: a filter for each, named after it, since each has buckets or a service of its own.

use super::super::{canonical, value};
use super::ext_authz::grpc_service;
use super::{Carrying, SaidLimits, share, status};
use crate::decode::CarriedKind;
use crate::decode::filters::carried_by;
use envoy_types::pb::envoy::config::core::v3::ApiVersion;
use envoy_types::pb::envoy::config::ratelimit::v3::RateLimitServiceConfig;
use envoy_types::pb::envoy::config::route::v3::{
    RateLimit as Descriptor,
    rate_limit::{
        Action,
        action::{
            ActionSpecifier, GenericKey, MaskedRemoteAddress, QueryParameters, RemoteAddress, RequestHeaders,
        },
    },
};
use envoy_types::pb::envoy::extensions::common::ratelimit::v3::{
    LocalRateLimitDescriptor, rate_limit_descriptor::Entry,
};
use envoy_types::pb::envoy::extensions::filters::http::{
    local_ratelimit::v3::LocalRateLimit as Local,
    ratelimit::v3::{RateLimit as Global, RateLimitPerRoute},
};
use envoy_types::pb::envoy::extensions::filters::network::local_ratelimit::v3::LocalRateLimit as NetworkLimit;
use envoy_types::pb::envoy::r#type::v3::TokenBucket;
use envoy_types::pb::google::protobuf::Any;
use outrigger_config::model::{
    DescriptorPart, DescriptorSource, GlobalRateLimit, LocalRateLimit, Name, RateLimit, RateLimitBucket,
    RateLimitCounting, RateLimitedGrpcStatus,
};
use std::time::Duration;

/// Intervals that Envoy accepts are at least this.
const INTERVAL_MIN: Duration = Duration::from_millis(50);
/// Keys that Envoy calls an address and a network by.
const ADDRESS_KEY: &str = "remote_address";
const NETWORK_KEY: &str = "masked_remote_address";

fn local_name(name: &Name) -> String {
    format!("outrigger.local_ratelimit.{name}")
}

fn global_name(name: &Name) -> String {
    format!("{}{name}", crate::decode::filters::GLOBAL_LIMIT)
}

/// The filters of a chain: of its own limits, and those that its routes (`used`) name.
pub(super) fn filters(carrying: &mut Carrying<'_>, own: &[Name], used: &[&Name]) -> SaidLimits {
    let mut said = SaidLimits {
        filters: Vec::new(),
        exact: true,
    };
    for name in own {
        match message(carrying, name) {
            Some(Limit::Local(message)) => said.filters.push((local_name(name), canonical::any(&*message))),
            Some(Limit::Global(message)) => said.filters.push((global_name(name), canonical::any(&*message))),
            None => said.exact = false,
        }
    }
    for name in used.iter().filter(|name| !own.contains(name)) {
        let Some(limit) = find(carrying, name) else {
            continue;
        };
        match limit.counting() {
            RateLimitCounting::Local(_) => {
                let off = Local {
                    stat_prefix: name.as_str().to_owned(),
                    ..Local::default()
                };
                said.filters.push((local_name(name), canonical::any(&off)));
            }
            RateLimitCounting::Global(counting) => {
                let mut off = global(limit, counting);
                off.rate_limits.clear();
                said.filters.push((global_name(name), canonical::any(&off)));
            }
        }
    }
    // Local limits are asked before services, here and there.
    said.filters
        .sort_by_key(|(name, _)| name.starts_with(crate::decode::filters::GLOBAL_LIMIT));
    said.exact &= in_order(own, carrying);
    said
}

/// The order in which they are read back: that of the filters.
fn in_order(names: &[Name], carrying: &Carrying<'_>) -> bool {
    let is_global = |name: &Name| {
        find(carrying, name).is_some_and(|limit| matches!(limit.counting(), RateLimitCounting::Global(_)))
    };
    names
        .windows(2)
        .all(|pair| !is_global(&pair[0]) || is_global(&pair[1]))
}

/// What a virtual host or a route puts in the place of the chain's filters.
pub(super) fn of_routes(carrying: &mut Carrying<'_>, names: &[Name]) -> SaidLimits {
    let mut said = SaidLimits {
        filters: Vec::new(),
        exact: true,
    };
    for name in names {
        match message(carrying, name) {
            Some(Limit::Local(message)) => said.filters.push((local_name(name), canonical::any(&*message))),
            // What of a service is asked does not stand on routes: the words of the document say it.
            Some(Limit::Global(message)) => {
                said.exact = false;
                carrying.give(CarriedKind::RateLimit, name);
                let config = RateLimitPerRoute {
                    rate_limits: message.rate_limits,
                    ..RateLimitPerRoute::default()
                };
                said.filters.push((global_name(name), canonical::any(&config)));
            }
            None => said.exact = false,
        }
    }
    // By name is how they are read back.
    said.exact &= names.is_sorted_by_key(local_name);
    said
}

/// Network filters of limits on new connections. Only those without descriptors can be filters.
pub(crate) fn network(carrying: &mut Carrying<'_>, names: &[Name]) -> SaidLimits {
    let mut said = SaidLimits {
        filters: Vec::new(),
        exact: true,
    };
    for name in names {
        let Some(limit) = find(carrying, name) else {
            continue;
        };
        let token_bucket = match limit.counting() {
            RateLimitCounting::Local(counting) if limit.descriptors().is_empty() && !limit.shadow() => {
                bucket(counting.bucket())
            }
            _ => None,
        };
        // The part itself says more than a filter of connections can.
        carrying.give(CarriedKind::RateLimit, name);
        let Some(token_bucket) = token_bucket else {
            said.exact = false;
            carrying.only_ours(CarriedKind::RateLimit, name);
            continue;
        };
        let filter = NetworkLimit {
            stat_prefix: name.as_str().to_owned(),
            token_bucket: Some(token_bucket),
            share_key: name.as_str().to_owned(),
            ..NetworkLimit::default()
        };
        said.filters.push((
            "envoy.filters.network.local_ratelimit".to_owned(),
            canonical::any(&filter),
        ));
    }
    said
}

enum Limit {
    Local(Box<Local>),
    Global(Box<Global>),
}

fn find<'c>(carrying: &Carrying<'c>, name: &Name) -> Option<&'c RateLimit> {
    let limits = carrying.config.rate_limits();
    limits
        .iter()
        .find(|limit| limit.name() == name)
        .map(|limit| &**limit)
}

/// A limit as a filter; none if it cannot be one, and then it is carried in the words of the document.
fn message(carrying: &mut Carrying<'_>, name: &Name) -> Option<Limit> {
    let limit = find(carrying, name)?;
    let message = match limit.counting() {
        RateLimitCounting::Local(counting) => {
            local(limit, counting).map(|local| Limit::Local(Box::new(local)))
        }
        RateLimitCounting::Global(counting) => {
            let global = global(limit, counting);
            let told_apart = !global.rate_limits.is_empty();
            told_apart.then(|| Limit::Global(Box::new(global)))
        }
    };
    let Some(message) = message else {
        carrying.give(CarriedKind::RateLimit, name);
        carrying.only_ours(CarriedKind::RateLimit, name);
        return None;
    };
    let alone: Any = match &message {
        Limit::Local(message) => canonical::any(&**message),
        Limit::Global(message) => canonical::any(&**message),
    };
    let said = carried_by(name.as_str(), &alone);
    if !said.is_some_and(|said| said.rate_limits.iter().any(|said| **said == *limit)) {
        carrying.give(CarriedKind::RateLimit, name);
    }
    Some(message)
}

/// A bucket; none if its interval is shorter than Envoy accepts.
pub(crate) fn bucket(bucket: RateLimitBucket) -> Option<TokenBucket> {
    (bucket.interval() >= INTERVAL_MIN).then(|| TokenBucket {
        max_tokens: bucket.burst().get(),
        tokens_per_fill: Some(value::number(bucket.requests().get())),
        fill_interval: Some(value::duration(bucket.interval())),
    })
}

fn local(limit: &RateLimit, counting: &LocalRateLimit) -> Option<Local> {
    let own = bucket(counting.bucket())?;
    let mut message = Local {
        stat_prefix: limit.name().as_str().to_owned(),
        status: Some(status(limit.status())?),
        token_bucket: Some(own),
        filter_enabled: Some(share(true)),
        filter_enforced: Some(share(!limit.shadow())),
        enable_x_ratelimit_headers: i32::from(limit.tells_headers()),
        rate_limited_as_resource_exhausted: limit.grpc_status() == RateLimitedGrpcStatus::ResourceExhausted,
        enable_retry_after_header: true,
        ..Local::default()
    };
    let Some(parts) = limit.descriptors().first().filter(|parts| !parts.is_empty()) else {
        return Some(message);
    };
    message.rate_limits = vec![descriptor(parts)?];
    message.always_consume_default_token_bucket = Some(value::boolean(false));
    message.max_dynamic_descriptors = Some(value::number(
        u32::try_from(counting.keys_max()).unwrap_or(u32::MAX),
    ));
    // What is not told apart is not counted here: Envoy counts it in this bucket, which never runs dry.
    message.token_bucket = Some(TokenBucket {
        max_tokens: u32::MAX,
        tokens_per_fill: Some(value::number(u32::MAX)),
        ..own
    });
    for one in counting.overrides() {
        let entries = parts.iter().map(|part| Entry {
            key: part.key().to_owned(),
            value: one
                .values()
                .iter()
                .find(|(key, _)| key == part.key())
                .map_or_else(String::new, |(_, value)| value.clone()),
        });
        message.descriptors.push(LocalRateLimitDescriptor {
            entries: entries.collect(),
            token_bucket: Some(bucket(one.bucket())?),
            ..LocalRateLimitDescriptor::default()
        });
    }
    let entries = parts.iter().map(|part| Entry {
        key: part.key().to_owned(),
        value: String::new(),
    });
    message.descriptors.push(LocalRateLimitDescriptor {
        entries: entries.collect(),
        token_bucket: Some(own),
        ..LocalRateLimitDescriptor::default()
    });
    Some(message)
}

/// Without descriptors, if these cannot be said: then it asks nothing.
fn global(limit: &RateLimit, counting: &GlobalRateLimit) -> Global {
    let service = grpc_service(
        counting.cluster().as_str(),
        counting.authority().as_deref(),
        counting.timeout(),
    );
    let descriptors: Option<Vec<_>> = limit
        .descriptors()
        .iter()
        .map(|parts| descriptor(parts))
        .collect();
    Global {
        stat_prefix: limit.name().as_str().to_owned(),
        domain: counting.domain().clone(),
        timeout: Some(value::duration(counting.timeout())),
        failure_mode_deny: counting.failure_denied(),
        rate_limited_as_resource_exhausted: limit.grpc_status() == RateLimitedGrpcStatus::ResourceExhausted,
        rate_limit_service: Some(RateLimitServiceConfig {
            grpc_service: Some(service),
            transport_api_version: ApiVersion::V3.into(),
        }),
        enable_x_ratelimit_headers: i32::from(limit.tells_headers()),
        rate_limited_status: status(limit.status()),
        filter_enforced: limit.shadow().then(|| share(false)),
        rate_limits: descriptors.unwrap_or_default(),
        ..Global::default()
    }
}

/// None if one of its parts is nothing that Envoy tells requests apart by, or there is none.
fn descriptor(parts: &[DescriptorPart]) -> Option<Descriptor> {
    if parts.is_empty() {
        return None;
    }
    let actions: Option<Vec<Action>> = parts.iter().map(action).collect();
    Some(Descriptor {
        actions: actions?,
        ..Descriptor::default()
    })
}

fn action(part: &DescriptorPart) -> Option<Action> {
    let key = part.key();
    let request_header = |name: &str| {
        ActionSpecifier::RequestHeaders(RequestHeaders {
            header_name: name.to_owned(),
            descriptor_key: key.to_owned(),
            ..RequestHeaders::default()
        })
    };
    let specifier = match part.source() {
        DescriptorSource::Constant(text) => ActionSpecifier::GenericKey(GenericKey {
            descriptor_value: text.clone(),
            descriptor_key: key.to_owned(),
            ..GenericKey::default()
        }),
        DescriptorSource::RemoteAddress {
            v4_prefix: 32,
            v6_prefix: 128,
        } if key == ADDRESS_KEY => ActionSpecifier::RemoteAddress(RemoteAddress::default()),
        DescriptorSource::RemoteAddress { v4_prefix, v6_prefix } if key == NETWORK_KEY => {
            ActionSpecifier::MaskedRemoteAddress(MaskedRemoteAddress {
                v4_prefix_mask_len: Some(value::number((*v4_prefix).into())),
                v6_prefix_mask_len: Some(value::number((*v6_prefix).into())),
            })
        }
        DescriptorSource::Header(name) => request_header(name.as_str()),
        DescriptorSource::Method => request_header(":method"),
        DescriptorSource::Query(name) => ActionSpecifier::QueryParameters(QueryParameters {
            query_parameter_name: name.clone(),
            descriptor_key: key.to_owned(),
            ..QueryParameters::default()
        }),
        DescriptorSource::RemoteAddress { .. }
        | DescriptorSource::PathTemplate
        | DescriptorSource::Path
        | DescriptorSource::Host
        | DescriptorSource::SourceIdentity
        | DescriptorSource::Claim { .. }
        | DescriptorSource::Route
        | DescriptorSource::VirtualHost => return None,
    };
    Some(Action {
        action_specifier: Some(specifier),
    })
}
