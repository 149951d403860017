//! Fault injection: breaking some requests on purpose.

use super::{Fraction, HeaderMatch, SpiffeMatch, model};
use std::time::{Duration, SystemTime};

model! {
    /// What is done to some requests (Envoy's `fault` filter), to see what others make of it.
    pub struct Fault {
        /// Only requests with these headers.
        by_ref headers: Vec<HeaderMatch>,
        /// Only requests of peers with one of these verified SPIFFE ids; empty: of all.
        by_ref identities: Vec<SpiffeMatch>,
        /// Requests are held before they are passed on.
        copy delay: Option<FaultDelay>,
        /// Requests are not passed on.
        copy abort: Option<FaultAbort>,
        /// Answers are slowed down.
        copy response_rate: Option<FaultRate>,
        /// Peers that are believed (hint peers) may ask for faults of a request by Envoy's headers: `x-envoy-fault-delay-request`,
        /// `x-envoy-fault-abort-request`, `x-envoy-fault-abort-grpc-request`, `x-envoy-fault-throughput-response`.
        copy by_header: bool,
        /// The share of all requests of the route that is touched at most, whatever the fractions above say; counted over
        /// the last thousand: [`super::defaults::FAULT_AFFECTED_MAX`].
        copy affected_max: Fraction,
        /// Requests that are touched at once at most; none: no limit.
        copy active_max: Option<u32>,
        /// It is off from this moment on; none: it stays until it is taken out.
        copy expires: Option<SystemTime>,
    }
}

/// Requests are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaultDelay {
    pub(crate) fraction: Fraction,
    pub(crate) duration: Duration,
}

impl FaultDelay {
    /// How many.
    pub fn fraction(self) -> Fraction {
        self.fraction
    }
    /// For how long.
    pub fn duration(self) -> Duration {
        self.duration
    }
}

/// Requests are not passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaultAbort {
    pub(crate) fraction: Fraction,
    pub(crate) kind: FaultAbortKind,
}

impl FaultAbort {
    /// How many.
    pub fn fraction(self) -> Fraction {
        self.fraction
    }
    /// What becomes of them.
    pub fn kind(self) -> FaultAbortKind {
        self.kind
    }
}

/// What becomes of a request that is aborted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultAbortKind {
    /// It is answered with this status, 200 to 599.
    Status(u16),
    /// It is answered with this gRPC status, 0 to 16.
    Grpc(u16),
    /// Its connection (HTTP/1) or stream (HTTP/2) is reset.
    Reset,
}

/// Answers are slowed down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaultRate {
    pub(crate) fraction: Fraction,
    pub(crate) bytes_per_second: u64,
}

impl FaultRate {
    /// How many.
    pub fn fraction(self) -> Fraction {
        self.fraction
    }
    /// How fast their bodies go, at least 1,024.
    pub fn bytes_per_second(self) -> u64 {
        self.bytes_per_second
    }
}
