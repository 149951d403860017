//! Where endpoints come from.

use super::{Remainder, endpoints, value};
use cluster::cluster::{ClusterDiscoveryType, DiscoveryType, DnsLookupFamily, LbConfig};
use envoy_types::pb::envoy::config::cluster::v3 as cluster;
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::extensions::network::dns_resolver::cares::v3::CaresDnsResolverConfig;
use outrigger_config::model::{Cluster, Discovery, DnsDiscovery, DnsFamily, defaults};
use std::net::SocketAddr;

/// The cluster's endpoints are a resource of their own.
pub(super) fn is_apart(model: &Cluster, endpoints_apart: bool) -> bool {
    endpoints_apart && *model.discovery() == Discovery::Static
}

pub(super) fn put(
    model: &Cluster,
    endpoints_apart: bool,
    remainder: &mut Remainder,
    message: &mut cluster::Cluster,
) {
    let kind = match model.discovery() {
        Discovery::Static if is_apart(model, endpoints_apart) => {
            message.eds_cluster_config = Some(cluster::cluster::EdsClusterConfig {
                eds_config: Some(value::config_source()),
                service_name: String::new(),
            });
            DiscoveryType::Eds
        }
        Discovery::Static => {
            message.load_assignment = Some(endpoints::listed(model));
            DiscoveryType::Static
        }
        Discovery::StrictDns(dns) => {
            put_dns(model, dns, remainder, message);
            DiscoveryType::StrictDns
        }
        Discovery::LogicalDns(dns) => {
            put_dns(model, dns, remainder, message);
            DiscoveryType::LogicalDns
        }
        Discovery::OriginalDestination(destination) => {
            let port = destination.port();
            message.lb_config = port.map(|port| {
                LbConfig::OriginalDstLbConfig(cluster::cluster::OriginalDstLbConfig {
                    upstream_port_override: Some(value::number(port.into())),
                    ..cluster::cluster::OriginalDstLbConfig::default()
                })
            });
            message.cleanup_interval = Some(value::duration(destination.idle_timeout()));
            remainder.said("discovery.port");
            remainder.said("discovery.idle_timeout");
            remainder.unless("discovery.keep_source", false);
            let most = defaults::ORIGINAL_DESTINATION_ENDPOINTS_MAX as u64;
            remainder.unless("discovery.endpoints_max", most);
            DiscoveryType::OriginalDst
        }
    };
    remainder.said("discovery.type");
    remainder.said("endpoints");
    // Where there is no assignment, there is no other place for these.
    if kind != DiscoveryType::OriginalDst {
        remainder.said("overprovisioning_factor");
    }
    if *model.discovery() == Discovery::Static {
        remainder.said("locality_weights");
    }
    message.cluster_discovery_type = Some(ClusterDiscoveryType::Type(kind as i32));
}

/// TTLs are looked at by both; how long an answer is kept at least and at most, and when there is none, only by ours.
fn put_dns(model: &Cluster, dns: &DnsDiscovery, remainder: &mut Remainder, message: &mut cluster::Cluster) {
    message.load_assignment = Some(endpoints::names(model, dns.names()));
    message.respect_dns_ttl = true;
    message.dns_lookup_family = match dns.family() {
        DnsFamily::Both => DnsLookupFamily::All,
        DnsFamily::V4 => DnsLookupFamily::V4Only,
        DnsFamily::V6 => DnsLookupFamily::V6Only,
        DnsFamily::V4Preferred => DnsLookupFamily::V4Preferred,
        DnsFamily::V6Preferred => DnsLookupFamily::Auto,
    } as i32;
    if !dns.resolvers().is_empty() {
        let config = CaresDnsResolverConfig {
            resolvers: dns.resolvers().iter().map(resolver).collect(),
            ..CaresDnsResolverConfig::default()
        };
        let name = "envoy.network.dns_resolver.cares";
        message.typed_dns_resolver_config = Some(value::extension(name, &config));
    }
    for said in ["names", "family", "resolvers"] {
        remainder.said(&format!("discovery.{said}"));
    }
    for (field, default) in [
        ("ttl_min", "1s"),
        ("ttl_max", "5m"),
        ("stale_max", "1h"),
        ("query_timeout", "5s"),
    ] {
        remainder.unless(&format!("discovery.{field}"), default);
    }
}

fn resolver(address: &SocketAddr) -> core::Address {
    let socket = core::SocketAddress {
        address: address.ip().to_string(),
        port_specifier: Some(core::socket_address::PortSpecifier::PortValue(
            address.port().into(),
        )),
        ..core::SocketAddress::default()
    };
    core::Address {
        address: Some(core::address::Address::SocketAddress(socket)),
    }
}
