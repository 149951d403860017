//! Who peers are, shared by their connections: a peer that is connected a thousand times is described once.

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use outrigger_identity::PeerIdentity;
use outrigger_telemetry::{CertificateRecord, Metrics, SourceMetrics};
use rustls::pki_types::CertificateDer;
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::ops::Deref;
use std::rc::{Rc, Weak};
use std::sync::Arc;

/// Descriptions that are kept before those that nobody uses any more are looked for.
const UNUSED_LOOKED_FOR_AT: usize = 64;

/// Characters of a line of PEM (RFC 7468 section 2).
const PEM_LINE: usize = 64;

/// What a peer's verified certificate says, or our own, and what is made of it when it is asked for.
#[derive(Debug)]
pub(crate) struct KnownPeer {
    identity: PeerIdentity,
    chain: Box<[CertificateDer<'static>]>,
    uri_names: OnceCell<Box<str>>,
    dns_names: OnceCell<Box<str>>,
    fingerprint: OnceCell<Box<str>>,
    encoded_leaf: OnceCell<Box<str>>,
    encoded_chain: OnceCell<Box<str>>,
    requests: OnceCell<Arc<SourceMetrics>>,
}

impl Deref for KnownPeer {
    type Target = PeerIdentity;
    fn deref(&self) -> &PeerIdentity {
        &self.identity
    }
}

impl KnownPeer {
    fn of(chain: &[CertificateDer<'_>]) -> Option<KnownPeer> {
        Some(KnownPeer {
            identity: PeerIdentity::of(chain)?,
            chain: chain.iter().map(|der| der.clone().into_owned()).collect(),
            uri_names: OnceCell::new(),
            dns_names: OnceCell::new(),
            fingerprint: OnceCell::new(),
            encoded_leaf: OnceCell::new(),
            encoded_chain: OnceCell::new(),
            requests: OnceCell::new(),
        })
    }

    /// The certificates that were shown, leaf first.
    pub(crate) fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// Its URI names, joined by commas.
    pub(crate) fn uri_text(&self) -> Option<&str> {
        joined(&self.identity.uri_names, &self.uri_names)
    }

    /// Its DNS names, joined by commas.
    pub(crate) fn dns_text(&self) -> Option<&str> {
        joined(&self.identity.dns_names, &self.dns_names)
    }

    /// SHA-256 of the certificate: hexadecimal, lower case.
    pub(crate) fn fingerprint(&self) -> &str {
        self.fingerprint
            .get_or_init(|| self.identity.fingerprint_text().into())
    }

    /// The certificate, as PEM of which URLs can be made.
    pub(crate) fn encoded_leaf(&self) -> &str {
        self.encoded_leaf.get_or_init(|| encode(&self.chain[..1]).into())
    }

    /// All certificates that were shown, likewise.
    pub(crate) fn encoded_chain(&self) -> &str {
        self.encoded_chain.get_or_init(|| encode(&self.chain).into())
    }

    /// Where its requests are counted.
    pub(crate) fn requests(&self, metrics: &Metrics) -> &SourceMetrics {
        self.requests.get_or_init(|| metrics.source(self.name()))
    }

    /// By what it is known in counts: its SPIFFE id or another URI name, else a DNS name.
    fn name(&self) -> &str {
        let names = &self.identity;
        names
            .uri_names
            .first()
            .or_else(|| names.dns_names.first())
            .map_or("unnamed", String::as_str)
    }

    /// As access logs tell of it.
    pub(crate) fn record(&self) -> CertificateRecord<'_> {
        CertificateRecord {
            uri_names: self.uri_text(),
            dns_names: self.dns_text(),
            subject: &self.identity.subject,
            issuer: &self.identity.issuer,
            serial: &self.identity.serial,
            fingerprint_256: self.fingerprint(),
            not_before: self.identity.validity.not_before,
            not_after: self.identity.validity.not_after,
        }
    }
}

fn joined<'n>(names: &'n [String], several: &'n OnceCell<Box<str>>) -> Option<&'n str> {
    match names {
        [] => None,
        [name] => Some(name),
        names => Some(several.get_or_init(|| names.join(",").into())),
    }
}

/// PEM with everything escaped that separates something in a header or a URL, as Envoy does.
fn encode(certificates: &[CertificateDer<'_>]) -> String {
    let mut text = String::new();
    for certificate in certificates {
        text.push_str("-----BEGIN%20CERTIFICATE-----%0A");
        let base64 = STANDARD.encode(certificate);
        for (place, character) in base64.chars().enumerate() {
            if place > 0 && place % PEM_LINE == 0 {
                text.push_str("%0A");
            }
            match character {
                '+' => text.push_str("%2B"),
                '/' => text.push_str("%2F"),
                '=' => text.push_str("%3D"),
                character => text.push(character),
            }
        }
        text.push_str("%0A-----END%20CERTIFICATE-----%0A");
    }
    text
}

/// The peers that a worker's connections have, each for as long as one of them does.
#[derive(Debug)]
pub(crate) struct Peers {
    /// By SHA-256 of all certificates that were shown.
    known: RefCell<HashMap<[u8; 32], Weak<KnownPeer>, foldhash::fast::RandomState>>,
    look_for_unused_at: Cell<usize>,
}

impl Default for Peers {
    fn default() -> Peers {
        Peers {
            known: RefCell::default(),
            look_for_unused_at: Cell::new(UNUSED_LOOKED_FOR_AT),
        }
    }
}

impl Peers {
    /// Who has shown these certificates, leaf first; none if there is none, or it cannot be read.
    pub(crate) fn of(&self, chain: &[CertificateDer<'_>]) -> Option<Rc<KnownPeer>> {
        let key = digest_of(chain);
        let mut known = self.known.borrow_mut();
        if let Some(peer) = known.get(&key).and_then(Weak::upgrade) {
            return Some(peer);
        }
        let peer = Rc::new(KnownPeer::of(chain)?);
        if known.len() >= self.look_for_unused_at.get() {
            known.retain(|_, peer| peer.strong_count() > 0);
            self.look_for_unused_at
                .set((known.len() * 2).max(UNUSED_LOOKED_FOR_AT));
        }
        known.insert(key, Rc::downgrade(&peer));
        Some(peer)
    }
}

fn digest_of(chain: &[CertificateDer<'_>]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for certificate in chain {
        // DER says its own length: two chains cannot run into one text.
        context.update(certificate);
    }
    let digest = context.finish();
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pem_is_escaped_and_cut_into_lines() {
        let der = CertificateDer::from(vec![0xfb; 50]);
        let text = encode(&[der.clone(), der]);
        let line = format!("{}%0A", "%2B%2Fv7".repeat(16));
        let one =
            format!("-----BEGIN%20CERTIFICATE-----%0A{line}%2B%2Fs%3D%0A-----END%20CERTIFICATE-----%0A");
        assert_eq!(text, format!("{one}{one}"));
    }

    #[test]
    fn what_is_no_certificate_is_nobody() {
        let peers = Peers::default();
        assert!(peers.of(&[]).is_none());
        assert!(peers.of(&[CertificateDer::from(vec![1, 2, 3])]).is_none());
        assert!(peers.known.borrow().is_empty());
    }
}
