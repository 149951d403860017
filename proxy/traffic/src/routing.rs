//! Route matching: a [`RouteConfiguration`] compiled into tables that answer which virtual host and which route take
//! a request.
//!
//! Hosts are found by hash, exact and prefix paths by hash of the path and of its segments, templates on the same
//! segment tree: the time depends on the request, not on how many hosts and routes there are. Regular expressions are
//! tried one by one, but only those that stand before the best route found otherwise. The other conditions (method,
//! headers, query, gRPC, source identity) are checked on routes whose path matches, in order; the first route of which all hold is
//! taken. Nothing here rewrites, forwards or reads a body.

mod conditions;
mod explanation;
mod hosts;
mod past;
mod paths;

pub use explanation::{Explanation, Mismatch, RefusedRoute, TakenRoute, TakenVirtualHost};

pub use past::{PastRequest, explain_past};

pub use conditions::value_matches;
pub(crate) use conditions::{PercentDecoded, header_holds};
pub(crate) use explanation::{domain_text, identity_in_words, path_in_words, path_matches, value_in_words};
pub(crate) use paths::{Candidate, Candidates, PathIndex};

use hosts::Hosts;
use outrigger_config::model::{RouteConfiguration, SpiffeId, VirtualHost};
use std::sync::Arc;

/// What route matching reads of a request.
pub trait RequestView {
    /// The method, as it came; methods are case sensitive.
    fn method(&self) -> &str;
    /// It is a CONNECT request, which has no path, and which only routes that say so take.
    fn is_connect(&self) -> bool {
        self.method() == "CONNECT"
    }
    /// The peer's verified SPIFFE id, if it has one.
    fn source_identity(&self) -> Option<&SpiffeId>;
    /// The authority without its port, in any case.
    fn host(&self) -> &str;
    /// The path, normalized ([`crate::path::normalize`]), without the query.
    fn path(&self) -> &str;
    /// The query, without its `?`.
    fn query(&self) -> Option<&str>;
    /// The value of a header by its lower-case name; several fields of one name are joined by `,`, in `joined`, which
    /// comes empty. A single field should be lent as it is.
    fn header<'a>(&'a self, name: &str, joined: &'a mut Vec<u8>) -> Option<&'a [u8]>;
}

/// What was found for a request. Indices are those of the model's lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// No virtual host takes the host.
    NoVirtualHost,
    /// The virtual host has no route for the request.
    NoRoute {
        /// Index in [`RouteConfiguration::virtual_hosts`].
        virtual_host: usize,
    },
    /// A route takes the request.
    Route {
        /// Index in [`RouteConfiguration::virtual_hosts`].
        virtual_host: usize,
        /// Index in [`VirtualHost::routes`].
        route: usize,
    },
}

/// The compiled form of one route configuration; immutable, shared by all workers.
#[derive(Debug)]
pub struct RouteTable {
    hosts: Hosts,
    virtual_hosts: Box<[VirtualHostTable]>,
}

/// One virtual host's routes. The conditions are read from the model, only paths have a form of their own.
#[derive(Debug)]
struct VirtualHostTable {
    model: Arc<VirtualHost>,
    paths: Arc<PathIndex>,
}

impl RouteTable {
    /// Compiles a route configuration. It cannot fail: the model is valid.
    pub fn compile(configuration: &RouteConfiguration) -> RouteTable {
        RouteTable::build(configuration, |_| None)
    }

    /// As [`RouteTable::compile`], but virtual hosts that `previous` was compiled from by the same `Arc` are taken over
    /// and not compiled again, so that the work is in proportion to the change.
    pub fn recompile(configuration: &RouteConfiguration, previous: &RouteTable) -> RouteTable {
        let known: std::collections::HashMap<*const VirtualHost, &Arc<PathIndex>> = previous
            .virtual_hosts
            .iter()
            .map(|table| (Arc::as_ptr(&table.model), &table.paths))
            .collect();
        RouteTable::build(configuration, |model| {
            known.get(&Arc::as_ptr(model)).map(|paths| Arc::clone(paths))
        })
    }

    fn build(
        configuration: &RouteConfiguration,
        reuse: impl Fn(&Arc<VirtualHost>) -> Option<Arc<PathIndex>>,
    ) -> RouteTable {
        let table = |model: &Arc<VirtualHost>| VirtualHostTable {
            model: Arc::clone(model),
            paths: reuse(model).unwrap_or_else(|| Arc::new(PathIndex::compile(model.routes()))),
        };
        RouteTable {
            hosts: Hosts::compile(configuration.virtual_hosts()),
            virtual_hosts: configuration.virtual_hosts().iter().map(table).collect(),
        }
    }

    /// The route that takes the request: that of the virtual host that names its host best, and there the first whose
    /// conditions all hold. Allocates only for hosts longer than 256 bytes with capitals, percent-escapes in query
    /// parameters that a condition names, and paths that more than four prefixes or templates match.
    pub fn find(&self, request: &(impl RequestView + ?Sized)) -> Found {
        let Some(virtual_host) = self.hosts.find(request.host()) else {
            return Found::NoVirtualHost;
        };
        let table = &self.virtual_hosts[virtual_host];
        if request.is_connect() {
            let routes = table.model.routes();
            let mut connects = table.paths.connects().iter().map(|candidate| candidate.route());
            let route =
                connects.find(|&route| conditions::first_failed(routes[route].matches(), request).is_none());
            return route.map_or(Found::NoRoute { virtual_host }, |route| Found::Route {
                virtual_host,
                route,
            });
        }
        let mut candidates = Candidates::new(request.path());
        table.paths.collect(&mut candidates);
        for candidate in candidates {
            let route = candidate.route();
            let held = candidate.is_unconditional()
                || conditions::first_failed(table.model.routes()[route].matches(), request).is_none();
            if held {
                return Found::Route { virtual_host, route };
            }
        }
        Found::NoRoute { virtual_host }
    }

    /// What [`RouteTable::find`] finds, and why: the domain that took the host, and for the nearest routes that stand
    /// before (or, if nothing was found, for the nearest of all) the first condition that failed. Reads every route;
    /// for people, not for the data path.
    pub fn explain(&self, request: &(impl RequestView + ?Sized)) -> Explanation {
        let models: Vec<&VirtualHost> = self
            .virtual_hosts
            .iter()
            .map(|table| table.model.as_ref())
            .collect();
        explanation::explain(self.find(request), &models, request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use outrigger_config::{Environment, MeshConfig, Source, load, reuse};

    fn configuration(path: &str) -> MeshConfig {
        let host = |name: &str, path: &str| {
            let routes = format!("[{{match: {{path: {path}}}, direct_response: {{status: 200}}}}]");
            format!("{{name: {name}, domains: [{name}], routes: {routes}}}")
        };
        let hosts = format!("[{}, {}]", host("a", path), host("b", "/b"));
        let text = format!("route_configurations: [{{name: main, virtual_hosts: {hosts}}}]");
        let source = Source {
            name: "routes.yaml".into(),
            text,
        };
        load(&source, &Environment::empty())
            .expect("a valid configuration")
            .config
    }

    #[test]
    fn a_recompiled_table_takes_over_virtual_hosts_that_are_the_same() {
        let old = configuration("/a");
        let new = reuse(&old, configuration("/changed"));
        let first = RouteTable::compile(&old.route_configurations()[0]);
        let second = RouteTable::recompile(&new.route_configurations()[0], &first);
        let shared = |index: usize| {
            Arc::ptr_eq(
                &first.virtual_hosts[index].paths,
                &second.virtual_hosts[index].paths,
            )
        };
        assert!(!shared(0) && shared(1));
    }
}
