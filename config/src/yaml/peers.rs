//! Whom a peer must be, and who must have said so.

use super::Unique;
use super::reader::{Fields, Part, Reader};
use super::scalar;
use super::shapes::PEER;
use crate::model::{PeerMatch, Roots, ServerNameMatch, SpiffeMatch};

/// Names in one list at most: each is compared with every peer's.
pub(super) const PEERS_MAX: usize = 1000;

/// Who is believed, in the fields `ca_file`, `roots` and `trust_bundle`, of which exactly one is given.
pub(super) fn roots(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<Roots> {
    let file = fields.file(reader, "ca_file").map(Roots::File);
    let words = [("system", Roots::System), ("spiffe", Roots::Spiffe)];
    let word = fields
        .choice(reader, "roots", &[("system", 0), ("spiffe", 1)])
        .map(|index: usize| words[index].1.clone());
    let bundle = reader
        .reference(fields, "trust_bundle", Part::TrustBundle)
        .map(Roots::Bundle);
    file.or(word).or(bundle)
}

/// The names in the field `peers`.
pub(super) fn peers(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Vec<PeerMatch> {
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
            peers.push(peer);
        }
    }
    peers
}

/// Which SPIFFE ids, in the fields `spiffe_id`, `spiffe_prefix` and `trust_domain`.
pub(super) fn spiffe_match(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<SpiffeMatch> {
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
pub(super) fn bounded(reader: &mut Reader<'_>, fields: &Fields<'_>, name: &str, count: usize) {
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

pub(super) fn shown_spiffe(spiffe: &SpiffeMatch) -> String {
    match spiffe {
        SpiffeMatch::Exact(id) => id.to_string(),
        SpiffeMatch::Prefix(id) => format!("{id}/…"),
        SpiffeMatch::TrustDomain(domain) => format!("trust domain {domain}"),
    }
}
