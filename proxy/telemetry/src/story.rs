//! The story of a request: what happened to it on its way, noted once as it happens, and told at its end by the access
//! log, the flight recorder and traces.
//!
//! A request to which nothing happened but one attempt that was answered has no story, unless it is a call of gRPC: what
//! there is to say of it stands in the data plane's record. Everything here is for the others, and may cost what it must.

use std::net::SocketAddr;
use std::time::Duration;

/// What happened to one request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Story {
    /// In place of the details of the answer: with the name of a policy, in Envoy's way (`name[policy]`).
    pub details: Option<Box<str>>,
    attempts: Vec<AttemptStory>,
    events: Vec<Event>,
    /// Attempts and events for which there was no place.
    left_out: u32,
}

impl Story {
    /// Attempts that a story tells of, at most, the last one aside. Retry policies that make more are rare.
    pub const ATTEMPTS_MAX: usize = 32;
    /// Events that a story tells of, at most.
    pub const EVENTS_MAX: usize = 64;

    /// The attempts that have ended before the request did, in the order of their ends.
    pub fn attempts(&self) -> &[AttemptStory] {
        &self.attempts
    }

    /// The events, in order.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Attempts and events for which there was no place ([`Story::ATTEMPTS_MAX`], [`Story::EVENTS_MAX`]).
    pub fn left_out(&self) -> u32 {
        self.left_out
    }

    /// Something happened beside one attempt that was answered.
    pub fn is_eventful(&self) -> bool {
        !self.attempts.is_empty() || !self.events.is_empty() || self.details.is_some()
    }

    /// Adds an attempt that is over.
    pub fn end_attempt(&mut self, attempt: AttemptStory) {
        if self.attempts.len() < Story::ATTEMPTS_MAX {
            self.attempts.push(attempt);
        } else {
            self.left_out += 1;
        }
    }

    /// Tells otherwise what became of the attempt with this number, which was beside another: it went on until then.
    pub fn amend_attempt(&mut self, number: u32, outcome: AttemptOutcome, ended: Duration) {
        if let Some(attempt) = self.attempts.iter_mut().find(|attempt| attempt.number == number) {
            attempt.outcome = outcome;
            attempt.ended = ended;
            if matches!(outcome, AttemptOutcome::Answered(_)) {
                attempt.answered.get_or_insert(ended);
            }
        }
    }

    /// Takes back the attempt with this number: it goes on.
    pub fn resume_attempt(&mut self, number: u32) -> Option<AttemptStory> {
        let place = self
            .attempts
            .iter()
            .position(|attempt| attempt.number == number)?;
        Some(self.attempts.remove(place))
    }

    /// Adds an event.
    pub fn note(&mut self, event: Event) {
        if self.events.len() < Story::EVENTS_MAX {
            self.events.push(event);
        } else {
            self.left_out += 1;
        }
    }
}

impl EventKind {
    /// It cuts a request off, whatever its answer's status is.
    pub(crate) fn is_cut(self) -> bool {
        matches!(self, EventKind::RightLost | EventKind::Drained)
    }
}

/// One attempt at one endpoint. Times are counted from the start of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptStory {
    /// Counted from 1.
    pub number: u32,
    /// The endpoint.
    pub endpoint: SocketAddr,
    /// When its endpoint was picked.
    pub started: Duration,
    /// When the head of its answer came.
    pub answered: Option<Duration>,
    /// When it was over.
    pub ended: Duration,
    /// What came of it.
    pub outcome: AttemptOutcome,
}

/// What came of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// Its answer has this status.
    Answered(u16),
    /// It failed; why, in snake case, as response code details have it.
    Failed(&'static str),
    /// It was given up because another one's answer was there, or because the request ended.
    Cancelled,
}

/// Something that happened to a request beside its attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Since the start of the request.
    pub at: Duration,
    /// What.
    pub kind: EventKind,
    /// The name of the policy, limit or cluster that is concerned; empty if it has none.
    pub subject: Box<str>,
    /// Why, or how, in snake case; empty if `kind` says it all.
    pub detail: &'static str,
    /// A number that belongs to it, by its kind; else 0.
    pub value: u64,
}

