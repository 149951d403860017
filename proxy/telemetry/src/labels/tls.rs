//! What TLS handshakes come to, of either side.

use crate::cell::labelled::Label;

labels! {
    /// Why a TLS handshake failed, of either side.
    pub enum TlsFailure = "reason" {
        /// It took too long.
        Timeout = "timeout",
        /// The peer closed or reset the connection before its end.
        Closed = "closed",
        /// The peer sent an alert that says nothing of certificates.
        Alert = "alert",
        /// The peer sent an alert about certificates: it does not accept ours, or wants one.
        CertificateRefused = "certificate_refused" from_zero,
        /// What came is not TLS, or breaks its rules.
        Protocol = "protocol",
        /// No version, suite or application protocol in common.
        NothingShared = "nothing_shared",
        /// The peer showed no certificate.
        CertificateMissing = "certificate_missing" from_zero,
        /// The peer's certificate, or one that it is issued by, has expired.
        CertificateExpired = "certificate_expired" from_zero,
        /// The peer's certificate, or one that it is issued by, is not valid yet.
        CertificateNotYetValid = "certificate_not_yet_valid" from_zero,
        /// The peer's certificate leads to no authority that is believed.
        CertificateUnknownAuthority = "certificate_unknown_authority" from_zero,
        /// The peer's certificate does not name who it must be, or names it in a way that is not allowed.
        CertificateName = "certificate_name" from_zero,
        /// The peer's certificate, or one that it is issued by, is revoked.
        CertificateRevoked = "certificate_revoked" from_zero,
        /// It cannot be known whether the peer's certificate is revoked: no list says so, or only an outdated one.
        CertificateRevocationUnknown = "certificate_revocation_unknown" from_zero,
        /// The peer's identity is on a list of those that are denied.
        CertificateDenied = "certificate_denied" from_zero,
        /// The peer's certificate cannot be used for anything else: broken, not for this purpose, against a constraint.
        CertificateInvalid = "certificate_invalid" from_zero,
        /// Our own certificate has expired, or there is none yet.
        OwnCertificate = "own_certificate",
    }

    /// Whether a TLS handshake was made anew.
    pub enum TlsHandshake = "kind" {
        /// Certificates were shown and judged.
        Full = "full",
        /// An earlier session went on.
        Resumed = "resumed",
    }

    /// A version of TLS.
    pub enum TlsVersion = "version" {
        /// 1.2.
        Tls12 = "1.2",
        /// 1.3.
        Tls13 = "1.3",
    }
}
