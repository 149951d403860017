//! What is counted for the listeners of one direction.

use super::{Cells, Family};
use crate::cell::histogram::{Histogram, Measured};
use crate::cell::labelled::{CounterFromZeroBy, FlagCounters};
use crate::cell::{Gauge, Series, Terms};
use crate::exposition::Heading;
use crate::flags::ResponseFlags;
use crate::labels::CodeClass;

cells! {
    /// What one worker counts for the listeners of one direction.
    pub struct DirectionCells ["direction"] {
        /// Requests answered, by the class of the status sent downstream.
        requests: CounterFromZeroBy<CodeClass, { CodeClass::COUNT }> = "outrigger_requests_total",
        /// Requests by response flag; a request with two flags counts for both.
        response_flags: FlagCounters = "outrigger_response_flags_total",
        /// From a request's first byte to the end of its response, retries included.
        duration: Histogram = "outrigger_request_duration_seconds",
        /// Requests in flight now.
        requests_active: Gauge = "outrigger_requests_active",
    }
}

impl DirectionCells {
    /// A request has begun.
    #[inline]
    pub fn request_began(&self) {
        self.requests_active.inc();
    }

    /// Counts a request that has ended.
    #[inline]
    pub fn request_ended(&self, class: CodeClass, flags: ResponseFlags, duration: Measured) {
        self.requests_active.dec();
        self.requests[class].inc();
        self.response_flags.add(flags);
        self.duration.count_measured(duration);
    }
}
