//! Balancing, health, limits, overload and faults.

use super::super::{valid, with_cluster, with_http};
use crate::model::{
    Cluster, DescriptorSource, EndpointStatus, FaultAbortKind, HealthCheckProtocol, LoadBalancing,
    LocalityBalancing, MemoryLimit, OutlierDetection, RateLimitCounting, RetryConditions, SubsetFallback,
};
use crate::yaml::shapes;
use std::time::{Duration, UNIX_EPOCH};

fn cluster(fields: &str) -> Cluster {
    let config = valid(&with_cluster(&format!("{{name: c, {fields}}}"))).config;
    config.clusters()[0].as_ref().clone()
}

#[test]
fn conditions_of_retries_have_the_words_of_the_model() {
    let words: Vec<&str> = RetryConditions::NAMES.iter().map(|(word, _)| *word).collect();
    let shape = &shapes::RETRY.field("retry_on").unwrap().kind;
    let shown = format!("{shape:?}");
    assert!(shown.contains(&format!("{words:?}")), "{shown}");
}

#[test]
fn policies_by_word_and_by_map() {
    let policy = |text: &str| cluster(&format!("load_balancing: {text}")).load_balancing();
    assert_eq!(
        policy("least_request"),
        LoadBalancing::LeastRequest { choices: 2 }
    );
    assert_eq!(
        policy("peak_ewma"),
        policy("{peak_ewma: {decay: 10s, default_rtt: 30ms}}")
    );
    assert_eq!(
        policy("ring_hash"),
        policy("{ring_hash: {size_min: 1024, size_max: 8388608, balance_factor: off}}")
    );
    // A ring that is smaller than the usual minimum has no other minimum.
    assert_eq!(
        policy("{ring_hash: {size_max: 7}}"),
        LoadBalancing::RingHash {
            size_min: 7,
            size_max: 7,
            balance_factor: None
        }
    );
    assert_eq!(
        policy("{maglev: {balance_factor: 150}}"),
        LoadBalancing::Maglev {
            table_size: 65_537,
            balance_factor: Some(150)
        }
    );
}

#[test]
fn localities_and_subsets() {
    let cluster = cluster(
        "endpoints: [{address: '127.0.0.1:1', locality: r/z/s}, {address: '127.0.0.1:2', locality: {zone: z/2}, priority: 1, \
         status: draining}], locality_balancing: weighted, locality_weights: [{locality: r/z, weight: 0}], subsets: \
         {selectors: [[b, a]], fallback: {default: {a: 1}}}",
    );
    let found = cluster.endpoints();
    let first = found[0].locality().clone().unwrap();
    assert_eq!((first.region(), first.zone(), first.sub_zone()), ("r", "z", "s"));
    let second = found[1].locality().clone().unwrap();
    assert_eq!((second.region(), second.zone()), ("", "z/2"));
    assert_eq!(
        (found[1].priority(), found[1].status()),
        (1, EndpointStatus::Draining)
    );
    assert_eq!(*cluster.balancing().localities(), LocalityBalancing::Weighted);
    assert_eq!(cluster.locality_weights()[0].weight(), 0);
    let subsets = cluster.balancing().subsets().clone().unwrap();
    assert_eq!(subsets.selectors(), &[["a", "b"]]);
    assert!(matches!(subsets.fallback(), SubsetFallback::Default(one) if one["a"] == "1"));
}

