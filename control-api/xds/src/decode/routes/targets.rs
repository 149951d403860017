//! The clusters that a route forwards to.

use super::Refusals;
use crate::decode::{SUBSETS_NAMESPACE, value};
use crate::support::message;
use envoy_types::pb::envoy::config::core::v3::Metadata;
use envoy_types::pb::envoy::config::route::v3::route_action::ClusterSpecifier;
use envoy_types::pb::envoy::config::route::v3::weighted_cluster::ClusterWeight;
use envoy_types::pb::envoy::config::route::v3::{RouteAction, WeightedCluster};
use envoy_types::pb::google::protobuf::value::Kind;
use outrigger_config::document::{Map, Path, Value};
use std::collections::BTreeMap;

message! {
    pub(super) WEIGHTED_CLUSTER, refuse_weighted_cluster:
        WeightedCluster as "envoy.config.route.v3.WeightedCluster" {
        used: clusters, total_weight;
        refused: random_value_specifier;
        ignored: runtime_key_prefix = "there is no runtime that overrides shares";
    }
}
message! {
    pub(super) CLUSTER_WEIGHT, refuse_cluster_weight:
        ClusterWeight as "envoy.config.route.v3.WeightedCluster.ClusterWeight" {
        used: name, weight, metadata_match;
        refused: cluster_header, request_headers_to_add, request_headers_to_remove, response_headers_to_add,
            response_headers_to_remove, typed_per_filter_config, host_rewrite_specifier;
        ignored: ;
    }
}

/// Puts the targets into a forward.
pub(super) fn put(refusals: &mut Refusals, path: &Path, message: &RouteAction, map: &mut Map) {
    let subset_at = path.field("metadata_match");
    let subset = subset(refusals, &subset_at, message.metadata_match.as_ref());
    match &message.cluster_specifier {
        None => refusals.fault(path, "it does not say which cluster"),
        Some(ClusterSpecifier::Cluster(name)) => {
            map.put("cluster", Value::text(&path.field("cluster"), name.as_str()));
            map.put_some("subset", subset_value(&subset_at, subset));
        }
        Some(ClusterSpecifier::WeightedClusters(clusters)) => {
            let path = path.field("weighted_clusters");
            map.put("weighted_clusters", weighted(refusals, &path, clusters, &subset));
        }
        Some(ClusterSpecifier::ClusterHeader(_)) => {
            refusals.unsupported(&path.field("cluster_header"), "choosing the cluster by a header");
        }
        Some(ClusterSpecifier::ClusterSpecifierPlugin(_)) => {
            refusals.unsupported(
                &path.field("cluster_specifier_plugin"),
                "choosing the cluster by a plugin",
            );
        }
        Some(ClusterSpecifier::InlineClusterSpecifierPlugin(_)) => {
            let path = path.field("inline_cluster_specifier_plugin");
            refusals.unsupported(&path, "choosing the cluster by a plugin");
        }
    }
}

fn weighted(
    refusals: &mut Refusals,
    path: &Path,
    message: &WeightedCluster,
    around: &BTreeMap<String, Value>,
) -> Value {
    refuse_weighted_cluster(refusals, path, message);
    let path_of = path.field("clusters");
    let mut targets = Vec::with_capacity(message.clusters.len());
    let mut sum = 0u64;
    for (index, cluster) in message.clusters.iter().enumerate() {
        let path = path_of.index(index);
        refuse_cluster_weight(refusals, &path, cluster);
        sum += cluster
            .weight
            .as_ref()
            .map_or(0, |weight| u64::from(weight.value));
        let name = Value::text(&path.field("name"), cluster.name.as_str());
        let mut target = Map::new(&path).with("cluster", name);
        target.put_some(
            "weight",
            value::number(&path.field("weight"), cluster.weight.as_ref()),
        );
        let subset_at = path.field("metadata_match");
        let mut subset = around.clone();
        subset.extend(self::subset(
            refusals,
            &subset_at,
            cluster.metadata_match.as_ref(),
        ));
        target.put_some("subset", subset_value(&subset_at, subset));
        targets.push(target.into());
    }
    #[allow(deprecated, reason = "older control planes still say it")]
    if let Some(total) = &message.total_weight
        && u64::from(total.value) != sum
    {
        let message = format!("the weights sum to {sum}, not to {}", total.value);
        refusals.fault(&path.field("total_weight"), message);
    }
    Value::list(&path_of, targets)
}

fn subset(refusals: &mut Refusals, path: &Path, metadata: Option<&Metadata>) -> BTreeMap<String, Value> {
    let mut subset = BTreeMap::new();
    let Some(Metadata {
        filter_metadata,
        typed_filter_metadata,
    }) = metadata
    else {
        return subset;
    };
    refusals.refuse_set(path, "typed_filter_metadata", !typed_filter_metadata.is_empty());
    let path = path.field("filter_metadata");
    for (namespace, fields) in filter_metadata {
        let path = path.key(namespace);
        if namespace != SUBSETS_NAMESPACE {
            refusals.unsupported(
                &path,
                format_args!("choosing endpoints by other metadata than `{SUBSETS_NAMESPACE}`"),
            );
            continue;
        }
        for (name, value) in &fields.fields {
            let path = path.key(name);
            match &value.kind {
                Some(Kind::StringValue(text)) => {
                    subset.insert(name.clone(), Value::text(&path, text.as_str()));
                }
                _ => refusals.unsupported(&path, "choosing endpoints by anything but texts"),
            }
        }
    }
    subset
}

fn subset_value(path: &Path, subset: BTreeMap<String, Value>) -> Option<Value> {
    let mut map = Map::new(path);
    for (name, value) in subset {
        map.put(name, value);
    }
    (!map.is_empty()).then(|| map.into())
}
