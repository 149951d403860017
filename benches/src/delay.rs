//! How long it takes from a change of policy to the end of the last stream that lost its right by it.
//!
//! The proxy runs in this process, its clients and its upstream beside it. Each round opens connections with mutual TLS
//! and long streams on them, changes the configuration so that a quarter of the connections lose their right, and notes
//! when each of their streams ends. The time counts from before the new configuration is read: reading, compiling and
//! publishing it are part of the delay. A stream that ends without having lost its right is a fault.

mod clients;
mod document;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use hdrhistogram::Histogram;
use outrigger_config::Source;
use outrigger_proxy::{ConfigurationSource, Proxy, ProxyOptions};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;

use clients::{Clients, Ended};
use document::Document;

/// One in so many connections loses its right.
const SHARE: u32 = 4;
/// How long the last of the streams may take, and how long is waited for one that should not end.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest delay that is told from longer ones.
const DELAY_MAX: Duration = Duration::from_secs(60);

/// What is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Change {
    /// Their identity is denied: connections end, with their streams.
    Denied,
    /// Their authority is believed no more: likewise.
    Root,
    /// An authorization policy denies their requests: streams end, connections stay.
    Policy,
}

/// What to measure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Delay {
    pub(crate) change: Change,
    pub(crate) connections: u32,
    /// On each connection.
    pub(crate) streams: u32,
    pub(crate) rounds: u16,
    /// Of the proxy.
    pub(crate) workers: u16,
}

/// Microseconds.
struct Figures {
    /// From the change to the end of each stream.
    streams: Histogram<u64>,
    /// To the end of the last, one a round.
    last: Histogram<u64>,
    /// To the acknowledgement of the change, one a round.
    acknowledged: Histogram<u64>,
}

impl Delay {
    /// Measures, and prints a table.
    pub(crate) fn run(self) -> Result<()> {
        crate::placement::raise_open_files()?;
        let beside = Builder::new_multi_thread().enable_all().build()?;
        let upstream = beside.block_on(clients::upstream())?;
        let document = Document::create(upstream, self.workers)?;
        // The control loop of the proxy; its workers have threads of their own.
        let control = Builder::new_current_thread().enable_all().build()?;
        let figures = control.block_on(self.measure(&beside, &document))?;
        self.print(&figures);
        beside.shutdown_background();
        Ok(())
    }

    async fn measure(self, beside: &Runtime, document: &Document) -> Result<Figures> {
        let options = ProxyOptions::default();
        let mut proxy = Proxy::start(source(document.base()), options).await?;
        let address = proxy.listener_address("edge").context("the listener is there")?;
        let histogram = || Histogram::new_with_max(DELAY_MAX.as_micros() as u64, 3);
        let mut figures = Figures {
            streams: histogram()?,
            last: histogram()?,
            acknowledged: histogram()?,
        };
        for round in 0..self.rounds {
            let (ends, mut ended) = mpsc::unbounded_channel();
            let opening = Clients::open(
                address,
                document.identities()?,
                self.connections,
                self.streams,
                ends,
            );
            let clients = beside.spawn(opening).await??;
            let begun = Instant::now();
            reload(&mut proxy, document.changed(self.change)).await?;
            note(&mut figures.acknowledged, begun.elapsed());
            let expected = self.connections.div_ceil(SHARE) * self.streams;
            let mut last = begun;
            for count in 0..expected {
                let next = tokio::time::timeout(PATIENCE, ended.recv()).await;
                let stream: Ended = next
                    .with_context(|| format!("{count} of {expected} streams ended"))?
                    .context("the clients are there")?;
                ensure!(stream.denied, "a stream ended that had not lost its right");
                note(&mut figures.streams, stream.at.duration_since(begun));
                last = last.max(stream.at);
            }
            note(&mut figures.last, last.duration_since(begun));
            ensure!(
                ended.try_recv().is_err(),
                "more streams ended than had lost their right"
            );
            drop(clients);
            reload(&mut proxy, document.base()).await?;
            eprintln!(
                "round {}: {:.1} ms",
                round + 1,
                milliseconds(last.duration_since(begun))
            );
        }
        Ok(figures)
    }

    fn print(self, figures: &Figures) {
        println!(
            "{} connections of {} streams, one in {SHARE} of which loses its right ({:?}); {} workers, {} rounds; \
             milliseconds:\n",
            self.connections, self.streams, self.change, self.workers, self.rounds
        );
        println!("| from the change to | p50 | p90 | p99 | longest |\n|---|---|---|---|---|");
        for (name, histogram) in [
            ("its acknowledgement", &figures.acknowledged),
            ("the end of a stream", &figures.streams),
            ("the end of a round's last", &figures.last),
        ] {
            let at = |quantile: f64| histogram.value_at_quantile(quantile) as f64 / 1e3;
            println!(
                "| {name} | {:.1} | {:.1} | {:.1} | {:.1} |",
                at(0.5),
                at(0.9),
                at(0.99),
                at(1.0)
            );
        }
    }
}

async fn reload(proxy: &mut Proxy, text: String) -> Result<()> {
    let reloaded = proxy.reload_from(source(text)).await;
    reloaded
        .map(|_| ())
        .map_err(|rejection| anyhow::anyhow!("{}", rejection.reason))
}

fn source(text: String) -> ConfigurationSource {
    ConfigurationSource::Text(Source {
        name: "delay.yaml".to_owned(),
        text,
    })
}

fn note(histogram: &mut Histogram<u64>, delay: Duration) {
    histogram.saturating_record(delay.as_micros() as u64);
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
