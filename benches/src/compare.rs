//! `compare`: every proxy with the same upstream, load and placement, in alternating slices.
//!
//! Within a round each proxy has one slice; products are compared by the median of the ratios within rounds,
//! because on a shared machine nothing else means anything. A product that is not installed or cannot do a
//! scenario reads "not measured"; one failed request and its row reads "FAILED".

mod latency;
mod memory;
mod report;
mod throughput;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::ValueEnum;

use self::report::{Report, State};
use crate::certificate::Certificate;
use crate::peer::{Peer, RunningPeer, Setup};
use crate::placement::Placement;
use crate::scenario::Scenario;
use crate::syscalls::Counter;
use crate::upstream::UpstreamProcess;

/// What to compare, and how thoroughly.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// Scenarios; all if empty.
    pub(crate) scenarios: Vec<Scenario>,
    /// Products; all if empty.
    pub(crate) only: Vec<Peer>,
    /// Slices of each product.
    pub(crate) rounds: usize,
    /// The measured part of a slice.
    pub(crate) slice: Duration,
    /// Where to write the figures as JSON.
    pub(crate) json: Option<PathBuf>,
    /// Whether to measure at real-time priority.
    pub(crate) realtime: bool,
}

/// What all scenarios share.
struct Bench {
    options: Options,
    placement: Placement,
    upstream: UpstreamProcess,
    certificate: Certificate,
    directory: tempfile::TempDir,
    counter: Option<Counter>,
    programs: Vec<(Peer, Option<PathBuf>)>,
}

/// A product in one scenario: running, or the reason why it is not.
enum Entrant {
    Running(RunningPeer),
    Absent(State),
}

/// Measures, prints the tables, writes the JSON; fails if a row failed.
pub(crate) fn run(options: Options) -> Result<ExitCode> {
    let bench = Bench::prepare(options)?;
    let mut report = Report::new(&bench);
    for scenario in bench.scenarios() {
        eprintln!("measuring {}", scenario.name());
        match scenario {
            Scenario::Memory => report.memory = memory::measure(&bench)?,
            Scenario::Latency => report.latency = latency::measure(&bench, scenario)?,
            Scenario::Banner => report.banner = latency::measure(&bench, scenario)?,
            _ => report.throughput.extend(throughput::measure(&bench, scenario)?),
        }
    }
    print!("{}", report.markdown());
    if let Some(path) = &bench.options.json {
        let text = serde_json::to_string_pretty(&report)?;
        std::fs::write(path, text + "\n").with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(if report.has_failures() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

impl Bench {
    fn prepare(options: Options) -> Result<Self> {
        let placement = Placement::detect(options.realtime)?;
        placement.take_observer_place()?;
        let directory = working_directory()?;
        let only = &options.only;
        let peers = Peer::value_variants()
            .iter()
            .filter(|peer| only.is_empty() || only.contains(peer));
        Ok(Self {
            upstream: UpstreamProcess::start(&placement)?,
            certificate: Certificate::create(directory.path())?,
            counter: Counter::detect(),
            programs: peers.map(|peer| (*peer, peer.locate())).collect(),
            placement,
            directory,
            options,
        })
    }

    fn scenarios(&self) -> Vec<Scenario> {
        match self.options.scenarios.as_slice() {
            [] => Scenario::value_variants().to_vec(),
            chosen => chosen.to_vec(),
        }
    }

    /// Starts every product that can do `scenario`.
    fn entrants(&self, scenario: Scenario) -> Result<Vec<(Peer, Entrant)>> {
        self.programs
            .iter()
            .map(|(peer, program)| Ok((*peer, self.enter(*peer, program.as_deref(), scenario)?)))
            .collect()
    }

    fn enter(&self, peer: Peer, program: Option<&Path>, scenario: Scenario) -> Result<Entrant> {
        let Some(program) = program else {
            return Ok(Entrant::Absent(State::NotMeasured("not installed".to_owned())));
        };
        if let Some(reason) = peer.lacks(scenario) {
            return Ok(Entrant::Absent(State::NotMeasured(reason.to_owned())));
        }
        let addresses = self.upstream.addresses();
        let directory = self.directory.path();
        let setup = Setup::for_scenario(scenario, peer, addresses, &self.certificate, directory)?;
        Ok(match peer.start(program, &setup, &self.placement) {
            Ok(running) => Entrant::Running(running),
            Err(error) => Entrant::Absent(State::Failed(format!("{error:#}"))),
        })
    }
}

/// In memory where the system has a place for it, so that access logs wait for no disk.
fn working_directory() -> Result<tempfile::TempDir> {
    let memory = Path::new("/dev/shm");
    let mut builder = tempfile::Builder::new();
    builder.prefix("outrigger-benches-");
    let directory = if memory.is_dir() {
        builder.tempdir_in(memory)
    } else {
        builder.tempdir()
    };
    directory.context("creating a working directory")
}
