//! How endpoints are picked, as YAML.

use super::emit::{Map, Out, list, text};
use super::{boolean, duration, number, number_or_off, pairs, word};
use crate::model::{
    BalancingOptions, Cluster, LoadBalancing, Locality, LocalityBalancing, SlowStart, SubsetFallback, Subsets,
};
use crate::yaml::balancing::locality_text;

/// Where there is one endpoint this has no effect, and writing it would be warned of: what is not the default is written
/// then.
pub(super) fn put(map: &mut Map, cluster: &Cluster, is_balanced: bool) {
    if is_balanced || cluster.load_balancing != LoadBalancing::RoundRobin {
        map.put("load_balancing", policy(cluster.load_balancing));
    }
    let options = &cluster.balancing;
    let default = BalancingOptions::default();
    // With consistent hashing slow start has no effect.
    if options.slow_start.is_some() || (is_balanced && !cluster.load_balancing.is_consistent()) {
        map.put("slow_start", slow_start(options.slow_start));
    }
    if is_balanced || options.localities != default.localities {
        map.put("locality_balancing", localities(&options.localities));
    }
    if !cluster.locality_weights.is_empty() {
        let weights = cluster.locality_weights.iter().map(|weight| {
            Map::default()
                .with("locality", locality(&weight.locality))
                .with("priority", number(weight.priority.into()))
                .with("weight", number(weight.weight.into()))
        });
        map.put("locality_weights", list(weights));
    }
    if is_balanced || options.overprovisioning_factor != default.overprovisioning_factor {
        let factor = options.overprovisioning_factor;
        map.put("overprovisioning_factor", number(factor.into()));
    }
    if is_balanced || options.panic_threshold != default.panic_threshold {
        map.put("panic_threshold", number(options.panic_threshold.into()));
    }
    if is_balanced || options.fails_in_panic {
        map.put("fails_in_panic", boolean(options.fails_in_panic));
    }
    if let Some(groups) = &options.subsets {
        map.put("subsets", subsets(groups));
    }
}

fn policy(policy: LoadBalancing) -> Out {
    let (name, settings) = match policy {
        LoadBalancing::RoundRobin => return word("round_robin"),
        LoadBalancing::Random => return word("random"),
        LoadBalancing::LeastRequest { choices } => (
            "least_request",
            Map::default().with("choices", number(choices.into())),
        ),
        LoadBalancing::PeakEwma { decay, default_rtt } => (
            "peak_ewma",
            Map::default()
                .with("decay", duration(decay))
                .with("default_rtt", duration(default_rtt)),
        ),
        LoadBalancing::RingHash {
            size_min,
            size_max,
            balance_factor,
        } => (
            "ring_hash",
            Map::default()
                .with("size_min", number(size_min.into()))
                .with("size_max", number(size_max.into()))
                .with("balance_factor", number_or_off(balance_factor)),
        ),
        LoadBalancing::Maglev {
            table_size,
            balance_factor,
        } => (
            "maglev",
            Map::default()
                .with("table_size", number(table_size.into()))
                .with("balance_factor", number_or_off(balance_factor)),
        ),
    };
    Map::default().with(name, settings).into()
}

fn slow_start(slow_start: Option<SlowStart>) -> Out {
    let Some(slow_start) = slow_start else {
        return word("off");
    };
    Map::default()
        .with("window", duration(slow_start.window))
        .with("aggression", Out::Plain(slow_start.aggression.to_string()))
        .with("weight_min", number(slow_start.weight_min_percent.into()))
        .into()
}

fn localities(localities: &LocalityBalancing) -> Out {
    match localities {
        LocalityBalancing::Off => word("off"),
        LocalityBalancing::Weighted => word("weighted"),
        LocalityBalancing::ZoneAware(zones) => {
            let zones = Map::default()
                .with("local_cluster", text(&zones.local_cluster))
                .with("routing", number(zones.routing_percent.into()))
                .with("cluster_size_min", number(zones.cluster_size_min.into()))
                .with("strict", boolean(zones.strict));
            Map::default().with("zone_aware", zones).into()
        }
    }
}

pub(super) fn locality(locality: &Locality) -> Out {
    if let Some(parts) = locality_text(locality) {
        return text(parts);
    }
    let mut map = Map::default();
    for (name, part) in [
        ("region", &locality.region),
        ("zone", &locality.zone),
        ("sub_zone", &locality.sub_zone),
    ] {
        if !part.is_empty() {
            map.put(name, text(part));
        }
    }
    map.into()
}

fn subsets(subsets: &Subsets) -> Map {
    let fallback = match &subsets.fallback {
        SubsetFallback::None => word("none"),
        SubsetFallback::Any => word("any"),
        SubsetFallback::Default(metadata) => Map::default().with("default", pairs(metadata)).into(),
    };
    let selectors = subsets.selectors.iter().map(|keys| list(keys.iter().map(text)));
    Map::default()
        .with("selectors", list(selectors))
        .with("fallback", fallback)
}
