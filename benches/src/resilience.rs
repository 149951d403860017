//! What policies are worth when upstreams misbehave: the same backends, load and policy, with and without it, in front of
//! them ours and Envoy.
//!
//! Backends and clients live in this process; the proxies are programs that are started. Requests are due at a fixed rate,
//! whatever answers do. For each row: how many requests were due, how many of them got a good answer in time, how many
//! requests the backends saw for each, and the latencies of the good ones.

mod backend;
mod clients;
mod document;
mod situation;

use std::path::Path;

use anyhow::{Context, Result};
use tokio::runtime::{Builder, Runtime};

use crate::peer::Peer;
use crate::placement::Placement;
use crate::process::{Running, free_address};
use backend::Backends;
use clients::{Clients, Outcome};
pub(crate) use situation::Situation;
use situation::{Phase, Policy};

/// What to measure.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// Only these; empty: all.
    pub(crate) situations: Vec<Situation>,
    /// Seconds of each phase, in place of the situation's own.
    pub(crate) seconds: Option<f64>,
}

/// One line of a table.
struct Row {
    peer: Peer,
    policy: &'static str,
    phase: &'static str,
    outcome: Outcome,
    /// Requests that backends saw.
    received: u64,
}

/// Measures, and prints a Markdown table for each situation.
pub(crate) fn run(options: &Options) -> Result<()> {
    let placement = Placement::detect(false)?;
    placement.take_observer_place()?;
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("starting the clients' runtime")?;
    let directory = tempfile::tempdir().context("making a directory")?;
    let chosen: Vec<Situation> = if options.situations.is_empty() {
        Situation::all()
    } else {
        options.situations.clone()
    };
    println!("{}; one worker each.", placement.describe());
    for situation in chosen {
        let mut rows = Vec::new();
        for policy in situation.policies() {
            for peer in [Peer::Outrigger, Peer::Envoy] {
                let Some(written) = policy.document(peer) else {
                    continue;
                };
                let Some(program) = peer.locate() else {
                    eprintln!("{} is not installed: not measured", peer.name());
                    continue;
                };
                let bench = Bench {
                    placement: &placement,
                    runtime: &runtime,
                    directory: directory.path(),
                    situation,
                    policy,
                };
                rows.extend(bench.measure(peer, &program, written, options.seconds)?);
            }
        }
        print(situation, &rows);
    }
    runtime.shutdown_background();
    Ok(())
}

struct Bench<'a> {
    placement: &'a Placement,
    runtime: &'a Runtime,
    directory: &'a Path,
    situation: Situation,
    policy: &'a Policy,
}

impl Bench<'_> {
    /// All phases, with one proxy and fresh backends.
    fn measure(
        &self,
        peer: Peer,
        program: &Path,
        written: document::Written,
        seconds: Option<f64>,
    ) -> Result<Vec<Row>> {
        let backends = self
            .runtime
            .block_on(Backends::start(self.situation.behaviours()))?;
        let listen = free_address()?;
        let file = self
            .directory
            .join(format!("{}-{}.yaml", self.situation.name(), peer.name()));
        std::fs::write(&file, written.text(listen, backends.addresses()))
            .with_context(|| format!("writing {}", file.display()))?;
        let mut command = self.placement.proxy_command(program);
        command.args(document::arguments(peer, &file));
        let mut running = Running::start(peer.name(), command, &file.with_extension("output"))?;
        running.wait_until_listening(listen)?;
        let mut rows = Vec::new();
        for phase in self.situation.phases() {
            rows.push(self.phase(peer, *phase, &backends, listen, seconds)?);
        }
        Ok(rows)
    }

    fn phase(
        &self,
        peer: Peer,
        phase: Phase,
        backends: &Backends,
        listen: std::net::SocketAddr,
        seconds: Option<f64>,
    ) -> Result<Row> {
        eprintln!(
            "  {}: {}, {}, {}",
            self.situation.name(),
            peer.name(),
            self.policy.name,
            phase.name
        );
        let before = backends.received();
        let clients = Clients {
            address: listen,
            rate: phase.rate,
            duration: seconds.map_or(phase.duration, std::time::Duration::from_secs_f64),
            patience: self.situation.patience(),
        };
        let outcome = self.runtime.block_on(clients.run())?;
        Ok(Row {
            peer,
            policy: self.policy.name,
            phase: phase.name,
            outcome,
            received: backends.received() - before,
        })
    }
}

fn print(situation: Situation, rows: &[Row]) {
    println!("\n## {}\n\n{}\n", situation.name(), situation.says());
    println!("| proxy | policy | load | requests | good | upstream for one | p50 ms | p99 ms | longest ms |");
    println!("|---|---|---|---|---|---|---|---|---|");
    for row in rows {
        let outcome = &row.outcome;
        let milliseconds = |quantile| outcome.milliseconds(quantile);
        println!(
            "| {} | {} | {} | {} | {:.2} % | {:.3} | {:.1} | {:.1} | {:.1} |",
            row.peer.name(),
            row.policy,
            row.phase,
            outcome.due,
            100.0 * outcome.good() as f64 / outcome.due.max(1) as f64,
            row.received as f64 / outcome.due.max(1) as f64,
            milliseconds(0.5),
            milliseconds(0.99),
            milliseconds(1.0),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn clients_and_backends_count_the_same_without_a_proxy() {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (outcome, received) = runtime.block_on(async {
            let backends = Backends::start(&[backend::Behaviour::Steady; 1]).await.unwrap();
            let clients = Clients {
                address: backends.addresses()[0],
                rate: 200,
                duration: Duration::from_millis(200),
                patience: Duration::from_secs(10),
            };
            (clients.run().await.unwrap(), backends.received())
        });
        assert_eq!((outcome.due, outcome.good(), received), (40, 40, 40));
    }

    #[test]
    fn failures_are_no_good_answers() {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let outcome = runtime.block_on(async {
            let backends = Backends::start(&[backend::Behaviour::FailsOneIn(3)])
                .await
                .unwrap();
            let clients = Clients {
                address: backends.addresses()[0],
                rate: 300,
                duration: Duration::from_millis(100),
                patience: Duration::from_secs(10),
            };
            clients.run().await.unwrap()
        });
        assert_eq!((outcome.due, outcome.good()), (30, 20));
    }
}
