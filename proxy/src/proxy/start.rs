//! Starting a proxy: from a configuration, and what other processes left, to requests.

use super::reload::{Reloads, load_material, note_accepted};
use super::{ASKS_MAX, Proxy, ProxyOptions, StartError, Task};
use crate::admin::endpoint::Endpoint;
use crate::authorization_codec::EnvoyAuthorization;
use crate::configuration::ConfigurationSource;
use crate::control::Control;
use crate::discovery::{self, Discovery};
use crate::export::Exports;
use crate::health::Health;
use crate::identities::{Identities, Publisher};
use crate::inheritance::{Descent, Inheritance};
use crate::jwks::Jwks;
use crate::logging::Logging;
use crate::notify::Notifier;
use crate::overload::Overload;
use crate::rate_limit_codec::EnvoyRateLimit;
use crate::rebalancing::Rebalancing;
use crate::receipts;
use crate::status::{Feeds, Status};
use crate::upgrade::UpgradeError;
use crate::upgrade::predecessor::UpgradeSocket;
use outrigger_config::MeshConfig;
use outrigger_dataplane::snapshot::Discovered;
use outrigger_dataplane::{ApplyError, DataPlane, ListeningSocket, Options, event_loop, refusals};
use outrigger_identity::Material;
use outrigger_telemetry::{LatencyBuckets, Metrics, UpgradeOutcome};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, mpsc};
use tokio::time::{Instant, sleep_until};

impl Proxy {
    /// Loads the configuration and puts it in force. Ready when this returns; a process whose sockets were taken over
    /// does not accept any more then.
    pub async fn start(source: ConfigurationSource, options: ProxyOptions) -> Result<Proxy, StartError> {
        let loaded = source.load().map_err(StartError::Configuration)?;
        let config = Arc::new(loaded.config);
        let path = options.upgrade_socket.as_deref();
        let mut inheritance = Inheritance::collect(path, options.activated).await?;
        let address = config.admin().address();
        let not_listening = |source| StartError::Admin { address, source };
        let mut admin = Endpoint::open(address, &mut inheritance).map_err(not_listening)?;
        let workers = config.runtime().workers().unwrap_or_else(available_cores);
        let buckets = LatencyBuckets::new(config.telemetry().latency_buckets())
            .expect("the configuration's reader holds bounds to what they may be");
        let metrics = Metrics::with_buckets(workers, refusals::reasons(), buckets);
        let material = load_material(&config, None).map_err(StartError::Configuration)?;
        let discovery = Discovery::new(Arc::clone(&metrics));
        let prepared = discovery.prepare(&config);
        let jwks = Jwks::new(Arc::clone(&metrics));
        let keys = jwks
            .prepare(&config, &material)
            .map_err(StartError::Configuration)?;
        let identities = Identities::new(Arc::clone(&metrics));
        let sources = identities.prepare(&config, &material);
        tokio::join!(prepared.warm(), keys.warm(), sources.arrive());
        if inheritance.has_predecessor()
            && let Some(why) = sources.not_arrived()
        {
            // What the other one serves with its certificates would be refused from here on.
            return Err(StartError::Identity(why));
        }
        identities.await_missing(&sources);
        let material = Arc::new(sources.complete(Material::clone(&material), &config));
        let discovered = prepared.discovered();
        let rebalancing = Arc::new(Rebalancing::default());
        let mark = config.runtime().socket_mark();
        let health = Health::new(Arc::clone(&metrics), Arc::clone(&rebalancing), mark);
        let checks = health.prepare(&config, &discovered, &material, None);
        checks.warm().await;
        let exports = Arc::new(Exports::new(&metrics, mark));
        let plane_options = Options {
            workers,
            metrics: Arc::clone(&metrics),
            own_addresses: vec![admin.address()],
            authorization_codec: Arc::new(EnvoyAuthorization),
            rate_limit_codec: Arc::new(EnvoyRateLimit),
            keys: jwks.cells(),
            health: health.links(),
            log_sinks: Some(Arc::clone(&exports) as _),
            span_sinks: Some(Arc::clone(&exports) as _),
        };
        let base = Arc::clone(&config);
        let plane = start_plane(plane_options, config, &discovered, material, &mut inheritance).await?;
        discovery.commit(prepared);
        health.commit(checks, &plane.snapshot());
        let supervising = health.supervise(plane.published(), plane.revisions());
        jwks.commit(keys);
        jwks.follow(plane.published());
        identities.commit(sources, plane.snapshot().material());
        exports.follow(plane.published());
        exports.commit(plane.snapshot().config());
        let receipts = Arc::new(receipts::Shared::new(Arc::clone(&metrics)));
        let settings = base.control().as_ref();
        let control = settings.map(|settings| {
            Control::start(
                settings,
                Arc::clone(&base),
                plane.published(),
                Arc::clone(&metrics),
                receipts.subscribe(),
            )
        });
        let receiving = receipts::follow(Arc::clone(&receipts), plane.published(), plane.revisions());
        let descent = inheritance.descent();
        let (sender, asks) = mpsc::channel(ASKS_MAX);
        let overload = Overload::new(plane.overload(), plane.published(), Arc::clone(&metrics));
        let overload = Arc::new(overload);
        overload.look().await;
        let status = Arc::new(Status::new(
            plane.published(),
            Arc::clone(&metrics),
            options.logging.unwrap_or_else(Logging::foreign),
            plane.listeners(),
            Feeds {
                discovery: discovery.shared(),
                health: health.shared(),
                jwks: jwks.shared(),
                identities: identities.shared(),
                overload: Arc::clone(&overload),
                recorder: plane.recorder(),
                control: control.as_ref().map(Control::shared),
                access_logs: plane.access_logs(),
                receipts: Arc::clone(&receipts),
            },
            descent,
            sender,
        ));
        note_accepted(&status, plane.snapshot().generation());
        admin.answer(Arc::clone(&status)).map_err(not_listening)?;
        let connections = plane.connection_count();
        let plane = Arc::new(Mutex::new(plane));
        let publishing = discovery::publish(discovery.shared(), Arc::clone(&plane));
        let rebalance = Arc::clone(&rebalancing).publish(Arc::clone(&plane));
        let publisher = Publisher::new(identities.shared(), Arc::clone(&plane), Arc::clone(&metrics));
        let mut proxy = Proxy {
            plane,
            discovery: Arc::new(discovery),
            health: Arc::new(health),
            jwks: Arc::new(jwks),
            identities: Arc::new(identities),
            exports,
            connections,
            source,
            control,
            reloads: Reloads::default(),
            status,
            admin,
            _publishers: vec![
                Task(tokio::spawn(event_loop::measure(
                    metrics.event_loop("control"),
                    0,
                ))),
                Task(tokio::spawn(rebalance)),
                Task(tokio::spawn(overload.run())),
                Task(tokio::spawn(supervising)),
                Task(tokio::spawn(receiving)),
                Task(tokio::spawn(publishing)),
                Task(tokio::spawn(publisher.run())),
            ],
            asks,
            upgrades: None,
            notifier: options.notifier,
        };
        if let Some(settings) = base.control() {
            proxy
                .begin_by_control(settings.first_wait(), &mut inheritance.sockets)
                .await;
        }
        if inheritance.has_predecessor() && proxy.status.awaits_control() {
            // What the other one serves would be refused from here on.
            let why = "no configuration has come from the control plane in time";
            return Err(StartError::Identity(why.to_owned()));
        }
        *proxy.status.descent.lock() = inheritance.descent();
        proxy.upgrades = take_over(&proxy.plane, inheritance, path, &metrics, &mut proxy.notifier).await?;
        proxy.tell_ready();
        Ok(proxy)
    }
}

