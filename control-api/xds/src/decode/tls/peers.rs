//! Names that a certificate must hold.

use super::messages::refuse_name_matcher;
use crate::decode::Refusals;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as tls;
use envoy_types::pb::envoy::r#type::matcher::v3::string_matcher::MatchPattern;
use outrigger_config::document::{Map, Path, Value};
use tls::subject_alt_name_matcher::SanType;

const SPIFFE: &str = "spiffe://";

/// One name, or kind of names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Peer {
    /// This SPIFFE id.
    Exact(String),
    /// This SPIFFE id, and those below it.
    Prefix(String),
    /// Every SPIFFE id of a trust domain.
    TrustDomain(String),
    /// This DNS name; `*.` and the rest: any that ends so.
    Dns(String),
    /// This address; it can be said of a server only.
    Address(String),
}

impl Peer {
    /// The trust domain, of a SPIFFE id.
    pub(super) fn trust_domain(&self) -> Option<&str> {
        match self {
            Peer::Exact(id) | Peer::Prefix(id) => id.strip_prefix(SPIFFE)?.split('/').next(),
            Peer::TrustDomain(domain) => Some(domain),
            Peer::Dns(_) | Peer::Address(_) => None,
        }
    }

    /// As an item of `peers`.
    pub(super) fn value(&self, refusals: &mut Refusals, path: &Path) -> Option<Value> {
        let (field, text) = match self {
            Peer::Exact(id) => ("spiffe_id", id),
            Peer::Prefix(id) => ("spiffe_prefix", id),
            Peer::TrustDomain(domain) => ("trust_domain", domain),
            Peer::Dns(name) => ("dns", name),
            Peer::Address(_) => {
                refusals.unsupported(path, "an address among the names of a peer");
                return None;
            }
        };
        Some(
            Map::new(path)
                .with(field, Value::text(path, text.as_str()))
                .into(),
        )
    }
}

/// How one matcher reads, before those that belong together are one.
enum Matched {
    Peer(Peer),
    /// Everything that begins with this, which ends with a slash.
    Below(String),
}

/// The names in a list of matchers. Envoy compares beginnings of texts, where ours are whole segments: a beginning has to
/// end with a slash, and what is below an id is read together with the id itself, which stands before it.
pub(super) fn read(
    refusals: &mut Refusals,
    path: &Path,
    matchers: &[tls::SubjectAltNameMatcher],
) -> Vec<(Path, Peer)> {
    let path = path.field("match_typed_subject_alt_names");
    let mut found = Vec::new();
    for (index, matcher) in matchers.iter().enumerate() {
        let at = path.index(index);
        found.extend(one(refusals, &at, matcher).map(|matched| (at, matched)));
    }
    let mut peers: Vec<(Path, Peer)> = Vec::new();
    for (at, matched) in found {
        let below = match matched {
            Matched::Peer(peer) => {
                peers.push((at, peer));
                continue;
            }
            Matched::Below(below) => below,
        };
        let whole = below.trim_end_matches('/');
        match peers.last_mut() {
            Some((_, before)) if *before == Peer::Exact(whole.to_owned()) => {
                *before = Peer::Prefix(whole.to_owned());
            }
            _ => match whole.strip_prefix(SPIFFE) {
                Some(domain) if !domain.contains('/') => {
                    peers.push((at, Peer::TrustDomain(domain.to_owned())));
                }
                _ => {
                    let what = format!("believing what is below `{whole}` and not the id itself");
                    refusals.fault_with_help(
                        &at,
                        format!("{what} is not implemented"),
                        "list the id exactly before it, or list the ids",
                    );
                }
            },
        }
    }
    peers
}

fn one(refusals: &mut Refusals, path: &Path, matcher: &tls::SubjectAltNameMatcher) -> Option<Matched> {
    refuse_name_matcher(refusals, path, matcher);
    let at = path.field("matcher");
    let pattern = matcher
        .matcher
        .as_ref()
        .and_then(|text| text.match_pattern.as_ref());
    let Some(pattern) = pattern else {
        refusals.fault(&at, "it does not say how the name is compared");
        return None;
    };
    let ignores_case = matcher.matcher.as_ref().is_some_and(|text| text.ignore_case);
    match (SanType::try_from(matcher.san_type), pattern) {
        (Ok(SanType::Uri), _) if ignores_case => {
            refusals.unsupported(&at.field("ignore_case"), "comparing SPIFFE ids without case");
            None
        }
        (Ok(SanType::Uri), MatchPattern::Exact(id)) => Some(Matched::Peer(Peer::Exact(id.clone()))),
        (Ok(SanType::Uri), MatchPattern::Prefix(id)) if id.ends_with('/') => Some(Matched::Below(id.clone())),
        (Ok(SanType::Uri), MatchPattern::Prefix(_)) => {
            let help = "end it with `/`";
            let message = "a beginning that ends within a segment is not implemented";
            refusals.fault_with_help(&at.field("prefix"), message, help);
            None
        }
        (Ok(SanType::Dns), MatchPattern::Exact(name)) => Some(Matched::Peer(Peer::Dns(name.clone()))),
        (Ok(SanType::Dns), MatchPattern::Suffix(end)) if end.starts_with('.') => {
            Some(Matched::Peer(Peer::Dns(format!("*{end}"))))
        }
        (Ok(SanType::IpAddress), MatchPattern::Exact(address)) => {
            Some(Matched::Peer(Peer::Address(address.clone())))
        }
        (Ok(SanType::Uri | SanType::Dns | SanType::IpAddress), _) => {
            refusals.unsupported(&at, "comparing such a name like this");
            None
        }
        _ => {
            refusals.unsupported(&path.field("san_type"), "a kind of name other than URI and DNS");
            None
        }
    }
}
