//! What holds and what does not.

use super::*;
use std::time::Duration;

fn verify(token: &str) -> Result<VerifiedToken, JwtFault> {
    verifier().verify(token.as_bytes(), Some(&ISSUER.keys()), NOW)
}

fn fault(token: &str) -> JwtFault {
    verify(token).expect_err("the token is refused")
}

fn with(change: impl FnOnce(&mut serde_json::Map<String, Value>)) -> String {
    let mut claims = claims();
    change(claims.as_object_mut().unwrap());
    ISSUER.sign(Algorithm::ES256, Some("p256"), &claims)
}

/// A token of these two texts, signed as if they were right.
fn signed_by_hand(header: &str, payload: &str) -> String {
    let signed = format!("{}.{}", encode(header.as_bytes()), encode(payload.as_bytes()));
    let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &ISSUER.p256, Algorithm::ES256).unwrap();
    format!("{signed}.{signature}")
}

#[test]
fn each_algorithm_of_another_implementation_is_verified_with_and_without_kid() {
    let algorithms = [
        (Algorithm::RS256, "rsa"),
        (Algorithm::RS384, "rsa"),
        (Algorithm::RS512, "rsa"),
        (Algorithm::PS256, "rsa"),
        (Algorithm::PS384, "rsa"),
        (Algorithm::PS512, "rsa"),
        (Algorithm::ES256, "p256"),
        (Algorithm::ES384, "p384"),
        (Algorithm::EdDSA, "ed"),
    ];
    for (index, (algorithm, kid)) in algorithms.into_iter().enumerate() {
        for kid in [Some(kid), None] {
            let token = ISSUER.sign(algorithm, kid, &claims());
            let verified = verify(&token).unwrap_or_else(|fault| panic!("{algorithm:?} {kid:?}: {fault:?}"));
            assert_eq!(verified.claim(&["sub".into()]), Some(&json!("alice")));
            let roles = ["realm_access".to_owned(), "roles".to_owned()];
            assert_eq!(verified.claim(&roles), Some(&json!(["admin", "user"])));
            assert_eq!(verified.claim(&["sub".into(), "x".into()]), None);
            assert_eq!(verified.claim(&[]), None);
            assert_eq!(verified.encoded_payload(), token.split('.').nth(1).unwrap());
            // One algorithm less, and it is refused.
            let mut fewer = verifier();
            fewer.algorithms.remove(index);
            let refused = fewer.verify(token.as_bytes(), Some(&ISSUER.keys()), NOW);
            assert_eq!(refused.unwrap_err(), JwtFault::AlgorithmNotSupported);
        }
    }
}

