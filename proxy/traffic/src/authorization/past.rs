//! How policies stand to a request that is over, by what was kept of it. It never decides anything.
//!
//! What was not kept is unknown, and so is what depends on it: header values, queries, tokens, certificates but for the SPIFFE
//! id, and where the connection was meant for.

use super::condition::{Node, Scope};
use super::explanation::{PolicyExplanation, explain_by};
use super::facts::{Claims, Facts, PeerFacts, RequestFacts};
use super::reading::Question;
use super::{PolicyPlace, Truth};
use outrigger_config::model::{AuthorizationPolicy, Condition, SpiffeId};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// What was kept of a request and its connection; none where it was not, or not whole.
#[derive(Debug, Clone, Copy, Default)]
pub struct PastFacts<'f> {
    /// The method.
    pub method: Option<&'f str>,
    /// The authority, before any rewrite.
    pub authority: Option<&'f str>,
    /// The path without the query, before any rewrite.
    pub path: Option<&'f str>,
    /// The peer's verified SPIFFE id; `Some(None)`: it has none.
    pub identity: Option<Option<&'f SpiffeId>>,
    /// The client.
    pub remote: Option<IpAddr>,
    /// The connection's peer.
    pub direct: Option<IpAddr>,
}

/// How each of these policies, the lists of each level, stands to what was kept, in order.
pub fn explain_past(levels: &[Vec<&AuthorizationPolicy>], past: &PastFacts<'_>) -> Vec<PolicyExplanation> {
    let peer = past.identity.flatten().map(Peer);
    let facts = Facts {
        peer: peer.as_ref().map(|peer| peer as &dyn PeerFacts),
        remote: past.remote,
        // Who asks for what is not kept is not asked ([`is_kept`]).
        direct: past.direct.unwrap_or(NOWHERE.ip()),
        destination: NOWHERE,
        server_name: None,
        request: Some(past),
    };
    let question = Question::new(&facts);
    let policies = levels.iter().enumerate().flat_map(|(level, policies)| {
        let policies = policies.iter().enumerate();
        policies.map(move |(policy, model)| (PolicyPlace { level, policy }, *model))
    });
    explain_by(policies, &|condition| truth(condition, past, &question))
}

const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

fn truth(condition: &Condition, past: &PastFacts<'_>, question: &Question<'_>) -> Truth {
    match condition {
        Condition::All(parts) => parts.iter().fold(Truth::True, |truth, part| {
            truth.and(self::truth(part, past, question))
        }),
        Condition::AnyOf(parts) => parts.iter().fold(Truth::False, |truth, part| {
            truth.or(self::truth(part, past, question))
        }),
        Condition::Not(part) => !truth(part, past, question),
        one if is_kept(one, past) => Node::compile(one, Scope::Request).truth(question),
        _ => Truth::Unknown,
    }
}

/// Whether what a condition asks for was kept.
fn is_kept(condition: &Condition, past: &PastFacts<'_>) -> bool {
    match condition {
        Condition::Always | Condition::RemoteAddress(_) => true,
        Condition::Identity(_) => past.identity.is_some(),
        // Of a certificate without a SPIFFE id nothing is kept.
        Condition::Authenticated => past.identity.flatten().is_some(),
        Condition::DirectAddress(_) => past.direct.is_some(),
        Condition::Method(_) => past.method.is_some(),
        Condition::Path(_) => past.path.is_some(),
        Condition::Host(_) => past.authority.is_some(),
        Condition::PeerName(_)
        | Condition::DestinationAddress(_)
        | Condition::DestinationPort(_)
        | Condition::ServerName(_)
        | Condition::Header(_)
        | Condition::Query(_)
        | Condition::Claim(_)
        | Condition::All(_)
        | Condition::AnyOf(_)
        | Condition::Not(_) => false,
    }
}

struct Peer<'p>(&'p SpiffeId);

impl PeerFacts for Peer<'_> {
    fn spiffe_id(&self) -> Option<&SpiffeId> {
        Some(self.0)
    }

    fn names(&self, _: &mut dyn FnMut(&str)) {}
}

impl RequestFacts for PastFacts<'_> {
    fn method(&self) -> &str {
        self.method.unwrap_or_default()
    }

    fn authority(&self) -> &str {
        self.authority.unwrap_or_default()
    }

    fn path(&self) -> &str {
        self.path.unwrap_or_default()
    }

    fn query(&self) -> Option<&str> {
        None
    }

    fn headers(&self, _: &str, _: &mut dyn FnMut(&[u8])) {}

    fn claims(&self) -> Option<&Claims> {
        None
    }
}
