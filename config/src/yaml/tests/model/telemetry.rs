//! Collectors.

use crate::model::{CollectorCompression, CollectorProtocol, FlightRecorder, Name, Roots, Secret, defaults};
use crate::yaml::tests::{read, valid};
use crate::{to_json, to_yaml};
use std::time::Duration;

#[test]
fn a_collector_has_defaults() {
    let config = valid("telemetry: {collectors: [{name: c, endpoint: 'http://[::1]:4317'}]}\n").config;
    assert_eq!(config.service_name(), "outrigger");
    let collector = &config.telemetry().collectors()[0];
    assert_eq!(collector.endpoint().url(), "http://[::1]:4317");
    assert_eq!(collector.protocol(), CollectorProtocol::Grpc);
    assert_eq!(collector.compression(), CollectorCompression::None);
    assert_eq!(collector.timeout(), defaults::COLLECTOR_TIMEOUT);
    assert_eq!(collector.queue_max(), defaults::COLLECTOR_QUEUE_MAX);
    assert_eq!(collector.batch_max(), defaults::COLLECTOR_BATCH_MAX);
    assert_eq!(collector.batch_delay(), defaults::COLLECTOR_BATCH_DELAY);
    assert!(collector.tls().is_none() && collector.headers().is_empty());
}

#[test]
fn buckets_are_those_that_are_given_and_come_back() {
    let config = valid("telemetry: {latency_buckets: [100us, 2500us, 1h]}\n").config;
    let bounds = [100, 2_500, 3_600_000_000].map(Duration::from_micros);
    assert_eq!(config.telemetry().latency_buckets(), &bounds);
    let again = valid(&to_yaml(&config)).config;
    assert_eq!(again.telemetry().latency_buckets(), &bounds);
    assert_eq!(
        valid("drain: {}\n").config.telemetry().latency_buckets(),
        &defaults::LATENCY_BUCKETS
    );
}

#[test]
fn what_is_made_of_messages_comes_back() {
    let config =
        valid("telemetry: {collectors: [{name: c, endpoint: 'http://a:1', compression: gzip}]}\n").config;
    let again = valid(&to_yaml(&config)).config;
    for config in [config, again] {
        let compression = config.telemetry().collectors()[0].compression();
        assert_eq!(compression, CollectorCompression::Gzip);
    }
}

#[test]
fn a_small_queue_makes_small_batches() {
    let text = "telemetry: {collectors: [{name: c, endpoint: http://a:1, queue_max: 9}]}\n";
    assert_eq!(valid(text).config.telemetry().collectors()[0].batch_max(), 9);
}

#[test]
fn who_the_process_says_that_it_is() {
    let control = "control: {servers: ['http://127.0.0.1:1'], node: n, service: shop/catalog}\n";
    assert_eq!(valid(control).config.service_name(), "shop/catalog");
    let told = format!("{control}telemetry: {{service_name: catalog}}\n");
    assert_eq!(valid(&told).config.service_name(), "catalog");
}

#[test]
fn a_server_is_known_by_its_host_unless_something_else_is_said() {
    let tls = |tls: &str| {
        let text = format!(
            "telemetry: {{collectors: [{{name: c, endpoint: 'https://a.example:1', tls: {tls}}}]}}\n"
        );
        read(&text).map(|loaded| loaded.config.telemetry().collectors()[0].tls().clone().unwrap())
    };
    let plain = tls("{ca_file: c}").unwrap();
    assert_eq!(plain.server_name().as_deref(), Some("a.example"));
    assert_eq!(plain.validation().roots(), &Roots::File("c".into()));
    let named = tls("{ca_file: c, server_name: b}").unwrap();
    assert_eq!(named.server_name().as_deref(), Some("b"));
    let peers = tls("{ca_file: c, peers: [{dns: b}]}").unwrap();
    assert_eq!(peers.server_name(), &None);
}

#[test]
fn values_of_headers_are_kept_and_not_shown() {
    let text = "telemetry: {collectors: [{name: c, endpoint: http://a:1, headers: {Authorization: Bearer hidden}}]}\n";
    let config = valid(text).config;
    let (name, value) = &config.telemetry().collectors()[0].headers()[0];
    assert_eq!(
        (name.as_str(), value),
        ("authorization", &Secret::new(b"Bearer hidden".to_vec()))
    );
    for shown in [
        to_yaml(&config),
        to_json(&config).to_string(),
        format!("{config:?}"),
    ] {
        assert!(!shown.contains("hidden"), "{shown}");
    }
    let faults = read(&text.replace("name: c", "name: 'a b'")).unwrap_err();
    assert!(!format!("{faults} {faults:?}").contains("hidden"), "{faults}");
}

#[test]
fn a_collector_that_nothing_is_sent_to_is_told_of_and_a_wrong_port_too() {
    let text = "telemetry: {collectors: [{name: c, endpoint: http://a:4318}]}\n";
    let warnings = valid(text).warnings;
    let said: Vec<&str> = warnings.iter().map(|warning| warning.message()).collect();
    assert_eq!(
        said,
        [
            "nothing is sent to the collector `c`",
            "gRPC to port 4318, where collectors take the other protocol",
        ]
    );
    assert_eq!(
        valid(text).config.telemetry().collectors()[0].name(),
        &Name("c".into())
    );
}

#[test]
fn the_flight_recorder_is_on_unless_it_is_off() {
    let recorder = |text: &str| valid(text).config.telemetry().recorder().clone();
    let usual = FlightRecorder::default();
    assert_eq!(
        (usual.memory_bytes(), usual.slow()),
        (8 << 20, Duration::from_secs(1))
    );
    assert_eq!(recorder("telemetry: {}\n"), Some(usual.clone()));
    assert_eq!(recorder("telemetry: {service_name: a}\n"), Some(usual));
    assert_eq!(recorder("telemetry: {recorder: off}\n"), None);
    let small = recorder("telemetry: {recorder: {memory: 1MiB, slow: 20ms}}\n").unwrap();
    assert_eq!(
        (small.memory_bytes(), small.slow()),
        (1 << 20, Duration::from_millis(20))
    );
}