#[test]
fn the_example_of_rfc_7515_is_verified() {
    let token = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    let keys = json!({ "keys": [{
        "kty": "EC", "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    }] });
    let keys = KeySet::parse(keys.to_string().as_bytes()).unwrap();
    let rules = Verifier {
        issuer: Some("joe".into()),
        audiences: Vec::new(),
        ..verifier()
    };
    let verified = rules
        .verify(token.as_bytes(), Some(&keys), 1_300_819_379)
        .unwrap();
    assert_eq!(
        verified.claim(&["http://example.com/is_root".into()]),
        Some(&json!(true))
    );
    let late = rules.verify(token.as_bytes(), Some(&keys), 1_300_819_380 + 60);
    assert_eq!(late.unwrap_err(), JwtFault::Expired);
}

#[test]
fn a_public_key_is_never_a_secret_and_none_is_no_algorithm() {
    let payload = encode(claims().to_string().as_bytes());
    let public = serde_json::to_vec(&ISSUER.jwks["keys"][0]).unwrap();
    let header = r#"{"alg":"HS256","kid":"rsa"}"#;
    let signed = format!("{}.{payload}", encode(header.as_bytes()));
    let secret = jsonwebtoken::EncodingKey::from_secret(&public);
    let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &secret, Algorithm::HS256).unwrap();
    assert_eq!(
        fault(&format!("{signed}.{signature}")),
        JwtFault::AlgorithmNotSupported
    );
    for none in [
        "none", "None", "NONE", "nOnE", "", "rs256", "ES256 ", "ES512", "ES256K",
    ] {
        let header = encode(json!({ "alg": none }).to_string().as_bytes());
        for signature in ["", "AAAA"] {
            let token = format!("{header}.{payload}.{signature}");
            assert_eq!(fault(&token), JwtFault::AlgorithmNotSupported, "{none}");
        }
    }
    // Another algorithm than the one that signed.
    let token = ISSUER.sign(Algorithm::RS256, Some("rsa"), &claims());
    let (_, rest) = token.split_once('.').unwrap();
    for (algorithm, expected) in [
        ("PS256", JwtFault::VerificationFails),
        ("RS384", JwtFault::VerificationFails),
        ("ES256", JwtFault::KeyNotFound),
        ("EdDSA", JwtFault::KeyNotFound),
    ] {
        let header = json!({ "alg": algorithm, "kid": "rsa" }).to_string();
        assert_eq!(
            fault(&format!("{}.{rest}", encode(header.as_bytes()))),
            expected,
            "{algorithm}"
        );
    }
}

#[test]
fn claims_are_held_against_the_rules() {
    let table: [(&str, Value, JwtFault); 17] = [
        ("iss", json!("https://issuer.example/"), JwtFault::UnknownIssuer),
        ("iss", json!("HTTPS://issuer.example"), JwtFault::UnknownIssuer),
        ("iss", json!(1), JwtFault::IssuerNotString),
        ("sub", json!(["alice"]), JwtFault::SubjectNotString),
        ("aud", json!("shop "), JwtFault::AudienceNotAllowed),
        ("aud", json!([]), JwtFault::AudienceNotAllowed),
        ("aud", json!(["shop", 1]), JwtFault::AudienceNotString),
        ("aud", json!({ "shop": true }), JwtFault::AudienceNotString),
        ("exp", json!(NOW - 60), JwtFault::Expired),
        ("exp", json!(NOW as f64 - 59.5), JwtFault::Expired),
        ("exp", json!(0), JwtFault::Expired),
        ("exp", json!((NOW + 300).to_string()), JwtFault::BadExpiration),
        ("exp", json!(1e300), JwtFault::BadExpiration),
        ("exp", json!(-1), JwtFault::BadExpiration),
        ("nbf", json!(NOW + 61), JwtFault::NotYetValid),
        ("iat", json!(NOW + 61), JwtFault::NotYetValid),
        ("iat", json!(null), JwtFault::BadIssuedAt),
    ];
    for (name, value, expected) in table {
        let shown = format!("{name}: {value}");
        assert_eq!(
            fault(&with(|claims| drop(claims.insert(name.into(), value)))),
            expected,
            "{shown}"
        );
    }
    for (name, expected) in [
        ("iss", JwtFault::UnknownIssuer),
        ("aud", JwtFault::AudienceNotAllowed),
        ("exp", JwtFault::ExpirationMissing),
    ] {
        assert_eq!(
            fault(&with(|claims| drop(claims.remove(name)))),
            expected,
            "no {name}"
        );
    }
    let good = [
        ("aud", json!("store")),
        ("exp", json!(NOW - 59)),
        ("exp", json!(u64::MAX)),
        ("nbf", json!(NOW + 60)),
        ("iat", json!(NOW + 60)),
        ("exp", json!(NOW as f64 + 0.5)),
    ];
    for (name, value) in good {
        let shown = format!("{name}: {value}");
        let verified = verify(&with(|claims| drop(claims.insert(name.into(), value))));
        assert!(verified.is_ok(), "{shown}: {verified:?}");
    }
}

#[test]
fn a_verified_token_ends_by_time_alone() {
    let verified = verify(&with(|_| {})).unwrap();
    assert_eq!(verified.check_times(NOW + 359), Ok(()));
    assert_eq!(verified.check_times(NOW + 360), Err(JwtFault::Expired));
    // A clock that steps back.
    assert_eq!(verified.check_times(NOW - 71), Err(JwtFault::NotYetValid));
}

#[test]
fn headers_and_forms_that_are_refused() {
    let payload = claims().to_string();
    let table = [
        (r#"{"alg":"ES256","crit":["exp"]}"#, JwtFault::HeaderCritical),
        (
            r#"{"alg":"ES256","crit":["b64"],"b64":false}"#,
            JwtFault::HeaderCritical,
        ),
        (r#"{"alg":"ES256","cty":"JWT"}"#, JwtFault::Nested),
        (r#"{"alg":"ES256","cty":"application/jwt"}"#, JwtFault::Nested),
        (r#"{"alg":"ES256","kid":1}"#, JwtFault::HeaderKid),
        (r#"{"alg":"ES256","kid":"x"}"#, JwtFault::KeyNotFound),
        (r#"{"alg":"ES256","kid":"../p256"}"#, JwtFault::KeyNotFound),
        (r#"{"alg":"ES256","kid":"p256\u0000"}"#, JwtFault::KeyNotFound),
        (r#"{"alg":"ES256","alg":"none"}"#, JwtFault::HeaderJson),
        (r#"{"alg":["ES256"]}"#, JwtFault::HeaderAlg),
        (r#"{"typ":"JWT"}"#, JwtFault::HeaderAlg),
        (r#"["ES256"]"#, JwtFault::HeaderJson),
    ];
    for (header, expected) in table {
        assert_eq!(fault(&signed_by_hand(header, &payload)), expected, "{header}");
    }
    let header = r#"{"alg":"ES256","typ":"at+jwt","cty":"json"}"#;
    assert!(verify(&signed_by_hand(header, &payload)).is_ok());
    let twice = payload.replacen('{', r#"{"sub":"mallory","#, 1);
    assert_eq!(
        fault(&signed_by_hand(r#"{"alg":"ES256"}"#, &twice)),
        JwtFault::PayloadJson
    );
}

#[test]
fn truncated_and_altered_tokens_never_pass() {
    let token = ISSUER.sign(Algorithm::ES256, Some("p256"), &claims());
    for end in 0..token.len() {
        assert!(verify(&token[..end]).is_err(), "{end} bytes");
    }
    for at in 0..token.len() {
        let mut altered = token.clone().into_bytes();
        altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
        assert!(
            verifier().verify(&altered, Some(&ISSUER.keys()), NOW).is_err(),
            "byte {at}"
        );
    }
    let parts: Vec<&str> = token.split('.').collect();
    for (text, expected) in [
        (format!("{token}."), JwtFault::BadFormat),
        (format!("{token}.x.y"), JwtFault::BadFormat),
        (
            format!("{}=.{}.{}", parts[0], parts[1], parts[2]),
            JwtFault::HeaderBase64,
        ),
        (
            format!("{}.{}=.{}", parts[0], parts[1], parts[2]),
            JwtFault::PayloadBase64,
        ),
        (format!("{token}="), JwtFault::SignatureBase64),
        (format!(" {token}"), JwtFault::HeaderBase64),
        ("..".into(), JwtFault::HeaderJson),
        ("\u{fffd}.a.b".into(), JwtFault::HeaderBase64),
        ("a".repeat(16 * 1024 + 1), JwtFault::TooLong),
    ] {
        assert_eq!(fault(&text), expected, "{text}");
    }
    assert_eq!(
        verifier().verify(b"\xff.a.b", None, NOW).unwrap_err(),
        JwtFault::BadFormat
    );
}

#[test]
fn without_keys_only_what_needs_them_is_unknown() {
    let token = with(|_| {});
    let refused = verifier().verify(token.as_bytes(), None, NOW).unwrap_err();
    assert_eq!(refused, JwtFault::KeysUnavailable);
    let late = NOW + Duration::from_secs(3600).as_secs();
    assert_eq!(
        verifier().verify(token.as_bytes(), None, late).unwrap_err(),
        JwtFault::Expired
    );
}

#[test]
fn tokens_are_remembered_by_rules_and_keys_and_no_more_than_a_bound() {
    let memory = TokenMemory::default();
    let verified = std::rc::Rc::new(verify(&with(|_| {})).unwrap());
    let digest = |token: &[u8], provider, keys| TokenDigest::of(token, provider, keys).unwrap();
    memory.remember(digest(b"t", 1, 1), &verified);
    assert!(memory.find(&digest(b"t", 1, 1)).is_some());
    for (token, provider, keys) in [(b"u", 1, 1), (b"t", 2, 1), (b"t", 1, 2)] {
        assert!(memory.find(&digest(token, provider, keys)).is_none());
    }
    memory.forget(&digest(b"t", 1, 1));
    assert!(memory.find(&digest(b"t", 1, 1)).is_none());
    for number in 0..1025u32 {
        memory.remember(digest(&number.to_be_bytes(), 1, 1), &verified);
    }
    assert!(
        memory.find(&digest(&0u32.to_be_bytes(), 1, 1)).is_none(),
        "the oldest went"
    );
    assert!(memory.find(&digest(&1u32.to_be_bytes(), 1, 1)).is_some());
    assert!(TokenDigest::of(&[b'a'; 4097], 1, 1).is_none());
}
