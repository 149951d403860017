//! Labels of tracing.

use crate::cell::labelled::Label;

labels! {
    /// Why a trace is kept, or not.
    pub enum SamplingDecision = "decision" {
        /// Kept: a believed peer asked for it.
        Forced = "forced",
        /// Kept: whoever sent the request keeps it.
        Parent = "parent",
        /// Kept: it is in the share.
        Share = "share",
        /// Not kept: whoever sent the request does not.
        ParentDropped = "parent_dropped",
        /// Not kept: it is not in the share.
        ShareDropped = "share_dropped",
        /// Not kept: there are enough this second.
        RateLimited = "rate_limited",
    }

    /// Why the spans of a request are kept although its trace is not.
    pub enum TailReason = "reason" {
        /// It ended in an error.
        Error = "error",
        /// It took long.
        Slow = "slow",
    }
}
