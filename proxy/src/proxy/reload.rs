//! Reloads: reading a configuration, which may take long, apart from putting it in force.
//!
//! The control loop goes on while one is read. One at a time: what is told meanwhile leads to one more, after it.

use super::Proxy;
use crate::configuration::{ConfigurationSource, Rejection};
use crate::control::{Applied, NotApplied, Push};
use crate::discovery::{Discovery, Prepared};
use crate::faults;
use crate::health::{self, Health};
use crate::identities::{self, FAULT_SETTLE, Identities};
use crate::jwks::{self, Jwks};
use crate::status::Status;
use outrigger_config::{MeshConfig, difference, reuse};
use outrigger_dataplane::snapshot::Snapshot;
use outrigger_dataplane::{ApplyError, ListeningSocket};
use outrigger_identity::Material;
use outrigger_telemetry::LatencyBuckets;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::oneshot;
use tokio::time::Instant;

/// A configuration that was read and is not in force yet, and whose names were resolved as far as they did in time.
pub(crate) struct Candidate {
    /// Who pushed it and wants to know; none: it was read from the source.
    answer: Option<oneshot::Sender<Result<Applied, NotApplied>>>,
    config: Arc<MeshConfig>,
    material: Arc<Material>,
    /// The material in force when it was read.
    before: Arc<Material>,
    prepared: Prepared,
    checks: health::Prepared,
    keys: jwks::Prepared,
    sources: identities::Prepared,
}

/// What a reload came to.
pub(crate) enum Outcome {
    /// It is to be put in force.
    Candidate(Box<Candidate>),
    /// It is the base of what a control plane sends: what comes of it is pushed.
    Base(Arc<MeshConfig>),
    /// Nothing: a newer one comes in its place.
    Superseded,
}

/// Reading a configuration.
type Reading = Pin<Box<dyn Future<Output = Result<Outcome, Rejection>> + Send>>;

/// The control loop's reloads.
#[derive(Default)]
pub(super) struct Reloads {
    reading: Option<Reading>,
    /// Told to reload when it could not begin.
    due: bool,
}

impl Reloads {
    /// Waits for the configuration that is being read; forever if there is none. Cancel safe.
    pub(super) async fn read(&mut self) -> Result<Outcome, Rejection> {
        let Some(reading) = &mut self.reading else {
            return std::future::pending().await;
        };
        let read = reading.await;
        self.reading = None;
        read
    }

    /// Nothing is being read, so that something else may begin.
    pub(super) fn is_idle(&self) -> bool {
        self.reading.is_none()
    }
}

impl Proxy {
    /// Replaces the source and reloads from it.
    pub async fn reload_from(&mut self, source: ConfigurationSource) -> Result<u64, Rejection> {
        self.source = source;
        self.reload().await
    }

    /// Reads the configuration again and puts it in force; gives its number. A bad one changes nothing.
    pub async fn reload(&mut self) -> Result<u64, Rejection> {
        self.notifier.reloading();
        let read = self.read().await;
        self.put_in_force(read).await
    }

    /// Begins to reload: [`Proxy::asked`] gives what was read. If a reload is under way, or a successor has the sockets,
    /// whose listeners and these must stay the same, it begins when that is over.
    pub(crate) fn begin_reload(&mut self) {
        self.reloads.due = true;
        self.begin_due_reload();
    }

    /// Begins a reload that could not begin before, if there is one and it can now.
    pub(crate) fn begin_due_reload(&mut self) {
        if self.reloads.due && self.reloads.reading.is_none() && !self.is_handing_over() {
            self.reloads.due = false;
            self.notifier.reloading();
            self.reloads.reading = Some(Box::pin(self.read()));
        }
    }

    /// Gives up what is being read: its resolvers end.
    pub(super) fn abandon_reload(&mut self) {
        self.reloads = Reloads::default();
    }

    fn read(&self) -> impl Future<Output = Result<Outcome, Rejection>> + Send + use<> {
        let (source, makers) = (self.source.clone(), self.makers());
        let is_base = self.control.is_some();
        async move {
            let config = read_source(source, &makers.status).await?;
            if is_base {
                return Ok(Outcome::Base(config));
            }
            Ok(Outcome::Candidate(Box::new(
                makers.prepare(config, true, None).await?,
            )))
        }
    }

    /// Begins to put in force what a control plane pushed: [`Proxy::asked`] gives what was made of it.
    pub(crate) fn begin_push(&mut self, push: Push) {
        let makers = self.makers();
        self.reloads.reading = Some(Box::pin(async move {
            let Push {
                config,
                only_endpoints,
                warm_until,
                superseded,
                answer,
            } = push;
            let prepared = tokio::select! {
                prepared = makers.prepare(config, !only_endpoints, warm_until) => prepared,
                Ok(()) = superseded => {
                    // Who pushed it may have gone.
                    let _ = answer.send(Ok(Applied::Superseded));
                    return Ok(Outcome::Superseded);
                }
            };
            match prepared {
                Ok(mut candidate) => {
                    candidate.answer = Some(answer);
                    Ok(Outcome::Candidate(Box::new(candidate)))
                }
                Err(rejection) => {
                    // Who pushed it may have gone.
                    let _ = answer.send(Err(NotApplied {
                        reason: rejection.reason.trim_end().to_owned(),
                        listener: None,
                        transient: true,
                    }));
                    Err(rejection)
                }
            }
        }));
    }

