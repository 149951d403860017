//! What rate limits decide, and what becomes of their keys and of questions to rate limit services.

use crate::cell::labelled::Label;

labels! {
    /// What a rate limit said of a request or a connection.
    pub enum RateLimitOutcome = "outcome" {
        /// It may pass.
        Allowed = "allowed",
        /// It was over the rate.
        Refused = "refused",
        /// It would have been refused, but the limit is a shadow.
        ShadowRefused = "shadow_refused",
        /// It lacks a part of the limit's descriptors: the limit does not count it.
        NotCounted = "not_counted",
        /// The service could not tell, and it was let through.
        FailureAllowed = "failure_allowed",
        /// The service could not tell, and it was refused.
        FailureRefused = "failure_refused",
    }

    /// A key that was forgotten because another came.
    pub enum RateLimitKeyDrop = "bucket" {
        /// Its bucket was full: nothing was lost.
        Full = "full",
        /// Tokens were missing from its bucket.
        Counting = "counting",
    }

    /// Why a rate limit service could not tell.
    pub enum RateLimitFault = "reason" {
        /// Its cluster has no endpoint.
        NoEndpoint = "no_endpoint",
        /// No connection could be made.
        Connect = "connect",
        /// There was no answer in time.
        Timeout = "timeout",
        /// The connection or stream ended before the answer.
        Broken = "broken",
        /// The answer's status, HTTP's or gRPC's, is an error.
        Status = "status",
        /// The answer is longer than what is read.
        TooLong = "too_long",
        /// The answer is no `RateLimitResponse`.
        Unreadable = "unreadable",
        /// The service says that it does not know.
        Unknown = "unknown",
        /// The answer wants a header written that cannot be.
        InvalidChange = "invalid_change",
    }
}