/// Declares the kinds of events with their names, and numbers them.
macro_rules! kinds {
    ($($(#[doc = $help:literal])+ $name:ident = $text:literal,)*) => {
        /// What can happen to a request beside its attempts.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum EventKind {
            $($(#[doc = $help])+ $name,)*
        }

        impl EventKind {
            /// All kinds; the place of each is its number.
            pub const ALL: &'static [EventKind] = &[$(EventKind::$name),*];

            /// Its name in snake case, as span events have it.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(EventKind::$name => $text,)*
                }
            }
        }
    };
}

kinds! {
    /// A token was asked for and none holds; `detail`: why.
    Unauthenticated = "unauthenticated",
    /// Authorization policies do not allow it; `subject`: the policy.
    Denied = "authorization_denied",
    /// It would be denied if shadow policies were in force; `subject`: the policy.
    ShadowDenied = "authorization_shadow_denied",
    /// An authorization service was asked; `detail`: what came of it.
    ExternallyAuthorized = "external_authorization",
    /// It comes too often; `subject`: the rate limit, `value`: seconds to wait, if known.
    RateLimited = "rate_limited",
    /// A rate limit service could not tell; `subject`: the rate limit, `detail`: why.
    RateLimitUnknown = "rate_limit_service_failed",
    /// A fault held it; `value`: milliseconds.
    FaultDelay = "fault_delay",
    /// A fault ended it; `value`: the status, or 0 for a reset.
    FaultAbort = "fault_abort",
    /// A fault slows its answer down; `value`: bytes a second.
    FaultRate = "fault_response_rate",
    /// A circuit breaker is open; `subject`: the cluster, `detail`: the limit.
    BreakerOpen = "breaker_open",
    /// There is no endpoint; `subject`: the cluster, `detail`: why.
    NoEndpoint = "no_endpoint",
    /// There will be another attempt; `detail`: why, `value`: milliseconds that are waited before.
    Retry = "retry",
    /// There is no other attempt although the last one failed; `detail`: why not, `value`: where that is the number of
    /// attempts, how many its policy allows.
    NoRetry = "no_retry",
    /// An attempt is made beside one that has not answered.
    Hedge = "hedge",
    /// Its time was up; `subject`: the limit that has passed, by its header or its field, `detail`: what it was waiting for,
    /// `value`: the limit in microseconds.
    DeadlinePassed = "deadline_passed",
    /// It lost its right while it was served; `detail`: why.
    RightLost = "right_lost",
    /// The process is near what it may have; `subject`: of what, `detail`: what refuses it, `value`: where a share of requests
    /// is refused, how many of a hundred.
    Overloaded = "overloaded",
    /// An attempt's time was up; `subject`: the limit, by its header or its field, `value`: that in microseconds.
    AttemptTimedOut = "attempt_timed_out",
    /// Nothing moved for too long; `subject`: the limit, `detail`: who did not move, `value`: the limit in microseconds.
    Idle = "idle",
    /// It was cut because its connection was to end, and the time for that was up.
    Drained = "drained",
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(number: u32) -> AttemptStory {
        AttemptStory {
            number,
            endpoint: SocketAddr::from(([127, 0, 0, 1], 80)),
            started: Duration::ZERO,
            answered: None,
            ended: Duration::from_millis(1),
            outcome: AttemptOutcome::Failed("connection_refused"),
        }
    }

    #[test]
    fn what_has_no_place_is_counted() {
        let mut story = Story::default();
        (1..=40).for_each(|number| story.end_attempt(attempt(number)));
        for value in 0..70 {
            story.note(Event {
                at: Duration::ZERO,
                kind: EventKind::Retry,
                subject: "".into(),
                detail: "",
                value,
            });
        }
        assert_eq!(
            (story.attempts().len(), story.events().len(), story.left_out()),
            (Story::ATTEMPTS_MAX, Story::EVENTS_MAX, 8 + 6)
        );
    }

    #[test]
    fn an_attempt_that_goes_on_is_no_part_of_what_has_ended() {
        let mut story = Story::default();
        story.end_attempt(attempt(1));
        story.end_attempt(attempt(2));
        assert_eq!(story.resume_attempt(1).map(|attempt| attempt.number), Some(1));
        assert_eq!(story.attempts(), [attempt(2)]);
        assert_eq!(story.resume_attempt(1), None);
    }

    #[test]
    fn what_became_of_an_attempt_beside_another_is_told_when_it_is_known() {
        let ms = Duration::from_millis;
        let mut story = Story::default();
        story.end_attempt(AttemptStory {
            outcome: AttemptOutcome::Cancelled,
            ..attempt(1)
        });
        let mut amended = |number, outcome, ended| {
            story.amend_attempt(number, outcome, ended);
            let attempt = story.attempts()[0];
            (attempt.outcome, attempt.ended, attempt.answered)
        };
        let cancelled = AttemptOutcome::Cancelled;
        assert_eq!(amended(1, cancelled, ms(7)), (cancelled, ms(7), None));
        let failed = AttemptOutcome::Failed("connection_reset");
        assert_eq!(amended(1, failed, ms(8)), (failed, ms(8), None));
        let answered = AttemptOutcome::Answered(503);
        assert_eq!(amended(1, answered, ms(9)), (answered, ms(9), Some(ms(9))));
        assert_eq!(amended(2, failed, ms(10)), (answered, ms(9), Some(ms(9))));
    }

    #[test]
    fn the_number_of_a_kind_is_its_place_and_names_differ() {
        for (place, kind) in EventKind::ALL.iter().enumerate() {
            assert_eq!(*kind as usize, place);
        }
        let mut names: Vec<&str> = EventKind::ALL.iter().map(|kind| kind.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), EventKind::ALL.len());
    }
}
