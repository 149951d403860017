//! Kinds of keys, versions, key exchange, staples.

use super::{Authority, downstream, handshake, loaded, upstream, upstream_document};
use crate::UpstreamIdentity;
use rcgen::{PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::{ClientConfig, DigitallySignedStruct, ProtocolVersion, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::sync::{Arc, Mutex};

/// A client that verifies signatures of these schemes only.
fn client_of(authority: &Authority, schemes: &[SignatureScheme]) -> UpstreamIdentity {
    let provider = crate::provider();
    let known = provider.signature_verification_algorithms;
    let mapping: Vec<_> = known
        .mapping
        .iter()
        .filter(|(scheme, _)| schemes.contains(scheme))
        .copied()
        .collect();
    let algorithms = rustls::crypto::WebPkiSupportedAlgorithms {
        all: known.all,
        mapping: mapping.leak(),
    };
    let provider = CryptoProvider {
        signature_verification_algorithms: algorithms,
        ..(*provider).clone()
    };
    let roots = crate::RootSet::from_text(authority.read("ca.pem").as_bytes()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots.store().clone())
        .with_no_client_auth();
    UpstreamIdentity {
        config: Arc::new(config),
        ..authority.raw_client(None)
    }
}

#[test]
fn of_certificates_with_one_name_the_client_gets_one_that_it_can_verify() {
    let authority = Authority::new("root");
    let kinds = [
        ("ecdsa", &PKCS_ECDSA_P256_SHA256),
        ("ed25519", &PKCS_ED25519),
        ("rsa", &PKCS_RSA_SHA256),
    ];
    for (name, algorithm) in kinds {
        authority.issue_for(algorithm, name, &["server.example"], |_| {});
    }
    authority.issue_for(&PKCS_ECDSA_P384_SHA384, "other", &["other.example"], |_| {});
    let names = ["other", "rsa", "ecdsa", "ed25519"];
    let config = downstream(&authority.downstream(&names, "")).unwrap();
    let shown = |schemes: &[SignatureScheme]| {
        let seen = handshake(&config, &client_of(&authority, schemes)).map_err(|error| error.to_string())?;
        let kind = |name: &&&str| {
            let pem = authority.read(&format!("{name}.pem"));
            let der = <CertificateDer as rustls_pki_types::pem::PemObject>::from_pem_slice(pem.as_bytes());
            seen.server_certificate() == der.unwrap().as_ref()
        };
        Ok::<_, String>(*names.iter().find(kind).unwrap())
    };
    use SignatureScheme as S;
    let ecdsa = S::ECDSA_NISTP256_SHA256;
    assert_eq!(shown(&[ecdsa]).unwrap(), "ecdsa");
    assert_eq!(shown(&[S::ED25519]).unwrap(), "ed25519");
    assert_eq!(shown(&[S::RSA_PSS_SHA256]).unwrap(), "rsa");
    assert_eq!(
        shown(&[ecdsa, S::ED25519, S::RSA_PSS_SHA256]).unwrap(),
        "rsa",
        "the first of the configuration"
    );
    shown(&[S::RSA_PKCS1_SHA1]).expect_err("nothing that this client can verify");
}

#[test]
fn versions_are_as_the_setting_says() {
    let authority = Authority::new("root");
    authority.issue("server", &["server.example"]);
    let version = |server: &str, client: &str| {
        let config = downstream(&authority.downstream(&["server"], server)).unwrap();
        let tls = format!("{}, server_name: server.example{client}", authority.ca_file());
        let client = upstream(&upstream_document(&tls, ""), &[]).unwrap();
        let seen = handshake(&config, &client).ok()?;
        seen.server.protocol_version()
    };
    let (only12, only13) = (", maximum_version: TLSv1.2", ", minimum_version: TLSv1.3");
    assert_eq!(version("", ""), Some(ProtocolVersion::TLSv1_3));
    assert_eq!(version(only12, ""), Some(ProtocolVersion::TLSv1_2));
    assert_eq!(version("", only12), Some(ProtocolVersion::TLSv1_2));
    assert_eq!(version("", only13), Some(ProtocolVersion::TLSv1_3));
    assert_eq!(version(only13, only12), None);
    assert_eq!(version(only12, only13), None);
}

#[test]
fn key_exchange_is_agreed_as_the_settings_say() {
    let authority = Authority::new("root");
    authority.issue("server", &["server.example"]);
    let group = |server: &str, client: &str| {
        let more = format!(", post_quantum: {server}{}", only13(server));
        let config = downstream(&authority.downstream(&["server"], &more)).unwrap();
        let tls = format!(
            "{}, server_name: server.example, post_quantum: {client}{}",
            authority.ca_file(),
            only13(client)
        );
        let client = upstream(&upstream_document(&tls, ""), &[]).unwrap();
        let seen = handshake(&config, &client).ok()?;
        Some(format!(
            "{:?}",
            seen.server.negotiated_key_exchange_group().unwrap().name()
        ))
    };
    let (hybrid, classic) = ("X25519MLKEM768", "X25519");
    let table = [
        ("preferred", "preferred", Some(hybrid)),
        ("required", "preferred", Some(hybrid)),
        ("preferred", "required", Some(hybrid)),
        ("off", "preferred", Some(classic)),
        ("preferred", "off", Some(classic)),
        ("off", "required", None),
        ("required", "off", None),
    ];
    for (server, client, expected) in table {
        assert_eq!(
            group(server, client).as_deref(),
            expected,
            "{server} here, {client} there"
        );
    }
}

fn only13(post_quantum: &str) -> &'static str {
    match post_quantum {
        "required" => ", minimum_version: TLSv1.3",
        _ => "",
    }
}

/// Accepts every server, and keeps the staple that came along.
#[derive(Debug, Default)]
struct Staples(Mutex<Vec<u8>>);

impl ServerCertVerifier for Staples {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        staple: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *self.0.lock().unwrap() = staple.to_vec();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}

#[test]
fn a_staple_is_sent_along() {
    let authority = Authority::new("root");
    authority.issue("server", &["server.example"]);
    authority.write("staple.der", "an answer");
    let certificate = authority.certificate("server");
    let staple = format!(
        ", ocsp_staple_file: {} }}",
        authority.path("staple.der").display()
    );
    let stapled = certificate.replace(" }", &staple);
    let sent = |certificate: &str| {
        let document = loaded(format!(
            "listeners:\n- name: edge\n  address: 127.0.0.1:8443\n  filter_chains:\n  - tls: {{ certificates: \
             [{certificate}] }}\n    http: {{ route_configuration: main }}\n\
             route_configurations:\n- name: main\n  virtual_hosts: []\n"
        ));
        let verifier = Arc::new(Staples::default());
        let mut client = authority.raw_client(None);
        let mut config = (*client.config).clone();
        config
            .dangerous()
            .set_certificate_verifier(Arc::clone(&verifier) as Arc<dyn ServerCertVerifier>);
        client.config = Arc::new(config);
        handshake(&downstream(&document).unwrap(), &client).unwrap();
        verifier.0.lock().unwrap().clone()
    };
    assert_eq!(sent(&stapled), b"an answer");
    assert_eq!(sent(&certificate), b"");
}
