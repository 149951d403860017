//! Envoy with the same limits: what it tells and does, and what we do.

use super::global::{asked, header, status};
use super::{limit, limits};
use crate::programs::{allow_missing, python};
use envoy_types::pb::envoy::service::ratelimit::v3::RateLimitResponse;
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_response::Code;
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_response::rate_limit::Unit;
use outrigger_fixtures::Scripted;
use outrigger_fixtures::rate_limit::{RateLimits, Ruling};
use outrigger_harness::{Document, Proxy, client, wait_until};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};

const LOCAL: &str = "{ name: limit, typed_config: { '@type': \
     type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit, stat_prefix: r, token_bucket: { \
     max_tokens: 3, tokens_per_fill: 3, fill_interval: 3600000s }, filter_enabled: { default_value: { numerator: 100 } }, \
     filter_enforced: { default_value: { numerator: 100 } }, enable_x_ratelimit_headers: DRAFT_VERSION_03 } }";

const GLOBAL: &str = "{ name: limit, typed_config: { '@type': \
     type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimit, domain: edge, timeout: 60s, \
     failure_mode_deny: true, enable_x_ratelimit_headers: DRAFT_VERSION_03, rate_limit_service: { transport_api_version: \
     V3, grpc_service: { envoy_grpc: { cluster_name: limits } } } } }";

/// Envoy, ended by its own id.
struct Envoy(Child, SocketAddr);

impl Drop for Envoy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Envoy with this filter before its router; none if it is not installed.
async fn envoy(filter: &str, upstream: SocketAddr, service: SocketAddr) -> Option<Envoy> {
    let program = python()?.with_file_name("envoy");
    if !program.is_file() {
        allow_missing(&["envoy"]);
        return None;
    }
    let listen = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut command = Command::new(program);
    let flags = [
        "--use-dynamic-base-id",
        "--log-level",
        "off",
        "--concurrency",
        "1",
        "--config-yaml",
    ];
    command
        .args(flags)
        .arg(configuration(filter, listen, upstream, service))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let envoy = Envoy(command.spawn().unwrap(), listen);
    wait_until("Envoy", async || {
        tokio::net::TcpStream::connect(listen).await.ok().map(drop)
    })
    .await;
    Some(envoy)
}

fn configuration(filter: &str, listen: SocketAddr, upstream: SocketAddr, service: SocketAddr) -> String {
    let cluster = |name: &str, address: SocketAddr, http2: &str| {
        format!(
            "  - {{ name: {name}, type: STATIC, load_assignment: {{ cluster_name: {name}, endpoints: [{{ lb_endpoints: [{{ \
             endpoint: {{ address: {{ socket_address: {{ address: {}, port_value: {} }} }} }} }}] }}] }}{http2} }}\n",
            address.ip(),
            address.port()
        )
    };
    let http2 = ", typed_extension_protocol_options: { envoy.extensions.upstreams.http.v3.HttpProtocolOptions: { '@type': \
                 type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, explicit_http_config: { \
                 http2_protocol_options: {} } } }";
    let actions = "rate_limits: [{ actions: [{ remote_address: {} }, { request_headers: { header_name: x-user, \
                   descriptor_key: x-user } }] }, { actions: [{ generic_key: { descriptor_value: web } }] }]";
    format!(
        "static_resources:
  listeners:
  - address: {{ socket_address: {{ address: {}, port_value: {} }} }}
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: a
          use_remote_address: true
          route_config: {{ virtual_hosts: [{{ name: a, domains: ['*'], routes: [{{ match: {{ prefix: / }}, route: {{ cluster: \
         upstream, {actions} }} }}] }}] }}
          http_filters:
          - {filter}
          - name: envoy.filters.http.router
            typed_config: {{ '@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }}
  clusters:
{}{}",
        listen.ip(),
        listen.port(),
        cluster("upstream", upstream, ""),
        cluster("limits", service, http2),
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
    let Some(envoy) = envoy(LOCAL, upstream.address(), upstream.address()).await else {
        return;
    };
    let document = Document::to(&[upstream.address()]).http("rate_limits: [three]");
    let three = limit("three", 3, "", "headers: true");
    let proxy = Proxy::start(limits(document, &[three])).await;
    for turn in 0..5 {
        let theirs = seen(envoy.1, "", &QUOTA).await;
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
    let Some(envoy) = envoy(GLOBAL, upstream.address(), service.address()).await else {
        return;
    };
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
        for address in [envoy.1, proxy.address()] {
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
