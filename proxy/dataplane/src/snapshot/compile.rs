//! A configuration and the snapshot before it into the next snapshot, in proportion to what changed.

use super::*;
use foldhash::HashMap;
use outrigger_config::model::{
    AccessLogFormat as FormatModel, AccessLogSink as SinkModel, Origin, RouteAction,
};
use outrigger_http1::KnownName;
use outrigger_identity as identity;
use outrigger_telemetry::{AccessLogSinks, Metrics, Sink};
use std::sync::atomic::{AtomicU64, Ordering};

/// Why a valid configuration cannot be put in force: a file that it names is at fault, or a log format.
#[derive(Debug, Clone, PartialEq)]
pub struct CompileFault {
    /// Where the policy was written.
    pub origin: Origin,
    /// What is wrong, and with what.
    pub message: String,
}

impl std::fmt::Display for CompileFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.origin, self.message)
    }
}

/// Compiles configurations. Holds what outlives them: metric registry, log writers, the ids of endpoints.
pub struct Compiler {
    metrics: Arc<Metrics>,
    sinks: Arc<AccessLogSinks>,
    next_endpoint_id: AtomicU64,
}

impl std::fmt::Debug for Compiler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compiler").finish_non_exhaustive()
    }
}

impl Compiler {
    /// A compiler whose snapshots count into `metrics` and log into `sinks`.
    pub fn new(metrics: Arc<Metrics>, sinks: Arc<AccessLogSinks>) -> Compiler {
        Compiler {
            metrics,
            sinks,
            next_endpoint_id: AtomicU64::new(1),
        }
    }

    /// The next snapshot. Parts of `config` that are pointer-equal to those of `previous` are taken over as they are.
    /// Reads certificate files. Reports every fault.
    pub fn compile(
        &self,
        config: Arc<MeshConfig>,
        previous: Option<&Snapshot>,
    ) -> Result<Snapshot, Vec<CompileFault>> {
        let mut faults = Vec::new();
        let clusters = self.clusters(&config, previous, &mut faults);
        let mut slots: HashMap<&Name, ClusterSlot> = clusters
            .iter()
            .enumerate()
            .filter_map(|(index, cluster)| Some((cluster.as_ref()?.config.name(), ClusterSlot(index as u32))))
            .collect();
        if !faults.is_empty() {
            // A cluster at fault has no slot. What points at it is compiled all the same, so that the faults of
            // listeners are found too, and then thrown away.
            for cluster in config.clusters() {
                slots.entry(cluster.name()).or_insert(ClusterSlot(u32::MAX));
            }
        }
        let routes = self.routes(&config, previous, &slots);
        let (listeners, chains) = self.listeners(&config, previous, &routes, &mut faults);
        if !faults.is_empty() {
            return Err(faults);
        }
        let generation = previous.map_or(0, |previous| previous.generation) + 1;
        drop(slots);
        Ok(Snapshot {
            generation,
            config,
            listeners,
            chains,
            routes,
            clusters,
        })
    }

    fn clusters(
        &self,
        config: &MeshConfig,
        previous: Option<&Snapshot>,
        faults: &mut Vec<CompileFault>,
    ) -> Vec<Option<Arc<ClusterPolicy>>> {
        let old: HashMap<&Name, usize> = previous
            .iter()
            .flat_map(|previous| previous.clusters.iter().enumerate())
            .filter_map(|(index, cluster)| Some((cluster.as_ref()?.config.name(), index)))
            .collect();
        let mut slots: Vec<Option<Arc<ClusterPolicy>>> =
            vec![None; previous.map_or(0, |previous| previous.clusters.len())];
        let mut fresh = Vec::new();
        for cluster in config.clusters() {
            let index = old.get(cluster.name()).copied();
            let before = index.and_then(|index| previous?.clusters[index].as_ref());
            match self.cluster(cluster, before) {
                Ok(policy) => match index {
                    Some(index) => slots[index] = Some(policy),
                    None => fresh.push(policy),
                },
                Err(fault) => faults.push(fault),
            }
        }
        let mut free = 0;
        for policy in fresh {
            while free < slots.len()
                && (slots[free].is_some() || previous.is_some_and(|p| p.clusters[free].is_some()))
            {
                free += 1;
            }
            // A slot is taken again only once a whole snapshot was published without it: connections that still
            // serve by the snapshot before never see another cluster in its place, since they hold that snapshot.
            if free < slots.len() {
                slots[free] = Some(policy);
            } else {
                slots.push(Some(policy));
                free = slots.len();
            }
        }
        slots
    }

