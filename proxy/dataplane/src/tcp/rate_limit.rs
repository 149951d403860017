//! Rate limits on new connections whose bytes are passed on: asked before anything is dialled. In mode `auto` that bytes are
//! passed on may turn out only after an endpoint was connected to ahead; then it is given up.

use crate::connection::{Accepted, Ends};
use crate::pipeline::rate_limit::{Asking, Told, ask_service, descriptors_of, local};
use crate::rate_limit::RateLimitVerdict;
use crate::snapshot::rate_limit::Counting;
use crate::snapshot::{RateLimitPolicy, RateLimitSet};
use crate::worker::LocalSnapshot;
use outrigger_telemetry::{RateLimitOutcome, ResponseFlags};
use outrigger_traffic::rate_limit::DescriptorFacts;
use std::rc::Rc;
use std::sync::Arc;

/// Why a connection is closed.
pub(super) struct Refusal {
    pub(super) flags: ResponseFlags,
    /// With the limit's name, for logs alone.
    pub(super) details: String,
}

/// Asks all limits: those of this process first. None: the connection goes on.
#[cold]
pub(super) async fn limit(
    accepted: &Accepted,
    snapshot: &Rc<LocalSnapshot>,
    set: &RateLimitSet,
) -> Option<Refusal> {
    let facts = facts(&accepted.ends);
    let limits: Vec<&Arc<RateLimitPolicy>> = set
        .limits
        .iter()
        .filter(|limit| limit.local().is_some())
        .collect();
    if let Err((limit, _)) = local(&limits, &facts, &accepted.worker, &mut Told::default()) {
        return Some(Refusal {
            flags: ResponseFlags::RL,
            details: format!("local_rate_limited[{}]", limit.config.name()),
        });
    }
    for limit in set.limits.iter() {
        if let Some(refusal) = ask(accepted, snapshot, limit, &facts).await {
            return Some(refusal);
        }
    }
    None
}

async fn ask(
    accepted: &Accepted,
    snapshot: &Rc<LocalSnapshot>,
    limit: &RateLimitPolicy,
    facts: &DescriptorFacts<'_>,
) -> Option<Refusal> {
    let Counting::Global(global, slot) = &limit.counting else {
        return None;
    };
    let worker = &accepted.worker;
    let cells = limit.metrics.worker(worker.index);
    let descriptors = descriptors_of(limit, facts);
    if descriptors.is_empty() {
        cells.decisions[RateLimitOutcome::NotCounted].inc();
        return None;
    }
    let asking = Asking {
        worker,
        snapshot,
        ends: &accepted.ends,
    };
    let started = worker.tick();
    let answered = ask_service(&asking, global, *slot, descriptors).await;
    cells
        .service_duration
        .observe(worker.tick().duration_since(started));
    let is_shadow = limit.config.shadow();
    let outcome = match &answered {
        Ok(answer) if answer.verdict != RateLimitVerdict::OverLimit => RateLimitOutcome::Allowed,
        Ok(_) if is_shadow => RateLimitOutcome::ShadowRefused,
        Ok(_) => RateLimitOutcome::Refused,
        Err(_) if is_shadow || !global.failure_denied() => RateLimitOutcome::FailureAllowed,
        Err(_) => RateLimitOutcome::FailureRefused,
    };
    if let Err(fault) = answered {
        cells.service_faults[fault].inc();
    }
    cells.decisions[outcome].inc();
    let (flags, details) = match outcome {
        RateLimitOutcome::Refused => (ResponseFlags::RL, "request_rate_limited"),
        RateLimitOutcome::FailureRefused => (ResponseFlags::RLSE, "rate_limiter_error"),
        _ => return None,
    };
    Some(Refusal {
        flags,
        details: format!("{details}[{}]", limit.config.name()),
    })
}

fn facts(ends: &Ends) -> DescriptorFacts<'_> {
    let identity = ends.identity.as_deref();
    DescriptorFacts {
        remote: Some(ends.remote.ip()),
        identity: identity.and_then(|identity| identity.spiffe_id.as_ref()),
        request: None,
        route: None,
    }
}
