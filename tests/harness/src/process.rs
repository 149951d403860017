//! The real binary: started with a configuration file, told by signals, watched from outside.

use crate::admin::Admin;
use crate::wait::{DEADLINE, wait_until};
use rustix::process::{Pid, Signal, kill_process};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

/// A running `outrigger`. Dropping it kills it.
pub struct Process {
    child: Child,
    stdout: Arc<Mutex<String>>,
    stderr: Arc<Mutex<String>>,
}

impl Process {
    /// `outrigger run -c FILE`, which is waited for until it listens.
    pub async fn run(config: &Path) -> Process {
        let config = config.to_str().expect("the path is UTF-8");
        let mut process = Process::spawn(&["run", "-c", config]);
        process.started().await;
        process
    }

    /// Waits until it listens.
    ///
    /// # Panics
    /// If it ends instead.
    pub async fn started(&mut self) {
        wait_until("the proxy's start", || {
            let running = self.child.try_wait().is_ok_and(|status| status.is_none());
            let stderr = self.stderr();
            async move {
                assert!(running, "the proxy ended:\n{stderr}");
                stderr.contains(" admin ").then_some(())
            }
        })
        .await;
    }

    /// Any command line.
    pub fn spawn(arguments: &[&str]) -> Process {
        let mut command = Command::new(binary());
        command.args(arguments);
        Process::spawn_command(command)
    }

    /// Any command that becomes the proxy.
    pub fn spawn_command(mut command: Command) -> Process {
        let mut child = command
            .env_remove("OUTRIGGER_LOG")
            .env_remove("OUTRIGGER_UPGRADE_SOCKET")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary can be started");
        let stdout = collect(child.stdout.take().expect("stdout is piped"));
        let stderr = collect(child.stderr.take().expect("stderr is piped"));
        Process {
            child,
            stdout,
            stderr,
        }
    }

    /// What it wrote to standard output so far.
    pub fn stdout(&self) -> String {
        self.stdout.lock().expect("nobody panics under the lock").clone()
    }

    /// What it wrote to standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.lock().expect("nobody panics under the lock").clone()
    }

    /// Where a listener listened at the start.
    ///
    /// # Panics
    /// If it did not say so.
    pub fn address_of(&self, listener: &str) -> SocketAddr {
        let stderr = self.stderr();
        let mut names = format!("listener={listener}");
        let _ = write!(names, " address=");
        let address = stderr
            .split_once(&names)
            .and_then(|(_, rest)| rest.split_whitespace().next()?.parse().ok());
        address.unwrap_or_else(|| panic!("no address of `{listener}` in:\n{stderr}"))
    }

    /// Where the listener `edge` listened at the start.
    pub fn address(&self) -> SocketAddr {
        self.address_of("edge")
    }

    /// The admin endpoint.
    ///
    /// # Panics
    /// If it did not say where it is.
    pub fn admin(&self) -> Admin {
        let stderr = self.stderr();
        let line = stderr
            .lines()
            .find(|line| line.contains(" admin "))
            .unwrap_or_else(|| panic!("no admin in:\n{stderr}"));
        let address = line
            .split_once("address=")
            .and_then(|(_, rest)| rest.trim().parse().ok());
        Admin(address.unwrap_or_else(|| panic!("no address in {line:?}")))
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("the process is there");
    }

    /// Waits for its end and gives its exit code; -1 if a signal ended it.
    pub async fn exit_code(&mut self) -> i32 {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("the child can be waited for") {
                return status.code().unwrap_or(-1);
            }
            assert!(
                started.elapsed() < DEADLINE,
                "the proxy does not end:\n{}",
                self.stderr()
            );
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    /// True while it runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_none())
    }

    /// Resident memory in bytes, as the kernel counts it.
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))
            .expect("the process is there");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .expect("VmRSS is told");
        let kibibytes: u64 = line
            .trim()
            .trim_end_matches("kB")
            .trim()
            .parse()
            .expect("VmRSS is a number");
        kibibytes * 1024
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(stream: impl Read + Send + 'static) -> Arc<Mutex<String>> {
    let collected = Arc::new(Mutex::new(String::new()));
    let shared = Arc::clone(&collected);
    std::thread::spawn(move || {
        let mut lines = BufReader::new(stream);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            shared
                .lock()
                .expect("nobody panics under the lock")
                .push_str(&String::from_utf8_lossy(&line));
            line.clear();
        }
    });
    collected
}

/// The binary: what `OUTRIGGER_BIN` names, or one built beside the tests, with their profile.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| match std::env::var_os("OUTRIGGER_BIN") {
        Some(path) => PathBuf::from(path),
        None => build("outrigger-proxy", "outrigger"),
    })
}

/// The control API's program, beside [`binary`], where `outrigger demo` looks for it.
pub fn control_binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| match std::env::var_os("OUTRIGGER_BIN") {
        Some(path) => Path::new(&path).with_file_name("outrigger-control"),
        None => build("outrigger-control-api", "outrigger-control"),
    })
}

fn build(package: &str, name: &str) -> PathBuf {
    // TARGET/PROFILE/deps/TEST
    let test = std::env::current_exe().expect("a process knows its program");
    let profile = test
        .ancestors()
        .nth(2)
        .expect("tests lie two folders below their profile's");
    let target = profile.parent().expect("a profile lies in the target folder");
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args([
        "build",
        "--quiet",
        "--package",
        package,
        "--bin",
        name,
        "--target-dir",
    ]);
    command.arg(target).current_dir(env!("CARGO_MANIFEST_DIR"));
    if profile.ends_with("release") {
        command.arg("--release");
    }
    let status = command.status().expect("cargo can be started");
    assert!(status.success(), "the binary does not build");
    profile.join(name)
}
