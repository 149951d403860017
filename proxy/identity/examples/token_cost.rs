//! What a token costs: `token_cost KIND TOKENS` looks at one token that many times and says how long one look took. KIND
//! is the algorithm that it is signed by, `RS256`, `ES256` or `EdDSA`, or `remembered`: verified before. The costs of the
//! rest of a request are not in it.

use anyhow::{Context, anyhow, bail, ensure};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeySize, PublicKeyComponents};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use outrigger_config::{Environment, Source, load};
use outrigger_identity::jwt::{KeySet, TokenDigest, TokenMemory, Verifier};
use serde_json::{Value, json};
use std::hint::black_box;
use std::rc::Rc;
use std::time::Instant;

const NOW: u64 = 1_700_000_000;

const CONFIGURATION: &str = "jwt_providers: [{ name: main, issuer: 'https://issuer.example', audiences: [shop], \
     algorithms: [RS256, ES256, EdDSA], keys: { url: 'http://127.0.0.1/' } }]";

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A public key as JSON, and a token that it holds for.
fn signed(algorithm: &str) -> anyhow::Result<(Value, String)> {
    let claims = json!({
        "iss": "https://issuer.example", "aud": "shop", "sub": "5be86359-073c-434b-ad2d-a3932222dabe",
        "iat": NOW, "exp": NOW + 300, "scope": "openid profile email", "realm_access": { "roles": ["reader", "writer"] },
    });
    let header = json!({ "alg": algorithm, "typ": "JWT", "kid": "one" });
    let message = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
    let random = SystemRandom::new();
    let failed = |_| anyhow!("no key, or no signature");
    let (key, signature) = match algorithm {
        "RS256" => {
            let key = RsaKeyPair::generate(KeySize::Rsa2048).map_err(failed)?;
            let mut signature = vec![0; key.public_modulus_len()];
            key.sign(&RSA_PKCS1_SHA256, &random, message.as_bytes(), &mut signature)
                .map_err(failed)?;
            let public = PublicKeyComponents::<Vec<u8>>::from(key.public_key());
            (
                json!({ "kty": "RSA", "n": encode(public.n), "e": encode(public.e) }),
                signature,
            )
        }
        "ES256" => {
            let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(failed)?;
            let signature = key.sign(&random, message.as_bytes()).map_err(failed)?;
            let (x, y) = key.public_key().as_ref()[1..].split_at(32);
            let jwk = json!({ "kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y) });
            (jwk, signature.as_ref().to_vec())
        }
        "EdDSA" => {
            let key = Ed25519KeyPair::generate().map_err(failed)?;
            let signature = key.sign(message.as_bytes());
            let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(key.public_key()) });
            (jwk, signature.as_ref().to_vec())
        }
        other => bail!("unknown kind {other}"),
    };
    Ok((
        json!({ "keys": [key] }),
        format!("{message}.{}", encode(signature)),
    ))
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [kind, tokens] = arguments.as_slice() else {
        bail!("usage: token_cost KIND TOKENS")
    };
    let tokens: u32 = tokens.parse()?;
    let source = Source {
        name: "token_cost.yaml".into(),
        text: CONFIGURATION.into(),
    };
    let loaded = load(&source, &Environment::empty()).map_err(|faults| anyhow!("{faults}"))?;
    let provider = loaded.config.jwt_providers().first().context("a provider")?;
    let verifier = Verifier::new(provider);
    let remembers = kind == "remembered";
    let (jwks, token) = signed(if remembers { "RS256" } else { kind })?;
    let keys = KeySet::parse(jwks.to_string().as_bytes())?;
    let verify = || verifier.verify(black_box(token.as_bytes()), Some(&keys), NOW);
    let memory = TokenMemory::default();
    let digest = || TokenDigest::of(black_box(token.as_bytes()), 1, keys.version()).context("a short token");
    let verified = verify().map_err(|fault| anyhow!("{}", fault.text()))?;
    memory.remember(digest()?, &Rc::new(verified));
    let started = Instant::now();
    for _ in 0..tokens {
        if remembers {
            let found = memory.find(&digest()?).context("it is remembered")?;
            ensure!(found.check_times(NOW).is_ok(), "it is still valid");
        } else {
            ensure!(black_box(verify()).is_ok(), "it holds");
        }
    }
    println!(
        "{kind}: {:?} a token of {} bytes",
        started.elapsed() / tokens.max(1),
        token.len()
    );
    Ok(())
}
