//! A service that counts: what it is asked, and what it says.

use super::{decided, fetch, limit, limits, statuses};
use crate::programs::{Beside, peer, python};
use envoy_types::pb::envoy::config::core::v3::HeaderValue;
use envoy_types::pb::envoy::service::ratelimit::v3::RateLimitResponse;
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_response::rate_limit::Unit;
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_response::{
    Code, DescriptorStatus, RateLimit,
};
use envoy_types::pb::google::protobuf::Duration;
use outrigger_fixtures::Scripted;
use outrigger_fixtures::rate_limit::{Hit, RateLimits, Ruling};
use outrigger_harness::{Document, Proxy};
use std::process::Command;

/// A limit `name` of which a service in the cluster `limits` is asked; time is plenty.
pub(super) fn asked(name: &str, descriptors: &str, service: &str, more: &str) -> String {
    let timeout = if service.contains("timeout:") {
        ""
    } else {
        ", timeout: 1h"
    };
    format!(
        "{{ name: {name}, descriptors: [{descriptors}], global: {{ cluster: limits, domain: edge{timeout}{service} }}{more} }}"
    )
}

/// A proxy that asks a service about everything by the one limit `it`.
async fn asking(
    rule: impl Fn(&Hit) -> Ruling + Send + Sync + 'static,
    descriptors: &str,
    more: &str,
) -> (Scripted, RateLimits, Proxy) {
    let upstream = Scripted::ok().await;
    let service = RateLimits::start(rule).await;
    let document = Document::to(&[upstream.address()])
        .with_cluster("limits", &[service.address()], "protocol: http2")
        .http("rate_limits: [it]");
    let proxy = Proxy::start(limits(document, &[asked("it", descriptors, "", more)])).await;
    (upstream, service, proxy)
}

pub(super) fn header(name: &str, value: &str) -> HeaderValue {
    HeaderValue {
        key: name.into(),
        value: value.into(),
        ..HeaderValue::default()
    }
}

