//! Counts system calls of a running proxy: `perf` where the kernel allows it, else `strace`.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::load::tools::{ClosedLoop, Extent, Outcome};
use crate::peer::find_program;
use crate::placement::Placement;
use crate::process::ProcessTree;

const EVENT: &str = "raw_syscalls:sys_enter";
const ATTACH_TIMEOUT: Duration = Duration::from_secs(20);

/// The means of counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counter {
    /// `perf stat`, which costs the proxy next to nothing.
    Perf,
    /// `strace -c`, which slows it down.
    Strace,
}

impl Counter {
    /// What works here.
    pub(crate) fn detect() -> Option<Self> {
        let perf = Command::new("perf")
            .args(["stat", "-x", ",", "-e", EVENT, "true"])
            .output();
        let counts = perf.is_ok_and(|output| read_perf(&String::from_utf8_lossy(&output.stderr)).is_ok());
        if counts {
            return Some(Self::Perf);
        }
        find_program("strace").map(|_| Self::Strace)
    }

    /// System calls per request: the difference of `requests` and twice as many, so that connecting and
    /// closing do not count.
    pub(crate) fn per_request(
        self,
        tree: &ProcessTree,
        load: &ClosedLoop,
        placement: &Placement,
        requests: u64,
        directory: &Path,
    ) -> Result<f64> {
        // Once before, so that pools and buffers are what they will be.
        load.run(placement, Extent::Requests(requests))?;
        let mut counts = [0_u64; 2];
        for (times, count) in (1..).zip(&mut counts) {
            let extent = Extent::Requests(requests * times);
            let (outcome, calls) = match self {
                Self::Perf => count_with_perf(tree, load, placement, extent, directory)?,
                Self::Strace => count_with_strace(tree, load, placement, extent, directory)?,
            };
            ensure!(
                outcome.failed == 0,
                "{} requests failed while they were counted",
                outcome.failed
            );
            ensure!(
                outcome.succeeded == requests * times,
                "not every request was answered"
            );
            *count = calls;
        }
        Ok(counts[1].saturating_sub(counts[0]) as f64 / requests as f64)
    }
}

fn count_with_perf(
    tree: &ProcessTree,
    load: &ClosedLoop,
    placement: &Placement,
    extent: Extent,
    directory: &Path,
) -> Result<(Outcome, u64)> {
    let file = directory.join("perf.csv");
    let client = load.command(placement, extent)?;
    let output = Command::new("perf")
        .args([
            "stat",
            "-x",
            ",",
            "-e",
            EVENT,
            "-p",
            &tree.comma_separated(),
            "-o",
        ])
        .arg(&file)
        .arg("--")
        .arg(client.get_program())
        .args(client.get_args())
        .stdin(Stdio::null())
        .output()
        .context("running perf")?;
    let text = std::fs::read_to_string(&file).context("reading what perf counted")?;
    Ok((load.read(&output)?, read_perf(&text)?))
}

fn read_perf(text: &str) -> Result<u64> {
    let line = text
        .lines()
        .find(|line| line.contains(EVENT))
        .context("perf did not count the event")?;
    let count = line.split(',').next().unwrap_or_default();
    count.parse().with_context(|| format!("perf counted {count:?}"))
}

fn count_with_strace(
    tree: &ProcessTree,
    load: &ClosedLoop,
    placement: &Placement,
    extent: Extent,
    directory: &Path,
) -> Result<(Outcome, u64)> {
    let file = directory.join("strace.txt");
    let said = directory.join("strace.stderr");
    let mut strace = Tracer::attach(tree, &file, &said)?;
    let outcome = load.run(placement, extent)?;
    strace.detach()?;
    let text = std::fs::read_to_string(&file).context("reading what strace counted")?;
    Ok((outcome, read_strace(&text)?))
}

struct Tracer(Child);

impl Tracer {
    fn attach(tree: &ProcessTree, file: &Path, said: &Path) -> Result<Self> {
        let mut command = Command::new("strace");
        command.args(["-f", "-c", "-o"]).arg(file);
        for process in tree.ids() {
            command.args(["-p", &process.to_string()]);
        }
        let stderr = File::create(said).context("creating a file for strace's messages")?;
        let mut child = command
            .stdin(Stdio::null())
            .stderr(stderr)
            .spawn()
            .context("starting strace")?;
        let deadline = Instant::now() + ATTACH_TIMEOUT;
        loop {
            let text = std::fs::read_to_string(said).unwrap_or_default();
            if text.matches("attached").count() >= tree.ids().len() {
                return Ok(Self(child));
            }
            if child.try_wait()?.is_some() || Instant::now() > deadline {
                let _ = child.kill();
                bail!("strace could not attach: {text}");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn detach(&mut self) -> Result<()> {
        let pid = i32::try_from(self.0.id())
            .ok()
            .and_then(Pid::from_raw)
            .context("strace's id")?;
        kill_process(pid, Signal::INT).context("ending strace")?;
        self.0.wait().context("waiting for strace")?;
        Ok(())
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        // One that cannot be killed has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The column `calls` of the line `total`.
fn read_strace(text: &str) -> Result<u64> {
    let line = text
        .lines()
        .find(|line| line.ends_with("total"))
        .context("strace has no total")?;
    line.split_whitespace()
        .nth(3)
        .context("the total has no calls")?
        .parse()
        .context("the calls")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_read() {
        let perf = "# started on Thu\n\n29,,raw_syscalls:sys_enter,1571748,100.00,,\n";
        assert_eq!(read_perf(perf).unwrap(), 29);
        assert!(read_perf("<not supported>,,raw_syscalls:sys_enter,0,100.00,,\n").is_err());
        let strace = "% time     seconds  usecs/call     calls    errors syscall\n\
                      ------ ----------- ----------- --------- --------- ----------------\n\
                      100.00    0.001200          12        96         3 read\n\
                      ------ ----------- ----------- --------- --------- ----------------\n\
                      100.00    0.001200          12      1099         4 total\n";
        assert_eq!(read_strace(strace).unwrap(), 1099);
        assert!(read_strace("").is_err());
    }
}
