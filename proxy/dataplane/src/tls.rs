//! What a TLS handshake came to: what was agreed on, or why there was none.

mod failure;
mod peers;
mod reports;

pub(crate) use failure::{detail, failure, failure_of, is_about_certificates, rustls_error};
pub(crate) use peers::{KnownPeer, Peers};
pub(crate) use reports::Reports;

use crate::io::Stream;
use crate::snapshot::{ClusterPolicy, UpstreamTlsPolicy};
use crate::worker::Worker;
use outrigger_telemetry::{TlsFailure, TlsHandshake, TlsRecord, TlsVersion};
use rustls::{CipherSuite, CommonState, HandshakeKind, ProtocolVersion};
use std::rc::Rc;
use std::time::SystemTime;

/// What a TLS handshake agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) version: TlsVersion,
    suite: CipherSuite,
}

impl Terms {
    /// Those of a connection whose handshake is done.
    pub(crate) fn of(session: &CommonState) -> Terms {
        Terms {
            version: match session.protocol_version() {
                Some(ProtocolVersion::TLSv1_2) => TlsVersion::Tls12,
                _ => TlsVersion::Tls13,
            },
            suite: session
                .negotiated_cipher_suite()
                .map_or(CipherSuite::TLS_NULL_WITH_NULL_NULL, |suite| suite.suite()),
        }
    }

    /// The version as access logs name it.
    pub(crate) fn version_name(self) -> &'static str {
        match self.version {
            TlsVersion::Tls12 => "TLSv1.2",
            TlsVersion::Tls13 => "TLSv1.3",
        }
    }

    /// The cipher suite as OpenSSL, and so Envoy, names it.
    pub(crate) fn suite_name(self) -> Option<&'static str> {
        Some(match self.suite {
            CipherSuite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
            CipherSuite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
            CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
            CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => "ECDHE-ECDSA-AES128-GCM-SHA256",
            CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => "ECDHE-ECDSA-AES256-GCM-SHA384",
            CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-ECDSA-CHACHA20-POLY1305",
            CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => "ECDHE-RSA-AES128-GCM-SHA256",
            CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => "ECDHE-RSA-AES256-GCM-SHA384",
            CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-RSA-CHACHA20-POLY1305",
            _ => return None,
        })
    }
}

impl Terms {
    /// As access logs tell of it.
    pub(crate) fn record<'r>(
        self,
        peer: Option<&'r KnownPeer>,
        local: Option<&'r KnownPeer>,
    ) -> TlsRecord<'r> {
        TlsRecord {
            version: self.version_name(),
            cipher: self.suite_name(),
            peer: peer.map(KnownPeer::record),
            local: local.map(KnownPeer::record),
        }
    }
}

/// TLS of a connection to an endpoint.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    terms: Terms,
    /// Who the endpoint is.
    pub(crate) peer: Option<Rc<KnownPeer>>,
    /// Until when the certificate that we have shown is valid.
    own_expiry: Option<SystemTime>,
}

impl Session {
    /// That of a connection that we have made; none if it is in the clear.
    pub(crate) fn of(stream: &Stream, cluster: &ClusterPolicy, worker: &Worker) -> Option<Session> {
        let Stream::TlsClient(stream) = stream else {
            return None;
        };
        let session = stream.tls.get_ref().1;
        Some(Session {
            terms: Terms::of(session),
            peer: session
                .peer_certificates()
                .and_then(|chain| worker.known_peers.of(chain)),
            own_expiry: cluster.tls.as_ref().and_then(UpstreamTlsPolicy::own_expiry),
        })
    }

    /// Why the endpoint has refused our certificate.
    pub(crate) fn refusal(&self) -> TlsFailure {
        judge_refusal(TlsFailure::CertificateRefused, self.own_expiry)
    }

    /// As access logs tell of it.
    pub(crate) fn record(&self) -> TlsRecord<'_> {
        self.terms.record(self.peer.as_deref(), None)
    }
}

/// True if a session went on whose peer's certificate has expired meanwhile: nobody has judged it this time.
pub(crate) fn has_outlived(session: &CommonState, worker: &Worker) -> bool {
    kind(session) == TlsHandshake::Resumed
        && session
            .peer_certificates()
            .and_then(|chain| worker.known_peers.of(chain))
            .is_some_and(|peer| peer.validity.not_after < SystemTime::now())
}

/// What is to be mended where the peer has refused our certificate: that it has expired, if it has.
pub(crate) fn judge_refusal(failure: TlsFailure, own_expiry: Option<SystemTime>) -> TlsFailure {
    match failure {
        TlsFailure::CertificateRefused if own_expiry.is_some_and(|expiry| expiry < SystemTime::now()) => {
            TlsFailure::OwnCertificate
        }
        failure => failure,
    }
}

/// Whether a handshake that is done was made anew.
pub(crate) fn kind(session: &CommonState) -> TlsHandshake {
    match session.handshake_kind() {
        Some(HandshakeKind::Resumed) => TlsHandshake::Resumed,
        _ => TlsHandshake::Full,
    }
}
