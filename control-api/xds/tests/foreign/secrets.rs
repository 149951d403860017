//! Identities and trust bundles.

use super::samples::{any, data, fault, file, number, take, text, written};
use envoy_types::pb::envoy::config::core::v3::{TypedExtensionConfig, data_source::Specifier};
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as tls;
use outrigger_config::document::Parts;
use outrigger_xds::decode::Decoded;
use serde_json::json;
use tls::secret::Type;
use tls::spiffe_cert_validator_config::TrustDomain;

const CHAIN: &str = "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n";
const KEY: &str = "-----BEGIN PRIVATE KEY-----\nc2Vj\n-----END PRIVATE KEY-----\n";

fn secret(kind: Type) -> tls::Secret {
    tls::Secret {
        name: "s".to_owned(),
        r#type: Some(kind),
    }
}

fn parts(kind: Type) -> Parts {
    match take("s", &secret(kind)) {
        Ok(Decoded::Secret(parts)) => parts,
        Ok(_) => panic!("of another type"),
        Err(refusal) => panic!("{refusal}"),
    }
}

#[test]
fn an_identity_in_files_or_in_the_message() {
    let files = tls::TlsCertificate {
        certificate_chain: file("c.pem"),
        private_key: file("k.pem"),
        ..tls::TlsCertificate::default()
    };
    let identities = written(&parts(Type::TlsCertificate(files.clone())))["identities"].clone();
    assert_eq!(
        identities[1],
        json!({"name": "s", "files": {"certificate_file": "c.pem", "private_key_file": "k.pem"}})
    );
    let inline = tls::TlsCertificate {
        certificate_chain: text(CHAIN),
        private_key: data(Specifier::InlineBytes(KEY.as_bytes().to_vec())),
        ocsp_staple: data(Specifier::InlineBytes(b"foob".to_vec())),
        ..tls::TlsCertificate::default()
    };
    let identities = written(&parts(Type::TlsCertificate(inline.clone())))["identities"].clone();
    assert_eq!(identities[1]["inline"]["certificate_chain"], CHAIN);
    assert_eq!(identities[1]["inline"]["ocsp_staple"], "Zm9vYg==");

    let mixed = tls::TlsCertificate {
        private_key: inline.private_key,
        ..files.clone()
    };
    let (path, _) = fault("s", &secret(Type::TlsCertificate(mixed)));
    assert_eq!(path, "tls_certificate.private_key");
    let with_password = tls::TlsCertificate {
        password: text("x"),
        ..files
    };
    let (path, _) = fault("s", &secret(Type::TlsCertificate(with_password)));
    assert_eq!(path, "tls_certificate.password");
}

#[test]
fn no_fault_shows_a_key() {
    let wrong = tls::TlsCertificate {
        certificate_chain: text(KEY),
        private_key: text("no key, and secret"),
        ..tls::TlsCertificate::default()
    };
    let refusal = take("s", &secret(Type::TlsCertificate(wrong)))
        .unwrap_err()
        .to_string();
    assert!(
        !refusal.contains("c2Vj") && !refusal.contains("and secret"),
        "{refusal}"
    );
}

fn by_spiffe(domains: &[&str]) -> tls::CertificateValidationContext {
    let domain = |name: &&str| TrustDomain {
        name: (*name).to_owned(),
        trust_bundle: text(CHAIN),
        ..TrustDomain::default()
    };
    let config = tls::SpiffeCertValidatorConfig {
        trust_domains: domains.iter().map(domain).collect(),
        ..tls::SpiffeCertValidatorConfig::default()
    };
    tls::CertificateValidationContext {
        custom_validator_config: Some(TypedExtensionConfig {
            name: "envoy.tls.cert_validator.spiffe".to_owned(),
            typed_config: Some(any(&config)),
        }),
        ..tls::CertificateValidationContext::default()
    }
}

#[test]
fn authorities() {
    let plain = tls::CertificateValidationContext {
        trusted_ca: text(CHAIN),
        ..tls::CertificateValidationContext::default()
    };
    let bundles = written(&parts(Type::ValidationContext(plain.clone())))["trust_bundles"].clone();
    assert_eq!(bundles[1], json!({"name": "s", "inline": CHAIN}));
    let bundles =
        written(&parts(Type::ValidationContext(by_spiffe(&["example.org"]))))["trust_bundles"].clone();
    assert_eq!(
        bundles[1],
        json!({"name": "s", "trust_domain": "example.org", "inline": CHAIN})
    );
    let (path, said) = fault(
        "s",
        &secret(Type::ValidationContext(by_spiffe(&["a.example", "b.example"]))),
    );
    assert_eq!(path, "validation_context.custom_validator_config.typed_config");
    assert!(said.starts_with("several trust domains"), "{said}");
    let deep = tls::CertificateValidationContext {
        max_verify_depth: number(1),
        ..plain
    };
    assert_eq!(
        fault("s", &secret(Type::ValidationContext(deep))).0,
        "validation_context.max_verify_depth"
    );
}

#[test]
fn other_kinds_are_refused_by_name() {
    let tickets = Type::SessionTicketKeys(tls::TlsSessionTicketKeys::default());
    assert_eq!(fault("s", &secret(tickets)).0, "session_ticket_keys");
    let generic = Type::GenericSecret(tls::GenericSecret::default());
    assert_eq!(fault("s", &secret(generic)).0, "generic_secret");
}
