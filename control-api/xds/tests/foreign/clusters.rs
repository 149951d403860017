//! Clusters.

use super::samples::{
    address, any, apart, assignment, cluster, cluster_as_written, endpoint, fault, group, number, of_type,
    take,
};
use cluster_v3::cluster::{CommonLbConfig, DiscoveryType, DnsLookupFamily, LbConfig, LbPolicy};
use envoy_types::pb::envoy::config::cluster::v3::{self as cluster_v3, Cluster};
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::extensions::load_balancing_policies::least_request::v3::LeastRequest;
use envoy_types::pb::envoy::extensions::load_balancing_policies::pick_first::v3::PickFirst;
use envoy_types::pb::envoy::extensions::load_balancing_policies::wrr_locality::v3::WrrLocality;
use envoy_types::pb::envoy::extensions::upstreams::http::v3 as http;
use envoy_types::pb::google::protobuf::{BoolValue, Duration};
use http::http_protocol_options::explicit_http_config::ProtocolConfig;
use http::http_protocol_options::{ExplicitHttpConfig, UpstreamProtocolOptions};
use outrigger_xds::decode::Decoded;
use serde_json::json;

#[test]
fn a_cluster_of_endpoints_that_come_apart() {
    let Ok(Decoded::Cluster(decoded)) = take("c", &apart()) else {
        panic!()
    };
    assert_eq!(decoded.endpoints.as_deref(), Some("service"));
    let mut unnamed = apart();
    unnamed.eds_cluster_config.as_mut().unwrap().service_name.clear();
    let Ok(Decoded::Cluster(decoded)) = take("c", &unnamed) else {
        panic!()
    };
    assert_eq!(decoded.endpoints.as_deref(), Some("c"));
    // Without options, HTTP/1 is spoken.
    assert_eq!(cluster_as_written(&apart())["protocol"], "http1");
}

#[test]
fn names_that_dns_resolves() {
    let message = Cluster {
        cluster_discovery_type: Some(of_type(DiscoveryType::StrictDns)),
        load_assignment: Some(assignment(vec![group(vec![endpoint("a.example", 81)])])),
        dns_lookup_family: DnsLookupFamily::V4Only as i32,
        dns_resolvers: vec![address("10.0.0.1", 53)],
        ..cluster()
    };
    let discovery = cluster_as_written(&message)["discovery"].clone();
    assert_eq!(
        discovery["names"],
        json!([{"host": "a.example", "port": 81, "weight": 1}])
    );
    assert_eq!(discovery["family"], "v4");
    assert_eq!(discovery["resolvers"], json!(["10.0.0.1:53"]));
    // TTLs are looked at only if that is asked for.
    assert_eq!(
        (&discovery["ttl_min"], &discovery["ttl_max"]),
        (&json!("5s"), &json!("5s"))
    );
    let message = Cluster {
        respect_dns_ttl: true,
        ..message
    };
    assert_eq!(cluster_as_written(&message)["discovery"]["ttl_max"], "5m");
}

#[test]
fn original_destinations() {
    let message = Cluster {
        cluster_discovery_type: Some(of_type(DiscoveryType::OriginalDst)),
        lb_policy: LbPolicy::ClusterProvided as i32,
        cleanup_interval: Some(Duration { seconds: 7, nanos: 0 }),
        ..cluster()
    };
    let discovery = cluster_as_written(&message)["discovery"].clone();
    assert_eq!(
        (&discovery["type"], &discovery["idle_timeout"]),
        (&json!("original_destination"), &json!("7s"))
    );
    let elsewhere = Cluster {
        lb_policy: LbPolicy::ClusterProvided as i32,
        ..apart()
    };
    assert_eq!(fault("c", &elsewhere).0, "lb_policy");
}

fn options(options: UpstreamProtocolOptions) -> http::HttpProtocolOptions {
    http::HttpProtocolOptions {
        upstream_protocol_options: Some(options),
        common_http_protocol_options: Some(core::HttpProtocolOptions {
            idle_timeout: Some(Duration { seconds: 9, nanos: 0 }),
            max_response_headers_kb: number(96),
            ..core::HttpProtocolOptions::default()
        }),
        ..http::HttpProtocolOptions::default()
    }
}

