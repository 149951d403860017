//! Limits that a service counts: the question, what becomes of the request by the answer, and what without one.

use super::super::ask::grpc::{message, read};
use super::super::ask::{AskLimits, NoAnswer, ask as ask_cluster, while_wanted};
use super::super::authorize::Asked;
use super::super::exchange::Stop;
use super::super::external_authorization::{changes, end_stopped};
use super::super::{Request, RequestContext, Taken, respond};
use super::{Limited, facts, sets};
use crate::connection::Ends;
use crate::rate_limit::{Descriptor, RateLimitAnswer, RateLimitQuestion, RateLimitVerdict};
use crate::reply::LocalReply;
use crate::server::Downstream;
use crate::snapshot::rate_limit::Counting;
use crate::snapshot::{ClusterSlot, RateLimitPolicy, Snapshot};
use crate::worker::Worker;
use bytes::Bytes;
use outrigger_config::model::GlobalRateLimit;
use outrigger_config::model::defaults::{EXTERNAL_AUTHORIZATION_CHANGES_MAX, RATE_LIMIT_ANSWER_BYTES_MAX};
use outrigger_http1::{KnownName, ResponseHead};
use outrigger_telemetry::{DeadlineWait, EventKind, RateLimitFault as Fault, RateLimitOutcome};
use outrigger_traffic::rate_limit::{DescriptorFacts, describe};
use std::rc::Rc;

/// The method that is called.
const SHOULD_RATE_LIMIT: &str = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit";

/// Envoy's names for what a service refuses, and for what it could not tell.
const OVER_LIMIT_DETAILS: &str = "request_rate_limited";

/// Who asks.
pub(crate) struct Asking<'a> {
    pub(crate) worker: &'a Rc<Worker>,
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) ends: &'a Ends,
}

/// A limit's descriptors of what these facts are of; those that lack a part are left out.
pub(crate) fn descriptors_of<'d>(
    limit: &'d RateLimitPolicy,
    facts: &DescriptorFacts<'d>,
) -> Vec<Descriptor<'d>> {
    let lists = limit.config.descriptors().iter();
    lists
        .filter(|parts| !parts.is_empty())
        .filter_map(|parts| describe(parts, facts))
        .collect()
}

/// Asks a limit's service. Dropping the future gives the question up.
///
/// # Errors
/// Why it cannot tell.
pub(crate) async fn ask_service(
    asking: &Asking<'_>,
    global: &GlobalRateLimit,
    slot: ClusterSlot,
    descriptors: Vec<Descriptor<'_>>,
) -> Result<RateLimitAnswer, Fault> {
    let cluster = asking
        .snapshot
        .cluster(slot)
        .expect("a limit's cluster is in its snapshot");
    let codec = &*asking.worker.rate_limit_codec;
    let question = codec.encode(&RateLimitQuestion {
        domain: global.domain(),
        descriptors,
    });
    let authority = global.authority().as_deref();
    let authority = authority.unwrap_or_else(|| global.cluster().as_str());
    let message = message(SHOULD_RATE_LIMIT, authority, global.timeout(), &question);
    let limits = AskLimits {
        timeout: global.timeout(),
        answer_bytes_max: RATE_LIMIT_ANSWER_BYTES_MAX,
    };
    let reply = ask_cluster(asking.worker, cluster, asking.ends, &message, limits)
        .await
        .map_err(NoAnswer::from)?;
    let bytes = read(&reply)?;
    let answer = codec.decode(&bytes).map_err(|_| Fault::Unreadable)?;
    match answer.verdict {
        RateLimitVerdict::Unknown => Err(Fault::Unknown),
        _ => Ok(answer),
    }
}

impl From<NoAnswer> for Fault {
    fn from(no_answer: NoAnswer) -> Fault {
        match no_answer {
            NoAnswer::NoEndpoint => Fault::NoEndpoint,
            NoAnswer::Connect => Fault::Connect,
            NoAnswer::Timeout => Fault::Timeout,
            NoAnswer::TooLong => Fault::TooLong,
            NoAnswer::Broken => Fault::Broken,
            NoAnswer::Status => Fault::Status,
            NoAnswer::Unreadable => Fault::Unreadable,
        }
    }
}

/// Asks the services of all limits that have one, in order. True if the request goes on; else it has been answered.
pub(in crate::pipeline) async fn ask(
    request: &mut Request<'_>,
    downstream: &mut Downstream<'_>,
    context: &RequestContext<'_>,
    taken: Taken<'_>,
) -> bool {
    let chain = context.chain();
    let sets = sets(chain, taken);
    for limit in super::applying(&sets, |limit| limit.local().is_none()) {
        let Counting::Global(global, slot) = &limit.counting else {
            continue;
        };
        let answered = match put(request, downstream, context, taken, limit, global, *slot).await {
            Ok(Some(answered)) => answered,
            Ok(None) => continue,
            Err(stop) => {
                end_stopped(request, downstream, context, taken, stop).await;
                return false;
            }
        };
        let goes_on = match answered {
            Ok(answer) => follow(request, downstream, context, taken, limit, answer).await,
            Err(fault) => failed(request, downstream, context, taken, limit, fault).await,
        };
        if !goes_on {
            return false;
        }
    }
    true
}

