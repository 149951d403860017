//! Receipts of configurations: made once they are in force, and told.
//!
//! One task on the `control` thread follows what is published. It makes the receipt on a thread for blocking work, so that
//! neither workers nor the control loop wait for it, and one at a time: of configurations that follow quickly only the
//! last gets one. What was made is shown by the admin endpoint, counted, logged, and told to a control plane.

mod certificates;
mod shown;

pub(crate) use certificates::add as add_certificates;
pub(crate) use shown::{remark, told};

use arc_swap::ArcSwap;
use outrigger_config::receipt::{Code, REMARKS_MAX, Receipt, receipt};
use outrigger_config::{Diagnostic, MeshConfig, difference};
use outrigger_dataplane::snapshot::Snapshot;
use outrigger_telemetry::{Metrics, RemarkMetrics};
use parking_lot::Mutex;
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// From one receipt to the next at least: endpoints of a control plane may change many times a second.
const PAUSE: Duration = Duration::from_secs(1);
/// Certificates come nearer to their end without anything being published.
const LOOK_INTERVAL: Duration = Duration::from_secs(3600);
/// Remarks of one configuration that are logged; the rest is counted, and shown by `/config_dump`.
const LOGGED_MAX: usize = 50;

/// A receipt, and what it is of.
#[derive(Debug, Default)]
pub(crate) struct Made {
    /// The generation of the configuration; 0: none was made yet.
    pub(crate) generation: u64,
    pub(crate) receipt: Receipt,
}

/// What the task, the reloads and the admin endpoint share.
pub(crate) struct Shared {
    metrics: Arc<Metrics>,
    made: watch::Sender<Arc<Made>>,
    /// The document as it was read last: parts that did not change are taken over with the places that they had before, and
    /// what stands where may have changed all the same.
    read: Mutex<Option<Arc<MeshConfig>>>,
}

impl Shared {
    pub(crate) fn new(metrics: Arc<Metrics>) -> Shared {
        Shared {
            metrics,
            made: watch::Sender::new(Arc::default()),
            read: Mutex::new(None),
        }
    }

    /// A document was read: if it is put in force, its receipt points into it.
    pub(crate) fn read(&self, config: Arc<MeshConfig>) {
        *self.read.lock() = Some(config);
    }

    /// Receipts, from the one in force on.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<Made>> {
        self.made.subscribe()
    }

    /// For `/config_dump`; null until there is one.
    pub(crate) fn report(&self) -> Value {
        let made = Arc::clone(&self.made.borrow());
        match made.generation {
            0 => Value::Null,
            generation => shown::report(generation, &made.receipt),
        }
    }
}

/// Makes receipts of what is published, for ever.
pub(crate) async fn follow(
    shared: Arc<Shared>,
    published: Arc<ArcSwap<Snapshot>>,
    mut revisions: watch::Receiver<u64>,
) {
    let mut maker = Maker {
        shared,
        of_config: None,
        held: HashMap::new(),
        logged: HashSet::new(),
    };
    loop {
        let snapshot = published.load_full();
        maker.make(&snapshot).await;
        sleep(PAUSE).await;
        let other = async {
            while is_same(&snapshot, &published.load()) {
                if revisions.changed().await.is_err() {
                    // The data plane has ended: so will this task.
                    std::future::pending::<()>().await;
                }
            }
        };
        // Either way there is something to look at.
        let _ = timeout(LOOK_INTERVAL, other).await;
    }
}

/// Nothing differs that receipts are made of.
fn is_same(one: &Snapshot, other: &Snapshot) -> bool {
    Arc::ptr_eq(one.config(), other.config()) && Arc::ptr_eq(one.material(), other.material())
}

struct Maker {
    shared: Arc<Shared>,
    /// The receipt of a configuration without what the time and certificates add.
    of_config: Option<(Arc<MeshConfig>, Receipt)>,
    /// Held, because series vanish with the last holder.
    held: HashMap<Code, Arc<RemarkMetrics>>,
    /// What the configuration before drew, too, is not logged again.
    logged: HashSet<String>,
}

impl Maker {
    async fn make(&mut self, snapshot: &Snapshot) {
        let (config, material) = (Arc::clone(snapshot.config()), Arc::clone(snapshot.material()));
        let known = self.of_config.take().filter(|(of, _)| Arc::ptr_eq(of, &config));
        let read = self.shared.read.lock().take();
        let now = SystemTime::now();
        let making = tokio::task::spawn_blocking(move || {
            let of_config = match known {
                Some((_, receipt)) => receipt,
                None => receipt(&as_read(read, &config)),
            };
            let mut whole = of_config.clone();
            whole.add_expired(&config, now);
            certificates::add(&mut whole, &config, &material, now);
            (config, of_config, whole)
        });
        match making.await {
            Ok((config, of_config, whole)) => {
                self.of_config = Some((config, of_config));
                self.tell(snapshot.generation(), whole);
            }
            Err(error) => tracing::error!(%error, "no receipt could be made of the configuration"),
        }
    }

    fn tell(&mut self, generation: u64, receipt: Receipt) {
        let metrics = &self.shared.metrics;
        let counts = receipt.counts().map(|(code, count)| {
            let cells = self
                .held
                .remove(&code)
                .unwrap_or_else(|| metrics.remark(code.as_str()));
            cells
                .worker(0)
                .remarks
                .set(i64::try_from(count).unwrap_or(i64::MAX));
            (code, cells)
        });
        let held = counts.collect();
        self.held = held;
        self.log(&receipt);
        self.shared
            .made
            .send_replace(Arc::new(Made { generation, receipt }));
    }

    fn log(&mut self, receipt: &Receipt) {
        let new: Vec<&Diagnostic> = receipt
            .remarks()
            .iter()
            .filter(|remark| !self.logged.contains(&identity(remark)))
            .collect();
        for remark in new.iter().take(LOGGED_MAX) {
            tracing::warn!("{}", shown::line(remark));
        }
        let more = new.len().saturating_sub(LOGGED_MAX) + receipt.left_out();
        if more > 0 && !new.is_empty() {
            tracing::warn!(
                "{more} more remarks on the configuration; /config_dump shows the first {REMARKS_MAX}"
            );
        }
        self.logged = receipt.remarks().iter().map(identity).collect();
    }
}

/// What is said of what, wherever it stands.
fn identity(remark: &Diagnostic) -> String {
    format!(
        "{:?} {:?} {:?} {}",
        remark.code(),
        remark.part(),
        remark.field(),
        remark.message()
    )
}

/// The document as it was read, if it is what is in force: its places are those of now.
fn as_read(read: Option<Arc<MeshConfig>>, config: &Arc<MeshConfig>) -> Arc<MeshConfig> {
    let same = read.filter(|read| difference(read, config).is_empty());
    same.unwrap_or_else(|| Arc::clone(config))
}
