//! How endpoints are picked, in the spelling that every version of Envoy and gRPC reads.

use super::{Remainder, value};
use cluster::cluster::common_lb_config::{
    ConsistentHashingLbConfig, LocalityConfigSpecifier, LocalityWeightedLbConfig, ZoneAwareLbConfig,
};
use cluster::cluster::{self as of_cluster, LbConfig, LbPolicy, LbSubsetConfig, lb_subset_config};
use envoy_types::pb::envoy::config::cluster::v3 as cluster;
use envoy_types::pb::envoy::config::core::v3::RuntimeDouble;
use envoy_types::pb::envoy::r#type::v3::Percent;
use envoy_types::pb::google::protobuf::{Struct, UInt64Value, Value, value::Kind};
use lb_subset_config::{LbSubsetFallbackPolicy, LbSubsetSelector};
use outrigger_config::model::{
    Cluster, Discovery, LoadBalancing, LocalityBalancing, SlowStart, SubsetFallback, Subsets, defaults,
};

pub(super) fn put(model: &Cluster, remainder: &mut Remainder, message: &mut cluster::Cluster) {
    let mut common = of_cluster::CommonLbConfig::default();
    put_policy(model, remainder, message, &mut common);
    let options = model.balancing();
    if options.panic_threshold() != defaults::PANIC_THRESHOLD_PERCENT {
        common.healthy_panic_threshold = Some(percent(options.panic_threshold()));
    }
    remainder.said("panic_threshold");
    let is_weighted = *options.localities() == LocalityBalancing::Weighted;
    // Envoy knows of it only beside zone-aware routing.
    let fails_in_panic = options.fails_in_panic() && !is_weighted;
    if fails_in_panic {
        remainder.said("fails_in_panic");
    }
    common.locality_config_specifier = match options.localities() {
        LocalityBalancing::Weighted => {
            remainder.said("locality_balancing");
            Some(LocalityConfigSpecifier::LocalityWeightedLbConfig(
                LocalityWeightedLbConfig {},
            ))
        }
        LocalityBalancing::Off => {
            remainder.said("locality_balancing");
            let config = ZoneAwareLbConfig {
                routing_enabled: Some(percent(0)),
                min_cluster_size: None,
                fail_traffic_on_panic: true,
            };
            fails_in_panic.then_some(LocalityConfigSpecifier::ZoneAwareLbConfig(config))
        }
        // Of which cluster this proxy is one is in Envoy's bootstrap. Routing of no request is not said: it is read as off.
        LocalityBalancing::ZoneAware(zones) if zones.routing_percent() > 0 => {
            remainder.said("locality_balancing.zone_aware.routing");
            remainder.said("locality_balancing.zone_aware.cluster_size_min");
            remainder.unless("locality_balancing.zone_aware.strict", false);
            Some(LocalityConfigSpecifier::ZoneAwareLbConfig(ZoneAwareLbConfig {
                routing_enabled: Some(percent(zones.routing_percent())),
                min_cluster_size: Some(UInt64Value {
                    value: zones.cluster_size_min().into(),
                }),
                fail_traffic_on_panic: fails_in_panic,
            }))
        }
        LocalityBalancing::ZoneAware(_) => {
            Some(LocalityConfigSpecifier::ZoneAwareLbConfig(ZoneAwareLbConfig {
                routing_enabled: Some(percent(0)),
                min_cluster_size: None,
                fail_traffic_on_panic: fails_in_panic,
            }))
        }
    };
    if let Some(subsets) = options.subsets() {
        message.lb_subset_config = Some(subset_config(subsets));
        remainder.said("subsets");
    }
    if common != of_cluster::CommonLbConfig::default() {
        message.common_lb_config = Some(common);
    }
}

