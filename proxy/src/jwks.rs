//! The keys of JWT providers: read, watched or fetched, and kept fresh in the cells where the data plane finds them.
//!
//! As with discovery, what keeps a provider's keys starts when a configuration that wants it is about to be applied, and
//! ends when one without it is in force; a provider whose source stays keeps its own. What cannot be read or fetched
//! changes nothing: the keys before stay, and `/jwks` says why.

mod fetch;
mod file;
mod schedule;
mod standing;
mod url;

pub(crate) use standing::Report;

use arc_swap::ArcSwap;
use outrigger_config::MeshConfig;
use outrigger_config::model::{JwksSource, JwtProvider, Name};
use outrigger_dataplane::snapshot::Snapshot;
use outrigger_identity::Material;
use outrigger_identity::jwt::{KeyCell, KeyCells, KeySet};
use outrigger_telemetry::Metrics;
use parking_lot::Mutex;
use standing::Standing;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::task::JoinHandle;

/// How long applying a configuration waits for keys that it adds. After that it goes into force all the same, and
/// requests that need them are answered 401.
const WARM_TIMEOUT: Duration = Duration::from_secs(5);

/// All key sets.
pub(crate) struct Jwks {
    cells: KeyCells,
    metrics: Arc<Metrics>,
    shared: Arc<Shared>,
}

/// What keepers and the admin endpoint share.
#[derive(Default)]
pub(crate) struct Shared {
    /// Those of the configuration in force.
    running: Mutex<HashMap<Name, Arc<Running>>>,
    /// Where to look for authorities as they are now.
    published: OnceLock<Arc<ArcSwap<Snapshot>>>,
}

/// A provider's keys, kept fresh until this is dropped.
struct Running {
    provider: Arc<JwtProvider>,
    cell: Arc<KeyCell>,
    standing: Arc<Standing>,
    keeper: Option<JoinHandle<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(keeper) = &self.keeper {
            keeper.abort();
        }
    }
}

/// The keys of a configuration that is not in force yet. Dropping it stops what it started.
pub(crate) struct Prepared {
    running: HashMap<Name, Arc<Running>>,
    fresh: Vec<Name>,
}

impl Jwks {
    pub(crate) fn new(metrics: Arc<Metrics>) -> Jwks {
        Jwks {
            cells: KeyCells::default(),
            metrics,
            shared: Arc::default(),
        }
    }

    /// Where the data plane finds keys.
    pub(crate) fn cells(&self) -> KeyCells {
        self.cells.clone()
    }

    pub(crate) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Says where authorities are found once a configuration is in force.
    pub(crate) fn follow(&self, published: Arc<ArcSwap<Snapshot>>) {
        let _ = self.shared.published.set(published);
    }

    /// Reads key sets out of files and of the configuration itself, and starts what keeps keys fresh that a configuration
    /// wants and nothing keeps yet. `material` is what was read for the configuration.
    ///
    /// # Errors
    /// What is wrong with key sets that are here, ready to be shown.
    pub(crate) fn prepare(&self, config: &MeshConfig, material: &Arc<Material>) -> Result<Prepared, String> {
        let shown = |faults: Vec<String>| {
            faults
                .iter()
                .map(|fault| format!("error: {fault}\n"))
                .collect::<String>()
        };
        let local = read_local(config).map_err(shown)?;
        let running = self.shared.running.lock();
        let mut prepared = Prepared {
            running: HashMap::new(),
            fresh: Vec::new(),
        };
        for (provider, keys) in config.jwt_providers().iter().zip(local) {
            let name = provider.name();
            let before = running.get(name);
            let keeper = match before.filter(|before| before.provider.keys() == provider.keys()) {
                Some(before) => Arc::clone(before),
                None => {
                    prepared.fresh.push(name.clone());
                    Arc::new(self.start(provider, keys, before, material))
                }
            };
            prepared.running.insert(name.clone(), keeper);
        }
        Ok(prepared)
    }

