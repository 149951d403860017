//! What upgrades of the process, and renewals of what it is made of, come to.

use crate::cell::labelled::Label;

labels! {
    /// What became of an upgrade in place.
    pub enum UpgradeOutcome = "outcome" {
        /// This process took the sockets of another.
        TakenOver = "taken_over",
        /// Another process took this one's, which drains.
        HandedOver = "handed_over",
        /// Another process came and did not get ready: this one went on.
        Failed = "failed",
        /// Another process came and was turned away.
        Refused = "refused",
    }

    /// What became of a scrape of the metrics.
    pub enum ScrapeOutcome = "outcome" {
        /// It was given whole.
        Served = "served",
        /// Too many were under way.
        Refused = "refused",
        /// Its reader took too little for too long, and was cut off.
        Slow = "slow",
        /// Its reader went away.
        Left = "left",
    }

    /// What came of an attempt to have a certificate anew.
    pub enum RenewalResult = "result" {
        /// A new one is in force, or the one that is has been confirmed.
        Success = "success" from_zero,
        /// The one before stays in force.
        Failure = "failure" from_zero,
    }

    /// Why certificates, authorities or revocation lists could not be had anew.
    pub enum SourceFailure = "reason" {
        /// Their source cannot be reached, or the connection broke.
        Unreachable = "unreachable",
        /// Their source took too long.
        Timeout = "timeout",
        /// Their source says that we may not have them.
        Denied = "denied",
        /// Their source answered with another error.
        Status = "status",
        /// What their source answered cannot be used, or is not what was asked for.
        Answer = "answer",
        /// Their source has identities for us, and not this one.
        NotGiven = "not_given",
        /// The token that shows who we are cannot be read.
        Token = "token",
        /// No key of our own could be made.
        Key = "key",
        /// A file cannot be read.
        Unreadable = "unreadable",
        /// A file's contents cannot be used.
        Contents = "contents",
        /// A certificate's file and its key's do not belong together.
        Mismatch = "mismatch",
    }
}