/// Puts the question to a service, for as long as the client is there and in its right. None: the limit does not count the
/// request.
async fn put(
    request: &Request<'_>,
    downstream: &mut Downstream<'_>,
    context: &RequestContext<'_>,
    taken: Taken<'_>,
    limit: &RateLimitPolicy,
    global: &GlobalRateLimit,
    slot: ClusterSlot,
) -> Result<Option<Result<RateLimitAnswer, Fault>>, Stop> {
    let cells = limit.metrics.worker(context.worker().index);
    let asked = Asked {
        head: request.head,
        claims: request.claims.as_deref(),
    };
    let facts = facts(request, &asked, context, taken);
    let descriptors = descriptors_of(limit, &facts);
    if descriptors.is_empty() {
        cells.decisions[RateLimitOutcome::NotCounted].inc();
        return Ok(None);
    }
    let asking = Asking {
        worker: context.worker(),
        snapshot: context.snapshot,
        ends: context.ends(),
    };
    let started = asking.worker.tick();
    let answering = std::pin::pin!(ask_service(&asking, global, slot, descriptors));
    let wait = DeadlineWait::RateLimit;
    let answered = while_wanted(request, downstream, context, wait, answering).await?;
    cells
        .service_duration
        .observe(asking.worker.tick().duration_since(started));
    Ok(Some(answered))
}

/// Does what a service says. What of its headers cannot be written is left out of a refusal, and is a fault of a permission.
async fn follow(
    request: &mut Request<'_>,
    downstream: &mut Downstream<'_>,
    context: &RequestContext<'_>,
    taken: Taken<'_>,
    limit: &RateLimitPolicy,
    mut answer: RateLimitAnswer,
) -> bool {
    let cells = limit.metrics.worker(context.worker().index);
    let is_over = answer.verdict == RateLimitVerdict::OverLimit;
    if limit.config.shadow() {
        let outcome = match is_over {
            true => RateLimitOutcome::ShadowRefused,
            false => RateLimitOutcome::Allowed,
        };
        cells.decisions[outcome].inc();
        return true;
    }
    let count = answer.response_headers.len() + answer.request_headers.len();
    answer
        .response_headers
        .retain_mut(|change| changes::judge_header(change).is_ok());
    answer
        .request_headers
        .retain_mut(|change| changes::judge_header(change).is_ok());
    let is_whole = count == answer.response_headers.len() + answer.request_headers.len()
        && count <= EXTERNAL_AUTHORIZATION_CHANGES_MAX;
    if !is_whole && !is_over {
        let fault = Fault::InvalidChange;
        return failed(request, downstream, context, taken, limit, fault).await;
    }
    if !is_whole {
        cells.service_faults[Fault::InvalidChange].inc();
        answer
            .response_headers
            .truncate(EXTERNAL_AUTHORIZATION_CHANGES_MAX);
    }
    let limited = request.limited.get_or_insert_with(Limited::nothing);
    if limit.config.tells_headers() {
        limited.told.service(&answer.quotas);
    }
    limited.added.append(&mut answer.response_headers);
    if !is_over {
        cells.decisions[RateLimitOutcome::Allowed].inc();
        changes::write(&mut request.head.fields, &answer.request_headers);
        return true;
    }
    cells.decisions[RateLimitOutcome::Refused].inc();
    let over = answer.quotas.iter().filter(|quota| quota.is_over);
    let wait = over.filter_map(|quota| quota.reset).max();
    limited.retry_after = Some(wait.map_or(0, |wait| wait.as_secs() + u64::from(wait.subsec_nanos() > 0)));
    let (name, wait) = (limit.config.name(), wait.map_or(0, |wait| wait.as_secs()));
    request.record.explain(format!("{OVER_LIMIT_DETAILS}[{name}]"));
    let now = context.worker().now();
    let record = &mut request.record;
    record.note(
        now,
        EventKind::RateLimited,
        name.as_str(),
        OVER_LIMIT_DETAILS,
        wait,
    );
    let reply = LocalReply::RateLimited {
        status: limit.config.status(),
        grpc_status: limit.config.grpc_status(),
        details: OVER_LIMIT_DETAILS,
    };
    refuse(request, downstream, context, taken, reply, answer.body).await;
    false
}

/// Answers with a body that the service gave, if it did.
async fn refuse(
    request: &mut Request<'_>,
    downstream: &mut Downstream<'_>,
    context: &RequestContext<'_>,
    taken: Taken<'_>,
    reply: LocalReply,
    body: Bytes,
) {
    if body.is_empty() || request.is_grpc() {
        return respond::local(request, downstream, context, Some(taken), reply).await;
    }
    let answer = reply.answer();
    request.record.local_reply(&answer);
    let mut head = ResponseHead::new();
    head.status = answer.status;
    let names_type = request.limited.as_ref().is_some_and(|limited| {
        let mut added = limited.added.iter();
        added.any(|change| change.name == KnownName::ContentType.as_str())
    });
    if !names_type {
        head.fields.push_known(KnownName::ContentType, b"text/plain");
    }
    respond::send(request, downstream, context, Some(taken), head, body).await;
}

/// Lets the request through or refuses it, for the service could not tell.
async fn failed(
    request: &mut Request<'_>,
    downstream: &mut Downstream<'_>,
    context: &RequestContext<'_>,
    taken: Taken<'_>,
    limit: &RateLimitPolicy,
    fault: Fault,
) -> bool {
    let cells = limit.metrics.worker(context.worker().index);
    cells.service_faults[fault].inc();
    let denied = matches!(&limit.counting, Counting::Global(global, _) if global.failure_denied());
    if !denied || limit.config.shadow() {
        cells.decisions[RateLimitOutcome::FailureAllowed].inc();
        return true;
    }
    cells.decisions[RateLimitOutcome::FailureRefused].inc();
    let (now, name) = (context.worker().now(), limit.config.name().as_str());
    let record = &mut request.record;
    record.note(now, EventKind::RateLimitUnknown, name, fault.as_str(), 0);
    let reply = LocalReply::RateLimitServiceFailed;
    respond::local(request, downstream, context, Some(taken), reply).await;
    false
}
