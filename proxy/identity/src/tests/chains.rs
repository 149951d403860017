//! Clients' certificates, right and wrong, each with the answer that it gets.

use super::authority::{svid, uri};
use super::{Authority, downstream, handshake};
use crate::{CHAIN_CERTIFICATES_MAX, PeerFault};
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, KeyUsagePurpose,
    NameConstraints, SanType,
};
use rustls::ServerConfig;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

const API: &str = "spiffe://a.example/api";
const DAY: Duration = Duration::from_secs(86_400);

/// A server that asks clients as `client` says.
fn server(ours: &Authority, client: &str) -> Arc<ServerConfig> {
    ours.issue("server", &["server.example"]);
    downstream(&ours.downstream(&["server"], &format!(", client: {{ {client} }}"))).unwrap()
}

/// What becomes of a client that shows `NAME.pem`; the server's certificate is `ours`.
fn outcome(
    config: &Arc<ServerConfig>,
    ours: &Authority,
    theirs: &Authority,
    name: Option<&str>,
) -> Result<(), PeerFault> {
    let mut client = theirs.raw_client(name);
    let mut config_of = (*client.config).clone();
    let believing_ours = ours.raw_client(None);
    // Whom it believes is not what is asked here.
    config_of.dangerous().set_certificate_verifier(verifier_of(ours));
    client.config = Arc::new(config_of);
    client.server_name = believing_ours.server_name;
    match handshake(config, &client) {
        Ok(_) => Ok(()),
        Err(error) => Err(PeerFault::of(&error).unwrap_or_else(|| panic!("{error}"))),
    }
}

fn verifier_of(ours: &Authority) -> Arc<dyn rustls::client::danger::ServerCertVerifier> {
    let roots = crate::RootSet::from_text(ours.read("ca.pem").as_bytes()).unwrap();
    rustls::client::WebPkiServerVerifier::builder_with_provider(
        Arc::new(roots.store().clone()),
        crate::provider(),
    )
    .build()
    .unwrap()
}

/// What becomes of a certificate for the one peer that is accepted, changed like this.
fn changed(change: impl FnOnce(&mut CertificateParams)) -> Result<(), PeerFault> {
    let ours = Authority::new("root");
    let config = server(
        &ours,
        &format!("{}, peers: [{{ spiffe_id: {API} }}]", ours.ca_file()),
    );
    ours.issue_with("client", &[], |params| {
        svid(&[API])(params);
        change(params);
    });
    outcome(&config, &ours, &ours, Some("client"))
}

#[test]
fn every_fault_of_a_leaf_has_its_answer() {
    use PeerFault::*;
    type Change = fn(&mut CertificateParams);
    let table: [(&str, Change, Result<(), PeerFault>); 17] = [
        ("as it should be", |_| {}, Ok(())),
        ("without key usage", |params| params.key_usages.clear(), Ok(())),
        (
            "expired",
            |params| params.not_after = (SystemTime::now() - DAY).into(),
            Err(Expired),
        ),
        (
            "not yet valid",
            |params| params.not_before = (SystemTime::now() + DAY).into(),
            Err(NotYetValid),
        ),
        (
            "two ids",
            |params| params.subject_alt_names.push(uri("spiffe://a.example/other")),
            Err(SpiffeId),
        ),
        (
            "the same id twice",
            |params| params.subject_alt_names.push(uri(API)),
            Err(SpiffeId),
        ),
        (
            "another URI beside the id",
            |params| params.subject_alt_names.push(uri("https://a.example/")),
            Err(SpiffeId),
        ),
        (
            "a capital in the trust domain",
            |params| params.subject_alt_names = vec![uri("spiffe://A.example/api")],
            Err(SpiffeId),
        ),
        (
            "a scheme in capitals",
            |params| params.subject_alt_names = vec![uri("SPIFFE://a.example/api")],
            Err(SpiffeId),
        ),
        (
            "a path that climbs",
            |params| params.subject_alt_names = vec![uri("spiffe://a.example/x/../api")],
            Err(SpiffeId),
        ),
        (
            "a DNS name that looks like the id",
            |params| {
                params.subject_alt_names = vec![SanType::DnsName(API.try_into().unwrap())];
            },
            Err(NoSpiffeId),
        ),
        (
            "another URI only",
            |params| params.subject_alt_names = vec![uri("https://a.example/api")],
            Err(NoSpiffeId),
        ),
        (
            "another id of the trust domain",
            |params| params.subject_alt_names = vec![uri("spiffe://a.example/api/v2")],
            Err(NotAccepted),
        ),
        (
            "a key that may sign certificates",
            |params| params.key_usages.push(KeyUsagePurpose::KeyCertSign),
            Err(KeyUsage),
        ),
        (
            "a key that may not sign handshakes",
            |params| params.key_usages = vec![KeyUsagePurpose::KeyEncipherment],
            Err(KeyUsage),
        ),
        (
            "an authority as a leaf",
            |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained),
            Err(KeyUsage),
        ),
        (
            "a server's certificate",
            |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth],
            Err(Purpose),
        ),
    ];
    for (what, change, expected) in table {
        assert_eq!(changed(change), expected, "{what}");
    }
}

