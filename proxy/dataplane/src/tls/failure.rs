//! Why a handshake failed: rustls' errors and those of our verifiers, in the words of metrics and logs.

use outrigger_identity::PeerFault;
use outrigger_telemetry::TlsFailure;
use rustls::{AlertDescription, Error};
use std::io;

/// The reason, where a handshake ended with an error of its stream.
pub(crate) fn failure_of(error: &io::Error) -> TlsFailure {
    match rustls_error(error) {
        Some(error) => failure(error),
        None if error.kind() == io::ErrorKind::TimedOut => TlsFailure::Timeout,
        None => TlsFailure::Closed,
    }
}

/// What rustls says, where an error of a stream is one of its own.
pub(crate) fn rustls_error(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

/// The reason that rustls gives, or one of our verifiers through it.
pub(crate) fn failure(error: &Error) -> TlsFailure {
    if let Some(fault) = PeerFault::of(error) {
        return certificate_failure(fault);
    }
    match error {
        Error::AlertReceived(alert) if is_about_certificates(*alert) => TlsFailure::CertificateRefused,
        Error::AlertReceived(AlertDescription::ProtocolVersion | AlertDescription::NoApplicationProtocol) => {
            TlsFailure::NothingShared
        }
        Error::AlertReceived(_) => TlsFailure::Alert,
        Error::PeerIncompatible(_) | Error::NoApplicationProtocol => TlsFailure::NothingShared,
        _ => TlsFailure::Protocol,
    }
}

/// The reason as `response_code_details` names it.
pub(crate) fn detail(failure: TlsFailure) -> &'static str {
    match failure {
        TlsFailure::Timeout => "tls_timeout",
        TlsFailure::Closed => "tls_closed",
        TlsFailure::Alert => "tls_alert",
        TlsFailure::CertificateRefused => "tls_certificate_refused",
        TlsFailure::Protocol => "tls_protocol",
        TlsFailure::NothingShared => "tls_nothing_shared",
        TlsFailure::CertificateMissing => "tls_certificate_missing",
        TlsFailure::CertificateExpired => "tls_certificate_expired",
        TlsFailure::CertificateNotYetValid => "tls_certificate_not_yet_valid",
        TlsFailure::CertificateUnknownAuthority => "tls_certificate_unknown_authority",
        TlsFailure::CertificateName => "tls_certificate_name",
        TlsFailure::CertificateRevoked => "tls_certificate_revoked",
        TlsFailure::CertificateRevocationUnknown => "tls_certificate_revocation_unknown",
        TlsFailure::CertificateDenied => "tls_certificate_denied",
        TlsFailure::CertificateInvalid => "tls_certificate_invalid",
        TlsFailure::OwnCertificate => "tls_own_certificate",
    }
}

fn certificate_failure(fault: PeerFault) -> TlsFailure {
    use PeerFault as F;
    match fault {
        F::NoCertificate => TlsFailure::CertificateMissing,
        F::Expired => TlsFailure::CertificateExpired,
        F::NotYetValid => TlsFailure::CertificateNotYetValid,
        F::UnknownAuthority | F::UnknownTrustDomain => TlsFailure::CertificateUnknownAuthority,
        F::NameMismatch | F::NotAccepted | F::SpiffeId | F::NoSpiffeId => TlsFailure::CertificateName,
        F::Revoked => TlsFailure::CertificateRevoked,
        F::RevocationUnknown | F::RevocationListOutdated => TlsFailure::CertificateRevocationUnknown,
        F::Denied => TlsFailure::CertificateDenied,
        F::NoIdentity => TlsFailure::OwnCertificate,
        F::Malformed | F::ChainTooLong | F::BadSignature | F::Constraint | F::Purpose | F::KeyUsage => {
            TlsFailure::CertificateInvalid
        }
    }
}

/// True if the peer says that our certificate is not accepted, or that one is missing (RFC 8446 section 6.2). A server
/// that speaks TLS 1.3 says so when we have long finished our handshake, and before it reads anything that came after.
pub(crate) fn is_about_certificates(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::CertificateRequired
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::{InvalidMessage, PeerIncompatible};

    #[test]
    fn reasons_tell_what_to_mend() {
        let peer = |fault: PeerFault| failure(&Error::from(fault));
        for (found, expected) in [
            (peer(PeerFault::Expired), TlsFailure::CertificateExpired),
            (peer(PeerFault::NoCertificate), TlsFailure::CertificateMissing),
            (peer(PeerFault::Denied), TlsFailure::CertificateDenied),
            (peer(PeerFault::SpiffeId), TlsFailure::CertificateName),
            (peer(PeerFault::NoIdentity), TlsFailure::OwnCertificate),
            (
                failure(&Error::AlertReceived(AlertDescription::UnknownCA)),
                TlsFailure::CertificateRefused,
            ),
            (
                failure(&Error::AlertReceived(AlertDescription::InternalError)),
                TlsFailure::Alert,
            ),
            (
                failure(&Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon)),
                TlsFailure::NothingShared,
            ),
            (
                failure(&Error::InvalidMessage(InvalidMessage::InvalidContentType)),
                TlsFailure::Protocol,
            ),
        ] {
            assert_eq!(found, expected);
        }
        let wrapped = io::Error::new(io::ErrorKind::InvalidData, Error::NoCertificatesPresented);
        assert_eq!(failure_of(&wrapped), TlsFailure::CertificateMissing);
        assert_eq!(
            failure_of(&io::ErrorKind::UnexpectedEof.into()),
            TlsFailure::Closed
        );
    }
}
