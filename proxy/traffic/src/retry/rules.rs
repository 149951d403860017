//! The retry policy in force for a request: its route's, with what a believed peer asks for on top.

use super::hints::RetryHints;
use super::{AttemptFailure, Decision, GiveUp, backoff};
use crate::value_matches;
use outrigger_config::model::{HedgeAfter, Idempotence, RetryConditions, RetryPolicy, defaults};
use std::sync::Arc;
use std::time::Duration;

/// The head of an answer, as retry rules read it.
pub trait AnswerView {
    /// Its status.
    fn status(&self) -> u16;
    /// The value of a field, in `joined` where there are several; `name` in lower case.
    fn field<'a>(&'a self, name: &str, joined: &'a mut Vec<u8>) -> Option<&'a [u8]>;
    /// The gRPC status among its fields, or among trailers that are there with them.
    fn grpc_status(&self) -> Option<u8>;
}

/// What is known of a request when one of its attempts has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// It may be sent twice though it may have run: see [`RetryRules::may_run_twice`].
    pub idempotent: bool,
    /// Every byte of its body that was read is still here.
    pub replayable: bool,
    /// Attempts that were made, the one that has ended included.
    pub attempts_made: u32,
}

/// What an answer is repeated for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AnswerCause {
    /// Its status.
    Status,
    /// Its gRPC status.
    Grpc,
    /// One of its headers.
    Header,
    /// It says that a rate limit has refused the request.
    RateLimited,
}

/// What an answer means for its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judged {
    /// Whether there is to be another attempt.
    pub decision: Decision,
    /// What for, if there is one.
    pub cause: Option<AnswerCause>,
    /// The answer does not say that the request was refused before it ran.
    pub may_have_run: bool,
}

/// The retry policy in force for a request. Whatever it says, no request that may have run is sent again unless it is
/// idempotent.
#[derive(Debug, Clone)]
pub struct RetryRules {
    policy: Option<Arc<RetryPolicy>>,
    conditions: RetryConditions,
    retries_max: u32,
    per_try_timeout: Option<Duration>,
    /// What a peer adds to the policy's.
    hinted_statuses: Box<[u16]>,
    hinted_headers: Box<[Box<str>]>,
}

/// Conditions that read a gRPC status, with the status.
const GRPC_CONDITIONS: [(RetryConditions, u8); 5] = [
    (RetryConditions::CANCELLED, 1),
    (RetryConditions::DEADLINE_EXCEEDED, 4),
    (RetryConditions::RESOURCE_EXHAUSTED, 8),
    (RetryConditions::INTERNAL, 13),
    (RetryConditions::UNAVAILABLE, 14),
];

impl RetryRules {
    /// A route's policy.
    pub fn compile(policy: &Arc<RetryPolicy>) -> RetryRules {
        RetryRules {
            conditions: *policy.retry_on(),
            retries_max: policy.retries_max(),
            per_try_timeout: policy.per_try_timeout(),
            policy: Some(Arc::clone(policy)),
            hinted_statuses: Box::default(),
            hinted_headers: Box::default(),
        }
    }

    /// A route's rules, if it has any, and what a request's headers say: conditions, statuses and names of headers are
    /// added, numbers and times take the place of the policy's (as in Envoy).
    pub fn hinted(route: Option<&RetryRules>, hints: &RetryHints) -> RetryRules {
        let mut rules = route.cloned().unwrap_or(RetryRules {
            policy: None,
            conditions: RetryConditions::NONE,
            retries_max: defaults::RETRIES_MAX,
            per_try_timeout: None,
            hinted_statuses: Box::default(),
            hinted_headers: Box::default(),
        });
        rules.conditions = rules.conditions.and(hints.conditions);
        rules.retries_max = hints.retries_max.unwrap_or(rules.retries_max);
        rules.per_try_timeout = hints.per_try_timeout.or(rules.per_try_timeout);
        rules.hinted_statuses = hints.statuses.as_slice().into();
        rules.hinted_headers = hints.header_names.as_slice().into();
        rules
    }

    /// What is repeated.
    pub fn conditions(&self) -> RetryConditions {
        self.conditions
    }

