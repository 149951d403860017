//! Identities from a SPIFFE Workload API: what is believed of what it gives, and what happens when it changes, is away, or
//! is wrong. Certificates of clients are judged by the bundles that came with the identity.

mod answers;

use outrigger_fixtures::authority::Issued;
use outrigger_fixtures::workload_api::{Svid, Svids};
use outrigger_fixtures::{Authority, WorkloadApi};
use outrigger_harness::{Client, Document, Proxy, wait_until};
use serde_json::Value;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const OWN: &str = "spiffe://example.org/ns/shop/sa/own";
const CLIENT: &str = "spiffe://example.org/ns/shop/sa/client";
const FOREIGN: &str = "spiffe://partner.example/client";
/// The name that clients ask for.
const NAME: &str = "a.example";

const FAILURES: &str = "outrigger_certificate_renewal_failures_total";
const RENEWED: &str = "outrigger_certificate_renewals_total{name=\"own\",result=\"success\"}";

/// An SVID of the proxy that names a server too, so that clients of tests can verify it as they are used to.
fn own(authority: &Authority, name: &str) -> Svid {
    let issued = authority.issue_with(name, &[NAME], |params| {
        params
            .subject_alt_names
            .push(outrigger_fixtures::authority::uri(OWN));
    });
    Svid::of(OWN, &issued, authority)
}

/// A proxy's directory with the API's socket.
struct Place(TempDir);

impl Place {
    fn new() -> Place {
        Place(tempfile::tempdir().unwrap())
    }

    fn socket(&self) -> PathBuf {
        self.0.path().join("agent.sock")
    }
}

/// A proxy that answers clients with certificates of a trust domain that it has a bundle of.
fn document(socket: &Path, more: &str) -> Document {
    Document::to(&[])
        .routes("{ match: { prefix: / }, direct_response: { status: 200, body: ok } }")
        .chain("tls: { certificates: [{ identity: own }], client: { roots: spiffe } }")
        .with(&format!(
            "identities: [{{ name: own, workload_api: {{ socket: {}{more} }} }}]\n\
             trust_bundles:\n\
             - {{ name: own-domain, trust_domain: example.org, identity: own }}\n\
             - {{ name: partner, trust_domain: partner.example, identity: own }}",
            socket.display()
        ))
}

/// Whether a client with this certificate is served.
async fn serves(proxy: &Proxy, authority: &Authority, client: &Issued) -> bool {
    let config = authority.client_config(&["http/1.1"], Some(client));
    let Ok(mut client) = Client::connect_tls(proxy.address(), config, NAME).await else {
        return false;
    };
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    client.try_response_within().await.is_ok()
}

/// Waits until it is served, or is not.
async fn becomes(proxy: &Proxy, authority: &Authority, client: &Issued, served: bool) {
    wait_until(&format!("service {served}"), async || {
        (serves(proxy, authority, client).await == served).then_some(())
    })
    .await;
}

/// What `/certs` says of the identity.
async fn told(proxy: &Proxy) -> Value {
    proxy.admin().json("/certs").await["certificates"][0].clone()
}

async fn ready(proxy: &Proxy) -> (u16, String) {
    let response = proxy.admin().fetch("/ready").await;
    (response.status(), response.text())
}

