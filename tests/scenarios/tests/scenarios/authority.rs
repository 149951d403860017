//! Identities that an authority signs: what it is asked, what of its answers is believed, and when it is asked again.

use outrigger_fixtures::authority::Issued;
use outrigger_fixtures::grpc::Code;
use outrigger_fixtures::{Authority, Signing, SigningAuthority, believing_any_server};
use outrigger_harness::{Client, Document, Proxy, wait_until};
use serde_json::Value;
use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;

const OWN: &str = "spiffe://example.org/ns/shop/sa/own";
const CLIENT: &str = "spiffe://example.org/ns/shop/sa/client";
const TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.token";

const FAILURES: &str = "outrigger_certificate_renewal_failures_total";
const RENEWED: &str = "outrigger_certificate_renewals_total{name=\"own\",result=\"success\"}";

/// An authority that signs, and whose own certificate another one issued.
struct Setting {
    signing: SigningAuthority,
    /// Who issued the signing authority's own certificate.
    operator: Authority,
    client: Issued,
    directory: TempDir,
}

impl Setting {
    async fn new() -> Setting {
        let (operator, mesh) = (Authority::new("operator"), Authority::new("mesh"));
        let server = operator.issue("signer", &["ca.example"]);
        let client = mesh.issue_svid("client", CLIENT);
        let setting = Setting {
            signing: SigningAuthority::start(mesh, &server).await,
            operator,
            client,
            directory: tempfile::tempdir().unwrap(),
        };
        std::fs::write(setting.token(), format!("{TOKEN}\n")).unwrap();
        setting
    }

    fn token(&self) -> PathBuf {
        self.directory.path().join("token")
    }

    /// A proxy that serves clients of the mesh, with an identity that the authority signs.
    fn document(&self, more: &str) -> Document {
        Document::to(&[])
            .routes("{ match: { prefix: / }, direct_response: { status: 200, body: ok } }")
            .chain("tls: { certificates: [{ identity: own }], client: { trust_bundle: mesh } }")
            .with(&format!(
                "identities: [{{ name: own, authority: {{ url: 'https://{}', ca_file: {}, server_name: ca.example, \
                 token_file: {}, spiffe_id: '{OWN}'{more} }} }}]\n\
                 trust_bundles: [{{ name: mesh, identity: own }}]",
                self.signing.address(),
                self.operator.root().display(),
                self.token().display()
            ))
    }

    /// Whether a client of the mesh is served. It does not look at the server's name, which is an id.
    async fn serves(&self, proxy: &Proxy) -> bool {
        let mesh = self.signing.authority();
        let config = believing_any_server(&mesh.client_config(&["http/1.1"], Some(&self.client)));
        let Ok(mut client) = Client::connect_tls(proxy.address(), config, "a.example").await else {
            return false;
        };
        client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        client.try_response_within().await.is_ok()
    }
}

async fn told(proxy: &Proxy) -> Value {
    proxy.admin().json("/certs").await["certificates"][0].clone()
}

