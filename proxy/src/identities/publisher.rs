//! The one task that puts changed material in force: what files and sources changed, gathered.

use super::file_faults::Told;
use super::files::FileWatch;
use super::observer::Observer;
use super::{Shared, with_given};
use outrigger_config::MeshConfig;
use outrigger_dataplane::DataPlane;
use outrigger_identity::renewal::CLOCK_CHECK_INTERVAL;
use outrigger_identity::{IdentityError, Loaded, Material, MaterialFault, MaterialPart, files_of};
use outrigger_telemetry::{Metrics, SourceFailure};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::Mutex;

/// From the first news of sources to the publish that holds it.
const BATCH_DELAY: Duration = Duration::from_millis(10);
/// Files are read again this often though nothing was told: not every file system tells.
const POLL_INTERVAL: Duration = CLOCK_CHECK_INTERVAL;

/// Puts changed material in force, for as long as it is polled: what drains needs it too.
pub(crate) struct Publisher {
    shared: Arc<Shared>,
    plane: Arc<Mutex<DataPlane>>,
    metrics: Arc<Metrics>,
    files: FileWatch,
    observer: Observer,
}

impl Publisher {
    pub(crate) fn new(shared: Arc<Shared>, plane: Arc<Mutex<DataPlane>>, metrics: Arc<Metrics>) -> Publisher {
        Publisher {
            shared,
            plane,
            observer: Observer::new(Arc::clone(&metrics)),
            metrics,
            files: FileWatch::new(),
        }
    }

    /// Until it is dropped.
    pub(crate) async fn run(mut self) {
        loop {
            let snapshot = self.plane.lock().await.snapshot();
            self.files.watch(&files_of(snapshot.config()));
            self.observer.observe(snapshot.material(), SystemTime::now());
            drop(snapshot);
            let next_look = self.next_look();
            let reads_files = tokio::select! {
                () = self.shared.wake.notified() => {
                    tokio::time::sleep(BATCH_DELAY).await;
                    self.shared.is_stale.swap(false, Ordering::AcqRel)
                }
                () = self.files.changed() => true,
                () = tokio::time::sleep(next_look) => true,
            };
            self.refresh(reads_files).await;
        }
    }

    /// When to look again though nothing is told.
    fn next_look(&self) -> Duration {
        let settles_in = self.shared.file_faults.lock().settles_in(Instant::now());
        let expiry = self.observer.next_threshold(SystemTime::now());
        [settles_in, expiry]
            .into_iter()
            .flatten()
            .fold(POLL_INTERVAL, Duration::min)
    }

    /// Puts in force what has changed.
    async fn refresh(&mut self, reads_files: bool) {
        let plane = Arc::clone(&self.plane);
        loop {
            let before = plane.lock().await.snapshot();
            let (config, old) = (Arc::clone(before.config()), Arc::clone(before.material()));
            let loaded = match reads_files {
                true => load(Arc::clone(&config), Arc::clone(&old)).await,
                false => None,
            };
            let mut plane = plane.lock().await;
            let now = plane.snapshot();
            if !Arc::ptr_eq(now.config(), &config) || !Arc::ptr_eq(now.material(), &old) {
                // Another configuration came between: what was read may not be what it asks for.
                continue;
            }
            let (material, faults) = match loaded {
                Some(loaded) => (loaded.material, Some(loaded.faults)),
                None => (Material::clone(&old), None),
            };
            let running = self.shared.running.lock().clone();
            let material = with_given(material, &config, &running);
            if !material.is_same(&old) {
                let material = Arc::new(material);
                match plane.set_material(Arc::clone(&material)).await {
                    Ok(()) => {
                        self.note_changed(&old, &material);
                        for source in running.values() {
                            source.set_material(&material);
                        }
                    }
                    Err(error) => tracing::error!(%error, "changed certificates cannot be put in force"),
                }
            }
            drop(plane);
            if let Some(faults) = faults {
                self.note_faults(&faults);
            }
            return;
        }
    }

    fn note_changed(&mut self, old: &Material, new: &Material) {
        *self.shared.changed_at.lock() = Some(SystemTime::now());
        let generation = &self.metrics.process().material_generation;
        generation.set(generation.value() + 1);
        self.observer.count_changes(old, new);
    }

    fn note_faults(&mut self, faults: &[MaterialFault]) {
        // The same part has a fault for everyone who asks for it.
        let by_part: HashMap<&MaterialPart, &MaterialFault> =
            faults.iter().map(|fault| (&fault.part, fault)).collect();
        let faults = by_part.iter().map(|(part, fault)| {
            let reason = reason_of(&fault.error);
            (MaterialPart::clone(part), reason, fault.error.to_string())
        });
        let told = self
            .shared
            .file_faults
            .lock()
            .note(faults, Instant::now(), SystemTime::now());
        for told in told {
            match told {
                Told::Fault(part, reason, text) => {
                    tracing::warn!(
                        reason = reason.as_str(),
                        "files at fault are not put in force: {text}"
                    );
                    self.observer.count_fault(&part, reason);
                }
                Told::Mended(part) => {
                    tracing::info!(%part, "files are in order again");
                    self.observer.mended(&part);
                }
            }
        }
    }
}

/// Reads the files; none if that cannot be done at all.
async fn load(config: Arc<MeshConfig>, old: Arc<Material>) -> Option<Loaded> {
    let loaded = tokio::task::spawn_blocking(move || Material::load(&config, Some(&old))).await;
    loaded
        .inspect_err(|error| tracing::error!(%error, "reading the files of identities failed"))
        .ok()
}

fn reason_of(error: &IdentityError) -> SourceFailure {
    match error {
        IdentityError::Unreadable { .. } => SourceFailure::Unreadable,
        IdentityError::KeyMismatch { .. } => SourceFailure::Mismatch,
        _ => SourceFailure::Contents,
    }
}
