//! The last certificate runs out: it is still shown, peers refuse it, and everything that would have used it fails at
//! once, in words.

use super::*;
use outrigger_fixtures::{Authority, Echo};
use outrigger_harness::{Client, Document, wait_until};
use std::time::{Duration, SystemTime};

/// Long enough for a request, short enough to wait for.
const LIFETIME: Duration = Duration::from_secs(4);

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_certificate_is_refused_by_peers_and_mended_by_the_next() {
    let authority = Authority::new("root");
    let short = |name: &str| {
        authority.issue_with(name, &[NAME], |params| {
            params.not_after = (SystemTime::now() + LIFETIME).into();
        })
    };
    let pair = Pair::of(&short("short"));
    let upstream = authority.issue("upstream", &["upstream.example"]);
    let echo = Echo::start_tls(upstream.mutual_server_config(&["http/1.1"], &authority)).await;
    let document = Document::to(&[echo.address()])
        .cluster(&format!(
            "tls: {{ ca_file: {}, server_name: upstream.example, certificate: {{ identity: own }} }}",
            authority.root().display()
        ))
        .chain("tls: { certificates: [{ identity: own }] }, match: { transport: tls }")
        .with(&format!("identities: [{{ name: own, files: {} }}]", pair.yaml()))
        .with_listener("plain");
    let proxy = Proxy::start(document).await;
    let admin = proxy.admin();
    let config = authority.client_config(&["http/1.1"], None);
    let mut open = Client::connect_tls(proxy.address(), config.clone(), NAME)
        .await
        .unwrap();
    assert_eq!(open.fetch("/", "").await.status(), 200);
    let left = "outrigger_certificate_expires_in_seconds{name=\"own\"}";
    admin.wait_for(left, |left| left < 0.0).await;
    let lifetime = admin
        .metric("outrigger_certificate_validity_seconds{name=\"own\"}")
        .await;
    assert!(lifetime > 0.0, "{lifetime}");

    // Downstream: whoever comes now does not believe it.
    wait_until("the refusal", async || {
        let shaken = Client::connect_tls(proxy.address(), config.clone(), NAME).await;
        let error = shaken.err()?.to_string();
        assert!(error.contains("expired"), "{error}");
        Some(())
    })
    .await;
    admin
        .wait_for(
            "outrigger_listener_tls_handshake_failures_total{reason=\"own_certificate\"}",
            |count| count >= 1.0,
        )
        .await;
    // Upstream: so does the endpoint. A connection that is open goes on, as one does whose certificate has run out.
    let response = Client::connect(proxy.address_of("plain"))
        .await
        .fetch("/", "connection: close\r\n")
        .await;
    let pooled = response.status() == 200;
    assert!(pooled || response.status() == 503, "{}", response.status());
    let told = certificate(&proxy, "own").await;
    assert!(
        told["certificate"]["seconds_to_expiry"].as_i64().unwrap() < 0,
        "{told:#}"
    );

    pair.put(&authority.issue("long", &[NAME]));
    admin.wait_for(left, |left| left > 0.0).await;
    let mut client = Client::connect_tls(proxy.address(), config, NAME).await.unwrap();
    assert_eq!(client.fetch("/", "").await.status(), 200);
}
