//! The command line of `outrigger-benches`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Parser, Subcommand};

use crate::delay::{Change, Delay};
use crate::load::echo::{self, Echo};
use crate::load::handshake::Handshakes;
use crate::load::open_loop::{Latencies, OpenLoop};
use crate::micro::{self, Case};
use crate::peer::Peer;
use crate::resilience::{self, Situation};
use crate::scenario::Scenario;
use crate::{budget, compare, control, upstream};

/// Measures Outrigger, alone and beside its peers.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Subcommands,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// Measure proxies side by side; prints Markdown tables.
    Compare {
        /// Only these scenarios.
        #[arg(long, value_enum, value_delimiter = ',')]
        scenario: Vec<Scenario>,
        /// Slices of each product.
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
        rounds: u16,
        /// Seconds of the measured part of a slice.
        #[arg(long, default_value_t = 2.0, value_parser = seconds)]
        slice_seconds: f64,
        /// Also write the figures here.
        #[arg(long)]
        json: Option<PathBuf>,
        /// Only these products.
        #[arg(long, value_enum, value_delimiter = ',')]
        only: Vec<Peer>,
        /// Measure at real-time priority; needs the right to it.
        #[arg(long)]
        realtime: bool,
    },
    /// Count instructions and system calls per request of outrigger; exit 1 past the budget.
    Budget {
        /// The budget.
        #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/budget.toml"))]
        file: PathBuf,
        /// Only these scenarios.
        #[arg(long, value_enum, value_delimiter = ',')]
        scenario: Vec<Scenario>,
        /// Only the functions of `micro`, which need neither the proxy nor a load.
        #[arg(long, conflicts_with = "scenario")]
        micro_only: bool,
        /// Print the budget with the new figures instead of judging them.
        #[arg(long)]
        update: bool,
    },
    /// Time single functions of the hot path; prints a table.
    Micro {
        /// Only these.
        #[arg(long, value_enum, value_delimiter = ',')]
        case: Vec<Case>,
        /// Calls of a batch.
        #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(10..))]
        iterations: u64,
        /// Call one case so often and print nothing, to be watched by a profiler.
        #[arg(long)]
        once: bool,
    },
    /// Measure how long it takes until streams that have lost their right have ended; prints a table.
    Delay {
        /// What takes it from them.
        #[arg(long, value_enum, default_value = "denied")]
        change: Change,
        /// Connections, of which one in four is cut.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
        connections: u32,
        /// Streams on each.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1024))]
        streams: u32,
        /// How often.
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..))]
        rounds: u16,
        /// Worker threads of the proxy.
        #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..))]
        workers: u16,
    },
    /// Measure what policies are worth when upstreams misbehave, ours and Envoy's; prints Markdown tables.
    Resilience {
        /// Only these.
        #[arg(long, value_enum, value_delimiter = ',')]
        situation: Vec<Situation>,
        /// Seconds of each load, in place of its own.
        #[arg(long, value_parser = seconds)]
        seconds: Option<f64>,
    },
    /// Measure what it takes to drive a proxy with many clusters, ours and Envoy, and many nodes; prints Markdown tables.
    Control {
        /// Clusters of the one proxy; 0: no proxy is measured.
        #[arg(long, default_value_t = 10_000)]
        clusters: u32,
        /// Their endpoints, all together.
        #[arg(long, default_value_t = 100_000)]
        endpoints: u32,
        /// Nodes of the one server; 0: none are measured.
        #[arg(long, default_value_t = 1_000)]
        nodes: u32,
        /// Services whose nodes they are.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=65_000))]
        services: u32,
        /// Changes of one endpoint.
        #[arg(long, default_value_t = 20)]
        changes: u32,
        /// What takes longer than so many seconds has failed.
        #[arg(long, default_value_t = 300.0, value_parser = seconds)]
        patience_seconds: f64,
        /// Also write the figures here.
        #[arg(long)]
        json: Option<PathBuf>,
    },
    /// Serve the load's target until killed; prints where it listens.
    Upstream {
        /// Where to serve HTTP/1.1.
        #[arg(long, default_value = "127.0.0.1:0")]
        http1: SocketAddr,
        /// Where to serve HTTP/2 without TLS.
        #[arg(long, default_value = "127.0.0.1:0")]
        http2: SocketAddr,
    },
    /// Send requests at a fixed rate and print latencies, waiting included; exit 1 if any failed.
    Load {
        /// Whom to ask, over HTTP/1.1.
        #[arg(long)]
        address: SocketAddr,
        /// The path to ask for.
        #[arg(long, default_value = "/1k")]
        path: String,
        /// Requests a second.
        #[arg(long, default_value_t = 4_000, value_parser = clap::value_parser!(u32).range(1..))]
        rate: u32,
        /// For how many seconds.
        #[arg(long, default_value_t = 10.0, value_parser = seconds)]
        seconds: f64,
        /// Connections.
        #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
        connections: u16,
        /// Print JSON, and exit 0 even if requests failed.
        #[arg(long)]
        json: bool,
    },
    /// Send messages of 1 KiB that come back, and print how many did, as JSON.
    Echo {
        /// Whom to ask.
        #[arg(long)]
        address: SocketAddr,
        /// Connections, each with one message under way.
        #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
        connections: u32,
        /// For at most how many seconds.
        #[arg(long, default_value_t = 60.0, value_parser = seconds)]
        seconds: f64,
        /// At most so many.
        #[arg(long)]
        messages: Option<u64>,
        /// In WebSockets.
        #[arg(long)]
        websocket: bool,
    },
    /// Make a connection with mutual TLS for each request, and print how many were answered, as JSON.
    Handshake {
        /// Whom to connect to.
        #[arg(long)]
        address: SocketAddr,
        /// Where the certificates are.
        #[arg(long)]
        certificates: PathBuf,
        /// Connections at once.
        #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
        connections: u32,
        /// For at most how many seconds.
        #[arg(long, default_value_t = 60.0, value_parser = seconds)]
        seconds: f64,
        /// At most so many.
        #[arg(long)]
        handshakes: Option<u64>,
        /// Resume sessions.
        #[arg(long)]
        resumed: bool,
    },
    /// Connect again and again and print how long a server's banner takes, as JSON.
    Banner {
        /// Whom to connect to.
        #[arg(long)]
        address: SocketAddr,
        /// How often.
        #[arg(long, default_value_t = 1_000)]
        connections: u32,
    },
}

