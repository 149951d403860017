//! How endpoints are picked, in the older spelling: `lb_policy` with its configuration, and what is common to all.

pub(super) mod typed;

use super::subsets;
use crate::decode::{Refusals, value};
use crate::support::message;
use cluster::cluster::common_lb_config::{self, LocalityConfigSpecifier};
use cluster::cluster::{self as of_cluster, LbConfig, LbPolicy};
use envoy_types::pb::envoy::config::cluster::v3 as cluster;
use envoy_types::pb::envoy::config::core::v3::RuntimeDouble;
use envoy_types::pb::envoy::r#type::v3::Percent;
use outrigger_config::document::{Map, Path, Value};

message! {
    pub(super) COMMON, refuse_common: of_cluster::CommonLbConfig as "envoy.config.cluster.v3.Cluster.CommonLbConfig" {
        used: healthy_panic_threshold, consistent_hashing_lb_config, locality_config_specifier;
        refused: ignore_new_hosts_until_first_hc, close_connections_on_host_set_change, override_host_status;
        ignored: update_merge_window = "changes of endpoints are applied as they come";
    }
}
message! {
    pub(super) ZONE_AWARE, refuse_zone_aware: common_lb_config::ZoneAwareLbConfig
        as "envoy.config.cluster.v3.Cluster.CommonLbConfig.ZoneAwareLbConfig" {
        used: routing_enabled, min_cluster_size, fail_traffic_on_panic;
        refused: ;
        ignored: ;
    }
}
message! {
    pub(super) CONSISTENT, refuse_consistent: common_lb_config::ConsistentHashingLbConfig
        as "envoy.config.cluster.v3.Cluster.CommonLbConfig.ConsistentHashingLbConfig" {
        used: hash_balance_factor;
        refused: use_hostname_for_hashing;
        ignored: ;
    }
}
message! {
    pub(super) SLOW_START, refuse_slow_start: of_cluster::SlowStartConfig
        as "envoy.config.cluster.v3.Cluster.SlowStartConfig" {
        used: slow_start_window, aggression, min_weight_percent;
        refused: ;
        ignored: ;
    }
}
message! {
    pub(super) ROUND_ROBIN, refuse_round_robin: of_cluster::RoundRobinLbConfig
        as "envoy.config.cluster.v3.Cluster.RoundRobinLbConfig" {
        used: slow_start_config;
        refused: ;
        ignored: ;
    }
}
message! {
    pub(super) LEAST_REQUEST, refuse_least_request: of_cluster::LeastRequestLbConfig
        as "envoy.config.cluster.v3.Cluster.LeastRequestLbConfig" {
        used: choice_count, slow_start_config;
        refused: active_request_bias;
        ignored: ;
    }
}
message! {
    pub(super) RING_HASH, refuse_ring_hash: of_cluster::RingHashLbConfig
        as "envoy.config.cluster.v3.Cluster.RingHashLbConfig" {
        used: minimum_ring_size, maximum_ring_size, hash_function;
        refused: ;
        ignored: ;
    }
}
message! {
    pub(super) MAGLEV, refuse_maglev: of_cluster::MaglevLbConfig as "envoy.config.cluster.v3.Cluster.MaglevLbConfig" {
        used: table_size;
        refused: ;
        ignored: ;
    }
}
message! {
    pub(super) POLICIES, refuse_policies: cluster::LoadBalancingPolicy
        as "envoy.config.cluster.v3.LoadBalancingPolicy" {
        used: policies;
        refused: ;
        ignored: ;
    }
}

pub(super) fn put(refusals: &mut Refusals, path: &Path, message: &cluster::Cluster, map: &mut Map) {
    if let Some(policy) = &message.load_balancing_policy {
        // With it, the older fields are not looked at.
        let at = path.field("load_balancing_policy");
        typed::put(refusals, &at, policy, map);
        if let Some(common) = &message.common_lb_config {
            let at = path.field("common_lb_config");
            refuse_common(refusals, &at, common);
            put_panic_threshold(refusals, &at, common.healthy_panic_threshold.as_ref(), map);
        }
        return;
    }
    put_policy(refusals, path, message, map);
    if let Some(subsets) = &message.lb_subset_config {
        subsets::put(refusals, &path.field("lb_subset_config"), subsets, map);
    }
    if let Some(common) = &message.common_lb_config {
        put_common(refusals, &path.field("common_lb_config"), common, map);
    }
}

