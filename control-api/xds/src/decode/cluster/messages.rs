//! What of the messages of clusters is read.

use super::{balancing, breakers, health, protocol, subsets, transport};
use crate::support::{Message, message};
use envoy_types::pb::envoy::config::cluster::v3 as cluster;
use envoy_types::pb::envoy::config::core::v3 as core;

pub(crate) const MESSAGES: &[&Message] = &[
    &CLUSTER,
    &EDS,
    &protocol::OPTIONS,
    &protocol::COMMON,
    &protocol::HTTP1,
    &protocol::HTTP2,
    &protocol::KEEPALIVE,
    &CONNECTIONS,
    &KEEPALIVE,
    &DNS_RESOLUTION,
    &DNS_OPTIONS,
    &CARES,
    &ORIGINAL_DESTINATION,
    &balancing::COMMON,
    &balancing::ZONE_AWARE,
    &balancing::CONSISTENT,
    &balancing::SLOW_START,
    &balancing::ROUND_ROBIN,
    &balancing::LEAST_REQUEST,
    &balancing::RING_HASH,
    &balancing::MAGLEV,
    &subsets::SUBSETS,
    &subsets::SELECTOR,
    &balancing::POLICIES,
    &balancing::typed::ROUND_ROBIN,
    &balancing::typed::LEAST_REQUEST,
    &balancing::typed::RANDOM,
    &balancing::typed::RING_HASH,
    &balancing::typed::MAGLEV,
    &balancing::typed::WRR_LOCALITY,
    &balancing::typed::LOCALITY,
    &balancing::typed::ZONE_AWARE,
    &balancing::typed::SLOW_START,
    &balancing::typed::CONSISTENT,
    &breakers::BREAKERS,
    &breakers::THRESHOLDS,
    &breakers::BUDGET,
    &health::OUTLIERS,
    &health::CHECK,
    &health::HTTP,
    &health::GRPC,
    &health::TCP,
    &health::HEADER,
    &transport::PROXY_SOCKET,
    &transport::PROXY,
    &transport::PASSED,
];

message! {
    pub(super) CLUSTER, refuse_cluster: cluster::Cluster as "envoy.config.cluster.v3.Cluster" {
        used: name, eds_cluster_config, connect_timeout, lb_policy, load_assignment, health_checks,
            max_requests_per_connection, circuit_breakers, common_http_protocol_options, http_protocol_options,
            http2_protocol_options, typed_extension_protocol_options, dns_refresh_rate, respect_dns_ttl,
            dns_lookup_family, dns_resolvers, dns_resolution_config, typed_dns_resolver_config,
            wait_for_warm_on_init, outlier_detection, cleanup_interval, lb_subset_config, common_lb_config,
            transport_socket, metadata, protocol_selection, upstream_connection_options, load_balancing_policy,
            cluster_discovery_type, lb_config;
        refused: transport_socket_matches, transport_socket_matcher, stats_matcher,
            per_connection_buffer_high_watermark_timeout, upstream_http_protocol_options, dns_jitter,
            dns_failure_refresh_rate, use_tcp_for_dns_lookups, upstream_bind_config,
            close_connections_on_host_health_failure, ignore_health_on_host_removal, filters, lrs_server,
            lrs_report_endpoint_metrics, track_timeout_budgets, upstream_config, track_cluster_stats,
            preconnect_policy, connection_pool_per_downstream_connection, queuing_policies;
        ignored: alt_stat_name = "metrics call a cluster by its name",
            per_connection_buffer_limit_bytes = "buffers are bounded by windows, which can be set for HTTP/2";
    }
}
message! {
    pub(super) EDS, refuse_eds: cluster::cluster::EdsClusterConfig
        as "envoy.config.cluster.v3.Cluster.EdsClusterConfig" {
        used: eds_config, service_name;
        refused: ;
        ignored: ;
    }
}
message! {
    pub(super) ORIGINAL_DESTINATION, refuse_original_destination: cluster::cluster::OriginalDstLbConfig
        as "envoy.config.cluster.v3.Cluster.OriginalDstLbConfig" {
        used: upstream_port_override;
        refused: use_http_header, http_header_name, metadata_key;
        ignored: ;
    }
}
message! {
    pub(super) CONNECTIONS, refuse_connections: cluster::UpstreamConnectionOptions
        as "envoy.config.cluster.v3.UpstreamConnectionOptions" {
        used: tcp_keepalive;
        refused: set_local_interface_name_on_upstream_connections, happy_eyeballs_config;
        ignored: ;
    }
}
message! {
    pub(super) KEEPALIVE, refuse_keepalive: core::TcpKeepalive as "envoy.config.core.v3.TcpKeepalive" {
        used: keepalive_probes, keepalive_time, keepalive_interval;
        refused: ;
        ignored: ;
    }
}
message! {
    pub(super) DNS_RESOLUTION, refuse_resolution: core::DnsResolutionConfig
        as "envoy.config.core.v3.DnsResolutionConfig" {
        used: resolvers, dns_resolver_options;
        refused: ;
        ignored: ;
    }
}
message! {
    pub(super) DNS_OPTIONS, refuse_resolver_options: core::DnsResolverOptions
        as "envoy.config.core.v3.DnsResolverOptions" {
        used: ;
        refused: use_tcp_for_dns_lookups, no_default_search_domain;
        ignored: ;
    }
}
message! {
    pub(super) CARES, refuse_cares:
        envoy_types::pb::envoy::extensions::network::dns_resolver::cares::v3::CaresDnsResolverConfig
        as "envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig" {
        used: resolvers, dns_resolver_options;
        refused: use_resolvers_as_fallback, filter_unroutable_families, query_timeout_seconds, query_tries,
            rotate_nameservers, qcache_max_ttl;
        ignored: udp_max_queries = "of c-ares", edns0_max_payload_size = "of c-ares",
            max_udp_channel_duration = "of c-ares", reinit_channel_on_timeout = "of c-ares";
    }
}