fn with_options(options: &http::HttpProtocolOptions) -> Cluster {
    let key = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    Cluster {
        typed_extension_protocol_options: [(key.to_owned(), any(options))].into(),
        ..apart()
    }
}

#[test]
fn http2_by_options_of_either_spelling() {
    let http2 = core::Http2ProtocolOptions {
        max_concurrent_streams: number(7),
        ..core::Http2ProtocolOptions::default()
    };
    let config = ProtocolConfig::Http2ProtocolOptions(http2.clone());
    let explicit = UpstreamProtocolOptions::ExplicitHttpConfig(ExplicitHttpConfig {
        protocol_config: Some(config),
    });
    let newer = cluster_as_written(&with_options(&options(explicit)));
    let older = cluster_as_written(&Cluster {
        http2_protocol_options: Some(http2),
        common_http_protocol_options: options(UpstreamProtocolOptions::AutoConfig(Default::default()))
            .common_http_protocol_options,
        ..apart()
    });
    assert_eq!(newer, older);
    assert_eq!(
        (&newer["protocol"], &newer["http2"]["concurrent_streams_max"]),
        (&json!("http2"), &json!(7))
    );
    assert_eq!(newer["pool"]["idle_timeout"], "9s");
    assert_eq!(newer["response_headers_bytes_max"], "96KiB");
}

#[test]
fn speaking_as_the_client_does_is_refused() {
    let message = with_options(&options(UpstreamProtocolOptions::UseDownstreamProtocolConfig(
        Default::default(),
    )));
    let (path, message) = fault("c", &message);
    assert!(path.ends_with(".use_downstream_protocol_config"), "{path}");
    assert_eq!(message, "speaking what the client speaks is not implemented");
}

#[test]
fn the_first_policy_that_is_known_counts() {
    let policy = |any| cluster_v3::load_balancing_policy::Policy {
        typed_extension_config: Some(core::TypedExtensionConfig {
            name: "any name".to_owned(),
            typed_config: Some(any),
        }),
    };
    let least = LeastRequest {
        choice_count: number(3),
        ..LeastRequest::default()
    };
    let inner = cluster_v3::LoadBalancingPolicy {
        policies: vec![policy(any(&PickFirst::default())), policy(any(&least))],
    };
    let outer = WrrLocality {
        endpoint_picking_policy: Some(inner),
    };
    let message = Cluster {
        load_balancing_policy: Some(cluster_v3::LoadBalancingPolicy {
            policies: vec![policy(any(&outer))],
        }),
        ..apart()
    };
    let written = cluster_as_written(&message);
    assert_eq!(
        written["load_balancing"],
        json!({"least_request": {"choices": 3}})
    );
    assert_eq!(written["locality_balancing"], "weighted");
    let message = Cluster {
        load_balancing_policy: Some(cluster_v3::LoadBalancingPolicy {
            policies: vec![policy(any(&PickFirst::default()))],
        }),
        ..apart()
    };
    let (path, said) = fault("c", &message);
    assert_eq!(path, "load_balancing_policy.policies");
    assert!(said.contains("PickFirst"), "{said}");
}

#[test]
fn a_ring_with_the_hash_function_of_another() {
    let ring = cluster_v3::cluster::RingHashLbConfig {
        hash_function: cluster_v3::cluster::ring_hash_lb_config::HashFunction::MurmurHash2 as i32,
        ..Default::default()
    };
    let message = Cluster {
        lb_policy: LbPolicy::RingHash as i32,
        lb_config: Some(LbConfig::RingHashLbConfig(ring)),
        ..apart()
    };
    assert_eq!(fault("c", &message).0, "ring_hash_lb_config.hash_function");
    let other = Cluster {
        lb_policy: LbPolicy::Maglev as i32,
        ..message
    };
    assert_eq!(
        fault("c", &other).1,
        "the policy, and the configuration of another"
    );
}

