//! Who the client has proved to be is told, and decisions are not another client's.

use super::{allow, asking_grpc, response};
use outrigger_fixtures::authority::uri;
use outrigger_fixtures::authorization::Authorization;
use outrigger_fixtures::{Authority, Scripted};
use outrigger_harness::{Client, Proxy};

#[tokio::test(flavor = "multi_thread")]
async fn a_verified_client_is_told_by_name_and_certificate() {
    let authority = Authority::new("root");
    let server = authority.issue_with("server", &["a.example"], |params| {
        params.subject_alt_names.push(uri("spiffe://example.org/server"));
    });
    let (upstream, service) = (
        Scripted::ok().await,
        Authorization::start(
            |check| match check.attributes().source.as_ref().unwrap().principal.as_str() {
                "spiffe://example.org/alice" => allow(),
                _ => response(7, None),
            },
        )
        .await,
    );
    let fields = ", include_peer_certificate: true, cache: { time_to_live: 1h }";
    let document = asking_grpc(upstream.address(), &[service.address()], fields)
        .workers(1)
        .chain(&format!(
            "tls: {{ certificates: [{}], client: {{ ca_file: {} }} }}",
            server.yaml(),
            authority.root().display()
        ));
    let proxy = Proxy::start(document).await;
    for (name, status) in [("alice", 200), ("bob", 403)] {
        let issued = authority.issue_svid(name, &format!("spiffe://example.org/{name}"));
        let config = authority.client_config(&["http/1.1"], Some(&issued));
        let mut client = Client::connect_tls(proxy.address(), config, "a.example")
            .await
            .unwrap();
        for _ in 0..2 {
            assert_eq!(client.fetch("/", "").await.status(), status, "{name}");
        }
        let check = service.last_check();
        let attributes = check.attributes();
        let source = attributes.source.as_ref().unwrap();
        assert_eq!(source.principal, format!("spiffe://example.org/{name}"));
        assert!(source.certificate.starts_with("-----BEGIN%20CERTIFICATE-----%0A"));
        let destination = attributes.destination.as_ref().unwrap();
        assert_eq!(destination.principal, "spiffe://example.org/server");
        assert_eq!(attributes.tls_session.as_ref().unwrap().sni, "a.example");
    }
    assert_eq!(
        service.checks().len(),
        2,
        "each decision was kept, and for its own client"
    );
}
