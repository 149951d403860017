//! What rules see of a configuration, and what they find.

use super::{Code, Counts, Place, REMARKS_MAX, Receipt};
use crate::diagnostic::Diagnostic;
use crate::model::{
    AuthorizationPolicy, AuthorizationService, Cluster, FilterChain, HttpOptions, JwtRequirement, Listener,
    MeshConfig, Name, Origin, RateLimit, Route, RouteConfiguration, VirtualHost,
};
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// Others of its kind that one part is compared with at most, where all have to be looked at: so the work of a rule stays
/// in proportion to the configuration.
pub(super) const COMPARED_MAX: usize = 64;

/// Conditions of policies that are compared with each other in one receipt, all together. Beyond, policies are taken to be
/// unlike.
const COMPARISONS_MAX: u32 = 1_000_000;

/// A configuration by its names and uses, and the remarks so far.
pub(super) struct Findings<'c> {
    pub(super) config: &'c MeshConfig,
    pub(super) clusters: HashMap<&'c Name, &'c Cluster>,
    pub(super) policies: HashMap<&'c Name, &'c AuthorizationPolicy>,
    pub(super) limits: HashMap<&'c Name, &'c RateLimit>,
    /// Route configurations that chains use, with what is known of those chains.
    around: HashMap<&'c Name, Around<'c>>,
    remarks: Vec<Diagnostic>,
    counts: Counts,
    pub(super) steps: u64,
    /// Conditions that are still compared with each other.
    pub(super) comparisons_left: u32,
}

/// What is known of the filter chains that use one route configuration: found once, so that no route has to look at them.
#[derive(Default)]
pub(super) struct Around<'c> {
    /// How many there are; never none.
    pub(super) count: usize,
    /// One of them asks an authorization service over gRPC.
    pub(super) grpc_authorization: bool,
    /// One of them lets requests be upgraded.
    pub(super) upgrades: bool,
    /// One of them believes what proxies before it say.
    pub(super) trusts_proxies: bool,
    /// The longest time that one of them gives a request to be sent; none: no end.
    pub(super) request_timeout: Option<Duration>,
    /// The longest that a stream may be idle on one of them; none: for ever.
    pub(super) stream_idle_timeout: Option<Duration>,
    /// One of them may know the verified identity of its client.
    pub(super) identities: bool,
    /// One of them terminates TLS.
    pub(super) tls: bool,
    /// JWT providers that one of them requires.
    pub(super) providers: HashSet<&'c Name>,
    /// Policies of the last one.
    pub(super) authorization: &'c [Name],
    /// Rate limits of the only one; none where there are several.
    pub(super) rate_limits: &'c [Name],
}

impl<'c> Around<'c> {
    /// Before any chain is added; `http`: the first one's.
    fn of(http: &HttpOptions) -> Around<'c> {
        Around {
            request_timeout: http.request_timeout,
            stream_idle_timeout: http.stream_idle_timeout,
            ..Around::default()
        }
    }

    fn add(&mut self, chain: &'c FilterChain, http: &'c HttpOptions) {
        let longest = |one: Option<Duration>, other: Option<Duration>| Some(one?.max(other?));
        let asked = http.external_authorization.as_ref();
        self.count += 1;
        self.grpc_authorization |=
            asked.is_some_and(|asked| matches!(asked.service, AuthorizationService::Grpc(_)));
        self.upgrades |= !http.upgrades.is_empty();
        self.trusts_proxies |= http.xff_num_trusted_hops > 0;
        self.request_timeout = longest(self.request_timeout, http.request_timeout);
        self.stream_idle_timeout = longest(self.stream_idle_timeout, http.stream_idle_timeout);
        self.identities |= knows_identities(chain);
        self.tls |= chain.tls.is_some();
        self.authorization = &chain.authorization;
        self.rate_limits = match self.count {
            1 => &http.rate_limits,
            _ => &[],
        };
        if let Some(requirement) = &http.jwt {
            providers(requirement, &mut self.providers);
        }
    }
}

/// A route with what it stands in.
#[derive(Clone, Copy)]
pub(super) struct Placed<'c> {
    pub(super) configuration: &'c RouteConfiguration,
    pub(super) host: &'c VirtualHost,
    pub(super) route: &'c Route,
}

