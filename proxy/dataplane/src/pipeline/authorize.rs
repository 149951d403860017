//! Whether policy lets a request pass: asked once its route is known, before it is forwarded, redirected or answered.
//!
//! The head has been sanitized by then, and nothing has been rewritten. A request that goes on is remembered as it was
//! decided where its route edits it, so that it can be decided again when policies change.

use super::{Request, RequestContext, Taken, trusted_hops};
use crate::authorization::{self, Levels, Remarks};
use crate::connection::Ends;
use crate::reply::LocalReply;
use crate::snapshot::{ChainPolicy, RoutePolicy};
use outrigger_http1::{KnownName, RequestHead};
use outrigger_telemetry::EventKind;
use outrigger_traffic::authorization::{Claims, Decision, RequestFacts};
use outrigger_traffic::forwarded;
use std::net::IpAddr;

/// A request's head, as policies are asked about it.
pub(super) struct Asked<'r> {
    pub(super) head: &'r RequestHead,
    pub(super) claims: Option<&'r Claims>,
}

impl RequestFacts for Asked<'_> {
    fn method(&self) -> &str {
        self.head.method.as_str()
    }

    fn authority(&self) -> &str {
        self.head.authority()
    }

    fn path(&self) -> &str {
        self.head.path()
    }

    fn query(&self) -> Option<&str> {
        self.head.query()
    }

    fn headers(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        self.head.fields.find_all(name).for_each(each);
    }

    fn claims(&self) -> Option<&Claims> {
        self.claims
    }
}

/// True if policies are to be asked.
#[inline]
pub(super) fn applies(chain: &ChainPolicy, taken: Taken<'_>) -> bool {
    chain.authorization.is_some() || taken.policy.authorization.is_some()
}

/// Decides, counts, and notes what logs tell of it.
///
/// # Errors
/// The answer to a request that may not pass.
#[cold]
pub(super) fn authorize(
    request: &mut Request<'_>,
    context: &RequestContext<'_>,
    taken: Taken<'_>,
) -> Result<(), LocalReply> {
    let chain = context.chain();
    let levels = levels(chain, taken.policy);
    let asked = Asked {
        head: request.head,
        claims: request.claims.as_deref(),
    };
    let remote = remote(context, request);
    let decision = authorization::decide_by(&levels, context.ends(), remote, Some(&asked));
    authorization::count(&decision, &levels, chain, context.worker().index);
    note(request, context, &decision, &levels);
    if decision.outcome.is_allowed() {
        Ok(())
    } else {
        Err(LocalReply::Denied)
    }
}

/// Keeps the head as it is now if it will be edited: policies that are asked again must be asked the same. Before anything
/// is edited.
#[inline]
pub(super) fn keep(request: &mut Request<'_>, chain: &ChainPolicy, taken: Taken<'_>) {
    // An authorization service may add and remove headers.
    if taken.policy.edits_requests || chain.http().external_authorization.is_some() {
        request.record.asked = Some(Box::new(request.head.clone()));
    }
}

/// A request as it was when policies were asked about it.
pub(super) struct Standing<'s> {
    pub(super) head: &'s RequestHead,
    pub(super) claims: Option<&'s Claims>,
    /// None: it is not known.
    pub(super) remote: Option<IpAddr>,
}

impl<'s> Standing<'s> {
    pub(super) fn of(request: &'s Request<'_>, context: &RequestContext<'_>) -> Standing<'s> {
        Standing {
            head: request.record.asked.as_deref().unwrap_or(request.head),
            claims: request.claims.as_deref(),
            remote: remote(context, request),
        }
    }
}

/// The name of the policy (or `none`) by which a request that goes on would not be allowed any more by these policies:
/// those of its chain and route that are in force now. None: it would. Nothing is counted.
#[cold]
pub(super) fn refusal(
    standing: &Standing<'_>,
    ends: &Ends,
    chain: &ChainPolicy,
    route: Option<&RoutePolicy>,
) -> Option<String> {
    let of_route = route.and_then(|route| route.authorization.as_deref());
    let levels: Levels<'_> = chain
        .authorization
        .as_deref()
        .into_iter()
        .chain(of_route)
        .collect();
    if levels.is_empty() {
        return None;
    }
    let asked = Asked {
        head: standing.head,
        claims: standing.claims,
    };
    let decision = authorization::decide_by(&levels, ends, standing.remote, Some(&asked));
    let outcome = decision.outcome;
    (!outcome.is_allowed()).then(|| authorization::name(&levels, outcome.policy()).to_owned())
}

fn levels<'l>(chain: &'l ChainPolicy, route: &'l RoutePolicy) -> Levels<'l> {
    let levels = [&chain.authorization, &route.authorization];
    levels.into_iter().flatten().map(|level| &**level).collect()
}

/// The client: the peer, or as proxies in front tell it if they are trusted; none: they tell nothing that is an address,
/// and the peer is a proxy. It may not have been asked for when the request came: then it is read off what has become of
/// `x-forwarded-for`, which has grown by the peer.
pub(super) fn remote(context: &RequestContext<'_>, request: &Request<'_>) -> Option<IpAddr> {
    let hops = trusted_hops(context);
    if hops == 0 {
        return Some(context.ends().remote.ip());
    }
    let told = || {
        let head = request.record.asked.as_deref().unwrap_or(request.head);
        let told = head.fields.get_all(KnownName::XForwardedFor);
        forwarded::client(told, hops + 1)
    };
    request.record.client.or_else(told)
}

fn note(request: &mut Request<'_>, context: &RequestContext<'_>, decision: &Decision, levels: &Levels<'_>) {
    let now = context.worker().now();
    if !decision.outcome.is_allowed() {
        let details = authorization::refusal_details(levels, decision.outcome);
        request.record.explain(details);
        let policy = authorization::name(levels, decision.outcome.policy());
        request.record.note(now, EventKind::Denied, policy, "", 0);
    }
    if let Some(shadow) = decision.shadow
        && !shadow.is_allowed()
    {
        let policy = authorization::name(levels, shadow.policy());
        request.record.note(now, EventKind::ShadowDenied, policy, "", 0);
    }
    if request.record.is_logged() {
        request.record.remark(Remarks::of(decision, levels));
    }
}
