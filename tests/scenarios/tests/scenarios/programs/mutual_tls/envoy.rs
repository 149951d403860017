//! Envoy on either side of mutual TLS, with SPIFFE ids checked by both.

use super::super::envoy::Setup;
use super::{CLIENT_ID, Mesh, SERVER_ID, file};
use outrigger_fixtures::Scripted;
use outrigger_fixtures::authority::Issued;
use outrigger_harness::client::fetch;
use outrigger_harness::{Document, Proxy};

/// A transport socket of this type and these fields that shows `issued`, and believes `peer`.
fn tls(mesh: &Mesh, issued: &Issued, peer: &str, kind: &str, fields: &str) -> String {
    format!(
        "transport_socket: {{ name: tls, typed_config: {{ '@type': {kind}, {fields}, common_tls_context: {{ \
         tls_certificates: [{{ certificate_chain: {{ filename: {} }}, private_key: {{ filename: {} }} }}], \
         validation_context: {{ trusted_ca: {{ filename: {} }}, match_typed_subject_alt_names: [{{ san_type: URI, \
         matcher: {{ exact: '{peer}' }} }}] }} }} }} }}",
        file(&issued.certificate),
        file(&issued.key),
        mesh.root(),
    )
}

const DOWNSTREAM: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext";
const UPSTREAM: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext";

#[tokio::test(flavor = "multi_thread")]
async fn envoy_as_upstream_believes_our_identity_and_we_its() {
    let mesh = Mesh::new();
    let upstream = Scripted::ok().await;
    let asking = "require_client_certificate: true";
    let setup = Setup::to(&[upstream.address()], "")
        .http("forward_client_cert_details: SANITIZE_SET, set_current_client_cert_details: { uri: true }")
        .chain(&tls(&mesh, &mesh.server, CLIENT_ID, DOWNSTREAM, asking));
    let Some(envoy) = setup.start().await else { return };
    let address = envoy.address().await;
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
    let mesh = Mesh::new();
    let upstream = Scripted::ok().await;
    let proxy = Proxy::start(Document::to(&[upstream.address()]).chain(&mesh.downstream())).await;
    for (issued, status) in [(&mesh.client, 200), (&mesh.other, 503)] {
        let showing = tls(&mesh, issued, SERVER_ID, UPSTREAM, "sni: server.example");
        let setup = Setup::to(&[proxy.address()], &showing);
        let Some(envoy) = setup.start().await else { return };
        let address = envoy.address().await;
        for _ in 0..3 {
            assert_eq!(fetch(address, "/", "").await.status(), status, "{issued:?}");
        }
    }
    assert_eq!(upstream.requests().len(), 3);
}
