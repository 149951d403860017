//! Sessions are resumed under what they were made under, and under nothing else.

use super::{Authority, downstream, handshake, material, upstream};
use crate::{Basis, Material, UpstreamIdentity};
use outrigger_config::MeshConfig;
use rustls::{HandshakeKind, ProtocolVersion, ServerConfig};
use std::sync::Arc;

fn kind(config: &Arc<ServerConfig>, client: &UpstreamIdentity) -> HandshakeKind {
    let seen = handshake(config, client).unwrap();
    seen.server.handshake_kind().unwrap()
}

fn basis(config: &MeshConfig, material: &Material) -> Basis {
    let tls = config.listeners()[0].filter_chains()[0].tls().as_ref().unwrap();
    Basis::of_downstream(tls, material)
}

#[test]
fn sessions_resume_within_a_configuration_and_never_across_two() {
    let authority = Authority::new("root");
    authority.issue("server", &["server.example"]);
    authority.issue("client", &[]);
    for versions in ["", ", maximum_version: TLSv1.2"] {
        let require = format!(", client: {{ {} }}{versions}", authority.ca_file());
        let document = authority.downstream(&["server"], &require);
        // As two listeners with the same settings and material are.
        let (config, other) = (downstream(&document).unwrap(), downstream(&document).unwrap());
        let identity = || upstream(&authority.upstream("server.example", Some("client")), &[]).unwrap();
        let client = identity();
        assert_eq!(kind(&config, &client), HandshakeKind::Full);
        assert_eq!(kind(&config, &client), HandshakeKind::Resumed);
        let resumed = handshake(&config, &client).unwrap();
        assert!(
            resumed.server.peer_certificates().is_some(),
            "who it is goes along"
        );
        assert_eq!(kind(&other, &client), HandshakeKind::Full);
        assert_eq!(
            kind(&config, &identity()),
            HandshakeKind::Full,
            "clusters share no sessions"
        );
    }
}

#[test]
fn what_a_configuration_is_made_of_says_whether_it_is_as_good_as_new() {
    let authority = Authority::new("root");
    authority.issue("server", &["server.example"]);
    authority.write("list.pem", &authority.list(&[7], 3600));
    let others = |denied: &str| {
        format!(
            "revocation: {{ lists: [{{ file: {} }}], denied: [{denied}] }}\n",
            authority.path("list.pem").display()
        )
    };
    let require = format!(", client: {{ {} }}", authority.ca_file());
    let document = authority.downstream_among(&["server"], &require, &others(""));
    let plain = authority.downstream_among(&["server"], "", &others(""));
    let mut before = material(&document).unwrap();
    let changes = |before: &mut Material, document: &MeshConfig| {
        let loaded = Material::load(document, Some(before));
        assert!(loaded.faults.is_empty());
        let old = std::mem::replace(before, loaded.material);
        (
            basis(document, &old) != basis(document, before),
            basis(&plain, &old) != basis(&plain, before),
        )
    };
    assert_eq!(changes(&mut before, &document), (false, false), "nothing changed");
    authority.write("list.pem", &authority.list(&[7, 8], 3600));
    assert_eq!(changes(&mut before, &document), (true, false), "a list changed");
    let foreign = Authority::new("foreign");
    authority.write("ca.pem", &(authority.issuer.pem() + &foreign.issuer.pem()));
    assert_eq!(
        changes(&mut before, &document),
        (true, false),
        "the authorities changed"
    );
    authority.issue("server", &["server.example"]);
    assert_eq!(
        changes(&mut before, &document),
        (true, true),
        "our certificate changed"
    );
    let denying = others("{ spiffe_id: spiffe://a.example/api }");
    let denying = authority.downstream_among(&["server"], &require, &denying);
    assert_eq!(changes(&mut before, &denying), (true, false), "an id was denied");
    assert_eq!(changes(&mut before, &denying), (false, false), "and stays so");
}

#[test]
fn without_resumption_every_handshake_is_full() {
    let authority = Authority::new("root");
    authority.issue("server", &["server.example"]);
    for (server, client) in [("false", "true"), ("true", "false")] {
        for version in ["TLSv1.2", "TLSv1.3"] {
            let more = format!(", session_resumption: {server}, maximum_version: {version}");
            let config = downstream(&authority.downstream(&["server"], &more)).unwrap();
            let tls = format!(
                "{}, server_name: server.example, session_resumption: {client}",
                authority.ca_file()
            );
            let client = upstream(&super::upstream_document(&tls, ""), &[]).unwrap();
            for _ in 0..3 {
                let seen = handshake(&config, &client).unwrap();
                assert_eq!(seen.server.handshake_kind(), Some(HandshakeKind::Full));
                let is_old = seen.server.protocol_version() == Some(ProtocolVersion::TLSv1_2);
                assert_eq!(is_old, version == "TLSv1.2");
            }
        }
    }
}
