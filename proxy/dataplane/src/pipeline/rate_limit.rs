//! Rate limits: whether a request comes too often. Asked after everything that knows who may come, before anything is done.
//!
//! Limits of the chain, of the virtual host and of the route apply, each once; all must allow. Those that this process
//! counts are asked first, and together (`outrigger_traffic::rate_limit::decide`): what one refuses costs nothing at the
//! others. Those that a service counts are asked one after the other ([`global`]), for what the local ones let through; what
//! one of them refuses has taken its local tokens, for the request has come. Limits count requests, not attempts.

mod global;
mod told;

pub(super) use global::ask;
pub(crate) use global::{Asking, ask_service, descriptors_of};
pub(super) use told::Limited;
pub(crate) use told::Told;

use super::authorize::{self, Asked};
use super::{Request, RequestContext, Taken};
use crate::rate_limit::since_epoch;
use crate::reply::LocalReply;
use crate::snapshot::{ChainPolicy, RateLimitPolicy, RateLimitSet};
use crate::worker::Worker;
use outrigger_telemetry::{EventKind, RateLimitKeyDrop, RateLimitOutcome};
use outrigger_traffic::rate_limit::{
    Decision, DescriptorFacts, Dropped, LocalLimit, Outcome, Reading, RouteFacts, decide,
};
use smallvec::SmallVec;
use std::sync::Arc;

/// The limits that apply, in the order in which they are asked.
type Applying<'l> = SmallVec<[&'l Arc<RateLimitPolicy>; 4]>;

/// True if a limit applies to the route's requests.
#[inline]
pub(super) fn applies(chain: &ChainPolicy, taken: Taken<'_>) -> bool {
    chain.http().rate_limits.is_some() || taken.policy.rate_limits.is_some()
}

/// What the limits of this process say.
pub(super) enum Counted {
    /// The request goes on.
    Passed,
    /// As far as they go; services are to be asked.
    Ask,
    /// It is over a rate.
    Refused(LocalReply),
}

/// Asks the limits that this process counts, and counts what they say.
#[cold]
pub(super) fn count(request: &mut Request<'_>, context: &RequestContext<'_>, taken: Taken<'_>) -> Counted {
    let sets = sets(context.chain(), taken);
    let limits = applying(&sets, |limit| limit.local().is_some());
    let asked = Asked {
        head: request.head,
        claims: request.claims.as_deref(),
    };
    let facts = facts(request, &asked, context, taken);
    let mut told = Told::default();
    match local(&limits, &facts, context.worker(), &mut told) {
        Ok(()) => {
            request.limited = told.into_limited();
            if sets.iter().any(|set| set.has_global) {
                Counted::Ask
            } else {
                Counted::Passed
            }
        }
        Err((limit, reading)) => {
            request.limited = Some(Limited::refused(told, reading.wait));
            let (name, wait) = (limit.config.name(), reading.wait.as_secs());
            request.record.explain(format!("{LOCAL_DETAILS}[{name}]"));
            let now = context.worker().now();
            let record = &mut request.record;
            record.note(now, EventKind::RateLimited, name.as_str(), LOCAL_DETAILS, wait);
            Counted::Refused(LocalReply::RateLimited {
                status: limit.config.status(),
                grpc_status: limit.config.grpc_status(),
                details: LOCAL_DETAILS,
            })
        }
    }
}

/// Envoy's name for what a local limit refuses.
const LOCAL_DETAILS: &str = "local_rate_limited";

/// Asks limits that this process counts.
///
/// # Errors
/// The limit that refuses, and how it stands.
pub(crate) fn local<'l>(
    limits: &[&'l Arc<RateLimitPolicy>],
    facts: &DescriptorFacts<'_>,
    worker: &Worker,
    told: &mut Told,
) -> Result<(), (&'l Arc<RateLimitPolicy>, Reading)> {
    let asked: SmallVec<[(&LocalLimit, bool); 4]> = limits
        .iter()
        .filter_map(|limit| Some((limit.local()?, limit.config.shadow())))
        .collect();
    let now = since_epoch(worker.tick().into_std());
    let count = |limit: &RateLimitPolicy, outcome: RateLimitOutcome| {
        limit.metrics.worker(worker.index).decisions[outcome].inc();
    };
    match decide(&asked, facts, now) {
        Decision::Refused(index, reading) => {
            count(limits[index], RateLimitOutcome::Refused);
            told.local(limits[index], reading);
            Err((limits[index], reading))
        }
        Decision::Allowed(outcomes) => {
            for (limit, outcome) in limits.iter().zip(outcomes) {
                match outcome {
                    Outcome::NotCounted => count(limit, RateLimitOutcome::NotCounted),
                    Outcome::ShadowRefused(_) => count(limit, RateLimitOutcome::ShadowRefused),
                    Outcome::Allowed(reading, dropped) => {
                        count(limit, RateLimitOutcome::Allowed);
                        note_keys(limit, dropped, worker);
                        if !limit.config.shadow() {
                            told.local(limit, reading);
                        }
                    }
                }
            }
            Ok(())
        }
    }
}

fn note_keys(limit: &RateLimitPolicy, dropped: Option<Dropped>, worker: &Worker) {
    let cells = limit.metrics.worker(worker.index);
    match dropped {
        Some(Dropped::Full) => cells.keys_dropped[RateLimitKeyDrop::Full].inc(),
        Some(Dropped::Counting) => cells.keys_dropped[RateLimitKeyDrop::Counting].inc(),
        None => {}
    }
    if limit.local().is_some_and(LocalLimit::is_keyed) {
        limit.note_keys();
    }
}

/// The sets that apply: the chain's, then the route's with its virtual host's.
fn sets<'l>(chain: &'l ChainPolicy, taken: Taken<'l>) -> SmallVec<[&'l RateLimitSet; 2]> {
    let sets = [&chain.http().rate_limits, &taken.policy.rate_limits];
    sets.into_iter().flatten().map(|set| &**set).collect()
}

/// Their limits of one kind, each once.
fn applying<'l>(sets: &[&'l RateLimitSet], wanted: impl Fn(&RateLimitPolicy) -> bool) -> Applying<'l> {
    let mut limits = Applying::new();
    for limit in sets.iter().flat_map(|set| set.limits.iter()) {
        if wanted(limit) && !limits.iter().any(|other| Arc::ptr_eq(other, limit)) {
            limits.push(limit);
        }
    }
    limits
}

/// What is known of a request.
fn facts<'f>(
    request: &Request<'_>,
    asked: &'f Asked<'f>,
    context: &'f RequestContext<'_>,
    taken: Taken<'f>,
) -> DescriptorFacts<'f> {
    let identity = context.ends().identity.as_deref();
    DescriptorFacts {
        // Where proxies in front tell nothing that is an address it is they who are counted: nobody gets around a limit so.
        remote: authorize::remote(context, request).or_else(|| Some(context.ends().remote.ip())),
        identity: identity.and_then(|identity| identity.spiffe_id.as_ref()),
        request: Some(asked),
        route: Some(RouteFacts {
            name: taken.route.name().as_str(),
            virtual_host: taken.virtual_host.name().as_str(),
            path: taken.route.matches().path(),
        }),
    }
}
