//! Tokens that are none, and tricks around those that are: each refused, with the reason in answer, log and metrics.

use super::*;
use outrigger_fixtures::Scripted;
use outrigger_fixtures::issuer::{claims, claims_with, encode, now, unsigned, with_secret};
use outrigger_harness::wait_until;
use serde_json::json;
use std::collections::BTreeMap;

/// What is sent, what the answer says, and the reason that is counted.
struct Row {
    fields: String,
    says: &'static str,
    reason: &'static str,
}

fn row(token: String, says: &'static str, reason: &'static str) -> Row {
    Row {
        fields: bearer(&token),
        says,
        reason,
    }
}

const MALFORMED: &str = "malformed";
const NO_KEY: &str = "Jwks doesn't have key to match kid or alg from Jwt";
const NOT_SUPPORTED: &str = "Jwt header [alg] is not supported";
const BAD_FORM: &str = "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections";

fn table(issuer: &Issuer) -> Vec<Row> {
    let stranger = Issuer::rsa("one");
    let good = issuer.token(&claims());
    let other = issuer.token(&claims_with("sub", json!("mallory")));
    let kid = |kid: &str| {
        let header = json!({ "alg": "RS256", "kid": kid }).to_string();
        issuer.sign(&header, &claims().to_string())
    };
    let header = |header: &str| issuer.sign(header, &claims().to_string());
    let claim = |name, value| issuer.token(&claims_with(name, value));
    let payload = encode(claims_with("sub", json!("mallory")).to_string());
    let parts: Vec<&str> = good.split('.').collect();
    let public = issuer.public_pem();
    vec![
        row(unsigned("none", &claims()), NOT_SUPPORTED, "algorithm"),
        row(unsigned("nOnE", &claims()), NOT_SUPPORTED, "algorithm"),
        row(
            format!("{}AAAA", unsigned("NONE", &claims())),
            NOT_SUPPORTED,
            "algorithm",
        ),
        row(
            with_secret(public.as_bytes(), "one", &claims()),
            NOT_SUPPORTED,
            "algorithm",
        ),
        row(
            with_secret(public.trim().as_bytes(), "one", &claims()),
            NOT_SUPPORTED,
            "algorithm",
        ),
        row(with_secret(b"", "one", &claims()), NOT_SUPPORTED, "algorithm"),
        row(
            header(r#"{"alg":"PS256","kid":"one"}"#),
            NOT_SUPPORTED,
            "algorithm",
        ),
        row(header(r#"{"alg":"ES256","kid":"one"}"#), NO_KEY, "unknown_key"),
        row(claim("exp", json!(now() - 61)), "Jwt is expired", "expired"),
        row(
            claim("nbf", json!(now() + 90)),
            "Jwt not yet valid",
            "not_yet_valid",
        ),
        row(
            claim("iat", json!(now() + 90)),
            "Jwt not yet valid",
            "not_yet_valid",
        ),
        row(
            claim("aud", json!("market")),
            "Audiences in Jwt are not allowed",
            "audience",
        ),
        row(
            claim("aud", json!([])),
            "Audiences in Jwt are not allowed",
            "audience",
        ),
        row(
            claim("iss", json!("https://issuer.example.evil")),
            "Jwt issuer is not configured",
            "issuer",
        ),
        row(claim("iss", json!("")), "Jwt issuer is not configured", "issuer"),
        row(kid("two"), NO_KEY, "unknown_key"),
        row(kid("../one"), NO_KEY, "unknown_key"),
        row(kid("/dev/null"), NO_KEY, "unknown_key"),
        row(kid("one' OR '1'='1"), NO_KEY, "unknown_key"),
        row(kid("http://evil.example/keys"), NO_KEY, "unknown_key"),
        row(stranger.token(&claims()), "Jwt verification fails", "signature"),
        row(
            format!("{}.{payload}.{}", parts[0], parts[2]),
            "Jwt verification fails",
            "signature",
        ),
        row(
            format!("{}.{}.", parts[0], parts[1]),
            "Jwt verification fails",
            "signature",
        ),
        row(
            good[..good.len() - 2].to_owned(),
            "Jwt verification fails",
            "signature",
        ),
        row(format!("{}.{}", parts[0], parts[1]), BAD_FORM, MALFORMED),
        row(format!("{good}.x.y"), BAD_FORM, MALFORMED),
        row("garbage".into(), BAD_FORM, MALFORMED),
        row(
            "a.b.c".into(),
            "Jwt header is an invalid Base64url encoded",
            MALFORMED,
        ),
        row(
            "e30.e30.e30".into(),
            "Jwt header [alg] field is required and must be a string",
            MALFORMED,
        ),
        row(
            format!("{good}="),
            "Jwt signature is an invalid Base64url encoded",
            MALFORMED,
        ),
        row("x".repeat(16 * 1024 + 1), "Jwt is too long", "too_long"),
        // A key of the attacker's own in the header.
        row(
            stranger.sign(
                &json!({ "alg": "RS256", "kid": "one", "jwk": stranger.jwk(), "jku": "http://evil.example" })
                    .to_string(),
                &claims().to_string(),
            ),
            "Jwt verification fails",
            "signature",
        ),
        row(
            header(r#"{"alg":"RS256","kid":"one","crit":["exp"]}"#),
            "Jwt header [crit] is not supported",
            MALFORMED,
        ),
        row(
            issuer.sign(
                r#"{"alg":"RS256","kid":"one"}"#,
                &claims().to_string().replacen('{', r#"{"sub":"mallory","#, 1),
            ),
            "Jwt payload is an invalid JSON",
            MALFORMED,
        ),
        // Two at once: which one an upstream would believe nobody knows.
        Row {
            fields: bearer(&good) + &bearer(&other),
            says: "Found multiple Jwt tokens",
            reason: "multiple",
        },
        Row {
            fields: bearer(&good) + &bearer("garbage"),
            says: "Found multiple Jwt tokens",
            reason: "multiple",
        },
        row(format!("{good}, Bearer {other}"), BAD_FORM, MALFORMED),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_token_of_the_issuer_is_refused_and_says_why() {
    let issuer = Issuer::rsa("one");
    let upstream = Scripted::ok().await;
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let document = guarded(&[upstream.address()], &[provider(&[&issuer], "")]).http(&format!(
        "access_logs: [{{ path: '{}', format: {{ text: \"%RESPONSE_CODE% %RESPONSE_CODE_DETAILS% %REQ(authorization)%\\n\" }} }}]",
        log.display()
    ));
    let proxy = Proxy::start(document).await;
    let mut client = Client::connect(proxy.address()).await;
    let mut reasons: BTreeMap<&str, f64> = BTreeMap::new();
    let rows = table(&issuer);
    for row in &rows {
        let response = client.fetch("/", &row.fields).await;
        let shown = (response.status(), response.text());
        assert_eq!(shown, (401, format!("{}\n", row.says)), "{}", row.fields);
        assert_eq!(
            response.field("www-authenticate"),
            Some("Bearer realm=\"http://test\", error=\"invalid_token\""),
        );
        *reasons.entry(row.reason).or_default() += 1.0;
    }
    assert_eq!(upstream.head_count(), 0, "nothing got through");
    for (reason, count) in reasons {
        wait_for_refusals(&proxy, reason, count).await;
    }
    let denied = "outrigger_listener_unauthenticated_requests_total";
    proxy.admin().wait_for_metric(denied, rows.len() as f64).await;
    // In the log is why, and no token.
    let logged = wait_until("the log", || async {
        let text = std::fs::read_to_string(&log).ok()?;
        (text.lines().count() == rows.len()).then_some(text)
    })
    .await;
    for (line, row) in logged.lines().zip(&rows) {
        let details = format!("jwt_authn_access_denied{{{}}}", row.says.replace(' ', "_"));
        assert_eq!(line, format!("401 {details} -"));
    }
    // And the real one gets through.
    let response = client.fetch("/", &bearer(&issuer.token(&claims()))).await;
    assert_eq!(response.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_brings_no_token_is_told_where_and_not_that_one_was_wrong() {
    let issuer = Issuer::p256("one");
    let upstream = Scripted::ok().await;
    let proxy = Proxy::start(guarded(&[upstream.address()], &[provider(&[&issuer], "")])).await;
    let good = issuer.token(&claims());
    for fields in [
        String::new(),
        "authorization: Basic YTpi\r\n".into(),
        "authorization: Bearer\r\n".into(),
        format!("authorization: {good}\r\n"),
        format!("x-authorization: Bearer {good}\r\n"),
        format!("cookie: authorization=Bearer {good}\r\n"),
    ] {
        let response = fetch_path(&proxy, &format!("/?access_token={good}"), &fields).await;
        let shown = (response.status(), response.text());
        assert_eq!(shown, (401, "Jwt is missing\n".into()), "{fields}");
        let challenge = response.field("www-authenticate");
        assert_eq!(challenge, Some("Bearer realm=\"http://test\""), "{fields}");
    }
    // The scheme's case does not matter (RFC 9110 section 11.1).
    for scheme in ["bearer", "BEARER", "Bearer "] {
        let response = fetch(&proxy, &format!("authorization: {scheme} {good}\r\n")).await;
        assert_eq!(response.status(), 200, "{scheme}");
    }
    // Twice the same is one.
    let response = fetch(&proxy, &(bearer(&good) + &bearer(&good))).await;
    assert_eq!(response.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_clients_are_told_as_grpc_does() {
    let issuer = Issuer::p256("one");
    let upstream = Scripted::ok().await;
    let proxy = Proxy::start(guarded(&[upstream.address()], &[provider(&[&issuer], "")])).await;
    let late = issuer.token(&claims_with("exp", json!(now() - 100)));
    let fields = format!("content-type: application/grpc\r\n{}", bearer(&late));
    let response = fetch(&proxy, &fields).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.field("grpc-status"), Some("16"));
    assert_eq!(response.field("grpc-message"), Some("Jwt is expired"));
    assert_eq!(upstream.head_count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn algorithms_are_the_configurations_and_not_the_tokens() {
    let (rsa, curve, edwards) = (Issuer::rsa("r"), Issuer::p256("c"), Issuer::ed25519("e"));
    let all = [&rsa, &curve, &edwards];
    let upstream = Scripted::ok().await;
    for (allowed, passes) in [
        ("algorithms: [RS256]", [200, 401, 401]),
        ("algorithms: [EdDSA, ES256]", [401, 200, 200]),
        ("", [200, 200, 401]),
    ] {
        let proxy = Proxy::start(guarded(&[upstream.address()], &[provider(&all, allowed)])).await;
        for (issuer, expected) in all.iter().zip(passes) {
            let response = fetch(&proxy, &bearer(&issuer.token(&claims()))).await;
            assert_eq!(
                response.status(),
                expected,
                "{} where {allowed:?}",
                issuer.algorithm()
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_remembered_is_still_held_against_the_clock_and_the_rules() {
    let issuer = Issuer::p256("one");
    let upstream = Scripted::ok().await;
    let provider_with = |more: &str| provider(&[&issuer], more);
    let document = |more: &str| guarded(&[upstream.address()], &[provider_with(more)]).workers(1);
    let proxy = Proxy::start(document("clock_skew: 0s")).await;
    // Ends soon: it is remembered until then, and not after.
    let short = issuer.token(&claims_with("exp", json!(now() + 3)));
    let mut client = Client::connect(proxy.address()).await;
    for _ in 0..3 {
        assert_eq!(client.fetch("/", &bearer(&short)).await.status(), 200);
    }
    let remembered = "outrigger_jwt_tokens_remembered_total{provider=\"main\"}";
    proxy.admin().wait_for_metric(remembered, 2.0).await;
    wait_until("the token's end", async || {
        let response = client.fetch("/", &bearer(&short)).await;
        (response.text() == "Jwt is expired\n").then_some(())
    })
    .await;
    // Other rules: what was good by the old ones is looked at anew.
    let long = issuer.token(&claims());
    assert_eq!(client.fetch("/", &bearer(&long)).await.status(), 200);
    proxy.reload(document("algorithms: [RS256]")).await.unwrap();
    assert_eq!(client.fetch("/", &bearer(&long)).await.status(), 401);
    // Other keys.
    let other = Issuer::p256("one");
    let changed = guarded(&[upstream.address()], &[provider(&[&other], "")]).workers(1);
    proxy.reload(document("")).await.unwrap();
    assert_eq!(client.fetch("/", &bearer(&long)).await.status(), 200);
    proxy.reload(changed).await.unwrap();
    let response = client.fetch("/", &bearer(&long)).await;
    assert_eq!(
        (response.status(), response.text().as_str()),
        (401, "Jwt verification fails\n")
    );
}
