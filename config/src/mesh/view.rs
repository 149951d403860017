//! What one node is told: a configuration document, made of the mesh.

mod gateway;
mod inbound;
mod outbound;
mod upstream;

use super::made::{entry, list, map, overlay};
use super::policy::Named;
use super::service::Service;
use super::sidecar::Sidecar;
use super::targets::Own;
use super::{ByName, Mesh};
use crate::diagnostic::{Diagnostic, Severity, Span};
use crate::document::Reference;
use crate::model::MeshConfig;
use crate::yaml::reader::{Declarations, Part, Reader};
use crate::yaml::shape::{Kind, Shape};
use crate::yaml::shapes::{AUTHORIZATION_POLICY, HTTP, JWT_PROVIDER, RATE_LIMIT, ROUTE, VIRTUAL_HOST};
use crate::yaml::tree::{Entry, Node};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// The identity that sidecars, gateways and clients of the mesh are given.
const IDENTITY: &str = "default";

/// What a node is in a mesh.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NodeRole {
    /// A sidecar of a service.
    Sidecar {
        /// The service's name.
        service: String,
        /// The node's name, if it is declared; all other sidecars of a service are alike.
        node: Option<String>,
    },
    /// One of a gateway's proxies.
    Gateway {
        /// The gateway's name.
        name: String,
    },
    /// A service that has no proxy and is told by itself whom it may call, as gRPC's own xDS clients are.
    Client {
        /// The service's name.
        service: String,
    },
}

/// What a node is told. Two are equal if they tell the same, wherever that is written.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// Listeners, route configurations, clusters and policies. What it says of the process itself is not meant.
    pub config: MeshConfig,
    /// Secrets that it refers to and does not have: identities and trust bundles.
    pub secrets: Vec<Reference>,
    /// Route configurations by what clients without a proxy call (`catalog.shop:80`, `catalog.shop`); of no other node.
    pub targets: BTreeMap<String, String>,
    /// The services of which something is in it, its own included.
    pub services: BTreeSet<String>,
}

/// What looks odd, or what is wrong; without the lines that are pointed at.
type Found = Result<Vec<Diagnostic>, Vec<Diagnostic>>;

pub(super) fn make(mesh: &Mesh, role: &NodeRole) -> Result<(View, Vec<Diagnostic>), Vec<Diagnostic>> {
    // What is not referred to is not read; only to tell what may have been meant, all is.
    match Builder::of(mesh, role)?.finish(false) {
        Ok(made) => Ok(made),
        Err(_) => Builder::of(mesh, role)?.finish(true),
    }
}

/// Reads what no node's view may have: services that nobody uses, policies that nobody names.
pub(super) fn everything(mesh: &Mesh) -> Found {
    let mut builder = Builder::new(mesh, None, true);
    for service in mesh.services.values() {
        builder.services.insert(service.name.to_string());
        for port in &service.ports {
            builder.cluster(service, port, service.span);
            if port.protocol.is_http() {
                builder.routes_alone(service, port, service.span);
            }
        }
    }
    builder.finish(true).map(|(_, warnings)| warnings)
}

/// A document that is being made.
pub(super) struct Builder<'m> {
    pub(super) mesh: &'m Mesh,
    pub(super) reader: Reader<'static>,
    /// The service whose node it is for.
    caller: Option<&'m Service>,
    /// The node has an identity.
    has_identity: bool,
    listeners: Vec<Arc<Node>>,
    route_configurations: Vec<Arc<Node>>,
    clusters: BTreeMap<String, Arc<Node>>,
    targets: BTreeMap<String, String>,
    services: BTreeSet<String>,
}

