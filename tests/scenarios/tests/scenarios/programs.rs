//! Real programs as clients and as upstreams. In CI all of them must be there; elsewhere a test says what it misses.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

mod control_plane;
mod curl;
mod detection;
mod dns;
pub(crate) mod envoy;
mod health;
mod load;
mod mutual_tls;
mod prometheus;
mod proxy_protocol;
mod reload;
mod twins;
mod upstreams;
mod websockets;

/// How long a program may take before its test fails.
pub(crate) const PROGRAM_TIMEOUT: Duration = Duration::from_secs(120);

/// True if all programs are there.
///
/// # Panics
/// If one is missing and this is CI.
pub(crate) fn installed(programs: &[&str]) -> bool {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&folders).collect();
    folders.push("/usr/sbin".into());
    let missing: Vec<&str> = programs
        .iter()
        .copied()
        .filter(|program| !folders.iter().any(|folder| folder.join(program).is_file()))
        .collect();
    allow_missing(&missing)
}

pub(crate) fn allow_missing(missing: &[&str]) -> bool {
    if missing.is_empty() {
        return true;
    }
    assert!(
        std::env::var_os("CI").is_none_or(|ci| ci != "true"),
        "CI has no {}",
        missing.join(", no ")
    );
    eprintln!("skipped: there is no {}", missing.join(", no "));
    false
}

/// Python with what `tests/peers/requirements.txt` names; none if `tests/peers/setup` has not been run.
///
/// # Panics
/// If there is none and this is CI.
pub(crate) fn python() -> Option<PathBuf> {
    let python = peers().join("bin/python");
    allow_missing(if python.is_file() {
        &[]
    } else {
        &["virtual environment of tests/peers/setup"]
    })
    .then_some(python)
}

/// Where `tests/peers/setup` installs.
fn peers() -> PathBuf {
    match std::env::var_os("OUTRIGGER_PEERS") {
        Some(folder) => PathBuf::from(folder),
        None => workspace().join("target/peers"),
    }
}

/// A file under `tests/peers`.
pub(crate) fn peer(name: &str) -> PathBuf {
    workspace().join("tests/peers").join(name)
}

fn workspace() -> PathBuf {
    let package = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    package
        .ancestors()
        .nth(2)
        .expect("the package lies two folders below the workspace")
        .to_path_buf()
}

/// Runs a program to its end.
pub(crate) async fn run(mut command: Command) -> Output {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = command
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let id = child.id();
    std::thread::spawn(move || {
        let _ = sender.send(child.wait_with_output());
    });
    match tokio::time::timeout(PROGRAM_TIMEOUT, receiver).await {
        Ok(output) => output
            .expect("the thread answers")
            .expect("the program can be waited for"),
        Err(_) => {
            let pid = rustix::process::Pid::from_raw(id as i32).expect("a process has an id");
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            panic!("{command:?} does not end");
        }
    }
}

/// The standard output of a program that succeeds.
pub(crate) async fn output(command: Command) -> String {
    let what = format!("{command:?}");
    let output = run(command).await;
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success(),
        "{what}: {}\n{stdout}\n{stderr}",
        output.status
    );
    stdout.into_owned()
}

/// A program that runs beside the test, is killed with it, and tells its lines.
pub(crate) struct Beside {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Beside {
    /// Starts a program.
    pub(crate) fn start(mut command: Command) -> Beside {
        // Its standard input stays open as long as the test lives.
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stdout = child.stdout.take().expect("stdout is piped");
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || tell_lines(stdout, &sender));
        Beside { child, lines }
    }

    /// Writes a line to its input.
    pub(crate) fn tell(&mut self, line: &str) {
        let input = self.child.stdin.as_mut().expect("stdin is piped");
        writeln!(input, "{line}").expect("the program reads");
    }

    /// The next line of its output.
    pub(crate) fn line(&self) -> String {
        self.lines
            .recv_timeout(PROGRAM_TIMEOUT)
            .expect("the program says a line")
    }

    /// The next line of its output; none if it has ended.
    pub(crate) fn try_line(&self) -> Option<String> {
        match self.lines.recv_timeout(PROGRAM_TIMEOUT) {
            Ok(line) => Some(line),
            Err(mpsc::RecvTimeoutError::Disconnected) => None,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("the program says nothing"),
        }
    }

    /// Starts a program whose first line is the port that it listens on.
    pub(crate) fn listening(command: Command) -> (Beside, SocketAddr) {
        let beside = Beside::start(command);
        let port: u16 = beside.line().trim().parse().expect("the first line is a port");
        (beside, SocketAddr::from(([127, 0, 0, 1], port)))
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn tell_lines(stdout: impl Read, lines: &mpsc::Sender<String>) {
    for line in BufReader::new(stdout).lines() {
        let Ok(line) = line else { return };
        if lines.send(line).is_err() {
            return;
        }
    }
}
