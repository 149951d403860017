//! Where a cluster's endpoints come from: a list, DNS, or the connection itself.

use super::Unique;
use super::chain::distinct;
use super::reader::{Fields, Reader};
use super::scalar::{self, Problem, problem, problem_with_help};
use super::shapes::{DISCOVERY, DISCOVERY_TYPES, DNS_NAME};
use super::tree::Node;
use crate::model::{Discovery, DnsDiscovery, DnsFamily, DnsName, OriginalDestination, defaults};
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};

/// Names of one cluster at most: each is a query of its own.
pub(crate) const DNS_NAMES_MAX: usize = 1_000;
/// The port of DNS.
const DNS_PORT: u16 = 53;
/// Fields of discovery by DNS.
const OF_DNS: [&str; 7] = [
    "names",
    "family",
    "ttl_min",
    "ttl_max",
    "stale_max",
    "query_timeout",
    "resolvers",
];
/// Fields of discovery by original destination.
const OF_DESTINATION: [&str; 5] = ["port", "allow", "keep_source", "endpoints_max", "idle_timeout"];

/// A cluster's `discovery`; static if it is not given.
pub(super) fn discovery(reader: &mut Reader<'_>, cluster: &Fields<'_>) -> Discovery {
    let fields = cluster
        .node(reader, "discovery")
        .and_then(|node| reader.fields(node, &DISCOVERY));
    let Some(fields) = fields else {
        return Discovery::Static;
    };
    let kind = fields.choice(reader, "type", &DISCOVERY_TYPES.map(|word| (word, word)));
    if let Some(kind) = kind {
        refuse_fields_of_others(reader, &fields, kind);
        if kind != "static" && cluster.entry("endpoints").is_some() {
            let message = format!("`endpoints` on a cluster whose endpoints are discovered (`{kind}`)");
            let help = "list endpoints or discover them: remove `endpoints` or `discovery`";
            reader.fault_with_help(cluster.key_span_of("endpoints"), message, help);
        }
    }
    let dns = dns(reader, &fields);
    let destination = original_destination(reader, &fields);
    match kind {
        None | Some("static") => Discovery::Static,
        Some("original_destination") => Discovery::OriginalDestination(destination),
        Some(kind) => {
            if fields.entry("names").is_none() {
                reader.fault(
                    fields.span,
                    format!("missing field `names` in discovery ({kind})"),
                );
            }
            if kind == "strict_dns" {
                return Discovery::StrictDns(dns);
            }
            if dns.names.len() > 1 {
                let message = format!("logical_dns has one name, here are {}", dns.names.len());
                let help = "write `type: strict_dns`, or give each name a cluster";
                reader.fault_with_help(fields.span_of("names"), message, help);
            }
            Discovery::LogicalDns(dns)
        }
    }
}

fn refuse_fields_of_others(reader: &mut Reader<'_>, fields: &Fields<'_>, kind: &str) {
    let dns: (&[&str], &str) = (&OF_DNS, "by `strict_dns` and `logical_dns`");
    let destination: (&[&str], &str) = (&OF_DESTINATION, "by `original_destination`");
    let refused: &[(&[&str], &str)] = match kind {
        "static" => &[dns, destination],
        "original_destination" => &[dns],
        _ => &[destination],
    };
    for (names, whose) in refused {
        for name in names.iter().filter(|name| fields.entry(name).is_some()) {
            let message = format!("`{name}` has no meaning with `type: {kind}`");
            let help = format!("it is used {whose}; remove it, or change the type");
            reader.fault_with_help(fields.key_span_of(name), message, help);
        }
    }
}

fn dns(reader: &mut Reader<'_>, fields: &Fields<'_>) -> DnsDiscovery {
    let families = [
        ("both", DnsFamily::Both),
        ("v4", DnsFamily::V4),
        ("v6", DnsFamily::V6),
        ("v4_preferred", DnsFamily::V4Preferred),
        ("v6_preferred", DnsFamily::V6Preferred),
    ];
    let names = names(reader, fields);
    let family = fields
        .choice(reader, "family", &families)
        .unwrap_or(DnsFamily::Both);
    let ttl_min = fields
        .duration(reader, "ttl_min")
        .unwrap_or(defaults::DNS_TTL_MIN);
    let ttl_max = fields
        .duration(reader, "ttl_max")
        .unwrap_or(defaults::DNS_TTL_MAX);
    if ttl_min > ttl_max {
        let name = match fields.entry("ttl_min") {
            Some(_) => "ttl_min",
            None => "ttl_max",
        };
        let message = format!("`ttl_min` ({ttl_min:?}) is longer than `ttl_max` ({ttl_max:?})");
        reader.fault(fields.span_of(name), message);
    }
    DnsDiscovery {
        names,
        family,
        ttl_min,
        ttl_max,
        stale_max: fields
            .duration(reader, "stale_max")
            .unwrap_or(defaults::DNS_STALE_MAX),
        query_timeout: fields
            .duration(reader, "query_timeout")
            .unwrap_or(defaults::DNS_QUERY_TIMEOUT),
        resolvers: distinct(reader, fields, "resolvers", resolver, SocketAddr::to_string),
    }
}

