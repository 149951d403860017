//! How endpoints are picked, in the newer spelling: `load_balancing_policy`, a list of extensions of which the first that is
//! known counts.

use super::{Zones, hashing, least_request, put_zones, refuse_policies, ring, slow_start, table};
use crate::decode::cluster::subsets;
use crate::decode::{Refusals, type_url, unpack};
use crate::support::message;
use common::locality_lb_config::{self, LocalityConfigSpecifier};
use envoy_types::pb::envoy::config::cluster::v3::LoadBalancingPolicy;
use envoy_types::pb::envoy::extensions::load_balancing_policies::cluster_provided::v3::ClusterProvided;
use envoy_types::pb::envoy::extensions::load_balancing_policies::common::v3 as common;
use envoy_types::pb::envoy::extensions::load_balancing_policies::least_request::v3::LeastRequest;
use envoy_types::pb::envoy::extensions::load_balancing_policies::maglev::v3::Maglev;
use envoy_types::pb::envoy::extensions::load_balancing_policies::random::v3::Random;
use envoy_types::pb::envoy::extensions::load_balancing_policies::ring_hash::v3::{
    RingHash, ring_hash::HashFunction,
};
use envoy_types::pb::envoy::extensions::load_balancing_policies::round_robin::v3::RoundRobin;
use envoy_types::pb::envoy::extensions::load_balancing_policies::subset::v3::Subset;
use envoy_types::pb::envoy::extensions::load_balancing_policies::wrr_locality::v3::WrrLocality;
use envoy_types::pb::google::protobuf::Any;
use outrigger_config::document::{Map, Path, Value};

message! {
    pub(in crate::decode::cluster) ROUND_ROBIN, refuse_round_robin: RoundRobin
        as "envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin" {
        used: slow_start_config, locality_lb_config;
        refused: ;
        ignored: ;
    }
}
message! {
    pub(in crate::decode::cluster) LEAST_REQUEST, refuse_least_request: LeastRequest
        as "envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest" {
        used: choice_count, slow_start_config, locality_lb_config, enable_full_scan;
        refused: active_request_bias, selection_method;
        ignored: ;
    }
}
message! {
    pub(in crate::decode::cluster) RANDOM, refuse_random: Random
        as "envoy.extensions.load_balancing_policies.random.v3.Random" {
        used: locality_lb_config;
        refused: ;
        ignored: ;
    }
}
message! {
    pub(in crate::decode::cluster) RING_HASH, refuse_ring_hash: RingHash
        as "envoy.extensions.load_balancing_policies.ring_hash.v3.RingHash" {
        used: hash_function, minimum_ring_size, maximum_ring_size, hash_balance_factor,
            consistent_hashing_lb_config, locality_weighted_lb_config;
        refused: use_hostname_for_hashing;
        ignored: ;
    }
}
message! {
    pub(in crate::decode::cluster) MAGLEV, refuse_maglev: Maglev
        as "envoy.extensions.load_balancing_policies.maglev.v3.Maglev" {
        used: table_size, consistent_hashing_lb_config, locality_weighted_lb_config;
        refused: ;
        ignored: ;
    }
}
message! {
    pub(in crate::decode::cluster) WRR_LOCALITY, refuse_wrr_locality: WrrLocality
        as "envoy.extensions.load_balancing_policies.wrr_locality.v3.WrrLocality" {
        used: endpoint_picking_policy;
        refused: ;
        ignored: ;
    }
}
message! {
    pub(in crate::decode::cluster) LOCALITY, refuse_locality: common::LocalityLbConfig
        as "envoy.extensions.load_balancing_policies.common.v3.LocalityLbConfig" {
        used: locality_config_specifier;
        refused: ;
        ignored: ;
    }
}
message! {
    pub(in crate::decode::cluster) ZONE_AWARE, refuse_zone_aware: locality_lb_config::ZoneAwareLbConfig
        as "envoy.extensions.load_balancing_policies.common.v3.LocalityLbConfig.ZoneAwareLbConfig" {
        used: routing_enabled, min_cluster_size, fail_traffic_on_panic;
        refused: force_locality_direct_routing, force_local_zone, locality_basis;
        ignored: ;
    }
}
message! {
    pub(in crate::decode::cluster) SLOW_START, refuse_slow_start: common::SlowStartConfig
        as "envoy.extensions.load_balancing_policies.common.v3.SlowStartConfig" {
        used: slow_start_window, aggression, min_weight_percent;
        refused: ;
        ignored: ;
    }
}
message! {
    pub(in crate::decode::cluster) CONSISTENT, refuse_consistent: common::ConsistentHashingLbConfig
        as "envoy.extensions.load_balancing_policies.common.v3.ConsistentHashingLbConfig" {
        used: hash_balance_factor;
        refused: use_hostname_for_hashing, hash_policy;
        ignored: ;
    }
}