/// Runs the program with the process's arguments.
pub fn run() -> ExitCode {
    dispatch(Arguments::parse().command).unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn dispatch(command: Subcommands) -> Result<ExitCode> {
    match command {
        Subcommands::Compare {
            scenario,
            rounds,
            slice_seconds,
            json,
            only,
            realtime,
        } => compare::run(compare::Options {
            scenarios: scenario,
            only,
            rounds: usize::from(rounds),
            slice: Duration::from_secs_f64(slice_seconds),
            json,
            realtime,
        }),
        Subcommands::Budget {
            file,
            scenario,
            micro_only,
            update,
        } => {
            let part = match scenario.as_slice() {
                _ if micro_only => budget::Part::Micro,
                [] => budget::Part::Whole,
                _ => budget::Part::Scenarios(scenario),
            };
            budget::run(&file, &part, update)
        }
        Subcommands::Micro {
            case,
            iterations,
            once,
        } => {
            match (once, case.as_slice()) {
                (false, chosen) => micro::run(chosen, iterations)?,
                (true, [case]) => micro::run_once(*case, iterations)?,
                (true, _) => bail!("--once takes exactly one --case"),
            }
            Ok(ExitCode::SUCCESS)
        }
        Subcommands::Delay {
            change,
            connections,
            streams,
            rounds,
            workers,
        } => {
            let delay = Delay {
                change,
                connections,
                streams,
                rounds,
                workers,
            };
            delay.run()?;
            Ok(ExitCode::SUCCESS)
        }
        Subcommands::Resilience { situation, seconds } => {
            resilience::run(&resilience::Options {
                situations: situation,
                seconds,
            })?;
            Ok(ExitCode::SUCCESS)
        }
        Subcommands::Control {
            clusters,
            endpoints,
            nodes,
            services,
            changes,
            patience_seconds,
            json,
        } => {
            control::run(&control::Options {
                clusters,
                endpoints,
                nodes,
                services,
                changes,
                patience: Duration::from_secs_f64(patience_seconds),
                json,
            })?;
            Ok(ExitCode::SUCCESS)
        }
        Subcommands::Upstream { http1, http2 } => {
            upstream::run(http1, http2)?;
            Ok(ExitCode::SUCCESS)
        }
        Subcommands::Load {
            address,
            path,
            rate,
            seconds,
            connections,
            json,
        } => {
            let duration = Duration::from_secs_f64(seconds);
            let connections = usize::from(connections);
            let latencies = OpenLoop {
                address,
                path,
                rate,
                duration,
                connections,
            }
            .run()?;
            print_latencies(&latencies, json)
        }
        Subcommands::Echo {
            address,
            connections,
            seconds,
            messages,
            websocket,
        } => {
            let duration = Duration::from_secs_f64(seconds);
            let echo = Echo {
                address,
                connections,
                websocket,
                messages,
                duration,
            };
            println!("{}", serde_json::to_string(&echo.run()?)?);
            Ok(ExitCode::SUCCESS)
        }
        Subcommands::Handshake {
            address,
            certificates,
            connections,
            seconds,
            handshakes,
            resumed,
        } => {
            let load = Handshakes {
                address,
                connections,
                resumed,
                count: handshakes,
                duration: Duration::from_secs_f64(seconds),
            };
            println!("{}", serde_json::to_string(&load.run(&certificates)?)?);
            Ok(ExitCode::SUCCESS)
        }
        Subcommands::Banner { address, connections } => {
            print_latencies(&echo::banners(address, connections)?, true)
        }
    }
}

fn print_latencies(latencies: &Latencies, json: bool) -> Result<ExitCode> {
    if json {
        println!("{}", serde_json::to_string(latencies)?);
        return Ok(ExitCode::SUCCESS);
    }
    println!(
        "{} requests succeeded, {} failed",
        latencies.succeeded, latencies.failed
    );
    println!(
        "microseconds: p50 {:.0}, p90 {:.0}, p99 {:.0}, p99.9 {:.0}, longest {:.0}",
        latencies.p50, latencies.p90, latencies.p99, latencies.p999, latencies.max
    );
    Ok(if latencies.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.1..=3600.0).contains(&seconds) => Ok(seconds),
        _ => Err("a number of seconds from 0.1 to 3600".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_limits_are_read() {
        let parse = |line: &str| Arguments::try_parse_from(line.split_whitespace());
        let arguments = parse("x compare --scenario body-64k,h2-h1 --only nginx,haproxy").unwrap();
        let Subcommands::Compare { scenario, only, .. } = arguments.command else {
            panic!()
        };
        assert_eq!(scenario, [Scenario::Body64k, Scenario::H2H1]);
        assert_eq!(only, [Peer::Nginx, Peer::Haproxy]);
        assert!(parse("x compare --rounds 0").is_err());
        assert!(parse("x compare --slice-seconds 0").is_err());
        assert!(parse("x load --address 127.0.0.1:1 --rate 0").is_err());
    }
}
