//! The configurations between which the proxy is changed, and the certificates that they name.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;

use super::Change;
use crate::certificate::issue;

/// Whose connections are to be cut.
const DENIED: &str = "spiffe://bench.example/denied";
/// Whose are not.
const KEPT: &str = "spiffe://bench.example/kept";

/// Certificates in a directory of their own, and what is said of them.
pub(super) struct Document {
    directory: TempDir,
    upstream: SocketAddr,
    workers: u16,
}

/// What clients connect with.
#[derive(Clone)]
pub(super) struct Identities {
    pub(super) denied: Arc<ClientConfig>,
    pub(super) kept: Arc<ClientConfig>,
}

impl Document {
    /// Makes an authority for each of the two clients, both of one name, as they are in a rollover.
    pub(super) fn create(upstream: SocketAddr, workers: u16) -> Result<Document> {
        let document = Document {
            directory: tempfile::tempdir()?,
            upstream,
            workers,
        };
        let authority = [
            "basicConstraints=critical,CA:TRUE",
            "keyUsage=critical,keyCertSign,cRLSign",
        ];
        for (name, uri) in [("denied", DENIED), ("kept", KEPT)] {
            let [certificate, key] = document.files(name);
            let [root, root_key] = document.files(&format!("{name}-root"));
            issue("authority", &authority, &root, &root_key, None)?;
            let names = format!("subjectAltName=URI:{uri}");
            let leaf = [
                "basicConstraints=critical,CA:FALSE",
                "keyUsage=critical,digitalSignature",
                &names,
            ];
            issue(name, &leaf, &certificate, &key, Some((&root, &root_key)))?;
        }
        let [root, root_key] = document.files("kept-root");
        let [certificate, key] = document.files("server");
        let leaf = [
            "basicConstraints=critical,CA:FALSE",
            "subjectAltName=DNS:bench.example",
        ];
        issue(
            "bench.example",
            &leaf,
            &certificate,
            &key,
            Some((&root, &root_key)),
        )?;
        Ok(document)
    }

    fn files(&self, name: &str) -> [PathBuf; 2] {
        let file = |end: &str| self.directory.path().join(format!("{name}{end}"));
        [file(".pem"), file("-key.pem")]
    }

    /// What the clients show, and whom they believe.
    pub(super) fn identities(&self) -> Result<Identities> {
        let [root, _] = self.files("kept-root");
        let client = |name: &str| {
            let [certificate, key] = self.files(name);
            client(&root, &certificate, &key).map(Arc::new)
        };
        Ok(Identities {
            denied: client("denied")?,
            kept: client("kept")?,
        })
    }

    /// Everybody is in his right.
    pub(super) fn base(&self) -> String {
        self.text(&["denied-root", "kept-root"], "[]", "[]")
    }

    /// The denied are not any more.
    pub(super) fn changed(&self, change: Change) -> String {
        let both = ["denied-root", "kept-root"];
        match change {
            Change::Denied => self.text(&both, &format!("[{{ spiffe_id: '{DENIED}' }}]"), "[]"),
            Change::Root => self.text(&both[1..], "[]", "[]"),
            Change::Policy => self.text(&both, "[]", &format!("[{{ spiffe_ids: ['{DENIED}'] }}]")),
        }
    }

    fn text(&self, roots: &[&str], denied: &str, rules: &str) -> String {
        let [certificate, key] = self.files("server");
        let pem = |name: &&str| std::fs::read_to_string(&self.files(name)[0]).unwrap_or_default();
        let bundle: String = roots.iter().map(pem).collect();
        let bundle = bundle.trim_end().replace('\n', "\n    ");
        format!(
            "runtime: {{ workers: {workers} }}
admin: {{ address: '127.0.0.1:0' }}
trust_bundles:
- name: roots
  inline: |
    {bundle}
revocation: {{ denied: {denied} }}
authorization_policies: [{{ name: policy, action: deny, rules: {rules} }}]
listeners:
- name: edge
  address: 127.0.0.1:0
  filter_chains:
  - authorization: [policy]
    tls:
      certificates: [{{ certificate_file: {certificate}, private_key_file: {key} }}]
      client: {{ trust_bundle: roots }}
    http: {{ route_configuration: main }}
route_configurations:
- name: main
  virtual_hosts:
  - {{ name: all, domains: ['*'], routes: [{{ match: {{ prefix: / }}, forward: {{ cluster: upstream }} }}] }}
clusters:
- name: upstream
  protocol: http2
  endpoints: [{{ address: '{upstream}' }}]
  circuit_breakers: {{ default: {{ requests_max: 100000 }} }}
",
            workers = self.workers,
            certificate = certificate.display(),
            key = key.display(),
            upstream = self.upstream,
        )
    }
}

fn client(root: &Path, certificate: &Path, key: &Path) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(root).context("reading the authority")?)?;
    let chain = vec![CertificateDer::from_pem_file(certificate).context("reading the certificate")?];
    let key = PrivateKeyDer::from_pem_file(key).context("reading the key")?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)?;
    client.resumption = rustls::client::Resumption::disabled();
    client.alpn_protocols = vec![b"h2".to_vec()];
    Ok(client)
}
