//! Authorization of connections and requests: the facts that policies are asked with, and what is counted of decisions.
//! What is decided, and how, is `outrigger_traffic::authorization`'s.
//!
//! A connection whose bytes are passed on is decided when it is known that they will be, before anything is dialled. In mode
//! `auto` that is not known at first: nothing is dialled ahead for a client whose bytes may not be passed on, and one to
//! which no request would be allowed either is closed at once.

use crate::connection::{Accepted, Ends};
use crate::snapshot::{AuthorizationLevel, ChainPolicy};
use outrigger_config::model::SpiffeId;
use outrigger_identity::PeerIdentity;
use outrigger_telemetry::AuthorizationOutcome;
use outrigger_traffic::authorization::{
    Decision, Facts, Outcome, PeerFacts, PolicyPlace, RequestFacts, decide, foresee_refusal,
};
use rustls::pki_types::DnsName;
use smallvec::SmallVec;
use std::net::IpAddr;
use std::sync::Arc;

/// What a peer's certificate says, to be asked for.
struct Peer<'p>(&'p PeerIdentity);

impl PeerFacts for Peer<'_> {
    fn spiffe_id(&self) -> Option<&SpiffeId> {
        self.0.spiffe_id.as_ref()
    }

    fn names(&self, each: &mut dyn FnMut(&str)) {
        // Whoever signs may not look at what a DNS name says: one that is none must not pass for a URI.
        let dns_names = self.0.dns_names.iter().filter(|name| is_dns_name(name));
        let names = self.0.uri_names.iter().chain(dns_names);
        if self.0.uri_names.is_empty() && self.0.dns_names.is_empty() {
            return each(&self.0.subject);
        }
        names.for_each(|name| each(name));
    }
}

/// A DNS name, or a wildcard.
fn is_dns_name(name: &str) -> bool {
    DnsName::try_from(name.strip_prefix("*.").unwrap_or(name)).is_ok()
}

/// The levels whose policies are asked: the chain's, then the route's.
pub(crate) type Levels<'l> = SmallVec<[&'l AuthorizationLevel; 2]>;

/// Decides by all levels. `remote`: the client, if that is known.
pub(crate) fn decide_by(
    levels: &Levels<'_>,
    ends: &Ends,
    remote: Option<IpAddr>,
    request: Option<&dyn RequestFacts>,
) -> Decision {
    with_facts(ends, remote, request, |facts| {
        let sets: SmallVec<[_; 2]> = levels.iter().map(|level| &level.set).collect();
        decide(&sets, facts)
    })
}

fn with_facts<T>(
    ends: &Ends,
    remote: Option<IpAddr>,
    request: Option<&dyn RequestFacts>,
    ask: impl FnOnce(&Facts<'_>) -> T,
) -> T {
    let peer = ends.identity.as_deref().map(|identity| Peer(identity));
    ask(&Facts {
        peer: peer.as_ref().map(|peer| peer as &dyn PeerFacts),
        remote,
        direct: ends.remote.ip(),
        destination: ends.destination,
        server_name: ends.server_name.as_deref(),
        request,
    })
}

/// Counts what was decided on a connection of this chain.
pub(crate) fn count(decision: &Decision, levels: &Levels<'_>, chain: &ChainPolicy, worker: usize) {
    let add = |outcome: AuthorizationOutcome, place: Option<PolicyPlace>| {
        chain.authorization_metrics.worker(worker).decisions[outcome].inc();
        if let Some(place) = place {
            levels[place.level].metrics[place.policy].worker(worker).decisions[outcome].inc();
        }
    };
    let of = |outcome: Outcome, allowed, denied| if outcome.is_allowed() { allowed } else { denied };
    let outcome = decision.outcome;
    add(
        of(
            outcome,
            AuthorizationOutcome::Allowed,
            AuthorizationOutcome::Denied,
        ),
        outcome.policy(),
    );
    if let Some(shadow) = decision.shadow {
        add(
            of(
                shadow,
                AuthorizationOutcome::ShadowAllowed,
                AuthorizationOutcome::ShadowDenied,
            ),
            shadow.policy(),
        );
    }
    for place in &decision.audited {
        add(AuthorizationOutcome::Audited, Some(*place));
    }
}

/// A policy's name; `none` stands for none.
pub(crate) fn name<'l>(levels: &Levels<'l>, place: Option<PolicyPlace>) -> &'l str {
    place.map_or("none", |place| {
        levels[place.level].set.policies()[place.policy].name().as_str()
    })
}