    /// True if requests are repeated that may have reached an endpoint, so that whoever is behind this proxy should not: a request
    /// that is turned away before an endpoint has seen it costs nothing behind it.
    pub fn repeats_what_may_have_run(&self) -> bool {
        let before = RetryConditions::CONNECT_FAILURE
            .and(RetryConditions::REFUSED_STREAM)
            .and(RetryConditions::RESET_BEFORE_REQUEST);
        self.retries_max > 0
            && (self.conditions.without(before) != RetryConditions::NONE
                || self
                    .policy
                    .as_ref()
                    .is_some_and(|policy| policy.hedging().is_some()))
    }

    /// Attempts after the first, at most.
    pub fn retries_max(&self) -> u32 {
        self.retries_max
    }

    /// One attempt, from its start, or the request's end if that is later, to the end of its answer's head.
    pub fn per_try_timeout(&self) -> Option<Duration> {
        self.per_try_timeout
    }

    /// How long an attempt is waited for: [`RetryRules::per_try_timeout`], unless another is made beside it then.
    pub fn attempt_ends_after(&self) -> Option<Duration> {
        let hedging = self.policy.as_ref().and_then(|policy| policy.hedging().as_ref());
        match hedging.map(|hedging| hedging.after()) {
            Some(HedgeAfter::PerTryTimeout) => None,
            _ => self.per_try_timeout,
        }
    }

    /// How long nothing may move on an attempt before its answer's head is there.
    pub fn per_try_idle_timeout(&self) -> Option<Duration> {
        self.policy
            .as_ref()
            .and_then(|policy| policy.per_try_idle_timeout())
    }

    /// The longest that an answer may ask to wait; none: it is not asked.
    pub fn retry_after_max(&self) -> Option<Duration> {
        self.policy.as_ref().and_then(|policy| policy.retry_after_max())
    }

    /// Endpoints that were tried are avoided.
    pub fn avoids_tried_endpoints(&self) -> bool {
        self.policy
            .as_ref()
            .is_none_or(|policy| policy.avoids_tried_endpoints())
    }

    /// How long is waited before retry number `number` (from 1).
    pub fn backoff(&self, number: u32, random: u64) -> Duration {
        let (base, max) = self.policy.as_ref().map_or(
            (defaults::RETRY_BACKOFF_BASE, defaults::RETRY_BACKOFF_MAX),
            |policy| (policy.backoff_base(), policy.backoff_max()),
        );
        backoff::backoff(base, max, number, random)
    }

    /// True if a request may be sent twice though it may have run: by its method, by what the route declares, or by a header.
    pub fn may_run_twice(&self, method_idempotent: bool, has_header: impl FnOnce(&str) -> bool) -> bool {
        method_idempotent
            || match self.policy.as_ref().map(|policy| policy.idempotence()) {
                None | Some(Idempotence::ByMethod) => false,
                Some(Idempotence::Declared) => true,
                Some(Idempotence::ByHeader(name)) => has_header(name.as_str()),
            }
    }

    /// Whether an attempt that failed is followed by another.
    pub fn judge_failure(&self, failure: AttemptFailure, standing: Standing) -> Decision {
        if self.conditions == RetryConditions::NONE {
            return super::default_decision(
                failure,
                standing.idempotent,
                standing.replayable,
                standing.attempts_made,
            );
        }
        let is_wanted = self.conditions.has(conditions_of(failure)) || failure.is_move();
        self.decide(is_wanted, !failure.never_ran(), standing)
    }

    /// Whether an answer is thrown away for another attempt.
    pub fn judge_answer(&self, answer: &impl AnswerView, standing: Standing) -> Judged {
        let mut joined = Vec::new();
        let mut has = |name| {
            joined.clear();
            answer.field(name, &mut joined).is_some()
        };
        let rate_limited = has("x-envoy-ratelimited");
        // Refused before it ran: whoever set these did nothing else.
        let may_have_run = !rate_limited && !has("x-envoy-overloaded");
        let cause = self.cause(answer, rate_limited);
        Judged {
            decision: self.decide(cause.is_some(), may_have_run, standing),
            cause,
            may_have_run,
        }
    }

