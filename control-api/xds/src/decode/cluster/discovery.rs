//! Where a cluster's endpoints come from.

use super::messages::{
    refuse_cares, refuse_eds, refuse_original_destination, refuse_resolution, refuse_resolver_options,
};
use crate::decode::{Refusals, endpoints, source, unpack, value};
use cluster::cluster::{ClusterDiscoveryType, DiscoveryType, DnsLookupFamily, LbConfig};
use envoy_types::pb::envoy::config::cluster::v3 as cluster;
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::extensions::network::dns_resolver::cares::v3::CaresDnsResolverConfig;
use outrigger_config::document::{Map, Path, Value};
use std::time::Duration;

/// How long Envoy keeps an answer whose TTL it does not look at: `dns_refresh_rate`'s default.
const REFRESH_RATE: Duration = Duration::from_secs(5);

/// Puts `discovery` or `endpoints`; gives the name under which endpoints are asked for, if they come apart.
pub(super) fn put(
    refusals: &mut Refusals,
    path: &Path,
    message: &cluster::Cluster,
    map: &mut Map,
) -> Option<String> {
    let kind = match &message.cluster_discovery_type {
        None => Ok(DiscoveryType::Static),
        Some(ClusterDiscoveryType::Type(kind)) => DiscoveryType::try_from(*kind),
        Some(ClusterDiscoveryType::ClusterType(custom)) => {
            refusals.unsupported(
                &path.field("cluster_type"),
                format!("the kind of cluster `{}`", custom.name),
            );
            return None;
        }
    };
    let Ok(kind) = kind else {
        refusals.fault(&path.field("type"), "there is no such type");
        return None;
    };
    if kind != DiscoveryType::Eds && message.eds_cluster_config.is_some() {
        refusals.fault(
            &path.field("eds_cluster_config"),
            "it has no meaning with this type",
        );
    }
    let is_dns = matches!(kind, DiscoveryType::StrictDns | DiscoveryType::LogicalDns);
    if !is_dns {
        refuse_dns(refusals, path, message);
    }
    let assignment = path.field("load_assignment");
    match kind {
        DiscoveryType::Static => {
            if let Some(message) = &message.load_assignment {
                endpoints::put_listed(refusals, &assignment, message, map);
            }
            None
        }
        DiscoveryType::Eds => {
            if message.load_assignment.is_some() {
                refusals.fault(&assignment, "endpoints that come apart are not listed here");
            }
            Some(service(refusals, path, message))
        }
        DiscoveryType::StrictDns | DiscoveryType::LogicalDns => {
            let word = if kind == DiscoveryType::StrictDns {
                "strict_dns"
            } else {
                "logical_dns"
            };
            let mut discovery = Map::new(path).with("type", Value::plain(&path.field("type"), word));
            if let Some(message) = &message.load_assignment {
                let names = endpoints::put_names(refusals, &assignment, message, map);
                discovery.put("names", names);
            }
            put_dns(refusals, path, message, &mut discovery);
            map.put("discovery", discovery.into());
            None
        }
        DiscoveryType::OriginalDst => {
            if message.load_assignment.is_some() {
                refusals.fault(&assignment, "original destinations are not listed");
            }
            map.put("discovery", original_destination(refusals, path, message));
            None
        }
    }
}

fn service(refusals: &mut Refusals, path: &Path, message: &cluster::Cluster) -> String {
    let at = path.field("eds_cluster_config");
    let Some(config) = &message.eds_cluster_config else {
        refusals.fault(&at, "this field is missing");
        return message.name.clone();
    };
    refuse_eds(refusals, &at, config);
    match &config.eds_config {
        Some(source) => source::config_source(refusals, &at.field("eds_config"), source),
        None => refusals.fault(&at.field("eds_config"), "this field is missing"),
    }
    match config.service_name.as_str() {
        "" => message.name.clone(),
        service => service.to_owned(),
    }
}

#[allow(deprecated, reason = "older control planes still say it like this")]
fn refuse_dns(refusals: &mut Refusals, path: &Path, message: &cluster::Cluster) {
    for (field, is_set) in [
        ("dns_resolvers", !message.dns_resolvers.is_empty()),
        ("dns_resolution_config", message.dns_resolution_config.is_some()),
        (
            "typed_dns_resolver_config",
            message.typed_dns_resolver_config.is_some(),
        ),
    ] {
        if is_set {
            refusals.fault(&path.field(field), "it has no meaning with this type");
        }
    }
}

