//! What is counted of certificates, authorities and revocation lists.

use super::{Cells, Family};
use crate::cell::labelled::CounterBy;
use crate::cell::{Countdown, Series, Terms};
use crate::exposition::Heading;
use crate::labels::{RenewalResult, SourceFailure};

cells! {
    /// What is counted for a certificate with its key: an identity by its name, or one in files by the certificate's. One
    /// task writes at a time.
    pub struct CertificateCells ["name"] {
        /// Seconds until the certificate that is shown expires; negative once it has.
        seconds_to_expiry: Countdown = "outrigger_certificate_seconds_to_expiry",
        /// Attempts to have it anew, by what came of them; for files, changes of theirs.
        renewals: CounterBy<RenewalResult, { RenewalResult::COUNT }> = "outrigger_certificate_renewals_total",
        /// Attempts to have it anew that failed, by reason.
        renewal_failures: CounterBy<SourceFailure, { SourceFailure::COUNT }> =
            "outrigger_certificate_renewal_failures_total",
    }

    /// What is counted for a trust bundle by its name, or for authorities in a file by that. One task writes at a time.
    pub struct TrustBundleCells ["name"] {
        /// Seconds until the first of its authorities expires; negative once it has.
        seconds_to_expiry: Countdown = "outrigger_trust_bundle_seconds_to_expiry",
        /// Changes of its source that could not be put in force, by reason; the one before stayed.
        failures: CounterBy<SourceFailure, { SourceFailure::COUNT }> = "outrigger_trust_bundle_failures_total",
    }

    /// What is counted for a certificate revocation list by its file, or `inline`, or the identity that it came with. One
    /// task writes at a time.
    pub struct RevocationListCells ["name"] {
        /// Seconds until its next update is due; negative once it is overdue.
        seconds_to_next_update: Countdown = "outrigger_revocation_list_seconds_to_next_update",
        /// Changes of its source that could not be put in force, by reason; the one before stayed.
        failures: CounterBy<SourceFailure, { SourceFailure::COUNT }> =
            "outrigger_revocation_list_failures_total",
    }
}
