//! The TCP proxy.

use crate::decode::{Refusals, access_log, value};
use crate::support::{Message, message};
use envoy_types::pb::envoy::config::core::v3::Metadata;
use envoy_types::pb::envoy::extensions::filters::network::tcp_proxy::v3::{
    TcpProxy,
    tcp_proxy::{ClusterSpecifier, WeightedCluster, weighted_cluster::ClusterWeight},
};
use envoy_types::pb::envoy::r#type::v3::{HashPolicy, hash_policy::PolicySpecifier};
use outrigger_config::document::{Map, Path, Value};

pub(super) const MESSAGES: &[&Message] = &[&TCP_PROXY, &WEIGHTED_CLUSTER, &CLUSTER_WEIGHT, &HASH_POLICY];

message! {
    pub(super) TCP_PROXY, refuse_tcp_proxy: TcpProxy
        as "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy" {
        used: metadata_match, idle_timeout, access_log, max_connect_attempts, hash_policy,
            max_downstream_connection_duration, cluster_specifier;
        refused: on_demand, downstream_idle_timeout, upstream_idle_timeout, backoff_options, tunneling_config,
            max_downstream_connection_duration_jitter_percentage, access_log_flush_interval,
            flush_access_log_on_connected, access_log_options, proxy_protocol_tlvs, proxy_protocol_tlv_merge_policy,
            upstream_connect_mode, max_early_data_bytes, check_drain_close;
        ignored: stat_prefix = "metrics are labelled by listener and chain";
    }
}
message! {
    pub(super) WEIGHTED_CLUSTER, refuse_weighted: WeightedCluster
        as "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.WeightedCluster" {
        used: clusters;
        refused: ;
        ignored: ;
    }
}
message! {
    pub(super) CLUSTER_WEIGHT, refuse_weight: ClusterWeight
        as "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.WeightedCluster.ClusterWeight" {
        used: name, weight, metadata_match;
        refused: ;
        ignored: ;
    }
}
message! {
    pub(super) HASH_POLICY, refuse_hash_policy: HashPolicy as "envoy.type.v3.HashPolicy" {
        used: policy_specifier;
        refused: ;
        ignored: ;
    }
}

/// The `tcp` of a chain.
pub(super) fn proxy(refusals: &mut Refusals, path: &Path, proxy: &TcpProxy) -> Map {
    refuse_tcp_proxy(refusals, path, proxy);
    let mut map = Map::new(path);
    match &proxy.cluster_specifier {
        Some(ClusterSpecifier::Cluster(cluster)) => {
            map.put("cluster", Value::text(&path.field("cluster"), cluster.as_str()));
            map.put_some(
                "subset",
                subset(
                    refusals,
                    &path.field("metadata_match"),
                    proxy.metadata_match.as_ref(),
                ),
            );
        }
        Some(ClusterSpecifier::WeightedClusters(weighted)) => {
            let path = path.field("weighted_clusters");
            refuse_weighted(refusals, &path, weighted);
            let path = path.field("clusters");
            let mut shares = Vec::with_capacity(weighted.clusters.len());
            for (index, share) in weighted.clusters.iter().enumerate() {
                let path = path.index(index);
                refuse_weight(refusals, &path, share);
                let mut fields = Map::new(&path)
                    .with("cluster", Value::text(&path.field("name"), share.name.as_str()))
                    .with("weight", Value::plain(&path.field("weight"), share.weight));
                let place = path.field("metadata_match");
                let all = share.metadata_match.as_ref().or(proxy.metadata_match.as_ref());
                fields.put_some("subset", subset(refusals, &place, all));
                shares.push(fields.into());
            }
            map.put("weighted_clusters", Value::list(&path, shares));
        }
        None => refusals.fault(path, "`cluster` or `weighted_clusters` is missing"),
    }
    // Envoy's 0 is none.
    for (field, name, duration) in [
        ("idle_timeout", "idle_timeout", &proxy.idle_timeout),
        (
            "max_downstream_connection_duration",
            "connection_duration_max",
            &proxy.max_downstream_connection_duration,
        ),
    ] {
        map.put_some(
            name,
            value::duration_or_off(refusals, &path.field(field), duration.as_ref()),
        );
    }
    // Envoy tries once where nothing is said, ours twice: before a byte was sent nothing is lost by it.
    let attempts = path.field("max_connect_attempts");
    map.put_some(
        "connect_attempts_max",
        value::number(&attempts, proxy.max_connect_attempts.as_ref()),
    );
    for (index, policy) in proxy.hash_policy.iter().enumerate() {
        let path = path.field("hash_policy").index(index);
        refuse_hash_policy(refusals, &path, policy);
        match &policy.policy_specifier {
            Some(PolicySpecifier::SourceIp(_)) => {
                map.put(
                    "hash_source_address",
                    Value::plain(&path.field("source_ip"), true),
                );
            }
            _ => refusals.unsupported(&path, "a hash of anything but the client's address"),
        }
    }
    map.put_some(
        "access_logs",
        access_log::logs(refusals, &path.field("access_log"), &proxy.access_log),
    );
    map
}

/// The namespace in which Envoy looks for what picks endpoints.
const LOAD_BALANCING: &str = "envoy.lb";

/// Endpoints with this metadata only.
fn subset(refusals: &mut Refusals, path: &Path, metadata: Option<&Metadata>) -> Option<Value> {
    let fields = metadata?.filter_metadata.get(LOAD_BALANCING)?;
    let path = path.field("filter_metadata").key(LOAD_BALANCING);
    let map = value::struct_map(&path, fields);
    if map.is_empty() {
        refusals.fault(&path, "it is empty");
        return None;
    }
    Some(map.into())
}
