//! External authorization: another service is asked whether a request may go on, and what of it is changed.
//!
//! It is asked last, for what everything else allows, and once for each request: attempts that are repeated do not ask
//! again, and neither does a stream or tunnel that lives on. A request whose client goes away is not asked about any
//! longer. What fails is either let through or refused, as the configuration says; what was answered and cannot be
//! applied is never let through.

mod body;
pub(super) mod changes;
mod http;
mod question;
mod refusal;

pub(super) use body::Ahead;
pub(in crate::pipeline) use refusal::stop as end_stopped;

use super::ask::{AskLimits, NoAnswer, ask, grpc, while_wanted};
use super::exchange::Stop;
use super::{Request, RequestContext, Taken};
use crate::body::BodyLength;
use crate::external_authorization::{Allowance, Answer, Denial, Verdict};
use crate::reply::LocalReply;
use crate::server::Downstream;
use crate::snapshot::ExternalAuthorizationPolicy;
use body::{Held, Unread};
use outrigger_config::model::defaults::EXTERNAL_AUTHORIZATION_ANSWER_BYTES_MAX;
use outrigger_config::model::{AuthorizationService, RouteExternalAuthorization};
use outrigger_http1::Fields;
use outrigger_telemetry::{
    DeadlineWait, DecisionCacheUse, ExternalAuthorizationFault as Fault,
    ExternalAuthorizationOutcome as Outcome,
};
use question::{Asked, Asking};
use std::rc::Rc;

/// Tells the upstream that nobody has decided, as Envoy does.
const FAILURE_ALLOWED: &str = "x-envoy-auth-failure-mode-allowed";

/// What is left to do for a request that may go on.
pub(super) struct Authorized {
    /// What was read of its body.
    ahead: Option<Ahead>,
    /// Counts it for as long as any of it is here.
    held: Option<Held>,
    verdict: Option<Rc<Verdict>>,
}

impl Authorized {
    /// What was read of the body, for the attempts to send.
    #[cold]
    pub(super) fn take_ahead(&mut self) -> Option<Ahead> {
        let mut ahead = self.ahead.take()?;
        self.held = ahead.held.take();
        Some(ahead)
    }

    /// Nothing of the body is here any more.
    pub(super) fn release(&mut self) {
        self.held = None;
    }

    /// Writes what the response gets.
    #[cold]
    pub(super) fn finish(&self, fields: &mut Fields) {
        if let Some(Verdict::Allowed(allowance)) = self.verdict.as_deref() {
            changes::write(fields, &allowance.response_headers);
        }
    }
}

/// True if the route's requests are asked about.
pub(super) fn applies(taken: Taken<'_>) -> bool {
    *taken.route.external_authorization() != Some(RouteExternalAuthorization::Off)
}

/// Why there is no verdict.
enum Undecided {
    Fault(Fault),
    /// The request ends with this.
    Stop(Stop),
}

impl From<Fault> for Undecided {
    fn from(fault: Fault) -> Undecided {
        Undecided::Fault(fault)
    }
}