#[test]
fn a_client_shows_a_certificate_where_one_is_required() {
    let ours = Authority::new("root");
    ours.issue("client", &[]);
    let required = server(&ours, &ours.ca_file());
    assert_eq!(
        outcome(&required, &ours, &ours, None),
        Err(PeerFault::NoCertificate)
    );
    let optional = server(&ours, &format!("certificate: optional, {}", ours.ca_file()));
    assert_eq!(outcome(&optional, &ours, &ours, None), Ok(()));
    assert_eq!(outcome(&optional, &ours, &ours, Some("client")), Ok(()));
    let foreign = Authority::new("foreign");
    foreign.issue("client", &[]);
    assert_eq!(
        outcome(&optional, &ours, &foreign, Some("client")),
        Err(PeerFault::UnknownAuthority),
        "what is shown must hold"
    );
}

/// What becomes of a leaf under an authority that is changed like this.
fn below(
    change: impl FnOnce(&mut CertificateParams),
    leaf: impl FnOnce(&mut CertificateParams),
) -> Result<(), PeerFault> {
    let ours = Authority::new("root");
    let config = server(&ours, &ours.ca_file());
    let middle = ours.intermediate("middle", change);
    middle.issue_with("client", &[], leaf);
    outcome(&config, &ours, &middle, Some("client"))
}

#[test]
fn every_fault_of_an_authority_has_its_answer() {
    use PeerFault::*;
    let permits = |tree: GeneralSubtree| {
        move |params: &mut CertificateParams| {
            params.name_constraints = Some(NameConstraints {
                permitted_subtrees: vec![tree],
                excluded_subtrees: Vec::new(),
            });
        }
    };
    let named = |name: &str| {
        let name = SanType::DnsName(name.try_into().unwrap());
        move |params: &mut CertificateParams| params.subject_alt_names.push(name)
    };
    assert_eq!(below(|_| {}, |_| {}), Ok(()));
    let dns = || GeneralSubtree::DnsName("a.example".to_owned());
    assert_eq!(below(permits(dns()), named("x.a.example")), Ok(()));
    assert_eq!(below(permits(dns()), named("x.b.example")), Err(Constraint));
    assert_eq!(
        below(|params| params.is_ca = IsCa::NoCa, |_| {}),
        Err(UnknownAuthority),
        "a leaf that signs"
    );
    assert_eq!(
        below(
            |params| params.not_after = (SystemTime::now() - DAY).into(),
            |_| {}
        ),
        Err(Expired)
    );
    let ids = |authority: &'static str| {
        below(
            move |params| params.subject_alt_names.push(uri(authority)),
            svid(&[API]),
        )
    };
    assert_eq!(ids("spiffe://a.example"), Ok(()), "a trust domain's own id");
    assert_eq!(ids("spiffe://a.example/ca"), Err(SpiffeId));
}

#[test]
fn a_path_is_no_longer_than_its_authorities_allow() {
    let ours = Authority::new("root");
    let config = server(&ours, &ours.ca_file());
    let last = ours.intermediate("last", |params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    });
    last.issue("client", &[]);
    assert_eq!(outcome(&config, &ours, &last, Some("client")), Ok(()));
    let beyond = last.intermediate("beyond", |_| {});
    beyond.issue("client", &[]);
    assert_eq!(
        outcome(&config, &ours, &beyond, Some("client")),
        Err(PeerFault::Constraint)
    );
}

