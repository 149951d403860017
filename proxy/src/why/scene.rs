//! A record with what its numbers stand for.

use outrigger_config::MeshConfig;
use outrigger_config::model::{
    AuthorizationPolicy, Cluster, FilterChain, Forward, HttpOptions, Listener, Name, RateLimit, Route,
    RouteAction, RouteConfiguration, VirtualHost,
};
use outrigger_dataplane::snapshot::Legend;
use outrigger_telemetry::EventKind;
use outrigger_telemetry::recorder::{Recorded, RecordedEvent};

/// A record, and the policy that it was served by, as far as that is kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scene<'a> {
    pub(super) told: &'a Recorded,
    pub(super) legend: Option<&'a Legend>,
    pub(super) listener: Option<&'a Listener>,
    pub(super) chain: Option<&'a FilterChain>,
    pub(super) routes: Option<&'a RouteConfiguration>,
    pub(super) virtual_host: Option<&'a VirtualHost>,
    pub(super) route: Option<&'a Route>,
    pub(super) cluster: Option<&'a Cluster>,
    pub(super) cluster_name: Option<&'a Name>,
}

impl<'a> Scene<'a> {
    pub(super) fn of(told: &'a Recorded, legend: Option<&'a Legend>) -> Scene<'a> {
        let place = legend.and_then(|legend| legend.chain(told.chain));
        let chain = place.map(|(_, chain)| chain);
        let http = chain.and_then(|chain| chain.mode().http());
        let routes = http.and_then(|http| {
            let config: &MeshConfig = legend?.config();
            let index = config.route_configuration_index(http.route_configuration())?;
            config.route_configurations().get(index).map(AsRef::as_ref)
        });
        let virtual_host = routes.and_then(|routes| {
            let index = usize::try_from(told.virtual_host?).ok()?;
            routes.virtual_hosts().get(index).map(AsRef::as_ref)
        });
        let route = virtual_host.and_then(|host| {
            let index = usize::try_from(told.route?).ok()?;
            host.routes().get(index)
        });
        Scene {
            told,
            legend,
            listener: place.map(|(listener, _)| listener),
            chain,
            routes,
            virtual_host,
            route,
            cluster: told.cluster.and_then(|slot| legend?.cluster(slot)),
            cluster_name: told.cluster.and_then(|slot| legend?.cluster_name(slot)),
        }
    }

    pub(super) fn config(&self) -> Option<&'a MeshConfig> {
        self.legend.map(|legend| legend.config().as_ref())
    }

    pub(super) fn http(&self) -> Option<&'a HttpOptions> {
        self.chain?.mode().http()
    }

    pub(super) fn forward(&self) -> Option<&'a Forward> {
        match self.route?.action() {
            RouteAction::Forward(forward) => Some(forward),
            _ => None,
        }
    }

    /// The last event of a kind.
    pub(super) fn event(&self, kind: EventKind) -> Option<&'a RecordedEvent> {
        self.told.events.iter().rev().find(|event| event.kind == kind)
    }

    pub(super) fn authorization_policy(&self, name: &str) -> Option<&'a AuthorizationPolicy> {
        let mut policies = self.config()?.authorization_policies().iter();
        policies
            .find(|policy| policy.name().as_str() == name)
            .map(AsRef::as_ref)
    }

    pub(super) fn rate_limit(&self, name: &str) -> Option<&'a RateLimit> {
        let mut limits = self.config()?.rate_limits().iter();
        limits
            .find(|limit| limit.name().as_str() == name)
            .map(AsRef::as_ref)
    }

    /// The listener with its position.
    pub(super) fn listener_named(&self) -> Option<String> {
        let listener = self.listener?;
        Some(format!("listener `{}` ({})", listener.name(), listener.origin()))
    }

    /// The filter chain with its position.
    pub(super) fn chain_named(&self) -> String {
        match self.chain {
            Some(chain) => format!("filter chain `{}` ({})", chain.name(), chain.origin()),
            None => "the filter chain".to_owned(),
        }
    }

    /// The route with its position.
    pub(super) fn route_named(&self) -> String {
        match self.route {
            Some(route) => format!("route `{}` ({})", route.name(), route.origin()),
            None => "the route".to_owned(),
        }
    }

    /// The virtual host with its position.
    pub(super) fn virtual_host_named(&self) -> String {
        match self.virtual_host {
            Some(host) => format!("virtual host `{}` ({})", host.name(), host.origin()),
            None => "the virtual host".to_owned(),
        }
    }

    /// The cluster with its position.
    pub(super) fn cluster_named(&self) -> String {
        match (self.cluster, self.cluster_name) {
            (Some(cluster), _) => format!("cluster `{}` ({})", cluster.name(), cluster.origin()),
            (None, Some(name)) => format!("cluster `{name}`"),
            (None, None) => "its cluster".to_owned(),
        }
    }

    /// An authorization policy with its position.
    pub(super) fn policy_named(&self, name: &str) -> String {
        match self.authorization_policy(name) {
            Some(policy) => format!("authorization policy `{name}` ({})", policy.origin()),
            None => format!("authorization policy `{name}`"),
        }
    }

    /// A rate limit with its position.
    pub(super) fn rate_limit_named(&self, name: &str) -> String {
        match self.rate_limit(name) {
            Some(limit) => format!("rate limit `{name}` ({})", limit.origin()),
            None => format!("rate limit `{name}`"),
        }
    }
}
