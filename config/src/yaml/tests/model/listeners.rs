//! Listeners and filter chains.

use super::super::{valid, with_chain, with_cluster};
use crate::model::{
    ChainMode, ConnectionRate, Interception, PassTlvs, ProxyProtocolMode, ProxyProtocolVersion,
    ServerNameMatch, Transport, defaults,
};
use std::time::Duration;

#[test]
fn chains_match_and_terminate_tls() {
    let text = with_chain(
        "{match: {destination_port: 8443, source_prefixes: [10.0.0.0/8, 192.0.2.7], server_names: [A.example, '*.b.example']}, \
         tls: {certificates: [{certificate_file: tls/c.pem, private_key_file: /k.pem}]}, http: {route_configuration: r}}",
    );
    let source = crate::Source {
        name: "/etc/mesh/mesh.yaml".into(),
        text,
    };
    let config = crate::load(&source, &crate::Environment::empty()).unwrap().config;
    let chain = &config.listeners()[0].filter_chains()[0];
    assert_eq!(chain.name().as_str(), "chain-0");
    let matches = chain.matches();
    assert_eq!(matches.destination_port(), Some(8443));
    assert_eq!(matches.source_prefixes()[1].to_string(), "192.0.2.7/32");
    assert_eq!(
        matches.server_names(),
        &[
            ServerNameMatch::Exact("a.example".into()),
            ServerNameMatch::Suffix(".b.example".into())
        ]
    );
    assert_eq!(
        matches.transport(),
        Some(Transport::Tls),
        "inferred: only TLS has server names"
    );
    let tls = chain.tls().as_ref().unwrap();
    assert_eq!(
        tls.certificates()[0].files().unwrap().certificate_file().to_str(),
        Some("/etc/mesh/tls/c.pem")
    );
    assert_eq!(
        tls.certificates()[0].files().unwrap().private_key_file().to_str(),
        Some("/k.pem")
    );
    assert_eq!(tls.application_protocols(), &["h2", "http/1.1"]);
    assert_eq!(chain.origin().to_string(), "/etc/mesh/mesh.yaml:6:5");
}

#[test]
fn a_chain_speaks_what_is_given() {
    let chain = |fields: &str| {
        valid(&with_chain(&format!("{{{fields}}}"))).config.listeners()[0].filter_chains()[0].clone()
    };
    let (http, tcp) = ("http: {route_configuration: r}", "tcp: {cluster: a}");
    for mode in ["", "mode: http, "] {
        assert!(matches!(
            chain(&format!("{mode}{http}")).mode(),
            ChainMode::Http(_)
        ));
    }
    for mode in ["", "mode: tcp, "] {
        assert!(matches!(chain(&format!("{mode}{tcp}")).mode(), ChainMode::Tcp(_)));
    }
    for mode in ["", "mode: auto, "] {
        let chain = chain(&format!("{mode}{http}, {tcp}"));
        let ChainMode::Auto(auto) = chain.mode() else {
            panic!()
        };
        assert_eq!(auto.detection_timeout(), defaults::DETECTION_TIMEOUT);
    }
    let slow = chain(&format!("{http}, {tcp}, detection_timeout: 3s"));
    let ChainMode::Auto(auto) = slow.mode() else {
        panic!()
    };
    assert_eq!(auto.detection_timeout(), Duration::from_secs(3));

    let plain = chain(tcp);
    let proxy = plain.mode().tcp().unwrap();
    assert_eq!(proxy.idle_timeout(), Some(defaults::TCP_IDLE_TIMEOUT));
    assert_eq!(proxy.connection_duration_max(), None);
    assert_eq!(proxy.connect_attempts_max(), defaults::TCP_CONNECT_ATTEMPTS_MAX);
    assert_eq!(proxy.clusters()[0].cluster().as_str(), "a");
    let full = chain(
        "tcp: {weighted_clusters: [{cluster: a, weight: 1}, {cluster: backend, weight: 2}], idle_timeout: off, \
         connection_duration_max: 1h, connect_attempts_max: 5, access_logs: [{path: stdout}]}",
    );
    let proxy = full.mode().tcp().unwrap();
    assert_eq!(
        (proxy.idle_timeout(), proxy.connection_duration_max()),
        (None, Some(Duration::from_secs(3600)))
    );
    assert_eq!(
        (proxy.connect_attempts_max(), proxy.clusters()[1].weight()),
        (5, 2)
    );
    assert_eq!(proxy.access_logs().len(), 1);
}