/// Asks the service. True if the request goes on; else it has been answered.
pub(super) async fn authorize(
    request: &mut Request<'_>,
    downstream: &mut Downstream<'_>,
    context: &RequestContext<'_>,
    taken: Taken<'_>,
    policy: &ExternalAuthorizationPolicy,
) -> bool {
    let mut authorized = Box::new(Authorized {
        ahead: None,
        held: None,
        verdict: None,
    });
    let mut held_up = None;
    // What follows an upgrade is the tunnel's.
    if let (Some(body), None) = (policy.config.body(), &request.upgrade)
        && request.length != BodyLength::None
    {
        match body::read(request, downstream, context, taken, body).await {
            Ok(ahead) => authorized.ahead = Some(ahead),
            Err(Unread::NoMemory(ahead)) => {
                authorized.ahead = Some(ahead);
                held_up = Some(Fault::Memory);
            }
            Err(unread) => {
                let stop = match unread {
                    Unread::Stop(stop) => stop,
                    _ => {
                        context.listener().external_authorizations[Outcome::BodyTooLong].inc();
                        Stop::Reply(LocalReply::BodyTooLarge)
                    }
                };
                refusal::stop(request, downstream, context, taken, stop).await;
                return false;
            }
        }
    }
    if let Some(ahead) = &authorized.ahead {
        request.record.bytes_received = ahead.bytes() as u64;
        request.record.set_request_ended(ahead.ended);
    }
    // Nobody else says so.
    request.head.fields.remove(FAILURE_ALLOWED);
    let decided = match held_up {
        Some(fault) => Err(fault.into()),
        None => {
            decide(
                request,
                downstream,
                context,
                taken,
                policy,
                authorized.ahead.as_ref(),
            )
            .await
        }
    };
    let goes_on = match decided {
        Ok(verdict) => {
            authorized.verdict = Some(Rc::clone(&verdict));
            follow(request, downstream, context, taken, policy, &verdict).await
        }
        Err(Undecided::Fault(fault)) => {
            failed(request, downstream, context, taken, policy, fault, None).await
        }
        Err(Undecided::Stop(stop)) => {
            refusal::stop(request, downstream, context, taken, stop).await;
            false
        }
    };
    if goes_on {
        request.authorized = Some(authorized);
    }
    goes_on
}

/// Does what the verdict says.
async fn follow(
    request: &mut Request<'_>,
    downstream: &mut Downstream<'_>,
    context: &RequestContext<'_>,
    taken: Taken<'_>,
    policy: &ExternalAuthorizationPolicy,
    verdict: &Verdict,
) -> bool {
    let outcomes = &context.listener().external_authorizations;
    match verdict {
        Verdict::Allowed(allowance) => {
            outcomes[Outcome::Allowed].inc();
            changes::apply(request.head, allowance);
            true
        }
        Verdict::Denied(denial) => {
            outcomes[Outcome::Denied].inc();
            refusal::deny(request, downstream, context, taken, denial).await;
            false
        }
        Verdict::Failed(answer) => {
            let fault = Fault::Declared;
            failed(request, downstream, context, taken, policy, fault, Some(answer)).await
        }
    }
}

/// Lets the request through or refuses it; `answer` is what the service has to say of its failure.
async fn failed(
    request: &mut Request<'_>,
    downstream: &mut Downstream<'_>,
    context: &RequestContext<'_>,
    taken: Taken<'_>,
    policy: &ExternalAuthorizationPolicy,
    fault: Fault,
    answer: Option<&Denial>,
) -> bool {
    let cells = context.listener();
    cells.external_authorization_faults[fault].inc();
    // A service that said yes to something else than what would be sent, or that cannot be asked, has not failed.
    let may_be_let_through = !matches!(fault, Fault::InvalidChange | Fault::NotExpressible);
    if policy.config.failure_allowed() && may_be_let_through {
        cells.external_authorizations[Outcome::FailureAllowed].inc();
        request.head.fields.set(FAILURE_ALLOWED.as_bytes(), b"true");
        return true;
    }
    cells.external_authorizations[Outcome::Failed].inc();
    let status = policy.config.error_status();
    refusal::fail(request, downstream, context, taken, fault, status, answer).await;
    false
}

