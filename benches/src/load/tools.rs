//! `wrk`, `h2load` and our own echo client: their command lines and what they print.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use serde::{Deserialize, Serialize};

use crate::placement::Placement;

/// Which program sends the load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tool {
    /// `wrk`: HTTP/1.1 in the clear.
    Wrk,
    /// `h2load --h1` without or with TLS.
    H2loadHttp1,
    /// `h2load` with HTTP/2 in the clear.
    H2loadHttp2,
    /// This program's `echo`.
    Echo,
    /// This program's `echo --websocket`.
    EchoWebSocket,
    /// This program's `handshake`.
    Handshake,
    /// This program's `handshake --resumed`.
    HandshakeResumed,
}

/// How long a load lasts.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Extent {
    /// At least this long; `wrk` knows whole seconds only.
    Lasting(Duration),
    /// Exactly this many requests; `h2load` only.
    Requests(u64),
}

/// A closed loop of requests: each connection or stream sends its next when the last was answered.
#[derive(Debug, Clone)]
pub(crate) struct ClosedLoop {
    /// Who sends.
    pub(crate) tool: Tool,
    /// Whom to ask.
    pub(crate) address: SocketAddr,
    /// `https` instead of `http`.
    pub(crate) tls: bool,
    /// The path of every request.
    pub(crate) path: &'static str,
    /// Connections.
    pub(crate) connections: u32,
    /// Requests at once on each connection; HTTP/2 only.
    pub(crate) streams: u32,
    /// Where the certificates of mutual TLS are.
    pub(crate) certificates: PathBuf,
}

/// What a load came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// Requests answered with 2xx.
    pub(crate) succeeded: u64,
    /// Requests that were not, and connections that failed.
    pub(crate) failed: u64,
}

impl ClosedLoop {
    /// Whether the program is there.
    pub(crate) fn is_installed(tool: Tool) -> bool {
        tool.is_own() || crate::peer::find_program(tool.program()).is_some()
    }

    /// The command line, on the load's processor.
    pub(crate) fn command(&self, placement: &Placement, extent: Extent) -> Result<Command> {
        let connections = self.connections.to_string();
        if self.tool.is_own() {
            let program = std::env::current_exe().context("finding this program")?;
            let mut command = placement.load_command(program);
            let address = self.address.to_string();
            let (subcommand, count_flag, flag) = match self.tool {
                Tool::EchoWebSocket => ("echo", "--messages", Some("--websocket")),
                Tool::Handshake => ("handshake", "--handshakes", None),
                Tool::HandshakeResumed => ("handshake", "--handshakes", Some("--resumed")),
                _ => ("echo", "--messages", None),
            };
            command.args([subcommand, "--address", &address, "--connections", &connections]);
            match extent {
                Extent::Lasting(duration) => command.args(["--seconds", &duration.as_secs_f64().to_string()]),
                Extent::Requests(count) => command.args([count_flag, &count.to_string()]),
            };
            command.args(flag);
            if subcommand == "handshake" {
                command.arg("--certificates").arg(&self.certificates);
            }
            return Ok(command);
        }
        let mut command = placement.load_command(self.tool.program());
        match (self.tool, extent) {
            (Tool::Wrk, Extent::Lasting(duration)) => {
                let seconds = duration.as_secs_f64().ceil();
                command.args([
                    "-t1",
                    "-c",
                    &connections,
                    "-d",
                    &format!("{seconds}s"),
                    "--timeout",
                    "30s",
                ]);
            }
            (Tool::Wrk, Extent::Requests(_)) => bail!("wrk cannot send a fixed number of requests"),
            (_, extent) => {
                command.args(["-t1", "-c", &connections, "-m", &self.streams.to_string()]);
                match extent {
                    Extent::Lasting(duration) => command.args(["-D", &format!("{}ms", duration.as_millis())]),
                    Extent::Requests(count) => command.args(["-n", &count.to_string()]),
                };
            }
        }
        if self.tool == Tool::H2loadHttp1 {
            command.arg("--h1");
        }
        let scheme = if self.tls { "https" } else { "http" };
        command.arg(format!("{scheme}://{}{}", self.address, self.path));
        Ok(command)
    }

    /// Starts the load.
    pub(crate) fn start(&self, placement: &Placement, extent: Extent) -> Result<RunningLoad> {
        let mut command = self.command(placement, extent)?;
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command
            .spawn()
            .with_context(|| format!("starting {}", self.tool.program()))?;
        Ok(RunningLoad {
            child: Some(child),
            load: self.clone(),
        })
    }

    /// Runs the load to its end.
    pub(crate) fn run(&self, placement: &Placement, extent: Extent) -> Result<Outcome> {
        self.start(placement, extent)?.finish()
    }

