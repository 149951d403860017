//! Both sides against each other, in memory, configured as users configure them: by a document.

mod authority;
mod chains;
mod faults;
mod handshakes;
mod material;
mod resumption;
mod revocation;
mod servers;
mod settings;

use crate::{Material, UpstreamIdentity};
use authority::Authority;
use outrigger_config::{Environment, MeshConfig, Source, load};
use rustls::{ClientConnection, ServerConfig, ServerConnection};
use std::sync::Arc;

impl Authority {
    /// The server side with these certificates; `more` is appended to the document's `tls`.
    fn downstream(&self, names: &[&str], more: &str) -> MeshConfig {
        self.downstream_among(names, more, "")
    }

    /// The same, with `others` before the listeners of the document.
    fn downstream_among(&self, names: &[&str], more: &str, others: &str) -> MeshConfig {
        let certificates: Vec<String> = names.iter().map(|name| self.certificate(name)).collect();
        let document = format!(
            "{others}listeners:\n- name: edge\n  address: 127.0.0.1:8443\n  filter_chains:\n  - tls: {{ certificates: [{}]{more} }}\n    \
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
        let tls = format!("{}, server_name: {server_name:?}{certificate}", self.ca_file());
        upstream_document(&tls, "")
    }

    /// `ca_file: FILE`.
    fn ca_file(&self) -> String {
        format!("ca_file: {}", self.path("ca.pem").display())
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

/// A client side with this `tls`, and `others` before the clusters of the document.
fn upstream_document(tls: &str, others: &str) -> MeshConfig {
    loaded(format!(
        "{others}clusters:\n- name: backend\n  endpoints: [{{ address: 127.0.0.1:443 }}]\n  tls: {{ {tls} }}\n"
    ))
}

/// What both sides know after a handshake.
struct Handshake {
    client: ClientConnection,
    server: ServerConnection,
}

impl Handshake {
    /// The certificate that the client saw.
    fn server_certificate(&self) -> &[u8] {
        &self.client.peer_certificates().unwrap()[0]
    }
}

/// Moves bytes between the two until neither has any left, or one refuses; tickets too.
fn handshake(server: &Arc<ServerConfig>, identity: &UpstreamIdentity) -> Result<Handshake, rustls::Error> {
    let mut client =
        ClientConnection::new(Arc::clone(&identity.config), identity.server_name.clone()).unwrap();
    let mut server = ServerConnection::new(Arc::clone(server)).unwrap();
    loop {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        let mut input = bytes.as_slice();
        while !input.is_empty() {
            server.read_tls(&mut input).unwrap();
            server.process_new_packets()?;
        }
        let sent = bytes.len();
        bytes.clear();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        let mut input = bytes.as_slice();
        while !input.is_empty() {
            client.read_tls(&mut input).unwrap();
            client.process_new_packets()?;
        }
        if sent + bytes.len() == 0 {
            return Ok(Handshake { client, server });
        }
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
    downstream_of(config, &material(config)?)
}

fn downstream_of(config: &MeshConfig, material: &Material) -> Result<Arc<ServerConfig>, String> {
    let tls = config.listeners()[0].filter_chains()[0].tls().as_ref().unwrap();
    crate::downstream(tls, material).map_err(|error| error.to_string())
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
