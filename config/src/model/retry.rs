//! Repeating requests: retries, hedging, and what bounds them.

use super::{HeaderMatch, HeaderName, SpiffeMatch, model};
use ipnet::IpNet;
use std::time::Duration;

model! {
    /// When a failed attempt is repeated. A request that may have run and is not idempotent is never sent twice, whatever is
    /// said here.
    pub struct RetryPolicy {
        /// What is repeated.
        by_ref retry_on: RetryConditions,
        /// Attempts after the first, at most; at least 1: [`super::defaults::RETRIES_MAX`].
        copy retries_max: u32,
        /// One attempt, from its start, or the request's end if that is later, to the end of its answer's head; none: no limit but the request's.
        copy per_try_timeout: Option<Duration>,
        /// An attempt on which nothing moves for this long before its answer's head is there has failed; none: no limit.
        copy per_try_idle_timeout: Option<Duration>,
        /// Before the retry of number n one waits a random part of this times 2^n - 1, at most `backoff_max` (full jitter):
        /// [`super::defaults::RETRY_BACKOFF_BASE`].
        copy backoff_base: Duration,
        /// [`super::defaults::RETRY_BACKOFF_MAX`].
        copy backoff_max: Duration,
        /// An answer's `retry-after` or `x-ratelimit-reset` of at most this long is waited for in place of the backoff (jitter
        /// is added); a longer one is not obeyed. None: those headers are not looked at.
        copy retry_after_max: Option<Duration>,
        /// Statuses that are repeated, where `retriable-status-codes` is among `retry_on`.
        by_ref retriable_status_codes: Vec<u16>,
        /// Answers that are repeated, where `retriable-headers` is among `retry_on`: one of these matches.
        by_ref retriable_headers: Vec<HeaderMatch>,
        /// Which requests may be sent twice though they may have run.
        by_ref idempotence: Idempotence,
        /// Endpoints that were tried are avoided while there are others: true.
        copy avoids_tried_endpoints: bool,
        /// Hedging; none: off.
        by_ref hedging: Option<Hedging>,
    }
}

/// What is repeated, as Envoy names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RetryConditions(pub(crate) u32);

macro_rules! conditions {
    ($($(#[$doc:meta])* $constant:ident = $bit:literal, $name:literal;)*) => {
        impl RetryConditions {
            $($(#[$doc])* pub const $constant: RetryConditions = RetryConditions(1 << $bit);)*

            /// All, with the names that they have in configurations and headers.
            pub const NAMES: &'static [(&'static str, RetryConditions)] =
                &[$(($name, RetryConditions::$constant)),*];
        }
    };
}

conditions! {
    /// A status of 500 to 599, or no answer at all.
    FIVE_XX = 0, "5xx";
    /// A status of 502, 503 or 504.
    GATEWAY_ERROR = 1, "gateway-error";
    /// The connection or stream ended without an answer.
    RESET = 2, "reset";
    /// As that, before the request was sent.
    RESET_BEFORE_REQUEST = 3, "reset-before-request";
    /// No connection came about.
    CONNECT_FAILURE = 4, "connect-failure";
    /// HTTP/2's REFUSED_STREAM.
    REFUSED_STREAM = 5, "refused-stream";
    /// A status of 409.
    RETRIABLE_4XX = 6, "retriable-4xx";
    /// One of `retriable_status_codes`.
    RETRIABLE_STATUS_CODES = 7, "retriable-status-codes";
    /// One of `retriable_headers`.
    RETRIABLE_HEADERS = 8, "retriable-headers";
    /// The answer has `x-envoy-ratelimited`.
    ENVOY_RATELIMITED = 9, "envoy-ratelimited";
    /// gRPC status 1.
    CANCELLED = 10, "cancelled";
    /// gRPC status 4.
    DEADLINE_EXCEEDED = 11, "deadline-exceeded";
    /// gRPC status 13.
    INTERNAL = 12, "internal";
    /// gRPC status 8.
    RESOURCE_EXHAUSTED = 13, "resource-exhausted";
    /// gRPC status 14.
    UNAVAILABLE = 14, "unavailable";
}

impl RetryConditions {
    /// Nothing.
    pub const NONE: RetryConditions = RetryConditions(0);

    /// True if one of `others` is among these.
    pub fn has(self, others: RetryConditions) -> bool {
        self.0 & others.0 != 0
    }

    /// These and others.
    pub const fn and(self, others: RetryConditions) -> RetryConditions {
        RetryConditions(self.0 | others.0)
    }

    /// These but for others.
    pub const fn without(self, others: RetryConditions) -> RetryConditions {
        RetryConditions(self.0 & !others.0)
    }

    /// Their names, in a fixed order.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        RetryConditions::NAMES
            .iter()
            .filter(move |(_, condition)| self.has(*condition))
            .map(|(name, _)| *name)
    }

    /// The condition of this name; case does not matter.
    pub fn named(name: &str) -> Option<RetryConditions> {
        RetryConditions::NAMES
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, condition)| *condition)
    }
}

