//! Identities: where certificates, authorities and revocation lists come from while the process runs.
//!
//! What comes over the network has a task each ([`source`]), which starts when a configuration that wants it is about to
//! be applied, and ends when one without it is in force. What comes from files is watched ([`files`]). Whatever changes
//! is gathered into new [`Material`] and put in force by one task ([`publisher`]). A source that is away, a file that is
//! at fault, an answer that cannot be used change nothing: what was there stays, and `/certs` says why.

mod authority;
mod delivery;
mod failure;
mod file_faults;
mod files;
mod observer;
mod publisher;
mod source;
mod standing;
mod workload_api;

pub(crate) use file_faults::{FAULT_SETTLE, FileFaults};
pub(crate) use files::FileWatch;
pub(crate) use publisher::Publisher;
pub(crate) use source::{Running, now};

use outrigger_config::MeshConfig;
use outrigger_config::model::{CertificateSource, Name, TrustSource};
use outrigger_identity::Material;
use outrigger_telemetry::Metrics;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};
use tokio::sync::Notify;

/// How long applying a configuration waits for identities that it adds. After that a process that starts goes on without,
/// and is not ready; a reload, and the start of a process that would take over from another, is refused.
const ARRIVAL_TIMEOUT: Duration = Duration::from_secs(5);

/// All sources of identities.
pub(crate) struct Identities {
    metrics: Arc<Metrics>,
    shared: Arc<Shared>,
}

/// What sources, the publisher and the admin endpoint share.
#[derive(Default)]
pub(crate) struct Shared {
    /// The network sources of the configuration in force.
    running: Mutex<HashMap<Name, Arc<Running>>>,
    /// Identities of the first configuration that have not come yet.
    awaited: Mutex<Vec<Name>>,
    file_faults: Mutex<FileFaults>,
    /// When other material was last put in force without a configuration, if it was.
    changed_at: Mutex<Option<SystemTime>>,
    /// Files are to be read again: another configuration is in force.
    is_stale: AtomicBool,
    wake: Notify,
}

/// The sources of a configuration that is not in force yet. Dropping it stops those that it started.
pub(crate) struct Prepared {
    running: HashMap<Name, Arc<Running>>,
    fresh: Vec<Name>,
}

impl Identities {
    pub(crate) fn new(metrics: Arc<Metrics>) -> Identities {
        Identities {
            metrics,
            shared: Arc::default(),
        }
    }

    pub(crate) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Starts the sources that a configuration wants and that are not running. `material` is what was read for it.
    pub(crate) fn prepare(&self, config: &MeshConfig, material: &Arc<Material>) -> Prepared {
        let running = self.shared.running.lock();
        let mut prepared = Prepared {
            running: HashMap::new(),
            fresh: Vec::new(),
        };
        for identity in config.identities() {
            let name = identity.name();
            let is_same = |before: &&Arc<Running>| before.identity().source() == identity.source();
            let before = running.get(name).filter(is_same);
            // One that has given up by its protocol is tried again by a reload, and by nothing else.
            let has_given_up = before.is_some_and(|before| before.standing().has_given_up);
            if let Some(before) = before.filter(|_| !has_given_up) {
                prepared.running.insert(name.clone(), Arc::clone(before));
                continue;
            }
            let metrics = self.metrics.certificate(name.as_str());
            let held = before.and_then(|before| before.delivery());
            let started = Running::start(identity, Arc::clone(material), metrics, self.shared(), held);
            if let Some(started) = started {
                prepared.fresh.push(name.clone());
                prepared.running.insert(name.clone(), Arc::new(started));
            }
        }
        prepared
    }

    /// Takes over the sources of the configuration that is in force now, and stops the others.
    pub(crate) fn commit(&self, prepared: Prepared, material: &Arc<Material>) {
        for running in prepared.running.values() {
            running.set_material(material);
        }
        let before = std::mem::replace(&mut *self.shared.running.lock(), prepared.running);
        // Dropped without the lock: ending a source takes locks of its own.
        drop(before);
        // What changed between reading files and putting them in force was nobody's to publish.
        self.shared.is_stale.store(true, Ordering::Release);
        self.shared.wake.notify_one();
    }

