//! One key of a set: what a JSON Web Key (RFC 7517) says, as what can check signatures.

use aws_lc_rs::signature::{self, ParsedPublicKey, RsaParameters, RsaPublicKeyComponents};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use outrigger_config::model::JwtAlgorithm;
use serde_json::{Map, Value};
use std::fmt;

/// Bits of an RSA modulus: less is no protection (RFC 7518 section 3.3), more is a way to make verifying slow.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// What an RSA key may sign with.
const RSA: [(JwtAlgorithm, &RsaParameters); 6] = [
    (JwtAlgorithm::Rs256, &signature::RSA_PKCS1_2048_8192_SHA256),
    (JwtAlgorithm::Rs384, &signature::RSA_PKCS1_2048_8192_SHA384),
    (JwtAlgorithm::Rs512, &signature::RSA_PKCS1_2048_8192_SHA512),
    (JwtAlgorithm::Ps256, &signature::RSA_PSS_2048_8192_SHA256),
    (JwtAlgorithm::Ps384, &signature::RSA_PSS_2048_8192_SHA384),
    (JwtAlgorithm::Ps512, &signature::RSA_PSS_2048_8192_SHA512),
];

/// Why a key of a set is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum IgnoredKey {
    /// It is no object, or has no `kty` of text.
    #[error("no key of JSON")]
    NoKey,
    /// A kind of key without a public half, or one that is not known.
    #[error("its kind is not supported")]
    Kind,
    /// A curve that is not supported.
    #[error("its curve is not supported")]
    Curve,
    /// It is not for signatures (`use`, `key_ops`).
    #[error("it is not for checking signatures")]
    Use,
    /// Its `alg` is not one of its kind's.
    #[error("its algorithm is not supported, or not one of its kind's")]
    Algorithm,
    /// It holds its private half: whoever could read the set may sign with it.
    #[error("it holds its private half, and is not secret any more")]
    Private,
    /// Its numbers are missing, or make no key.
    #[error("its numbers make no key")]
    Malformed,
    /// An RSA key of a length that is not accepted.
    #[error("it is not of 2,048 to 8,192 bits")]
    Length,
}

/// A public key with the algorithms that it checks: those of its type, or the one that it is for.
pub(super) struct Key {
    pub(super) kid: Option<Box<str>>,
    pub(super) kind: &'static str,
    checks: Vec<(JwtAlgorithm, ParsedPublicKey)>,
}

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        let bytes = |key: &Key| -> Vec<(JwtAlgorithm, Vec<u8>)> {
            key.checks
                .iter()
                .map(|(algorithm, key)| (*algorithm, key.as_ref().to_vec()))
                .collect()
        };
        self.kid == other.kid && bytes(self) == bytes(other)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("kid", &self.kid)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

impl Key {
    /// Reads an entry of a set's `keys`.
    pub(super) fn read(value: &Value) -> Result<Key, IgnoredKey> {
        let jwk = value.as_object().ok_or(IgnoredKey::NoKey)?;
        let kty = text(jwk, "kty")?.ok_or(IgnoredKey::NoKey)?;
        check_use(jwk)?;
        let (kind, mut checks) = match kty {
            "RSA" => ("RSA", rsa(jwk)?),
            "EC" => elliptic(jwk)?,
            "OKP" => ("Ed25519", edwards(jwk)?),
            _ => return Err(IgnoredKey::Kind),
        };
        if jwk.contains_key("d") {
            return Err(IgnoredKey::Private);
        }
        if let Some(pinned) = text(jwk, "alg")? {
            checks.retain(|(algorithm, _)| algorithm_of(pinned) == Some(*algorithm));
            if checks.is_empty() {
                return Err(IgnoredKey::Algorithm);
            }
        }
        Ok(Key {
            kid: text(jwk, "kid")?.map(Into::into),
            kind,
            checks,
        })
    }

    /// The check of one algorithm's signatures, if the key is for it.
    pub(super) fn check(&self, algorithm: JwtAlgorithm) -> Option<&ParsedPublicKey> {
        let found = self.checks.iter().find(|(other, _)| *other == algorithm);
        found.map(|(_, key)| key)
    }
}

/// The algorithm that `alg` names, by its exact spelling; none: none that is ever accepted.
pub(super) fn algorithm_of(name: &str) -> Option<JwtAlgorithm> {
    Some(match name {
        "RS256" => JwtAlgorithm::Rs256,
        "RS384" => JwtAlgorithm::Rs384,
        "RS512" => JwtAlgorithm::Rs512,
        "PS256" => JwtAlgorithm::Ps256,
        "PS384" => JwtAlgorithm::Ps384,
        "PS512" => JwtAlgorithm::Ps512,
        "ES256" => JwtAlgorithm::Es256,
        "ES384" => JwtAlgorithm::Es384,
        // RFC 9864 gives EdDSA with this curve a name of its own.
        "EdDSA" | "Ed25519" => JwtAlgorithm::EdDsa,
        _ => return None,
    })
}

