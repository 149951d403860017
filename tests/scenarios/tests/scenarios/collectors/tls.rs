//! TLS to collectors, with certificates of both sides.

use super::*;
use outrigger_fixtures::Authority;

/// The fields of a collector with TLS.
fn secured(wire: Wire, address: SocketAddr, tls: &str) -> String {
    let plain = plain(wire, address, AT_ONCE).replace("http://", "https://");
    format!("{plain}, tls: {{ {tls} }}")
}

fn protocols(wire: Wire) -> &'static [&'static str] {
    match wire {
        Wire::Grpc => &["h2"],
        Wire::Http => &["http/1.1"],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_is_believed_by_its_certificate() {
    let (own, other) = (Authority::new("own"), Authority::new("other"));
    for wire in [Wire::Grpc, Wire::Http] {
        let upstream = Echo::start().await;
        let issued = own.issue("collector", &["127.0.0.1", "collector.example"]);
        let tls = issued.server_config(protocols(wire));
        let collector = OtlpCollector::start_tls(wire, tls).await;
        let address = collector.address();
        let root = other.root();
        let stranger = secured(wire, address, &format!("ca_file: {}", root.display()));
        let proxy = Proxy::start(traced(&upstream, &stranger)).await;
        send(&proxy, 2).await;
        proxy
            .admin()
            .wait_for(&failures("connection"), |count| count > 0.0)
            .await;
        let root = own.root();
        let wrong = format!("ca_file: {}, server_name: a.example", root.display());
        let before = proxy.admin().metric(&failures("connection")).await;
        proxy
            .reload(traced(&upstream, &secured(wire, address, &wrong)))
            .await
            .unwrap();
        proxy
            .admin()
            .wait_for(&failures("connection"), |count| count > before)
            .await;
        assert!(collector.exports().is_empty(), "nothing is said to strangers");
        // By its address, and by a name.
        let right = format!("ca_file: {}", root.display());
        proxy
            .reload(traced(&upstream, &secured(wire, address, &right)))
            .await
            .unwrap();
        arrived(&collector, 2 * SPANS).await;
        // Not before the proxy knows: what is under way when a collector changes is sent again.
        let exported = series("exported_total", "");
        proxy.admin().wait_for_metric(&exported, (2 * SPANS) as f64).await;
        let named = format!("ca_file: {}, server_name: collector.example", root.display());
        proxy
            .reload(traced(&upstream, &secured(wire, address, &named)))
            .await
            .unwrap();
        send(&proxy, 1).await;
        arrived(&collector, 3 * SPANS).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_is_shown_our_certificate() {
    let (own, clients) = (Authority::new("own"), Authority::new("clients"));
    for wire in [Wire::Grpc, Wire::Http] {
        let upstream = Echo::start().await;
        let issued = own.issue("collector", &["127.0.0.1"]);
        let tls = issued.mutual_server_config(protocols(wire), &clients);
        let collector = OtlpCollector::start_tls(wire, tls).await;
        let believed = format!("ca_file: {}", own.root().display());
        let nobody = secured(wire, collector.address(), &believed);
        let proxy = Proxy::start(traced(&upstream, &nobody)).await;
        send(&proxy, 1).await;
        proxy
            .admin()
            .wait_for(&failures("connection"), |count| count > 0.0)
            .await;
        assert!(collector.exports().is_empty());
        let proxy_certificate = clients.issue_svid("proxy", "spiffe://mesh.example/proxy");
        let identities = format!(
            "identities: [{{ name: own, files: {} }}]",
            proxy_certificate.yaml()
        );
        let shown = format!("{believed}, certificate: {{ identity: own }}");
        let document = traced(&upstream, &secured(wire, collector.address(), &shown)).with(&identities);
        proxy.reload(document).await.unwrap();
        arrived(&collector, SPANS).await;
    }
}
