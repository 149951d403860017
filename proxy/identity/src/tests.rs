//! Both sides against each other, in memory, configured as users configure them: by a document.

mod faults;
mod handshakes;

use crate::{Material, UpstreamIdentity};
use outrigger_config::{Environment, MeshConfig, Source, load};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::ServerConfig;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;

/// A directory of certificates, and the authority that signs them.
struct Authority {
    directory: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    /// An authority whose root is in `ca.pem`.
    fn new(name: &str) -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let authority = Authority {
            directory: tempfile::tempdir().unwrap(),
            issuer,
        };
        authority.write("ca.pem", &authority.issuer.pem());
        authority
    }

    fn path(&self, file: &str) -> PathBuf {
        self.directory.path().join(file)
    }

    fn write(&self, file: &str, contents: &str) {
        fs::write(self.path(file), contents).unwrap();
    }

    /// Writes `NAME.pem` and `NAME.key` for these names.
    fn issue(&self, name: &str, dns_names: &[&str]) {
        self.issue_with(name, dns_names, |_| {});
    }

    fn issue_with(&self, name: &str, dns_names: &[&str], change: impl FnOnce(&mut CertificateParams)) {
        let dns_names: Vec<String> = dns_names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(dns_names).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        self.write(
            &format!("{name}.pem"),
            &params.signed_by(&key, &self.issuer).unwrap().pem(),
        );
        self.write(&format!("{name}.key"), &key.serialize_pem());
    }

    /// The server side with these certificates; `more` is appended to the document's `tls`.
    fn downstream(&self, names: &[&str], more: &str) -> MeshConfig {
        let certificates: Vec<String> = names.iter().map(|name| self.certificate(name)).collect();
        let document = format!(
            "listeners:\n- name: edge\n  address: 127.0.0.1:8443\n  filter_chains:\n  - tls: {{ certificates: [{}]{more} }}\n    \
             http: {{ route_configuration: main }}\n\
             route_configurations:\n- name: main\n  virtual_hosts: []\n",
            certificates.join(", ")
        );
        loaded(document)
    }

    /// The client side, trusting this authority.
    fn upstream(&self, server_name: &str, certificate: Option<&str>) -> MeshConfig {
        let certificate = certificate.map_or(String::new(), |name| {
            format!(", certificate: {}", self.certificate(name))
        });
        let document = format!(
            "clusters:\n- name: backend\n  endpoints: [{{ address: 127.0.0.1:443 }}]\n  \
             tls: {{ ca_file: {}, server_name: {server_name:?}{certificate} }}\n",
            self.path("ca.pem").display()
        );
        loaded(document)
    }

    fn certificate(&self, name: &str) -> String {
        let path = |extension: &str| self.path(&format!("{name}.{extension}")).display().to_string();
        format!(
            "{{ certificate_file: {}, private_key_file: {} }}",
            path("pem"),
            path("key")
        )
    }
}

/// The material of a configuration, or what is wrong with it.
fn material(config: &MeshConfig) -> Result<Material, String> {
    let loaded = Material::load(config, None);
    match loaded.faults.first() {
        None => Ok(loaded.material),
        Some(fault) => Err(fault.to_string()),
    }
}

/// The server side of a configuration's first filter chain.
fn downstream(config: &MeshConfig) -> Result<Arc<ServerConfig>, String> {
    let tls = config.listeners()[0].filter_chains()[0].tls().as_ref().unwrap();
    crate::downstream(tls, &material(config)?).map_err(|error| error.to_string())
}

/// The client side of a configuration's first cluster.
fn upstream(config: &MeshConfig, alpn: &[&str]) -> Result<UpstreamIdentity, String> {
    let tls = config.clusters()[0].tls().as_ref().unwrap();
    crate::upstream(tls, alpn, &material(config)?).map_err(|error| error.to_string())
}

fn loaded(text: String) -> MeshConfig {
    let source = Source {
        name: "outrigger.yaml".to_owned(),
        text,
    };
    match load(&source, &Environment::empty()) {
        Ok(loaded) => loaded.config,
        Err(diagnostics) => panic!("{diagnostics}"),
    }
}
