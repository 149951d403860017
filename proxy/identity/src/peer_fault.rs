//! Why a peer's certificate is refused.

use rustls::{CertificateError, Error, OtherError};
use std::sync::Arc;

/// Why a peer's certificate is refused, of either side. Says what kind of fault it is, never what the certificate held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum PeerFault {
    /// None was shown, where one is required.
    #[error("no certificate")]
    NoCertificate,
    /// It cannot be parsed, or holds an extension that must be understood and is not.
    #[error("malformed certificate")]
    Malformed,
    /// More certificates were shown than [`crate::CHAIN_CERTIFICATES_MAX`].
    #[error("certificate chain too long")]
    ChainTooLong,
    /// A certificate of the chain is past its time.
    #[error("certificate expired")]
    Expired,
    /// The time of a certificate of the chain has not begun.
    #[error("certificate not yet valid")]
    NotYetValid,
    /// The chain ends at nobody who is believed, or at an authority that may not sign it.
    #[error("unknown authority")]
    UnknownAuthority,
    /// A signature is wrong, or made in a way that is not accepted.
    #[error("bad signature")]
    BadSignature,
    /// An authority's name constraints or path length forbid it.
    #[error("constraint violated")]
    Constraint,
    /// It is not for this use: a server's for a client, or the reverse.
    #[error("not for this purpose")]
    Purpose,
    /// An SVID whose key may sign certificates or lists, or may not sign handshakes.
    #[error("key usage of no SVID")]
    KeyUsage,
    /// It holds a malformed SPIFFE id, another URI beside one, or an authority's id has a path.
    #[error("bad SPIFFE id")]
    SpiffeId,
    /// It holds no SPIFFE id, where one is asked for.
    #[error("no SPIFFE id")]
    NoSpiffeId,
    /// No trust bundle speaks for its trust domain, or the one that is asked speaks for another.
    #[error("unknown trust domain")]
    UnknownTrustDomain,
    /// It does not hold the name that the server was asked for by.
    #[error("name mismatch")]
    NameMismatch,
    /// It names none of those who are accepted.
    #[error("not an accepted peer")]
    NotAccepted,
    /// A revocation list names it or an authority of its chain.
    #[error("revoked")]
    Revoked,
    /// No revocation list covers it, where one is required, or the one that does cannot be verified.
    #[error("unknown revocation status")]
    RevocationUnknown,
    /// The revocation list that covers it is past its next update.
    #[error("outdated revocation list")]
    RevocationListOutdated,
    /// Its SPIFFE id is denied.
    #[error("denied")]
    Denied,
    /// We have no certificate of our own to show, or no authorities to believe: the identity is not there yet.
    #[error("own identity not there yet")]
    NoIdentity,
}

impl PeerFault {
    /// What was wrong with the peer's certificate; none if the error is about something else.
    pub fn of(error: &Error) -> Option<PeerFault> {
        match error {
            Error::NoCertificatesPresented => Some(PeerFault::NoCertificate),
            Error::InvalidCertificate(error) => Some(PeerFault::of_certificate(error)),
            Error::InvalidCertRevocationList(_) => Some(PeerFault::RevocationUnknown),
            _ => None,
        }
    }

    fn of_certificate(error: &CertificateError) -> PeerFault {
        use CertificateError as E;
        match error {
            E::Other(OtherError(other)) => other
                .downcast_ref::<PeerFault>()
                .copied()
                .unwrap_or(PeerFault::Malformed),
            E::Expired | E::ExpiredContext { .. } => PeerFault::Expired,
            E::NotValidYet | E::NotValidYetContext { .. } => PeerFault::NotYetValid,
            E::Revoked => PeerFault::Revoked,
            E::UnknownIssuer => PeerFault::UnknownAuthority,
            E::UnknownRevocationStatus => PeerFault::RevocationUnknown,
            E::ExpiredRevocationList | E::ExpiredRevocationListContext { .. } => {
                PeerFault::RevocationListOutdated
            }
            E::NotValidForName | E::NotValidForNameContext { .. } => PeerFault::NameMismatch,
            E::InvalidPurpose | E::InvalidPurposeContext { .. } => PeerFault::Purpose,
            E::BadSignature
            | E::UnsupportedSignatureAlgorithmContext { .. }
            | E::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => PeerFault::BadSignature,
            _ => PeerFault::Malformed,
        }
    }

