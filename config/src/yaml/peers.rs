//! Whom a peer must be, and who must have said so.

use super::Unique;
use super::reader::{Fields, Part, Reader};
use super::scalar;
use super::shapes::{PEER, SPIFFE_MATCH};
use crate::diagnostic::Span;
use crate::model::{PeerMatch, Roots, ServerNameMatch, SpiffeMatch};
use crate::receipt::Code;

/// Names in one list at most: each is compared with every peer's.
const PEERS_MAX: usize = 10_000;

/// Who is believed, in the fields `ca_file`, `roots` and `trust_bundle`, of which exactly one is given.
pub(super) fn roots(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<Roots> {
    let system = fields.choice(reader, "roots", &[("system", true), ("spiffe", false)]);
    if system == Some(false) && !reader.speaks_for_a_trust_domain(fields.span_of("roots")) {
        reader.fault_with_help(
            fields.span_of("roots"),
            "`roots: spiffe`, and no trust bundle speaks for a trust domain",
            "declare it: `trust_bundles: [{name: mesh, trust_domain: example.org, file: …}]`",
        );
    }
    let word = system.map(|system| if system { Roots::System } else { Roots::Spiffe });
    named_roots(reader, fields, word)
}

/// As [`roots`], for who is no workload of ours.
pub(super) fn roots_without_spiffe(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<Roots> {
    let word = fields
        .choice(reader, "roots", &[("system", ())])
        .map(|()| Roots::System);
    named_roots(reader, fields, word)
}

fn named_roots(reader: &mut Reader<'_>, fields: &Fields<'_>, word: Option<Roots>) -> Option<Roots> {
    let file = fields.file(reader, "ca_file").map(Roots::File);
    let bundle = reader
        .reference(fields, "trust_bundle", Part::TrustBundle)
        .map(Roots::Bundle);
    file.or(word).or(bundle)
}

/// The names in the field `peers`.
pub(super) fn peers(reader: &mut Reader<'_>, fields: &Fields<'_>, roots: Option<&Roots>) -> Vec<PeerMatch> {
    let nodes = fields.list(reader, "peers");
    bounded(reader, fields, "peers", nodes.len());
    let mut seen = Unique::new("peer");
    let mut peers = Vec::new();
    for node in nodes.iter().take(PEERS_MAX) {
        let Some(fields) = reader.fields(node, &PEER) else {
            continue;
        };
        let spiffe = spiffe_match(reader, &fields).map(PeerMatch::Spiffe);
        let dns = fields
            .parsed(reader, "dns", scalar::dns_name_match)
            .map(PeerMatch::Dns);
        if let Some(peer) = spiffe.or(dns) {
            seen.insert(reader, shown(&peer), node.span);
            match (&peer, roots) {
                (PeerMatch::Spiffe(spiffe), Some(Roots::Spiffe)) => {
                    warn_of_strangers(reader, node.span, spiffe);
                }
                (PeerMatch::Dns(_), Some(Roots::Spiffe)) => {
                    refuse_name_across_domains(reader, fields.span_of("dns"));
                }
                _ => {}
            }
            peers.push(peer);
        }
    }
    peers
}

/// Refuses a peer that is known by a DNS name alone where several trust domains are believed: every one of their
/// authorities could vouch for the name, which is of no trust domain.
pub(super) fn refuse_name_across_domains(reader: &mut Reader<'_>, span: Span) {
    if reader.is_federated(span) {
        reader.fault_with_help(
            span,
            "a DNS name with `roots: spiffe`, and trust bundles of more than one trust domain: each could vouch for it",
            "say who it is by `spiffe_id` or `trust_domain`, or believe one bundle by `trust_bundle`",
        );
    }
}

/// Warns of peers whose certificates nobody vouches for.
fn warn_of_strangers(reader: &mut Reader<'_>, span: Span, spiffe: &SpiffeMatch) {
    let domain = match spiffe {
        SpiffeMatch::Exact(id) | SpiffeMatch::Prefix(id) => id.trust_domain(),
        SpiffeMatch::TrustDomain(domain) => domain.as_str(),
    };
    if !reader.speaks_for(domain) {
        let message =
            format!("no certificate of this peer is believed: no trust bundle speaks for `{domain}`");
        reader.warn(
            Code::PeerNeverBelieved,
            span,
            message,
            format!("declare one with `trust_domain: {domain}`"),
        );
    }
}

/// The SPIFFE ids in the list `name`.
pub(super) fn spiffe_matches(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    name: &str,
    what: &'static str,
) -> Vec<SpiffeMatch> {
    let nodes = fields.list(reader, name);
    bounded(reader, fields, name, nodes.len());
    let mut seen = Unique::new(what);
    let mut matches = Vec::new();
    for node in nodes.iter().take(PEERS_MAX) {
        let Some(fields) = reader.fields(node, &SPIFFE_MATCH) else {
            continue;
        };
        if let Some(spiffe) = spiffe_match(reader, &fields) {
            seen.insert(reader, shown_spiffe(&spiffe), node.span);
            matches.push(spiffe);
        }
    }
    matches
}

/// Which SPIFFE ids, in the fields `spiffe_id`, `spiffe_prefix` and `trust_domain`.
fn spiffe_match(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<SpiffeMatch> {
    let exact = fields
        .parsed(reader, "spiffe_id", scalar::workload_id)
        .map(SpiffeMatch::Exact);
    let prefix = fields
        .parsed(reader, "spiffe_prefix", scalar::spiffe_id)
        .map(SpiffeMatch::Prefix);
    let domain = fields
        .parsed(reader, "trust_domain", scalar::trust_domain)
        .map(SpiffeMatch::TrustDomain);
    exact.or(prefix).or(domain)
}

/// Refuses a list of more than [`PEERS_MAX`].
fn bounded(reader: &mut Reader<'_>, fields: &Fields<'_>, name: &str, count: usize) {
    if count > PEERS_MAX {
        let message = format!("`{name}` has {count} items; at most {PEERS_MAX} are allowed");
        reader.fault(fields.span_of(name), message);
    }
}

fn shown(peer: &PeerMatch) -> String {
    match peer {
        PeerMatch::Spiffe(spiffe) => shown_spiffe(spiffe),
        PeerMatch::Dns(ServerNameMatch::Exact(name)) => name.clone(),
        PeerMatch::Dns(ServerNameMatch::Suffix(suffix)) => format!("*{suffix}"),
    }
}

fn shown_spiffe(spiffe: &SpiffeMatch) -> String {
    match spiffe {
        SpiffeMatch::Exact(id) => id.to_string(),
        SpiffeMatch::Prefix(id) => format!("{id}/…"),
        SpiffeMatch::TrustDomain(domain) => format!("trust domain {domain}"),
    }
}
