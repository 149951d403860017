//! Tokens made by another implementation (`jsonwebtoken`), by an RFC, and by hand.

use super::*;
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use outrigger_config::model::JwtAlgorithm;
use serde_json::{Value, json};
use std::sync::LazyLock;

mod keys;
mod tokens;

const NOW: u64 = 1_700_000_000;

/// An issuer with a key of each kind, made once.
struct Issuer {
    rsa: EncodingKey,
    p256: EncodingKey,
    p384: EncodingKey,
    ed: EncodingKey,
    jwks: Value,
}

static ISSUER: LazyLock<Issuer> = LazyLock::new(Issuer::new);

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Issuer {
    fn new() -> Issuer {
        let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let pkcs8: aws_lc_rs::encoding::Pkcs8V1Der<'_> = rsa.as_der().unwrap();
        let p256 = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let p384 = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
        let ed = Ed25519KeyPair::generate().unwrap();
        let point = |key: &EcdsaKeyPair| {
            let (x, y) = key.public_key().as_ref()[1..].split_at(key.public_key().as_ref().len() / 2);
            (encode(x), encode(y))
        };
        let ((x256, y256), (x384, y384)) = (point(&p256), point(&p384));
        let public = rsa.public_key();
        let modulus = aws_lc_rs::rsa::PublicKeyComponents::<Vec<u8>>::from(public);
        let jwks = json!({ "keys": [
            { "kty": "RSA", "kid": "rsa", "use": "sig", "n": encode(&modulus.n), "e": encode(&modulus.e) },
            { "kty": "EC", "kid": "p256", "crv": "P-256", "x": x256, "y": y256 },
            { "kty": "EC", "kid": "p384", "crv": "P-384", "x": x384, "y": y384, "alg": "ES384" },
            { "kty": "OKP", "kid": "ed", "crv": "Ed25519", "x": encode(ed.public_key().as_ref()), "alg": "EdDSA" },
        ] });
        Issuer {
            // PKCS#8 wraps PKCS#1, which begins behind 26 bytes for keys of this length.
            rsa: EncodingKey::from_rsa_der(&pkcs8.as_ref()[26..]),
            p256: EncodingKey::from_ec_der(p256.to_pkcs8v1().unwrap().as_ref()),
            p384: EncodingKey::from_ec_der(p384.to_pkcs8v1().unwrap().as_ref()),
            ed: EncodingKey::from_ed_der(ed.to_pkcs8v1().unwrap().as_ref()),
            jwks,
        }
    }

    fn keys(&self) -> KeySet {
        KeySet::parse(self.jwks.to_string().as_bytes()).unwrap()
    }

    fn sign(&self, algorithm: Algorithm, kid: Option<&str>, claims: &Value) -> String {
        let key = match algorithm {
            Algorithm::ES256 => &self.p256,
            Algorithm::ES384 => &self.p384,
            Algorithm::EdDSA => &self.ed,
            _ => &self.rsa,
        };
        let mut header = Header::new(algorithm);
        header.kid = kid.map(str::to_owned);
        jsonwebtoken::encode(&header, claims, key).unwrap()
    }
}

/// Everything that is looked at.
fn verifier() -> Verifier {
    Verifier {
        issuer: Some("https://issuer.example".into()),
        audiences: vec!["shop".into(), "store".into()],
        algorithms: ALL.to_vec(),
        clock_skew_seconds: 60,
        expiration_required: true,
    }
}

const ALL: [JwtAlgorithm; 9] = [
    JwtAlgorithm::Rs256,
    JwtAlgorithm::Rs384,
    JwtAlgorithm::Rs512,
    JwtAlgorithm::Ps256,
    JwtAlgorithm::Ps384,
    JwtAlgorithm::Ps512,
    JwtAlgorithm::Es256,
    JwtAlgorithm::Es384,
    JwtAlgorithm::EdDsa,
];

fn claims() -> Value {
    json!({
        "iss": "https://issuer.example",
        "sub": "alice",
        "aud": ["other", "shop"],
        "iat": NOW - 10,
        "nbf": NOW - 10,
        "exp": NOW + 300,
        "realm_access": { "roles": ["admin", "user"] },
    })
}