/// Policies within policies at most.
const NESTING_MAX: usize = 4;

pub(super) fn put(refusals: &mut Refusals, path: &Path, policy: &LoadBalancingPolicy, map: &mut Map) {
    put_nested(refusals, path, policy, map, 0);
}

fn put_nested(
    refusals: &mut Refusals,
    path: &Path,
    policy: &LoadBalancingPolicy,
    map: &mut Map,
    depth: usize,
) {
    refuse_policies(refusals, path, policy);
    if depth > NESTING_MAX {
        return refusals.fault(path, "more policies inside each other than are read");
    }
    let path = path.field("policies");
    let mut others = Vec::new();
    for (index, policy) in policy.policies.iter().enumerate() {
        let at = path
            .index(index)
            .field("typed_extension_config")
            .field("typed_config");
        let config = policy.typed_extension_config.as_ref();
        let Some(any) = config.and_then(|config| config.typed_config.as_ref()) else {
            return refusals.fault(&at, "this field is missing");
        };
        if known(refusals, &at, any, map, depth).is_some() {
            return;
        }
        others.push(any.type_url.rsplit('/').next().unwrap_or_default());
    }
    refusals.unsupported(&path, format!("any policy of {others:?}"));
}

/// Reads a policy; none: it is not known.
fn known(refusals: &mut Refusals, path: &Path, any: &Any, map: &mut Map, depth: usize) -> Option<()> {
    fn is<T: prost::Name>(any: &Any) -> bool {
        any.type_url == type_url::<T>()
    }
    let url = any.type_url.as_str();
    if is::<RoundRobin>(any) {
        if let Some(message) = unpack::<RoundRobin>(refusals, path, any, url) {
            refuse_round_robin(refusals, path, &message);
            put_slow_start(refusals, path, message.slow_start_config.as_ref(), map);
            put_locality(refusals, path, message.locality_lb_config.as_ref(), map);
        }
    } else if is::<LeastRequest>(any) {
        if let Some(message) = unpack::<LeastRequest>(refusals, path, any, url) {
            put_least_request(refusals, path, &message, map);
        }
    } else if is::<Random>(any) {
        if let Some(message) = unpack::<Random>(refusals, path, any, url) {
            refuse_random(refusals, path, &message);
            put_locality(refusals, path, message.locality_lb_config.as_ref(), map);
            map.put("load_balancing", Value::plain(path, "random"));
        }
    } else if is::<RingHash>(any) {
        if let Some(message) = unpack::<RingHash>(refusals, path, any, url) {
            put_ring_hash(refusals, path, &message, map);
        }
    } else if is::<Maglev>(any) {
        if let Some(message) = unpack::<Maglev>(refusals, path, any, url) {
            refuse_maglev(refusals, path, &message);
            put_weighted(path, message.locality_weighted_lb_config.is_some(), map);
            let factor = factor(refusals, path, message.consistent_hashing_lb_config.as_ref());
            let table = table(path, message.table_size.as_ref().map(|size| size.value));
            map.put("load_balancing", hashing(path, "maglev", table, factor));
        }
    } else if is::<WrrLocality>(any) {
        let message = unpack::<WrrLocality>(refusals, path, any, url)?;
        refuse_wrr_locality(refusals, path, &message);
        put_weighted(path, true, map);
        put_inner(
            refusals,
            path,
            "endpoint_picking_policy",
            message.endpoint_picking_policy,
            map,
            depth,
        );
    } else if is::<Subset>(any) {
        let message = unpack::<Subset>(refusals, path, any, url)?;
        subsets::put_typed(refusals, path, &message, map);
        put_inner(
            refusals,
            path,
            "subset_lb_policy",
            message.subset_lb_policy,
            map,
            depth,
        );
    } else if !is::<ClusterProvided>(any) {
        return None;
    }
    Some(())
}

