//! Real etcd, of one member, for a test: in a directory of its own, on ports of loopback that were free.

use crate::settings::{EtcdSettings, KeyFiles};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

pub(in crate::store) struct EtcdProcess {
    child: Child,
    data: TempDir,
    client: String,
    peer: String,
    tls: Option<Tls>,
}

/// Certificates of an authority of its own, the same for both sides.
struct Tls {
    directory: TempDir,
}

impl Tls {
    fn new() -> Tls {
        let directory = TempDir::new().unwrap();
        let mut authority = CertificateParams::new([]).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        let leaf = leaf.signed_by(&key, &authority).unwrap();
        let files = [
            ("ca.pem", authority.pem()),
            ("leaf.pem", leaf.pem()),
            ("leaf.key", key.serialize_pem()),
        ];
        for (name, text) in files {
            std::fs::write(directory.path().join(name), text).unwrap();
        }
        Tls { directory }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

impl EtcdProcess {
    /// None, with a message, where the program is missing; in CI it must not be.
    pub(in crate::store) fn start() -> Option<EtcdProcess> {
        EtcdProcess::start_with(None)
    }

    /// With TLS, and nothing but mutual TLS.
    pub(super) fn start_tls() -> Option<EtcdProcess> {
        EtcdProcess::start_with(Some(Tls::new()))
    }

    fn start_with(tls: Option<Tls>) -> Option<EtcdProcess> {
        let is_there = Command::new("etcd")
            .arg("--version")
            .stdout(Stdio::null())
            .status();
        if is_there.is_err() {
            assert!(
                std::env::var_os("CI").is_none(),
                "etcd is missing: install Debian's etcd-server"
            );
            eprintln!("skipped: etcd is missing (Debian's etcd-server)");
            return None;
        }
        let data = TempDir::new().unwrap();
        // Both held before either is let go, so that they differ.
        let ports = [
            TcpListener::bind("127.0.0.1:0").unwrap(),
            TcpListener::bind("127.0.0.1:0").unwrap(),
        ];
        let [client, peer] = ports.map(|port| port.local_addr().unwrap());
        let scheme = if tls.is_some() { "https" } else { "http" };
        let (client, peer) = (format!("{scheme}://{client}"), format!("http://{peer}"));
        Some(EtcdProcess {
            child: spawn(&data, &client, &peer, tls.as_ref()),
            data,
            client,
            peer,
            tls,
        })
    }

    pub(in crate::store) fn settings(&self) -> EtcdSettings {
        let tls = self.tls.as_ref();
        EtcdSettings {
            endpoints: vec![self.client.clone()],
            prefix: "/outrigger/".to_owned(),
            roots_file: tls.map(|tls| tls.file("ca.pem")),
            client: tls.map(|tls| KeyFiles {
                certificate_file: tls.file("leaf.pem"),
                private_key_file: tls.file("leaf.key"),
            }),
            user: None,
        }
    }

    /// As by a power cut: nothing is said to it.
    pub(super) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(super) fn restart(&mut self) {
        self.kill();
        self.child = spawn(&self.data, &self.client, &self.peer, self.tls.as_ref());
    }

    /// Begins anew with nothing in it, as after a loss.
    pub(super) fn restart_empty(&mut self) {
        self.kill();
        self.data = TempDir::new().unwrap();
        self.child = spawn(&self.data, &self.client, &self.peer, self.tls.as_ref());
    }

    /// Runs etcdctl, and gives what it prints.
    pub(in crate::store) fn control(&self, arguments: &[&str]) -> String {
        let output = Command::new("etcdctl")
            .env("ETCDCTL_API", "3")
            .arg(format!("--endpoints={}", self.client))
            .args(arguments)
            .output()
            .expect("etcdctl comes with etcd");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }
}

fn spawn(data: &TempDir, client: &str, peer: &str, tls: Option<&Tls>) -> Child {
    let mut command = Command::new("etcd");
    if let Some(tls) = tls {
        command
            .arg("--client-cert-auth")
            .arg(format!("--trusted-ca-file={}", tls.file("ca.pem").display()))
            .arg(format!("--cert-file={}", tls.file("leaf.pem").display()))
            .arg(format!("--key-file={}", tls.file("leaf.key").display()));
    }
    command
        .args(["--name=test", "--log-level=error", "--logger=zap"])
        .arg(format!("--data-dir={}", data.path().display()))
        .arg(format!("--listen-client-urls={client}"))
        .arg(format!("--advertise-client-urls={client}"))
        .arg(format!("--listen-peer-urls={peer}"))
        .arg(format!("--initial-advertise-peer-urls={peer}"))
        .arg(format!("--initial-cluster=test={peer}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

impl Drop for EtcdProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
