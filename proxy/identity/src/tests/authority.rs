//! A certificate authority of a test's own, which writes PEM files into a directory that goes with it.

use crate::UpstreamIdentity;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType, IsCa,
    KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber, SignatureAlgorithm,
};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

/// A directory of certificates, and the authority that signs them.
pub(super) struct Authority {
    directory: TempDir,
    pub(super) issuer: CertifiedIssuer<'static, KeyPair>,
    /// What stands behind a leaf in its file: the authorities below the root.
    chain: String,
}

impl Authority {
    /// An authority whose root is in `ca.pem`.
    pub(super) fn new(name: &str) -> Authority {
        let key = KeyPair::generate().unwrap();
        let issuer = CertifiedIssuer::self_signed(authority_params(name), key).unwrap();
        Authority::of(issuer, String::new())
    }

    /// An authority below this one. Its leaves' files hold its own certificate too.
    pub(super) fn intermediate(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Authority {
        let mut params = authority_params(name);
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let issuer = CertifiedIssuer::signed_by(params, key, &self.issuer).unwrap();
        let chain = issuer.pem() + &self.chain;
        Authority::of(issuer, chain)
    }

    fn of(issuer: CertifiedIssuer<'static, KeyPair>, chain: String) -> Authority {
        let authority = Authority {
            directory: tempfile::tempdir().unwrap(),
            issuer,
            chain,
        };
        authority.write("ca.pem", &authority.issuer.pem());
        authority
    }

    pub(super) fn path(&self, file: &str) -> PathBuf {
        self.directory.path().join(file)
    }

    pub(super) fn write(&self, file: &str, contents: &str) {
        fs::write(self.path(file), contents).unwrap();
    }

    pub(super) fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path(file)).unwrap()
    }

    /// Writes `NAME.pem` and `NAME.key` for these names.
    pub(super) fn issue(&self, name: &str, dns_names: &[&str]) {
        self.issue_with(name, dns_names, |_| {});
    }

    /// The same for SPIFFE ids; one makes an SVID.
    pub(super) fn issue_svid(&self, name: &str, ids: &[&str]) {
        self.issue_with(name, &[], svid(ids));
    }

    pub(super) fn issue_with(
        &self,
        name: &str,
        dns_names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) {
        self.issue_for(&rcgen::PKCS_ECDSA_P256_SHA256, name, dns_names, change);
    }

    pub(super) fn issue_for(
        &self,
        algorithm: &'static SignatureAlgorithm,
        name: &str,
        dns_names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) {
        let dns_names: Vec<String> = dns_names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(dns_names).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        change(&mut params);
        let key = KeyPair::generate_for(algorithm).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        self.write(&format!("{name}.pem"), &(certificate.pem() + &self.chain));
        self.write(&format!("{name}.key"), &key.serialize_pem());
    }

    /// A list of this authority that revokes these serial numbers, due again so many seconds from now.
    pub(super) fn list(&self, serials: &[u64], next_update: i64) -> String {
        let now = SystemTime::now();
        let day = Duration::from_secs(86_400);
        let next = match next_update < 0 {
            true => now - Duration::from_secs(next_update.unsigned_abs()),
            false => now + Duration::from_secs(next_update.unsigned_abs()),
        };
        let entry = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: (now - day).into(),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: (next.min(now) - day).into(),
            next_update: next.into(),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(entry).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap().pem().unwrap()
    }

    /// A client that shows `NAME.pem` as it is, right or wrong; none: nothing. It believes this authority.
    pub(super) fn raw_client(&self, name: Option<&str>) -> UpstreamIdentity {
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(self.read("ca.pem").as_bytes()).unwrap();
        roots.add(root).unwrap();
        let builder = ClientConfig::builder_with_provider(crate::provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match name {
            Some(name) => {
                let (chain, key) = self.chain_and_key(name);
                builder.with_client_auth_cert(chain, key).unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        UpstreamIdentity {
            config: Arc::new(config),
            server_name: ServerName::try_from("server.example").unwrap(),
        }
    }

    /// A server that shows `NAME.pem` as it is.
    pub(super) fn raw_server(&self, name: &str) -> Arc<ServerConfig> {
        let (chain, key) = self.chain_and_key(name);
        let config = ServerConfig::builder_with_provider(crate::provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        Arc::new(config)
    }

    fn chain_and_key(&self, name: &str) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let chain = self.read(&format!("{name}.pem"));
        let chain = CertificateDer::pem_slice_iter(chain.as_bytes());
        let key = self.read(&format!("{name}.key"));
        (
            chain.collect::<Result<_, _>>().unwrap(),
            PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
        )
    }
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// Makes a certificate an SVID of these ids.
pub(super) fn svid(ids: &[&str]) -> impl FnOnce(&mut CertificateParams) {
    let names: Vec<SanType> = ids.iter().map(|id| uri(id)).collect();
    move |params| {
        params.subject_alt_names.extend(names);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    }
}

pub(super) fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}