pub(super) fn status(name: &str, requests: u32, unit: Unit, left: u32, reset: i64) -> DescriptorStatus {
    DescriptorStatus {
        code: if left == 0 { Code::OverLimit } else { Code::Ok }.into(),
        current_limit: Some(RateLimit {
            name: name.into(),
            requests_per_unit: requests,
            unit: unit.into(),
        }),
        limit_remaining: left,
        duration_until_reset: Some(Duration {
            seconds: reset,
            nanos: 0,
        }),
        ..DescriptorStatus::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_asked_one_hit_of_each_descriptor_that_lacks_nothing() {
    let descriptors = "[remote_address, { constant: web, key: tier }], [{ header: x-user }, path], [method]";
    let (upstream, service, proxy) = asking(|_| Ruling::code(Code::Ok), descriptors, "").await;
    let long = "u".repeat(2_000);
    let fields = format!("x-user: {long}\r\n");
    assert_eq!(statuses(&proxy, 1, "/a?b", &fields).await, [200]);
    assert_eq!(statuses(&proxy, 1, "/a", "").await, [200]);
    let hits = service.hits();
    assert_eq!(hits[0].request.domain, "edge");
    assert_eq!(hits[0].request.hits_addend, 1);
    let whole = format!("x-user={long},path=/a");
    assert_eq!(
        hits[0].descriptors(),
        ["remote_address=127.0.0.1,tier=web", whole.as_str(), "method=GET"],
        "values are told whole"
    );
    assert_eq!(
        hits[1].descriptors(),
        ["remote_address=127.0.0.1,tier=web", "method=GET"]
    );
    assert_eq!(hits[0].headers["te"], "trailers");
    assert!(hits[0].headers.contains_key("grpc-timeout"));
    assert_eq!(upstream.request_count(), 2);

    let (_upstream, service, proxy) =
        asking(|_| Ruling::code(Code::OverLimit), "[{ header: x-user }]", "").await;
    assert_eq!(statuses(&proxy, 1, "/", "").await, [200], "nothing to ask");
    assert_eq!(service.hits().len(), 0);
    assert_eq!(decided(&proxy, "it", "not_counted").await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_yes_may_write_headers_both_ways_and_quotas_are_told() {
    let answer = RateLimitResponse {
        overall_code: Code::Ok.into(),
        statuses: vec![
            status("per-user", 10, Unit::Minute, 7, 30),
            status("", 1000, Unit::Hour, 400, 1800),
        ],
        request_headers_to_add: vec![header("x-quota", "user")],
        response_headers_to_add: vec![header("x-from", "limits")],
        ..RateLimitResponse::default()
    };
    let rule = move |_: &Hit| Ruling::Response(Box::new(answer.clone()));
    let (upstream, _service, proxy) = asking(rule, "[method]", ", headers: true").await;
    let response = fetch(&proxy, "/", "").await;
    assert_eq!(response.status(), 200);
    let fields = [
        "x-from",
        "x-ratelimit-limit",
        "x-ratelimit-remaining",
        "x-ratelimit-reset",
    ];
    assert_eq!(
        fields.map(|name| response.field(name).unwrap_or("none")),
        ["limits", "10, 10;w=60;name=\"per-user\", 1000;w=3600", "7", "30"]
    );
    assert_eq!(upstream.last_request().head.field("x-quota"), Some("user"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_no_is_a_refusal_with_the_services_headers_and_body() {
    let answer = RateLimitResponse {
        overall_code: Code::OverLimit.into(),
        statuses: vec![
            status("a", 10, Unit::Minute, 0, 30),
            status("b", 5, Unit::Second, 0, 1),
        ],
        response_headers_to_add: vec![header("x-why", "w"), header("transfer-encoding", "chunked")],
        raw_body: b"slow down".to_vec(),
        ..RateLimitResponse::default()
    };
    let rule = move |_: &Hit| Ruling::Response(Box::new(answer.clone()));
    let (upstream, _service, proxy) = asking(rule, "[method]", ", status: 430").await;
    let response = fetch(&proxy, "/", "").await;
    let field = |name: &str| response.field(name).unwrap_or("none").to_owned();
    assert_eq!((response.status(), response.text().as_str()), (430, "slow down"));
    assert_eq!(
        ["x-why", "retry-after", "x-envoy-ratelimited", "x-ratelimit-limit"].map(field),
        ["w", "30", "true", "none"]
    );
    assert_eq!(upstream.request_count(), 0);
    assert_eq!(decided(&proxy, "it", "refused").await, 1.0);
    let series = format!("{}{{reason=\"invalid_change\"}}", super::FAULTS);
    assert_eq!(
        proxy.admin().metric(&series).await,
        1.0,
        "one header is not its to write"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shadow_asks_and_changes_nothing() {
    let rule = |_: &Hit| {
        Ruling::Response(Box::new(RateLimitResponse {
            overall_code: Code::OverLimit.into(),
            response_headers_to_add: vec![header("x-why", "w")],
            ..RateLimitResponse::default()
        }))
    };
    let (_upstream, service, proxy) = asking(rule, "[method]", ", shadow: true").await;
    let response = fetch(&proxy, "/", "").await;
    assert_eq!((response.status(), response.field("x-why")), (200, None));
    assert_eq!(service.hits().len(), 1);
    assert_eq!(decided(&proxy, "it", "shadow_refused").await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn local_limits_come_first_and_several_services_are_asked_in_order_until_one_refuses() {
    let upstream = Scripted::ok().await;
    let service = RateLimits::start(|hit| match hit.descriptors()[0].as_str() {
        "name=second" => Ruling::code(Code::OverLimit),
        _ => Ruling::code(Code::Ok),
    })
    .await;
    let document = Document::to(&[upstream.address()])
        .with_cluster("limits", &[service.address()], "protocol: http2")
        .http("rate_limits: [first]")
        .route("rate_limits: [second, third, two]");
    let constant = |name: &str| format!("[{{ constant: {name}, key: name }}]");
    let mut all = vec![limit("two", 2, "", "")];
    for name in ["first", "second", "third"] {
        all.push(asked(name, &constant(name), "", ""));
    }
    let proxy = Proxy::start(limits(document, &all)).await;
    assert_eq!(statuses(&proxy, 3, "/", "").await, [429; 3]);
    let asked: Vec<_> = service
        .hits()
        .iter()
        .map(|hit| hit.descriptors().remove(0))
        .collect();
    assert_eq!(asked, ["name=first", "name=second", "name=first", "name=second"]);
    assert_eq!(decided(&proxy, "second", "refused").await, 2.0);
    assert_eq!(decided(&proxy, "two", "refused").await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn pythons_grpc_can_be_the_service() {
    let Some(python) = python() else { return };
    let mut command = Command::new(&python);
    command.arg(peer("rate_limit_server.py"));
    let (_server, address) = Beside::listening(command);
    let upstream = Scripted::ok().await;
    let document = Document::to(&[upstream.address()])
        .with_cluster("limits", &[address], "protocol: http2")
        .http("rate_limits: [it]");
    let it = asked("it", "[{ header: x-user }]", ", failure_denied: true", "");
    let proxy = Proxy::start(limits(document, &[it])).await;
    for user in ["a", "b"] {
        let fields = format!("x-user: {user}\r\n");
        assert_eq!(
            statuses(&proxy, 5, "/", &fields).await,
            [200, 200, 200, 429, 429],
            "{user}"
        );
    }
}
