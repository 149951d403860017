//! Whether there is another attempt, and what is waited before: what was tried, the rules, and the place in the retry budget.
//!
//! Nothing here is asked of a request that has no retry policy and whose first attempt is answered.

use super::super::active::{ActiveRequest, BudgetedRetry};
use super::super::exchange::{Exchange, Stop};
use super::super::{Request, RequestContext, Taken, is_idempotent};
use super::answer::{Answer, ThrownAway, asked_wait};
use crate::error::AttemptError;
use crate::pick::Tried;
use crate::reply::LocalReply;
use crate::upstream::Upstream;
use crate::worker::Worker;
use outrigger_config::model::RetryConditions;
use outrigger_http1::{Fields, KnownName, ResponseHead};
use outrigger_telemetry::{EventKind, ResponseFlags, RetryDenied, RetryReason, RetryWait};
use outrigger_traffic::retry::{
    AnswerCause, AttemptFailure, Decision, GiveUp, RETRY_BUDGET, RETRY_NUMBER, RetryRules, Standing,
    after_interval, default_decision,
};
use std::sync::Arc;
use std::time::Duration;

/// The shortest wait that an answer may ask for; below it the policy's own counts (as in Envoy).
const ASKED_WAIT_MIN: Duration = Duration::from_millis(1);

/// The attempts of one request.
pub(super) struct Series<'a> {
    pub(super) tried: Tried,
    /// None: there is no policy, and the default decides.
    rules: Option<Arc<RetryRules>>,
    active: &'a ActiveRequest<'a>,
    /// To what a believed peer lowers the budget of retries that may run twice, in percent.
    restraint: Option<u32>,
    /// There once there was a retry.
    retried: Option<Box<Retried<'a>>>,
}

/// What is kept from the first retry on.
#[derive(Default)]
struct Retried<'a> {
    budgeted: Option<BudgetedRetry<'a>>,
    /// There while an attempt is made beside another.
    hedged: Option<BudgetedRetry<'a>>,
    /// The one retry that does not count was made.
    has_moved: bool,
    /// What is waited before the next attempt.
    wait: Duration,
}