    fn cluster(
        &self,
        config: &Arc<model::Cluster>,
        before: Option<&Arc<ClusterPolicy>>,
    ) -> Result<Arc<ClusterPolicy>, CompileFault> {
        let tls = self.upstream_tls(config, before.and_then(|before| before.tls.as_ref()))?;
        let same_tls = before.is_some_and(|before| match (&before.tls, &tls) {
            (None, None) => true,
            (Some(old), Some(new)) => Arc::ptr_eq(&old.identity, &new.identity),
            _ => false,
        });
        if let Some(before) = before
            && Arc::ptr_eq(&before.config, config)
            && same_tls
        {
            return Ok(Arc::clone(before));
        }
        let same_connections =
            same_tls && before.is_some_and(|before| same_connection_settings(&before.config, config));
        let known: HashMap<SocketAddr, &Arc<EndpointState>> = before
            .filter(|_| same_connections)
            .iter()
            .flat_map(|before| {
                before
                    .endpoints
                    .iter()
                    .map(|endpoint| (endpoint.address, endpoint))
            })
            .collect();
        let endpoints: Vec<Arc<EndpointState>> = config
            .endpoints()
            .iter()
            .map(|endpoint| match known.get(&endpoint.address()) {
                Some(state) => Arc::clone(state),
                None => Arc::new(EndpointState {
                    id: self.next_endpoint_id.fetch_add(1, Ordering::Relaxed),
                    address: endpoint.address(),
                    address_text: endpoint.address().to_string(),
                    load: Arc::new(EndpointLoad::new()),
                }),
            })
            .collect();
        let loads: Vec<(u32, Arc<EndpointLoad>)> = config
            .endpoints()
            .iter()
            .zip(&endpoints)
            .map(|(endpoint, state)| (endpoint.weight(), Arc::clone(&state.load)))
            .collect();
        let balancer = Balancer::new(
            config.load_balancing(),
            &loads,
            before.map(|before| &before.balancer),
        );
        let shared = match before {
            Some(before) => Arc::clone(&before.shared),
            None => Arc::new(ClusterShared {
                requests_active: AtomicU32::new(0),
                retry_budget: RetryBudget::new(
                    model::defaults::RETRY_BUDGET_PERCENT,
                    model::defaults::RETRY_BUDGET_MIN_CONCURRENCY,
                ),
            }),
        };
        let metrics = self.metrics.cluster(config.name().as_str());
        Ok(Arc::new(ClusterPolicy {
            config: Arc::clone(config),
            endpoints,
            balancer,
            tls,
            shared,
            metrics,
        }))
    }

    fn upstream_tls(
        &self,
        config: &model::Cluster,
        before: Option<&UpstreamTlsPolicy>,
    ) -> Result<Option<UpstreamTlsPolicy>, CompileFault> {
        let Some(tls) = config.tls() else { return Ok(None) };
        let fault = |error: identity::IdentityError| CompileFault {
            origin: config.origin().clone(),
            message: format!("cluster `{}`: {error}", config.name()),
        };
        let alpn: &[&str] = match config.protocol() {
            model::UpstreamProtocol::Http1 => &["http/1.1"],
            model::UpstreamProtocol::Http2 => &["h2"],
            model::UpstreamProtocol::Auto => &["h2", "http/1.1"],
        };
        let settings = (tls.clone(), config.protocol());
        let stamp = FileStamp::of(&identity::files_of_upstream(tls));
        if let Some(before) = before.filter(|before| before.settings == settings && before.stamp == stamp) {
            return Ok(Some(before.clone()));
        }
        let identity = Arc::new(identity::upstream(tls, alpn).map_err(fault)?);
        Ok(Some(UpstreamTlsPolicy {
            identity,
            settings,
            stamp,
        }))
    }

    fn routes(
        &self,
        config: &MeshConfig,
        previous: Option<&Snapshot>,
        slots: &HashMap<&Name, ClusterSlot>,
    ) -> Vec<Arc<RoutesPolicy>> {
        let old: HashMap<&Name, &Arc<RoutesPolicy>> = previous
            .iter()
            .flat_map(|p| p.routes.iter().map(|routes| (routes.config.name(), routes)))
            .collect();
        config
            .route_configurations()
            .iter()
            .map(|routes| match old.get(routes.name()) {
                Some(before) if Arc::ptr_eq(&before.config, routes) => Arc::clone(before),
                before => Arc::new(self.route_configuration(routes, slots, before.copied())),
            })
            .collect()
    }

