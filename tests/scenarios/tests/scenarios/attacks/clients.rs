//! Clients that are not who they should be.

use super::{Gallery, NAME, guarded};
use outrigger_fixtures::authority::Issued;
use outrigger_harness::{Client, Proxy};
use std::fs;

/// The status of an answer to a request with this certificate; none: there was no answer.
async fn status(gallery: &Gallery, proxy: &Proxy, issued: Option<&Issued>) -> Option<u16> {
    let config = gallery.authority.client_config(&["http/1.1"], issued);
    // TLS 1.3's client is done before the server has judged: the refusal shows at the first read.
    let mut client = Client::connect_tls(proxy.address(), config, NAME).await.ok()?;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let response = client.try_response_within().await.ok()?;
    Some(response.status())
}

fn failures(reason: &str) -> String {
    format!("outrigger_listener_tls_handshake_failures_total{{reason=\"{reason}\"}}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_must_not_be_believed_gets_nothing() {
    let gallery = Gallery::new();
    let proxy = Proxy::start(guarded(&gallery, &gallery.good, "")).await;
    assert_eq!(status(&gallery, &proxy, Some(&gallery.good)).await, Some(200));
    for bad in &gallery.bad {
        let series = failures(bad.reason);
        let before = proxy.admin().metric(&series).await;
        let answer = status(&gallery, &proxy, Some(&bad.issued)).await;
        assert_eq!(answer, None, "{}", bad.what);
        let after = proxy.admin().wait_for(&series, |count| count > before).await;
        assert_eq!(after, before + 1.0, "{}", bad.what);
    }
    assert_eq!(status(&gallery, &proxy, None).await, None, "no certificate");
    proxy
        .admin()
        .wait_for_metric(&failures("certificate_missing"), 1.0)
        .await;
    assert_eq!(
        status(&gallery, &proxy, Some(&gallery.good)).await,
        Some(200),
        "the listener goes on"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_oversized_chain_is_refused_before_it_is_looked_through() {
    let gallery = Gallery::new();
    let proxy = Proxy::start(guarded(&gallery, &gallery.good, "")).await;
    let long = gallery.authority.issue_svid("long", super::PEER_ID);
    let mut pem = fs::read_to_string(&long.certificate).unwrap();
    pem.push_str(&gallery.authority.pem().repeat(40));
    fs::write(&long.certificate, pem).unwrap();
    assert_eq!(status(&gallery, &proxy, Some(&long)).await, None);
    proxy
        .admin()
        .wait_for(&failures("certificate_invalid"), |count| count >= 1.0)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_certificate_gets_nothing() {
    let gallery = Gallery::new();
    let gone = gallery.authority.issue_svid("gone", super::PEER_ID);
    let list = gallery.authority.revoke("revoked.pem", &[&gone]);
    let revocation = format!("revocation: {{ lists: [{{ file: {} }}] }}", list.display());
    let proxy = Proxy::start(guarded(&gallery, &gallery.good, "").with(&revocation)).await;
    assert_eq!(status(&gallery, &proxy, Some(&gallery.good)).await, Some(200));
    assert_eq!(status(&gallery, &proxy, Some(&gone)).await, None);
    proxy
        .admin()
        .wait_for_metric(&failures("certificate_revoked"), 1.0)
        .await;
}