#[test]
fn an_oversized_chain_is_refused_unread() {
    let ours = Authority::new("root");
    let config = server(&ours, &ours.ca_file());
    ours.issue("client", &[]);
    let leaf = ours.read("client.pem");
    ours.write("client.pem", &leaf.repeat(CHAIN_CERTIFICATES_MAX));
    assert_eq!(outcome(&config, &ours, &ours, Some("client")), Ok(()));
    ours.write("client.pem", &leaf.repeat(CHAIN_CERTIFICATES_MAX + 1));
    assert_eq!(
        outcome(&config, &ours, &ours, Some("client")),
        Err(PeerFault::ChainTooLong)
    );
}

#[test]
fn a_forged_signature_is_seen() {
    let (ours, forger) = (Authority::new("root"), Authority::new("root"));
    let config = server(&ours, &ours.ca_file());
    forger.issue("client", &[]);
    assert_eq!(
        outcome(&config, &ours, &forger, Some("client")),
        Err(PeerFault::BadSignature),
        "an authority of the same name"
    );
}

/// A server that believes the bundles of two trust domains.
fn federated(a: &Authority, b: &Authority, client: &str) -> Arc<ServerConfig> {
    a.issue("server", &["server.example"]);
    let bundle = |name: &str, authority: &Authority| {
        format!(
            "- {{ name: {name}, trust_domain: {name}.example, file: {} }}\n",
            authority.path("ca.pem").display()
        )
    };
    let others = format!("trust_bundles:\n{}{}", bundle("a", a), bundle("b", b));
    let more = format!(", client: {{ {client} }}");
    downstream(&a.downstream_among(&["server"], &more, &others)).unwrap()
}

#[test]
fn an_authority_vouches_for_its_own_trust_domain_only() {
    let (a, b) = (Authority::new("a"), Authority::new("b"));
    for authority in [&a, &b] {
        authority.issue_svid("a", &["spiffe://a.example/api"]);
        authority.issue_svid("b", &["spiffe://b.example/api"]);
        authority.issue_svid("c", &["spiffe://c.example/api"]);
        authority.issue("none", &["client.example"]);
    }
    let by_spiffe = federated(&a, &b, "roots: spiffe");
    let by_name = federated(&a, &b, "trust_bundle: a");
    use PeerFault::*;
    let table = [
        (&a, "a", Ok(()), Ok(())),
        (&b, "b", Ok(()), Err(UnknownTrustDomain)),
        (&a, "b", Err(UnknownAuthority), Err(UnknownTrustDomain)),
        (&b, "a", Err(UnknownAuthority), Err(UnknownAuthority)),
        (&a, "c", Err(UnknownTrustDomain), Err(UnknownTrustDomain)),
        (&a, "none", Err(NoSpiffeId), Ok(())),
    ];
    for (index, (theirs, name, spiffe, named)) in table.into_iter().enumerate() {
        assert_eq!(outcome(&by_spiffe, &a, theirs, Some(name)), spiffe, "row {index}");
        assert_eq!(outcome(&by_name, &a, theirs, Some(name)), named, "row {index}");
    }
}

#[test]
fn peers_are_accepted_by_any_of_what_is_named() {
    let ours = Authority::new("root");
    ours.issue_svid("id", &["spiffe://a.example/ns/prod/api"]);
    ours.issue_svid("near", &["spiffe://a.example/ns/production/api"]);
    ours.issue_svid("domain", &["spiffe://b.example/x"]);
    ours.issue("exact", &["Exact.example"]);
    ours.issue("suffix", &["x.y.example"]);
    ours.issue("bare", &["y.example"]);
    ours.issue("wild", &["*.w.example"]);
    let config = server(
        &ours,
        &format!(
            "{}, peers: [{{ spiffe_prefix: spiffe://a.example/ns/prod }}, {{ trust_domain: b.example }}, \
             {{ dns: exact.example }}, {{ dns: \"*.y.example\" }}, {{ dns: q.w.example }}]",
            ours.ca_file()
        ),
    );
    for (name, accepted) in [
        ("id", true),
        ("near", false),
        ("domain", true),
        ("exact", true),
        ("suffix", true),
        ("bare", false),
        ("wild", true),
    ] {
        let expected = if accepted {
            Ok(())
        } else {
            Err(PeerFault::NotAccepted)
        };
        assert_eq!(outcome(&config, &ours, &ours, Some(name)), expected, "{name}");
    }
}