impl<'m> Builder<'m> {
    fn new(mesh: &'m Mesh, caller: Option<&'m Service>, has_identity: bool) -> Builder<'m> {
        let names = mesh.sources.iter().map(|source| source.name.as_str());
        Builder {
            mesh,
            reader: Reader::of_documents(names, Path::new("")),
            caller,
            has_identity,
            listeners: Vec::new(),
            route_configurations: Vec::new(),
            clusters: BTreeMap::new(),
            targets: BTreeMap::new(),
            services: BTreeSet::new(),
        }
    }

    fn of(mesh: &'m Mesh, role: &NodeRole) -> Result<Builder<'m>, Vec<Diagnostic>> {
        match role {
            NodeRole::Gateway { name } => {
                let gateway = known(mesh, &mesh.gateways, name, "gateway")?;
                let has_identity = !gateway.identities(&mesh.defaults).is_empty();
                let mut builder = Builder::new(mesh, None, has_identity);
                builder.gateway(gateway);
                Ok(builder)
            }
            NodeRole::Client { service } => {
                let mut builder = Builder::calling(mesh, service)?;
                builder.client();
                Ok(builder)
            }
            NodeRole::Sidecar { service, node } => {
                let mut builder = Builder::calling(mesh, service)?;
                let own = builder.caller.expect("it was made for one");
                let Some(sidecar) = &own.sidecar else {
                    return Err(refused(
                        mesh,
                        own.span,
                        format!("the service `{service}` has no sidecars"),
                        "give it `sidecar: {}`, or ask as a client",
                    ));
                };
                let mut settings = sidecar.or(&mesh.defaults.sidecar);
                if let Some(node) = node {
                    settings = known(mesh, &mesh.nodes, node, "node")?.sidecar.or(&settings);
                }
                builder.sidecar(own, &settings);
                Ok(builder)
            }
        }
    }

    fn calling(mesh: &'m Mesh, service: &str) -> Result<Builder<'m>, Vec<Diagnostic>> {
        let service = known(mesh, &mesh.services, service, "service")?;
        let has_identity = !service.identities(&mesh.defaults).is_empty();
        let mut builder = Builder::new(mesh, Some(service), has_identity);
        builder.services.insert(service.name.to_string());
        Ok(builder)
    }

    fn sidecar(&mut self, service: &'m Service, settings: &Sidecar) {
        self.inbound(service, settings);
        self.outbound(service, settings);
    }

    /// A list of routes as the document has it.
    fn routes(&mut self, node: &Arc<Node>, own: Own<'m>) -> Arc<Node> {
        const ROUTES: Kind = Kind::List(&Kind::Object(&ROUTE));
        self.in_document(node, &ROUTES, own)
    }

    /// The fields of objects that a mesh has under other shapes, each as the document has it.
    fn fields_in_document(&mut self, node: &Arc<Node>, shape: &'static Shape, own: Own<'m>) -> Arc<Node> {
        self.in_document(node, &Kind::Object(shape), own)
    }

    /// `http` of a filter chain.
    fn http(&mut self, span: Span, written: Option<&Arc<Node>>, routes: &str) -> Entry {
        let mut made = vec![entry("route_configuration", super::made::text(span, routes))];
        let written = written.map(|node| self.fields_in_document(node, &HTTP, Own::None));
        self.log(&mut made, written.as_ref());
        entry("http", overlay(span, made, [written.as_ref()]))
    }

    /// `tcp` of a filter chain, to one cluster.
    fn tcp(&mut self, span: Span, written: Option<&Arc<Node>>, cluster: &str) -> Entry {
        let mut made = vec![entry("cluster", super::made::text(span, cluster))];
        self.log(&mut made, written);
        entry("tcp", overlay(span, made, [written]))
    }

    /// The mesh's access logs, where nothing is said of them.
    fn log(&self, made: &mut Vec<Entry>, written: Option<&Arc<Node>>) {
        let name = "access_logs";
        let is_said = written.is_some_and(|node| super::made::field(node, name).is_some());
        if !is_said && let Some(logs) = &self.mesh.defaults.access_logs {
            made.push(entry(name, Arc::clone(logs)));
        }
    }

    /// Reads the document, with all policies of the mesh or those that it names.
    fn finish(mut self, all: bool) -> Result<(View, Vec<Diagnostic>), Vec<Diagnostic>> {
        let named = match all {
            true => self.mesh.policies.all(),
            false => self.policies(),
        };
        let span = self.caller.map_or_else(Span::default, |service| service.span);
        let mut entries = Vec::new();
        for (kind, policies) in named.each() {
            let shape: &'static Shape = match kind {
                Part::JwtProvider => &JWT_PROVIDER,
                Part::RateLimit => &RATE_LIMIT,
                _ => &AUTHORIZATION_POLICY,
            };
            let made: Vec<_> = policies
                .values()
                .map(|policy| self.fields_in_document(policy, shape, Own::None))
                .collect();
            entries.push(entry(kind.list(), list(span, made)));
        }
        let clusters = std::mem::take(&mut self.clusters).into_values();
        entries.push(entry("listeners", list(span, self.listeners)));
        entries.push(entry(
            "route_configurations",
            list(span, self.route_configurations),
        ));
        entries.push(entry("clusters", list(span, clusters)));
        let root = map(span, entries);
        let mut reader = self.reader;
        reader.declarations = Declarations::without_local(&root);
        let config = crate::yaml::contents(&mut reader, &root);
        let mut secrets = reader.declarations.take_references();
        // Collectors are the node's own: it knows whether there is one of that name.
        secrets.retain(|reference| reference.kind.is_secret());
        let config = config.map(|config| without_unused(&reader, config));
        let warnings = crate::yaml::found(reader)?;
        let view = View {
            config: config.expect("a document without a fault is read"),
            secrets,
            targets: self.targets,
            services: self.services,
        };
        Ok((view, warnings))
    }

    /// The policies that listeners and routes may refer to.
    fn policies(&self) -> Named {
        let mut named = Named::default();
        for node in self.listeners.iter().chain(&self.route_configurations) {
            self.mesh.policies.named_in(node, &mut named);
        }
        named
    }

    /// A virtual host of a service's port: what callers do with requests to it.
    fn virtual_host(
        &mut self,
        service: &'m Service,
        port: &'m super::service::Port,
        domains: Vec<Arc<Node>>,
        span: Span,
    ) -> Arc<Node> {
        let name = service.at(port);
        let routes = match &service.routes {
            Some(routes) => self.routes(routes, Own::Port(service, port)),
            None => self.all_to(span, Own::Port(service, port)),
        };
        let mut made = vec![
            entry("name", super::made::text(service.span, name)),
            entry("domains", list(span, domains)),
            entry("routes", routes),
        ];
        let written = service.virtual_host.as_ref();
        let written = written.map(|node| self.fields_in_document(node, &VIRTUAL_HOST, Own::None));
        let says_retry = written
            .as_ref()
            .is_some_and(|node| super::made::field(node, "retry").is_some());
        if !says_retry && let Some(retry) = &self.mesh.defaults.retry {
            made.push(entry("retry", Arc::clone(retry)));
        }
        overlay(span, made, [written.as_ref()])
    }

    /// One route that takes everything.
    fn all_to(&mut self, span: Span, own: Own<'m>) -> Arc<Node> {
        let prefix = entry("prefix", super::made::text(span, "/"));
        let route = map(
            span,
            vec![
                entry("match", map(span, vec![prefix])),
                entry("forward", map(span, Vec::new())),
            ],
        );
        self.routes(&list(span, [route]), own)
    }

    fn route_configuration(&mut self, span: Span, name: &str, virtual_hosts: Vec<Arc<Node>>) {
        let entries = vec![
            entry("name", super::made::text(span, name)),
            entry("virtual_hosts", list(span, virtual_hosts)),
        ];
        self.route_configurations.push(map(span, entries));
    }

    /// The routes of one port of a service, which takes every host.
    fn routes_alone(&mut self, service: &'m Service, port: &'m super::service::Port, span: Span) {
        let any = super::made::text(span, "*");
        let host = self.virtual_host(service, port, vec![any], span);
        self.route_configuration(span, &service.at(port), vec![host]);
    }
}