    fn makers(&self) -> Makers {
        Makers {
            status: Arc::clone(&self.status),
            discovery: Arc::clone(&self.discovery),
            health: Arc::clone(&self.health),
            jwks: Arc::clone(&self.jwks),
            identities: Arc::clone(&self.identities),
        }
    }

    /// Puts in force what was read, if it can be. A bad one changes nothing.
    pub(crate) async fn put_in_force(&mut self, read: Result<Outcome, Rejection>) -> Result<u64, Rejection> {
        self.put_in_force_with(read, &mut Vec::new()).await
    }

    /// As [`Proxy::put_in_force`], by sockets that another process left, as far as they fit.
    pub(super) async fn put_in_force_with(
        &mut self,
        read: Result<Outcome, Rejection>,
        sockets: &mut Vec<ListeningSocket>,
    ) -> Result<u64, Rejection> {
        // What a control plane pushes is refused there.
        let is_pushed = matches!(&read, Ok(Outcome::Candidate(candidate)) if candidate.answer.is_some());
        let file_refused = |refused: bool| {
            if !is_pushed {
                let process = self.status.metrics.process();
                process.configuration_file_refused.set(i64::from(refused));
            }
        };
        let result = match read {
            Ok(Outcome::Candidate(read)) => self.apply(*read, sockets).await,
            Ok(Outcome::Base(base)) => {
                file_refused(false);
                if let Some(control) = &self.control {
                    control.rebase(base);
                }
                *self.status.rejection.lock() = None;
                self.tell_ready();
                return Ok(self.status.published.load().generation());
            }
            Ok(Outcome::Superseded) => return Ok(self.status.published.load().generation()),
            Err(rejection) => Err(rejection),
        };
        file_refused(result.is_err());
        match &result {
            Ok(generation) => {
                note_accepted(&self.status, *generation);
                tracing::info!(generation, "configuration in force");
            }
            Err(rejection) => {
                self.status.metrics.process().configuration_updates_rejected.inc();
                *self.status.rejection.lock() = Some(rejection.clone());
                tracing::error!(
                    "the new configuration is refused, the one before stays in force:\n{}",
                    rejection.reason
                );
            }
        }
        self.tell_ready();
        result
    }

    async fn apply(&self, read: Candidate, sockets: &mut Vec<ListeningSocket>) -> Result<u64, Rejection> {
        let Candidate {
            answer,
            config,
            mut material,
            before,
            prepared,
            checks,
            keys,
            sources,
        } = read;
        let mut plane = self.plane.lock().await;
        let now = Arc::clone(plane.snapshot().material());
        if !Arc::ptr_eq(&now, &before) {
            // Files changed while identities and addresses were waited for: what was read is older than what is in force.
            material = match read_settled(&config, &now).await {
                Ok(material) => material,
                Err(reason) => {
                    if let Some(answer) = answer {
                        // Who pushed it may have gone.
                        let _ = answer.send(Err(NotApplied {
                            reason: reason.trim_end().to_owned(),
                            listener: None,
                            transient: true,
                        }));
                    }
                    return Err(reject(reason));
                }
            };
        }
        // With what came until now, also to the sources that go on.
        let material = Arc::new(sources.complete(Material::clone(&material), &config));
        let applied = plane
            .apply(config, &prepared.discovered(), Arc::clone(&material), sockets)
            .await;
        if let Some(answer) = answer {
            let applied = applied.as_ref();
            // Who pushed it may have gone.
            let _ = answer.send(applied.map(|_| Applied::InForce).map_err(not_applied));
        }
        let applied = applied.map_err(|error| reject(format!("error: {error}\n")))?;
        self.discovery.commit(prepared);
        self.health.commit(checks, &plane.snapshot());
        self.jwks.commit(keys);
        self.identities.commit(sources, &material);
        self.exports.commit(plane.snapshot().config());
        *self.status.listeners.lock() = plane.listeners();
        // By the limits that are in force now, at once.
        self.status.overload.look().await;
        Ok(applied.generation)
    }
}

/// Why a push was not put in force, and whose fault it was.
fn not_applied(error: &ApplyError) -> NotApplied {
    NotApplied {
        reason: error.to_string(),
        listener: match error {
            ApplyError::Bind { listener, .. } => Some(listener.clone()),
            _ => None,
        },
        transient: false,
    }
}

