//! Envoy on either side of mutual TLS, with SPIFFE ids checked by both.

use super::super::{Beside, envoy as program};
use super::{CLIENT_ID, Mesh, SERVER_ID, file};
use outrigger_fixtures::Scripted;
use outrigger_fixtures::authority::Issued;
use outrigger_harness::client::fetch;
use outrigger_harness::{Document, Proxy, wait_until};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;

/// Starts Envoy with one listener, whose chain this is, and one cluster.
async fn start(
    program: &Path,
    folder: &Path,
    chain: &str,
    cluster: &str,
    to: SocketAddr,
) -> (Beside, SocketAddr) {
    let listen = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let text = format!(
        r#"static_resources:
  listeners:
  - name: front
    address: {{ socket_address: {{ address: 127.0.0.1, port_value: {} }} }}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: front
          forward_client_cert_details: SANITIZE_SET
          set_current_client_cert_details: {{ uri: true }}
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes: [ {{ match: {{ prefix: "/" }}, route: {{ cluster: upstream }} }} ]
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{ "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }}
{chain}
  clusters:
  - name: upstream
    type: STATIC
    connect_timeout: 5s
{cluster}
    load_assignment:
      cluster_name: upstream
      endpoints:
      - lb_endpoints:
        - endpoint: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {} }} }} }}
"#,
        listen.port(),
        to.port()
    );
    let configuration = folder.join("envoy.yaml");
    std::fs::write(&configuration, text).unwrap();
    let mut command = Command::new(program);
    command
        .args([
            "--concurrency",
            "1",
            "--disable-hot-restart",
            "--log-level",
            "error",
            "-c",
        ])
        .arg(&configuration);
    let beside = Beside::start(command);
    wait_until("Envoy listens", async || {
        tokio::net::TcpStream::connect(listen).await.ok().map(drop)
    })
    .await;
    (beside, listen)
}

fn common_tls(mesh: &Mesh, issued: &Issued, peer: &str, indent: &str) -> String {
    let lines = [
        "common_tls_context:".to_owned(),
        "  tls_certificates:".to_owned(),
        format!(
            "  - certificate_chain: {{ filename: {} }}",
            file(&issued.certificate)
        ),
        format!("    private_key: {{ filename: {} }}", file(&issued.key)),
        "  validation_context:".to_owned(),
        format!("    trusted_ca: {{ filename: {} }}", mesh.root()),
        format!(
            "    match_typed_subject_alt_names: [ {{ san_type: URI, matcher: {{ exact: \"{peer}\" }} }} ]"
        ),
    ];
    lines.map(|line| format!("{indent}{line}\n")).concat()
}

const DOWNSTREAM: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext";
const UPSTREAM: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext";

#[tokio::test(flavor = "multi_thread")]
async fn envoy_as_upstream_believes_our_identity_and_we_its() {
    let Some(program) = program() else { return };
    let mesh = Mesh::new();
    let upstream = Scripted::ok().await;
    let folder = tempfile::tempdir().unwrap();
    let chain = format!(
        "      transport_socket:\n        name: tls\n        typed_config:\n          \"@type\": {DOWNSTREAM}\n          \
         require_client_certificate: true\n{}",
        common_tls(&mesh, &mesh.server, CLIENT_ID, "          ")
    );
    let (_envoy, address) = start(&program, folder.path(), &chain, "", upstream.address()).await;
    for (issued, status) in [(&mesh.client, 200), (&mesh.other, 503)] {
        let proxy = Proxy::start(Document::to(&[address]).cluster(&mesh.upstream(issued))).await;
        for _ in 0..3 {
            assert_eq!(
                fetch(proxy.address(), "/", "").await.status(),
                status,
                "{issued:?}"
            );
        }
    }
    assert_eq!(upstream.requests().len(), 3, "what Envoy refused came no further");
    let told = upstream.last_request();
    let certificate = told.head.field("x-forwarded-client-cert").unwrap();
    assert!(certificate.contains(&format!("URI={CLIENT_ID}")), "{certificate}");
}

#[tokio::test(flavor = "multi_thread")]
async fn envoy_as_client_is_believed_by_its_identity_alone() {
    let Some(program) = program() else { return };
    let mesh = Mesh::new();
    let upstream = Scripted::ok().await;
    let proxy = Proxy::start(Document::to(&[upstream.address()]).chain(&mesh.downstream())).await;
    for (issued, status) in [(&mesh.client, 200), (&mesh.other, 503)] {
        let folder = tempfile::tempdir().unwrap();
        let cluster = format!(
            "    transport_socket:\n      name: tls\n      typed_config:\n        \"@type\": {UPSTREAM}\n        \
             sni: server.example\n{}",
            common_tls(&mesh, issued, SERVER_ID, "        ")
        );
        let (_envoy, address) = start(&program, folder.path(), "", &cluster, proxy.address()).await;
        for _ in 0..3 {
            assert_eq!(fetch(address, "/", "").await.status(), status, "{issued:?}");
        }
    }
    assert_eq!(upstream.requests().len(), 3);
}