/// Which requests may be sent twice though they may have run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Idempotence {
    /// Those whose method is idempotent by RFC 9110.
    ByMethod,
    /// All: whoever wrote the route says that what it leads to is idempotent.
    Declared,
    /// Those whose method is, and those with this header (`idempotency-key`).
    ByHeader(HeaderName),
}

model! {
    /// Sending a request a second time before the first attempt has failed. Only what is idempotent and kept whole for a
    /// replay is hedged; each hedge counts against the retry budget.
    pub struct Hedging {
        /// When.
        copy after: HedgeAfter,
        /// Attempts beside the first at once, at most: [`super::defaults::HEDGES_MAX`].
        copy hedges_max: u32,
        /// Hedges in proportion to the route's requests, percent, at most: [`super::defaults::HEDGE_EXTRA_LOAD_PERCENT`].
        copy extra_load_percent: u32,
    }
}

/// When another attempt is made beside one that has not answered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum HedgeAfter {
    /// After this long.
    Delay(Duration),
    /// After what this share of the route's latest requests needed, in thousandths of a percent below 100,000 (95,000 is
    /// the 95th percentile); never before `delay_min`, and not at all before enough were seen
    /// ([`super::defaults::HEDGE_SAMPLES_MIN`]).
    Quantile {
        /// The share.
        quantile: u32,
        /// A hedge is never made sooner: [`super::defaults::HEDGE_DELAY_MIN`].
        delay_min: Duration,
    },
    /// When an attempt's `per_try_timeout` passes; that attempt goes on (Envoy's `hedge_on_per_try_timeout`).
    PerTryTimeout,
}

/// How many retries of a cluster there may be (Envoy's `retry_budget`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryBudgetOptions {
    pub(crate) percent: u32,
    pub(crate) concurrency_min: u32,
}

impl RetryBudgetOptions {
    /// Retries in proportion to active and pending requests, and to the requests of the last ten seconds, percent:
    /// [`super::defaults::RETRY_BUDGET_PERCENT`].
    pub fn percent(self) -> u32 {
        self.percent
    }
    /// Retries at once that are always allowed: [`super::defaults::RETRY_BUDGET_MIN_CONCURRENCY`]. Unless it is 0,
    /// [`super::defaults::RETRY_BUDGET_MIN_RECENT`] in ten seconds are, too.
    pub fn concurrency_min(self) -> u32 {
        self.concurrency_min
    }
}

impl Default for RetryBudgetOptions {
    fn default() -> RetryBudgetOptions {
        RetryBudgetOptions {
            percent: super::defaults::RETRY_BUDGET_PERCENT,
            concurrency_min: super::defaults::RETRY_BUDGET_MIN_CONCURRENCY,
        }
    }
}

model! {
    /// Downstream peers whose hints are believed: deadlines, that a request is a retry and what budget is left
    /// (`x-outrigger-*`), and how a request is to be retried and timed (`x-envoy-retry-on`, `x-envoy-max-retries`,
    /// `x-envoy-upstream-rq-timeout-ms` and their like). Of all others those headers are taken off.
    pub struct HintPeers {
        /// Every peer with a verified SPIFFE id: true.
        copy authenticated: bool,
        /// Peers with one of these ids.
        by_ref identities: Vec<SpiffeMatch>,
        /// Peers of connections from these addresses.
        by_ref addresses: Vec<IpNet>,
    }
}

impl Default for HintPeers {
    fn default() -> HintPeers {
        HintPeers {
            authenticated: true,
            identities: Vec::new(),
            addresses: Vec::new(),
        }
    }
}
