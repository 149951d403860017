//! Rate limits: how often something may be done.

use super::{HeaderName, Name, Origin, model};
use std::num::NonZeroU32;
use std::time::Duration;

model! {
    /// A named rate limit. Filter chains, virtual hosts and routes say which apply; all that apply must allow a request.
    /// What is counted is counted once for the whole process, wherever the limit applies.
    pub struct RateLimit {
        /// Unique among rate limits.
        by_ref name: Name,
        /// What requests are told apart by, each list a descriptor: of a request that lacks one of a list's parts that list
        /// does not count. Local limits have one list; an empty one means that all requests count together.
        by_ref descriptors: Vec<Vec<DescriptorPart>>,
        /// Who counts.
        by_ref counting: RateLimitCounting,
        /// It is asked and counted, and changes nothing.
        copy shadow: bool,
        /// Status of what is refused, 400 to 599: 429.
        copy status: u16,
        /// gRPC status of what is refused.
        copy grpc_status: RateLimitedGrpcStatus,
        /// `x-ratelimit-limit`, `x-ratelimit-remaining` and `x-ratelimit-reset` are told with every answer (the
        /// Internet-Draft's third version, as Envoy does): false.
        copy tells_headers: bool,
        /// Where it was written.
        by_ref origin: Origin,
    }
}

/// Who counts.
#[derive(Debug, Clone, PartialEq)]
pub enum RateLimitCounting {
    /// This process.
    Local(LocalRateLimit),
    /// A service that many proxies ask (Envoy's `ratelimit.v3`).
    Global(GlobalRateLimit),
}

model! {
    /// Token buckets of this process, one for each value of the descriptor.
    pub struct LocalRateLimit {
        /// The bucket of each value.
        copy bucket: RateLimitBucket,
        /// Values with buckets of another size; the first that matches.
        by_ref overrides: Vec<RateLimitOverride>,
        /// Values that are counted at once, at most; of those unused for longest the one is forgotten of whose bucket the
        /// least is missing, and that is counted: [`super::defaults::RATE_LIMIT_KEYS_MAX`].
        copy keys_max: usize,
    }
}

/// A token bucket: `requests` come back in each `interval`, evenly, and at most `burst` are there at once. No interval sees
/// more than both together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RateLimitBucket {
    pub(crate) requests: NonZeroU32,
    pub(crate) interval: Duration,
    pub(crate) burst: NonZeroU32,
}

impl RateLimitBucket {
    /// Tokens that come back in an interval.
    pub fn requests(self) -> NonZeroU32 {
        self.requests
    }
    /// The interval; at least a millisecond.
    pub fn interval(self) -> Duration {
        self.interval
    }
    /// Tokens at most, and at first. If it was not given: `requests`.
    pub fn burst(self) -> NonZeroU32 {
        self.burst
    }
}

model! {
    /// A bucket for some values.
    pub struct RateLimitOverride {
        /// Keys of the descriptor with the values that are meant; keys that are not named have any value.
        by_ref values: Vec<(String, String)>,
        /// Their bucket.
        copy bucket: RateLimitBucket,
    }
}

model! {
    /// A rate limit service.
    pub struct GlobalRateLimit {
        /// The cluster that is asked; it exists and speaks HTTP/2.
        by_ref cluster: Name,
        /// `:authority`; none: the cluster's name.
        by_ref authority: Option<String>,
        /// The domain that is asked for.
        by_ref domain: String,
        /// One question: [`super::defaults::RATE_LIMIT_SERVICE_TIMEOUT`].
        copy timeout: Duration,
        /// A request is refused (500, as Envoy's) where the service does not answer, or not in time; else it is let through.
        copy failure_denied: bool,
    }
}

/// What a refused gRPC request is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateLimitedGrpcStatus {
    /// 14, as Envoy's default.
    Unavailable,
    /// 8 (Envoy's `rate_limited_as_resource_exhausted`).
    ResourceExhausted,
}

/// A part of a descriptor: a key with where its value comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct DescriptorPart {
    pub(crate) key: String,
    pub(crate) source: DescriptorSource,
}

impl DescriptorPart {
    /// A part of these.
    pub fn new(key: String, source: DescriptorSource) -> DescriptorPart {
        DescriptorPart { key, source }
    }
    /// Its key.
    pub fn key(&self) -> &str {
        &self.key
    }
    /// Where its value comes from.
    pub fn source(&self) -> &DescriptorSource {
        &self.source
    }
}

/// Where the value of a part of a descriptor comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum DescriptorSource {
    /// This text.
    Constant(String),
    /// The client's address, masked to a prefix of this many bits.
    RemoteAddress {
        /// Of IPv4, at most 32.
        v4_prefix: u8,
        /// Of IPv6, at most 128.
        v6_prefix: u8,
    },
    /// A header; a request without it lacks this part.
    Header(HeaderName),
    /// A query parameter; a request without it lacks this part.
    Query(String),
    /// The path template of the route that was taken, else its path condition as it was written: bounded, unlike paths.
    PathTemplate,
    /// The path itself, normalized.
    Path,
    /// The method.
    Method,
    /// The host, without its port.
    Host,
    /// The verified SPIFFE id of the peer; a request without one lacks this part.
    SourceIdentity,
    /// A claim of a verified token: keys from the outside in. A request without it lacks this part.
    Claim {
        /// The provider; none: any that was required.
        provider: Option<Name>,
        /// Keys from the outside in; never empty.
        path: Vec<String>,
    },
    /// The name of the route that was taken.
    Route,
    /// The name of the virtual host that was taken.
    VirtualHost,
}

impl DescriptorSource {
    /// It needs a request: on bytes that are passed on it is lacking.
    pub fn needs_request(&self) -> bool {
        !matches!(
            self,
            DescriptorSource::Constant(_)
                | DescriptorSource::RemoteAddress { .. }
                | DescriptorSource::SourceIdentity
        )
    }
}
