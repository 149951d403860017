//! What is said between the data plane and a rate limit service, before it becomes protobuf: the question, and the answer.
//! Who speaks protobuf implements [`RateLimitCodec`].
//!
//! Nothing here asks anybody; that is `pipeline::rate_limit`. Limits that this process counts are
//! `outrigger_traffic::rate_limit`'s.

use crate::external_authorization::HeaderChange;
use bytes::Bytes;
use std::borrow::Cow;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// Puts questions and answers of Envoy's `envoy.service.ratelimit.v3.RateLimitService` into protobuf and back.
pub trait RateLimitCodec: std::fmt::Debug + Send + Sync {
    /// A `RateLimitRequest`.
    fn encode(&self, question: &RateLimitQuestion<'_>) -> Bytes;

    /// What a `RateLimitResponse` says. Names and values of headers are as they came: the data plane judges them.
    fn decode(&self, answer: &[u8]) -> Result<RateLimitAnswer, NoRateLimitResponse>;
}

/// What came is no `RateLimitResponse`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a RateLimitResponse")]
pub struct NoRateLimitResponse;

/// A descriptor: keys with their values, which are bytes where the request's were.
pub type Descriptor<'q> = Vec<(&'q str, Cow<'q, [u8]>)>;

/// What a service is asked.
#[derive(Debug)]
pub struct RateLimitQuestion<'q> {
    /// The domain.
    pub domain: &'q str,
    /// Descriptors, never empty; all count one hit.
    pub descriptors: Vec<Descriptor<'q>>,
}

/// What a service says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimitAnswer {
    /// What it says of all.
    pub verdict: RateLimitVerdict,
    /// What it says of each descriptor.
    pub quotas: Vec<Quota>,
    /// Headers that the response to the client gets besides.
    pub response_headers: Vec<HeaderChange>,
    /// Headers that the request gets besides, if it goes on.
    pub request_headers: Vec<HeaderChange>,
    /// The body of a refusal; empty: the proxy's own.
    pub body: Bytes,
}

/// What a service says of all descriptors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateLimitVerdict {
    /// None is over its rate.
    WithinLimit,
    /// One is.
    OverLimit,
    /// It does not know.
    Unknown,
}

/// A descriptor's quota.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quota {
    /// It is used up.
    pub is_over: bool,
    /// What it is called; may be empty.
    pub name: String,
    /// Requests in a window.
    pub requests: u32,
    /// The window, in seconds; none: it has none that is told.
    pub window_seconds: Option<u32>,
    /// What is left of it.
    pub left: u32,
    /// Until it is whole again.
    pub reset: Option<Duration>,
}

/// The epoch of the times that rate limits count by.
static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

/// A moment, as rate limits count.
pub(crate) fn since_epoch(now: Instant) -> Duration {
    now.duration_since(*EPOCH)
}
