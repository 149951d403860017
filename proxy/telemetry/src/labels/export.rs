//! What became of what is sent to collectors.

use crate::cell::labelled::Label;

labels! {
    /// Why a span or a log record never reached its collector, or may not have.
    pub enum ExportDrop = "reason" {
        /// As many as may wait did.
        QueueFull = "queue_full" from_zero,
        /// There is no collector of that name any more.
        NoCollector = "no_collector" from_zero,
        /// The collector took the request without it.
        Rejected = "rejected" from_zero,
        /// The collector refused the request, for a reason that does not pass.
        Refused = "refused" from_zero,
        /// The collector did not take it in five minutes.
        GivenUp = "given_up" from_zero,
        /// The process ended, or the collector was taken out of the configuration, before it was sent.
        Ended = "ended" from_zero,
    }

    /// Why a request to a collector failed; most are repeated.
    pub enum ExportFailure = "reason" {
        /// There is no connection, or it broke.
        Connection = "connection",
        /// TLS cannot be spoken as it is configured.
        Configuration = "configuration",
        /// It took too long.
        Timeout = "timeout",
        /// The collector cannot take it now.
        Unavailable = "unavailable",
        /// The collector does not take it.
        Refused = "refused",
    }
}