    /// Reads what the program printed.
    pub(crate) fn read(&self, output: &Output) -> Result<Outcome> {
        let text = String::from_utf8_lossy(&output.stdout);
        ensure!(
            output.status.success(),
            "{} ended with {}:\n{text}{}",
            self.tool.program(),
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        if self.tool.is_own() {
            return serde_json::from_slice(&output.stdout)
                .with_context(|| format!("our client printed:\n{text}"));
        }
        if self.tool == Tool::Wrk {
            return read_wrk(&text).with_context(|| format!("wrk printed:\n{text}"));
        }
        if self.tls && !text.contains("TLS Protocol: TLSv1.3") {
            bail!("the handshake was not TLS 1.3:\n{text}");
        }
        read_h2load(&text).with_context(|| format!("h2load printed:\n{text}"))
    }
}

/// A load under way.
#[derive(Debug)]
pub(crate) struct RunningLoad {
    child: Option<Child>,
    load: ClosedLoop,
}

impl RunningLoad {
    /// Waits for its end.
    pub(crate) fn finish(mut self) -> Result<Outcome> {
        let child = self.child.take().context("the load was already waited for")?;
        self.load
            .read(&child.wait_with_output().context("waiting for the load")?)
    }
}

impl Drop for RunningLoad {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // One that cannot be killed has ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Tool {
    fn program(self) -> &'static str {
        match self {
            Self::Wrk => "wrk",
            Self::H2loadHttp1 | Self::H2loadHttp2 => "h2load",
            Self::Echo | Self::EchoWebSocket | Self::Handshake | Self::HandshakeResumed => {
                "outrigger-benches"
            }
        }
    }

    fn is_own(self) -> bool {
        matches!(
            self,
            Self::Echo | Self::EchoWebSocket | Self::Handshake | Self::HandshakeResumed
        )
    }
}

fn read_wrk(text: &str) -> Result<Outcome> {
    let mut requests = None;
    let mut failed = 0;
    for line in text.lines().map(str::trim) {
        if let Some((count, _)) = line.split_once(" requests in ") {
            requests = Some(count.parse::<u64>().context("the count of requests")?);
        } else if let Some(errors) = line.strip_prefix("Socket errors:") {
            failed += numbers(errors).sum::<u64>();
        } else if let Some(count) = line.strip_prefix("Non-2xx or 3xx responses:") {
            failed += numbers(count).sum::<u64>();
        }
    }
    let requests = requests.context("no count of requests")?;
    Ok(Outcome {
        succeeded: requests.saturating_sub(failed),
        failed,
    })
}

fn read_h2load(text: &str) -> Result<Outcome> {
    let line = |prefix: &str| text.lines().find_map(|line| line.strip_prefix(prefix));
    let requests: Vec<u64> = numbers(line("requests:").context("no line of requests")?).collect();
    let codes: Vec<u64> = numbers(
        &line("status codes:")
            .context("no line of status codes")?
            .replace("2xx", "")
            .replace("3xx", "")
            .replace("4xx", "")
            .replace("5xx", ""),
    )
    .collect();
    let [_total, _started, done, succeeded, failed, errored, timeout] = requests[..] else {
        bail!("the line of requests has changed");
    };
    let [_success, redirect, client_error, server_error] = codes[..] else {
        bail!("the line of status codes has changed");
    };
    let not_2xx = redirect + client_error + server_error;
    Ok(Outcome {
        succeeded: succeeded.saturating_sub(redirect),
        // `failed` counts what is in `errored` and 4xx or 5xx too; what is done but did not succeed covers both.
        failed: done
            .saturating_sub(succeeded)
            .max(failed)
            .max(errored)
            .max(timeout)
            .max(not_2xx),
    })
}

fn numbers(text: &str) -> impl Iterator<Item = u64> + '_ {
    text.split(|character: char| !character.is_ascii_digit())
        .filter_map(|word| word.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrk_counts_and_failures_are_read() {
        let good = "  64 connections\n  122 requests in 2.00s, 24.51KB read\nRequests/sec:  61.0\n";
        assert_eq!(
            read_wrk(good).unwrap(),
            Outcome {
                succeeded: 122,
                failed: 0
            }
        );
        let bad = "  122 requests in 2.00s, 1KB read\n  Socket errors: connect 1, read 2, write 3, timeout 4\n  \
                   Non-2xx or 3xx responses: 100\n";
        assert_eq!(
            read_wrk(bad).unwrap(),
            Outcome {
                succeeded: 12,
                failed: 110
            }
        );
        assert!(read_wrk("unable to connect").is_err());
    }

    #[test]
    fn h2load_counts_and_failures_are_read() {
        let text = |requests: &str, codes: &str| {
            format!("finished in 1s\nrequests: {requests}\nstatus codes: {codes}\ntraffic: 1KB\n")
        };
        let good = text(
            "100 total, 100 started, 100 done, 100 succeeded, 0 failed, 0 errored, 0 timeout",
            "100 2xx, 0 3xx, 0 4xx, 0 5xx",
        );
        assert_eq!(
            read_h2load(&good).unwrap(),
            Outcome {
                succeeded: 100,
                failed: 0
            }
        );
        let bad = text(
            "100 total, 100 started, 100 done, 88 succeeded, 12 failed, 2 errored, 0 timeout",
            "88 2xx, 0 3xx, 4 4xx, 6 5xx",
        );
        assert_eq!(
            read_h2load(&bad).unwrap(),
            Outcome {
                succeeded: 88,
                failed: 12
            }
        );
        let redirected = text(
            "10 total, 10 started, 10 done, 10 succeeded, 0 failed, 0 errored, 0 timeout",
            "8 2xx, 2 3xx, 0 4xx, 0 5xx",
        );
        assert_eq!(
            read_h2load(&redirected).unwrap(),
            Outcome {
                succeeded: 8,
                failed: 2
            }
        );
        assert!(read_h2load("requests: 1 total").is_err());
    }
}
