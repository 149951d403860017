//! A certificate with its key: who we are.

use crate::basis::{Part, Trust};
use crate::certificate::{CertificateFacts, bad_certificate, chain_of, fingerprint, parse};
use crate::error::{IdentityError, Place};
use crate::files::{bad_pem, read};
use crate::peer_fault::PeerFault;
use crate::roots::RootSet;
use crate::verify::Verifier;
use aws_lc_rs::digest;
use outrigger_config::model::{CertificateFiles, InlineCertificate, TrustDomain};
use rustls::InconsistentKeys;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use webpki::KeyUsage;
use zeroize::Zeroizing;

/// A certificate chain whose key fits its leaf, ready to be shown. Shared by `Arc` for as long as it stays the same, so
/// that "unchanged" is pointer equality.
pub struct Credential {
    certified_key: Arc<CertifiedKey>,
    chain: Vec<CertificateFacts>,
    key_file: Option<KeyFile>,
    digest: InputDigest,
}

/// A private key's file, and who may do what with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyFile {
    pub(crate) file: PathBuf,
    pub(crate) mode: u32,
}

/// SHA-256 of what something was made of. It says whether that has changed; it stays inside, because it may be a
/// function of a private key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct InputDigest([u8; 32]);

impl InputDigest {
    pub(crate) fn of<'a>(inputs: impl IntoIterator<Item = &'a [u8]>) -> InputDigest {
        let mut context = digest::Context::new(&digest::SHA256);
        for input in inputs {
            // With its length, so that no byte can move from one input to the next.
            context.update(&(input.len() as u64).to_be_bytes());
            context.update(input);
        }
        let digest = context.finish();
        InputDigest(digest.as_ref().try_into().expect("SHA-256 has 32 bytes"))
    }
}