fn put_policy(
    model: &Cluster,
    remainder: &mut Remainder,
    message: &mut cluster::Cluster,
    common: &mut of_cluster::CommonLbConfig,
) {
    let slow_start = model.balancing().slow_start();
    if matches!(model.discovery(), Discovery::OriginalDestination(_)) {
        // The destination says which endpoint it is; what else is written has no effect, and stays where it is.
        message.lb_policy = LbPolicy::ClusterProvided as i32;
        return;
    }
    let Some((policy, config)) = policy(model.load_balancing(), slow_start) else {
        return;
    };
    if let LoadBalancing::RingHash { balance_factor, .. } | LoadBalancing::Maglev { balance_factor, .. } =
        model.load_balancing()
    {
        common.consistent_hashing_lb_config = balance_factor.map(|factor| ConsistentHashingLbConfig {
            hash_balance_factor: Some(value::number(factor)),
            ..ConsistentHashingLbConfig::default()
        });
    }
    remainder.said("load_balancing");
    if slow_start.is_none() || matches!(policy, LbPolicy::RoundRobin | LbPolicy::LeastRequest) {
        remainder.said("slow_start");
    }
    message.lb_policy = policy as i32;
    message.lb_config = config;
}

/// The policy with its settings; none: Envoy has no such policy. It then takes endpoints in turn, of which nothing has to be
/// said.
fn policy(policy: LoadBalancing, slow_start: Option<SlowStart>) -> Option<(LbPolicy, Option<LbConfig>)> {
    let wide = |value: u32| Some(UInt64Value { value: value.into() });
    Some(match policy {
        LoadBalancing::RoundRobin => {
            let config = of_cluster::RoundRobinLbConfig {
                slow_start_config: slow_start.map(slow_start_config),
            };
            let config = slow_start.map(|_| LbConfig::RoundRobinLbConfig(config));
            (LbPolicy::RoundRobin, config)
        }
        LoadBalancing::LeastRequest { choices } => {
            let config = of_cluster::LeastRequestLbConfig {
                choice_count: Some(value::number(choices)),
                slow_start_config: slow_start.map(slow_start_config),
                ..of_cluster::LeastRequestLbConfig::default()
            };
            (
                LbPolicy::LeastRequest,
                Some(LbConfig::LeastRequestLbConfig(config)),
            )
        }
        LoadBalancing::Random => (LbPolicy::Random, None),
        LoadBalancing::RingHash {
            size_min, size_max, ..
        } => {
            let config = of_cluster::RingHashLbConfig {
                minimum_ring_size: wide(size_min),
                maximum_ring_size: wide(size_max),
                hash_function: of_cluster::ring_hash_lb_config::HashFunction::XxHash as i32,
            };
            (LbPolicy::RingHash, Some(LbConfig::RingHashLbConfig(config)))
        }
        LoadBalancing::Maglev { table_size, .. } => {
            let config = of_cluster::MaglevLbConfig {
                table_size: wide(table_size),
            };
            (LbPolicy::Maglev, Some(LbConfig::MaglevLbConfig(config)))
        }
        LoadBalancing::PeakEwma { .. } => return None,
    })
}

fn percent(value: u32) -> Percent {
    Percent { value: value.into() }
}

/// The key of Envoy's runtime, by which it could be told another number, cannot be left out.
fn slow_start_config(slow_start: SlowStart) -> of_cluster::SlowStartConfig {
    of_cluster::SlowStartConfig {
        slow_start_window: Some(value::duration(slow_start.window())),
        aggression: Some(RuntimeDouble {
            default_value: slow_start.aggression(),
            runtime_key: "outrigger.slow_start.aggression".to_owned(),
        }),
        min_weight_percent: Some(percent(slow_start.weight_min_percent())),
    }
}

fn subset_config(subsets: &Subsets) -> LbSubsetConfig {
    let selectors = subsets.selectors().iter().map(|keys| LbSubsetSelector {
        keys: keys.clone(),
        ..LbSubsetSelector::default()
    });
    let (policy, default) = match subsets.fallback() {
        SubsetFallback::None => (LbSubsetFallbackPolicy::NoFallback, None),
        SubsetFallback::Any => (LbSubsetFallbackPolicy::AnyEndpoint, None),
        SubsetFallback::Default(metadata) => {
            let text = |text: &String| Value {
                kind: Some(Kind::StringValue(text.clone())),
            };
            let fields = metadata.iter().map(|(key, value)| (key.clone(), text(value)));
            let fields = fields.collect();
            (LbSubsetFallbackPolicy::DefaultSubset, Some(Struct { fields }))
        }
    };
    LbSubsetConfig {
        fallback_policy: policy as i32,
        default_subset: default,
        subset_selectors: selectors.collect(),
        ..LbSubsetConfig::default()
    }
}
