//! Real Envoy as a gateway of the mesh: it serves by what the control API pushes, and refuses none of it.

use super::super::envoy::{ANY, Envoy, HTTP2};
use super::{all_taken, change, endpoints};
use outrigger_fixtures::Echo;
use outrigger_harness::client::{Client, Response, fetch};
use outrigger_harness::{Control, wait_until};
use std::net::SocketAddr;

/// The virtual host of each mesh here.
const SHOP: &str =
    "{name: shop, domains: [test], routes: [{match: {prefix: /}, forward: {service: shop/web}}]}";
/// A second one.
const TOLD: &str = "{name: told, domains: [told.example], routes: [{match: {prefix: /}, direct_response: {status: 418, body: told}}]}";

fn mesh(upstream: SocketAddr, hosts: &[&str]) -> String {
    format!(
        "\
defaults: {{trust_domain: example.org}}
services:
  - name: shop/web
    ports: [{{port: 80, protocol: http}}]
    endpoints: [{}]
gateways:
  - name: edge/public
    listeners: [{{name: edge, address: '127.0.0.1:0'}}]
    virtual_hosts: [{}]
",
        endpoints(&[upstream]),
        hosts.join(", ")
    )
}

/// Envoy as the node `envoy` of the gateway, which has everything but its admin endpoint from the control API.
pub(crate) async fn run(control: &Control, transport: &str) -> Option<Envoy> {
    let (port, bundle) = (control.grpc().port(), control.bundle());
    let bundle = bundle.display();
    let bootstrap = format!(
        "admin: {{ address: {ANY} }}
node: {{ id: envoy, cluster: edge/public }}
dynamic_resources:
  ads_config:
    api_type: {transport}
    transport_api_version: V3
    grpc_services: [{{ envoy_grpc: {{ cluster_name: control }} }}]
  cds_config: {{ ads: {{}}, resource_api_version: V3 }}
  lds_config: {{ ads: {{}}, resource_api_version: V3 }}
static_resources:
  clusters:
  - name: control
    type: STATIC
    {HTTP2}
    load_assignment: {{ cluster_name: control, endpoints: [{{ lb_endpoints: [{{ endpoint: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }} }} }}] }}] }}
    transport_socket:
      name: tls
      typed_config:
        '@type': type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
        sni: localhost
        common_tls_context:
          validation_context:
            trusted_ca: {{ filename: '{bundle}' }}
            match_typed_subject_alt_names: [{{ san_type: DNS, matcher: {{ exact: localhost }} }}]
"
    );
    Envoy::run(&bootstrap).await
}

async fn of_host(address: SocketAddr, host: &str) -> Response {
    let request = format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n");
    Client::connect(address).await.exchange(request).await
}

async fn follows_changes(transport: &str) {
    let (one, two) = (Echo::start_named("one").await, Echo::start_named("two").await);
    let (one_address, two_address) = (one.address(), two.address());
    let control = Control::start(&[("mesh.yaml", &mesh(one_address, &[SHOP]))]).await;
    let Some(envoy) = run(&control, transport).await else {
        return;
    };
    let address = envoy.address_of("edge").await;
    assert_eq!(fetch(address, "/", "").await.status(), 200);
    assert_eq!(one.requests(), 1);
    let taken = all_taken(&control, "envoy").await;
    assert_eq!((taken.agent, &*taken.service), ("envoy", "edge/public"));
    for wanted in [
        "Cluster",
        "ClusterLoadAssignment",
        "Listener",
        "RouteConfiguration",
    ] {
        assert_eq!(taken.of_types.get(wanted), Some(&1), "{wanted}");
    }

    change(&control, "envoy", &mesh(two_address, &[SHOP])).await;
    wait_until("requests go to the other endpoint", async || {
        assert_eq!(fetch(address, "/", "").await.status(), 200);
        (two.requests() > 0).then_some(())
    })
    .await;

    assert_eq!(of_host(address, "told.example").await.status(), 404);
    change(&control, "envoy", &mesh(two_address, &[SHOP, TOLD])).await;
    wait_until("the virtual host is there", async || {
        let answer = of_host(address, "told.example").await;
        (answer.status() == 418 && answer.text() == "told").then_some(())
    })
    .await;

    change(&control, "envoy", &mesh(two_address, &[SHOP])).await;
    wait_until("the virtual host is gone", async || {
        (of_host(address, "told.example").await.status() == 404).then_some(())
    })
    .await;
    assert_eq!(fetch(address, "/", "").await.status(), 200);
    all_taken(&control, "envoy").await;
}

#[tokio::test]
async fn envoy_is_driven_by_delta() {
    follows_changes("DELTA_GRPC").await;
}

#[tokio::test]
async fn envoy_is_driven_by_the_state_of_the_world() {
    follows_changes("GRPC").await;
}

#[tokio::test]
async fn envoy_calls_a_sidecar_by_mutual_tls_with_secrets_of_the_control_api() {
    let echo = Echo::start().await;
    let mesh = |endpoints: &str| {
        format!(
            "\
defaults: {{trust_domain: example.org}}
services:
  - name: shop/web
    ports: [{{port: 80, protocol: http, application_port: {}}}]
    endpoints: [{endpoints}]
    sidecar: {{interception: 'off', inbound: '127.0.0.1:0'}}
    mutual_tls: strict
gateways:
  - name: edge/public
    identity: spiffe://example.org/ns/edge/sa/public
    listeners: [{{name: edge, address: '127.0.0.1:0'}}]
    virtual_hosts: [{SHOP}]
",
            echo.address().port()
        )
    };
    let control = Control::start(&[("mesh.yaml", &mesh(""))]).await;
    let Some(envoy) = run(&control, "DELTA_GRPC").await else {
        return;
    };
    let sidecar = control
        .node("web-1", "shop/web", "spiffe://example.org/ns/shop/sa/web")
        .await;
    control.settled("web-1").await;
    let inbound = sidecar.address_of("inbound/80");
    let mut plain = Client::connect(inbound).await;
    plain.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n").await;
    let answer = plain.try_response("GET").await;
    let is_served = answer.is_ok_and(|answer| answer.status() == 200);
    assert!(
        !is_served && echo.requests() == 0,
        "the sidecar serves nobody without a certificate"
    );
    change(&control, "envoy", &mesh(&format!("{{address: '{inbound}'}}"))).await;
    let address = envoy.address_of("edge").await;
    let answer = wait_until("Envoy knows the endpoint", async || {
        let answer = fetch(address, "/", "").await;
        (answer.status() != 503).then_some(answer)
    })
    .await;
    assert_eq!(answer.status(), 200);
    assert_eq!(echo.requests(), 1);
    let secrets = all_taken(&control, "envoy").await.of_types["Secret"];
    assert_eq!(secrets, 2, "an identity, and whom to believe");
}
