//! Listeners and filter chains: slots by identity, TLS by material, access logs.

use super::authorization::{Authorization, same_level};
use super::faults::FaultPlace;
use super::*;
use crate::access_log::{self, AccessLog};
use outrigger_identity::{Basis, Belief};
use outrigger_telemetry::{DirectionMetrics, ListenerMetrics};
use outrigger_traffic::SubsetKey;

impl Compiler {
    pub(super) fn listeners(
        &self,
        config: &MeshConfig,
        material: &Material,
        previous: Option<&Snapshot>,
        routes: &[Arc<RoutesPolicy>],
        slots: &Slots<'_>,
        faults: &mut Vec<CompileFault>,
    ) -> (Vec<Arc<ListenerPolicy>>, Vec<Option<Arc<ChainPolicy>>>) {
        let mut chains = ChainSlots::new(previous);
        let mut listeners = Vec::new();
        for listener in config.listeners() {
            let key = SocketKey::of(listener);
            let before = previous.and_then(|previous| previous.listener(&key));
            let metrics = self.metrics.listener(listener.name().as_str());
            let direction = self.metrics.direction(listener.direction().as_str());
            let mut places = Vec::new();
            for chain in listener.filter_chains() {
                let old = before.and_then(|before| old_chain(previous?, before, chain));
                let place = Place {
                    listener: listener.name(),
                    metrics: &metrics,
                    direction: &direction,
                    before: old.map(|(_, chain)| chain),
                };
                match self.chain(chain, &place, material, routes, slots) {
                    Ok(policy) => places.push(chains.place(old.map(|(slot, _)| slot), policy)),
                    Err(message) => faults.push(chain_fault(listener.name(), chain, &message)),
                }
            }
            let shared = before.map_or_else(Default::default, |before| Arc::clone(&before.shared));
            let config = Arc::clone(listener);
            let rate_before = before.and_then(|before| before.rate.as_ref());
            let rate = config
                .connection_rate_max()
                .map(|rate| ConnectionPace::new(rate, rate_before));
            listeners.push(Arc::new(ListenerPolicy {
                key,
                detection: detection(&config),
                config,
                chains: places,
                shared,
                rate,
                metrics,
            }));
        }
        (listeners, chains.slots)
    }

    /// The chains with other material: those are new whose TLS is made of what changed. Their connections go on.
    pub(super) fn chains_of(
        &self,
        previous: &Snapshot,
        material: &Material,
        faults: &mut Vec<CompileFault>,
    ) -> Vec<Option<Arc<ChainPolicy>>> {
        let mut chains = previous.chains.clone();
        for listener in &previous.listeners {
            for slot in &listener.chains {
                let Some(before) = &previous.chains[slot.0 as usize] else {
                    continue;
                };
                let Some(old) = &before.tls else { continue };
                match downstream_tls(&old.settings, material, Some(old)) {
                    Ok(tls) if same_tls(Some(old), Some(&tls)) => {}
                    Ok(tls) => chains[slot.0 as usize] = Some(Arc::new(before.with_tls(tls))),
                    Err(message) => {
                        faults.push(chain_fault(listener.config.name(), &before.config, &message));
                    }
                }
            }
        }
        chains
    }

    fn chain(
        &self,
        config: &model::FilterChain,
        place: &Place<'_>,
        material: &Material,
        routes: &[Arc<RoutesPolicy>],
        slots: &Slots<'_>,
    ) -> Result<Arc<ChainPolicy>, String> {
        let Place { before, metrics, .. } = *place;
        let authorization = chain_level(config, &slots.authorization);
        let tls = match config.tls() {
            None => None,
            Some(tls) => {
                let old = before.and_then(|before| before.tls.as_ref());
                Some(downstream_tls(tls, material, old)?)
            }
        };
        if let Some(before) = before
            && before.config == *config
            && Arc::ptr_eq(&before.listener, metrics)
            && Arc::ptr_eq(&before.direction, place.direction)
            && same_tls(before.tls.as_ref(), tls.as_ref())
            && same_routes(before.http.as_ref(), routes)
            && same_level(before.authorization.as_ref(), authorization.as_ref())
            && same_limits(before, slots)
        {
            return Ok(Arc::clone(before));
        }
        let old_http = before.and_then(|before| before.http.as_ref());
        let http = match config.mode().http() {
            Some(options) => Some(self.http(options, place.chain(config), old_http, routes, slots)?),
            None => None,
        };
        let old_tcp = before.and_then(|before| before.tcp.as_ref());
        let tcp = match config.mode().tcp() {
            Some(options) => Some(self.tcp(options, old_tcp, slots)?),
            None => None,
        };
        Ok(Arc::new(ChainPolicy {
            config: config.clone(),
            tls,
            http,
            tcp,
            listener: Arc::clone(metrics),
            direction: Arc::clone(place.direction),
            authorization,
            authorization_metrics: self
                .metrics
                .authorization(place.listener.as_str(), config.name().as_str()),
        }))
    }

