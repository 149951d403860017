//! Whether policy lets a request pass: asked once its route is known, before it is forwarded, redirected or answered.
//!
//! The head has been sanitized by then, and nothing has been rewritten. A request that goes on is remembered as it was
//! decided where its route edits it, so that it can be decided again when policies change.

use super::{Request, RequestContext, Taken};
use crate::authorization::{self, Levels, Remarks};
use crate::reply::LocalReply;
use crate::snapshot::{ChainPolicy, RoutePolicy};
use outrigger_http1::RequestHead;
use outrigger_traffic::authorization::{Claims, Decision, RequestFacts};
use std::net::IpAddr;

/// A request's head, as policies are asked about it.
struct Asked<'r> {
    head: &'r RequestHead,
    claims: Option<&'r Claims>,
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
    let decision = authorization::decide_by(&levels, context.ends(), Some(remote), Some(&asked));
    authorization::count(&decision, &levels, chain, context.worker().index);
    note(request, &decision, &levels);
    if decision.outcome.is_allowed() {
        Ok(())
    } else {
        Err(LocalReply::Denied)
    }
}

/// Keeps the head as it is now if it will be edited: policies that are asked again must be asked the same. Before anything
/// is edited.
#[inline]
pub(super) fn keep(request: &mut Request<'_>, taken: Taken<'_>) {
    if taken.policy.edits_requests {
        request.asked = Some(Box::new(request.head.clone()));
    }
}

/// Whether a request that goes on would still be allowed by these policies: those of its chain and route that are in force
/// now. Nothing is counted.
#[cold]
#[allow(dead_code)]
pub(super) fn is_allowed(
    request: &Request<'_>,
    context: &RequestContext<'_>,
    chain: &ChainPolicy,
    route: &RoutePolicy,
) -> bool {
    let levels = levels(chain, route);
    if levels.is_empty() {
        return true;
    }
    let asked = Asked {
        head: request.asked.as_deref().unwrap_or(request.head),
        claims: request.claims.as_deref(),
    };
    let remote = remote(context, request);
    authorization::decide_by(&levels, context.ends(), Some(remote), Some(&asked))
        .outcome
        .is_allowed()
}

fn levels<'l>(chain: &'l ChainPolicy, route: &'l RoutePolicy) -> Levels<'l> {
    let levels = [&chain.authorization, &route.authorization];
    levels.into_iter().flatten().map(|level| &**level).collect()
}

/// The client: as trusted proxies tell it, or else the peer.
fn remote(context: &RequestContext<'_>, request: &Request<'_>) -> IpAddr {
    request
        .record
        .client
        .unwrap_or_else(|| context.ends().remote.ip())
}

fn note(request: &mut Request<'_>, decision: &Decision, levels: &Levels<'_>) {
    if !request.record.is_logged() {
        return;
    }
    if !decision.outcome.is_allowed() {
        let details = authorization::refusal_details(levels, decision.outcome);
        request.record.explain(details);
    }
    request.record.remark(Remarks::of(decision, levels));
}
