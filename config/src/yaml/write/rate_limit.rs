//! Rate limits as YAML.

use super::emit::{Map, Out, list, text};
use super::{boolean, duration, number, word};
use crate::model::{
    DescriptorPart, DescriptorSource, GlobalRateLimit, LocalRateLimit, RateLimit, RateLimitBucket,
    RateLimitCounting, RateLimitedGrpcStatus,
};

pub(super) fn limit(limit: &RateLimit) -> Out {
    let descriptors = limit.descriptors.iter().map(|parts| list(parts.iter().map(part)));
    let mut map = Map::default()
        .with("name", text(&limit.name))
        .with("descriptors", list(descriptors));
    match &limit.counting {
        RateLimitCounting::Local(counting) => map.put("local", local(counting)),
        RateLimitCounting::Global(counting) => map.put("global", global(counting)),
    }
    let grpc_status = match limit.grpc_status {
        RateLimitedGrpcStatus::Unavailable => "unavailable",
        RateLimitedGrpcStatus::ResourceExhausted => "resource_exhausted",
    };
    map.with("shadow", boolean(limit.shadow))
        .with("status", number(limit.status.into()))
        .with("grpc_status", word(grpc_status))
        .with("headers", boolean(limit.tells_headers))
        .into()
}

fn part(part: &DescriptorPart) -> Map {
    let map = Map::default().with("key", text(&part.key));
    match &part.source {
        DescriptorSource::Constant(constant) => map.with("constant", text(constant)),
        DescriptorSource::RemoteAddress { v4_prefix, v6_prefix } => {
            let prefixes = Map::default()
                .with("v4_prefix", number((*v4_prefix).into()))
                .with("v6_prefix", number((*v6_prefix).into()));
            map.with("remote_address", prefixes)
        }
        DescriptorSource::Header(name) => map.with("header", text(name.as_str())),
        DescriptorSource::Query(name) => map.with("query", text(name)),
        DescriptorSource::PathTemplate => map.with("path_template", boolean(true)),
        DescriptorSource::Path => map.with("path", boolean(true)),
        DescriptorSource::Method => map.with("method", boolean(true)),
        DescriptorSource::Host => map.with("host", boolean(true)),
        DescriptorSource::SourceIdentity => map.with("source_identity", boolean(true)),
        DescriptorSource::Claim { provider, path } => {
            let map = map.with("claim", list(path.iter().map(text)));
            match provider {
                Some(provider) => map.with("provider", text(provider)),
                None => map,
            }
        }
        DescriptorSource::Route => map.with("route", boolean(true)),
        DescriptorSource::VirtualHost => map.with("virtual_host", boolean(true)),
    }
}

fn bucket(bucket: RateLimitBucket) -> Map {
    Map::default()
        .with("requests", number(bucket.requests.get().into()))
        .with("per", duration(bucket.interval))
        .with("burst", number(bucket.burst.get().into()))
}

fn local(local: &LocalRateLimit) -> Map {
    let mut map = Map::default().with("limit", bucket(local.bucket));
    if !local.overrides.is_empty() {
        let overrides = local.overrides.iter().map(|one| {
            let mut values = Map::default();
            for (key, value) in &one.values {
                values.put(key, text(value));
            }
            Map::default()
                .with("values", values)
                .with("limit", bucket(one.bucket))
        });
        map.put("overrides", list(overrides));
    }
    map.with("keys_max", number(local.keys_max as u64))
}

fn global(global: &GlobalRateLimit) -> Map {
    let mut map = Map::default().with("cluster", text(&global.cluster));
    match &global.authority {
        Some(authority) => map.put("authority", text(authority)),
        None => map.comment("authority: the cluster's name"),
    }
    map.with("domain", text(&global.domain))
        .with("timeout", duration(global.timeout))
        .with("failure_denied", boolean(global.failure_denied))
}