impl Credential {
    /// A credential out of DER, leaf first, with an OCSP response (DER) to send along, if there is one.
    ///
    /// # Errors
    /// If a certificate or the key cannot be used, or they do not belong together.
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        private_key: Zeroizing<PrivateKeyDer<'static>>,
        ocsp_staple: Option<Vec<u8>>,
    ) -> Result<Credential, IdentityError> {
        let places = (Place::Given("the certificate chain"), Place::Given("the answer"));
        let digest = {
            let certificates = chain.iter().map(|certificate| certificate.as_ref());
            let staple = ocsp_staple.as_deref();
            InputDigest::of(certificates.chain([private_key.secret_der()]).chain(staple))
        };
        Credential::assemble(chain, &private_key, ocsp_staple, &places, digest)
    }

    /// A credential out of PEM, leaf first.
    ///
    /// # Errors
    /// As [`Credential::new`], and if a text is no PEM.
    pub fn from_pem(
        certificate_chain: &[u8],
        private_key: &[u8],
        ocsp_staple: Option<Vec<u8>>,
    ) -> Result<Credential, IdentityError> {
        let given = Place::Given;
        let places = (given("the certificate chain"), given("the configuration"));
        let digest = digest_of(certificate_chain, private_key, ocsp_staple.as_deref());
        Credential::parse(certificate_chain, private_key, ocsp_staple, &places, digest)
    }

    /// The files anew; `previous` if they hold what it was made of.
    pub(crate) fn read(
        files: &CertificateFiles,
        previous: Option<&Arc<Credential>>,
    ) -> Result<Arc<Credential>, IdentityError> {
        let certificate_chain = read(files.certificate_file())?;
        let key_file = key_file(files.private_key_file())?;
        let private_key = read(files.private_key_file())?;
        let ocsp_staple = match files.ocsp_staple_file() {
            Some(file) => Some(read(file)?.to_vec()),
            None => None,
        };
        let digest = digest_of(&certificate_chain, &private_key, ocsp_staple.as_deref());
        let is_same = |previous: &&Arc<Credential>| {
            previous.digest == digest && previous.key_file.as_ref() == Some(&key_file)
        };
        if let Some(previous) = previous.filter(is_same) {
            return Ok(Arc::clone(previous));
        }
        let places = (
            Place::File(files.certificate_file().clone()),
            Place::File(files.private_key_file().clone()),
        );
        let mut credential =
            Credential::parse(&certificate_chain, &private_key, ocsp_staple, &places, digest)?;
        credential.key_file = Some(key_file);
        Ok(Arc::new(credential))
    }

    /// What the configuration itself holds; `previous` if that was made of the same.
    pub(crate) fn inline(
        inline: &InlineCertificate,
        previous: Option<&Arc<Credential>>,
    ) -> Result<Arc<Credential>, IdentityError> {
        let chain = inline.certificate_chain().as_bytes();
        let private_key = inline.private_key().expose();
        let ocsp_staple = inline.ocsp_staple().clone();
        let digest = digest_of(chain, private_key, ocsp_staple.as_deref());
        match previous.filter(|previous| previous.digest == digest) {
            Some(previous) => Ok(Arc::clone(previous)),
            None => Credential::from_pem(chain, private_key, ocsp_staple).map(Arc::new),
        }
    }

    fn parse(
        certificate_chain: &[u8],
        private_key: &[u8],
        ocsp_staple: Option<Vec<u8>>,
        places: &(Place, Place),
        digest: InputDigest,
    ) -> Result<Credential, IdentityError> {
        let chain = chain_of(certificate_chain, &places.0)?;
        let key = private_key_of(private_key, &places.1)?;
        Credential::assemble(chain, &key, ocsp_staple, places, digest)
    }

    fn assemble(
        chain: Vec<CertificateDer<'static>>,
        private_key: &PrivateKeyDer<'static>,
        ocsp_staple: Option<Vec<u8>>,
        (certificate_place, key_place): &(Place, Place),
        digest: InputDigest,
    ) -> Result<Credential, IdentityError> {
        if chain.is_empty() {
            return Err(IdentityError::NoCertificate {
                place: certificate_place.clone(),
            });
        }
        let mut facts = Vec::with_capacity(chain.len());
        for (index, certificate) in chain.iter().enumerate() {
            let unreadable = || bad_certificate(certificate_place, index, "it cannot be parsed".to_owned());
            facts.push(CertificateFacts::of(certificate).ok_or_else(unreadable)?);
        }
        let leaf = parse(&chain[0]).expect("it was parsed just now");
        // What peers would refuse by the standard is refused here, where it can be mended.
        crate::svid::leaf_id(&leaf)
            .map_err(|fault| bad_certificate(certificate_place, 0, fault.to_string()))?;
        let key = any_supported_type(private_key).map_err(|_| IdentityError::BadPrivateKey {
            place: key_place.clone(),
        })?;
        let mut certified_key = CertifiedKey::new(chain, key);
        certified_key.ocsp = ocsp_staple;
        match certified_key.keys_match() {
            // Unknown is said of keys that cannot show their public half; a file's always can.
            Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
            Err(rustls::Error::InconsistentKeys(_)) => {
                return Err(IdentityError::KeyMismatch {
                    certificate: certificate_place.clone(),
                    private_key: key_place.clone(),
                });
            }
            Err(error) => return Err(bad_certificate(certificate_place, 0, error.to_string())),
        }
        Ok(Credential {
            certified_key: Arc::new(certified_key),
            chain: facts,
            key_file: None,
            digest,
        })
    }

    /// What rustls shows.
    pub fn certified_key(&self) -> &Arc<CertifiedKey> {
        &self.certified_key
    }

    /// What the leaf says.
    pub fn facts(&self) -> &CertificateFacts {
        &self.chain[0]
    }

    /// What the certificates of the chain say, leaf first.
    pub fn chain(&self) -> &[CertificateFacts] {
        &self.chain
    }

    /// Whether the chain leads to one of these authorities now, as a peer would find out who believes them: those of
    /// `trust_domain`, if one is given, vouch for no id of another.
    ///
    /// # Errors
    /// What a peer would refuse it for.
    pub fn verify(
        &self,
        roots: &Arc<RootSet>,
        trust_domain: Option<&TrustDomain>,
        now: SystemTime,
    ) -> Result<(), PeerFault> {
        let trust = Trust::Roots(Part(Arc::clone(roots)), trust_domain.cloned());
        let verifier = Verifier::new(trust, Arc::default(), Vec::new());
        let now = UnixTime::since_unix_epoch(now.duration_since(UNIX_EPOCH).unwrap_or_default());
        let [leaf, others @ ..] = &self.certified_key.cert[..] else {
            return Err(PeerFault::NoCertificate);
        };
        let verify = |usage| verifier.verify(leaf, others, usage, None, now);
        match verify(KeyUsage::server_auth()) {
            // One that is for clients alone is fine: who shows it where is policy.
            Err(PeerFault::Purpose) => verify(KeyUsage::client_auth()),
            verified => verified,
        }
    }

    /// SHA-256 of the leaf's DER.
    pub fn fingerprint(&self) -> [u8; 32] {
        fingerprint(&self.certified_key.cert[0])
    }

    /// True if it was read from files.
    pub fn is_from_files(&self) -> bool {
        self.key_file.is_some()
    }

    pub(crate) fn is_made_of_the_same(&self, other: &Credential) -> bool {
        self.digest == other.digest
    }

    pub(crate) fn key_file(&self) -> Option<&KeyFile> {
        self.key_file.as_ref()
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("subject", &self.facts().subject)
            .field("serial", &self.facts().serial)
            .finish_non_exhaustive()
    }
}

fn digest_of(certificate_chain: &[u8], private_key: &[u8], ocsp_staple: Option<&[u8]>) -> InputDigest {
    InputDigest::of([certificate_chain, private_key].into_iter().chain(ocsp_staple))
}

/// Who may do what with a key's file. That the group or everybody may read it is warned of, since Kubernetes mounts
/// secrets so; that everybody may write it is refused, since whoever does is us.
fn key_file(file: &Path) -> Result<KeyFile, IdentityError> {
    let unreadable = |source| IdentityError::Unreadable {
        file: file.to_owned(),
        source,
    };
    let mode = fs::metadata(file).map_err(unreadable)?.permissions().mode() & 0o777;
    let file = file.to_owned();
    match mode & 0o002 {
        0 => Ok(KeyFile { file, mode }),
        _ => Err(IdentityError::KeyWritableByOthers { file, mode }),
    }
}

fn private_key_of(pem: &[u8], place: &Place) -> Result<Zeroizing<PrivateKeyDer<'static>>, IdentityError> {
    let key = PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        pem::Error::NoItemsFound if holds_encrypted_key(pem) => {
            IdentityError::EncryptedPrivateKey { place: place.clone() }
        }
        pem::Error::NoItemsFound => IdentityError::NoPrivateKey { place: place.clone() },
        error => bad_pem(place, &error),
    })?;
    Ok(Zeroizing::new(key))
}

fn holds_encrypted_key(contents: &[u8]) -> bool {
    let label = b"-----BEGIN ENCRYPTED PRIVATE KEY-----";
    contents.windows(label.len()).any(|window| window == label)
}