fn put_inner(
    refusals: &mut Refusals,
    path: &Path,
    field: &'static str,
    policy: Option<LoadBalancingPolicy>,
    map: &mut Map,
    depth: usize,
) {
    let at = path.field(field);
    match policy {
        Some(policy) => put_nested(refusals, &at, &policy, map, depth + 1),
        None => refusals.fault(&at, "this field is missing"),
    }
}

fn put_least_request(refusals: &mut Refusals, path: &Path, message: &LeastRequest, map: &mut Map) {
    refuse_least_request(refusals, path, message);
    if message.enable_full_scan.is_some_and(|scan| scan.value) {
        refusals.unsupported(&path.field("enable_full_scan"), "looking at all endpoints");
    }
    put_slow_start(refusals, path, message.slow_start_config.as_ref(), map);
    put_locality(refusals, path, message.locality_lb_config.as_ref(), map);
    let choices = message.choice_count.as_ref().map(|count| count.value);
    map.put("load_balancing", least_request(path, choices));
}

fn put_ring_hash(refusals: &mut Refusals, path: &Path, message: &RingHash, map: &mut Map) {
    refuse_ring_hash(refusals, path, message);
    let function = HashFunction::try_from(message.hash_function);
    if !matches!(function, Ok(HashFunction::DefaultHash | HashFunction::XxHash)) {
        refusals.unsupported(&path.field("hash_function"), "a hash function other than XX_HASH");
    }
    put_weighted(path, message.locality_weighted_lb_config.is_some(), map);
    let newer = factor(refusals, path, message.consistent_hashing_lb_config.as_ref());
    #[allow(deprecated, reason = "older control planes still say it like this")]
    let older = super::balance_factor(path, message.hash_balance_factor.as_ref());
    let sizes = [
        message.minimum_ring_size.as_ref(),
        message.maximum_ring_size.as_ref(),
    ];
    let ring = ring(path, sizes.map(|size| size.map(|size| size.value)));
    map.put(
        "load_balancing",
        hashing(path, "ring_hash", ring, newer.or(older)),
    );
}

fn factor(
    refusals: &mut Refusals,
    path: &Path,
    config: Option<&common::ConsistentHashingLbConfig>,
) -> Option<Value> {
    let at = path.field("consistent_hashing_lb_config");
    refuse_consistent(refusals, &at, config?);
    super::balance_factor(&at, config?.hash_balance_factor.as_ref())
}

fn put_weighted(path: &Path, is_weighted: bool, map: &mut Map) {
    if is_weighted {
        let word = Value::plain(&path.field("locality_weighted_lb_config"), "weighted");
        map.put("locality_balancing", word);
    }
}

fn put_locality(
    refusals: &mut Refusals,
    path: &Path,
    config: Option<&common::LocalityLbConfig>,
    map: &mut Map,
) {
    let Some(config) = config else {
        return;
    };
    let at = path.field("locality_lb_config");
    refuse_locality(refusals, &at, config);
    match &config.locality_config_specifier {
        None => {}
        Some(LocalityConfigSpecifier::LocalityWeightedLbConfig(_)) => put_weighted(&at, true, map),
        Some(LocalityConfigSpecifier::ZoneAwareLbConfig(config)) => {
            let at = at.field("zone_aware_lb_config");
            refuse_zone_aware(refusals, &at, config);
            let zones = Zones {
                routing: config.routing_enabled.as_ref(),
                cluster_size_min: config.min_cluster_size.as_ref().map(|size| size.value),
                fails_in_panic: config.fail_traffic_on_panic,
            };
            put_zones(refusals, &at, &zones, map);
        }
    }
}

fn put_slow_start(
    refusals: &mut Refusals,
    path: &Path,
    config: Option<&common::SlowStartConfig>,
    map: &mut Map,
) {
    let Some(config) = config else {
        return;
    };
    let at = path.field("slow_start_config");
    refuse_slow_start(refusals, &at, config);
    let parts = (
        config.slow_start_window.as_ref(),
        config.aggression.as_ref(),
        config.min_weight_percent.as_ref(),
    );
    slow_start(refusals, &at, parts, map);
}
