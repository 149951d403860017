//! Envoy with the same limits: what it tells and does, and what we do.

use super::global::{asked, header, status};
use super::{limit, limits};
use crate::programs::envoy::{HTTP2, Setup};
use envoy_types::pb::envoy::service::ratelimit::v3::RateLimitResponse;
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_response::Code;
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_response::rate_limit::Unit;
use outrigger_fixtures::Scripted;
use outrigger_fixtures::rate_limit::{RateLimits, Ruling};
use outrigger_harness::{Document, Proxy, client};
use std::net::SocketAddr;

const LOCAL: &str = "'@type': \
     type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit, stat_prefix: r, token_bucket: { \
     max_tokens: 3, tokens_per_fill: 3, fill_interval: 3600000s }, filter_enabled: { default_value: { numerator: 100 } }, \
     filter_enforced: { default_value: { numerator: 100 } }, enable_x_ratelimit_headers: DRAFT_VERSION_03";

const GLOBAL: &str = "'@type': \
     type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimit, domain: edge, timeout: 60s, \
     failure_mode_deny: true, enable_x_ratelimit_headers: DRAFT_VERSION_03, rate_limit_service: { transport_api_version: \
     V3, grpc_service: { envoy_grpc: { cluster_name: limits } } }";

/// Envoy with this filter.
fn envoy(filter: &str, upstream: SocketAddr) -> Setup {
    Setup::to(&[upstream], "")
        .filter(filter)
        .http("use_remote_address: true")
        .route(
            "rate_limits: [{ actions: [{ remote_address: {} }, { request_headers: { header_name: x-user, \
             descriptor_key: x-user } }] }, { actions: [{ generic_key: { descriptor_value: web } }] }]",
        )
}

/// What both tell a client: the status, and these headers.
async fn seen(address: SocketAddr, fields: &str, headers: &[&str]) -> Vec<String> {
    let response = client::fetch(address, "/", fields).await;
    let mut seen = vec![response.status().to_string()];
    for name in headers {
        seen.push(format!("{name}: {}", response.field(name).unwrap_or("none")));
    }
    seen
}

const QUOTA: [&str; 3] = ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"];

#[tokio::test(flavor = "multi_thread")]
async fn both_let_as_many_through_and_tell_the_same_of_a_local_limit() {
    let upstream = Scripted::ok().await;
    let setup = envoy(LOCAL, upstream.address());
    let Some(envoy) = setup.start().await else { return };
    let envoys = envoy.address().await;
    let document = Document::to(&[upstream.address()]).http("rate_limits: [three]");
    let three = limit("three", 3, "", "headers: true");
    let proxy = Proxy::start(limits(document, &[three])).await;
    for turn in 0..5 {
        let theirs = seen(envoys, "", &QUOTA).await;
        let ours = seen(proxy.address(), "", &QUOTA).await;
        assert_eq!(ours, theirs, "request {turn}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_ask_a_service_the_same_and_do_what_it_says() {
    let upstream = Scripted::ok().await;
    let service = RateLimits::start(|hit| {
        let first = &hit.descriptors()[0];
        if first.ends_with("x-user=broken") {
            return Ruling::Status("14");
        }
        let is_over = first.ends_with("x-user=greedy");
        Ruling::Response(Box::new(RateLimitResponse {
            overall_code: if is_over { Code::OverLimit } else { Code::Ok }.into(),
            statuses: vec![
                status("user", 10, Unit::Minute, if is_over { 0 } else { 3 }, 17),
                status("", 500, Unit::Month, 400, 99),
            ],
            response_headers_to_add: vec![header("x-from", "limits")],
            request_headers_to_add: vec![header("x-quota", "user")],
            raw_body: if is_over {
                b"slow down".to_vec()
            } else {
                Vec::new()
            },
            ..RateLimitResponse::default()
        }))
    })
    .await;
    let setup = envoy(GLOBAL, upstream.address()).with_cluster("limits", &[service.address()], HTTP2);
    let Some(envoy) = setup.start().await else { return };
    let envoys = envoy.address().await;
    let descriptors = "[remote_address, { header: x-user }], [{ constant: web }]";
    let it = asked("it", descriptors, ", failure_denied: true", ", headers: true");
    let document = Document::to(&[upstream.address()])
        .with_cluster("limits", &[service.address()], "protocol: http2")
        .http("rate_limits: [it]");
    let proxy = Proxy::start(limits(document, &[it])).await;
    let mut headers = QUOTA.to_vec();
    headers.extend(["x-from", "x-envoy-ratelimited"]);
    for fields in ["x-user: a\r\n", "x-user: greedy\r\n", "x-user: broken\r\n", ""] {
        let mut both = Vec::new();
        for address in [envoys, proxy.address()] {
            let mut seen = seen(address, fields, &headers).await;
            let hit = service.hits().pop().unwrap();
            seen.extend(hit.descriptors());
            seen.push(hit.request.domain);
            if seen[0] == "200" {
                let head = upstream.last_request().head;
                seen.push(format!("{:?}", head.field("x-quota")));
            }
            both.push(seen);
        }
        assert_eq!(both[1], both[0], "{fields:?}");
    }
}
