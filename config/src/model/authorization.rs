//! Authorization policies, in the logic of Envoy's RBAC.

use super::{Domain, HeaderMatch, Name, Origin, PathMatch, QueryMatch, SpiffeMatch, StringMatch, model};
use ipnet::IpNet;
use std::ops::RangeInclusive;

model! {
    /// A named policy. Filter chains and routes say which apply: every DENY policy is asked before every ALLOW policy,
    /// and where there are ALLOW policies, what none of them allows is denied. A route's apply in addition to its chain's:
    /// where both have ALLOW policies, one of each must allow it, so that a route never opens what its chain closes.
    pub struct AuthorizationPolicy {
        /// Unique among authorization policies.
        by_ref name: Name,
        /// What it does with what it matches.
        copy action: AuthorizationAction,
        /// It is asked, counted and logged, and changes nothing.
        copy shadow: bool,
        /// It matches what one of these matches. Empty: nothing.
        by_ref rules: Vec<Condition>,
        /// Where it was written.
        by_ref origin: Origin,
    }
}

/// What a policy does with what it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AuthorizationAction {
    /// Allows it, unless another policy denies it.
    Allow,
    /// Denies it.
    Deny,
    /// Counts it and says so in the log.
    Audit,
}

/// What is asked of a connection and a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// Holds always.
    Always,
    /// All hold.
    All(Vec<Condition>),
    /// One holds.
    AnyOf(Vec<Condition>),
    /// Does not hold.
    Not(Box<Condition>),
    /// The peer's verified SPIFFE id is among these.
    Identity(SpiffeMatch),
    /// The peer has a verified certificate.
    Authenticated,
    /// One of the names in the peer's verified certificate (URI, DNS), or its subject if it has none, matches (Envoy's
    /// `principal_name`).
    PeerName(StringMatch),
    /// The client's address: that of `x-forwarded-for` where proxies in front are trusted (Envoy's `remote_ip`).
    RemoteAddress(IpNet),
    /// The address of the connection's peer, PROXY protocol included (Envoy's `direct_remote_ip`).
    DirectAddress(IpNet),
    /// The address that the connection was meant for.
    DestinationAddress(IpNet),
    /// The port that the connection was meant for.
    DestinationPort(RangeInclusive<u16>),
    /// The SNI; a connection without one matches nothing.
    ServerName(StringMatch),
    /// The method, upper case.
    Method(String),
    /// The path, normalized, without the query.
    Path(PathMatch),
    /// The host, without its port, in lower case and without a dot at its end.
    Host(Domain),
    /// A header.
    Header(HeaderMatch),
    /// A query parameter.
    Query(QueryMatch),
    /// A claim of a token that was verified.
    Claim(ClaimMatch),
}

impl Condition {
    /// It needs a request: on bytes that are passed on it cannot be known.
    pub fn needs_request(&self) -> bool {
        match self {
            Condition::All(all) | Condition::AnyOf(all) => all.iter().any(Condition::needs_request),
            Condition::Not(condition) => condition.needs_request(),
            Condition::Method(_)
            | Condition::Path(_)
            | Condition::Host(_)
            | Condition::Header(_)
            | Condition::Query(_)
            | Condition::Claim(_) => true,
            Condition::Always
            | Condition::Identity(_)
            | Condition::Authenticated
            | Condition::PeerName(_)
            | Condition::RemoteAddress(_)
            | Condition::DirectAddress(_)
            | Condition::DestinationAddress(_)
            | Condition::DestinationPort(_)
            | Condition::ServerName(_) => false,
        }
    }
}

model! {
    /// A condition on a claim of a verified token.
    pub struct ClaimMatch {
        /// The provider whose token is meant; none: any that was required. It exists.
        by_ref provider: Option<Name>,
        /// Keys from the outside in; never empty. `realm_access`, `roles` finds `roles` in `realm_access`.
        by_ref path: Vec<String>,
        /// How its value is compared: texts, numbers and booleans as they are written in JSON; of a list, any element.
        by_ref value: StringMatch,
    }
}
