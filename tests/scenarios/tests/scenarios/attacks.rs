//! Attacks on identity, each with its answer: certificates that must not be believed, sessions that must not be
//! resumed, handshakes that do not end.

mod clients;
mod handshakes;
mod resumption;
mod servers;

use outrigger_fixtures::Authority;
use outrigger_fixtures::authority::rcgen::{
    BasicConstraints, CertificateParams, GeneralSubtree, IsCa, NameConstraints,
};
use outrigger_fixtures::authority::{Issued, expired, not_yet_valid, uri};
use outrigger_harness::Document;

/// Who may come in, and who must be found upstream.
const PEER_ID: &str = "spiffe://example.org/peer";

/// What is wrong with a certificate, and how its refusal is counted.
struct Bad {
    what: &'static str,
    issued: Issued,
    reason: &'static str,
}

/// One certificate that is right, and every kind that is not. The DNS name is on all of them.
struct Gallery {
    authority: Authority,
    good: Issued,
    bad: Vec<Bad>,
    /// Their files.
    _others: Vec<Authority>,
}

const NAME: &str = "peer.example";

impl Gallery {
    fn new() -> Gallery {
        let authority = Authority::new("root");
        let (strangers, impostors) = (Authority::new("strangers"), Authority::new("root"));
        let no_authority = authority.intermediate("no-authority", |params| params.is_ca = IsCa::NoCa);
        let last = authority.intermediate("last", |params| {
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        });
        let beyond = last.intermediate("beyond", |_| {});
        let elsewhere = authority.intermediate("elsewhere", |params| {
            params.name_constraints = Some(NameConstraints {
                permitted_subtrees: vec![GeneralSubtree::DnsName("elsewhere.example".into())],
                excluded_subtrees: Vec::new(),
            });
        });
        let svid = |authority: &Authority, name: &str| {
            authority.issue_with(name, &[NAME], |params| {
                params.subject_alt_names.push(uri(PEER_ID))
            })
        };
        let good = svid(&authority, "good");
        let mut bad = Vec::new();
        let mut add = |what, issued, reason| bad.push(Bad { what, issued, reason });
        add(
            "another authority",
            svid(&strangers, "stranger"),
            "certificate_unknown_authority",
        );
        add(
            "another authority of the same name",
            svid(&impostors, "impostor"),
            "certificate_invalid",
        );
        let issue = |name: &str, edit: &dyn Fn(&mut CertificateParams)| {
            authority.issue_with(name, &[NAME], |params| {
                params.subject_alt_names.push(uri(PEER_ID));
                edit(params);
            })
        };
        add("expired", issue("expired", &expired), "certificate_expired");
        add(
            "not yet valid",
            issue("early", &not_yet_valid),
            "certificate_not_yet_valid",
        );
        let wrong = authority.issue_with("wrong", &[NAME], |params| {
            params.subject_alt_names.push(uri("spiffe://example.org/another"));
        });
        add("another SPIFFE id", wrong, "certificate_name");
        let longer = authority.issue_with("longer", &[NAME], |params| {
            params.subject_alt_names.push(uri("spiffe://example.org/peer-2"));
        });
        add("a SPIFFE id that begins alike", longer, "certificate_name");
        let two = issue("two", &|params| {
            params.subject_alt_names.push(uri("spiffe://example.org/b"))
        });
        add("two URI names", two, "certificate_name");
        let lookalike = authority.issue("lookalike", &[NAME, "example.org.peer"]);
        add("a DNS name that looks like the id", lookalike, "certificate_name");
        add(
            "issued by what is no authority",
            svid(&no_authority, "self-issued"),
            "certificate_unknown_authority",
        );
        add(
            "below an authority that may have none below",
            svid(&beyond, "beyond"),
            "certificate_invalid",
        );
        add(
            "outside its authority's names",
            svid(&elsewhere, "outside"),
            "certificate_invalid",
        );
        Gallery {
            good,
            bad,
            _others: vec![strangers, impostors, no_authority, last, beyond, elsewhere],
            authority,
        }
    }

    fn root(&self) -> String {
        self.authority.root().display().to_string()
    }
}

/// A listener that takes the one peer, in front of an answer of its own.
fn guarded(gallery: &Gallery, server: &Issued, more: &str) -> Document {
    Document::to(&[])
        .routes("{ match: { prefix: / }, direct_response: { status: 200, body: ok } }")
        .chain(&format!(
            "tls: {{ certificates: [{}], client: {{ ca_file: {}, peers: [{{ spiffe_id: '{PEER_ID}' }}] }}{more} }}",
            server.yaml(),
            gallery.root()
        ))
}
