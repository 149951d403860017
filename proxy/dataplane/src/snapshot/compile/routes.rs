//! Route configurations: tables, and which slots routes point at.

use super::faults::FaultPlace;
use super::*;
use outrigger_config::model::{HeaderValue, HeaderValuePart};
use outrigger_traffic::retry::RetryRules;
use outrigger_traffic::{CorsPolicy, RouteTable, SessionPolicy, SubsetKey};

impl Compiler {
    pub(super) fn routes(
        &self,
        config: &MeshConfig,
        previous: Option<&Snapshot>,
        slots: &Slots<'_>,
        faults: &mut Vec<CompileFault>,
    ) -> Vec<Arc<RoutesPolicy>> {
        let old: HashMap<&Name, &Arc<RoutesPolicy>> = previous
            .iter()
            .flat_map(|p| p.routes.iter().map(|routes| (routes.config.name(), routes)))
            .collect();
        config
            .route_configurations()
            .iter()
            .map(|routes| {
                let before = old.get(routes.name()).copied();
                let is_same = |before: &&Arc<RoutesPolicy>| {
                    let mut hosts = routes.virtual_hosts().iter().zip(&before.virtual_hosts);
                    Arc::ptr_eq(&before.config, routes)
                        && hosts.all(|(host, before)| slots.is_unchanged(host, &before.routes))
                };
                let same = before.filter(is_same);
                let reads_files = || routes.virtual_hosts().iter().any(|host| edge::reads_files(host));
                if let Some(same) = same
                    && !reads_files()
                {
                    return Arc::clone(same);
                }
                let compiled = self.route_configuration(routes, slots, before, faults);
                match same {
                    Some(same) if same_edges(same, &compiled) => Arc::clone(same),
                    _ => Arc::new(compiled),
                }
            })
            .collect()
    }

    /// Virtual hosts that did not change are taken over: clusters keep their slots for as long as they have their names.
    fn route_configuration(
        &self,
        config: &Arc<model::RouteConfiguration>,
        slots: &Slots<'_>,
        before: Option<&Arc<RoutesPolicy>>,
        faults: &mut Vec<CompileFault>,
    ) -> RoutesPolicy {
        let known: HashMap<*const model::VirtualHost, &VirtualHostPolicy> = before
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
        let virtual_hosts: Vec<VirtualHostPolicy> = config
            .virtual_hosts()
            .iter()
            .map(|host| {
                let before = known.get(&Arc::as_ptr(host)).copied();
                let tracing = match before {
                    Some(before) => before.tracing.clone(),
                    None => host.tracing().as_ref().map(RouteTracing::compile).map(Arc::new),
                };
                let routes = match before {
                    Some(before) if slots.is_unchanged(host, &before.routes) => Arc::clone(&before.routes),
                    _ => self.virtual_host(config, host, tracing.as_ref(), slots),
                };
                VirtualHostPolicy {
                    routes,
                    edge: edge::edge(host, before, faults),
                    tracing,
                }
            })
            .collect();
        let has_session = |route: &&RoutePolicy| route.session.is_some();
        let session_clusters = virtual_hosts
            .iter()
            .flat_map(|host| host.routes.iter())
            .filter(has_session)
            .flat_map(|route| route.clusters.iter().copied())
            .collect();
        RoutesPolicy {
            session_clusters,
            config: Arc::clone(config),
            table: match before {
                Some(before) => RouteTable::recompile(config, &before.table),
                None => RouteTable::compile(config),
            },
            virtual_hosts,
            authorizes: config
                .virtual_hosts()
                .iter()
                .flat_map(|host| host.routes())
                .any(|route| !route.authorization().is_empty()),
            asks_for_clients: config.virtual_hosts().iter().any(|host| {
                host.maintenance().is_some()
                    || host
                        .routes()
                        .iter()
                        .any(|route| !route.authorization().is_empty() || hashes_clients(route))
                    || host
                        .routes()
                        .iter()
                        .flat_map(|route| value_parts(host, route))
                        .any(|part| *part == HeaderValuePart::DownstreamRemoteAddress)
            }),
            asks_for_tokens: config.virtual_hosts().iter().any(|host| {
                let asks = |route: &model::Route| matches!(route.jwt(), Some(Some(_)));
                host.routes().iter().any(asks)
            }),
            injects_faults: config.virtual_hosts().iter().any(|host| {
                let breaks = |route: &model::Route| matches!(route.fault(), Some(Some(_)));
                host.routes().iter().any(breaks)
            }),
            allows_upgrades: config.virtual_hosts().iter().any(|host| {
                host.routes().iter().any(|route| match route.action() {
                    RouteAction::Forward(forward) => {
                        forward.upgrades().as_ref().is_some_and(|names| !names.is_empty())
                    }
                    _ => false,
                })
            }),
            unmatched: self.metrics.route(config.name().as_str(), "", ""),
        }
    }

    fn virtual_host(
        &self,
        config: &model::RouteConfiguration,
        host: &model::VirtualHost,
        tracing: Option<&Arc<RouteTracing>>,
        slots: &Slots<'_>,
    ) -> Arc<[RoutePolicy]> {
        let compiled = |cors: &model::Cors| Arc::new(CorsPolicy::compile(cors));
        let cors = host.cors().as_ref().map(compiled);
        let policy = |route: &model::Route| {
            let cors = match route.cors() {
                Some(own) => own.as_ref().map(compiled),
                None => cors.clone(),
            };
            RoutePolicy {
                cors,
                authorization: slots.authorization.level(route.authorization()),
                rate_limits: slots.rate_limits.of_route(host, route),
                tracing: RouteTracing::of_route(route.tracing().as_ref(), tracing),
                ..self.route(config, host, route, slots)
            }
        };
        host.routes().iter().map(policy).collect()
    }