/// Why it was refused, as Envoy's logs say it. For logs only: no peer learns a policy's name.
pub(crate) fn refusal_details(levels: &Levels<'_>, outcome: Outcome) -> String {
    let name = name(levels, outcome.policy());
    format!("rbac_access_denied_matched_policy[{name}]")
}

/// What logs say of a decision beside its outcome.
#[derive(Debug, Default)]
pub(crate) struct Remarks {
    /// What would be decided with shadow policies: `denied[policy]`.
    pub(crate) shadow: Option<String>,
    /// AUDIT policies that match, with commas between them.
    pub(crate) audited: Option<String>,
}

impl Remarks {
    pub(crate) fn of(decision: &Decision, levels: &Levels<'_>) -> Remarks {
        let shadow = decision.shadow.map(|outcome| {
            let verb = if outcome.is_allowed() { "allowed" } else { "denied" };
            format!("{verb}[{}]", name(levels, outcome.policy()))
        });
        let audited: Vec<&str> = decision
            .audited
            .iter()
            .map(|place| name(levels, Some(*place)))
            .collect();
        Remarks {
            shadow,
            audited: (!audited.is_empty()).then(|| audited.join(",")),
        }
    }
}

/// What was decided of a connection whose bytes would be passed on.
#[derive(Debug)]
pub(crate) struct Verdict {
    /// Why it is refused, for logs; none: it is allowed.
    pub(crate) refusal: Option<String>,
    pub(crate) remarks: Remarks,
}

fn levels_of(chain: &ChainPolicy) -> Option<Levels<'_>> {
    let level: &Arc<AuthorizationLevel> = chain.authorization.as_ref()?;
    Some(std::iter::once(&**level).collect())
}

/// Whether the connection's bytes may be passed on, by the policies of `chain`. Nothing is counted: for those who ask
/// ahead, or again.
pub(crate) fn allows_bytes(accepted: &Accepted, chain: &ChainPolicy) -> bool {
    levels_of(chain).is_none_or(|levels| {
        let remote = accepted.ends.remote.ip();
        decide_by(&levels, &accepted.ends, Some(remote), None)
            .outcome
            .is_allowed()
    })
}

/// Decides whether the connection's bytes may be passed on, and counts it. None: no policy says anything.
pub(crate) fn decide_bytes(accepted: &Accepted, chain: &ChainPolicy) -> Option<Verdict> {
    let levels = levels_of(chain)?;
    let remote = accepted.ends.remote.ip();
    let decision = decide_by(&levels, &accepted.ends, Some(remote), None);
    count(&decision, &levels, chain, accepted.worker.index);
    Some(Verdict {
        refusal: (!decision.outcome.is_allowed()).then(|| refusal_details(&levels, decision.outcome)),
        remarks: Remarks::of(&decision, &levels),
    })
}

/// Decides what is settled whatever the connection turns out to speak: none if something may be allowed. `hops`: proxies
/// in front that are trusted to say who the client is. What is refused is counted.
pub(crate) fn refuse_all(accepted: &Accepted, chain: &ChainPolicy, hops: u32) -> Option<Verdict> {
    let levels = levels_of(chain)?;
    let remote = (hops == 0).then(|| accepted.ends.remote.ip());
    let outcome = with_facts(&accepted.ends, remote, None, |facts| {
        foresee_refusal(&[&levels[0].set], facts)
    })?;
    let decision = Decision {
        outcome,
        shadow: None,
        audited: SmallVec::new(),
    };
    count(&decision, &levels, chain, accepted.worker.index);
    Some(Verdict {
        refusal: Some(refusal_details(&levels, outcome)),
        remarks: Remarks::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::is_dns_name;

    #[test]
    fn dns_names_that_look_like_uris_are_none() {
        for (name, is) in [
            ("a.example", true),
            ("*.a.example", true),
            ("spiffe://example.org/admin", false),
            ("a.example/admin", false),
            ("CN=a", false),
            ("", false),
        ] {
            assert_eq!(is_dns_name(name), is, "{name}");
        }
    }
}
