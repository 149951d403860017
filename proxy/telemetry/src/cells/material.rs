//! What is counted of certificates, authorities and revocation lists.

use super::{Cells, Family};
use crate::cell::labelled::{CounterBy, CounterFromZeroBy};
use crate::cell::{Countdown, LateGauge, Series, SharedGauge, Terms};
use crate::exposition::Heading;
use crate::labels::{RenewalResult, SourceFailure};

cells! {
    /// What is counted for a certificate with its key: an identity by its name, or one in files by the certificate's. One
    /// task writes at a time.
    pub struct CertificateCells ["name"] {
        /// Time until the certificate that is shown, or the first of its chain, expires; negative once it has.
        expires_in: Countdown = "outrigger_certificate_expires_in_seconds",
        /// The whole lifetime of what expires then.
        validity: LateGauge = "outrigger_certificate_validity_seconds",
        /// Attempts to have it anew, by what came of them; for files, changes of theirs.
        renewals: CounterFromZeroBy<RenewalResult, { RenewalResult::COUNT }> = "outrigger_certificate_renewals_total",
        /// 1 while the last attempt to have it anew failed, or its files are at fault.
        renewal_failing: SharedGauge = "outrigger_certificate_renewal_failing",
        /// Attempts to have it anew that failed, by reason.
        renewal_failures: CounterBy<SourceFailure, { SourceFailure::COUNT }> =
            "outrigger_certificate_renewal_failures_total",
    }

    /// What is counted for a trust bundle by its name, or for authorities in a file by that. One task writes at a time.
    pub struct TrustBundleCells ["name"] {
        /// Time until the first of its authorities expires; negative once it has. Others may have taken its place.
        first_expires_in: Countdown = "outrigger_trust_bundle_first_expires_in_seconds",
        /// Time until the last of its authorities expires; negative once it has, and nobody is believed.
        expires_in: Countdown = "outrigger_trust_bundle_expires_in_seconds",
        /// The whole lifetime of that last one.
        validity: LateGauge = "outrigger_trust_bundle_validity_seconds",
        /// Changes of its source that could not be put in force, by reason; the one before stayed.
        failures: CounterBy<SourceFailure, { SourceFailure::COUNT }> = "outrigger_trust_bundle_failures_total",
    }

    /// What is counted for a certificate revocation list by its file, or `inline`, or the identity that it came with. One
    /// task writes at a time.
    pub struct RevocationListCells ["name"] {
        /// Time until its next update is due; negative once it is overdue.
        update_due_in: Countdown = "outrigger_revocation_list_update_due_in_seconds",
        /// Changes of its source that could not be put in force, by reason; the one before stayed.
        failures: CounterBy<SourceFailure, { SourceFailure::COUNT }> =
            "outrigger_revocation_list_failures_total",
    }
}