    fn route(
        &self,
        config: &model::RouteConfiguration,
        host: &model::VirtualHost,
        route: &model::Route,
        slots: &Slots<'_>,
    ) -> RoutePolicy {
        let mut clusters = Vec::new();
        let mut weights = Vec::new();
        let mut mirrors = Vec::new();
        let mut session = None;
        let mut retry = None;
        let mut hedging = None;
        let mut affinity = None;
        let mut priority = model::RoutePriority::Default;
        if let RouteAction::Forward(forward) = route.action() {
            let mut sum = 0;
            for target in forward.clusters() {
                sum += target.weight();
                clusters.push(slots.clusters[target.cluster()]);
                weights.push(sum);
            }
            priority = forward.priority();
            session = forward
                .session_cookie()
                .as_ref()
                .map(|cookie| Box::new(SessionPolicy::compile(cookie)));
            retry = forward
                .retry()
                .as_ref()
                .map(|policy| Arc::new(RetryRules::compile(policy)));
            hedging = forward
                .retry()
                .as_ref()
                .and_then(|policy| policy.hedging().as_ref())
                .map(|hedging| {
                    let place = (config.name().clone(), host.name().clone(), route.name().clone());
                    self.hedges.policy(place, hedging)
                });
            affinity = self::affinity(forward);
            for mirror in forward.mirrors() {
                mirrors.push((slots.clusters[mirror.cluster()], mirror.fraction()));
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
            priority,
            mirrors: mirrors.into(),
            cors: None,
            authorization: None,
            fault: route.fault().as_ref().map(|own| {
                let place =
                    FaultPlace::Route(config.name().clone(), host.name().clone(), route.name().clone());
                own.as_ref().map(|fault| self.faults.policy(place, fault))
            }),
            tracing: None,
            rate_limits: None,
            session,
            retry,
            hedging,
            affinity,
            tokens: route.jwt().as_ref().map(|own| {
                own.as_ref()
                    .map(|requirement| tokens::compile(requirement, &slots.providers))
            }),
            edits_requests: edits_requests(host, route),
            names_path: value_parts(host, route).any(|part| matches!(part, HeaderValuePart::PathVariable(_))),
            metrics,
        }
    }
}

impl Slots<'_> {
    /// Whether a virtual host's routes have the policies and limits that they had.
    fn is_unchanged(&self, host: &model::VirtualHost, before: &[RoutePolicy]) -> bool {
        self.authorization.is_unchanged(host, before) && self.rate_limits.is_unchanged(host, before)
    }
}

/// What a route says of the endpoints of its clusters; none if it says nothing.
fn affinity(forward: &model::Forward) -> Option<Box<AffinityPolicy>> {
    let targets = forward.clusters().iter();
    let subsets: Box<[_]> = targets.map(|target| SubsetKey::of(target.subset())).collect();
    let says = !forward.hash_policy().is_empty() || subsets.iter().any(Option::is_some);
    says.then(|| {
        Box::new(AffinityPolicy {
            hash: forward.hash_policy().as_slice().into(),
            subsets,
        })
    })
}

/// True if requests go by the client's address.
fn hashes_clients(route: &model::Route) -> bool {
    let RouteAction::Forward(forward) = route.action() else {
        return false;
    };
    let mut policies = forward.hash_policy().iter();
    policies.any(|policy| *policy.source() == model::HashSource::SourceAddress)
}

/// True if the head that goes upstream may be another than the one that came.
fn edits_requests(host: &model::VirtualHost, route: &model::Route) -> bool {
    let RouteAction::Forward(forward) = route.action() else {
        return false;
    };
    forward.path_rewrite().is_some()
        || forward.host_rewrite().is_some()
        || forward.session_cookie().is_some()
        || !route.request_headers().is_empty()
        || !host.request_headers().is_empty()
}

/// True if the pages of all virtual hosts are as they were.
fn same_edges(before: &RoutesPolicy, now: &RoutesPolicy) -> bool {
    let same = |(before, now): (&VirtualHostPolicy, &VirtualHostPolicy)| match (&before.edge, &now.edge) {
        (None, None) => true,
        (Some(before), Some(now)) => Arc::ptr_eq(before, now),
        _ => false,
    };
    before.virtual_hosts.iter().zip(&now.virtual_hosts).all(same)
}

/// The parts of all header values that a route's requests and responses are given.
fn value_parts<'m>(
    host: &'m model::VirtualHost,
    route: &'m model::Route,
) -> impl Iterator<Item = &'m HeaderValuePart> {
    let edits = [
        route.request_headers(),
        route.response_headers(),
        host.request_headers(),
        host.response_headers(),
    ];
    edits
        .into_iter()
        .flat_map(|edits| edits.write())
        .flat_map(|edit| match edit.value() {
            HeaderValue::Text(_) => [].iter(),
            HeaderValue::Parts(parts) => parts.iter(),
        })
}
