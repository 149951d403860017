//! Two pods and a node: network namespaces that a test makes for itself and that go with it, whatever becomes of it.

use crate::programs::{self, PROGRAM_TIMEOUT};
use outrigger_harness::{Process, process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

/// Who runs what is not the proxy.
pub(super) const APPLICATION_UID: &str = "65534";

/// True if namespaces can be made here and the programs are there.
///
/// # Panics
/// If not and this is CI.
pub(super) fn possible(more: &[&str]) -> bool {
    let root = rustix::process::geteuid().is_root();
    let programs = ["ip", "nft", "iptables", "ip6tables", "curl", "nginx", "setpriv"];
    programs::allow_missing(if root { &[] } else { &["root"] })
        && programs::installed(&programs)
        && programs::installed(more)
}

/// A network namespace.
pub(super) struct Namespace {
    name: String,
}

impl Namespace {
    fn new(role: &str) -> Namespace {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "outrigger-{}-{}-{role}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        call(Command::new("ip").args(["netns", "add", &name]));
        let namespace = Namespace { name };
        namespace.ip("link set lo up");
        namespace
    }

    /// A command that runs in it, as root.
    pub(super) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program.as_ref());
        command
    }

    /// A command that runs in it as the application does.
    pub(super) fn application(&self, program: &str) -> Command {
        let mut command = self.command("setpriv");
        command
            .args([
                "--reuid",
                APPLICATION_UID,
                "--regid",
                APPLICATION_UID,
                "--clear-groups",
            ])
            .arg(program);
        command
    }

    /// `ip` with these words; fails the test if it fails.
    pub(super) fn ip(&self, words: &str) {
        call(
            Command::new("ip")
                .args(["-n", &self.name])
                .args(words.split_whitespace()),
        );
    }

    /// The standard output of a command line that runs in it as root.
    pub(super) fn says(&self, line: &str) -> String {
        let mut words = line.split_whitespace();
        let mut command = self.command(words.next().unwrap());
        let output = call(command.args(words));
        String::from_utf8(output.stdout).unwrap()
    }

    /// `outrigger intercept` with these words.
    pub(super) fn intercept(&self, words: &str) -> Output {
        let mut command = self.command(process::binary());
        command
            .arg("intercept")
            .args(words.split_whitespace())
            .output()
            .unwrap()
    }

    /// `outrigger intercept` with these words, which succeeds; what it prints.
    pub(super) fn intercepts(&self, words: &str) -> String {
        let output = self.intercept(words);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "intercept {words}: {stderr}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Acts on a thread of this namespace: its sockets are the namespace's, whoever uses them.
    pub(super) fn within<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        let file = File::open(format!("/run/netns/{}", self.name)).unwrap();
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
                act()
            });
            thread.join().unwrap()
        })
    }

    /// Starts a proxy in it, in place of the one that runs with the same configuration file, if one does.
    pub(super) async fn proxy(&self, config: &Path) -> Process {
        let mut command = self.command(process::binary());
        command
            .args(["run", "-c"])
            .arg(config)
            .arg("--upgrade-socket")
            .arg(config.with_extension("sock"));
        let mut proxy = Process::spawn_command(command);
        proxy.started().await;
        proxy
    }

    /// What curl says as the application: the body, or its exit code.
    pub(super) async fn curl(&self, url: &str) -> Result<String, i32> {
        let mut command = self.application("curl");
        command.args(["-sS", "--noproxy", "*", "--max-time", "20", url]);
        let output = programs::run(command).await;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(output.status.code().unwrap_or(-1))
        }
    }

    /// The sum of the series of this name whose labels hold this text, of the proxy in it.
    pub(super) fn metric(&self, name: &str, labels: &str) -> f64 {
        let metrics = self.says("curl -sS --noproxy * http://127.0.0.1:9901/metrics");
        metrics
            .lines()
            .filter(|line| {
                line.split(['{', ' ']).next() == Some(name)
                    && labels.split('&').all(|label| line.contains(label))
            })
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Nothing is left to do where it fails.
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
    }
}

/// A pod: its namespace and its addresses.
pub(super) struct Pod {
    pub(super) space: Namespace,
    pub(super) v4: IpAddr,
    pub(super) v6: IpAddr,
}

/// Two pods, and the node that their traffic goes through.
pub(super) struct Mesh {
    pub(super) a: Pod,
    pub(super) b: Pod,
    pub(super) node: Namespace,
}

/// An address of the node that is in no prefix of the pods'.
pub(super) const ELSEWHERE: &str = "198.51.100.1";

impl Mesh {
    /// Pods `a` and `b`, a bridge between them.
    pub(super) fn new() -> Mesh {
        let node = Namespace::new("node");
        node.ip("link add br0 type bridge forward_delay 0");
        node.ip("link set br0 up");
        node.ip("address add 10.77.0.1/24 dev br0");
        node.ip("address add fd77::1/64 dev br0 nodad");
        node.ip(&format!("address add {ELSEWHERE}/32 dev br0"));
        let a = pod(&node, "a", 2);
        let b = pod(&node, "b", 3);
        Mesh { a, b, node }
    }
}

fn pod(node: &Namespace, role: &str, number: u8) -> Pod {
    let space = Namespace::new(role);
    node.ip(&format!(
        "link add pod{number} type veth peer name eth0 netns {}",
        space.name
    ));
    node.ip(&format!("link set pod{number} master br0 up"));
    // An address that the kernel makes up would appear in the midst of a test.
    space.ip("link set eth0 addrgenmode none");
    space.ip("link set eth0 up");
    space.ip(&format!("address add 10.77.0.{number}/24 dev eth0"));
    space.ip(&format!("address add fd77::{number}/64 dev eth0 nodad"));
    space.ip("route add default via 10.77.0.1");
    space.ip("-6 route add default via fd77::1");
    Pod {
        space,
        v4: format!("10.77.0.{number}").parse().unwrap(),
        v6: format!("fd77::{number}").parse().unwrap(),
    }
}

fn call(command: &mut Command) -> Output {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// Runs a program of a namespace to its end, and gives what it prints.
pub(super) async fn prints(command: Command) -> String {
    tokio::time::timeout(PROGRAM_TIMEOUT, programs::output(command))
        .await
        .expect("the program ends")
}
