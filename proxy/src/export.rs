//! Sends spans and log records to collectors, by OTLP.
//!
//! Workers put them into a bounded queue of each collector and signal (`lane`), and never wait: what has no room is dropped
//! and counted. One task of the `control` thread takes a queue's items in batches (`sender`), makes a message of them
//! (`signal`, `encode`) and sends it over a connection of its own (`connection`), again after a while if the failure may pass
//! (`failure`). A collector that is away costs a try every half minute, and the queue's memory.
//!
//! These connections are made beside the data plane: nothing is traced or logged of them.

mod compression;
mod connection;
mod encode;
mod failure;
mod lane;
mod sender;
mod signal;
mod size;

use arc_swap::ArcSwap;
use lane::{Lane, Settings};
use outrigger_config::MeshConfig;
use outrigger_config::model::Collector;
use outrigger_dataplane::snapshot::Snapshot;
use outrigger_identity::Material;
use outrigger_telemetry::Metrics;
use outrigger_telemetry::export::{LogSink, LogSinks};
use outrigger_telemetry::trace::{SpanSink, SpanSinks};
use parking_lot::Mutex;
use signal::{Logs, Signal, Spans};
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// How long what waits may be sent on when the process ends, or its collector is taken out of the configuration: within
/// the second or two that whoever stops processes leaves after their own patience, and enough for a collector that is there.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// Everything that is sent to collectors.
pub(crate) struct Exports {
    spans: Lanes<Spans>,
    logs: Lanes<Logs>,
    identities: Identities,
    /// `runtime.socket_mark`: rules that lead connections here must let these pass, or what is sent would be traced, and sent.
    mark: Option<u32>,
}

/// Where certificates and authorities are found as they are now.
#[derive(Clone, Default)]
struct Identities(Arc<OnceLock<Arc<ArcSwap<Snapshot>>>>);

impl Identities {
    fn material(&self) -> Arc<Material> {
        match self.0.get() {
            Some(published) => Arc::clone(published.load().material()),
            None => Arc::default(),
        }
    }
}

impl Exports {
    pub(crate) fn new(metrics: &Arc<Metrics>, mark: Option<u32>) -> Exports {
        Exports {
            spans: Lanes::new(Arc::clone(metrics)),
            logs: Lanes::new(Arc::clone(metrics)),
            identities: Identities::default(),
            mark,
        }
    }

    /// Says where identities are found once a configuration is in force.
    pub(crate) fn follow(&self, published: Arc<ArcSwap<Snapshot>>) {
        let _ = self.identities.0.set(published);
    }

    /// A configuration is in force: what goes to its collectors is sent, by what it says of them. A collector that stays goes on,
    /// with what waits for it; what waits for one that is gone is sent for a while yet.
    pub(crate) fn commit(&self, config: &MeshConfig) {
        let resource = Arc::new(encode::resource(config));
        let settings = |collector: &Arc<Collector>| Settings {
            collector: Arc::clone(collector),
            resource: Arc::clone(&resource),
            mark: self.mark,
        };
        self.spans.commit(config, settings, &self.identities);
        self.logs.commit(config, settings, &self.identities);
    }

    /// Sends what waits, and takes nothing more: for the end of the process. It takes no longer than [`END_TIMEOUT`].
    pub(crate) async fn finish(&self) {
        tokio::join!(self.spans.finish(), self.logs.finish());
    }
}

impl SpanSinks for Exports {
    fn spans(&self, collector: &str) -> Arc<dyn SpanSink> {
        self.spans.lane(collector)
    }
}

impl LogSinks for Exports {
    fn logs(&self, collector: &str) -> Arc<dyn LogSink> {
        self.logs.lane(collector)
    }
}

/// The queues of one signal, by the names of collectors.
struct Lanes<S: Signal> {
    metrics: Arc<Metrics>,
    state: Mutex<State<S>>,
}

struct State<S: Signal> {
    open: HashMap<String, Arc<Lane<S>>>,
    /// Of collectors that are gone; kept until what waited is sent.
    ending: Vec<Arc<Lane<S>>>,
}

impl<S: Signal> Lanes<S> {
    fn new(metrics: Arc<Metrics>) -> Lanes<S> {
        let state = State {
            open: HashMap::new(),
            ending: Vec::new(),
        };
        Lanes {
            metrics,
            state: Mutex::new(state),
        }
    }

    /// The queue of a collector; nothing is sent from a new one until a configuration that has the collector is in force.
    fn lane(&self, collector: &str) -> Arc<Lane<S>> {
        let mut state = self.state.lock();
        if let Some(lane) = state.open.get(collector) {
            return Arc::clone(lane);
        }
        let lane = Arc::new(Lane::new(self.metrics.export(collector, S::NAME)));
        state.open.insert(collector.to_owned(), Arc::clone(&lane));
        lane
    }

    fn commit(
        &self,
        config: &MeshConfig,
        settings: impl Fn(&Arc<Collector>) -> Settings,
        identities: &Identities,
    ) {
        let collectors = config.telemetry().collectors().iter();
        let collectors: HashMap<&str, _> = collectors.map(|one| (one.name().as_str(), one)).collect();
        let state = &mut *self.state.lock();
        state.ending.retain(|lane| !lane.has_ended());
        let State { open, ending } = state;
        open.retain(|name, lane| {
            let Some(collector) = collectors.get(name.as_str()) else {
                lane.end(END_TIMEOUT);
                ending.push(Arc::clone(lane));
                return false;
            };
            lane.go_on(settings(collector), identities);
            true
        });
    }

    async fn finish(&self) {
        let lanes: Vec<_> = {
            let mut state = self.state.lock();
            let open: Vec<_> = state.open.drain().map(|(_, lane)| lane).collect();
            open.into_iter().chain(state.ending.drain(..)).collect()
        };
        for lane in &lanes {
            lane.end(END_TIMEOUT);
        }
        for lane in &lanes {
            lane.ended().await;
        }
    }
}