    /// Virtual hosts that did not change are taken over: clusters keep their slots for as long as they have their names.
    fn route_configuration(
        &self,
        config: &Arc<model::RouteConfiguration>,
        slots: &HashMap<&Name, ClusterSlot>,
        before: Option<&Arc<RoutesPolicy>>,
    ) -> RoutesPolicy {
        let known: HashMap<*const model::VirtualHost, &Arc<[RoutePolicy]>> = before
            .iter()
            .flat_map(|before| {
                before
                    .config
                    .virtual_hosts()
                    .iter()
                    .map(Arc::as_ptr)
                    .zip(&before.virtual_hosts)
            })
            .collect();
        let virtual_hosts = config
            .virtual_hosts()
            .iter()
            .map(|host| match known.get(&Arc::as_ptr(host)) {
                Some(policies) => Arc::clone(policies),
                None => host
                    .routes()
                    .iter()
                    .map(|route| self.route(config, host, route, slots))
                    .collect(),
            })
            .collect();
        RoutesPolicy {
            config: Arc::clone(config),
            table: match before {
                Some(before) => RouteTable::recompile(config, &before.table),
                None => RouteTable::compile(config),
            },
            virtual_hosts,
            unmatched: self.metrics.route(config.name().as_str(), "", ""),
        }
    }

    fn route(
        &self,
        config: &model::RouteConfiguration,
        host: &model::VirtualHost,
        route: &model::Route,
        slots: &HashMap<&Name, ClusterSlot>,
    ) -> RoutePolicy {
        let mut clusters = Vec::new();
        let mut weights = Vec::new();
        if let RouteAction::Forward(forward) = route.action() {
            let mut sum = 0;
            for target in forward.clusters() {
                sum += target.weight();
                clusters.push(slots[target.cluster()]);
                weights.push(sum);
            }
        }
        let metrics = self.metrics.route(
            config.name().as_str(),
            host.name().as_str(),
            route.name().as_str(),
        );
        RoutePolicy {
            clusters,
            weights,
            metrics,
        }
    }

    fn listeners(
        &self,
        config: &MeshConfig,
        previous: Option<&Snapshot>,
        routes: &[Arc<RoutesPolicy>],
        faults: &mut Vec<CompileFault>,
    ) -> (Vec<Arc<ListenerPolicy>>, Vec<Option<Arc<ChainPolicy>>>) {
        let mut chains = ChainSlots::new(previous);
        let mut listeners = Vec::new();
        for listener in config.listeners() {
            let key = SocketKey::of(listener);
            let before = previous.and_then(|previous| previous.listener(&key));
            let metrics = self.metrics.listener(listener.name().as_str());
            let mut slots = Vec::new();
            for chain in listener.filter_chains() {
                let old = before.and_then(|before| old_chain(previous?, before, chain));
                match self.chain(chain, old.map(|(_, chain)| chain), routes, &metrics) {
                    Ok(policy) => slots.push(chains.place(old.map(|(slot, _)| slot), policy)),
                    Err(message) => {
                        let message = format!(
                            "listener `{}`, filter chain `{}`: {message}",
                            listener.name(),
                            chain.name()
                        );
                        faults.push(CompileFault {
                            origin: chain.origin().clone(),
                            message,
                        });
                    }
                }
            }
            let with_tls = listener
                .filter_chains()
                .iter()
                .filter(|chain| chain.tls().is_some())
                .count();
            let detection = match with_tls {
                0 => Detection::Raw,
                n if n == listener.filter_chains().len() => Detection::Tls,
                _ => Detection::FirstByte,
            };
            let shared = before.map_or_else(Default::default, |before| Arc::clone(&before.shared));
            let config = Arc::clone(listener);
            listeners.push(Arc::new(ListenerPolicy {
                key,
                config,
                chains: slots,
                detection,
                shared,
                metrics,
            }));
        }
        (listeners, chains.slots)
    }

    fn chain(
        &self,
        config: &model::FilterChain,
        before: Option<&Arc<ChainPolicy>>,
        routes: &[Arc<RoutesPolicy>],
        metrics: &Arc<ListenerMetrics>,
    ) -> Result<Arc<ChainPolicy>, String> {
        let tls = match config.tls() {
            None => None,
            Some(tls) => Some(downstream_tls(
                tls,
                before.and_then(|before| before.tls.as_ref()),
            )?),
        };
        let http = config.http();
        let routes = routes
            .iter()
            .find(|routes| routes.config.name() == http.route_configuration())
            .ok_or_else(|| {
                format!(
                    "route configuration `{}` is not there",
                    http.route_configuration()
                )
            })?;
        if let Some(before) = before
            && before.http == *http
            && Arc::ptr_eq(&before.routes, routes)
            && Arc::ptr_eq(&before.listener, metrics)
            && same_tls(before.tls.as_ref(), tls.as_ref())
        {
            return Ok(Arc::clone(before));
        }
        let access_logs = http
            .access_logs()
            .iter()
            .map(|log| self.access_log(log))
            .collect::<Result<_, _>>()?;
        Ok(Arc::new(ChainPolicy {
            name: config.name().clone(),
            matches: config.matches().clone(),
            tls,
            http: http.clone(),
            routes: Arc::clone(routes),
            access_logs,
            listener: Arc::clone(metrics),
        }))
    }

