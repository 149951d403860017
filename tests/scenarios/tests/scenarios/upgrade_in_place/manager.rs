//! Beside a service manager: what it is told, what it passes, and its unit files.

use super::{Site, handed_over, said, site};
use crate::programs::installed;
use outrigger_harness::client::fetch;
use outrigger_harness::process::binary;
use outrigger_harness::{Document, Process, wait_until};
use rustix::process::{Pid, Signal, kill_process};
use std::net::SocketAddr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixDatagram};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;

/// A service manager's ear.
struct Manager {
    incoming: mpsc::Receiver<String>,
    name: String,
    heard: Vec<String>,
}

impl Manager {
    fn at(path: &Path) -> Manager {
        let socket = UnixDatagram::bind(path).unwrap();
        Manager::with(socket, path.to_str().unwrap().to_owned())
    }

    fn with(socket: UnixDatagram, name: String) -> Manager {
        // Read at once, as service managers do: the kernel holds a few datagrams only.
        let (sender, incoming) = mpsc::channel();
        std::thread::spawn(move || {
            let mut datagram = [0; 4096];
            while let Ok(length) = socket.recv(&mut datagram) {
                let text = String::from_utf8(datagram[..length].to_vec()).unwrap();
                if sender.send(text).is_err() {
                    return;
                }
            }
        });
        Manager {
            incoming,
            name,
            heard: Vec::new(),
        }
    }

    /// A process of the site that tells it, watched so closely that it is heard of at once.
    fn spawn(&self, site: &Site, watchdog: bool) -> Process {
        let mut command = site.command();
        command.env("NOTIFY_SOCKET", &self.name);
        if watchdog {
            command.env("WATCHDOG_USEC", "20000");
        }
        Process::spawn_command(command)
    }

    fn listen(&mut self) {
        self.heard.extend(self.incoming.try_iter());
    }