impl<'a> Series<'a> {
    /// The request that the attempts are for.
    #[inline(always)]
    pub(super) fn active(&self) -> &ActiveRequest<'a> {
        self.active
    }

    #[inline(always)]
    pub(super) fn begin(
        request: &Request<'_>,
        taken: Taken<'_>,
        active: &'a ActiveRequest<'a>,
    ) -> Series<'a> {
        let aim = request.session.as_ref().map(|session| Box::new(session.aim));
        let rules = match &request.hints {
            None => taken.policy.retry.clone(),
            Some(hints) => hints.rules(taken.policy.retry.as_ref()),
        };
        Series {
            tried: Tried::aiming(aim),
            rules,
            active,
            restraint: request.hints.as_ref().and_then(|hints| hints.budget_percent()),
            retried: None,
        }
    }

    pub(super) fn rules(&self) -> Option<&RetryRules> {
        self.rules.as_deref()
    }

    /// Tells the next hop whether this attempt is a retry, and what is left for retries behind this one: nothing if they are
    /// made here. What a peer has told goes on as it counts here, not as it came.
    #[inline(always)]
    pub(super) fn tell(&self, request: &mut Request<'_>, exchange: &Exchange<'_, '_>) {
        if self.rules.is_some() || self.retried.is_some() || request.hints.is_some() {
            self.tell_next_hop(request, exchange);
        }
    }

    #[inline(never)]
    fn tell_next_hop(&self, request: &mut Request<'_>, exchange: &Exchange<'_, '_>) {
        let told = request.hints.as_ref().map_or(0, |hints| hints.retry_number());
        let number = told + self.tried.attempts().saturating_sub(1);
        let percent = told_budget(self.rules(), self.standing(request, exchange), self.restraint);
        let fields = &mut request.head.fields;
        if number > 0 {
            fields.set(RETRY_NUMBER.as_bytes(), number.to_string().as_bytes());
        }
        if let Some(percent) = percent {
            fields.set(RETRY_BUDGET.as_bytes(), percent.to_string().as_bytes());
        }
    }

    /// True if the request may be sent twice at once.
    pub(super) fn may_run_twice(&self, request: &Request<'_>, exchange: &Exchange<'_, '_>) -> bool {
        self.rules.is_some() && self.standing(request, exchange).idempotent
    }

    /// True if the policy allows one more attempt.
    pub(super) fn has_attempts_left(&self) -> bool {
        self.rules()
            .is_some_and(|rules| self.tried.attempts() <= rules.retries_max())
    }

    /// Takes a place in the budget for an attempt beside another.
    pub(super) fn begin_hedge(&mut self, worker: &Worker) -> Result<(), RetryDenied> {
        let budgeted = self.active.budgeted(worker, self.restraint, true)?;
        self.retried.get_or_insert_default().hedged = Some(budgeted);
        Ok(())
    }

    /// There is one attempt again.
    pub(super) fn end_hedge(&mut self) {
        if let Some(retried) = &mut self.retried {
            retried.hedged = None;
        }
    }

    /// True if an answer is one that policy would repeat: another attempt's is waited for.
    pub(super) fn is_unwanted(
        &self,
        request: &Request<'_>,
        exchange: &Exchange<'_, '_>,
        head: &ResponseHead,
        upstream: &mut Upstream,
    ) -> bool {
        let Some(rules) = &self.rules else {
            return false;
        };
        let answer = Answer {
            head,
            trailers: match rules.reads_grpc_status() {
                true => upstream.peek_trailers(),
                false => None,
            },
        };
        let judged = rules.judge_answer(&answer, self.standing(request, exchange));
        judged.cause.is_some()
    }

    /// Decides what follows an attempt that failed: nothing that stops here, or what the request ends with.
    #[cold]
    pub(super) fn judge_failure(
        &mut self,
        request: &mut Request<'_>,
        exchange: &Exchange<'_, '_>,
        context: &RequestContext<'_>,
        error: AttemptError,
    ) -> Result<(), Stop> {
        let failure = error.failure;
        let endpoint = request.record.upstream_host();
        tracing::debug!(?failure, source = ?error.source, endpoint, "attempt failed");
        let standing = self.standing(request, exchange);
        let decision = match &self.rules {
            Some(rules) => rules.judge_failure(failure, standing),
            None => default_decision(
                failure,
                standing.idempotent,
                standing.replayable,
                standing.attempts_made,
            ),
        };
        if let Decision::GiveUp(why) = decision {
            self.note_give_up(request, context, why);
            let is_used_up = why == GiveUp::AttemptsUsedUp;
            if is_used_up {
                self.active.cells.retry_limits_exceeded.inc();
            }
            return Err(Stop::Reply(failed(error, is_used_up, false)));
        }
        let by_policy = self
            .rules()
            .is_some_and(|rules| rules.conditions() != RetryConditions::NONE);
        // To send on what no endpoint has seen multiplies nothing.
        let percent = self.restraint.filter(|_| by_policy && !failure.never_ran());
        if let Err(denied) = self.begin_retry(context.worker(), Some(failure), percent) {
            note_denied(request, context, denied);
            if denied == RetryDenied::Restrained {
                explain_restraint(request, error.detail);
            }
            return Err(Stop::Reply(failed(error, false, true)));
        }
        request.may_have_run |= !failure.never_ran();
        let reason = retry_reason(failure);
        self.active.cells.retries[reason].inc();
        // A move is made at once, and so is the default retry.
        let wait = self.backoff(context.worker()).filter(|_| !failure.is_move());
        self.next_after(wait, RetryWait::Backoff);
        self.note_retry(request, context, reason);
        Ok(())
    }

    /// Decides whether the answer whose head is here is thrown away for another attempt. What is passed on says why there is
    /// none.
    #[cold]
    pub(super) fn judge_answer(
        &mut self,
        request: &mut Request<'_>,
        exchange: &mut Exchange<'_, '_>,
        context: &RequestContext<'_>,
        upstream: &mut Upstream,
    ) -> bool {
        exchange.end_try();
        let Some(rules) = self.rules.clone() else {
            return false;
        };
        let reads_trailers =
            rules.reads_grpc_status() && !exchange.response.fields.contains(KnownName::GrpcStatus);
        let answer = Answer {
            head: &exchange.response,
            trailers: if reads_trailers {
                upstream.peek_trailers()
            } else {
                None
            },
        };
        let standing = self.standing(request, exchange);
        let judged = rules.judge_answer(&answer, standing);
        let (Decision::Retry, Some(cause)) = (judged.decision, judged.cause) else {
            // It is no failure where no condition would have had it again.
            if let (Decision::GiveUp(why), Some(_)) = (judged.decision, judged.cause) {
                self.note_give_up(request, context, why);
            }
            self.passed_on(request, &mut exchange.response.fields, judged.decision);
            return false;
        };
        if let Err(denied) = self.begin_retry(
            context.worker(),
            None,
            self.restraint.filter(|_| judged.may_have_run),
        ) {
            note_denied(request, context, denied);
            if denied == RetryDenied::Restrained {
                explain_restraint(request, "via_upstream");
            }
            request.record.flag(ResponseFlags::UO);
            hide_refusals(request, &mut exchange.response.fields);
            return false;
        }
        request.may_have_run |= judged.may_have_run;
        let reason = answer_reason(cause);
        self.active.cells.retries[reason].inc();
        let asked = rules.retry_after_max().and_then(|max| {
            let asked = asked_wait(&exchange.response.fields)?;
            (asked > ASKED_WAIT_MIN && asked <= max).then_some(asked)
        });
        let worker = context.worker();
        match asked {
            Some(asked) => self.next_after(Some(after_interval(asked, worker.random())), RetryWait::Answer),
            None => self.next_after(self.backoff(worker), RetryWait::Backoff),
        }
        self.note_retry(request, context, reason);
        true
    }

    /// The story goes on with another attempt.
    fn note_retry(&self, request: &mut Request<'_>, context: &RequestContext<'_>, reason: RetryReason) {
        let wait = self
            .retried
            .as_ref()
            .map_or(Duration::ZERO, |retried| retried.wait);
        let milliseconds = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let now = context.worker().now();
        let record = &mut request.record;
        record.note(now, EventKind::Retry, "", reason.as_str(), milliseconds);
    }

    /// The story ends with this attempt because of what policy says.
    fn note_give_up(&self, request: &mut Request<'_>, context: &RequestContext<'_>, why: GiveUp) {
        let attempts_max = match (why, self.rules()) {
            (GiveUp::AttemptsUsedUp, Some(rules)) => u64::from(rules.retries_max()) + 1,
            _ => 0,
        };
        note_no_retry(request, context, why.as_str(), attempts_max);
    }

    fn passed_on(&self, request: &mut Request<'_>, fields: &mut Fields, decision: Decision) {
        match decision {
            Decision::GiveUp(GiveUp::AttemptsUsedUp) => {
                self.active.cells.retry_limits_exceeded.inc();
                request.record.flag(ResponseFlags::URX);
            }
            Decision::GiveUp(GiveUp::NotWanted) if self.tried.attempts() > 1 => {
                self.active.cells.retry_successes.inc();
            }
            _ => {}
        }
        hide_refusals(request, fields);
    }

    fn standing(&self, request: &Request<'_>, exchange: &Exchange<'_, '_>) -> Standing {
        let by_method = is_idempotent(&request.head.method);
        let has_header = |name: &str| request.head.fields.find(name).is_some();
        Standing {
            idempotent: match &self.rules {
                Some(rules) => rules.may_run_twice(by_method, has_header),
                None => by_method,
            },
            replayable: exchange.is_replayable(),
            attempts_made: self.tried.attempts(),
        }
    }

    /// Takes a place in the budget, after a failure or, without one, after an answer. The first move of a request needs none.
    fn begin_retry(
        &mut self,
        worker: &Worker,
        failure: Option<AttemptFailure>,
        percent: Option<u32>,
    ) -> Result<(), RetryDenied> {
        let active = self.active;
        let retried = self.retried.get_or_insert_default();
        let is_move = failure.is_some_and(|failure| failure.is_move());
        if is_move && !std::mem::replace(&mut retried.has_moved, true) {
            return Ok(());
        }
        // The retry before has ended.
        retried.budgeted = None;
        retried.budgeted =
            Some(active.begin_retry(worker, percent, failure.is_none_or(|failure| failure.was_sent()))?);
        Ok(())
    }

    fn backoff(&self, worker: &Worker) -> Option<Duration> {
        let rules = self.rules.as_ref()?;
        let is_default = rules.conditions() == RetryConditions::NONE;
        (!is_default).then(|| rules.backoff(self.tried.attempts(), worker.random()))
    }

    fn next_after(&mut self, wait: Option<Duration>, by: RetryWait) {
        if wait.is_some() {
            self.active.cells.retry_waits[by].inc();
        }
        if let Some(retried) = &mut self.retried {
            retried.wait = wait.unwrap_or_default();
        }
        if self
            .rules
            .as_ref()
            .is_some_and(|rules| !rules.avoids_tried_endpoints())
        {
            self.tried.forget_endpoints();
        }
    }

    /// True if something is waited before the next attempt.
    pub(super) fn waits(&self) -> bool {
        self.retried
            .as_ref()
            .is_some_and(|retried| !retried.wait.is_zero())
    }

    /// Waits, and reads what is left of an answer that is thrown away, for as long as the request has its right, its time
    /// and its client.
    pub(super) async fn wait(
        &self,
        exchange: &mut Exchange<'_, '_>,
        request: &Request<'_>,
        thrown_away: Option<Box<ThrownAway>>,
    ) -> Result<(), Stop> {
        let wait = self
            .retried
            .as_ref()
            .map_or(Duration::ZERO, |retried| retried.wait);
        exchange.pause(request, wait, thrown_away).await
    }
}

