//! What it takes to drive proxies: one proxy with very many clusters, ours and Envoy, and a server with very many nodes.
//!
//! The server is the program `outrigger-control` over a directory of documents, and everything goes over real ADS streams.
//! Nothing is judged: times and sizes are for people to read.

mod mesh;
mod nodes;
mod proxy;
mod relay;
mod server;

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Serialize;
use tokio::runtime::Builder;

use crate::peer::Peer;
use crate::placement::Placement;
use crate::process::ProcessTree;
use crate::statistics::median;
use nodes::Nodes;
use server::{Control, RELEASED};

/// After a change, until processes have done what it brings with it: answers, and what is kept on a disk.
const SETTLE: Duration = Duration::from_millis(500);

/// What to measure.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// Clusters of the one proxy; none: no proxy is measured.
    pub(crate) clusters: u32,
    /// Their endpoints, all together.
    pub(crate) endpoints: u32,
    /// Nodes of the one server; none: no nodes are measured.
    pub(crate) nodes: u32,
    /// Services whose nodes they are.
    pub(crate) services: u32,
    /// Changes of one endpoint.
    pub(crate) changes: u32,
    /// What takes longer has failed.
    pub(crate) patience: Duration,
    /// Where to write the figures, too.
    pub(crate) json: Option<PathBuf>,
}

/// Times of one kind, in milliseconds.
#[derive(Debug, Clone, Default, Serialize)]
struct Times(Vec<f64>);

impl Times {
    fn add(&mut self, time: Duration) {
        self.0.push(time.as_secs_f64() * 1e3);
    }

    /// The median, and the longest.
    fn shown(&self) -> String {
        let longest = self.0.iter().copied().fold(0.0, f64::max);
        match median(&self.0) {
            Some(median) => format!("{median:.1} / {longest:.1}"),
            None => "-".to_owned(),
        }
    }
}

/// A change of one endpoint, repeated.
#[derive(Debug, Clone, Default, Serialize)]
struct Changes {
    /// From the document's writing to its release: reading the mesh.
    released_ms: Times,
    /// From the release until it is in force, or acknowledged everywhere.
    in_force_ms: Times,
    server_cpu_ms: Times,
    /// Processor time of the proxy; none: there is no proxy.
    proxy_cpu_ms: Times,
    /// Bytes that the server sent, of each.
    received_bytes: Vec<u64>,
}

/// One proxy.
#[derive(Debug, Clone, Serialize)]
struct OneProxy {
    proxy: &'static str,
    /// From the stream's begin until everything is in force.
    in_force_ms: f64,
    received_bytes: u64,
    resident_before: u64,
    resident_after: u64,
    server_resident: u64,
    proxy_cpu_ms: f64,
    server_cpu_ms: f64,
    changes: Changes,
}

/// Many nodes.
#[derive(Debug, Clone, Serialize)]
struct ManyNodes {
    nodes: u32,
    /// From the first connection until each has acknowledged all.
    told_ms: f64,
    resident_before: u64,
    resident_after: u64,
    server_cpu_ms: f64,
    changes: Changes,
}

/// All figures.
#[derive(Debug, Clone, Default, Serialize)]
struct Report {
    clusters: u32,
    endpoints: u32,
    proxies: Vec<OneProxy>,
    nodes: Option<ManyNodes>,
}

/// Measures, and prints Markdown tables.
pub(crate) fn run(options: &Options) -> Result<()> {
    let placement = Placement::detect(false)?;
    placement.take_observer_place()?;
    println!("{}.", placement.describe());
    let mut report = Report {
        clusters: options.clusters,
        endpoints: options.endpoints,
        ..Report::default()
    };
    if options.clusters > 0 {
        for peer in [Peer::Outrigger, Peer::Envoy] {
            let Some(program) = peer.locate() else {
                eprintln!("{} is not installed: not measured", peer.name());
                continue;
            };
            eprintln!("  {}: {} clusters", peer.name(), options.clusters);
            report
                .proxies
                .push(proxy::measure(peer, &program, options, &placement)?);
        }
        print_proxies(&report);
    }
    if options.nodes > 0 {
        eprintln!("  {} nodes", options.nodes);
        let measured = many_nodes(options, &placement)?;
        print_nodes(&measured);
        report.nodes = Some(measured);
    }
    if let Some(file) = &options.json {
        let text = serde_json::to_string_pretty(&report)?;
        fs::write(file, text).with_context(|| format!("writing {}", file.display()))?;
    }
    Ok(())
}