    fn decide(&self, is_wanted: bool, may_have_run: bool, standing: Standing) -> Decision {
        if !is_wanted {
            Decision::GiveUp(GiveUp::NotWanted)
        } else if may_have_run && !standing.idempotent {
            Decision::GiveUp(GiveUp::NotIdempotent)
        } else if standing.attempts_made > self.retries_max {
            Decision::GiveUp(GiveUp::AttemptsUsedUp)
        } else if !standing.replayable {
            Decision::GiveUp(GiveUp::BodyNotKept)
        } else {
            Decision::Retry
        }
    }

    fn cause(&self, answer: &impl AnswerView, rate_limited: bool) -> Option<AnswerCause> {
        // As Envoy: by no other condition.
        if rate_limited {
            let wanted = self.conditions.has(RetryConditions::ENVOY_RATELIMITED);
            return wanted.then_some(AnswerCause::RateLimited);
        }
        if self.is_status_wanted(answer.status()) {
            return Some(AnswerCause::Status);
        }
        if self.conditions.has(RetryConditions::RETRIABLE_HEADERS) && self.has_wanted_header(answer) {
            return Some(AnswerCause::Header);
        }
        let grpc_status = answer.grpc_status()?;
        let mut wanted = GRPC_CONDITIONS.iter();
        wanted
            .any(|(condition, status)| *status == grpc_status && self.conditions.has(*condition))
            .then_some(AnswerCause::Grpc)
    }

    /// True if some condition reads a gRPC status.
    pub fn reads_grpc_status(&self) -> bool {
        GRPC_CONDITIONS
            .iter()
            .any(|(condition, _)| self.conditions.has(*condition))
    }

    fn is_status_wanted(&self, status: u16) -> bool {
        let on = |condition| self.conditions.has(condition);
        match status {
            502..=504 if on(RetryConditions::GATEWAY_ERROR) => true,
            500..=599 if on(RetryConditions::FIVE_XX) => true,
            409 if on(RetryConditions::RETRIABLE_4XX) => true,
            _ if on(RetryConditions::RETRIABLE_STATUS_CODES) => {
                let policy = self
                    .policy
                    .iter()
                    .flat_map(|policy| policy.retriable_status_codes());
                policy
                    .chain(self.hinted_statuses.iter())
                    .any(|wanted| *wanted == status)
            }
            _ => false,
        }
    }

    fn has_wanted_header(&self, answer: &impl AnswerView) -> bool {
        let mut wanted = self.policy.iter().flat_map(|policy| policy.retriable_headers());
        let mut joined = Vec::new();
        wanted.any(|condition| {
            joined.clear();
            let value = answer.field(condition.name().as_str(), &mut joined);
            value.is_some_and(|value| value_matches(condition.value(), value)) != condition.invert()
        }) || self.hinted_headers.iter().any(|name| {
            joined.clear();
            answer.field(name, &mut joined).is_some()
        })
    }
}

/// The conditions that hold for an attempt that failed without an answer. All of them count as `5xx` and `gateway-error`,
/// because such an answer is what they would become (as in Envoy).
fn conditions_of(failure: AttemptFailure) -> RetryConditions {
    let any = RetryConditions::FIVE_XX
        .and(RetryConditions::GATEWAY_ERROR)
        .and(RetryConditions::RESET);
    match failure {
        AttemptFailure::ConnectFailed | AttemptFailure::ConnectTimeout => any
            .and(RetryConditions::CONNECT_FAILURE)
            .and(RetryConditions::RESET_BEFORE_REQUEST),
        AttemptFailure::PooledClosedBeforeWrite | AttemptFailure::TimedOutBeforeSend => {
            any.and(RetryConditions::RESET_BEFORE_REQUEST)
        }
        // A stream above GOAWAY's last id was refused, too.
        AttemptFailure::RefusedStream | AttemptFailure::GoAwayAboveStream => {
            any.and(RetryConditions::REFUSED_STREAM)
        }
        AttemptFailure::DiedBeforeAnswer { .. }
        | AttemptFailure::DiedAfterAnswer
        | AttemptFailure::ResetBeforeAnswer
        | AttemptFailure::TimedOut
        | AttemptFailure::ResponseInvalid => any,
        AttemptFailure::BodyTooLargeToReplay
        | AttemptFailure::Overflow
        | AttemptFailure::RequestInvalid
        | AttemptFailure::UpgradeNotKnown => RetryConditions::NONE,
    }
}

#[cfg(test)]
mod tests;