/// What the next hop is told of the budget: nothing is left where this one repeats what may have run of this request. Of a
/// request that it cannot repeat it passes on what it was told itself.
fn told_budget(rules: Option<&RetryRules>, standing: Standing, restraint: Option<u32>) -> Option<u32> {
    let repeats = rules.is_some_and(RetryRules::repeats_what_may_have_run);
    if repeats && standing.idempotent && standing.replayable {
        Some(0)
    } else {
        restraint
    }
}

/// The story ends with this attempt, though it failed or policy would have another for its answer. `attempts_max`: how many
/// may be made, if that is why.
fn note_no_retry(
    request: &mut Request<'_>,
    context: &RequestContext<'_>,
    why: &'static str,
    attempts_max: u64,
) {
    let now = context.worker().now();
    let record = &mut request.record;
    record.note(now, EventKind::NoRetry, "", why, attempts_max);
}

fn note_denied(request: &mut Request<'_>, context: &RequestContext<'_>, denied: RetryDenied) {
    let why = match denied {
        RetryDenied::AtOnce => "budget_at_once",
        RetryDenied::Recent => "budget_recent",
        RetryDenied::Restrained => "restrained",
    };
    note_no_retry(request, context, why, 0);
}

/// It is told that there was no retry because a peer makes them.
fn explain_restraint(request: &mut Request<'_>, details: &str) {
    request.record.explain(format!("{details}{{retry_restrained}}"));
}

