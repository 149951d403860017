//! Counts a program's instructions exactly, under `valgrind --tool=callgrind`.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::peer::{Invocation, RunningPeer};
use crate::process::Running;

/// A program under valgrind takes fifty times as long to end.
const STOP_TIMEOUT: Duration = Duration::from_secs(120);

/// A command that counts the instructions of `program` into `file`.
fn command(program: impl AsRef<OsStr>, file: &Path) -> Command {
    let mut command = valgrind(file);
    command.arg(program);
    command
}

/// As [`command`], but counts only while a function whose path `within` matches is called.
pub(crate) fn command_within(within: &str, program: impl AsRef<OsStr>, file: &Path) -> Command {
    let mut command = valgrind(file);
    command.arg(format!("--toggle-collect={within}")).arg(program);
    command
}

fn valgrind(file: &Path) -> Command {
    let mut command = Command::new("valgrind");
    let mut out = std::ffi::OsString::from("--callgrind-out-file=");
    out.push(file);
    command.args(["--tool=callgrind", "--quiet"]).arg(out);
    command
}

/// Starts a proxy under callgrind.
pub(crate) fn start(
    peer: crate::peer::Peer,
    invocation: &Invocation,
    address: std::net::SocketAddr,
    directory: &Path,
) -> Result<RunningPeer> {
    let mut command = command(&invocation.program, &directory.join("callgrind.out"));
    command.args(&invocation.arguments);
    let mut running = Running::start(peer.name(), command, &directory.join("output"))?;
    running.wait_until_listening(address)?;
    Ok(RunningPeer { address, running })
}

/// Ends a proxy that `start` started; the instructions it ran.
pub(crate) fn finish(mut proxy: RunningPeer, directory: &Path) -> Result<u64> {
    let status = proxy
        .running
        .stop(STOP_TIMEOUT)?
        .context("the proxy did not end on SIGTERM")?;
    ensure!(
        status.success(),
        "the proxy ended with {status}:\n{}",
        proxy.running.printed()
    );
    instructions(&directory.join("callgrind.out"))
}

/// The total of a callgrind file.
pub(crate) fn instructions(file: &Path) -> Result<u64> {
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    read_total(&text).with_context(|| format!("{} has no total", file.display()))
}

fn read_total(text: &str) -> Option<u64> {
    let total = text.lines().rev().find_map(|line| line.strip_prefix("totals: "));
    let total = total.or_else(|| text.lines().find_map(|line| line.strip_prefix("summary: ")))?;
    total.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_read() {
        assert_eq!(
            read_total("events: Ir\nsummary: 12\nfn=a\n1 12\n\ntotals: 34\n"),
            Some(34)
        );
        assert_eq!(read_total("events: Ir\nsummary: 12\nfn=a\n"), Some(12));
        assert_eq!(read_total("events: Ir\n"), None);
    }
}
