//! Verifies servers, for rustls.

use super::Verifier;
use crate::peer_fault::PeerFault;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::{DigitallySignedStruct, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use webpki::KeyUsage;

/// Verifies the certificates of servers.
#[derive(Debug)]
pub(crate) struct ServerVerifier {
    verifier: Verifier,
    /// We have the certificate of our own that is configured. Without it nobody is accepted, so that no connection is
    /// made as somebody else than was meant.
    has_identity: bool,
}

impl ServerVerifier {
    pub(crate) fn new(verifier: Verifier, has_identity: bool) -> ServerVerifier {
        ServerVerifier {
            verifier,
            has_identity,
        }
    }
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        // Responses are asked for by no setting: revocation is by lists.
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if !self.has_identity {
            return Err(PeerFault::NoIdentity.into());
        }
        let usage = KeyUsage::server_auth();
        self.verifier
            .verify(leaf, others, usage, Some(server_name), now)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.verifier.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.verifier.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.algorithms.supported_schemes()
    }
}