#[test]
fn health() {
    let asked = cluster("health_check: {tcp: {send: PING, receive: [{hex: 00FF}]}, interval: 7s}");
    let check = asked.health_check().clone().unwrap();
    assert_eq!(
        (check.interval(), check.timeout()),
        (Duration::from_secs(7), Duration::from_secs(1))
    );
    let HealthCheckProtocol::Tcp(tcp) = check.protocol() else {
        panic!()
    };
    assert_eq!(
        (tcp.send().as_slice(), tcp.receive()),
        (&b"PING"[..], &vec![vec![0, 255]])
    );
    let asked = cluster("health_check: {http: {path: /}}");
    let Some(HealthCheckProtocol::Http(http)) = asked.health_check().as_ref().map(|check| check.protocol())
    else {
        panic!()
    };
    assert_eq!(
        (http.method().as_str(), http.expected_statuses()),
        ("GET", &vec![200..=200])
    );
    let ejected = |text: &str| {
        cluster(&format!("outlier_detection: {text}"))
            .outlier_detection()
            .clone()
    };
    assert_eq!(ejected("true"), Some(OutlierDetection::default()));
    assert_eq!(ejected("{}"), Some(OutlierDetection::default()));
    assert_eq!(ejected("false"), None);
    let long = ejected("{base_ejection_time: 10m, consecutive_5xx: off}").unwrap();
    assert_eq!(long.max_ejection_time(), Duration::from_secs(600));
    assert_eq!(long.consecutive_5xx(), None);
}

#[test]
fn breakers() {
    let cluster = cluster(
        "circuit_breakers: {high: {requests_max: 7}, endpoint: {connections_max: 3}}, adaptive_concurrency: true",
    );
    let breakers = cluster.circuit_breakers();
    assert_eq!(breakers.default_priority().requests_max(), 1024);
    assert_eq!(breakers.high_priority().requests_max(), 7);
    assert_eq!(breakers.endpoint().connections_max(), Some(3));
    assert_eq!(breakers.endpoint().requests_max(), None);
    assert_eq!(
        cluster.adaptive_concurrency().as_ref().unwrap().concurrency_max(),
        1000
    );
}

#[test]
fn limits_and_overload() {
    let config = valid(
        "rate_limits: [{name: m, local: {limit: {requests: 7}}}, {name: n, descriptors: [[remote_address, {header: X-User}, \
         {claim: a.b}, {remote_address: {v4_prefix: 24}}]], local: {limit: {requests: 7, per: 2s, burst: 9}, overrides: \
         [{values: {x-user: gold}, limit: {requests: 70}}]}}]\noverload: {memory_max: 512MiB}\n",
    )
    .config;
    let [all, keyed] = config.rate_limits().as_slice() else {
        panic!()
    };
    assert_eq!(all.descriptors(), &[vec![]]);
    let keys: Vec<&str> = keyed.descriptors()[0].iter().map(|part| part.key()).collect();
    assert_eq!(keys, ["remote_address", "x-user", "a.b", "masked_remote_address"]);
    assert!(matches!(
        keyed.descriptors()[0][3].source(),
        DescriptorSource::RemoteAddress {
            v4_prefix: 24,
            v6_prefix: 128
        }
    ));
    let bucket = |counting: &RateLimitCounting| match counting {
        RateLimitCounting::Local(local) => local.bucket(),
        RateLimitCounting::Global(_) => panic!(),
    };
    let plain = bucket(all.counting());
    assert_eq!(
        (plain.burst().get(), plain.interval()),
        (7, Duration::from_secs(1))
    );
    assert_eq!(bucket(keyed.counting()).burst().get(), 9);
    assert_eq!(config.overload().memory_max(), MemoryLimit::Bytes(512 << 20));
    assert_eq!(
        valid("overload: {}\n").config.overload().memory_max(),
        MemoryLimit::Cgroup
    );
}

#[test]
fn faults() {
    let text = with_http(
        "fault: {abort: {grpc_status: 14, percent: 12.5}, affected_max: 3, expires: 2030-01-31T18:00:00Z}",
    );
    let config = valid(&text).config;
    let http = config.listeners()[0].filter_chains()[0].mode().http().unwrap();
    let fault = http.fault().clone().unwrap();
    let abort = fault.abort().unwrap();
    assert_eq!(abort.kind(), FaultAbortKind::Grpc(14));
    assert_eq!(abort.fraction().parts_per_million(), 125_000);
    assert_eq!(fault.affected_max().parts_per_million(), 30_000);
    assert_eq!(
        fault.expires(),
        Some(UNIX_EPOCH + Duration::from_secs(1_896_112_800))
    );
}