#[test]
fn tls_is_passed_through_where_bytes_are_passed_on() {
    let chain = |fields: &str| {
        valid(&with_chain(&format!("{{{fields}, tcp: {{cluster: a}}}}")))
            .config
            .listeners()[0]
            .filter_chains()[0]
            .clone()
    };
    let named = chain("match: {server_names: [a.example], destination_prefixes: [10.0.0.0/8, '::1']}");
    assert_eq!(named.matches().transport(), Some(Transport::Tls));
    assert_eq!(named.matches().destination_prefixes()[1].to_string(), "::1/128");
    assert!(named.tls().is_none());
    chain("match: {transport: tls}");
    chain("match: {application_protocols: [mqtt]}");
    let files = "certificates: [{certificate_file: c, private_key_file: k}]";
    let offered = |fields: &str| {
        chain(fields)
            .tls()
            .clone()
            .unwrap()
            .application_protocols()
            .clone()
    };
    assert!(
        offered(&format!("tls: {{{files}}}")).is_empty(),
        "what endpoints speak is not known"
    );
    assert_eq!(
        offered(&format!("tls: {{{files}, application_protocols: [mqtt]}}")),
        ["mqtt"]
    );
    let detecting = format!("tls: {{{files}}}, http: {{route_configuration: r}}");
    assert_eq!(offered(&detecting), defaults::APPLICATION_PROTOCOLS);
}

#[test]
fn connection_rates_have_a_burst() {
    let rate = |value: &str| {
        let text = with_chain("{tcp: {cluster: a}}").replace(
            "  address: 127.0.0.1:1\n",
            &format!("  address: 127.0.0.1:1\n  connection_rate_max: {value}\n"),
        );
        valid(&text).config.listeners()[0].connection_rate_max()
    };
    let pair = |rate: ConnectionRate| (rate.per_second(), rate.burst());
    assert_eq!(rate("off"), None);
    assert_eq!(rate("{per_second: 7}").map(pair), Some((7, 7)));
    assert_eq!(rate("{per_second: 7, burst: 9}").map(pair), Some((7, 9)));
}

#[test]
fn sockets_may_be_marked() {
    let mark = |text: &str| {
        let text = format!("{text}{}", with_chain("{tcp: {cluster: a}}"));
        valid(&text).config.runtime().socket_mark()
    };
    assert_eq!(mark(""), None);
    assert_eq!(mark("runtime: {socket_mark: 4294967295}\n"), Some(u32::MAX));
}

#[test]
fn the_proxy_protocol_is_read_and_spoken() {
    let listener = |value: &str| {
        let text = with_chain("{tcp: {cluster: a}}").replace(
            "  address: 127.0.0.1:1\n",
            &format!("  address: 127.0.0.1:1\n  proxy_protocol: {value}\n"),
        );
        let options = valid(&text).config.listeners()[0].proxy_protocol().clone();
        (options.mode(), options.pass_tlvs().clone(), options.timeout())
    };
    let timeout = defaults::PROXY_PROTOCOL_TIMEOUT;
    assert_eq!(listener("off"), (ProxyProtocolMode::Off, PassTlvs::None, timeout));
    assert_eq!(
        listener("required"),
        (ProxyProtocolMode::Required, PassTlvs::None, timeout)
    );
    assert_eq!(
        listener("{mode: optional, pass_tlvs: [0xE0, 5, '0xff'], timeout: 1s}"),
        (
            ProxyProtocolMode::Optional,
            PassTlvs::Listed(vec![0xE0, 5, 0xFF]),
            Duration::from_secs(1)
        )
    );
    assert_eq!(listener("{mode: optional, pass_tlvs: all}").1, PassTlvs::All);
    let cluster = |value: &str| {
        let text = with_cluster(&format!("{{name: a, proxy_protocol: {value}}}"));
        let options = valid(&text).config.clusters()[0].proxy_protocol().clone();
        options.map(|options| (options.version(), options.pass_tlvs().clone()))
    };
    assert_eq!(cluster("off"), None);
    assert_eq!(cluster("v1"), Some((ProxyProtocolVersion::V1, PassTlvs::None)));
    assert_eq!(cluster("v2"), Some((ProxyProtocolVersion::V2, PassTlvs::None)));
    assert_eq!(
        cluster("{version: v2, pass_tlvs: all}"),
        Some((ProxyProtocolVersion::V2, PassTlvs::All))
    );
}

#[test]
fn connections_may_have_been_led_here() {
    let interception = |value: &str| {
        let text = with_chain("{tcp: {cluster: a}}").replace(
            "  address: 127.0.0.1:1\n",
            &format!("  address: 127.0.0.1:1\n  {value}\n"),
        );
        valid(&text).config.listeners()[0].interception()
    };
    assert_eq!(interception(""), Interception::Off);
    assert_eq!(interception("interception: off"), Interception::Off);
    assert_eq!(interception("interception: redirect"), Interception::Redirect);
    assert_eq!(interception("interception: tproxy"), Interception::Tproxy);
}