    fn start(
        &self,
        provider: &Arc<JwtProvider>,
        keys: Option<KeySet>,
        before: Option<&Arc<Running>>,
        material: &Arc<Material>,
    ) -> Running {
        let name = provider.name();
        let cell = self.cells.cell(provider);
        let metrics = self.metrics.key_set(name.as_str());
        let standing = Arc::new(Standing::new(name.clone(), Arc::clone(&cell), metrics));
        if let Some(keys) = keys {
            standing.succeeded(keys);
        }
        let keeper = match provider.keys() {
            JwksSource::Inline(_) => None,
            JwksSource::File(file) => Some(tokio::spawn(file::keep(file.clone(), Arc::clone(&standing)))),
            JwksSource::Url(url) => {
                // What is asked in another way keeps its answer until there is a new one.
                let same = before.filter(|before| is_at(before.provider.keys(), url.url()));
                if let Some(keys) = same.and_then(|before| before.cell.keys_owned()) {
                    cell.set(keys);
                }
                let source = url::UrlSource {
                    settings: url.clone(),
                    material: Arc::clone(material),
                    shared: Arc::clone(&self.shared),
                };
                Some(tokio::spawn(url::keep(source, Arc::clone(&standing))))
            }
        };
        Running {
            provider: Arc::clone(provider),
            cell,
            standing,
            keeper,
        }
    }

    /// Takes over the keys of the configuration that is in force now, and stops keeping the others.
    pub(crate) fn commit(&self, prepared: Prepared) {
        let before = std::mem::replace(&mut *self.shared.running.lock(), prepared.running);
        drop(before);
    }
}

impl Prepared {
    /// Waits until the first answer for all that was started, good or bad, at most [`WARM_TIMEOUT`].
    pub(crate) async fn warm(&self) {
        let all = async {
            for name in &self.fresh {
                if let Some(running) = self.running.get(name) {
                    running.standing.first_attempt().await;
                }
            }
        };
        let _ = tokio::time::timeout(WARM_TIMEOUT, all).await;
        for name in &self.fresh {
            let keys = self
                .running
                .get(name)
                .and_then(|running| running.cell.keys_owned());
            if keys.is_none() {
                tracing::warn!(
                    provider = %name,
                    timeout = ?WARM_TIMEOUT,
                    "keys are not there in time: requests that need tokens are refused until they are"
                );
            }
        }
    }
}

impl Shared {
    /// How the keys of a configuration's providers stand.
    pub(crate) fn reports(&self) -> Vec<Report> {
        let running = self.running.lock();
        let mut reports: Vec<Report> = running
            .values()
            .map(|running| running.standing.report(&running.provider))
            .collect();
        reports.sort_by(|one, other| one.provider.cmp(&other.provider));
        reports
    }
}

/// True if a source is this URL.
fn is_at(source: &JwksSource, url: &str) -> bool {
    matches!(source, JwksSource::Url(other) if other.url() == url)
}

/// Reads the key sets that need no network, one for each provider. Blocking, for as long as files take.
///
/// # Errors
/// Everything that is wrong with them, in words.
pub(crate) fn read_local(config: &MeshConfig) -> Result<Vec<Option<KeySet>>, Vec<String>> {
    let (mut sets, mut faults) = (Vec::new(), Vec::new());
    for provider in config.jwt_providers() {
        let read = match provider.keys() {
            JwksSource::File(file) => file::read(file)
                .map(Some)
                .map_err(|fault| format!("{}: {fault}", file.display())),
            JwksSource::Inline(text) => KeySet::parse(text.as_bytes())
                .map(Some)
                .map_err(|fault| fault.to_string()),
            JwksSource::Url(_) => Ok(None),
        };
        match read {
            Ok(set) => sets.push(set),
            Err(fault) => {
                let (origin, name) = (provider.origin(), provider.name());
                faults.push(format!("{origin}: JWT provider `{name}`: {fault}"));
            }
        }
    }
    if faults.is_empty() { Ok(sets) } else { Err(faults) }
}
