//! What is broken on purpose.

use crate::cell::labelled::Label;

labels! {
    /// What was done to a request; more than one thing may be.
    pub enum FaultInjected = "kind" {
        /// It was held.
        Delay = "delay",
        /// It was answered with an error.
        Abort = "abort",
        /// Its connection or stream was reset.
        Reset = "reset",
        /// Its answer was slowed down.
        ResponseRate = "response_rate",
    }

    /// Why nothing was done to a request that was chosen.
    pub enum FaultSkipped = "reason" {
        /// As many of the last requests as may be were touched.
        Share = "affected_max",
        /// As many as may be are touched now.
        Active = "active_max",
        /// The fault's time is over.
        Expired = "expired",
    }
}