    fn access_log(&self, config: &model::AccessLog) -> Result<AccessLog, String> {
        let format = match config.format() {
            FormatModel::DefaultText => AccessLogFormat::default_text(),
            FormatModel::DefaultJson => AccessLogFormat::default_json(),
            FormatModel::Text(text) => {
                AccessLogFormat::text(text).map_err(|error| format!("access log format: {error}"))?
            }
            FormatModel::Json(keys) => {
                AccessLogFormat::json(keys).map_err(|error| format!("access log format: {error}"))?
            }
        };
        let format =
            format.number_names(|name| KnownName::from_lowercase(name.as_bytes()).map(|known| known as u8));
        let sink = match config.sink() {
            SinkModel::Stdout => Sink::Stdout,
            SinkModel::Stderr => Sink::Stderr,
            SinkModel::File(path) => Sink::File(path.clone()),
        };
        let writer = self
            .sinks
            .open(&sink)
            .map_err(|error| format!("access log: {error}"))?;
        Ok(AccessLog { format, writer })
    }
}

/// Hands out slots of filter chains: a chain whose identity stays keeps its slot.
struct ChainSlots<'a> {
    slots: Vec<Option<Arc<ChainPolicy>>>,
    previous: Option<&'a Snapshot>,
}

impl<'a> ChainSlots<'a> {
    fn new(previous: Option<&'a Snapshot>) -> ChainSlots<'a> {
        ChainSlots {
            slots: vec![None; previous.map_or(0, |previous| previous.chains.len())],
            previous,
        }
    }

    fn place(&mut self, old: Option<ChainSlot>, policy: Arc<ChainPolicy>) -> ChainSlot {
        let slot = old.unwrap_or_else(|| {
            let used_before = |index: usize| {
                self.previous
                    .is_some_and(|p| p.chains.get(index).is_some_and(Option::is_some))
            };
            let free =
                (0..self.slots.len()).find(|&index| self.slots[index].is_none() && !used_before(index));
            ChainSlot(free.unwrap_or(self.slots.len()) as u32)
        });
        if slot.0 as usize == self.slots.len() {
            self.slots.push(None);
        }
        self.slots[slot.0 as usize] = Some(policy);
        slot
    }
}

/// The chain of the same identity in the snapshot before: same name, same match, same kind of TLS. Connections of a
/// chain whose identity changed are drained; of any other they go on under the new policy.
fn old_chain<'a>(
    previous: &'a Snapshot,
    listener: &ListenerPolicy,
    chain: &model::FilterChain,
) -> Option<(ChainSlot, &'a Arc<ChainPolicy>)> {
    listener.chains.iter().find_map(|&slot| {
        let old = previous.chain(slot)?;
        let config = listener
            .config
            .filter_chains()
            .iter()
            .find(|config| config.name() == &old.name)?;
        let client_ca = |tls: Option<&model::DownstreamTls>| tls.map(|tls| tls.client_ca_file().clone());
        let same = old.name == *chain.name()
            && old.matches == *chain.matches()
            && client_ca(config.tls().as_ref()) == client_ca(chain.tls().as_ref());
        same.then_some((slot, old))
    })
}

fn same_tls(old: Option<&TlsPolicy>, new: Option<&TlsPolicy>) -> bool {
    match (old, new) {
        (None, None) => true,
        (Some(old), Some(new)) => Arc::ptr_eq(&old.config, &new.config),
        _ => false,
    }
}

fn downstream_tls(tls: &model::DownstreamTls, before: Option<&TlsPolicy>) -> Result<TlsPolicy, String> {
    let stamp = FileStamp::of(&identity::files_of_downstream(tls));
    if let Some(before) = before.filter(|before| before.settings == *tls && before.stamp == stamp) {
        return Ok(before.clone());
    }
    let config = identity::downstream(tls).map_err(|error| error.to_string())?;
    Ok(TlsPolicy {
        config,
        settings: tls.clone(),
        stamp,
    })
}

/// True if connections made by one configuration are as good as connections made by the other.
fn same_connection_settings(old: &model::Cluster, new: &model::Cluster) -> bool {
    old.protocol() == new.protocol()
        && old.tls() == new.tls()
        && old.http2() == new.http2()
        && old.tcp_keepalive() == new.tcp_keepalive()
        && old.tcp_user_timeout() == new.tcp_user_timeout()
        && old.response_headers_bytes_max() == new.response_headers_bytes_max()
        && old.response_headers_count_max() == new.response_headers_count_max()
}