impl<'c> Placed<'c> {
    /// A field of the route.
    pub(super) fn place(self, field: &'c str) -> Place<'c> {
        place("route", &self.route.name, &self.route.origin, field)
    }
}

impl<'c> Findings<'c> {
    pub(super) fn new(config: &'c MeshConfig) -> Findings<'c> {
        let mut around: HashMap<&Name, Around<'_>> = HashMap::new();
        for (_, chain) in chains(config) {
            let Some(http) = chain.mode.http() else { continue };
            around
                .entry(&http.route_configuration)
                .or_insert_with(|| Around::of(http))
                .add(chain, http);
        }
        Findings {
            config,
            clusters: config.clusters.iter().map(|part| (&part.name, &**part)).collect(),
            policies: config
                .authorization_policies
                .iter()
                .map(|part| (&part.name, &**part))
                .collect(),
            limits: config
                .rate_limits
                .iter()
                .map(|part| (&part.name, &**part))
                .collect(),
            around,
            remarks: Vec::new(),
            counts: Counts::default(),
            steps: 0,
            comparisons_left: COMPARISONS_MAX,
        }
    }

    /// All filter chains, with their listeners.
    pub(super) fn chains(&self) -> impl Iterator<Item = (&'c Listener, &'c FilterChain)> + use<'c> {
        chains(self.config)
    }

    /// All routes.
    pub(super) fn routes(&self) -> impl Iterator<Item = Placed<'c>> + use<'c> {
        routes(self.config)
    }

    /// All virtual hosts.
    pub(super) fn hosts(&self) -> impl Iterator<Item = (&'c RouteConfiguration, &'c VirtualHost)> + use<'c> {
        hosts(self.config)
    }

    /// What is known of the chains that use a route configuration; none: no chain does, so that nothing is certain.
    pub(super) fn around(&self, routes: &RouteConfiguration) -> Option<&Around<'c>> {
        self.around.get(&routes.name)
    }

    /// Counts a look at a part, or a comparison.
    pub(super) fn step(&mut self) {
        self.steps += 1;
    }

    pub(super) fn remark(&mut self, code: Code, place: Place<'_>, message: String, help: impl Into<String>) {
        self.counts.add(Some(code));
        if self.remarks.len() < REMARKS_MAX {
            self.remarks
                .push(Diagnostic::remark(code, place, message, help.into()));
        }
    }

    pub(super) fn into_receipt(self) -> Receipt {
        let mut receipt = Receipt {
            counts: self.counts,
            steps: self.steps,
            ..Receipt::default()
        };
        receipt.keep(self.remarks.into_iter());
        receipt
    }
}

/// All virtual hosts of a configuration.
fn hosts(config: &MeshConfig) -> impl Iterator<Item = (&RouteConfiguration, &VirtualHost)> {
    let all = config.route_configurations.iter();
    all.flat_map(|routes| routes.virtual_hosts.iter().map(move |host| (&**routes, &**host)))
}

/// All routes of a configuration.
pub(super) fn routes(config: &MeshConfig) -> impl Iterator<Item = Placed<'_>> {
    hosts(config).flat_map(|(configuration, host)| {
        host.routes.iter().map(move |route| Placed {
            configuration,
            host,
            route,
        })
    })
}

/// All filter chains of a configuration, with their listeners.
pub(super) fn chains(config: &MeshConfig) -> impl Iterator<Item = (&Listener, &FilterChain)> {
    config.listeners.iter().flat_map(|listener| {
        listener
            .filter_chains
            .iter()
            .map(move |chain| (&**listener, chain))
    })
}

/// A client of this chain may have shown a certificate that holds.
pub(super) fn knows_identities(chain: &FilterChain) -> bool {
    chain.tls.as_ref().is_some_and(|tls| tls.client.is_some())
}

/// The providers that a requirement names.
pub(super) fn providers<'c>(requirement: &'c JwtRequirement, into: &mut HashSet<&'c Name>) {
    match requirement {
        JwtRequirement::Provider(name) => {
            into.insert(name);
        }
        JwtRequirement::AnyOf(all) | JwtRequirement::AllOf(all) => {
            all.iter().for_each(|one| providers(one, into));
        }
        JwtRequirement::AllowMissing | JwtRequirement::AllowMissingOrFailed => {}
    }
}

/// A place, in fewer words.
pub(super) fn place<'p>(what: &'p str, name: &'p Name, origin: &'p Origin, field: &'p str) -> Place<'p> {
    Place {
        what,
        name: name.as_str(),
        origin,
        field,
    }
}
