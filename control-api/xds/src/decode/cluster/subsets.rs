//! Subsets of endpoints, of either spelling.

use crate::decode::{Refusals, value};
use crate::support::message;
use envoy_types::pb::envoy::config::cluster::v3::cluster::{LbSubsetConfig, lb_subset_config};
use envoy_types::pb::envoy::extensions::load_balancing_policies::subset::v3 as typed;
use envoy_types::pb::google::protobuf::Struct;
use lb_subset_config::LbSubsetFallbackPolicy as Fallback;
use outrigger_config::document::{Map, Path, Value};

message! {
    pub(super) SUBSETS, refuse_subsets: LbSubsetConfig as "envoy.config.cluster.v3.Cluster.LbSubsetConfig" {
        used: fallback_policy, default_subset, subset_selectors;
        refused: locality_weight_aware, scale_locality_weight, panic_mode_any, list_as_any,
            metadata_fallback_policy;
        ignored: ;
    }
}
message! {
    pub(super) SELECTOR, refuse_selector: lb_subset_config::LbSubsetSelector
        as "envoy.config.cluster.v3.Cluster.LbSubsetConfig.LbSubsetSelector" {
        used: keys;
        refused: single_host_per_subset, fallback_policy, fallback_keys_subset;
        ignored: ;
    }
}

pub(super) fn put(refusals: &mut Refusals, path: &Path, config: &LbSubsetConfig, map: &mut Map) {
    refuse_subsets(refusals, path, config);
    let at = path.field("subset_selectors");
    for (index, selector) in config.subset_selectors.iter().enumerate() {
        refuse_selector(refusals, &at.index(index), selector);
    }
    let keys = config
        .subset_selectors
        .iter()
        .map(|selector| selector.keys.as_slice());
    put_parts(
        refusals,
        path,
        config.fallback_policy,
        config.default_subset.as_ref(),
        keys,
        map,
    );
}

pub(super) fn put_typed(refusals: &mut Refusals, path: &Path, config: &typed::Subset, map: &mut Map) {
    let typed::Subset {
        fallback_policy,
        default_subset,
        subset_selectors,
        allow_redundant_keys,
        locality_weight_aware,
        scale_locality_weight,
        panic_mode_any,
        list_as_any,
        metadata_fallback_policy,
        subset_lb_policy: _,
    } = config;
    for (field, is_set) in [
        ("allow_redundant_keys", *allow_redundant_keys),
        ("locality_weight_aware", *locality_weight_aware),
        ("scale_locality_weight", *scale_locality_weight),
        ("panic_mode_any", *panic_mode_any),
        ("list_as_any", *list_as_any),
        ("metadata_fallback_policy", *metadata_fallback_policy != 0),
    ] {
        refusals.refuse_set(path, field, is_set);
    }
    let at = path.field("subset_selectors");
    for (index, selector) in subset_selectors.iter().enumerate() {
        let typed::subset::LbSubsetSelector {
            keys: _,
            single_host_per_subset,
            fallback_policy,
            fallback_keys_subset,
        } = selector;
        let at = at.index(index);
        refusals.refuse_set(&at, "single_host_per_subset", *single_host_per_subset);
        refusals.refuse_set(&at, "fallback_policy", *fallback_policy != 0);
        refusals.refuse_set(&at, "fallback_keys_subset", !fallback_keys_subset.is_empty());
    }
    let keys = subset_selectors.iter().map(|selector| selector.keys.as_slice());
    // The values of the enumeration are the same.
    put_parts(
        refusals,
        path,
        *fallback_policy,
        default_subset.as_ref(),
        keys,
        map,
    );
}

fn put_parts<'m>(
    refusals: &mut Refusals,
    path: &Path,
    fallback: i32,
    default: Option<&Struct>,
    selectors: impl Iterator<Item = &'m [String]>,
    map: &mut Map,
) {
    let at = path.field("subset_selectors");
    let selectors = selectors.enumerate().map(|(index, keys)| {
        let at = at.index(index).field("keys");
        let keys = keys.iter().enumerate();
        Value::list(
            &at,
            keys.map(|(index, key)| Value::text(&at.index(index), key.as_str())),
        )
    });
    let mut subsets = Map::new(path).with("selectors", Value::list(&at, selectors));
    let at = path.field("fallback_policy");
    match Fallback::try_from(fallback) {
        Ok(Fallback::NoFallback) => {}
        Ok(Fallback::AnyEndpoint) => subsets.put("fallback", Value::plain(&at, "any")),
        Ok(Fallback::DefaultSubset) => {
            let none = Struct::default();
            let metadata = value::struct_map(&path.field("default_subset"), default.unwrap_or(&none));
            subsets.put("fallback", Map::new(&at).with("default", metadata.into()).into());
        }
        Err(_) => refusals.fault(&at, "there is no such policy"),
    }
    map.put("subsets", subsets.into());
}
