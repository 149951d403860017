//! The proxies that are compared: where each program is found, how it is configured and started.
//!
//! Every proxy gets one worker, the same listener and the same upstream, and otherwise its own defaults, save
//! for limits that would end a kept-alive connection in the middle of a measurement.

mod envoy;
mod haproxy;
mod nginx;
mod outrigger;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde::Serialize;

use crate::certificate::Certificate;
use crate::placement::Placement;
use crate::process::{Running, free_address};
use crate::scenario::{Protocol, Scenario};
use crate::upstream::Addresses;

/// A product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Peer {
    /// This project's proxy.
    Outrigger,
    /// Envoy.
    Envoy,
    /// HAProxy.
    #[value(name = "haproxy")]
    Haproxy,
    /// nginx.
    Nginx,
}

/// What a proxy is to be started with.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    /// Where it listens.
    pub(crate) listen: SocketAddr,
    /// What it accepts.
    pub(crate) downstream: Protocol,
    /// Where its upstream is.
    pub(crate) upstream: SocketAddr,
    /// What it speaks there.
    pub(crate) upstream_protocol: Protocol,
    /// Whether it writes an access log into its directory.
    pub(crate) access_log: bool,
    /// How many authorization policies it asks.
    pub(crate) policies: usize,
    /// Whether it records what is over.
    pub(crate) records: bool,
    /// How many of a hundred requests it traces, if it is to.
    pub(crate) traced_percent: Option<u8>,
    /// Who is sent the traces.
    pub(crate) collector: SocketAddr,
    /// Where the second hop listens, with mutual TLS; none: there is one hop.
    pub(crate) between: Option<SocketAddr>,
    /// For what speaks TLS.
    pub(crate) certificate: Certificate,
    /// Its own directory, in memory where the system has one.
    pub(crate) directory: PathBuf,
}

/// A program and its leading arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Invocation {
    /// The program.
    pub(crate) program: PathBuf,
    /// Its arguments.
    pub(crate) arguments: Vec<OsString>,
}

/// A proxy that listens.
#[derive(Debug)]
pub(crate) struct RunningPeer {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Its process.
    pub(crate) running: Running,
}

impl Peer {
    /// The name on the command line and in reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Outrigger => "outrigger",
            Self::Envoy => "envoy",
            Self::Haproxy => "haproxy",
            Self::Nginx => "nginx",
        }
    }

    /// The program; `None` if it is not installed.
    pub(crate) fn locate(self) -> Option<PathBuf> {
        match self {
            Self::Outrigger => outrigger::locate(),
            Self::Envoy => envoy::locate(),
            Self::Haproxy => find_program("haproxy"),
            Self::Nginx => find_program("nginx"),
        }
    }

    /// Why this product cannot take part in a scenario, if so.
    pub(crate) fn lacks(self, scenario: Scenario) -> Option<&'static str> {
        match (self, scenario.upstream()) {
            (Self::Nginx, Protocol::Http2) => Some("nginx 1.22 speaks no HTTP/2 to upstreams"),
            (Self::Nginx, Protocol::Tcp) => Some("Debian's nginx-light passes no TCP on"),
            _ => None,
        }
    }

    /// What the program says its version is.
    pub(crate) fn version(self, program: &Path) -> String {
        let argument = if self == Self::Haproxy || self == Self::Nginx {
            "-v"
        } else {
            "--version"
        };
        let Ok(output) = Command::new(program).arg(argument).output() else {
            return "unknown".to_owned();
        };
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        let line = text
            .lines()
            .map(str::trim)
            .find(|line| !line.is_empty())
            .unwrap_or("unknown");
        line.rsplit_once("version: ")
            .map_or(line, |(_, version)| version)
            .chars()
            .take(80)
            .collect()
    }

    /// Writes the configuration and says how to start with it.
    pub(crate) fn prepare(self, program: &Path, setup: &Setup) -> Result<Invocation> {
        std::fs::create_dir_all(&setup.directory).context("creating the proxy's directory")?;
        let (file_name, text) = match self {
            Self::Outrigger => ("outrigger.yaml", outrigger::configuration(setup)),
            Self::Envoy => ("envoy.yaml", envoy::configuration(setup)),
            Self::Haproxy => ("haproxy.cfg", haproxy::configuration(setup)),
            Self::Nginx => ("nginx.conf", nginx::configuration(setup)),
        };
        let file = setup.directory.join(file_name);
        std::fs::write(&file, text).with_context(|| format!("writing {}", file.display()))?;
        let arguments = match self {
            Self::Outrigger => outrigger::arguments(&file),
            Self::Envoy => envoy::arguments(&file),
            Self::Haproxy => haproxy::arguments(&file),
            Self::Nginx => nginx::arguments(&file, &setup.directory),
        };
        Ok(Invocation {
            program: program.to_owned(),
            arguments,
        })
    }

    /// Starts the proxy on its processor and waits until it listens.
    pub(crate) fn start(self, program: &Path, setup: &Setup, placement: &Placement) -> Result<RunningPeer> {
        let invocation = self.prepare(program, setup)?;
        let mut command = placement.proxy_command(&invocation.program);
        command.args(&invocation.arguments);
        let mut running = Running::start(self.name(), command, &setup.directory.join("output"))?;
        running.wait_until_listening(setup.listen)?;
        Ok(RunningPeer {
            address: setup.listen,
            running,
        })
    }
}

impl Setup {
    /// What `scenario` asks for, on a free port.
    pub(crate) fn for_scenario(
        scenario: Scenario,
        peer: Peer,
        upstream: Addresses,
        certificate: &Certificate,
        directory: &Path,
    ) -> Result<Self> {
        let upstream_protocol = scenario.upstream();
        Ok(Self {
            listen: free_address()?,
            downstream: scenario.downstream(),
            upstream: scenario.target(upstream),
            upstream_protocol,
            access_log: scenario.has_access_log(),
            policies: scenario.policies(),
            records: scenario.records(),
            traced_percent: scenario.traced_percent(),
            collector: upstream.collector,
            between: scenario.has_two_hops().then(free_address).transpose()?,
            certificate: certificate.clone(),
            directory: directory.join(format!("{}-{}", scenario.name(), peer.name())),
        })
    }

    /// The file of the access log.
    fn access_log_file(&self) -> PathBuf {
        self.directory.join("access.log")
    }
}

/// Looks for a program in `PATH`, and where Debian keeps servers.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file())
}

fn strings<const COUNT: usize>(arguments: [&str; COUNT]) -> Vec<OsString> {
    arguments.into_iter().map(OsString::from).collect()
}

#[cfg(test)]
mod tests;