fn many_nodes(options: &Options, placement: &Placement) -> Result<ManyNodes> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("starting the nodes' runtime")?;
    let directory = tempfile::tempdir().context("making a directory")?;
    let sides = [relay::backend(b'a')?, relay::backend(b'b')?];
    let command = |program: &std::path::Path| placement.proxy_command(program);
    let control = Control::start(command, directory.path(), options.patience, |mesh| {
        mesh::write_fleet(mesh, options.services)?;
        mesh::write_moving(mesh, &sides[..1])
    })?;
    let server = control.tree();
    let (resident_before, cpu) = (server.resident_bytes()?, server.processor_time()?);
    let begun = Instant::now();
    let mut nodes = {
        let _entered = runtime.enter();
        Nodes::start(control.grpc, options.nodes, options.services)
    };
    runtime.block_on(nodes.all_told(options.patience))?;
    let told = begun.elapsed();
    let spent = server.processor_time()?.saturating_sub(cpu);
    let mut changes = Changes::default();
    for change in 0..options.changes {
        let cpu = server.processor_time()?;
        let released = control.said(RELEASED);
        let written = Instant::now();
        mesh::write_moving(control.mesh(), &sides[(change as usize + 1) % 2..][..1])?;
        let known = control.wait_for(RELEASED, released + 1, options.patience)?;
        runtime.block_on(nodes.all_told(options.patience))?;
        changes.in_force_ms.add(known.elapsed());
        changes.released_ms.add(known - written);
        std::thread::sleep(SETTLE);
        changes
            .server_cpu_ms
            .add(server.processor_time()?.saturating_sub(cpu));
    }
    let resident_after = server.resident_bytes()?;
    drop(nodes);
    runtime.shutdown_background();
    Ok(ManyNodes {
        nodes: options.nodes,
        told_ms: told.as_secs_f64() * 1e3,
        resident_before,
        resident_after,
        server_cpu_ms: spent.as_secs_f64() * 1e3,
        changes,
    })
}

/// Resident memory and processor time, of this moment.
fn spent(tree: &ProcessTree) -> Result<(u64, Duration)> {
    Ok((tree.resident_bytes()?, tree.processor_time()?))
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}

fn print_proxies(report: &Report) {
    println!(
        "\n## One proxy: {} clusters, {} endpoints\n",
        report.clusters, report.endpoints
    );
    println!(
        "| proxy | in force after s | received MiB | resident MiB before | after | its CPU s | server's CPU s | server's resident MiB |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for one in &report.proxies {
        println!(
            "| {} | {:.2} | {:.1} | {:.1} | {:.1} | {:.2} | {:.2} | {:.1} |",
            one.proxy,
            one.in_force_ms / 1e3,
            mebibytes(one.received_bytes),
            mebibytes(one.resident_before),
            mebibytes(one.resident_after),
            one.proxy_cpu_ms / 1e3,
            one.server_cpu_ms / 1e3,
            mebibytes(one.server_resident),
        );
    }
    println!("\nOne endpoint's change, median / longest:\n");
    println!(
        "| proxy | changes | written to released ms | released to in force ms | its CPU ms | server's CPU ms | received bytes |"
    );
    println!("|---|---|---|---|---|---|---|");
    for one in &report.proxies {
        let changes = &one.changes;
        println!(
            "| {} | {} | {} | {} | {} | {} | {} |",
            one.proxy,
            changes.in_force_ms.0.len(),
            changes.released_ms.shown(),
            changes.in_force_ms.shown(),
            changes.proxy_cpu_ms.shown(),
            changes.server_cpu_ms.shown(),
            changes.received_bytes.iter().max().copied().unwrap_or_default(),
        );
    }
}

fn print_nodes(measured: &ManyNodes) {
    println!("\n## One server: {} nodes\n", measured.nodes);
    println!("| all told after s | server's resident MiB before | after | server's CPU s |");
    println!("|---|---|---|---|");
    println!(
        "| {:.2} | {:.1} | {:.1} | {:.2} |",
        measured.told_ms / 1e3,
        mebibytes(measured.resident_before),
        mebibytes(measured.resident_after),
        measured.server_cpu_ms / 1e3,
    );
    println!("\nA change that all are told, median / longest:\n");
    println!(
        "| changes | written to released ms | released to acknowledged everywhere ms | server's CPU ms |"
    );
    println!("|---|---|---|---|");
    let changes = &measured.changes;
    println!(
        "| {} | {} | {} | {} |",
        changes.in_force_ms.0.len(),
        changes.released_ms.shown(),
        changes.in_force_ms.shown(),
        changes.server_cpu_ms.shown(),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_by_median_and_longest() {
        let mut times = Times::default();
        assert_eq!(times.shown(), "-");
        for time in [3, 1, 8] {
            times.add(Duration::from_millis(time));
        }
        assert_eq!(times.shown(), "3.0 / 8.0");
    }
}