fn names(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Vec<DnsName> {
    let nodes = fields.list(reader, "names");
    if nodes.len() > DNS_NAMES_MAX {
        let message = format!("more than {DNS_NAMES_MAX} names");
        reader.fault(fields.span_of("names"), message);
        return Vec::new();
    }
    let mut seen = Unique::new("name");
    nodes
        .iter()
        .filter_map(|node| name(reader, node, &mut seen))
        .collect()
}

fn name(reader: &mut Reader<'_>, node: &Node, seen: &mut Unique<String>) -> Option<DnsName> {
    let fields = reader.fields(node, &DNS_NAME)?;
    let host = fields.parsed(reader, "host", host);
    let port = fields
        .integer(reader, "port")
        .and_then(|port| u16::try_from(port).ok());
    if fields.boolean(reader, "srv") == Some(false) {
        let help = "write `port`, or `srv: true`";
        reader.fault_with_help(
            fields.span_of("srv"),
            "`srv: false` leaves the port unknown",
            help,
        );
    }
    let weight = fields
        .integer32(reader, "weight")
        .unwrap_or(defaults::DNS_NAME_WEIGHT);
    let host = host?;
    let shown = match port {
        Some(port) => format!("{host}:{port}"),
        None => host.clone(),
    };
    seen.insert(reader, shown, fields.span_of("host"));
    Some(DnsName { host, port, weight })
}

/// RFC 1035, section 2.3.1, with the digits of RFC 1123 and the underscore of RFC 2782; lower case, without a last dot.
fn host(text: &str) -> Result<String, Problem> {
    let lower = text.to_ascii_lowercase();
    let host = lower.strip_suffix('.').unwrap_or(&lower);
    let shown = scalar::shortened(text);
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = bare.parse::<IpAddr>() {
        let example = SocketAddr::new(address, 80);
        return problem_with_help(
            format!("`{shown}` is an address, not a name"),
            format!("list it in `endpoints`: `{{address: '{example}'}}`"),
        );
    }
    if let Some((name, port)) = host.rsplit_once(':')
        && port.parse::<u16>().is_ok()
    {
        return problem_with_help(
            format!("`{shown}` has a port"),
            format!("write `{name}`, and the port in `port`"),
        );
    }
    let message = format!("`{shown}` is not a domain name");
    if !host.is_ascii() {
        return problem_with_help(message, "write its ASCII form, which begins with `xn--`");
    }
    let last = host.rsplit('.').next().unwrap_or_default();
    if host.len() > 253 || !host.split('.').all(is_label) || last.bytes().all(|byte| byte.is_ascii_digit()) {
        return problem_with_help(
            message,
            "such as `backend.example`: labels of a-z 0-9 - _, 1 to 63 long",
        );
    }
    Ok(host.to_owned())
}

fn is_label(label: &str) -> bool {
    matches!(label.len(), 1..=63)
        && label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// An address, with or without a port.
fn resolver(text: &str) -> Result<SocketAddr, Problem> {
    let address = match text.parse::<IpAddr>() {
        Ok(address) => SocketAddr::new(address, DNS_PORT),
        Err(_) => scalar::address(text)?,
    };
    if address.port() == 0 || address.ip().is_unspecified() {
        return problem(format!("{address} is not the address of a resolver"));
    }
    Ok(address)
}

fn original_destination(reader: &mut Reader<'_>, fields: &Fields<'_>) -> OriginalDestination {
    let port = fields
        .integer(reader, "port")
        .and_then(|port| u16::try_from(port).ok());
    OriginalDestination {
        port,
        allow: distinct(reader, fields, "allow", scalar::prefix, IpNet::to_string),
        keep_source: fields.boolean(reader, "keep_source").unwrap_or(false),
        endpoints_max: fields
            .integer(reader, "endpoints_max")
            .map_or(defaults::ORIGINAL_DESTINATION_ENDPOINTS_MAX, |count| {
                count as usize
            }),
        idle_timeout: fields
            .duration(reader, "idle_timeout")
            .unwrap_or(defaults::ORIGINAL_DESTINATION_IDLE_TIMEOUT),
    }
}