    /// What webpki found.
    pub(crate) fn of_webpki(error: &webpki::Error) -> PeerFault {
        use webpki::Error as E;
        match error {
            E::CertExpired { .. } | E::InvalidCertValidity => PeerFault::Expired,
            E::CertNotValidYet { .. } => PeerFault::NotYetValid,
            E::UnknownIssuer
            | E::EndEntityUsedAsCa
            | E::CertDistrusted
            | E::MaximumPathBuildCallsExceeded
            | E::MaximumSignatureChecksExceeded => PeerFault::UnknownAuthority,
            E::MaximumPathDepthExceeded => PeerFault::ChainTooLong,
            E::CaUsedAsEndEntity => PeerFault::KeyUsage,
            E::CertNotValidForName(_) => PeerFault::NameMismatch,
            E::NameConstraintViolation
            | E::PathLenConstraintViolated
            | E::MaximumNameConstraintComparisonsExceeded => PeerFault::Constraint,
            E::CertRevoked => PeerFault::Revoked,
            E::CrlExpired { .. } => PeerFault::RevocationListOutdated,
            E::UnknownRevocationStatus | E::IssuerNotCrlSigner | E::InvalidCrlSignatureForPublicKey => {
                PeerFault::RevocationUnknown
            }
            E::RequiredEkuNotFoundContext(_) | E::EmptyEkuExtension => PeerFault::Purpose,
            E::InvalidSignatureForPublicKey
            | E::SignatureAlgorithmMismatch
            | E::UnsupportedSignatureAlgorithmContext(_)
            | E::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => PeerFault::BadSignature,
            E::UnsupportedCrlSignatureAlgorithmContext(_)
            | E::UnsupportedCrlSignatureAlgorithmForPublicKeyContext(_) => PeerFault::RevocationUnknown,
            _ => PeerFault::Malformed,
        }
    }
}

/// As an error of its own kind where rustls has one, since that decides the alert that the peer is sent.
impl From<PeerFault> for Error {
    fn from(fault: PeerFault) -> Error {
        let error = match fault {
            PeerFault::NoCertificate => return Error::NoCertificatesPresented,
            PeerFault::Malformed => CertificateError::BadEncoding,
            PeerFault::Expired => CertificateError::Expired,
            PeerFault::NotYetValid => CertificateError::NotValidYet,
            PeerFault::UnknownAuthority => CertificateError::UnknownIssuer,
            PeerFault::BadSignature => CertificateError::BadSignature,
            PeerFault::Purpose => CertificateError::InvalidPurpose,
            PeerFault::NameMismatch => CertificateError::NotValidForName,
            PeerFault::Revoked => CertificateError::Revoked,
            PeerFault::RevocationUnknown => CertificateError::UnknownRevocationStatus,
            PeerFault::RevocationListOutdated => CertificateError::ExpiredRevocationList,
            fault => CertificateError::Other(OtherError(Arc::new(fault))),
        };
        Error::InvalidCertificate(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_found_again_in_the_error() {
        use PeerFault::*;
        for fault in [
            NoCertificate,
            Malformed,
            ChainTooLong,
            Expired,
            NotYetValid,
            UnknownAuthority,
            BadSignature,
            Constraint,
            Purpose,
            KeyUsage,
            SpiffeId,
            NoSpiffeId,
            UnknownTrustDomain,
            NameMismatch,
            NotAccepted,
            Revoked,
            RevocationUnknown,
            RevocationListOutdated,
            Denied,
            NoIdentity,
        ] {
            assert_eq!(PeerFault::of(&Error::from(fault)), Some(fault));
        }
        assert_eq!(PeerFault::of(&Error::HandshakeNotComplete), None);
    }
}
