//! A process that is part of the demo.

use anyhow::{Context, anyhow};
use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

/// What is kept of what it wrote, to tell why it ended.
const LINES_KEPT: usize = 20;
/// A line at most; the rest of a longer one is another.
const LINE_BYTES_MAX: u64 = 16 * 1024;
/// How long its start may take: a debug build on a busy machine.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// How long its end may take: its drain's timeout and a little.
const END_TIMEOUT: Duration = Duration::from_secs(8);
/// Between two looks at whether it listens, or has ended.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// A running process. Dropping it kills it.
pub(super) struct Part {
    name: &'static str,
    child: Child,
    said: Arc<Mutex<Said>>,
    closed: watch::Receiver<bool>,
}

/// What it wrote to standard error.
#[derive(Default)]
struct Said {
    last: VecDeque<String>,
    /// Lines are shown as they come: only of one that has started, else they are part of the error.
    shown: bool,
}

impl Part {
    /// Starts it. `name` is what the user knows it by.
    pub(super) fn start(name: &'static str, program: &Path, arguments: &[&OsStr]) -> anyhow::Result<Part> {
        let mut child = Command::new(program)
            .args(arguments)
            .args(["--log", "warn"])
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // Ctrl-C is the demo's: it ends the parts in their order.
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {name} ({})", program.display()))?;
        let said = Arc::new(Mutex::new(Said::default()));
        let (close, closed) = watch::channel(false);
        let stderr = child.stderr.take();
        let shared = Arc::clone(&said);
        let part = Part {
            name,
            child,
            said,
            closed,
        };
        std::thread::Builder::new()
            .name(name.replace(' ', "-"))
            .spawn(move || {
                if let Some(stderr) = stderr {
                    collect(stderr, name, &shared);
                }
                // The demo may be over.
                let _ = close.send(true);
            })
            .with_context(|| format!("cannot follow {name}"))?;
        Ok(part)
    }

    /// Waits until it listens there and `is_ready`. The error says what it wrote, if it ended.
    pub(super) async fn listening(
        &mut self,
        address: SocketAddr,
        is_ready: impl Fn() -> bool,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            if let Some(status) = self.child.try_wait()? {
                // What it wrote last may still be on its way.
                let _ = timeout(END_TIMEOUT, self.closed.wait_for(|&closed| closed)).await;
                return Err(self.failed(&format!("ended at its start ({status})")));
            }
            if is_ready() && TcpStream::connect(address).await.is_ok() {
                self.said.lock().shown = true;
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(self.failed(&format!("does not listen on {address}")));
            }
            sleep(LOOK_INTERVAL).await;
        }
    }

    fn failed(&self, what: &str) -> anyhow::Error {
        let said = self.said.lock();
        let lines: Vec<&str> = said.last.iter().map(String::as_str).collect();
        match lines.is_empty() {
            true => anyhow!("{} {what}", self.name),
            false => anyhow!("{} {what}. Its last lines:\n{}", self.name, lines.join("\n")),
        }
    }

    /// Its process id, by which it can be looked at or ended from outside.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// Becomes true when it ends.
    pub(super) fn closed(&self) -> watch::Receiver<bool> {
        self.closed.clone()
    }

    /// Asks it to end, and waits for that; ends it by force if it takes too long.
    pub(super) async fn end(mut self) {
        self.said.lock().shown = false;
        let Ok(None) = self.child.try_wait() else { return };
        // One that has ended meanwhile is still ours to wait for, so the id is nobody else's.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let deadline = Instant::now() + END_TIMEOUT;
        while Instant::now() < deadline {
            match self.child.try_wait() {
                Ok(None) => sleep(LOOK_INTERVAL).await,
                Ok(Some(_)) | Err(_) => return,
            }
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // One that has ended already is waited for only.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads lines until the process ends.
fn collect(stream: impl Read, name: &str, said: &Mutex<Said>) {
    let mut stream = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        match stream.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        let mut said = said.lock();
        if said.shown {
            // A fault of a document has several lines, which a log line holds as one.
            eprintln!("{name}: {}", text.replace("\\n", "\n"));
        }
        if said.last.len() == LINES_KEPT {
            said.last.pop_front();
        }
        said.last.push_back(text);
    }
}
