//! Where endpoints come from, as YAML.

use super::emit::{Map, list, text};
use super::{boolean, duration, number, word};
use crate::model::{Discovery, DnsDiscovery, DnsFamily, DnsName, OriginalDestination};

pub(super) fn discovery(discovery: &Discovery) -> Map {
    let of = |kind| Map::default().with("type", word(kind));
    match discovery {
        Discovery::Static => of("static"),
        Discovery::StrictDns(settings) => dns(of("strict_dns"), settings),
        Discovery::LogicalDns(settings) => dns(of("logical_dns"), settings),
        Discovery::OriginalDestination(settings) => {
            original_destination(of("original_destination"), settings)
        }
    }
}

fn dns(map: Map, settings: &DnsDiscovery) -> Map {
    let family = match settings.family {
        DnsFamily::Both => "both",
        DnsFamily::V4 => "v4",
        DnsFamily::V6 => "v6",
        DnsFamily::V4Preferred => "v4_preferred",
        DnsFamily::V6Preferred => "v6_preferred",
    };
    let mut map = map
        .with("names", list(settings.names.iter().map(name)))
        .with("family", word(family))
        .with("ttl_min", duration(settings.ttl_min))
        .with("ttl_max", duration(settings.ttl_max))
        .with("stale_max", duration(settings.stale_max))
        .with("query_timeout", duration(settings.query_timeout));
    match settings.resolvers.is_empty() {
        true => map.comment("resolvers: those of the system"),
        false => map.put("resolvers", list(settings.resolvers.iter().map(text))),
    }
    map
}

fn name(name: &DnsName) -> Map {
    let map = Map::default().with("host", text(&name.host));
    match name.port {
        Some(port) => map.with("port", number(port.into())),
        None => map.with("srv", boolean(true)),
    }
    .with("weight", number(name.weight.into()))
}

fn original_destination(mut map: Map, settings: &OriginalDestination) -> Map {
    match settings.port {
        Some(port) => map.put("port", number(port.into())),
        None => map.comment("port: the original one"),
    }
    match settings.allow.is_empty() {
        true => map.comment("allow: every destination"),
        false => map.put("allow", list(settings.allow.iter().map(text))),
    }
    map.with("keep_source", boolean(settings.keep_source))
        .with("endpoints_max", number(settings.endpoints_max as u64))
        .with("idle_timeout", duration(settings.idle_timeout))
}
