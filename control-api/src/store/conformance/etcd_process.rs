//! Real etcd, of one member, for a test: in a directory of its own, on ports of loopback that were free.

use crate::settings::EtcdSettings;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

pub(super) struct EtcdProcess {
    child: Child,
    data: TempDir,
    client: String,
    peer: String,
}

impl EtcdProcess {
    /// None, with a message, where the program is missing; in CI it must not be.
    pub(super) fn start() -> Option<EtcdProcess> {
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
        let [client, peer] = ports.map(|port| format!("http://{}", port.local_addr().unwrap()));
        let child = spawn(&data, &client, &peer);
        Some(EtcdProcess {
            child,
            data,
            client,
            peer,
        })
    }

    pub(super) fn settings(&self) -> EtcdSettings {
        EtcdSettings {
            endpoints: vec![self.client.clone()],
            prefix: "/outrigger/".to_owned(),
            roots_file: None,
            client: None,
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
        self.child = spawn(&self.data, &self.client, &self.peer);
    }

    /// Begins anew with nothing in it, as after a loss.
    pub(super) fn restart_empty(&mut self) {
        self.kill();
        self.data = TempDir::new().unwrap();
        self.child = spawn(&self.data, &self.client, &self.peer);
    }

    /// Runs etcdctl, and gives what it prints.
    pub(super) fn control(&self, arguments: &[&str]) -> String {
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

fn spawn(data: &TempDir, client: &str, peer: &str) -> Child {
    Command::new("etcd")
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