    /// Remembers what the process started without.
    pub(crate) fn await_missing(&self, prepared: &Prepared) {
        let missing = prepared.missing();
        for name in &missing {
            let why = prepared.why_missing(name);
            tracing::warn!(identity = %name, timeout = ?ARRIVAL_TIMEOUT, "an identity is not there in time: not ready until it is{why}");
        }
        *self.shared.awaited.lock() = missing;
    }
}

impl Prepared {
    /// Waits until all that was started has given something, at most [`ARRIVAL_TIMEOUT`].
    pub(crate) async fn arrive(&self) {
        let arriving: Vec<_> = self
            .fresh
            .iter()
            .filter_map(|name| self.running.get(name))
            .collect();
        let all = async {
            for running in arriving {
                running.arrived().await;
            }
        };
        // What has not come is asked for by `missing`.
        let _ = tokio::time::timeout(ARRIVAL_TIMEOUT, all).await;
    }

    /// Identities that were started for this configuration and have not come.
    fn missing(&self) -> Vec<Name> {
        let has_not_come = |name: &&Name| {
            self.running
                .get(*name)
                .is_some_and(|running| !running.has_arrived())
        };
        self.fresh.iter().filter(has_not_come).cloned().collect()
    }

    /// Which identity has not come, and why; none if all have.
    pub(crate) fn not_arrived(&self) -> Option<String> {
        let missing = self.missing();
        let name = missing.first()?;
        let why = self.why_missing(name);
        Some(format!(
            "identity `{name}` did not come within {ARRIVAL_TIMEOUT:?}{why}"
        ))
    }

    /// What went wrong with a missing one, to be put behind a sentence.
    fn why_missing(&self, name: &Name) -> String {
        let failure = self
            .running
            .get(name)
            .and_then(|running| running.standing().failure.clone());
        failure.map_or(String::new(), |(_, failure)| format!(": {failure}"))
    }

    /// `material` with what the sources have given.
    pub(crate) fn complete(&self, material: Material, config: &MeshConfig) -> Material {
        with_given(material, config, &self.running)
    }
}

impl Shared {
    /// A source has given something else than before, or taken it away.
    fn note_given(&self) {
        self.wake.notify_one();
    }

    /// The source of an identity that comes over the network.
    pub(crate) fn source(&self, name: &Name) -> Option<Arc<Running>> {
        self.running.lock().get(name).cloned()
    }

    /// What is wrong with files, to be looked at.
    pub(crate) fn file_faults(&self) -> parking_lot::MutexGuard<'_, FileFaults> {
        self.file_faults.lock()
    }

    /// When other material was last put in force without a configuration, if it was.
    pub(crate) fn changed_at(&self) -> Option<SystemTime> {
        *self.changed_at.lock()
    }

    /// An identity that the process started without, and that has not been in force since; `material` is what is now.
    pub(crate) fn awaited(&self, material: &Material) -> Option<Name> {
        let running = self.running.lock();
        let mut awaited = self.awaited.lock();
        awaited.retain(|name| {
            let source = CertificateSource::Identity(name.clone());
            running.contains_key(name) && material.credential(&source).is_none()
        });
        awaited.first().cloned()
    }
}

/// `material` with what these sources have given, and without what they have taken away.
fn with_given(
    mut material: Material,
    config: &MeshConfig,
    running: &HashMap<Name, Arc<Running>>,
) -> Material {
    for (name, running) in running {
        let delivery = running.delivery();
        material = match &delivery {
            Some(delivery) => material.with_identity(name, Arc::clone(&delivery.credential)),
            None => material.without_identity(name),
        };
        let lists = delivery.as_ref().and_then(|delivery| delivery.lists.as_ref());
        material = material.with_revocation_lists(name, lists);
        for bundle in config.trust_bundles() {
            if !matches!(bundle.source(), TrustSource::Identity(identity) if identity == name) {
                continue;
            }
            let roots = delivery
                .as_ref()
                .and_then(|delivery| match bundle.trust_domain() {
                    Some(domain) => delivery.bundle(domain),
                    None => delivery.own_bundle(),
                });
            material = match roots {
                Some(roots) => material.with_bundle(bundle.name(), Arc::clone(roots)),
                None => material.without_bundle(bundle.name()),
            };
        }
    }
    material
}
