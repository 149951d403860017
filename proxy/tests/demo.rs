//! How `outrigger demo` fails. That it works is shown where both programs are built, in `tests/scenarios`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Long enough for the slowest machine; nothing waits that long when all is well.
const PATIENCE: Duration = Duration::from_secs(30);

/// The running demo and what it has said.
struct Demo {
    child: Child,
    lines: Receiver<String>,
    said: String,
}

impl Demo {
    fn start(arguments: &[&str]) -> Demo {
        let mut child = Command::new(env!("CARGO_BIN_EXE_outrigger"))
            .arg("demo")
            .args(arguments)
            .env_remove("OUTRIGGER_LOG")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        let streams: [Box<dyn Read + Send>; 2] = [
            Box::new(child.stdout.take().unwrap()),
            Box::new(child.stderr.take().unwrap()),
        ];
        for stream in streams {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    let _ = sender.send(line);
                }
            });
        }
        Demo {
            child,
            lines,
            said: String::new(),
        }
    }

    /// Waits for a line that holds `what`, and gives it.
    fn line(&mut self, what: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        while let Ok(line) = self
            .lines
            .recv_timeout(deadline.saturating_duration_since(Instant::now()))
        {
            self.said += &line;
            self.said.push('\n');
            if line.contains(what) {
                return line;
            }
        }
        panic!("no line with `{what}` in:\n{}", self.said);
    }

    fn ended(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "the demo does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_taken_port_is_told_with_the_flag_that_helps() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap().to_string();
    for (arguments, flag) in [
        (["--listen", taken.as_str(), "--admin", "127.0.0.1:0"], "--listen"),
        (["--listen", "127.0.0.1:0", "--admin", taken.as_str()], "--admin"),
    ] {
        let mut demo = Demo::start(&arguments);
        let error = demo.line("error: ");
        assert!(error.contains(&taken) && error.contains(flag), "{error}");
        assert_eq!(demo.ended().code(), Some(1));
    }
}

#[test]
fn a_missing_control_api_is_told_with_how_to_build_it() {
    // Beside the program that was built there may be one: a directory of its own has none.
    let directory = tempfile::tempdir().unwrap();
    let alone = directory.path().join("outrigger");
    let built = env!("CARGO_BIN_EXE_outrigger");
    if std::fs::hard_link(built, &alone).is_err() {
        std::fs::copy(built, &alone).unwrap();
    }
    let mut command = Command::new(&alone);
    command.args(["demo", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    let output = command.env("PATH", "").output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(
        error.contains("outrigger-control") && error.contains("cargo build --release"),
        "{error}"
    );
}