/// An earlier attempt may have run: that the last one did not says nothing of the request, and a proxy in front of this one
/// must not believe that it can be sent again.
fn hide_refusals(request: &Request<'_>, fields: &mut Fields) {
    if request.may_have_run {
        fields.remove_known(KnownName::XEnvoyOverloaded);
        fields.remove("x-envoy-ratelimited");
    }
}

fn failed(error: AttemptError, retries_exhausted: bool, over_budget: bool) -> LocalReply {
    LocalReply::Attempt {
        failure: error.failure,
        detail: error.detail,
        retries_exhausted,
        over_budget,
    }
}

fn answer_reason(cause: AnswerCause) -> RetryReason {
    match cause {
        AnswerCause::Status => RetryReason::Status,
        AnswerCause::Grpc => RetryReason::GrpcStatus,
        AnswerCause::Header => RetryReason::Header,
        AnswerCause::RateLimited => RetryReason::RateLimited,
    }
}

/// The label of a retry after this failure.
pub(in super::super) fn retry_reason(failure: AttemptFailure) -> RetryReason {
    match failure {
        AttemptFailure::ConnectFailed | AttemptFailure::ConnectTimeout => RetryReason::ConnectFailure,
        AttemptFailure::RefusedStream => RetryReason::RefusedStream,
        AttemptFailure::GoAwayAboveStream => RetryReason::Goaway,
        AttemptFailure::PooledClosedBeforeWrite => RetryReason::PooledClosed,
        AttemptFailure::DiedBeforeAnswer { .. } => RetryReason::DiedBeforeAnswer,
        AttemptFailure::DiedAfterAnswer
        | AttemptFailure::ResetBeforeAnswer
        | AttemptFailure::Overflow
        | AttemptFailure::BodyTooLargeToReplay => RetryReason::Reset,
        AttemptFailure::TimedOut | AttemptFailure::TimedOutBeforeSend => RetryReason::PerTryTimeout,
        AttemptFailure::ResponseInvalid
        | AttemptFailure::RequestInvalid
        | AttemptFailure::UpgradeNotKnown => RetryReason::ResponseInvalid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use outrigger_traffic::retry::RetryHints;

    #[test]
    fn the_next_hop_is_told_to_stand_down_only_for_what_is_repeated_here() {
        let mut hints = RetryHints::default();
        hints.note(b"x-envoy-retry-on", b"5xx");
        let repeating = RetryRules::hinted(None, &hints);
        let standing = |idempotent, replayable| Standing {
            idempotent,
            replayable,
            attempts_made: 1,
        };
        for restraint in [None, Some(7)] {
            let told = |rules, standing| told_budget(rules, standing, restraint);
            assert_eq!(told(Some(&repeating), standing(true, true)), Some(0));
            assert_eq!(told(Some(&repeating), standing(false, true)), restraint);
            assert_eq!(told(Some(&repeating), standing(true, false)), restraint);
            assert_eq!(told(None, standing(true, true)), restraint);
        }
    }
}
