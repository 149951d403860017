//! Where requests and connections go: a cluster, or clusters with their shares.

use super::Unique;
use super::reader::{Fields, Part, Reader};
use super::shapes::WEIGHTED_CLUSTER;
use super::tree::Node;
use crate::model::{Name, WeightedCluster};
use crate::receipt::Code;
use std::collections::BTreeMap;

/// The targets in the fields `cluster` and `weighted_clusters`, of which exactly one is given.
pub(super) fn targets(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Vec<WeightedCluster> {
    let mut clusters = Vec::new();
    let subset = subset(reader, fields);
    if let Some(node) = fields.node(reader, "cluster")
        && let Some(cluster) = cluster(reader, node)
    {
        clusters.push(WeightedCluster {
            cluster,
            weight: 1,
            subset,
        });
    } else if fields.entry("subset").is_some() && fields.entry("cluster").is_none() {
        let help = "give each of the `weighted_clusters` its own";
        reader.fault_with_help(fields.key_span_of("subset"), "`subset` without `cluster`", help);
    }
    clusters.extend(weighted_clusters(reader, fields));
    clusters
}

/// A reference to a cluster that the document declares.
pub(super) fn cluster(reader: &mut Reader<'_>, node: &Node) -> Option<Name> {
    let name = reader.name(node)?;
    reader.refer(Part::Cluster, &name, node.span);
    Some(name)
}

/// Free keys with their values, in a field.
pub(super) fn pairs(reader: &mut Reader<'_>, fields: &Fields<'_>, name: &str) -> BTreeMap<String, String> {
    let mut pairs = BTreeMap::new();
    for entry in fields.map(reader, name) {
        if let Some(value) = reader.text(&entry.value, "a text") {
            pairs.insert(entry.key.clone(), value);
        }
    }
    pairs
}

/// Which endpoints of a cluster are meant, in the field `subset`; empty: all.
fn subset(reader: &mut Reader<'_>, fields: &Fields<'_>) -> BTreeMap<String, String> {
    let subset = pairs(reader, fields, "subset");
    if subset.is_empty() && fields.entry("subset").is_some() {
        let message = "an empty `subset` is every endpoint";
        reader.warn(
            Code::SubsetEmpty,
            fields.key_span_of("subset"),
            message,
            "remove it",
        );
    }
    subset
}

/// A target in a message.
fn shown(cluster: &Name, subset: &BTreeMap<String, String>) -> String {
    if subset.is_empty() {
        return cluster.to_string();
    }
    let pairs: Vec<String> = subset
        .iter()
        .map(|(key, value)| format!("{key}: {value}"))
        .collect();
    format!("{cluster} {{{}}}", pairs.join(", "))
}

fn weighted_clusters(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Vec<WeightedCluster> {
    let nodes = fields.list(reader, "weighted_clusters");
    let mut names = Unique::new("share of the cluster");
    let mut clusters = Vec::new();
    let mut sum = 0;
    let mut whole = true;
    for node in nodes {
        let Some(fields) = reader.fields(node, &WEIGHTED_CLUSTER) else {
            whole = false;
            continue;
        };
        let name = fields
            .node(reader, "cluster")
            .and_then(|node| cluster(reader, node));
        let weight = fields.integer32(reader, "weight");
        let subset = subset(reader, &fields);
        if let Some(name) = &name {
            names.insert(reader, shown(name, &subset), fields.span_of("cluster"));
        }
        match (name, weight) {
            (Some(cluster), Some(weight)) => clusters.push(WeightedCluster {
                cluster,
                weight,
                subset,
            }),
            _ => whole = false,
        }
        sum += u64::from(weight.unwrap_or(0));
    }
    if !nodes.is_empty() && whole && sum == 0 {
        reader.fault(
            fields.span_of("weighted_clusters"),
            "the weights sum to 0, so no cluster gets a request",
        );
    } else if sum > u64::from(u32::MAX) {
        let message = format!("the weights sum to {sum}, more than {}", u32::MAX);
        reader.fault(fields.span_of("weighted_clusters"), message);
    }
    clusters
}