impl Proxy {
    /// Puts in force what a control plane sends first, by the sockets of a process before: it has to be whole when that one
    /// stops. With nobody there in time, what is kept on disk; with nothing there, the proxy starts, and is not ready.
    async fn begin_by_control(&mut self, wait: Duration, sockets: &mut Vec<ListeningSocket>) {
        let Some(shared) = self.control.as_ref().map(Control::shared) else {
            return;
        };
        let mut deadline = Some(Instant::now() + wait);
        loop {
            let overdue = async {
                match deadline {
                    Some(deadline) => sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            let Some(control) = &mut self.control else { return };
            tokio::select! {
                biased;
                push = control.pushed() => {
                    self.begin_push(push);
                    let read = self.reloads.read().await;
                    // A refusal is told where it happens.
                    let _ = self.put_in_force_with(read, sockets).await;
                }
                () = shared.begun() => return,
                () = overdue => {
                    control.use_last_good();
                    deadline = None;
                }
            }
        }
    }
}

async fn start_plane(
    options: Options,
    config: Arc<MeshConfig>,
    discovered: &Discovered,
    material: Arc<Material>,
    inheritance: &mut Inheritance,
) -> Result<DataPlane, StartError> {
    DataPlane::start(options, config, discovered, material, &mut inheritance.sockets)
        .await
        .map_err(|error| match error {
            ApplyError::Compile(_) => StartError::Configuration(format!("error: {error}\n")),
            ApplyError::Bind { .. } | ApplyError::Mark { .. } | ApplyError::Source { .. } => {
                StartError::Bind(error)
            }
        })
}

/// Tells the process before, if there is one, that this one accepts; and listens on the upgrade socket.
async fn take_over(
    plane: &Mutex<DataPlane>,
    mut inheritance: Inheritance,
    path: Option<&Path>,
    metrics: &Metrics,
    notifier: &mut Notifier,
) -> Result<Option<UpgradeSocket>, UpgradeError> {
    let descent = inheritance.descent();
    let taken_over = inheritance.taken_over();
    let (predecessor, upgrade) = inheritance.into_parts();
    if let Some(predecessor) = predecessor {
        notifier.take_over_watchdog(predecessor.watchdog);
        let process = predecessor.process;
        // Before the other may end: the service is this process from then on.
        notifier.main_process(std::process::id());
        if let Err(refused) = predecessor.ready(taken_over.clone()).await {
            notifier.main_process(process);
            // What was accepted meanwhile is served; what waits is the other's.
            let mut plane = plane.lock().await;
            let timeout = plane.snapshot().config().drain().timeout();
            plane.release(&taken_over).await;
            plane.drain(timeout).await;
            return Err(refused);
        }
        metrics.process().upgrades_in_place[UpgradeOutcome::TakenOver].inc();
        let Descent {
            epoch,
            sockets_inherited,
        } = descent;
        tracing::info!(process, epoch, sockets = sockets_inherited, "taken over");
    }
    // Not before: had the other gone on, what came into further backlogs would have been lost.
    plane.lock().await.complete_sockets().await;
    note_descent(metrics, descent);
    Ok(match (path, upgrade) {
        (Some(path), Some(socket)) => Some(UpgradeSocket::inherited(socket, path)?),
        (Some(path), None) => Some(UpgradeSocket::bind(path)?),
        (None, _) => None,
    })
}

fn note_descent(metrics: &Metrics, descent: Descent) {
    let process = metrics.process();
    process
        .upgrade_epoch
        .set(i64::try_from(descent.epoch).unwrap_or(i64::MAX));
    process
        .sockets_inherited
        .set(i64::try_from(descent.sockets_inherited).unwrap_or(i64::MAX));
}

fn available_cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}
