//! TLS of both sides.

use super::super::{valid, with_chain, with_cluster};
use crate::model::{
    DownstreamTls, PeerMatch, PostQuantum, Roots, ServerNameMatch, SpiffeMatch, TlsMode, TlsVersions,
    UpstreamTls,
};

const BUNDLES: &str = "trust_bundles: [{name: mesh, trust_domain: a, file: ca.pem}]\n";

fn downstream(fields: &str) -> DownstreamTls {
    let text = with_chain(&format!(
        "{{tls: {{certificates: [{{certificate_file: c, private_key_file: k, ocsp_staple_file: o}}], {fields}}}, http: \
         {{route_configuration: r}}}}"
    ));
    valid(&format!("{text}{BUNDLES}")).config.listeners()[0].filter_chains()[0]
        .tls()
        .clone()
        .unwrap()
}

fn upstream(fields: &str) -> UpstreamTls {
    let text = with_cluster(&format!("{{name: a, tls: {{{fields}}}}}"));
    valid(&format!("{text}{BUNDLES}")).config.clusters()[0]
        .tls()
        .clone()
        .unwrap()
}

#[test]
fn termination_is_strict_and_asks_for_nothing_unless_told() {
    let plain = downstream("");
    assert_eq!(plain.mode(), TlsMode::Strict);
    assert_eq!(plain.client(), &None);
    assert_eq!(plain.versions(), TlsVersions::From12);
    assert_eq!(plain.post_quantum(), PostQuantum::Preferred);
    assert!(plain.session_resumption());
    let staple = plain.certificates()[0].files().unwrap().ocsp_staple_file();
    assert_eq!(staple.as_deref(), Some(std::path::Path::new("o")));
    let other = downstream(
        "mode: permissive, session_resumption: false, minimum_version: TLSv1.3, post_quantum: required",
    );
    assert_eq!(
        (other.mode(), other.versions()),
        (TlsMode::Permissive, TlsVersions::Only13)
    );
    assert_eq!(other.post_quantum(), PostQuantum::Required);
    assert!(!other.session_resumption());
    assert_eq!(
        downstream("maximum_version: TLSv1.2").versions(),
        TlsVersions::Only12
    );
}

#[test]
fn clients_are_asked_for_what_is_said() {
    let client = |fields: &str| {
        downstream(&format!("client: {{{fields}}}"))
            .client()
            .clone()
            .unwrap()
    };
    let by_file = client("ca_file: ca.pem");
    assert!(by_file.required());
    assert_eq!(by_file.validation().roots(), &Roots::File("ca.pem".into()));
    assert!(by_file.validation().peers().is_empty());
    let named = client(
        "certificate: optional, roots: spiffe, peers: [{spiffe_id: 'spiffe://a/b'}, {spiffe_prefix: 'spiffe://a'}, \
         {trust_domain: a.b}, {dns: A.example}, {dns: '*.b.example'}]",
    );
    assert!(!named.required());
    assert_eq!(named.validation().roots(), &Roots::Spiffe);
    assert_eq!(
        named.validation().peers(),
        &[
            PeerMatch::Spiffe(SpiffeMatch::Exact("spiffe://a/b".parse().unwrap())),
            PeerMatch::Spiffe(SpiffeMatch::Prefix("spiffe://a".parse().unwrap())),
            PeerMatch::Spiffe(SpiffeMatch::TrustDomain("a.b".parse().unwrap())),
            PeerMatch::Dns(ServerNameMatch::Exact("a.example".into())),
            PeerMatch::Dns(ServerNameMatch::Suffix(".b.example".into())),
        ]
    );
}

#[test]
fn servers_are_known_by_name_or_by_identity() {
    let named = upstream("roots: system, server_name: a.example");
    assert_eq!(named.validation().roots(), &Roots::System);
    assert_eq!(named.server_name().as_deref(), Some("a.example"));
    assert!(named.session_resumption());
    let known = upstream("roots: spiffe, peers: [{trust_domain: a}], session_resumption: false");
    assert_eq!(known.server_name(), &None);
    assert_eq!(known.validation().peers().len(), 1);
    assert!(!known.session_resumption());
}