async fn ready(proxy: &Proxy) -> u16 {
    proxy.admin().fetch("/ready").await.status()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_our_own_is_signed_for_the_id_that_is_asked_for() {
    let setting = Setting::new().await;
    let proxy = Proxy::start(setting.document(", validity: 2h")).await;
    assert_eq!(ready(&proxy).await, 200);
    assert!(setting.serves(&proxy).await);
    let asked = setting.signing.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].validity, 2 * 3600);
    assert_eq!(
        asked[0].authorization.as_deref(),
        Some(format!("Bearer {TOKEN}").as_str())
    );
    let page = told(&proxy).await;
    assert_eq!(page["certificate"]["spiffe_id"], OWN, "{page:#}");
    assert_eq!(page["certificate"]["key"], "ECDSA P-256");
    assert!(page["certificate"]["seconds_to_expiry"].as_i64().unwrap() > 7000);
    // At half of the lifetime, give or take.
    let next = page["renewal"]["next_attempt_in_seconds"].as_f64().unwrap();
    assert!((3000.0..4200.0).contains(&next), "{next}");
    let bundle = proxy.admin().json("/certs").await["trust_bundles"][0].clone();
    assert_eq!(
        bundle["authorities"].as_array().unwrap().len(),
        1,
        "the root of the chain"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_key_can_be_signed() {
    let setting = Setting::new().await;
    for (kind, name) in [
        ("ecdsa_p384", "ECDSA P-384"),
        ("ed25519", "Ed25519"),
        ("rsa_2048", "RSA"),
    ] {
        let proxy = Proxy::start(setting.document(&format!(", key: {kind}"))).await;
        assert_eq!(told(&proxy).await["certificate"]["key"], name);
        assert!(setting.serves(&proxy).await, "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_lifetime_is_renewed_with_a_new_key_each_time() {
    let setting = Setting::new().await;
    setting.signing.set(Signing::For(Duration::from_secs(4)));
    let proxy = Proxy::start(setting.document("")).await;
    // The token is another by then.
    std::fs::write(setting.token(), "another").unwrap();
    proxy.admin().wait_for_metric(RENEWED, 3.0).await;
    let asked = setting.signing.asked();
    let keys: HashSet<&String> = asked.iter().map(|asked| &asked.csr).collect();
    assert_eq!(keys.len(), asked.len(), "a key was used twice");
    let last = asked.last().unwrap();
    assert_eq!(last.authorization.as_deref(), Some("Bearer another"));
    assert!(setting.serves(&proxy).await);
    assert_eq!(
        proxy.admin().metric(&format!("{FAILURES}{{name=\"own\"}}")).await,
        0.0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_what_was_asked_for_is_refused_in_words() {
    let setting = Setting::new().await;
    let proxy = Proxy::start(setting.document("")).await;
    let serial = told(&proxy).await["certificate"]["serial"].clone();
    let refused = |code| Signing::Refused(code, format!("no good: {TOKEN}"));
    let table = [
        (refused(Code::Unauthenticated), "denied", "no good: [redacted]"),
        (refused(Code::Internal), "status", "no good: [redacted]"),
        (
            Signing::Texts(vec!["garbage".to_owned()]),
            "answer",
            "holds no certificate",
        ),
        (Signing::AnotherId(CLIENT.to_owned()), "answer", "is for"),
        (Signing::AnotherKey, "answer", "does not fit"),
        (
            Signing::AnotherRoot,
            "answer",
            "does not lead to its trust bundle",
        ),
        (Signing::WithoutRoot, "answer", "with a root behind it"),
        (Signing::Expired, "answer", "has expired"),
    ];
    for (signing, reason, words) in table {
        setting.signing.set(signing.clone());
        // A reload with another identity asks at once; it is refused, and what is in force stays.
        let refused = proxy
            .reload(setting.document(", validity: 3h"))
            .await
            .unwrap_err();
        assert!(refused.contains(words), "{signing:?}: {refused}");
        assert!(!refused.contains(TOKEN), "{refused}");
        assert!(
            proxy
                .admin()
                .metric(&format!("{FAILURES}{{name=\"own\",reason=\"{reason}\"}}"))
                .await
                >= 1.0,
            "{signing:?}"
        );
        assert_eq!(told(&proxy).await["certificate"]["serial"], serial);
    }
    assert!(setting.serves(&proxy).await);
    setting.signing.set(Signing::AsAsked);
    proxy.reload(setting.document(", validity: 3h")).await.unwrap();
    assert_ne!(told(&proxy).await["certificate"]["serial"], serial);
    for path in ["/certs", "/config_dump", "/metrics"] {
        assert!(!proxy.admin().fetch(path).await.text().contains(TOKEN), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_is_silent_or_not_who_it_should_be_is_asked_again() {
    let setting = Setting::new().await;
    setting.signing.set(Signing::Silence);
    let proxy = Proxy::start(setting.document("")).await;
    assert_eq!(ready(&proxy).await, 503);
    let timeouts = format!("{FAILURES}{{reason=\"timeout\"}}");
    proxy.admin().wait_for(&timeouts, |count| count >= 1.0).await;
    setting.signing.set(Signing::AsAsked);
    wait_until("readiness", async || (ready(&proxy).await == 200).then_some(())).await;
    assert!(setting.serves(&proxy).await);

    // Whoever shows a certificate that we do not believe is not asked, and not told the token.
    let asked = setting.signing.asked().len();
    let strange = setting
        .document("")
        .to_string()
        .replace("ca.example", "other.example");
    let refused = proxy.reload(strange).await.unwrap_err();
    assert!(
        refused.contains("did not come") && !refused.contains(TOKEN),
        "{refused}"
    );
    assert_eq!(setting.signing.asked().len(), asked);
    // Without its token there is nothing to ask with.
    std::fs::remove_file(setting.token()).unwrap();
    let refused = proxy
        .reload(setting.document(", validity: 3h"))
        .await
        .unwrap_err();
    assert!(refused.contains("cannot read the token"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_holds_still_is_shown_to_be_renewed() {
    let setting = Setting::new().await;
    setting.signing.set(Signing::For(Duration::from_secs(8)));
    let proxy = Proxy::start(setting.document("")).await;
    let asked = wait_until("a renewal", async || {
        let asked = setting.signing.asked();
        (asked.len() >= 2).then_some(asked)
    })
    .await;
    assert_eq!(asked[0].shown, None, "there was none");
    assert!(asked[1].shown.is_some());
    assert!(asked[1].authorization.is_some(), "the token is sent still");
    assert!(setting.serves(&proxy).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_roots_are_believed_while_the_authority_goes_from_one_to_the_next() {
    let setting = Setting::new().await;
    setting.signing.set(Signing::TwoRoots);
    let proxy = Proxy::start(setting.document("")).await;
    assert_eq!(ready(&proxy).await, 200);
    let bundle = proxy.admin().json("/certs").await["trust_bundles"][0].clone();
    assert_eq!(bundle["authorities"].as_array().unwrap().len(), 2, "{bundle:#}");
    assert!(setting.serves(&proxy).await);
}