/// A member that is a text if it is there.
fn text<'j>(jwk: &'j Map<String, Value>, name: &str) -> Result<Option<&'j str>, IgnoredKey> {
    match jwk.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(IgnoredKey::NoKey),
    }
}

fn check_use(jwk: &Map<String, Value>) -> Result<(), IgnoredKey> {
    if text(jwk, "use")?.is_some_and(|purpose| purpose != "sig") {
        return Err(IgnoredKey::Use);
    }
    match jwk.get("key_ops") {
        None => Ok(()),
        Some(Value::Array(operations)) if operations.iter().any(|operation| operation == "verify") => Ok(()),
        Some(_) => Err(IgnoredKey::Use),
    }
}

fn bytes(jwk: &Map<String, Value>, name: &str) -> Result<Vec<u8>, IgnoredKey> {
    let encoded = text(jwk, name)?.ok_or(IgnoredKey::Malformed)?;
    // Some issuers pad, though RFC 7515 section 2 forbids it.
    let encoded = encoded.trim_end_matches('=');
    URL_SAFE_NO_PAD.decode(encoded).map_err(|_| IgnoredKey::Malformed)
}

fn rsa(jwk: &Map<String, Value>) -> Result<Vec<(JwtAlgorithm, ParsedPublicKey)>, IgnoredKey> {
    let (modulus, exponent) = (bytes(jwk, "n")?, bytes(jwk, "e")?);
    let (n, e) = (without_zeros(&modulus), without_zeros(&exponent));
    let bits = n
        .first()
        .map_or(0, |first| n.len() * 8 - first.leading_zeros() as usize);
    if !RSA_BITS.contains(&bits) {
        return Err(IgnoredKey::Length);
    }
    // Even, or one, or larger than any in use: no key of an issuer that means well.
    let odd = e.last().is_some_and(|last| last % 2 == 1);
    if !odd || e == [1] || e.len() > 4 {
        return Err(IgnoredKey::Malformed);
    }
    let components = RsaPublicKeyComponents { n, e };
    let parse = |(algorithm, parameters)| match components.to_parsed_public_key(parameters) {
        Ok(key) => Ok((algorithm, key)),
        Err(_) => Err(IgnoredKey::Malformed),
    };
    RSA.into_iter().map(parse).collect()
}

/// Some issuers write a leading zero, as DER has it, though RFC 7518 section 6.3.1 forbids it.
fn without_zeros(number: &[u8]) -> &[u8] {
    let first = number.iter().position(|byte| *byte != 0);
    &number[first.unwrap_or(number.len())..]
}

type Checks = Vec<(JwtAlgorithm, ParsedPublicKey)>;

fn elliptic(jwk: &Map<String, Value>) -> Result<(&'static str, Checks), IgnoredKey> {
    let (kind, algorithm, verification, length) = match text(jwk, "crv")? {
        Some("P-256") => (
            "P-256",
            JwtAlgorithm::Es256,
            &signature::ECDSA_P256_SHA256_FIXED,
            32,
        ),
        Some("P-384") => (
            "P-384",
            JwtAlgorithm::Es384,
            &signature::ECDSA_P384_SHA384_FIXED,
            48,
        ),
        _ => return Err(IgnoredKey::Curve),
    };
    let (x, y) = (bytes(jwk, "x")?, bytes(jwk, "y")?);
    if x.len() != length || y.len() != length {
        return Err(IgnoredKey::Malformed);
    }
    // Uncompressed (SEC 1 section 2.3.3).
    let point = [&[4], &x[..], &y[..]].concat();
    let key = ParsedPublicKey::new(verification, point).map_err(|_| IgnoredKey::Malformed)?;
    Ok((kind, vec![(algorithm, key)]))
}

fn edwards(jwk: &Map<String, Value>) -> Result<Checks, IgnoredKey> {
    if text(jwk, "crv")? != Some("Ed25519") {
        return Err(IgnoredKey::Curve);
    }
    let key = ParsedPublicKey::new(&signature::ED25519, bytes(jwk, "x")?);
    Ok(vec![(
        JwtAlgorithm::EdDsa,
        key.map_err(|_| IgnoredKey::Malformed)?,
    )])
}