/// Reads the source's configuration as it is now.
async fn read_source(source: ConfigurationSource, status: &Status) -> Result<Arc<MeshConfig>, Rejection> {
    // Reading and parsing may take long: the control loop and the admin endpoint go on meanwhile.
    let loaded = tokio::task::spawn_blocking(move || source.load())
        .await
        .map_err(|error| reject(format!("error: loading failed: {error}\n")))?
        .map_err(reject)?;
    status.receipts.read(Arc::new(loaded.config.clone()));
    // What is in force stays so until this is put in force: one reload at a time.
    let old = Arc::clone(status.published.load().config());
    let changes = difference(&old, &loaded.config);
    if changes.runtime_changed() || changes.admin_changed() || changes.control_changed() {
        tracing::warn!(
            "`runtime`, `admin` and `control` are read at start only: their changes need a restart"
        );
    }
    Ok(Arc::new(reuse(&old, loaded.config)))
}

/// What candidates are made by.
struct Makers {
    status: Arc<Status>,
    discovery: Arc<Discovery>,
    health: Arc<Health>,
    jwks: Arc<Jwks>,
    identities: Arc<Identities>,
}

impl Makers {
    /// Makes a candidate of a configuration: names are resolved, keys and identities come, endpoints are checked, as far as
    /// they do in time. Files are read anew if `files` says so.
    /// By `warm_until`, if that is given, it is enough of waiting for names, keys and checks.
    async fn prepare(
        &self,
        config: Arc<MeshConfig>,
        files: bool,
        warm_until: Option<Instant>,
    ) -> Result<Candidate, Rejection> {
        let before = Arc::clone(self.status.published.load().material());
        let material = match files {
            true => read_settled(&config, &before).await.map_err(reject)?,
            false => Arc::clone(&before),
        };
        let prepared = self.discovery.prepare(&config);
        let keys = self.jwks.prepare(&config, &material).map_err(reject)?;
        let sources = self.identities.prepare(&config, &material);
        let warming = async { tokio::join!(prepared.warm(), keys.warm()) };
        tokio::join!(no_longer_than(warm_until, warming), sources.arrive());
        if let Some(why) = sources.not_arrived() {
            return Err(reject(format!("error: {why}\n")));
        }
        let in_force = self.status.published.load_full();
        let complete = sources.complete(Material::clone(&material), &config);
        let checks = self
            .health
            .prepare(&config, &prepared.discovered(), &complete, Some(&in_force));
        no_longer_than(warm_until, checks.warm()).await;
        Ok(Candidate {
            answer: None,
            config,
            material,
            before,
            prepared,
            checks,
            keys,
            sources,
        })
    }
}

/// Waits for something, but not beyond this time.
async fn no_longer_than(until: Option<Instant>, what: impl Future) {
    match until {
        Some(until) => {
            if tokio::time::timeout_at(until, what).await.is_err() {
                tracing::warn!(
                    "what a configuration adds is not ready, and a newer one has waited long enough"
                );
            }
        }
        None => drop(what.await),
    }
}

/// Reads files, which may be caught while they change, one after the other: then a second time.
async fn read_settled(config: &Arc<MeshConfig>, before: &Arc<Material>) -> Result<Arc<Material>, String> {
    if let Ok(material) = read_material(config, before).await {
        return Ok(material);
    }
    tokio::time::sleep(FAULT_SETTLE).await;
    read_material(config, before).await
}

async fn read_material(config: &Arc<MeshConfig>, before: &Arc<Material>) -> Result<Arc<Material>, String> {
    let (config, before) = (Arc::clone(config), Arc::clone(before));
    tokio::task::spawn_blocking(move || load_material(&config, Some(&before)))
        .await
        .unwrap_or_else(|error| Err(format!("error: loading failed: {error}\n")))
}

/// Reads what a configuration's identities are made of; in words what is wrong, if anything is.
pub(super) fn load_material(
    config: &MeshConfig,
    previous: Option<&Material>,
) -> Result<Arc<Material>, String> {
    let loaded = Material::load(config, previous);
    if loaded.faults.is_empty() {
        return Ok(Arc::new(loaded.material));
    }
    let faults = loaded.faults.iter();
    Err(faults.map(|fault| format!("error: {fault}\n")).collect())
}

fn reject(reason: String) -> Rejection {
    Rejection {
        at: SystemTime::now(),
        reason,
    }
}

/// Says so where a configuration asks for other buckets than histograms have, wherever it came from.
fn warn_of_buckets(published: &Snapshot, status: &Status) {
    let asked = LatencyBuckets::new(published.config().telemetry().latency_buckets());
    if asked.as_ref() != Some(status.metrics.buckets()) {
        tracing::warn!(
            "`latency_buckets` of `telemetry` are read at start only: what was counted in other buckets cannot be told in \
             new ones, so that histograms keep theirs; a change needs a restart"
        );
    }
}

pub(super) fn note_accepted(status: &Status, generation: u64) {
    let now = SystemTime::now();
    *status.accepted_at.lock() = now;
    *status.rejection.lock() = None;
    let published = status.published.load();
    faults::warn(published.config(), now);
    warn_of_buckets(&published, status);
    status.legends.keep(&published);
    let process = status.metrics.process();
    process.configuration_updates_accepted.inc();
    process
        .configuration_generation
        .set(i64::try_from(generation).unwrap_or(i64::MAX));
    let seconds = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    process
        .configuration_last_success
        .set(i64::try_from(seconds).unwrap_or(i64::MAX));
}
