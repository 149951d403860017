//! Servers' certificates, right and wrong, each with the answer that it gets.

use super::{Authority, handshake, upstream, upstream_document};
use crate::PeerFault;
use rcgen::ExtendedKeyUsagePurpose;
use std::time::{Duration, SystemTime};

/// What becomes of a server that shows `NAME.pem`, for a client with this `tls`.
fn outcome(theirs: &Authority, name: &str, tls: &str, others: &str) -> Result<(), PeerFault> {
    let client = upstream(&upstream_document(tls, others), &[]).unwrap();
    match handshake(&theirs.raw_server(name), &client) {
        Ok(_) => Ok(()),
        Err(error) => Err(PeerFault::of(&error).unwrap_or_else(|| panic!("{error}"))),
    }
}

#[test]
fn a_server_must_be_whom_the_settings_name() {
    use PeerFault::*;
    let (ours, foreign) = (Authority::new("ours"), Authority::new("foreign"));
    foreign.issue("named", &["server.example"]);
    ours.issue("named", &["server.example"]);
    ours.issue("other", &["other.example"]);
    ours.issue_svid("id", &["spiffe://a.example/api"]);
    ours.issue_svid("two", &["spiffe://a.example/api", "spiffe://a.example/b"]);
    ours.issue_with("old", &["server.example"], |params| {
        params.not_after = (SystemTime::now() - Duration::from_secs(86_400)).into();
    });
    ours.issue_with("client", &["server.example"], |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    });
    let named = format!("{}, server_name: server.example", ours.ca_file());
    let by_id = format!(
        "{}, peers: [{{ spiffe_id: spiffe://a.example/api }}]",
        ours.ca_file()
    );
    let both = format!("{by_id}, server_name: server.example");
    let table = [
        (&ours, "named", &named, Ok(())),
        (&ours, "other", &named, Err(NameMismatch)),
        (&foreign, "named", &named, Err(UnknownAuthority)),
        (&ours, "old", &named, Err(Expired)),
        (&ours, "client", &named, Err(Purpose)),
        (&ours, "id", &named, Err(NameMismatch)),
        (&ours, "id", &by_id, Ok(())),
        (&ours, "id", &both, Ok(())),
        (&ours, "two", &by_id, Err(SpiffeId)),
        (&ours, "named", &by_id, Err(NoSpiffeId)),
        (&ours, "named", &both, Err(NoSpiffeId)),
    ];
    for (theirs, name, tls, expected) in table {
        assert_eq!(outcome(theirs, name, tls, ""), expected, "{name}: {tls}");
    }
    let denied = "revocation: { denied: [{ spiffe_id: spiffe://a.example/api }] }\n";
    assert_eq!(outcome(&ours, "id", &by_id, denied), Err(Denied));
}

#[test]
fn no_name_is_sent_where_there_is_none() {
    let ours = Authority::new("ours");
    ours.issue_svid("id", &["spiffe://a.example/api"]);
    let sent = |more: &str| {
        let tls = format!("{}, peers: [{{ trust_domain: a.example }}]{more}", ours.ca_file());
        let client = upstream(&upstream_document(&tls, ""), &[]).unwrap();
        let seen = handshake(&ours.raw_server("id"), &client).unwrap();
        seen.server.server_name().map(str::to_owned)
    };
    assert_eq!(sent(""), None);
    assert_eq!(sent(", server_name: a.example").as_deref(), Some("a.example"));
    assert_eq!(
        sent(", server_name: 192.0.2.1"),
        None,
        "an address is no server name"
    );
}

#[test]
fn an_identity_that_is_not_there_yet_connects_to_nobody() {
    let ours = Authority::new("ours");
    ours.issue("named", &["server.example"]);
    let identity = "identities:\n- name: us\n  workload_api: { socket: /run/spire/agent.sock }\n";
    let tls = format!(
        "{}, server_name: server.example, certificate: {{ identity: us }}",
        ours.ca_file()
    );
    assert_eq!(
        outcome(&ours, "named", &tls, identity),
        Err(PeerFault::NoIdentity),
        "and not without a certificate"
    );
    let bundle =
        format!("{identity}trust_bundles:\n- {{ name: mesh, trust_domain: a.example, identity: us }}\n");
    let tls = "trust_bundle: mesh, server_name: server.example";
    assert_eq!(outcome(&ours, "named", tls, &bundle), Err(PeerFault::NoIdentity));
}

#[test]
fn the_systems_authorities_know_nobody_of_ours() {
    let ours = Authority::new("ours");
    ours.issue("named", &["server.example"]);
    let document = upstream_document("roots: system, server_name: server.example", "");
    // A machine may have none, which is a fault of its own.
    match super::material(&document) {
        Ok(_) => assert_eq!(
            outcome(&ours, "named", "roots: system, server_name: server.example", ""),
            Err(PeerFault::UnknownAuthority)
        ),
        Err(fault) => assert!(fault.contains("operating system has no root"), "{fault}"),
    }
}