/// The verdict: one that is kept, or what the service says now.
async fn decide(
    request: &Request<'_>,
    downstream: &mut Downstream<'_>,
    context: &RequestContext<'_>,
    taken: Taken<'_>,
    policy: &ExternalAuthorizationPolicy,
    ahead: Option<&Ahead>,
) -> Result<Rc<Verdict>, Undecided> {
    let worker = context.worker();
    let cells = context.listener();
    let asking = Asking::new(request, context, taken, policy, ahead);
    let key = asking.key();
    if let Some(key) = &key {
        let kept = worker.decisions.find(policy.id, key, worker.tick());
        let used = match kept {
            Some(_) => DecisionCacheUse::Hit,
            None => DecisionCacheUse::Miss,
        };
        cells.external_authorization_cache[used].inc();
        if let Some(verdict) = kept {
            return Ok(verdict);
        }
    }
    let answer = put(request, &asking, downstream, context, policy).await?;
    if answer.has_metadata {
        cells.external_authorization_metadata_ignored.inc();
    }
    let verdict = Rc::new(judged(answer.verdict, context)?);
    if let (Some(key), Some(cache)) = (key, policy.config.cache())
        && !matches!(*verdict, Verdict::Failed(_))
    {
        worker
            .decisions
            .keep(policy.id, key, Rc::clone(&verdict), cache.into(), worker.tick());
    }
    Ok(verdict)
}

/// Puts the question to the service, for as long as the client is there and in its right.
async fn put(
    request: &Request<'_>,
    asking: &Asking<'_>,
    downstream: &mut Downstream<'_>,
    context: &RequestContext<'_>,
    policy: &ExternalAuthorizationPolicy,
) -> Result<Answer, Undecided> {
    let worker = context.worker();
    let cells = context.listener();
    let cluster = context
        .snapshot
        .cluster(policy.cluster)
        .expect("a chain's clusters are in its snapshot");
    let codec = &*worker.authorization_codec;
    let message = match asking.message(codec) {
        Asked::Message(message) => message,
        Asked::NotExpressible => return Err(Fault::NotExpressible.into()),
    };
    let limits = AskLimits {
        timeout: policy.config.timeout(),
        answer_bytes_max: EXTERNAL_AUTHORIZATION_ANSWER_BYTES_MAX,
    };
    cells.external_authorization_questions.inc();
    let started = worker.tick();
    let answering = std::pin::pin!(ask(worker, cluster, context.ends(), &message, limits));
    let wait = DeadlineWait::Authorization;
    let answered = while_wanted(request, downstream, context, wait, answering)
        .await
        .map_err(Undecided::Stop)?;
    cells
        .external_authorization_duration
        .observe(worker.tick().duration_since(started));
    let reply = answered.map_err(NoAnswer::from)?;
    Ok(match policy.config.service() {
        AuthorizationService::Grpc(_) => {
            let check = grpc::read(&reply)?;
            codec.decode_check(&check).map_err(|fault| {
                tracing::debug!(%fault, "an authorization service's answer cannot be read");
                Fault::Unreadable
            })?
        }
        AuthorizationService::Http(service) => http::read(reply, service)?,
    })
}

impl From<NoAnswer> for Undecided {
    fn from(no_answer: NoAnswer) -> Undecided {
        Undecided::Fault(no_answer.into())
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

/// Judges what a verdict would change. A denial stands whatever its headers are: those that cannot be sent are left out.
fn judged(verdict: Verdict, context: &RequestContext<'_>) -> Result<Verdict, Fault> {
    let judge_answer = |mut denial: Box<Denial>| {
        let before = denial.headers.len();
        denial
            .headers
            .retain_mut(|change| changes::judge_header(change).is_ok());
        denial
            .headers
            .truncate(outrigger_config::model::defaults::EXTERNAL_AUTHORIZATION_CHANGES_MAX);
        if denial.headers.len() < before {
            context.listener().external_authorization_faults[Fault::InvalidChange].inc();
        }
        denial
    };
    Ok(match verdict {
        Verdict::Allowed(allowance) => {
            let judged: Box<Allowance> = changes::judge(allowance).map_err(|_| Fault::InvalidChange)?;
            Verdict::Allowed(judged)
        }
        Verdict::Denied(denial) => Verdict::Denied(judge_answer(denial)),
        Verdict::Failed(denial) => Verdict::Failed(judge_answer(denial)),
    })
}
