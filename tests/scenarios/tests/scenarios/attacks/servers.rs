//! Endpoints that are not who they should be: they get no request.

use super::{Gallery, NAME, PEER_ID};
use outrigger_fixtures::Echo;
use outrigger_harness::client::fetch;
use outrigger_harness::{Document, Proxy};
use std::net::SocketAddr;

fn towards(gallery: &Gallery, address: SocketAddr) -> Document {
    let tls = format!(
        "connect_timeout: 30s, tls: {{ ca_file: {}, server_name: {NAME}, peers: [{{ spiffe_id: '{PEER_ID}' }}] }}",
        gallery.root()
    );
    Document::to(&[address]).cluster(&tls)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_must_not_be_believed_gets_no_request() {
    let gallery = Gallery::new();
    let right = Echo::start_tls(gallery.good.server_config(&["http/1.1"])).await;
    let proxy = Proxy::start(towards(&gallery, right.address())).await;
    assert_eq!(fetch(proxy.address(), "/", "").await.status(), 200);
    for bad in &gallery.bad {
        let upstream = Echo::start_tls(bad.issued.server_config(&["http/1.1"])).await;
        let proxy = Proxy::start(towards(&gallery, upstream.address())).await;
        let response = fetch(proxy.address(), "/", "").await;
        assert_eq!(response.status(), 503, "{}", bad.what);
        assert_eq!(upstream.requests(), 0, "{}", bad.what);
        let flags = "outrigger_route_response_flags_total{flag=\"UF\"}";
        proxy.admin().wait_for_metric(flags, 1.0).await;
        let series = format!(
            "outrigger_cluster_tls_handshake_failures_total{{reason=\"{}\"}}",
            bad.reason
        );
        proxy.admin().wait_for(&series, |count| count >= 1.0).await;
    }
}
