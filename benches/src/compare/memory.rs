//! Resident memory: at start, and for each idle connection, after one request on each.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::report::{MemoryRow, State};
use super::{Bench, Entrant};
use crate::load::idle::{IdleConnections, tls_client};
use crate::peer::RunningPeer;
use crate::placement::open_files_max;
use crate::process::ProcessTree;
use crate::scenario::Scenario;

/// Idle connections of the smaller measurement, plain and mutual TLS.
const FEW: usize = 1_000;
/// Idle connections of the larger.
const MANY: usize = 10_000;
/// Files that a client process has open besides.
const SPARE_FILES: u64 = 200;
/// How long memory may take to come to rest.
const REST_TIMEOUT: Duration = Duration::from_secs(5);
const REST_INTERVAL: Duration = Duration::from_millis(250);

/// What one proxy used, in bytes.
#[derive(Debug, Default)]
struct Usage {
    start: Option<u64>,
    each_of_few: Option<f64>,
    each_of_many: Option<f64>,
    each_of_few_tls: Option<f64>,
}

/// Measures every proxy by itself; memory does not depend on the neighbours.
pub(super) fn measure(bench: &Bench) -> Result<Vec<MemoryRow>> {
    let mut rows = Vec::new();
    for (peer, program) in &bench.programs {
        eprintln!("  {}", peer.name());
        let mut usage = Usage::default();
        let mut state = State::Measured;
        for scenario in [Scenario::Memory, Scenario::HandshakeFull] {
            match bench.enter(*peer, program.as_deref(), scenario)? {
                Entrant::Absent(reason) => state = reason,
                Entrant::Running(proxy) => {
                    let measured = match scenario {
                        Scenario::HandshakeFull => usage.measure_tls(bench, &proxy),
                        _ => usage.measure_plain(&proxy),
                    };
                    if let Err(error) = measured {
                        state = State::Failed(format!("{error:#}"));
                    }
                }
            }
        }
        let kibibytes = |bytes: Option<f64>| bytes.map(|bytes| bytes / 1024.0);
        rows.push(MemoryRow {
            peer: *peer,
            state,
            start_mib: usage.start.map(|bytes| bytes as f64 / f64::from(1 << 20)),
            kib_per_connection_1000: kibibytes(usage.each_of_few),
            kib_per_connection_10000: kibibytes(usage.each_of_many),
            kib_per_tls_connection_1000: kibibytes(usage.each_of_few_tls),
        });
    }
    Ok(rows)
}

impl Usage {
    fn measure_plain(&mut self, proxy: &RunningPeer) -> Result<()> {
        let tree = proxy.running.tree();
        self.start = Some(resident_at_rest(&tree)?);
        let mut connections = IdleConnections::default();
        // What the first connection allocates is for all of them.
        connections.grow_plain(proxy.address, 1)?;
        let base = resident_at_rest(&tree)?;
        connections.grow_plain(proxy.address, FEW)?;
        self.each_of_few = Some(each(&tree, base, FEW)?);
        let files = open_files_max();
        // The proxy may want two files for each, so it decides by itself whether it can.
        if files >= MANY as u64 + SPARE_FILES {
            connections
                .grow_plain(proxy.address, MANY)
                .context("with 10,000 connections")?;
            self.each_of_many = Some(each(&tree, base, MANY)?);
        }
        Ok(())
    }

    fn measure_tls(&mut self, bench: &Bench, proxy: &RunningPeer) -> Result<()> {
        let tree = proxy.running.tree();
        let client = Arc::new(tls_client(&bench.certificate)?);
        let mut connections = IdleConnections::default();
        connections.grow_tls(proxy.address, &client, 1)?;
        let base = resident_at_rest(&tree)?;
        connections.grow_tls(proxy.address, &client, FEW)?;
        self.each_of_few_tls = Some(each(&tree, base, FEW)?);
        Ok(())
    }
}

fn each(tree: &ProcessTree, base: u64, count: usize) -> Result<f64> {
    let now = resident_at_rest(tree)?;
    Ok(now.saturating_sub(base) as f64 / (count - 1) as f64)
}

/// Resident bytes once two looks in a row agree, or at the end of the patience.
fn resident_at_rest(tree: &ProcessTree) -> Result<u64> {
    let deadline = Instant::now() + REST_TIMEOUT;
    let mut last = tree.resident_bytes()?;
    ensure!(last > 0, "the proxy uses no memory: it has ended");
    loop {
        std::thread::sleep(REST_INTERVAL);
        let now = tree.resident_bytes()?;
        if now == last || Instant::now() > deadline {
            return Ok(now);
        }
        last = now;
    }
}
