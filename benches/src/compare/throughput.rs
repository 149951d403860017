//! Requests per second of proxy processor time, and system calls per request.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::report::{State, ThroughputRow, ratios};
use super::{Bench, Entrant};
use crate::load::tools::{ClosedLoop, Extent};
use crate::peer::{Peer, RunningPeer};
use crate::scenario::Scenario;
use crate::statistics::{median, present};

/// The part of a slice before the measurement: connecting, handshakes, filling pools.
const WARM_UP: Duration = Duration::from_millis(500);
/// The part after it, so that the load does not end first.
const TAIL: Duration = Duration::from_millis(250);

/// One measured slice.
#[derive(Debug, Clone, Copy)]
struct Slice {
    requests_per_processor_second: f64,
    requests_per_second: f64,
}

/// What was gathered of one product.
struct Gathered {
    peer: Peer,
    entrant: Entrant,
    slices: Vec<Option<Slice>>,
    failure: Option<String>,
    system_calls: Option<f64>,
}

/// Runs all rounds of one scenario.
pub(super) fn measure(bench: &Bench, scenario: Scenario) -> Result<Vec<ThroughputRow>> {
    let mut products: Vec<Gathered> = bench
        .entrants(scenario)?
        .into_iter()
        .map(|(peer, entrant)| Gathered {
            peer,
            entrant,
            slices: Vec::new(),
            failure: None,
            system_calls: None,
        })
        .collect();
    for round in 0..bench.options.rounds {
        eprintln!("  round {} of {}", round + 1, bench.options.rounds);
        for product in &mut products {
            product.slice(bench, scenario);
        }
    }
    for product in &mut products {
        product.count_system_calls(bench, scenario);
    }
    Ok(rows(scenario, &products))
}

impl Gathered {
    fn slice(&mut self, bench: &Bench, scenario: Scenario) {
        let Entrant::Running(running) = &self.entrant else {
            self.slices.push(None);
            return;
        };
        let measured = slice(bench, scenario, running);
        self.slices.push(measured.as_ref().ok().copied());
        if let Err(error) = measured {
            self.failure.get_or_insert(format!("{error:#}"));
        }
    }

    fn count_system_calls(&mut self, bench: &Bench, scenario: Scenario) {
        let (Entrant::Running(running), Some(counter)) = (&self.entrant, bench.counter) else {
            return;
        };
        let load = scenario.counted_loop(running.address, &bench.certificate);
        if self.failure.is_some() || !ClosedLoop::is_installed(load.tool) {
            return;
        }
        let tree = running.running.tree();
        let directory = bench.directory.path();
        match counter.per_request(
            &tree,
            &load,
            &bench.placement,
            scenario.counted_requests(),
            directory,
        ) {
            Ok(calls) => self.system_calls = Some(calls),
            Err(error) => self.failure = Some(format!("{error:#}")),
        }
    }

    fn state(&self, scenario: Scenario) -> State {
        if let Entrant::Absent(state) = &self.entrant {
            return state.clone();
        }
        match &self.failure {
            _ if !ClosedLoop::is_installed(scenario.tool()) => {
                State::NotMeasured("the load's program is not installed".to_owned())
            }
            Some(reason) => State::Failed(reason.clone()),
            None => State::Measured,
        }
    }
}

fn slice(bench: &Bench, scenario: Scenario, proxy: &RunningPeer) -> Result<Slice> {
    let wanted = bench.options.slice;
    let load = scenario.closed_loop(proxy.address, &bench.certificate);
    let tree = proxy.running.tree();
    let running = load.start(&bench.placement, Extent::Lasting(WARM_UP + wanted + TAIL))?;
    std::thread::sleep(WARM_UP);
    let start = std::time::Instant::now();
    let requests = bench.upstream.answered()?;
    let processor = tree.processor_time()?;
    std::thread::sleep(wanted);
    let requests = bench.upstream.answered()?.saturating_sub(requests);
    let processor = tree.processor_time()?.saturating_sub(processor);
    let elapsed = start.elapsed();
    let outcome = running.finish()?;
    ensure!(
        outcome.failed == 0,
        "{} of {} requests failed",
        outcome.failed,
        outcome.succeeded
    );
    ensure!(
        requests > 0 && !processor.is_zero(),
        "no request passed in a slice"
    );
    Ok(Slice {
        requests_per_processor_second: requests as f64 / processor.as_secs_f64(),
        requests_per_second: requests as f64 / elapsed.as_secs_f64(),
    })
}

fn rows(scenario: Scenario, products: &[Gathered]) -> Vec<ThroughputRow> {
    let figures: Vec<(Peer, Vec<Option<f64>>)> = products
        .iter()
        .map(|product| {
            let rates = product
                .slices
                .iter()
                .map(|slice| Some(slice.as_ref()?.requests_per_processor_second));
            (product.peer, rates.collect())
        })
        .collect();
    let rows = products.iter().zip(&figures).map(|(product, (_, rates))| {
        let speeds: Vec<f64> = product
            .slices
            .iter()
            .flatten()
            .map(|slice| slice.requests_per_second)
            .collect();
        ThroughputRow {
            scenario,
            peer: product.peer,
            state: product.state(scenario),
            requests_per_cpu_second: median(&present(rates)),
            requests_per_second: median(&speeds),
            ratios: ratios(rates, &figures),
            system_calls_per_request: product.system_calls,
            rounds: rates.clone(),
        }
    });
    rows.collect()
}