#[tokio::test(flavor = "multi_thread")]
async fn identity_and_bundles_come_are_renewed_and_are_taken_away() {
    let (ours, theirs, strangers) = (
        Authority::new("ours"),
        Authority::new("theirs"),
        Authority::new("strangers"),
    );
    let (client, foreign) = (
        ours.issue_svid("client", CLIENT),
        theirs.issue_svid("foreign", FOREIGN),
    );
    let stranger = strangers.issue_svid("stranger", CLIENT);
    let place = Place::new();
    let api = WorkloadApi::start(&place.socket());
    let with_partner = |svid: Svid| {
        let mut svids = svid.alone();
        svids
            .federated_bundles
            .insert("spiffe://partner.example".to_owned(), theirs.der());
        svids
    };
    api.give(with_partner(own(&ours, "first")));
    let proxy = Proxy::start(document(&place.socket(), "")).await;
    assert_eq!(ready(&proxy).await.0, 200);
    assert!(serves(&proxy, &ours, &client).await);
    assert!(serves(&proxy, &ours, &foreign).await);
    assert!(!serves(&proxy, &ours, &stranger).await);
    let page = told(&proxy).await;
    assert_eq!(page["certificate"]["spiffe_id"], OWN, "{page:#}");
    assert_eq!(page["source"]["kind"], "workload_api");
    assert_eq!(page["renewal"]["failures"], 0);
    let serial = page["certificate"]["serial"].clone();

    // Renewed by a push; the same again changes nothing.
    let svid = own(&ours, "second");
    api.give(with_partner(svid.clone()));
    proxy.admin().wait_for_metric(RENEWED, 2.0).await;
    wait_until("the new certificate", async || {
        (told(&proxy).await["certificate"]["serial"] != serial).then_some(())
    })
    .await;
    proxy
        .admin()
        .wait_for_metric("outrigger_identity_material_generation", 1.0)
        .await;
    api.give(with_partner(svid.clone()));
    proxy.admin().wait_for_metric(RENEWED, 3.0).await;
    assert!(serves(&proxy, &ours, &foreign).await);
    assert_eq!(
        proxy
            .admin()
            .metric("outrigger_identity_material_generation")
            .await,
        1.0
    );

    // A message is complete: a bundle that it does not hold is not believed any more, and a list that it holds is obeyed.
    api.give(svid.clone().alone());
    becomes(&proxy, &ours, &foreign, false).await;
    assert!(serves(&proxy, &ours, &client).await);
    let other = ours.issue_svid("other", CLIENT);
    let mut revoking = svid.alone();
    revoking.crl = vec![der_of_list(&ours.revoke("list.pem", &[&client]))];
    api.give(revoking);
    becomes(&proxy, &ours, &client, false).await;
    assert!(serves(&proxy, &ours, &other).await);
    let lists = proxy.admin().json("/certs").await["revocation_lists"].clone();
    assert_eq!(
        (lists[0]["name"].clone(), lists[0]["revoked"].clone()),
        ("own".into(), 1.into())
    );
}

fn der_of_list(file: &Path) -> Vec<u8> {
    use rustls::pki_types::CertificateRevocationListDer;
    use rustls::pki_types::pem::PemObject;
    CertificateRevocationListDer::from_pem_file(file)
        .unwrap()
        .to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_starts_without_its_identity_and_is_ready_once_it_is_there() {
    let ours = Authority::new("ours");
    let client = ours.issue_svid("client", CLIENT);
    let place = Place::new();
    let proxy = Proxy::start(document(&place.socket(), "")).await;
    let (status, text) = ready(&proxy).await;
    assert_eq!(
        (status, text.as_str()),
        (503, "starting: identity `own` has not come\n")
    );
    assert!(
        !serves(&proxy, &ours, &client).await,
        "nobody is served without a certificate"
    );
    proxy
        .admin()
        .wait_for(
            "outrigger_listener_tls_handshake_failures_total{reason=\"own_certificate\"}",
            |count| count >= 1.0,
        )
        .await;
    let page = told(&proxy).await;
    assert_eq!(
        page["renewal"]["last_failure"]["reason"], "unreachable",
        "{page:#}"
    );
    assert!(page["certificate"].is_null());

    let api = WorkloadApi::start(&place.socket());
    api.give(own(&ours, "first").alone());
    becomes(&proxy, &ours, &client, true).await;
    wait_until("readiness", async || (ready(&proxy).await.0 == 200).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_given_is_kept_while_the_api_is_away() {
    let ours = Authority::new("ours");
    let client = ours.issue_svid("client", CLIENT);
    let place = Place::new();
    let api = WorkloadApi::start(&place.socket());
    api.give(own(&ours, "first").alone());
    let proxy = Proxy::start(document(&place.socket(), "")).await;
    let serial = told(&proxy).await["certificate"]["serial"].clone();
    drop(api);
    let unreachable = format!("{FAILURES}{{name=\"own\",reason=\"unreachable\"}}");
    proxy.admin().wait_for(&unreachable, |count| count >= 2.0).await;
    assert!(serves(&proxy, &ours, &client).await);
    assert_eq!(ready(&proxy).await.0, 200, "it is there");
    let api = WorkloadApi::start(&place.socket());
    api.give(own(&ours, "second").alone());
    wait_until("the new certificate", async || {
        (told(&proxy).await["certificate"]["serial"] != serial).then_some(())
    })
    .await;
    assert!(serves(&proxy, &ours, &client).await);
}
