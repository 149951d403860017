//! Lists and denied ids, at handshakes and for connections that are open.

use super::{Authority, downstream, handshake, material};
use crate::{Material, PeerFault, PeerIdentity, RevocationReason};
use rcgen::SerialNumber;
use rustls::ServerConfig;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use std::sync::Arc;
use std::time::SystemTime;

const ROOT_LIST_SERIAL: u64 = 100;

/// A root, an authority below it with serial number 100, and a client's SVID with serial number 7.
struct Chain {
    root: Authority,
    middle: Authority,
}

impl Chain {
    fn new() -> Chain {
        let root = Authority::new("root");
        root.issue("server", &["server.example"]);
        let middle = root.intermediate("middle", |params| {
            params.serial_number = Some(SerialNumber::from(ROOT_LIST_SERIAL));
        });
        middle.issue_with("client", &[], |params| {
            super::authority::svid(&["spiffe://a.example/api"])(params);
            params.serial_number = Some(SerialNumber::from(7_u64));
        });
        Chain { root, middle }
    }

    /// The server side and its material with this `revocation`.
    fn server(&self, revocation: &str) -> (Arc<ServerConfig>, Material) {
        let others = format!("revocation: {{ {revocation} }}\n");
        let require = format!(", client: {{ {} }}", self.root.ca_file());
        let document = self.root.downstream_among(&["server"], &require, &others);
        (downstream(&document).unwrap(), material(&document).unwrap())
    }

    /// A `lists` of these texts.
    fn lists(&self, texts: &[&str]) -> String {
        let file = |(index, text): (usize, &&str)| {
            let file = format!("list{index}.pem");
            self.root.write(&file, text);
            format!("{{ file: {} }}", self.root.path(&file).display())
        };
        let files: Vec<String> = texts.iter().enumerate().map(file).collect();
        format!("lists: [{}]", files.join(", "))
    }

    fn shown(&self) -> Vec<CertificateDer<'static>> {
        let chain = self.middle.read("client.pem");
        let chain = CertificateDer::pem_slice_iter(chain.as_bytes());
        chain.collect::<Result<_, _>>().unwrap()
    }

    /// What a new handshake gets, and what an open connection does.
    fn answers(&self, revocation: &str) -> (Result<(), PeerFault>, Option<RevocationReason>) {
        let (config, material) = self.server(revocation);
        let mut client = self.middle.raw_client(Some("client"));
        // The client believes the root that signed the server's certificate.
        let mut believing = (*client.config).clone();
        let roots = crate::RootSet::from_text(self.root.read("ca.pem").as_bytes()).unwrap();
        let verifier = rustls::client::WebPkiServerVerifier::builder_with_provider(
            Arc::new(roots.store().clone()),
            crate::provider(),
        );
        believing
            .dangerous()
            .set_certificate_verifier(verifier.build().unwrap());
        client.config = Arc::new(believing);
        let handshake = match handshake(&config, &client) {
            Ok(_) => Ok(()),
            Err(error) => Err(PeerFault::of(&error).unwrap()),
        };
        let peer = PeerIdentity::of(&self.shown()).unwrap();
        let open = material.revocations().refuses(&peer, SystemTime::now());
        (handshake, open)
    }
}