#[test]
fn a_number_of_retries_is_always_allowed() {
    let with = |max_retries| Cluster {
        circuit_breakers: Some(cluster_v3::CircuitBreakers {
            thresholds: vec![cluster_v3::circuit_breakers::Thresholds {
                max_retries: number(max_retries),
                max_requests: number(8),
                ..Default::default()
            }],
            ..Default::default()
        }),
        ..apart()
    };
    let written = cluster_as_written(&with(u32::MAX));
    assert_eq!(
        written["retry_budget"],
        json!({"percent": 20, "concurrency_min": u32::MAX})
    );
    assert_eq!(written["circuit_breakers"]["default"]["requests_max"], 8);
    assert_eq!(written["circuit_breakers"]["high"]["requests_max"], 1024);
    let none = cluster_as_written(&with(0));
    assert_eq!(none["retry_budget"], json!({"percent": 0, "concurrency_min": 0}));
}

#[test]
fn a_health_check() {
    let check = core::HealthCheck {
        timeout: Some(Duration { seconds: 1, nanos: 0 }),
        interval: Some(Duration { seconds: 5, nanos: 0 }),
        unhealthy_threshold: number(2),
        healthy_threshold: number(1),
        health_checker: Some(core::health_check::HealthChecker::HttpHealthCheck(
            core::health_check::HttpHealthCheck {
                path: "/ready".to_owned(),
                expected_statuses: vec![envoy_types::pb::envoy::r#type::v3::Int64Range {
                    start: 200,
                    end: 205,
                }],
                receive: vec![core::health_check::Payload {
                    payload: Some(core::health_check::payload::Payload::Text("6f6b".to_owned())),
                }],
                ..Default::default()
            },
        )),
        ..Default::default()
    };
    let message = Cluster {
        health_checks: vec![check.clone()],
        ..apart()
    };
    let written = cluster_as_written(&message)["health_check"].clone();
    assert_eq!(written["http"]["expected_statuses"], json!(["200-204"]));
    assert_eq!(written["http"]["expected_body"], json!({"contains": "ok"}));
    // Envoy's, where nothing is said.
    assert_eq!(
        (&written["jitter"], &written["no_traffic_interval"]),
        (&json!(0), &json!("1m"))
    );
    let two = Cluster {
        health_checks: vec![check.clone(), check],
        ..apart()
    };
    assert_eq!(fault("c", &two).0, "health_checks[1]");
}

#[test]
fn a_field_of_the_document_in_metadata() {
    use envoy_types::pb::google::protobuf::{Struct, Value, value::Kind};
    let value = |kind| Value { kind: Some(kind) };
    let with = |name: &str, kind| Cluster {
        metadata: Some(core::Metadata {
            filter_metadata: [(
                "outrigger".to_owned(),
                Struct {
                    fields: [(name.to_owned(), value(kind))].into(),
                },
            )]
            .into(),
            ..Default::default()
        }),
        connect_timeout: Some(Duration { seconds: 1, nanos: 0 }),
        ..apart()
    };
    let written = cluster_as_written(&with("tcp_user_timeout", Kind::StringValue("9s".to_owned())));
    assert_eq!(written["tcp_user_timeout"], "9s");
    let at = "metadata.filter_metadata[\"outrigger\"]";
    let (path, said) = fault("c", &with("connect_timeout", Kind::StringValue("9s".to_owned())));
    assert_eq!(path, format!("{at}[\"connect_timeout\"]"));
    assert_eq!(said, "`connect_timeout` is said by the message itself, too");
    let (path, _) = fault("c", &with("conect_timeout", Kind::StringValue("9s".to_owned())));
    assert_eq!(path, format!("{at}[\"conect_timeout\"]"));
}

#[test]
fn what_the_reader_refuses_stands_where_the_message_says_it() {
    let message = Cluster {
        common_lb_config: Some(CommonLbConfig {
            healthy_panic_threshold: Some(envoy_types::pb::envoy::r#type::v3::Percent { value: 50.5 }),
            ..Default::default()
        }),
        ..apart()
    };
    assert_eq!(fault("c", &message).0, "common_lb_config.healthy_panic_threshold");
    let message = Cluster {
        wait_for_warm_on_init: Some(BoolValue { value: false }),
        ..apart()
    };
    assert_eq!(fault("c", &message).0, "wait_for_warm_on_init");
    let message = Cluster {
        connect_timeout: Some(Duration { seconds: 0, nanos: 0 }),
        ..apart()
    };
    assert_eq!(fault("c", &message).0, "connect_timeout");
    let named = fault("d", &apart());
    assert_eq!(named.0, "name");
}
