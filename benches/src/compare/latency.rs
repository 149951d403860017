//! Latency at a fixed rate, or of a server's banner, and what each proxy adds to a direct connection.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};

use super::report::{LatencyRow, State, ratios};
use super::{Bench, Entrant};
use crate::load::open_loop::Latencies;
use crate::peer::Peer;
use crate::scenario::Scenario;
use crate::statistics::{median, median_difference, present};

/// Requests a second: well under what every proxy can do with one core.
const RATE: u32 = 4_000;
const CONNECTIONS: usize = 64;
/// Connections of one slice, one after the other, where banners are timed.
const BANNERS: u32 = 2_000;

/// One product, or the upstream itself, over all rounds.
struct Gathered {
    peer: Option<Peer>,
    entrant: Option<Entrant>,
    rounds: Vec<Option<Latencies>>,
    failure: Option<String>,
}

/// Runs all rounds: direct, then each proxy.
pub(super) fn measure(bench: &Bench, scenario: Scenario) -> Result<Vec<LatencyRow>> {
    let proxies = bench.entrants(scenario)?.into_iter();
    let mut products: Vec<Gathered> = std::iter::once((None, None))
        .chain(proxies.map(|(peer, entrant)| (Some(peer), Some(entrant))))
        .map(|(peer, entrant)| Gathered {
            peer,
            entrant,
            rounds: Vec::new(),
            failure: None,
        })
        .collect();
    for round in 0..bench.options.rounds {
        eprintln!("  round {} of {}", round + 1, bench.options.rounds);
        for product in &mut products {
            product.slice(bench, scenario);
        }
    }
    Ok(rows(&products))
}

impl Gathered {
    fn slice(&mut self, bench: &Bench, scenario: Scenario) {
        let address = match &self.entrant {
            None => scenario.target(bench.upstream.addresses()),
            Some(Entrant::Running(running)) => running.address,
            Some(Entrant::Absent(_)) => {
                self.rounds.push(None);
                return;
            }
        };
        let measured = slice(bench, scenario, address);
        self.rounds.push(measured.as_ref().ok().cloned());
        if let Err(error) = measured {
            self.failure.get_or_insert(format!("{error:#}"));
        }
    }

    fn figures(&self, figure: fn(&Latencies) -> f64) -> Vec<Option<f64>> {
        self.rounds
            .iter()
            .map(|round| round.as_ref().map(figure))
            .collect()
    }

    fn state(&self) -> State {
        match (&self.entrant, &self.failure) {
            (Some(Entrant::Absent(state)), _) => state.clone(),
            (_, Some(reason)) => State::Failed(reason.clone()),
            _ => State::Measured,
        }
    }
}

/// The client is a process of its own, for the sake of its priority.
fn slice(bench: &Bench, scenario: Scenario, address: SocketAddr) -> Result<Latencies> {
    let program = std::env::current_exe().context("finding this program")?;
    let mut command = bench.placement.load_command(program);
    let address = address.to_string();
    if scenario == Scenario::Banner {
        command.args([
            "banner",
            "--address",
            &address,
            "--connections",
            &BANNERS.to_string(),
        ]);
    } else {
        command
            .args(["load", "--address", &address, "--rate", &RATE.to_string()])
            .args(["--connections", &CONNECTIONS.to_string(), "--json"])
            .args(["--seconds", &bench.options.slice.as_secs_f64().to_string()]);
    }
    let output = command.output().context("running the load")?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let latencies: Latencies = serde_json::from_slice(&output.stdout).context("reading the latencies")?;
    ensure!(latencies.failed == 0, "{} requests failed", latencies.failed);
    Ok(latencies)
}

fn rows(products: &[Gathered]) -> Vec<LatencyRow> {
    let p50: fn(&Latencies) -> f64 = |latencies| latencies.p50;
    let p99: fn(&Latencies) -> f64 = |latencies| latencies.p99;
    let Some(direct) = products.first() else {
        return Vec::new();
    };
    let added = |product: &Gathered, figure| -> Vec<Option<f64>> {
        let base = direct.figures(figure);
        let figures = product.figures(figure);
        figures
            .iter()
            .zip(&base)
            .map(|(whole, base)| Some((*whole)? - (*base)?))
            .collect()
    };
    let added_p99: Vec<(Peer, Vec<Option<f64>>)> = products
        .iter()
        .filter_map(|product| Some((product.peer?, added(product, p99))))
        .collect();
    let rows = products.iter().map(|product| {
        let is_direct = product.peer.is_none();
        let difference = |figure| {
            let base = direct.figures(figure);
            median_difference(&product.figures(figure), &base).filter(|_| !is_direct)
        };
        LatencyRow {
            peer: product.peer,
            state: product.state(),
            p50_us: median(&present(&product.figures(p50))),
            p99_us: median(&present(&product.figures(p99))),
            p999_us: median(&present(&product.figures(|latencies| latencies.p999))),
            added_p50_us: difference(p50),
            added_p99_us: difference(p99),
            added_p99_ratios: if is_direct {
                Default::default()
            } else {
                ratios(&added(product, p99), &added_p99)
            },
            rounds: product.rounds.clone(),
        }
    });
    rows.collect()
}