    fn http(
        &self,
        options: &model::HttpOptions,
        place: FaultPlace,
        before: Option<&HttpPolicy>,
        routes: &[Arc<RoutesPolicy>],
        slots: &Slots<'_>,
    ) -> Result<HttpPolicy, String> {
        let routes = routes
            .iter()
            .find(|routes| routes.config.name() == options.route_configuration())
            .ok_or_else(|| {
                format!(
                    "route configuration `{}` is not there",
                    options.route_configuration()
                )
            })?;
        let access_logs = match before {
            Some(before) if before.options.access_logs() == options.access_logs() => {
                before.access_logs.clone()
            }
            _ => self.access_logs(options.access_logs())?,
        };
        let tracing = options.tracing().as_ref().map(|config| {
            let before = before.and_then(|before| before.tracing.as_ref());
            match before.filter(|before| before.config == *config) {
                Some(same) => Arc::clone(same),
                None => Arc::new(TracingPolicy::compile(
                    config,
                    self.span_sinks.as_deref(),
                    self.epoch,
                )),
            }
        });
        Ok(HttpPolicy {
            tracing,
            options: options.clone(),
            tokens: tokens::policy(options, routes, &slots.providers),
            injects_faults: options.fault().is_some() || routes.injects_faults,
            fault: options
                .fault()
                .as_ref()
                .map(|fault| self.faults.policy(place, fault)),
            routes: Arc::clone(routes),
            rate_limits: slots.rate_limits.set(options.rate_limits().iter()),
            access_logs,
            external_authorization: options.external_authorization().as_ref().map(|config| {
                Arc::new(ExternalAuthorizationPolicy {
                    cluster: slots.clusters[config.service().cluster()],
                    config: config.clone(),
                    id: self.next_decider_id.fetch_add(1, Ordering::Relaxed),
                })
            }),
        })
    }

    fn tcp(
        &self,
        options: &model::TcpProxy,
        before: Option<&TcpPolicy>,
        slots: &Slots<'_>,
    ) -> Result<TcpPolicy, String> {
        let access_logs = match before {
            Some(before) if before.options.access_logs() == options.access_logs() => {
                before.access_logs.clone()
            }
            _ => self.access_logs(options.access_logs())?,
        };
        let mut sum = 0;
        let (clusters, weights) = options
            .clusters()
            .iter()
            .map(|target| {
                sum += target.weight();
                (slots.clusters[target.cluster()], sum)
            })
            .unzip();
        let targets = options.clusters().iter();
        let subsets: Arc<[_]> = targets.map(|target| SubsetKey::of(target.subset())).collect();
        Ok(TcpPolicy {
            subsets: subsets.iter().any(Option::is_some).then_some(subsets),
            options: options.clone(),
            clusters,
            weights,
            rate_limits: slots.rate_limits.set(options.rate_limits().iter()),
            access_logs,
        })
    }

    fn access_logs(&self, configs: &[model::AccessLog]) -> Result<Arc<[AccessLog]>, String> {
        configs
            .iter()
            .map(|log| access_log::compile(log, &self.sinks))
            .collect()
    }
}

/// Where a chain stands.
struct Place<'c> {
    listener: &'c Name,
    metrics: &'c Arc<ListenerMetrics>,
    direction: &'c Arc<DirectionMetrics>,
    /// The chain of the same identity in the snapshot before.
    before: Option<&'c Arc<ChainPolicy>>,
}

impl Place<'_> {
    fn chain(&self, config: &model::FilterChain) -> FaultPlace {
        FaultPlace::Chain(self.listener.clone(), config.name().clone())
    }
}

