//! Envoy in front of the same service and upstream: what it tells and does, and what we do.

use super::{allow_with, asking_grpc, deny_with, header};
use crate::programs::{allow_missing, python};
use envoy_types::pb::envoy::service::auth::v3::OkHttpResponse;
use outrigger_fixtures::Scripted;
use outrigger_fixtures::authorization::{Authorization, Check};
use outrigger_harness::{Proxy, client, wait_until};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};

/// Envoy, ended by its own id.
struct Envoy(Child);

impl Drop for Envoy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn configuration(listen: SocketAddr, upstream: SocketAddr, service: SocketAddr) -> String {
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
          route_config: {{ virtual_hosts: [{{ name: a, domains: ['*'], routes: [{{ match: {{ prefix: / }}, route: {{ cluster: upstream }} }}] }}] }}
          http_filters:
          - name: envoy.filters.http.ext_authz
            typed_config:
              '@type': type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz
              transport_api_version: V3
              grpc_service: {{ envoy_grpc: {{ cluster_name: authz }}, timeout: 60s }}
          - name: envoy.filters.http.router
            typed_config: {{ '@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }}
  clusters:
{}{}",
        listen.ip(),
        listen.port(),
        cluster("upstream", upstream, ""),
        cluster("authz", service, http2),
    )
}

/// What both see and do with a request: the status, its headers for the client, those for the upstream, what was told.
async fn seen(address: SocketAddr, path: &str, upstream: &Scripted, service: &Authorization) -> Vec<String> {
    let sent = "x-user: mallory\r\nx-roles: a\r\nx-gone: g\r\nx-two: 1\r\nx-two: 2\r\n";
    let response = client::fetch(address, path, sent).await;
    let mut seen = vec![format!("{} {:?}", response.status(), response.text())];
    for name in ["x-checked", "www-authenticate", "x-why", "content-type"] {
        seen.push(format!("client {name}: {:?}", response.field(name)));
    }
    let check: Check = service.last_check();
    let http = check.http();
    seen.push(format!(
        "told {} {} {} {}",
        http.method, http.path, http.query, http.protocol
    ));
    seen.push(format!(
        "told {} {} {:?}",
        http.scheme,
        http.size,
        http.headers.get("x-two")
    ));
    for name in [":method", ":path", ":scheme"] {
        seen.push(format!("told {name}: {:?}", http.headers.get(name)));
    }
    if response.status() == 200 {
        let head = upstream.last_request().head;
        for name in ["x-user", "x-roles", "x-gone", "x-twice"] {
            let values: Vec<&str> = head.all(name).flat_map(|value| value.split(',')).collect();
            seen.push(format!("upstream {name}: {values:?}"));
        }
    }
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn both_tell_and_do_the_same() {
    let Some(python) = python() else { return };
    let program = python.with_file_name("envoy");
    if !program.is_file() {
        allow_missing(&["envoy"]);
        return;
    }
    let upstream = Scripted::ok().await;
    let service = Authorization::start(|check| match check.http().path.as_str() {
        "/no" => deny_with(
            401,
            vec![
                header("www-authenticate", "Basic", false),
                header("x-why", "w", false),
            ],
            "who are you?",
        ),
        _ => allow_with(OkHttpResponse {
            headers: vec![
                header("x-user", "alice", false),
                header("x-roles", "b", true),
                header("x-twice", "1", false),
            ],
            headers_to_remove: vec!["x-gone".into(), "host".into()],
            response_headers_to_add: vec![header("x-checked", "yes", true)],
            ..OkHttpResponse::default()
        }),
    })
    .await;
    let listen = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut command = Command::new(program);
    command
        .args([
            "--use-dynamic-base-id",
            "--log-level",
            "off",
            "--concurrency",
            "1",
            "--config-yaml",
        ])
        .arg(configuration(listen, upstream.address(), service.address()))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let _envoy = Envoy(command.spawn().unwrap());
    wait_until("Envoy", async || {
        tokio::net::TcpStream::connect(listen).await.ok().map(drop)
    })
    .await;
    let proxy = Proxy::start(asking_grpc(upstream.address(), &[service.address()], "")).await;
    for path in ["/yes?a=b", "/no"] {
        let envoy = seen(listen, path, &upstream, &service).await;
        let ours = seen(proxy.address(), path, &upstream, &service).await;
        assert_eq!(ours, envoy, "{path}");
    }
}
