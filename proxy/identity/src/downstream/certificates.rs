//! Which certificate a client sees.

use crate::credential::Credential;
use rustls::SignatureScheme;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::collections::HashMap;
use std::sync::Arc;
use webpki::EndEntityCert;

/// The certificates of a filter chain, found by SNI. An exact name comes before a wildcard; who names none of them, or
/// nothing, sees the default. Of several certificates with one name, the first whose kind of key the client can verify is
/// shown, in the order of the configuration; if it can verify none, it sees the default.
#[derive(Debug)]
pub(super) struct Certificates {
    /// The first, and those with the same names as it, which stand beside it for clients that cannot verify it.
    default: Vec<Arc<CertifiedKey>>,
    by_name: HashMap<String, Vec<Arc<CertifiedKey>>>,
    /// `*.example.com` under `example.com`: a wildcard stands for one whole label (RFC 6125 section 6.4.3).
    by_parent: HashMap<String, Vec<Arc<CertifiedKey>>>,
}

impl Certificates {
    pub(super) fn new<'a>(credentials: impl Iterator<Item = &'a Arc<Credential>>) -> Certificates {
        let mut certificates = Certificates {
            default: Vec::new(),
            by_name: HashMap::new(),
            by_parent: HashMap::new(),
        };
        let mut default_names = Vec::new();
        for credential in credentials {
            let certificate = credential.certified_key();
            let names = names_of(certificate);
            if certificates.default.is_empty() {
                default_names = names.clone();
                certificates.default.push(Arc::clone(certificate));
            } else if names == default_names {
                certificates.default.push(Arc::clone(certificate));
            }
            for name in names {
                let found = match name.strip_prefix("*.") {
                    Some(parent) => certificates.by_parent.entry(parent.to_owned()).or_default(),
                    None => certificates.by_name.entry(name).or_default(),
                };
                found.push(Arc::clone(certificate));
            }
        }
        certificates
    }

    fn find(&self, server_name: Option<&str>, schemes: &[SignatureScheme]) -> Option<&Arc<CertifiedKey>> {
        let fits = |certificate: &&Arc<CertifiedKey>| certificate.key.choose_scheme(schemes).is_some();
        let named = server_name.and_then(|name| {
            let name = name.to_ascii_lowercase();
            let exact = self.by_name.get(&name).and_then(|found| found.iter().find(fits));
            exact.or_else(|| {
                let found = self.by_parent.get(name.split_once('.')?.1)?;
                found.iter().find(fits)
            })
        });
        named
            .or_else(|| self.default.iter().find(fits))
            .or_else(|| self.default.first())
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.find(client_hello.server_name(), client_hello.signature_schemes())
            .cloned()
    }
}

/// The DNS names of the leaf, in lower case, sorted.
fn names_of(certificate: &CertifiedKey) -> Vec<String> {
    let leaf = certificate
        .cert
        .first()
        .and_then(|leaf| EndEntityCert::try_from(leaf).ok());
    let names = leaf.iter().flat_map(|leaf| leaf.valid_dns_names());
    let mut names: Vec<String> = names.map(str::to_ascii_lowercase).collect();
    names.sort_unstable();
    names.dedup();
    names
}