/// Without policies that are not referred to; that they are not is the whole mesh's business.
fn without_unused(reader: &Reader<'_>, mut config: MeshConfig) -> MeshConfig {
    let declarations = &reader.declarations;
    config
        .authorization_policies
        .retain(|policy| !declarations.is_unused(Part::AuthorizationPolicy, &policy.name));
    config
        .jwt_providers
        .retain(|provider| !declarations.is_unused(Part::JwtProvider, &provider.name));
    config
        .rate_limits
        .retain(|limit| !declarations.is_unused(Part::RateLimit, &limit.name));
    config
}

/// A thing of the mesh by its name.
fn known<'m, T>(
    mesh: &Mesh,
    things: &'m ByName<T>,
    name: &str,
    what: &str,
) -> Result<&'m T, Vec<Diagnostic>> {
    things.get(name).ok_or_else(|| {
        let near = crate::suggest::nearest(name, things.keys().map(|name| &**name));
        let help = near.map(|near| format!("did you mean `{near}`?"));
        refused(
            mesh,
            Span::default(),
            format!("no {what} of the mesh is named `{name}`"),
            help.as_deref().unwrap_or("name one that is declared"),
        )
    })
}

fn refused(mesh: &Mesh, span: Span, message: String, help: &str) -> Vec<Diagnostic> {
    let names = mesh.sources.iter().map(|source| source.name.as_str());
    let mut reader = Reader::of_documents(names, Path::new(""));
    reader.report(Severity::Error, span, message, Some(help.to_owned()));
    reader.diagnostics
}
