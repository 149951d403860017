//! What rules see of a configuration, and what they find.

use super::{Code, Place, REMARKS_MAX, Receipt};
use crate::diagnostic::Diagnostic;
use crate::model::{
    AuthorizationPolicy, Cluster, FilterChain, HttpOptions, JwtRequirement, Listener, MeshConfig, Name,
    Origin, RateLimit, Route, RouteConfiguration, VirtualHost,
};
use std::collections::{HashMap, HashSet};

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
    left_out: usize,
    pub(super) steps: u64,
    /// Conditions that are still compared with each other.
    pub(super) comparisons_left: u32,
}

/// What is known of the filter chains that use one route configuration.
#[derive(Default)]
pub(super) struct Around<'c> {
    /// How HTTP is spoken on each.
    pub(super) chains: Vec<&'c HttpOptions>,
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
            let of = around.entry(&http.route_configuration).or_default();
            of.chains.push(http);
            of.identities |= knows_identities(chain);
            of.tls |= chain.tls.is_some();
            of.authorization = &chain.authorization;
            of.rate_limits = match of.chains.len() {
                1 => &http.rate_limits,
                _ => &[],
            };
            if let Some(requirement) = &http.jwt {
                providers(requirement, &mut of.providers);
            }
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
            left_out: 0,
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
        self.hosts().flat_map(|(configuration, host)| {
            host.routes.iter().map(move |route| Placed {
                configuration,
                host,
                route,
            })
        })
    }

    /// All virtual hosts.
    pub(super) fn hosts(&self) -> impl Iterator<Item = (&'c RouteConfiguration, &'c VirtualHost)> + use<'c> {
        let all = self.config.route_configurations.iter();
        all.flat_map(|routes| routes.virtual_hosts.iter().map(move |host| (&**routes, &**host)))
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
        match self.remarks.len() {
            REMARKS_MAX.. => self.left_out += 1,
            _ => self
                .remarks
                .push(Diagnostic::remark(code, place, message, help.into())),
        }
    }

    pub(super) fn into_receipt(self) -> Receipt {
        let mut receipt = Receipt {
            left_out: self.left_out,
            steps: self.steps,
            ..Receipt::default()
        };
        receipt.extend(self.remarks);
        receipt
    }
}

fn chains(config: &MeshConfig) -> impl Iterator<Item = (&Listener, &FilterChain)> {
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
