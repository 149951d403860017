//! What policies do when services misbehave, in simulated time. `docs/simulations.md` is printed by the last test.

#[path = "simulations/cascade.rs"]
mod cascade;
#[path = "simulations/failing.rs"]
mod failing;
#[path = "simulations/flapping.rs"]
mod flapping;
#[path = "simulations/half_gone.rs"]
mod half_gone;
#[path = "simulations/silent.rs"]
mod silent;
#[path = "simulations/storm.rs"]
mod storm;

use outrigger_simulations::{Line, table};
use std::future::Future;
use std::time::Duration;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/simulations.md");

/// A simulation: its title, what the matter is, and its lines.
struct Simulation {
    title: &'static str,
    says: &'static str,
    lines: &'static [Line],
}

/// Runs on a thread of its own time.
fn simulate<T>(simulation: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime needs nothing");
    tokio::task::LocalSet::new().block_on(&runtime, simulation)
}

fn milliseconds(number: u64) -> Duration {
    Duration::from_millis(number)
}

fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

/// The share of good answers, percent.
fn good(line: &Line) -> f64 {
    100.0 * line.outcome.good() as f64 / line.outcome.due() as f64
}

#[test]
fn the_page_shows_what_simulations_give() {
    let simulations = [
        cascade::simulation(),
        storm::simulation(),
        failing::simulation(),
        silent::simulation(),
        half_gone::simulation(),
        flapping::simulation(),
    ];
    let mut page = String::from(
        "# Simulations\n\nWhat [resilience policies](resilience.md) do to a whole, in simulated time: the decisions are those of the proxy, the\n\
         wire is not there. `tests/simulations` runs them and prints this page; random numbers have fixed seeds, so that each run\n\
         gives the same figures. *Upstream for one* is how many requests the servers saw for each that a client made; latencies\n\
         are those of good answers; *recovered after* is how long it took, once the fault was mended, until 99 of 100 requests of a\n\
         whole second were answered.\n",
    );
    for simulation in &simulations {
        page += &format!(
            "\n## {}\n\n{}\n\n{}",
            simulation.title,
            simulation.says,
            table(simulation.lines)
        );
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(PAGE, &page).expect("the page can be written");
    }
    let shown = std::fs::read_to_string(PAGE).unwrap_or_default();
    assert_eq!(
        shown, page,
        "run `UPDATE_DOCS=1 cargo test -p outrigger-simulations`"
    );
}