#[test]
fn handshakes_and_open_connections_get_the_same_answer() {
    use RevocationReason::*;
    let chain = Chain::new();
    let (root, middle) = (&chain.root, &chain.middle);
    let (none, leaf) = (middle.list(&[], 3600), middle.list(&[6, 7], 3600));
    let other = root.list(&[7], 3600);
    let authority = root.list(&[ROOT_LIST_SERIAL], 3600);
    let root_none = root.list(&[], 3600);
    let outdated = middle.list(&[], -3600);
    let lists = |texts: &[&str], more: &str| chain.answers(&format!("{}{more}", chain.lists(texts)));
    let accepted = (Ok(()), None);
    let table = [
        ("nothing", chain.answers("lists: []"), accepted),
        ("it is not on its list", lists(&[&none], ""), accepted),
        ("it is", lists(&[&none, &root_none], ""), accepted),
        (
            "another authority lists its number",
            lists(&[&other, &none], ""),
            accepted,
        ),
        (
            "it is listed",
            lists(&[&leaf], ""),
            (Err(PeerFault::Revoked), Some(Listed)),
        ),
        (
            "its authority is listed",
            lists(&[&authority, &none], ""),
            (Err(PeerFault::Revoked), Some(Listed)),
        ),
        (
            "a list is required, and there is none",
            chain.answers("list_required: true"),
            (Err(PeerFault::RevocationUnknown), Some(NoList)),
        ),
        (
            "lists are required, and the authority's is missing",
            lists(&[&none], ", list_required: true"),
            (Err(PeerFault::RevocationUnknown), Some(NoList)),
        ),
        (
            "lists are required, and are there",
            lists(&[&none, &root_none], ", list_required: true"),
            accepted,
        ),
        ("outdated, and allowed", lists(&[&outdated], ""), accepted),
        (
            "outdated, and not allowed",
            lists(&[&outdated], ", outdated_allowed: false"),
            (Err(PeerFault::RevocationListOutdated), Some(ListOutdated)),
        ),
        (
            "the second list under its issuer's name lists it",
            lists(&[&none, &leaf], ""),
            (Err(PeerFault::Revoked), Some(Listed)),
        ),
        (
            "its authority is listed in the second of two",
            lists(&[&none, &root_none, &authority], ""),
            (Err(PeerFault::Revoked), Some(Listed)),
        ),
        (
            "an outdated list before a fresh one, and not allowed",
            lists(&[&outdated, &none], ", outdated_allowed: false"),
            accepted,
        ),
        (
            "its id is denied",
            chain.answers("denied: [{ spiffe_id: spiffe://a.example/api }]"),
            (Err(PeerFault::Denied), Some(Denied)),
        ),
        (
            "its trust domain is denied",
            chain.answers("denied: [{ trust_domain: a.example }]"),
            (Err(PeerFault::Denied), Some(Denied)),
        ),
        (
            "others are denied",
            chain.answers("denied: [{ spiffe_prefix: spiffe://a.example/ap }]"),
            accepted,
        ),
    ];
    for (what, answers, expected) in table {
        assert_eq!(answers, expected, "{what}");
    }
}

#[test]
fn a_decoy_beside_the_authority_hides_nothing() {
    let chain = Chain::new();
    let list = chain.root.list(&[ROOT_LIST_SERIAL], 3600);
    let (_, material) = chain.server(&chain.lists(&[&list]));
    let mut shown = chain.shown();
    let decoy = Authority::new("elsewhere").intermediate("middle", |params| {
        params.serial_number = Some(SerialNumber::from(5_u64));
    });
    shown.insert(1, decoy.issuer.der().clone());
    let peer = PeerIdentity::of(&shown).unwrap();
    let reason = material.revocations().refuses(&peer, SystemTime::now());
    assert_eq!(reason, Some(RevocationReason::Listed));
}

#[test]
fn a_list_is_in_der_too_and_says_what_it_is() {
    let chain = Chain::new();
    let pem = chain.middle.list(&[7], 3600);
    let der = rustls_pki_types::CertificateRevocationListDer::from_pem_slice(pem.as_bytes()).unwrap();
    std::fs::write(chain.root.path("list.der"), &der).unwrap();
    let file = chain.root.path("list.der");
    let lists = format!("lists: [{{ file: {} }}]", file.display());
    assert_eq!(chain.answers(&lists).0, Err(PeerFault::Revoked));
    let (_, material) = chain.server(&lists);
    let facts: Vec<_> = material.revocations().facts().collect();
    assert_eq!((facts.len(), facts[0].revoked), (1, 1));
    assert_eq!(facts[0].file.as_ref(), Some(&file));
    assert!(facts[0].issuer.contains("middle"), "{}", facts[0].issuer);
}

#[test]
fn a_list_that_is_none_is_reported_with_its_position() {
    let chain = Chain::new();
    for (contents, problem) in [
        ("nothing", "holds no certificate revocation list"),
        (
            "-----BEGIN X509 CRL-----\naGVsbG8=\n-----END X509 CRL-----\n",
            "certificate revocation list 1 in",
        ),
    ] {
        let lists = chain.lists(&[contents]);
        let document = chain
            .root
            .downstream_among(&["server"], "", &format!("revocation: {{ {lists} }}\n"));
        let fault = material(&document).unwrap_err();
        assert!(
            fault.starts_with("outrigger.yaml:1:") && fault.contains(problem),
            "{fault}"
        );
    }
}
