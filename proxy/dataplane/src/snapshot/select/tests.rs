//! For which connections first bytes are waited for, and how long.

use super::*;
use crate::snapshot::{Compiler, Discovered};
use outrigger_config::{Environment, Source, load};
use outrigger_telemetry::{AccessLogSinks, Metrics};
use std::sync::Arc;

const TLS: Duration = defaults::TLS_HANDSHAKE_TIMEOUT;

fn patience(chains: &str, destination: &str) -> Option<Duration> {
    let text = format!(
        "listeners: [{{ name: l, address: 127.0.0.1:1, filter_chains: [{chains}] }}]\n\
         route_configurations: [{{ name: main, virtual_hosts: [] }}]\n\
         clusters: [{{ name: c, endpoints: [{{ address: 127.0.0.1:2 }}] }}]\n"
    );
    let name = "test".to_owned();
    let config = load(&Source { name, text }, &Environment::empty())
        .unwrap()
        .config;
    let metrics = Metrics::new(1, &[]);
    let sinks = Arc::new(AccessLogSinks::new(Arc::clone(&metrics)));
    let compiler = Compiler::new(metrics, sinks);
    let snapshot = compiler
        .compile(Arc::new(config), &Discovered::default(), Arc::default(), None)
        .unwrap();
    snapshot.listeners[0].patience(&snapshot, destination.parse().unwrap())
}

#[test]
fn only_chains_that_a_connection_may_come_to_make_it_wait() {
    let sni = "{ name: sni, match: { server_names: [a.example] }, tcp: { cluster: c } }";
    let any = "{ name: any, tcp: { cluster: c } }";
    let port = "{ name: port, match: { destination_port: 3306 }, tcp: { cluster: c } }";
    let prefix = "{ name: prefix, match: { destination_prefixes: [10.0.0.0/8] }, tcp: { cluster: c } }";
    let http = "{ name: port, match: { destination_port: 3306 }, http: { route_configuration: main } }";
    let picky = "{ name: picky, match: { destination_port: 3306, source_prefixes: [10.0.0.0/8] }, tcp: { cluster: c } }";
    for (chains, destination, expected) in [
        (any.to_owned(), "10.0.0.1:3306", None),
        (format!("{sni}, {any}"), "10.0.0.1:3306", Some(TLS)),
        (format!("{sni}, {any}, {port}"), "10.0.0.1:3306", None),
        (format!("{sni}, {any}, {port}"), "10.0.0.1:3307", Some(TLS)),
        (format!("{port}, {sni}"), "10.0.0.1:3306", None),
        (format!("{sni}, {any}, {prefix}"), "10.0.0.1:25", None),
        (format!("{sni}, {any}, {prefix}"), "11.0.0.1:25", Some(TLS)),
        // It may yet come to another chain: it speaks TLS, or comes from elsewhere.
        (format!("{sni}, {any}, {http}"), "10.0.0.1:3306", Some(TLS)),
        (format!("{sni}, {any}, {picky}"), "10.0.0.1:3306", Some(TLS)),
    ] {
        assert_eq!(
            patience(&chains, destination),
            expected,
            "{chains} to {destination}"
        );
    }
}

#[test]
fn a_chain_that_detects_says_how_long_a_client_may_be_silent() {
    let sni = "{ name: sni, match: { server_names: [a.example] }, tcp: { cluster: c } }";
    let auto =
        "{ name: auto, detection_timeout: 300ms, tcp: { cluster: c }, http: { route_configuration: main } }";
    let chains = format!("{sni}, {auto}");
    assert_eq!(
        patience(&chains, "10.0.0.1:3306"),
        Some(Duration::from_millis(300))
    );
}
