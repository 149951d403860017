//! What became of streams and resources of a control plane.

use crate::cell::labelled::Label;

labels! {
    /// Why there is no stream from a control plane, or no more.
    pub enum StreamEnd = "reason" {
        /// No connection could be made.
        Connect = "connect",
        /// It did not answer in time.
        Timeout = "timeout",
        /// The server ended it with an error, or it broke.
        Status = "status",
        /// The server ended it in order.
        Ended = "ended",
        /// The server did not keep to the protocol.
        Protocol = "protocol",
        /// It was given up for a server that is preferred.
        Returned = "returned",
    }

    /// What became of a resource that a control plane sent.
    pub enum ControlUpdate = "outcome" {
        /// It was taken.
        Accepted = "accepted",
        /// It was refused; the version before stayed in force.
        Refused = "refused",
    }

    /// What became of an attempt to write the last good configuration to disk.
    pub enum LastGoodWrite = "outcome" {
        /// It is on disk.
        Written = "written",
        /// It is not; it is tried again.
        Failed = "failed",
    }

    /// What became of a report to a control plane: how endpoints stand here.
    pub enum ReportOutcome = "outcome" {
        /// It was taken.
        Taken = "taken",
        /// The server does not have what was reported before, and is told everything.
        BeginAgain = "begin_again",
        /// It was refused, or there was no answer; it is made again.
        Failed = "failed",
        /// The server takes no reports.
        Unknown = "unknown",
    }
}