fn put_dns(refusals: &mut Refusals, path: &Path, message: &cluster::Cluster, discovery: &mut Map) {
    let at = path.field("dns_lookup_family");
    let family = match DnsLookupFamily::try_from(message.dns_lookup_family) {
        Ok(DnsLookupFamily::Auto) => "v6_preferred",
        Ok(DnsLookupFamily::V4Only) => "v4",
        Ok(DnsLookupFamily::V6Only) => "v6",
        Ok(DnsLookupFamily::V4Preferred) => "v4_preferred",
        Ok(DnsLookupFamily::All) => "both",
        Err(_) => return refusals.fault(&at, "there is no such family"),
    };
    discovery.put("family", Value::plain(&at, family));
    // Where TTLs are looked at, the rate is only for answers without one.
    if !message.respect_dns_ttl {
        let at = path.field("dns_refresh_rate");
        let rate = match &message.dns_refresh_rate {
            Some(rate) => value::duration(refusals, &at, rate),
            None => Some(REFRESH_RATE),
        };
        if let Some(rate) = rate {
            discovery.put("ttl_min", Value::duration(&at, rate));
            discovery.put("ttl_max", Value::duration(&at, rate));
        }
    }
    put_resolvers(refusals, path, message, discovery);
}

#[allow(deprecated, reason = "older control planes still say it like this")]
fn put_resolvers(refusals: &mut Refusals, path: &Path, message: &cluster::Cluster, discovery: &mut Map) {
    let mut resolvers: Vec<(Path, &core::Address)> = Vec::new();
    let add = |at: Path, addresses: &'_ [core::Address]| {
        let at = &at;
        addresses
            .iter()
            .enumerate()
            .map(|(index, _)| at.index(index))
            .collect::<Vec<_>>()
    };
    let at = path.field("dns_resolvers");
    resolvers.extend(
        add(at, &message.dns_resolvers)
            .into_iter()
            .zip(&message.dns_resolvers),
    );
    if let Some(config) = &message.dns_resolution_config {
        let at = path.field("dns_resolution_config");
        refuse_resolution(refusals, &at, config);
        if let Some(options) = &config.dns_resolver_options {
            refuse_resolver_options(refusals, &at.field("dns_resolver_options"), options);
        }
        resolvers.extend(
            add(at.field("resolvers"), &config.resolvers)
                .into_iter()
                .zip(&config.resolvers),
        );
    }
    let typed = message.typed_dns_resolver_config.as_ref();
    let at = path.field("typed_dns_resolver_config").field("typed_config");
    let cares = typed.and_then(|config| cares(refusals, &at, config));
    if let Some(config) = &cares {
        refuse_cares(refusals, &at, config);
        if let Some(options) = &config.dns_resolver_options {
            refuse_resolver_options(refusals, &at.field("dns_resolver_options"), options);
        }
        resolvers.extend(
            add(at.field("resolvers"), &config.resolvers)
                .into_iter()
                .zip(&config.resolvers),
        );
    }
    let values: Vec<Value> = resolvers
        .into_iter()
        .filter_map(|(at, address)| endpoints::address_text(refusals, &at, address))
        .collect();
    if !values.is_empty() {
        discovery.put("resolvers", Value::list(path, values));
    }
}

fn cares(
    refusals: &mut Refusals,
    path: &Path,
    config: &core::TypedExtensionConfig,
) -> Option<CaresDnsResolverConfig> {
    let url = "type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig";
    let any = config.typed_config.as_ref()?;
    if any.type_url != url {
        refusals.unsupported(path, format!("the resolver {}", any.type_url));
        return None;
    }
    unpack(refusals, path, any, url)
}

fn original_destination(refusals: &mut Refusals, path: &Path, message: &cluster::Cluster) -> Value {
    let word = Value::plain(&path.field("type"), "original_destination");
    let mut discovery = Map::new(path).with("type", word);
    if let Some(LbConfig::OriginalDstLbConfig(config)) = &message.lb_config {
        let at = path.field("original_dst_lb_config");
        refuse_original_destination(refusals, &at, config);
        let at = at.field("upstream_port_override");
        discovery.put_some("port", value::number(&at, config.upstream_port_override.as_ref()));
    }
    let at = path.field("cleanup_interval");
    let idle = value::duration_value(refusals, &at, message.cleanup_interval.as_ref());
    discovery.put_some("idle_timeout", idle);
    discovery.into()
}
