//! What clients and servers see.

use super::{Authority, downstream, handshake, upstream};
use crate::UpstreamIdentity;
use rustls::ProtocolVersion;
use std::sync::Arc;

fn client(authority: &Authority, server_name: &str) -> UpstreamIdentity {
    upstream(&authority.upstream(server_name, None), &["h2", "http/1.1"]).unwrap()
}

#[test]
fn sni_picks_the_certificate_by_its_names() {
    let authority = Authority::new("root");
    authority.issue(
        "default",
        &["default.example", "unknown.other", "a.b.wild.example"],
    );
    authority.issue("exact", &["exact.example", "special.wild.example"]);
    authority.issue("wild", &["*.wild.example"]);
    let config = downstream(&authority.downstream(&["default", "exact", "wild"], "")).unwrap();
    let der = |name: &str| {
        let pem = std::fs::read(authority.path(&format!("{name}.pem"))).unwrap();
        <rustls_pki_types::CertificateDer as rustls_pki_types::pem::PemObject>::from_pem_slice(&pem).unwrap()
    };
    let table = [
        ("default.example", "default"),
        ("exact.example", "exact"),
        ("EXACT.example", "exact"),
        ("any.wild.example", "wild"),
        ("special.wild.example", "exact"),
        ("a.b.wild.example", "default"),
        ("unknown.other", "default"),
    ];
    for (server_name, expected) in table {
        let seen = handshake(&config, &client(&authority, server_name)).unwrap();
        assert_eq!(seen.server_certificate(), der(expected).as_ref(), "{server_name}");
    }
    let unnamed = handshake(&config, &client(&authority, "wild.example"));
    assert!(
        matches!(unnamed, Err(rustls::Error::InvalidCertificate(_))),
        "a wildcard is one label"
    );
}

#[test]
fn alpn_follows_the_servers_preference() {
    let authority = Authority::new("root");
    authority.issue("server", &["server.example"]);
    let protocol = |more: &str, alpn: &[&str]| {
        let config = downstream(&authority.downstream(&["server"], more)).unwrap();
        let identity = upstream(&authority.upstream("server.example", None), alpn).unwrap();
        handshake(&config, &identity).map(|seen| {
            assert_eq!(seen.client.alpn_protocol(), seen.server.alpn_protocol());
            seen.client
                .alpn_protocol()
                .map(|name| String::from_utf8(name.to_vec()).unwrap())
        })
    };
    let offers_both = ", application_protocols: [h2, http/1.1]";
    assert_eq!(
        protocol(offers_both, &["http/1.1", "h2"]).unwrap().as_deref(),
        Some("h2")
    );
    assert_eq!(
        protocol(offers_both, &["http/1.1"]).unwrap().as_deref(),
        Some("http/1.1")
    );
    assert_eq!(protocol(offers_both, &[]).unwrap(), None);
    let only_http1 = ", application_protocols: [http/1.1]";
    assert!(matches!(
        protocol(only_http1, &["h2"]),
        Err(rustls::Error::NoApplicationProtocol)
    ));
}

#[test]
fn tls_1_3_is_spoken_and_1_2_understood() {
    let authority = Authority::new("root");
    authority.issue("server", &["server.example"]);
    let config = downstream(&authority.downstream(&["server"], "")).unwrap();
    let mut identity = client(&authority, "server.example");
    let seen = handshake(&config, &identity).unwrap();
    assert_eq!(seen.server.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    let pem = std::fs::read(authority.path("ca.pem")).unwrap();
    let roots = crate::RootSet::from_text(&pem).unwrap().store().clone();
    let old = rustls::ClientConfig::builder_with_provider(crate::provider())
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    identity.config = Arc::new(old);
    let seen = handshake(&config, &identity).unwrap();
    assert_eq!(seen.server.protocol_version(), Some(ProtocolVersion::TLSv1_2));
}

#[test]
fn a_client_certificate_is_required_where_the_model_says_so() {
    let (ours, foreign) = (Authority::new("ours"), Authority::new("foreign"));
    ours.issue("server", &["server.example"]);
    ours.issue("client", &["client.example"]);
    foreign.issue("client", &["client.example"]);
    let require = format!(", client: {{ca_file: {}}}", ours.path("ca.pem").display());
    let config = downstream(&ours.downstream(&["server"], &require)).unwrap();

    let with_ours = upstream(&ours.upstream("server.example", Some("client")), &[]).unwrap();
    let seen = handshake(&config, &with_ours).unwrap();
    assert_eq!(seen.server.peer_certificates().map(<[_]>::len), Some(1));

    let without = handshake(&config, &client(&ours, "server.example"));
    assert!(matches!(without, Err(rustls::Error::NoCertificatesPresented)));

    std::fs::copy(foreign.path("client.pem"), ours.path("stranger.pem")).unwrap();
    std::fs::copy(foreign.path("client.key"), ours.path("stranger.key")).unwrap();
    let stranger = upstream(&ours.upstream("server.example", Some("stranger")), &[]).unwrap();
    assert!(matches!(
        handshake(&config, &stranger),
        Err(rustls::Error::InvalidCertificate(_))
    ));
}

#[test]
fn an_endpoint_must_prove_its_name_to_a_root_that_is_trusted() {
    let (ours, foreign) = (Authority::new("ours"), Authority::new("foreign"));
    ours.issue("server", &["server.example", "192.0.2.7"]);
    let config = downstream(&ours.downstream(&["server"], "")).unwrap();
    assert!(handshake(&config, &client(&ours, "server.example")).is_ok());
    assert!(
        handshake(&config, &client(&ours, "192.0.2.7")).is_ok(),
        "an address, by its own SAN"
    );
    let refused = |identity: &UpstreamIdentity| {
        matches!(
            handshake(&config, identity),
            Err(rustls::Error::InvalidCertificate(_))
        )
    };
    assert!(refused(&client(&foreign, "server.example")), "a wrong authority");
    assert!(refused(&client(&ours, "other.example")), "a wrong name");
    assert!(refused(&client(&ours, "192.0.2.8")), "a wrong address");
}
