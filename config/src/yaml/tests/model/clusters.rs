//! Clusters, their discovery and endpoints.

use super::super::{valid, with_cluster};
use crate::model::{Discovery, DnsFamily, LoadBalancing, UpstreamProtocol, defaults};
use std::time::Duration;

#[test]
fn clusters_have_protocols_pools_and_endpoints() {
    let cluster = |fields: &str| {
        valid(&with_cluster(&format!("{{name: a, {fields}}}")))
            .config
            .clusters()[0]
            .as_ref()
            .clone()
    };
    let plain = cluster("");
    assert_eq!(
        (plain.protocol(), plain.load_balancing()),
        (UpstreamProtocol::Http1, LoadBalancing::RoundRobin)
    );
    assert_eq!(plain.connect_timeout(), defaults::CONNECT_TIMEOUT);
    assert_eq!(plain.pool().idle_timeout(), None);
    let tls = cluster("tls: {ca_file: ca.pem, server_name: 192.0.2.1}");
    assert_eq!(tls.protocol(), UpstreamProtocol::Auto, "ALPN settles it");
    let fixed = cluster(
        "tls: {ca_file: ca.pem, server_name: a.example}, protocol: http1, tcp_keepalive: {probes: 5}",
    );
    assert_eq!(fixed.protocol(), UpstreamProtocol::Http1);
    assert_eq!(fixed.tcp_keepalive().as_ref().unwrap().probes(), 5);
    assert_eq!(
        fixed.tcp_keepalive().as_ref().unwrap().time(),
        defaults::TCP_KEEPALIVE_TIME
    );
    let endpoints = cluster("endpoints: [{address: '[::1]:80', weight: 4, metadata: {zone: 1}}]");
    let endpoint = &endpoints.endpoints()[0];
    assert_eq!(
        (endpoint.address().to_string().as_str(), endpoint.weight()),
        ("[::1]:80", 4)
    );
    assert_eq!(endpoint.metadata()["zone"], "1");
}

#[test]
fn endpoints_are_listed_resolved_or_the_destination() {
    let discovery = |fields: &str| {
        valid(&with_cluster(&format!("{{name: a, {fields}}}")))
            .config
            .clusters()[0]
            .discovery()
            .clone()
    };
    assert_eq!(discovery(""), Discovery::Static);
    assert_eq!(
        discovery("discovery: {type: static}, endpoints: [{address: 127.0.0.1:1}]"),
        Discovery::Static
    );
    let Discovery::LogicalDns(dns) =
        discovery("discovery: {type: logical_dns, names: [{host: localhost, port: 1}]}")
    else {
        panic!()
    };
    assert_eq!(dns.family(), DnsFamily::Both);
    assert_eq!(
        (dns.ttl_min(), dns.ttl_max()),
        (defaults::DNS_TTL_MIN, defaults::DNS_TTL_MAX)
    );
    assert_eq!(
        (dns.stale_max(), dns.query_timeout()),
        (defaults::DNS_STALE_MAX, defaults::DNS_QUERY_TIMEOUT)
    );
    assert!(dns.resolvers().is_empty());
    let Discovery::StrictDns(dns) = discovery(
        "discovery: {type: strict_dns, names: [{host: B.Example., port: 80}, {host: _http._tcp.b, srv: true, weight: 3}], \
         family: v6_preferred, ttl_min: 2s, ttl_max: 3s, stale_max: 0s, query_timeout: 1s, \
         resolvers: [10.0.0.1, '[::1]:54']}",
    ) else {
        panic!()
    };
    let names: Vec<_> = dns
        .names()
        .iter()
        .map(|name| (name.host().as_str(), name.port(), name.weight()))
        .collect();
    assert_eq!(names, [("b.example", Some(80), 1), ("_http._tcp.b", None, 3)]);
    assert_eq!(
        (dns.family(), dns.stale_max()),
        (DnsFamily::V6Preferred, Duration::ZERO)
    );
    let resolvers: Vec<_> = dns.resolvers().iter().map(ToString::to_string).collect();
    assert_eq!(resolvers, ["10.0.0.1:53", "[::1]:54"]);
    let Discovery::OriginalDestination(plain) = discovery("discovery: {type: original_destination}") else {
        panic!()
    };
    assert_eq!((plain.port(), plain.allow().len()), (None, 0));
    assert_eq!(
        plain.endpoints_max(),
        defaults::ORIGINAL_DESTINATION_ENDPOINTS_MAX
    );
    assert_eq!(plain.idle_timeout(), defaults::ORIGINAL_DESTINATION_IDLE_TIMEOUT);
    let Discovery::OriginalDestination(full) = discovery(
        "discovery: {type: original_destination, port: 81, allow: [10.0.0.0/8], keep_source: true, endpoints_max: 5, idle_timeout: 2s}",
    ) else {
        panic!()
    };
    assert_eq!((full.port(), full.endpoints_max()), (Some(81), 5));
    assert!(full.keep_source() && !plain.keep_source());
    assert_eq!(full.allow()[0].to_string(), "10.0.0.0/8");
    assert_eq!(full.idle_timeout(), Duration::from_secs(2));
}