    /// Waits until something that begins so was heard after the first `after` datagrams; gives how many came until then.
    async fn hears(&mut self, start: &str, after: usize) -> usize {
        wait_until(&format!("{start:?} in the notifications"), async || {
            self.listen();
            let found = self
                .heard
                .iter()
                .skip(after)
                .position(|heard| heard.starts_with(start));
            found.map(|found| after + found + 1)
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_reloads_life_and_the_end_are_told_in_order() {
    let (_upstream, document, site) = site(1).await;
    let abstract_name = format!("outrigger-manager-{}", std::process::id());
    let address = UnixAddress::from_abstract_name(&abstract_name).unwrap();
    let by_name = UnixDatagram::bind_addr(&address).unwrap();
    for mut manager in [
        Manager::at(&site.directory.path().join("notify")),
        Manager::with(by_name, format!("@{abstract_name}")),
    ] {
        site.write(&document);
        let mut process = manager.spawn(&site, true);
        process.started().await;
        let ready = manager
            .hears("READY=1\nSTATUS=Configuration 1 in force\n", 0)
            .await;
        let told = |heard: &String| !heard.starts_with("WATCHDOG");
        assert!(
            manager
                .heard
                .iter()
                .find(|heard| told(heard))
                .unwrap()
                .starts_with("READY")
        );
        manager.hears("WATCHDOG=1\n", ready).await;

        site.write(document.clone().cluster("connect_timeout: 3s"));
        let reloading = manager.hears("RELOADING=1\nMONOTONIC_USEC=", ready).await;
        let microseconds = manager.heard[reloading - 1].lines().nth(1).unwrap();
        assert!(microseconds["MONOTONIC_USEC=".len()..].parse::<u64>().unwrap() > 0);
        let again = manager
            .hears("READY=1\nSTATUS=Configuration 2 in force\n", reloading)
            .await;
        site.write("no configuration");
        let refused = manager.hears("RELOADING=1", again).await;
        let still = manager
            .hears(
                "READY=1\nSTATUS=Configuration 2 in force; a newer one was refused\n",
                refused,
            )
            .await;
        process.signal(Signal::TERM);
        manager.hears("STOPPING=1\n", still).await;
        assert_eq!(process.exit_code().await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_successor_becomes_the_services_main_process() {
    let (_upstream, _, site) = site(1).await;
    let mut manager = Manager::at(&site.directory.path().join("notify"));
    let mut old = manager.spawn(&site, true);
    old.started().await;
    // The manager tells only those about the watchdog that it started.
    let mut new = manager.spawn(&site, false);
    new.started().await;
    let id = new.id();
    handed_over(old).await;
    let main = manager.hears(&format!("MAINPID={id}\n"), 0).await;
    let ready = manager.hears("READY=1", main).await;
    manager.hears("WATCHDOG=1", ready).await;
    assert!(
        !manager.heard.iter().any(|heard| heard.starts_with("STOPPING")),
        "the service does not stop with the process before: {:?}",
        manager.heard
    );
    new.signal(Signal::TERM);
    manager.hears("STOPPING=1\n", ready).await;
    assert_eq!(new.exit_code().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_starts_the_successor() {
    let (_upstream, _, site) = site(2).await;
    let mut manager = Manager::at(&site.directory.path().join("notify"));
    let mut old = manager.spawn(&site, true);
    old.started().await;
    let (address, admin) = (old.address(), old.admin());
    // A configuration that is refused: the new process fails, and is told of.
    let good = std::fs::read_to_string(&site.file).unwrap();
    site.write("no configuration");
    manager.hears("RELOADING=1", 0).await;
    old.signal(Signal::USR2);
    said(&old, "the new process has failed").await;
    site.write(good);
    said(&old, "configuration in force").await;
    old.signal(Signal::USR2);
    let main = manager.hears("MAINPID=", 0).await;
    let id: u32 = manager.heard[main - 1]["MAINPID=".len()..]
        .trim()
        .parse()
        .unwrap();
    assert_ne!(id, old.id());
    manager.hears("READY=1", main).await;
    assert_eq!(admin.json("/server_info").await["process"], id);
    assert_eq!(fetch(address, "/", "").await.status(), 200);
    handed_over(old).await;
    let new = Pid::from_raw(i32::try_from(id).unwrap()).unwrap();
    kill_process(new, Signal::TERM).unwrap();
    manager.hears("STOPPING=1", main).await;
}

/// A free address. Nobody else listens on or connects from it, so it stays free while it is left.
fn free_address(loopback: &str) -> SocketAddr {
    let listener = std::net::TcpListener::bind((loopback, 0)).unwrap();
    listener.local_addr().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_that_the_manager_passes_are_taken_by_address_and_by_name() {
    if !installed(&["systemd-socket-activate"]) {
        return;
    }
    let upstream = outrigger_fixtures::Scripted::ok().await;
    let [by_address, by_name, unwanted] = ["127.0.79.3", "127.0.79.4", "127.0.79.5"].map(free_address);
    let listener = |name: &str, address: &str| {
        format!(
            "- {{ name: {name}, address: '{address}', filter_chains: [{{ http: {{ route_configuration: main }} }}] }}\n"
        )
    };
    let document = Document::to(&[upstream.address()])
        .workers(3)
        .with_listener_text(&listener("one", &by_address.to_string()))
        .with_listener_text(&listener("two", "127.0.79.4:0"));
    let site = Site::new(document);
    let mut command = Command::new("systemd-socket-activate");
    for address in [by_address, by_name, unwanted] {
        command.arg("-l").arg(address.to_string());
    }
    command.arg("--fdname=first:two:third").arg(binary());
    command.arg("run").arg("-c").arg(&site.file);
    let mut process = Process::spawn_command(command);
    // It starts the program when somebody comes, who waits in the backlog meanwhile.
    let first = wait_until("the sockets", async || {
        tokio::net::TcpStream::connect(by_address).await.ok()
    })
    .await;
    process.started().await;
    drop(first);
    assert_eq!(process.address_of("one"), by_address);
    assert_eq!(process.address_of("two"), by_name);
    for address in [by_address, by_name] {
        for _ in 0..10 {
            assert_eq!(fetch(address, "/", "").await.status(), 200);
        }
    }
    said(&process, "no listener wants this socket").await;
    assert!(process.stderr().contains("third"), "{}", process.stderr());
    assert!(
        tokio::net::TcpStream::connect(unwanted).await.is_err(),
        "it is closed"
    );
    assert_eq!(process.admin().json("/server_info").await["sockets_inherited"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_unit_files_are_in_order() {
    if !installed(&["systemd-analyze"]) {
        return;
    }
    let units = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../deploy/systemd");
    let directory = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    for name in ["outrigger.service", "outrigger.socket"] {
        let text = std::fs::read_to_string(units.join(name)).unwrap();
        let text = text.replace("/usr/local/bin/outrigger", binary().to_str().unwrap());
        let file = directory.path().join(name);
        std::fs::write(&file, text).unwrap();
        files.push(file);
    }
    let mut verify = Command::new("systemd-analyze");
    verify.arg("--man=no").arg("verify").args(&files);
    let output = crate::programs::run(verify).await;
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaints}");
    let ours: Vec<&str> = complaints
        .lines()
        .filter(|line| line.contains("outrigger"))
        .collect();
    assert!(ours.is_empty(), "{complaints}");
}
