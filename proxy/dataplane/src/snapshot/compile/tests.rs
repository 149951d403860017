//! What other material makes new, and what it leaves as it was.

use super::*;
use outrigger_config::{Environment, Source, load, reuse};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::fs;
use tempfile::TempDir;

const DOCUMENT: &str = "
listeners:
- name: edge
  address: 127.0.0.1:1
  filter_chains:
  - name: one
    match: { server_names: [one.example] }
    tls: { certificates: [{ certificate_file: DIR/one.pem, private_key_file: DIR/one.key }] }
    http: { route_configuration: main }
  - name: two
    match: { server_names: [two.example] }
    tls:
      certificates: [{ certificate_file: DIR/two.pem, private_key_file: DIR/two.key }]
      client: { ca_file: DIR/ca.pem }
    http: { route_configuration: main }
  - { name: plain, match: { transport: raw }, http: { route_configuration: main } }
route_configurations: [{ name: main, virtual_hosts: [] }]
clusters:
- { name: plain, endpoints: [{ address: 127.0.0.1:2 }] }
- name: anonymous
  endpoints: [{ address: 127.0.0.1:3 }]
  tls: { ca_file: DIR/other.pem, server_name: a.example }
- name: known
  endpoints: [{ address: 127.0.0.1:4 }]
  tls:
    ca_file: DIR/other.pem
    server_name: a.example
    certificate: { certificate_file: DIR/two.pem, private_key_file: DIR/two.key }
";

struct Files {
    directory: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Files {
    fn new() -> Files {
        let files = Files {
            directory: tempfile::tempdir().unwrap(),
            issuer: issuer(),
        };
        files.authority("ca");
        files.authority("other");
        files.issue("one");
        files.issue("two");
        files
    }

    fn write(&self, file: &str, contents: &str) {
        fs::write(self.directory.path().join(file), contents).unwrap();
    }

    fn authority(&self, name: &str) {
        self.write(&format!("{name}.pem"), &issuer().pem());
    }

    fn issue(&self, name: &str) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![format!("{name}.example")]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        self.write(&format!("{name}.pem"), &certificate.pem());
        self.write(&format!("{name}.key"), &key.serialize_pem());
    }

    fn config(&self, more: &str) -> MeshConfig {
        let text = DOCUMENT.replace("DIR", &self.directory.path().display().to_string()) + more;
        let name = "test".to_owned();
        load(&Source { name, text }, &Environment::empty())
            .unwrap()
            .config
    }
}

fn issuer() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn compiler() -> Compiler {
    let metrics = Metrics::new(1, &[]);
    let sinks = Arc::new(AccessLogSinks::new(Arc::clone(&metrics)));
    Compiler::new(metrics, sinks)
}

fn read(config: &MeshConfig, previous: Option<&Snapshot>) -> Arc<Material> {
    let loaded = Material::load(config, previous.map(|previous| &**previous.material()));
    assert!(loaded.faults.is_empty(), "{:?}", loaded.faults);
    Arc::new(loaded.material)
}

/// The chains and clusters that the two do not share, by name; a cluster whose endpoints are others is marked.
fn differences(old: &Snapshot, new: &Snapshot) -> Vec<String> {
    let mut names = Vec::new();
    for (old, new) in old.chains.iter().flatten().zip(new.chains.iter().flatten()) {
        if !Arc::ptr_eq(old, new) {
            names.push(format!("chain {}", new.config.name()));
        }
    }
    for (old, new) in old.clusters().zip(new.clusters()) {
        let ids = |cluster: &ClusterPolicy| cluster.endpoints()[0].id;
        match (Arc::ptr_eq(old, new), ids(old) == ids(new)) {
            (true, _) => {}
            (false, true) => names.push(format!("cluster {}", new.config().name())),
            (false, false) => names.push(format!("endpoints of {}", new.config().name())),
        }
    }
    names
}

#[test]
fn other_material_makes_new_only_what_is_made_of_it() {
    let files = Files::new();
    let config = Arc::new(files.config(""));
    let compiler = compiler();
    let material = read(&config, None);
    let first = compiler
        .compile(Arc::clone(&config), &Discovered::default(), material, None)
        .unwrap();
    let next = |previous: &Snapshot| {
        let material = read(&config, Some(previous));
        let next = compiler.with_material(previous, material).unwrap();
        assert_eq!(next.generation(), previous.generation());
        assert_eq!(next.revision(), previous.revision() + 1);
        (differences(previous, &next), next)
    };
    let (different, second) = next(&first);
    assert!(different.is_empty(), "{different:?}");
    files.issue("one");
    let (different, third) = next(&second);
    assert_eq!(different, ["chain one"]);
    files.issue("two");
    let (different, fourth) = next(&third);
    assert_eq!(different, ["chain two", "endpoints of known"]);
    files.authority("ca");
    let (different, fifth) = next(&fourth);
    assert_eq!(different, ["chain two"]);
    files.authority("other");
    let (different, _) = next(&fifth);
    assert_eq!(different, ["endpoints of anonymous", "endpoints of known"]);
}

#[test]
fn revocation_concerns_only_who_asks_for_certificates() {
    let files = Files::new();
    let (config, compiler) = (files.config(""), compiler());
    let material = read(&config, None);
    let config = Arc::new(config);
    let first = compiler
        .compile(Arc::clone(&config), &Discovered::default(), material, None)
        .unwrap();
    let denying = files.config("revocation: { denied: [{ trust_domain: a.example }] }\n");
    let denying = Arc::new(reuse(&config, denying));
    let material = read(&denying, Some(&first));
    let second = compiler
        .compile(denying, &Discovered::default(), material, Some(&first))
        .unwrap();
    assert_eq!(
        differences(&first, &second),
        ["chain two", "endpoints of anonymous", "endpoints of known"]
    );
}

#[test]
fn what_is_new_has_sessions_of_its_own() {
    let files = Files::new();
    let (config, compiler) = (Arc::new(files.config("")), compiler());
    let material = read(&config, None);
    let first = compiler
        .compile(Arc::clone(&config), &Discovered::default(), material, None)
        .unwrap();
    files.issue("two");
    let second = compiler
        .with_material(&first, read(&config, Some(&first)))
        .unwrap();
    let server = |snapshot: &Snapshot, index: usize| {
        let chain = snapshot.chains[index].as_ref().unwrap();
        Arc::clone(&chain.tls.as_ref().unwrap().config)
    };
    assert!(Arc::ptr_eq(&server(&first, 0), &server(&second, 0)));
    let (old, new) = (server(&first, 1), server(&second, 1));
    assert!(!Arc::ptr_eq(&old, &new));
    let ticket = old.ticketer.encrypt(b"session").unwrap();
    assert_eq!(old.ticketer.decrypt(&ticket).as_deref(), Some(&b"session"[..]));
    assert_eq!(new.ticketer.decrypt(&ticket), None);
    assert_eq!(
        server(&first, 0).ticketer.decrypt(&ticket),
        None,
        "chains share no keys"
    );
}
