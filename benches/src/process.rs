//! A program under measurement: started, waited for, watched through `/proc`, stopped.
//!
//! Figures are sums over the program and its descendants, so that a master with a worker counts as one.
//! A program that is dropped is stopped, its descendants too.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// How long a program may take to accept its first connection.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a program may take to end after SIGTERM before it is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a condition is looked at again.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// A running program.
#[derive(Debug)]
pub(crate) struct Running {
    name: String,
    child: Child,
    output: PathBuf,
}

impl Running {
    /// Starts `command`, with what it prints going to the file `output`.
    pub(crate) fn start(name: &str, mut command: Command, output: &Path) -> Result<Self> {
        let file = File::create(output).with_context(|| format!("creating {}", output.display()))?;
        let errors = file.try_clone().context("sharing the output file")?;
        let child = command
            .stdout(file)
            .stderr(errors)
            .spawn()
            .with_context(|| format!("starting {name}"))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            output: output.to_owned(),
        })
    }

    /// Waits until the program accepts a connection at `address`; fails with what it printed if it ends or
    /// takes too long.
    pub(crate) fn wait_until_listening(&mut self, address: SocketAddr) -> Result<()> {
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            if TcpStream::connect_timeout(&address, POLL_INTERVAL).is_ok() {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!(
                    "{} ended with {status} before it listened:\n{}",
                    self.name,
                    self.printed()
                );
            }
            if Instant::now() > deadline {
                bail!("{} did not listen on {address}:\n{}", self.name, self.printed());
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    /// The program and its descendants of this moment.
    pub(crate) fn tree(&self) -> ProcessTree {
        ProcessTree::of(self.child.id())
    }

    /// Asks the program to end and waits; `None` if it had to be killed after `timeout`.
    pub(crate) fn stop(&mut self, timeout: Duration) -> Result<Option<ExitStatus>> {
        if let Some(status) = self.child.try_wait()? {
            return Ok(Some(status));
        }
        let descendants = self.tree();
        signal(self.child.id(), Signal::TERM);
        let deadline = Instant::now() + timeout;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Some(status));
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        for process in &descendants.0 {
            signal(*process, Signal::KILL);
        }
        self.child.wait()?;
        Ok(None)
    }

    /// The end of what the program printed.
    pub(crate) fn printed(&self) -> String {
        let text = fs::read(&self.output).unwrap_or_default();
        let start = text.len().saturating_sub(4096);
        String::from_utf8_lossy(&text[start..]).into_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A program that cannot be stopped has ended already.
        let _ = self.stop(STOP_TIMEOUT);
    }
}

/// Process ids of a program and its descendants.
#[derive(Debug, Clone)]
pub(crate) struct ProcessTree(Vec<u32>);

impl ProcessTree {
    /// The process `root` and all below it.
    pub(crate) fn of(root: u32) -> Self {
        let mut processes = vec![root];
        let mut next = 0;
        while let Some(process) = processes.get(next).copied() {
            processes.extend(children(process));
            next += 1;
        }
        Self(processes)
    }

    /// The ids, separated by commas.
    pub(crate) fn comma_separated(&self) -> String {
        self.0.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
    }

    /// The ids.
    pub(crate) fn ids(&self) -> &[u32] {
        &self.0
    }

    /// Time on a processor of all living threads, from the scheduler's own count in nanoseconds.
    pub(crate) fn processor_time(&self) -> Result<Duration> {
        let mut nanoseconds = 0;
        for process in &self.0 {
            for thread in fs::read_dir(format!("/proc/{process}/task")).context("listing threads")? {
                let path = thread?.path().join("schedstat");
                let text =
                    fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
                nanoseconds += first_number(&text).context("schedstat has no number")?;
            }
        }
        Ok(Duration::from_nanos(nanoseconds))
    }

    /// Resident memory in bytes: the sum of `VmRSS`.
    pub(crate) fn resident_bytes(&self) -> Result<u64> {
        let mut kibibytes = 0;
        for process in &self.0 {
            let path = format!("/proc/{process}/status");
            let text = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
            let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
            kibibytes += first_number(line.context("no VmRSS")?).context("VmRSS has no number")?;
        }
        Ok(kibibytes * 1024)
    }
}

/// An address on loopback that nobody listens on at this moment.
pub(crate) fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").context("finding a free port")?;
    Ok(listener.local_addr()?)
}

fn children(process: u32) -> Vec<u32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else {
        return Vec::new();
    };
    threads
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok())
        .flat_map(|text| text.split_whitespace().flat_map(str::parse).collect::<Vec<u32>>())
        .collect()
}

fn first_number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

fn signal(process: u32, signal: Signal) {
    let Some(pid) = i32::try_from(process).ok().and_then(Pid::from_raw) else {
        return;
    };
    // A process that has gone needs no signal.
    let _ = kill_process(pid, signal);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, directory: &Path) -> Running {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Running::start("sh", command, &directory.join("output")).unwrap()
    }

    fn wait_until(mut condition: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !condition() {
            assert!(Instant::now() < deadline, "the condition never held");
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    #[test]
    fn a_tree_counts_descendants_and_stop_ends_them() {
        let directory = tempfile::tempdir().unwrap();
        let mut running = shell("trap '' TERM; sleep 60 & sleep 60 & wait; wait", directory.path());
        wait_until(|| running.tree().ids().len() == 3);
        let tree = running.tree();
        assert!(tree.resident_bytes().unwrap() > ProcessTree(vec![tree.0[0]]).resident_bytes().unwrap());
        assert_eq!(
            running.stop(Duration::from_millis(50)).unwrap(),
            None,
            "the trap ignores SIGTERM"
        );
        wait_until(|| tree.ids().iter().all(|id| tree_is_gone(*id)));
    }

    fn tree_is_gone(process: u32) -> bool {
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        status.is_empty() || status.contains("State:\tZ")
    }

    #[test]
    fn work_shows_as_processor_time() {
        let directory = tempfile::tempdir().unwrap();
        let running = shell("while :; do :; done", directory.path());
        let before = running.tree().processor_time().unwrap();
        wait_until(|| running.tree().processor_time().unwrap() > before);
    }

    #[test]
    fn a_program_that_ends_early_is_reported_with_its_words() {
        let directory = tempfile::tempdir().unwrap();
        let mut running = shell("echo no such option >&2; exit 2", directory.path());
        let error = running
            .wait_until_listening(free_address().unwrap())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("no such option") && error.contains("exit status: 2"),
            "{error}"
        );
    }
}