fn put_policy(refusals: &mut Refusals, path: &Path, message: &cluster::Cluster, map: &mut Map) {
    let at = path.field("lb_policy");
    let is_original = message.cluster_discovery_type
        == Some(of_cluster::ClusterDiscoveryType::Type(
            of_cluster::DiscoveryType::OriginalDst as i32,
        ));
    let factor = message.common_lb_config.as_ref().and_then(|common| {
        let config = common.consistent_hashing_lb_config.as_ref()?;
        let at = path
            .field("common_lb_config")
            .field("consistent_hashing_lb_config");
        refuse_consistent(refusals, &at, config);
        balance_factor(&at, config.hash_balance_factor.as_ref())
    });
    let config = message.lb_config.as_ref();
    let policy = match (LbPolicy::try_from(message.lb_policy), config) {
        (Ok(LbPolicy::RoundRobin), None) => return,
        (Ok(LbPolicy::RoundRobin), Some(LbConfig::RoundRobinLbConfig(config))) => {
            let at = path.field("round_robin_lb_config");
            refuse_round_robin(refusals, &at, config);
            return put_slow_start(refusals, &at, config.slow_start_config.as_ref(), map);
        }
        (Ok(LbPolicy::Random), None) => Value::plain(&at, "random"),
        (Ok(LbPolicy::LeastRequest), None) => Value::plain(&at, "least_request"),
        (Ok(LbPolicy::LeastRequest), Some(LbConfig::LeastRequestLbConfig(config))) => {
            let at = path.field("least_request_lb_config");
            refuse_least_request(refusals, &at, config);
            put_slow_start(refusals, &at, config.slow_start_config.as_ref(), map);
            least_request(&at, config.choice_count.as_ref().map(|count| count.value))
        }
        (Ok(LbPolicy::RingHash), None) => hashing(&at, "ring_hash", Map::new(&at), factor),
        (Ok(LbPolicy::RingHash), Some(LbConfig::RingHashLbConfig(config))) => {
            let at = path.field("ring_hash_lb_config");
            refuse_ring_hash(refusals, &at, config);
            if config.hash_function != of_cluster::ring_hash_lb_config::HashFunction::XxHash as i32 {
                refusals.unsupported(&at.field("hash_function"), "a hash function other than XX_HASH");
            }
            let sizes = [
                config.minimum_ring_size.as_ref(),
                config.maximum_ring_size.as_ref(),
            ];
            let ring = ring(&at, sizes.map(|size| size.map(|size| size.value)));
            hashing(&at, "ring_hash", ring, factor)
        }
        (Ok(LbPolicy::Maglev), None) => hashing(&at, "maglev", Map::new(&at), factor),
        (Ok(LbPolicy::Maglev), Some(LbConfig::MaglevLbConfig(config))) => {
            let at = path.field("maglev_lb_config");
            refuse_maglev(refusals, &at, config);
            let table = table(&at, config.table_size.as_ref().map(|size| size.value));
            hashing(&at, "maglev", table, factor)
        }
        (Ok(LbPolicy::ClusterProvided), None | Some(LbConfig::OriginalDstLbConfig(_))) if is_original => {
            return;
        }
        (Ok(LbPolicy::ClusterProvided), _) => {
            return refusals.fault(&at, "only original destinations provide a policy themselves");
        }
        (Ok(LbPolicy::LoadBalancingPolicyConfig), _) => {
            return refusals.fault(&path.field("load_balancing_policy"), "this field is missing");
        }
        (Ok(_), Some(_)) => return refusals.fault(&at, "the policy, and the configuration of another"),
        (Err(_), _) => return refusals.fault(&at, "there is no such policy"),
    };
    map.put("load_balancing", policy);
}

/// A policy of consistent hashing with its settings.
fn hashing(path: &Path, name: &str, settings: Map, factor: Option<Value>) -> Value {
    let mut settings = settings;
    settings.put_some("balance_factor", factor);
    match settings.is_empty() {
        true => Value::plain(path, name),
        false => Map::new(path).with(name, settings.into()).into(),
    }
}

fn balance_factor(
    path: &Path,
    factor: Option<&envoy_types::pb::google::protobuf::UInt32Value>,
) -> Option<Value> {
    value::number(&path.field("hash_balance_factor"), factor)
}

fn least_request(path: &Path, choices: Option<u32>) -> Value {
    let Some(choices) = choices else {
        return Value::plain(path, "least_request");
    };
    let choices = Value::plain(&path.field("choice_count"), choices);
    let settings = Map::new(path).with("choices", choices);
    Map::new(path).with("least_request", settings.into()).into()
}