fn chain_level(
    chain: &model::FilterChain,
    authorization: &Authorization<'_>,
) -> Option<Arc<AuthorizationLevel>> {
    let level = authorization.level(chain.authorization())?;
    if chain.mode().tcp().is_some() {
        level.set.prepare_for_connections();
    }
    Some(level)
}

/// What must be seen of a connection before one of these chains can be picked.
fn detection(listener: &model::Listener) -> Detection {
    let chains = listener.filter_chains();
    if chains
        .iter()
        .all(|chain| chain.tls().is_some() && !is_permissive(chain))
    {
        return Detection::Tls;
    }
    let asks = |chain: &model::FilterChain| {
        let matches = chain.matches();
        chain.tls().is_some()
            || matches.transport().is_some()
            || !matches.server_names().is_empty()
            || !matches.application_protocols().is_empty()
    };
    if chains.iter().any(asks) {
        Detection::FirstBytes
    } else {
        Detection::Nothing
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

/// The chain of the same identity in the snapshot before: same name, same match, same mode, TLS or none as before.
/// Connections of a chain whose identity changed are drained; of any other they go on under the new policy, and whoever
/// has no right to by it is cut ([`crate::rights`]).
fn old_chain<'a>(
    previous: &'a Snapshot,
    listener: &ListenerPolicy,
    chain: &model::FilterChain,
) -> Option<(ChainSlot, &'a Arc<ChainPolicy>)> {
    listener.chains.iter().find_map(|&slot| {
        let old = previous.chain(slot)?;
        let same = old.config.name() == chain.name()
            && old.config.matches() == chain.matches()
            && std::mem::discriminant(old.config.mode()) == std::mem::discriminant(chain.mode())
            && old.config.tls().is_some() == chain.tls().is_some()
            // Connections in the clear go on only where they would be taken again.
            && (!old.is_permissive() || is_permissive(chain));
        same.then_some((slot, old))
    })
}

fn is_permissive(chain: &model::FilterChain) -> bool {
    chain
        .tls()
        .as_ref()
        .is_some_and(|tls| tls.mode() == model::TlsMode::Permissive)
}

/// True if the routes that the HTTP side of a chain points at are still in force.
fn same_routes(http: Option<&HttpPolicy>, routes: &[Arc<RoutesPolicy>]) -> bool {
    http.is_none_or(|http| routes.iter().any(|routes| Arc::ptr_eq(routes, &http.routes)))
}

/// True if the rate limits that a chain names are as they were.
fn same_limits(before: &ChainPolicy, slots: &Slots<'_>) -> bool {
    let http = before.http.as_ref().is_none_or(|http| {
        let now = slots.rate_limits.set(http.options.rate_limits().iter());
        RateLimitSet::same(now.as_ref(), http.rate_limits.as_ref())
    });
    http && before.tcp.as_ref().is_none_or(|tcp| {
        let now = slots.rate_limits.set(tcp.options.rate_limits().iter());
        RateLimitSet::same(now.as_ref(), tcp.rate_limits.as_ref())
    })
}

fn same_tls(old: Option<&TlsPolicy>, new: Option<&TlsPolicy>) -> bool {
    match (old, new) {
        (None, None) => true,
        (Some(old), Some(new)) => Arc::ptr_eq(&old.config, &new.config),
        _ => false,
    }
}

fn downstream_tls(
    tls: &model::DownstreamTls,
    material: &Material,
    before: Option<&TlsPolicy>,
) -> Result<TlsPolicy, String> {
    let basis = Basis::of_downstream(tls, material);
    if let Some(before) = before.filter(|before| before.settings == *tls && before.basis == basis) {
        return Ok(before.clone());
    }
    let config = identity::downstream(tls, material).map_err(|error| error.to_string())?;
    let belief = match before {
        Some(before) if before.settings.client() == tls.client() && before.basis.believes_as(&basis) => {
            before.belief.clone()
        }
        _ => Belief::of_downstream(tls, material).map(Arc::new),
    };
    Ok(TlsPolicy {
        config,
        settings: tls.clone(),
        basis,
        belief,
    })
}

fn chain_fault(listener: &Name, chain: &model::FilterChain, message: &str) -> CompileFault {
    CompileFault {
        origin: chain.origin().clone(),
        message: format!(
            "listener `{listener}`, filter chain `{}`: {message}",
            chain.name()
        ),
    }
}
