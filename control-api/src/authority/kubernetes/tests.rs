use super::*;
use crate::settings::KeysSettings;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::KeyPair;
use serde_json::json;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const ISSUER: &str = "https://kubernetes.default.svc";
const NOW: u64 = 1_000_000;

/// An issuer of tokens.
pub(in crate::authority) struct Issuer {
    key: KeyPair,
    kid: String,
}

impl Issuer {
    pub(in crate::authority) fn new(kid: &str) -> Issuer {
        Issuer {
            key: KeyPair::generate().unwrap(),
            kid: kid.to_owned(),
        }
    }

    pub(in crate::authority) fn key_set(&self) -> String {
        let point = &self.key.public_key_raw()[1..];
        let (x, y) = point.split_at(32);
        let coordinate = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let key = json!({
            "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": self.kid,
            "x": coordinate(x), "y": coordinate(y),
        });
        json!({ "keys": [key] }).to_string()
    }

    pub(in crate::authority) fn kubernetes(&self) -> Kubernetes {
        let kubernetes = Kubernetes::new(ISSUER.to_owned(), vec!["outrigger-control".to_owned()]);
        kubernetes.set_keys(KeySet::parse(self.key_set().as_bytes()).unwrap());
        kubernetes
    }

    pub(in crate::authority) fn token(&self, claims: &Value) -> String {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(self.kid.clone());
        let key = EncodingKey::from_ec_der(&self.key.serialize_der());
        jsonwebtoken::encode(&header, claims, &key).unwrap()
    }
}

/// The claims of a bound token of `shop/web`, at `now`.
pub(in crate::authority) fn claims(now: u64) -> Value {
    json!({
        "iss": ISSUER, "aud": ["outrigger-control"], "sub": "system:serviceaccount:shop:web",
        "iat": now, "nbf": now, "exp": now + 3600,
        "kubernetes.io": {
            "namespace": "shop", "serviceaccount": { "name": "web", "uid": "1" },
            "pod": { "name": "web-0", "uid": "2" },
        },
    })
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn with(key: &str, value: Value) -> Value {
    let mut claims = claims(NOW);
    match value {
        Value::Null => drop(claims.as_object_mut().unwrap().remove(key)),
        value => claims[key] = value,
    }
    claims
}

#[test]
fn a_token_stands_for_its_service_account() {
    let issuer = Issuer::new("one");
    let kubernetes = issuer.kubernetes();
    // Before Kubernetes 1.21 tokens had no claims of their pod.
    for claims in [claims(NOW), with("kubernetes.io", Value::Null)] {
        let account = kubernetes.verify(&issuer.token(&claims), at(NOW)).unwrap();
        let id = account.spiffe_id(&"mesh".parse().unwrap()).unwrap();
        assert_eq!(id.as_str(), "spiffe://mesh/ns/shop/sa/web");
    }
}

#[test]
fn what_does_not_hold_is_refused() {
    let issuer = Issuer::new("one");
    let kubernetes = issuer.kubernetes();
    let bound =
        |namespace: &str, name: &str| json!({ "namespace": namespace, "serviceaccount": { "name": name } });
    for (what, claims, now, expected) in [
        ("expired", claims(NOW), NOW + 3600 + 60, "Jwt is expired"),
        ("not yet", claims(NOW), NOW - 61, "Jwt not yet valid"),
        (
            "no expiry",
            with("exp", Value::Null),
            NOW,
            "[exp] field is required",
        ),
        (
            "another issuer",
            with("iss", json!("https://evil")),
            NOW,
            "issuer is not configured",
        ),
        (
            "no issuer",
            with("iss", Value::Null),
            NOW,
            "issuer is not configured",
        ),
        (
            "another audience",
            with("aud", json!(["api"])),
            NOW,
            "Audiences in Jwt are not allowed",
        ),
        (
            "no audience",
            with("aud", Value::Null),
            NOW,
            "Audiences in Jwt are not allowed",
        ),
        (
            "a user",
            with("sub", json!("admin")),
            NOW,
            "names no service account",
        ),
        (
            "no subject",
            with("sub", Value::Null),
            NOW,
            "names no service account",
        ),
        (
            "another namespace",
            with("kubernetes.io", bound("bank", "web")),
            NOW,
            "names no service account",
        ),
        (
            "another name",
            with("kubernetes.io", bound("shop", "db")),
            NOW,
            "names no service account",
        ),
        (
            "half a claim",
            with("kubernetes.io", json!({ "namespace": "shop" })),
            NOW,
            "names no service account",
        ),
        (
            "a path",
            with("sub", json!("system:serviceaccount:shop:a/../b")),
            NOW,
            "names no service account",
        ),
        (
            "no name",
            with("sub", json!("system:serviceaccount:shop:")),
            NOW,
            "names no service account",
        ),
    ] {
        let error = kubernetes.verify(&issuer.token(&claims), at(now)).unwrap_err();
        assert!(error.to_string().contains(expected), "{what}: {error}");
    }
    let forger = Issuer::new("one");
    let error = kubernetes
        .verify(&forger.token(&claims(NOW)), at(NOW))
        .unwrap_err();
    assert!(error.to_string().contains("Jwt verification fails"), "{error}");
    let mut parts: Vec<String> = issuer.token(&claims(NOW)).split('.').map(str::to_owned).collect();
    parts[0] = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
    let error = kubernetes.verify(&parts.join("."), at(NOW)).unwrap_err();
    assert!(error.to_string().contains("[alg] is not supported"), "{error}");
}

#[tokio::test]
async fn a_key_that_is_not_there_is_asked_for() {
    let (old, new) = (Issuer::new("old"), Issuer::new("new"));
    let kubernetes = old.kubernetes();
    kubernetes.verify(&new.token(&claims(NOW)), at(NOW)).unwrap_err();
    kubernetes.wanted().await;
}

#[tokio::test]
async fn keys_come_from_files_and_urls() {
    let issuer = Issuer::new("one");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("keys.json");
    std::fs::write(&file, issuer.key_set()).unwrap();
    let keys = keys::obtain(&KeysSettings::File(file.clone())).await.unwrap();
    assert_eq!(keys.reports().len(), 1);
    let missing = keys::obtain(&KeysSettings::File(directory.path().join("none"))).await;
    assert!(matches!(missing, Err(KeysError::File { .. })));

    let token_file = directory.path().join("token");
    std::fs::write(&token_file, "secret\n").unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let source = KeysSettings::Url {
        url: format!("http://{}/openid/v1/jwks", listener.local_addr().unwrap()),
        roots_file: None,
        token_file: Some(token_file),
    };
    let body = issuer.key_set();
    let good = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let refusal = "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n".to_owned();
    let serving = tokio::spawn(async move {
        let mut asked = Vec::new();
        for answer in [good, refusal] {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            asked.push(String::from_utf8(head).unwrap());
        }
        asked
    });
    assert!(keys::obtain(&source).await.unwrap().is_same(&keys));
    let error = keys::obtain(&source).await.unwrap_err().to_string();
    assert!(error.ends_with("its status is 403"), "{error}");
    let asked = serving.await.unwrap();
    assert!(asked[0].starts_with("GET /openid/v1/jwks HTTP/1.1\r\n"));
    assert!(asked[0].contains("authorization: Bearer secret\r\n"));
}