fn ring(path: &Path, [minimum, maximum]: [Option<u64>; 2]) -> Map {
    let mut ring = Map::new(path);
    for (name, field, size) in [
        ("size_min", "minimum_ring_size", minimum),
        ("size_max", "maximum_ring_size", maximum),
    ] {
        ring.put_some(name, size.map(|size| Value::plain(&path.field(field), size)));
    }
    ring
}

fn table(path: &Path, size: Option<u64>) -> Map {
    let mut table = Map::new(path);
    table.put_some(
        "table_size",
        size.map(|size| Value::plain(&path.field("table_size"), size)),
    );
    table
}

fn put_slow_start(
    refusals: &mut Refusals,
    path: &Path,
    config: Option<&of_cluster::SlowStartConfig>,
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

type SlowStartParts<'m> = (
    Option<&'m envoy_types::pb::google::protobuf::Duration>,
    Option<&'m RuntimeDouble>,
    Option<&'m Percent>,
);

/// Slow start of either spelling. There is no runtime that could give another `aggression`.
fn slow_start(
    refusals: &mut Refusals,
    path: &Path,
    (window, aggression, weight_min): SlowStartParts<'_>,
    map: &mut Map,
) {
    let at = path.field("slow_start_window");
    let Some(window) = value::duration_value(refusals, &at, window) else {
        return;
    };
    let mut settings = Map::new(path).with("window", window);
    if let Some(aggression) = aggression {
        let at = path.field("aggression").field("default_value");
        settings.put("aggression", Value::plain(&at, aggression.default_value));
    }
    let at = path.field("min_weight_percent");
    settings.put_some("weight_min", percent(refusals, &at, weight_min));
    map.put("slow_start", settings.into());
}

/// A whole percentage.
pub(super) fn percent(refusals: &mut Refusals, path: &Path, percent: Option<&Percent>) -> Option<Value> {
    let percent = percent?.value;
    if percent.fract() != 0.0 || !(0.0..=100.0).contains(&percent) {
        let message = format!("{percent} is not a whole percentage");
        refusals.fault_with_help(path, message, "fractions of a percent are not implemented");
        return None;
    }
    Some(Value::plain(path, percent))
}

fn put_panic_threshold(refusals: &mut Refusals, path: &Path, threshold: Option<&Percent>, map: &mut Map) {
    let at = path.field("healthy_panic_threshold");
    map.put_some("panic_threshold", percent(refusals, &at, threshold));
}

fn put_common(refusals: &mut Refusals, path: &Path, common: &of_cluster::CommonLbConfig, map: &mut Map) {
    refuse_common(refusals, path, common);
    put_panic_threshold(refusals, path, common.healthy_panic_threshold.as_ref(), map);
    match &common.locality_config_specifier {
        None => {}
        Some(LocalityConfigSpecifier::LocalityWeightedLbConfig(
            common_lb_config::LocalityWeightedLbConfig {},
        )) => {
            let at = path.field("locality_weighted_lb_config");
            map.put("locality_balancing", Value::plain(&at, "weighted"));
        }
        Some(LocalityConfigSpecifier::ZoneAwareLbConfig(config)) => {
            let at = path.field("zone_aware_lb_config");
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

/// Zone-aware routing of either spelling.
struct Zones<'m> {
    routing: Option<&'m Percent>,
    cluster_size_min: Option<u64>,
    fails_in_panic: bool,
}

/// Of which cluster this proxy is one is said by Envoy's bootstrap, here in the metadata (`locality_balancing.zone_aware.
/// local_cluster`). Routing of no requests is none.
fn put_zones(refusals: &mut Refusals, path: &Path, zones: &Zones<'_>, map: &mut Map) {
    if zones.fails_in_panic {
        let at = path.field("fail_traffic_on_panic");
        map.put("fails_in_panic", Value::plain(&at, true));
    }
    if zones.routing.is_some_and(|routing| routing.value == 0.0) {
        return;
    }
    let mut zone_aware = Map::new(path);
    let at = path.field("routing_enabled");
    zone_aware.put_some("routing", percent(refusals, &at, zones.routing));
    if let Some(size) = zones.cluster_size_min {
        zone_aware.put(
            "cluster_size_min",
            Value::plain(&path.field("min_cluster_size"), size),
        );
    }
    let balancing = Map::new(path).with("zone_aware", zone_aware.into());
    map.put("locality_balancing", balancing.into());
}
