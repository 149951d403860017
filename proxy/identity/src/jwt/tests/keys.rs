//! Key sets, and which of their keys are tried.

use super::*;

fn parse(keys: Value) -> Result<KeySet, JwksError> {
    KeySet::parse(json!({ "keys": keys }).to_string().as_bytes())
}

fn key(index: usize, change: impl FnOnce(&mut serde_json::Map<String, Value>)) -> Value {
    let mut key = ISSUER.jwks["keys"][index].clone();
    change(key.as_object_mut().unwrap());
    key
}

fn ignored(key: Value) -> IgnoredKey {
    match parse(json!([key])) {
        Err(JwksError::NoValidKeys(Some(why))) => why,
        other => panic!("{other:?}"),
    }
}

fn set(name: &str, value: Value) -> impl FnOnce(&mut serde_json::Map<String, Value>) {
    let name = name.to_owned();
    move |key| drop(key.insert(name, value))
}

#[test]
fn what_is_no_key_set_says_why() {
    for (text, expected) in [
        ("", JwksError::Json),
        ("[]", JwksError::Json),
        ("<html>", JwksError::Json),
        (r#"{"keys":[],"keys":[]}"#, JwksError::Json),
        ("{}", JwksError::NoKeys),
        (r#"{"keys":{}}"#, JwksError::NoKeys),
        (r#"{"keys":[]}"#, JwksError::NoValidKeys(None)),
        (r#"{"keys":[1]}"#, JwksError::NoValidKeys(Some(IgnoredKey::NoKey))),
    ] {
        assert_eq!(KeySet::parse(text.as_bytes()).unwrap_err(), expected, "{text}");
    }
    let long = vec![b' '; 1024 * 1024 + 1];
    assert_eq!(KeySet::parse(&long).unwrap_err(), JwksError::TooLong);
    let many = json!(vec![ISSUER.jwks["keys"][1].clone(); 257]);
    assert_eq!(parse(many).unwrap_err(), JwksError::TooManyKeys);
}

#[test]
fn keys_that_cannot_be_used_are_left_out_and_noted() {
    assert_eq!(ignored(key(0, set("use", json!("enc")))), IgnoredKey::Use);
    assert_eq!(ignored(key(0, set("key_ops", json!(["sign"])))), IgnoredKey::Use);
    assert_eq!(ignored(key(0, set("d", json!("AQAB")))), IgnoredKey::Private);
    assert_eq!(ignored(key(1, set("d", json!("AQAB")))), IgnoredKey::Private);
    assert_eq!(ignored(key(0, set("alg", json!("HS256")))), IgnoredKey::Algorithm);
    assert_eq!(ignored(key(0, set("alg", json!("ES256")))), IgnoredKey::Algorithm);
    assert_eq!(
        ignored(json!({ "kty": "oct", "k": "c2VjcmV0" })),
        IgnoredKey::Kind
    );
    assert_eq!(ignored(key(1, set("crv", json!("secp256k1")))), IgnoredKey::Curve);
    assert_eq!(ignored(key(1, set("crv", json!("P-384")))), IgnoredKey::Malformed);
    assert_eq!(ignored(key(3, set("crv", json!("X25519")))), IgnoredKey::Curve);
    assert_eq!(ignored(key(3, set("x", json!("AAAA")))), IgnoredKey::Malformed);
    assert_eq!(
        ignored(key(1, set("x", json!(encode(&[1; 32]))))),
        IgnoredKey::Malformed,
        "off the curve"
    );
    assert_eq!(
        ignored(key(0, set("n", json!(encode(&[0xff; 128]))))),
        IgnoredKey::Length
    );
    assert_eq!(
        ignored(key(0, set("n", json!(encode(&[0xff; 1025]))))),
        IgnoredKey::Length
    );
    for exponent in [&[][..], &[1], &[2], &[0, 0], &[1, 0, 0, 0, 1]] {
        assert_eq!(
            ignored(key(0, set("e", json!(encode(exponent))))),
            IgnoredKey::Malformed
        );
    }
    assert_eq!(
        ignored(key(0, |key| drop(key.remove("n")))),
        IgnoredKey::Malformed
    );
    assert_eq!(ignored(key(0, set("kid", json!(1)))), IgnoredKey::NoKey);

    let mixed =
        parse(json!([{ "kty": "oct" }, ISSUER.jwks["keys"][1], key(0, set("use", json!("enc")))])).unwrap();
    assert_eq!(mixed.ignored(), [IgnoredKey::Kind, IgnoredKey::Use]);
    let reports: Vec<_> = mixed.reports().collect();
    assert_eq!(
        reports,
        [KeyReport {
            kid: Some("p256"),
            kind: "P-256"
        }]
    );
}

#[test]
fn what_issuers_get_wrong_is_read_all_the_same() {
    let n = URL_SAFE_NO_PAD
        .decode(ISSUER.jwks["keys"][0]["n"].as_str().unwrap())
        .unwrap();
    let padded = base64::engine::general_purpose::URL_SAFE.encode([&[0], &n[..]].concat());
    let keys = parse(json!([key(0, set("n", json!(padded)))])).unwrap();
    let token = ISSUER.sign(Algorithm::RS256, Some("rsa"), &claims());
    assert!(verifier().verify(token.as_bytes(), Some(&keys), NOW).is_ok());
}

#[test]
fn keys_are_tried_by_kid_and_kind_and_no_more_than_a_few() {
    let other = Issuer::new();
    let renamed = |issuer: &Issuer, kid: Option<&str>| {
        let mut key = issuer.jwks["keys"][1].clone();
        match kid {
            Some(kid) => key["kid"] = json!(kid),
            None => drop(key.as_object_mut().unwrap().remove("kid")),
        }
        key
    };
    let verify = |keys: Value, kid: Option<&str>| {
        let token = ISSUER.sign(Algorithm::ES256, kid, &claims());
        verifier()
            .verify(token.as_bytes(), Some(&parse(keys).unwrap()), NOW)
            .map(drop)
    };
    // The same id twice: either may have signed.
    let twice = json!([renamed(&other, Some("a")), renamed(&ISSUER, Some("a"))]);
    assert_eq!(verify(twice, Some("a")), Ok(()));
    // A key without an id may be any.
    assert_eq!(verify(json!([renamed(&ISSUER, None)]), Some("a")), Ok(()));
    assert_eq!(
        verify(json!([renamed(&other, None)]), Some("a")),
        Err(JwtFault::VerificationFails)
    );
    assert_eq!(
        verify(json!([renamed(&ISSUER, Some("b"))]), Some("a")),
        Err(JwtFault::KeyNotFound)
    );
    // Without an id in the token all are tried, up to a bound.
    let behind = |count: usize| {
        let mut keys = vec![renamed(&other, Some("x")); count];
        keys.push(renamed(&ISSUER, Some("y")));
        json!(keys)
    };
    assert_eq!(verify(behind(7), None), Ok(()));
    assert_eq!(verify(behind(8), None), Err(JwtFault::VerificationFails));
}

#[test]
fn a_cell_tells_who_keeps_it_fresh() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    let cell = KeyCell::default();
    cell.want_newer();
    assert!(cell.keys().is_none());
    let told = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&told);
    cell.when_wanted(move || {
        count.fetch_add(1, Ordering::Relaxed);
    });
    cell.want_newer();
    assert_eq!(told.load(Ordering::Relaxed), 1);
    let (first, second) = (ISSUER.keys(), ISSUER.keys());
    assert_ne!(first.version(), second.version());
    cell.set(Arc::new(first));
    assert!(cell.keys().is_some());
}

#[test]
fn nothing_secret_shows() {
    let token = ISSUER.sign(Algorithm::ES256, Some("p256"), &claims());
    let parsed = Token::parse(token.as_bytes()).unwrap();
    let verified = verifier()
        .verify(token.as_bytes(), Some(&ISSUER.keys()), NOW)
        .unwrap();
    for shown in [format!("{parsed:?}"), format!("{verified:?}")] {
        assert!(
            !shown.contains("alice") && !shown.contains(&token[..20]),
            "{shown}"
        );
    }
}
