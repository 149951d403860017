//! Policy that comes from a control plane, by xDS.
//!
//! One task on the `control` thread follows the servers: it has a stream open to the most preferred one that answers
//! ([`follow`]), takes responses in, and has each configuration that comes of them put in force by the control loop before
//! it acknowledges ([`Push`]). What resources mean, and which of them are in force, is `outrigger_xds`'s to say; nothing
//! here reads policy. With no server there, the proxy goes on with what it has; started without one, it begins with the
//! last good configuration on disk ([`last_good`]). Beside the stream it tells how endpoints stand here ([`reporting`]).

mod follow;
mod incoming;
mod keeping;
mod last_good;
mod reporting;
mod stream;
mod taking;
mod told;

pub(crate) use told::Shared;

use crate::receipts::Made;
use follow::Follower;
use outrigger_config::MeshConfig;
use outrigger_config::model;
use outrigger_dataplane::snapshot::Snapshot;
use outrigger_telemetry::Metrics;
use std::sync::Arc;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

/// A configuration that is to be put in force. The task waits for the answer before it goes on.
pub(crate) struct Push {
    /// The configuration.
    pub(crate) config: Arc<MeshConfig>,
    /// It differs from what was pushed last in endpoints of clusters only.
    pub(crate) only_endpoints: bool,
    /// Until when it waits at most for what it adds to be ready, if a newer one waits behind it already.
    pub(crate) warm_until: Option<tokio::time::Instant>,
    /// Told if a newer one is there: unless this one is being put in force already, it need not be.
    pub(crate) superseded: oneshot::Receiver<()>,
    /// What became of it.
    pub(crate) answer: oneshot::Sender<Result<Applied, NotApplied>>,
}

/// What became of a push that is not at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Applied {
    /// It is in force.
    InForce,
    /// It was given up for a newer one.
    Superseded,
}

/// Why a push was not put in force.
#[derive(Debug, Clone)]
pub(crate) struct NotApplied {
    /// In words.
    pub(crate) reason: String,
    /// The listener at fault, if it was one's.
    pub(crate) listener: Option<String>,
    /// Nothing that was pushed is at fault: files or identities of this place are. It is tried again.
    pub(crate) transient: bool,
}

/// What the control loop says to the task; it is never waited for.
struct Words {
    /// The local document: the last one counts.
    base: watch::Receiver<Arc<MeshConfig>>,
    /// Receipts of what is in force.
    receipts: watch::Receiver<Arc<Made>>,
    /// Nobody answers in time: begin with what is kept on disk.
    use_last_good: Arc<Notify>,
}

/// The control loop's end.
pub(crate) struct Control {
    shared: Arc<Shared>,
    pushes: mpsc::Receiver<Push>,
    base: watch::Sender<Arc<MeshConfig>>,
    use_last_good: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Drop for Control {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Control {
    /// Begins to follow the servers. `base` is the local document, which says where they are.
    pub(crate) fn start(
        settings: &model::Control,
        base: Arc<MeshConfig>,
        published: Arc<arc_swap::ArcSwap<Snapshot>>,
        metrics: Arc<Metrics>,
        receipts: watch::Receiver<Arc<Made>>,
    ) -> Control {
        let shared = Arc::new(Shared::new(settings, metrics));
        // One at a time: the next one is made of what came meanwhile.
        let (push, pushes) = mpsc::channel(1);
        let (bases, heard) = watch::channel(Arc::clone(&base));
        let use_last_good = Arc::new(Notify::new());
        let words = Words {
            base: heard,
            receipts,
            use_last_good: Arc::clone(&use_last_good),
        };
        let follower = Follower::new(
            settings.clone(),
            base,
            published,
            Arc::clone(&shared),
            push,
            words,
        );
        let task = tokio::spawn(follower.run());
        Control {
            shared,
            pushes,
            base: bases,
            use_last_good,
            task,
        }
    }

    /// What is known of it, for the admin endpoint.
    pub(crate) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// The next configuration to put in force. Cancel safe.
    pub(crate) async fn pushed(&mut self) -> Push {
        match self.pushes.recv().await {
            Some(push) => push,
            // The task ends only with its owner.
            None => std::future::pending().await,
        }
    }

    /// The local document is another: what comes of it is pushed.
    pub(crate) fn rebase(&self, base: Arc<MeshConfig>) {
        self.base.send_replace(base);
    }

    /// Begins with what is kept on disk, if nothing has come yet; what comes of it is pushed.
    pub(crate) fn use_last_good(&self) {
        self.use_last_good.notify_one();
    }
}
