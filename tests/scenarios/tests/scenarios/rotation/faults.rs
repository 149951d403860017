//! Files that are at fault while the proxy serves: nothing changes, and it is told.

use super::thousand::{leaf, shown_by};
use super::*;
use outrigger_fixtures::Authority;
use outrigger_harness::Document;

const FAILURES: &str = "outrigger_certificate_renewal_failures_total";

/// A proxy that answers by itself, with the identity `own` of these files.
fn document(pair: &Pair) -> Document {
    Document::to(&[])
        .routes("{ match: { prefix: / }, direct_response: { status: 200, body: ok } }")
        .chain("tls: { certificates: [{ identity: own }] }")
        .with(&format!("identities: [{{ name: own, files: {} }}]", pair.yaml()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_file_changes_nothing_and_is_told() {
    let authority = Authority::new("root");
    let (first, second) = (
        authority.issue("first", &[NAME]),
        authority.issue("second", &[NAME]),
    );
    let pair = Pair::of(&first);
    let proxy = Proxy::start(document(&pair)).await;
    let admin = proxy.admin();
    for (count, (contents, reason, words)) in [
        (&b"no PEM at all"[..], "contents", "holds no certificate"),
        (
            b"-----BEGIN CERTIFICATE-----\nAAAA\n",
            "contents",
            "is not valid PEM",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        fs::write(pair.certificate(), contents).unwrap();
        let series = format!("{FAILURES}{{name=\"own\",reason=\"{reason}\"}}");
        admin.wait_for_metric(&series, (count + 1) as f64).await;
        assert_eq!(shown_by(&proxy, &authority).await, leaf(&first.certificate));
        let told = certificate(&proxy, "own").await;
        let text = told["fault"]["text"].as_str().unwrap();
        assert!(text.contains(words), "{text}");
        assert!(text.contains(pair.certificate().to_str().unwrap()), "{text}");
        assert_eq!(told["fault"]["reason"], reason);
        assert!(told["certificate"].is_object(), "what is in force is told too");
    }
    fs::remove_file(pair.key()).unwrap();
    let series = format!("{FAILURES}{{name=\"own\",reason=\"unreadable\"}}");
    admin.wait_for_metric(&series, 1.0).await;
    pair.put(&second);
    admin
        .wait_for_metric("outrigger_certificate_renewals_total{result=\"success\"}", 1.0)
        .await;
    assert_eq!(shown_by(&proxy, &authority).await, leaf(&second.certificate));
    let told = certificate(&proxy, "own").await;
    assert!(told["fault"].is_null(), "{told:#}");
}

/// A key that stays behind its certificate is told; nothing of the key is, anywhere.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_without_its_key_is_no_fault_for_a_moment_and_one_after() {
    let authority = Authority::new("root");
    let (first, second) = (
        authority.issue("first", &[NAME]),
        authority.issue("second", &[NAME]),
    );
    let pair = Pair::of(&first);
    let proxy = Proxy::start(document(&pair)).await;
    let admin = proxy.admin();
    replace(&pair.certificate(), &second.certificate);
    let series = format!("{FAILURES}{{name=\"own\",reason=\"mismatch\"}}");
    admin.wait_for_metric(&series, 1.0).await;
    assert_eq!(shown_by(&proxy, &authority).await, leaf(&first.certificate));
    replace(&pair.key(), &second.key);
    admin
        .wait_for_metric("outrigger_certificate_renewals_total{result=\"success\"}", 1.0)
        .await;
    assert_eq!(shown_by(&proxy, &authority).await, leaf(&second.certificate));
    let key = fs::read_to_string(&second.key).unwrap();
    let secret = key.lines().nth(1).unwrap();
    for path in ["/certs", "/config_dump", "/metrics"] {
        let page = admin.fetch(path).await.text();
        assert!(!page.contains(secret), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trust_bundle_and_a_revocation_list_at_fault_stay_what_they_were() {
    let authority = Authority::new("root");
    let server = authority.issue("server", &[NAME]);
    let (known, revoked) = (authority.issue("known", &[]), authority.issue("revoked", &[]));
    let directory = tempfile::tempdir().unwrap();
    let (bundle, list) = (directory.path().join("ca.pem"), directory.path().join("crl.pem"));
    fs::copy(authority.root(), &bundle).unwrap();
    fs::copy(authority.revoke("none.crl", &[]), &list).unwrap();
    let document = Document::to(&[])
        .routes("{ match: { prefix: / }, direct_response: { status: 200, body: ok } }")
        .chain(&format!(
            "tls: {{ certificates: [{}], client: {{ trust_bundle: mesh }} }}",
            server.yaml()
        ))
        .with(&format!(
            "trust_bundles: [{{ name: mesh, file: {} }}]",
            bundle.display()
        ))
        .with(&format!(
            "revocation: {{ lists: [{{ file: {} }}] }}",
            list.display()
        ));
    let proxy = Proxy::start(document).await;
    let admin = proxy.admin();
    let serves = async |issued: &Issued| {
        let config = authority.client_config(&["http/1.1"], Some(issued));
        match outrigger_harness::Client::connect_tls(proxy.address(), config, NAME).await {
            Err(_) => false,
            Ok(mut client) => {
                client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
                client.try_response_within().await.is_ok()
            }
        }
    };
    assert!(serves(&known).await && serves(&revoked).await);
    fs::write(&bundle, "nothing").unwrap();
    fs::write(&list, "nothing").unwrap();
    admin
        .wait_for_metric(
            "outrigger_trust_bundle_failures_total{name=\"mesh\",reason=\"contents\"}",
            1.0,
        )
        .await;
    admin
        .wait_for_metric(
            "outrigger_revocation_list_failures_total{reason=\"contents\"}",
            1.0,
        )
        .await;
    assert!(serves(&known).await && serves(&revoked).await);
    let told = entry(&proxy, "trust_bundles", "mesh").await;
    assert_eq!(told["authorities"].as_array().unwrap().len(), 1);
    assert_eq!(told["fault"]["reason"], "contents");
    assert_eq!(told["used_by"][0], "listener edge, filter chain chain-0");
    let told = entry(&proxy, "revocation_lists", list.to_str().unwrap()).await;
    assert_eq!(
        (told["revoked"].clone(), told["fault"]["reason"].clone()),
        (0.into(), "contents".into())
    );
    // And the next good ones are obeyed.
    replace(&bundle, &authority.root());
    replace(&list, &authority.revoke("one.crl", &[&revoked]));
    wait_refused(&serves, &revoked).await;
    assert!(serves(&known).await);
    assert!(
        admin
            .metric("outrigger_revocation_list_update_due_in_seconds")
            .await
            > 0.0
    );
}

async fn wait_refused(serves: &impl AsyncFn(&Issued) -> bool, revoked: &Issued) {
    outrigger_harness::wait_until("the revocation", async || (!serves(revoked).await).then_some(())).await;
}
