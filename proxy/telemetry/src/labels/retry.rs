//! Labels of retries.

use crate::cell::labelled::Label;

labels! {
    /// Why an attempt was followed by another.
    pub enum RetryReason = "reason" {
        /// No connection could be made.
        ConnectFailure = "connect_failure",
        /// The endpoint refused the stream unprocessed.
        RefusedStream = "refused_stream",
        /// The stream was above GOAWAY's last.
        Goaway = "goaway",
        /// A pooled connection was found closed before a byte of the request was written.
        PooledClosed = "pooled_closed",
        /// The connection died before a byte of the answer.
        DiedBeforeAnswer = "died_before_answer",
        /// The stream was reset, or the connection died when an answer had begun.
        Reset = "reset",
        /// The attempt's own time was up.
        PerTryTimeout = "per_try_timeout",
        /// The answer could not be read.
        ResponseInvalid = "response_invalid",
        /// The answer's status.
        Status = "status",
        /// The answer's gRPC status.
        GrpcStatus = "grpc_status",
        /// A header of the answer.
        Header = "header",
        /// The answer said that a rate limit had refused the request.
        RateLimited = "rate_limited",
    }

    /// Which bound of the retry budget did not allow a retry.
    pub enum RetryDenied = "bound" {
        /// Too many were under way.
        AtOnce = "at_once" from_zero,
        /// Too many of the last seconds.
        Recent = "recent" from_zero,
        /// A believed peer retries by itself, or has lowered the budget.
        Restrained = "restrained",
    }

    /// What said how long is waited before a retry.
    pub enum RetryWait = "by" {
        /// The policy's backoff.
        Backoff = "backoff",
        /// The answer: `retry-after` or `x-ratelimit-reset`.
        Answer = "answer",
    }
}
