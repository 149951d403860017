//! What one node is told: a configuration document, made of the mesh.

mod gateway;
mod inbound;
mod outbound;
mod upstream;

use super::kept::{MeshWork, Routes};
use super::looking::{Looking, On};
use super::made::{entry, list, map, overlay};
use super::read::Defaults;
use super::service::Service;
use super::sidecar::Sidecar;
use super::targets::Own;
use super::{ByName, Mesh};
use crate::diagnostic::{Diagnostic, Severity, Span};
use crate::document::Reference;
use crate::model::{Cluster, MeshConfig, RouteConfiguration};
use crate::yaml::reader::{Declarations, Part, Reader, Reading};
use crate::yaml::shape::{Kind, Shape};
use crate::yaml::shapes::{AUTHORIZATION_POLICY, HTTP, JWT_PROVIDER, RATE_LIMIT, ROUTE, VIRTUAL_HOST};
use crate::yaml::tree::{Entry, Node};
use std::collections::{BTreeMap, BTreeSet, HashMap};
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

/// What came of making a view, or of another look at a mesh.
pub(super) struct Made {
    pub(super) view: View,
    /// Without the lines that are pointed at.
    pub(super) warnings: Vec<Diagnostic>,
    pub(super) on: On,
    pub(super) learnt: Learnt,
    /// What was read.
    pub(super) work: MeshWork,
}

/// Parts that were read for a view and may be taken over by another one; none where nothing was to be learnt.
#[derive(Default)]
pub(super) struct Learnt {
    /// Its caller has an identity.
    pub(super) has_identity: bool,
    /// Clusters of services, each with its service's name.
    pub(super) clusters: Vec<(Arc<str>, Arc<Reading<Cluster>>)>,
    pub(super) routes: Vec<Arc<Reading<RouteConfiguration>>>,
}

/// What was made, or what is wrong; without the lines that are pointed at.
type Making = Result<Made, Vec<Diagnostic>>;

/// Makes a role's view. `before` are the route configurations of its view before, where the parts of this one are to be
/// learnt.
pub(super) fn make(mesh: &Mesh, role: &NodeRole, before: Option<&Routes>) -> Making {
    as_needed(|| {
        let mut builder = Builder::of(mesh, role)?;
        if let Some(routes) = before {
            let readings = &mut builder.reader.readings;
            readings.learn();
            let routes = routes
                .iter()
                .map(|reading| (Arc::clone(&reading.name.0), Arc::clone(reading)));
            readings.route_configurations.before = routes.collect();
        }
        Ok(builder)
    })
}

/// Reads what no node's view may have of a service: nobody uses it.
pub(super) fn service_alone(mesh: &Mesh, name: &str) -> Making {
    as_needed(|| {
        let mut builder = Builder::new(Looking::at(mesh), None, true);
        let service = builder.looking.service(name).expect("it is a service's name");
        builder.services.insert(service.name.to_string());
        for port in &service.ports {
            builder.cluster(service, port, service.span);
            if port.protocol.is_http() {
                builder.routes_alone(service, port, service.span);
            }
        }
        Ok(builder)
    })
}

/// Reads what no node's view may have of policies: nobody names them.
pub(super) fn policies_alone(mesh: &Mesh) -> Making {
    Builder::new(Looking::at(mesh), None, true).finish(true)
}

/// What is not referred to is not read; only to tell what may have been meant, all is.
fn as_needed<'m>(builder: impl Fn() -> Result<Builder<'m>, Vec<Diagnostic>>) -> Making {
    match builder()?.finish(false) {
        Ok(made) => Ok(made),
        Err(_) => builder()?.finish(true),
    }
}

/// A document that is being made.
pub(super) struct Builder<'m> {
    pub(super) looking: Looking<'m>,
    pub(super) reader: Reader<'static>,
    /// The service whose node it is for.
    caller: Option<&'m Service>,
    /// The node has an identity.
    has_identity: bool,
    listeners: Vec<Arc<Node>>,
    route_configurations: Vec<Arc<Node>>,
    clusters: BTreeMap<String, Arc<Node>>,
    /// Whose clusters these are that are services'.
    owners: HashMap<String, Arc<str>>,
    targets: BTreeMap<String, String>,
    services: BTreeSet<String>,
}

impl<'m> Builder<'m> {
    fn new(looking: Looking<'m>, caller: Option<&'m Service>, has_identity: bool) -> Builder<'m> {
        Builder {
            reader: Reader::of_documents(&looking.mesh().names, Path::new("")),
            looking,
            caller,
            has_identity,
            listeners: Vec::new(),
            route_configurations: Vec::new(),
            clusters: BTreeMap::new(),
            owners: HashMap::new(),
            targets: BTreeMap::new(),
            services: BTreeSet::new(),
        }
    }

    fn of(mesh: &'m Mesh, role: &NodeRole) -> Result<Builder<'m>, Vec<Diagnostic>> {
        let mut looking = Looking::at(mesh);
        match role {
            NodeRole::Gateway { name } => {
                let gateway = looking.gateway(name);
                let gateway = gateway.ok_or_else(|| unknown(mesh, &mesh.gateways, name, "gateway"))?;
                let has_identity = !gateway.identities(looking.defaults()).is_empty();
                let mut builder = Builder::new(looking, None, has_identity);
                builder.gateway(gateway);
                Ok(builder)
            }
            NodeRole::Client { service } => {
                let mut builder = Builder::calling(looking, service)?;
                builder.client();
                Ok(builder)
            }
            NodeRole::Sidecar { service, node } => {
                let mut builder = Builder::calling(looking, service)?;
                let own = builder.caller.expect("it was made for one");
                let Some(sidecar) = &own.sidecar else {
                    return Err(refused(
                        mesh,
                        own.span,
                        format!("the service `{service}` has no sidecars"),
                        "give it `sidecar: {}`, or ask as a client",
                    ));
                };
                let mut settings = sidecar.or(&builder.defaults().sidecar);
                if let Some(name) = node {
                    let node = builder.looking.node(name);
                    let node = node.ok_or_else(|| unknown(mesh, &mesh.nodes, name, "node"))?;
                    settings = node.sidecar.or(&settings);
                }
                builder.sidecar(own, &settings);
                Ok(builder)
            }
        }
    }

    fn calling(mut looking: Looking<'m>, service: &str) -> Result<Builder<'m>, Vec<Diagnostic>> {
        let mesh = looking.mesh();
        let found = looking.service(service);
        let service = found.ok_or_else(|| unknown(mesh, &mesh.services, service, "service"))?;
        let has_identity = !service.identities(looking.defaults()).is_empty();
        let mut builder = Builder::new(looking, Some(service), has_identity);
        builder.services.insert(service.name.to_string());
        Ok(builder)
    }

    /// What holds where nothing else is said.
    pub(super) fn defaults(&self) -> &'m Defaults {
        self.looking.defaults()
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
        if !is_said && let Some(logs) = &self.defaults().access_logs {
            made.push(entry(name, Arc::clone(logs)));
        }
    }

    /// Reads the document, with all policies of the mesh or those that it names.
    fn finish(mut self, all: bool) -> Making {
        let nodes = self.listeners.iter().chain(&self.route_configurations);
        let named = match all {
            true => self.looking.all_policies(),
            false => self.looking.policies_of(nodes),
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
        let readings = std::mem::take(&mut reader.readings);
        let warnings = crate::yaml::found(reader)?;
        let view = View {
            config: config.expect("a document without a fault is read"),
            secrets,
            targets: self.targets,
            services: self.services,
        };
        let work = MeshWork {
            clusters_read: readings.clusters.read,
            route_configurations_read: readings.route_configurations.read,
            ..MeshWork::default()
        };
        let mut owners = self.owners;
        let clusters = readings.clusters.learnt.unwrap_or_default().into_iter();
        let clusters = clusters.filter_map(|reading| Some((owners.remove(reading.name.as_str())?, reading)));
        let learnt = Learnt {
            has_identity: self.has_identity,
            clusters: clusters.collect(),
            routes: readings.route_configurations.learnt.unwrap_or_default(),
        };
        Ok(Made {
            view,
            warnings,
            on: self.looking.on(),
            learnt,
            work,
        })
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
        if !says_retry && let Some(retry) = &self.defaults().retry {
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

/// A fault: nothing of the mesh has this name.
fn unknown<T>(mesh: &Mesh, things: &ByName<Arc<T>>, name: &str, what: &str) -> Vec<Diagnostic> {
    let near = crate::suggest::nearest(name, things.keys().map(|name| &**name));
    let help = near.map(|near| format!("did you mean `{near}`?"));
    refused(
        mesh,
        Span::default(),
        format!("no {what} of the mesh is named `{name}`"),
        help.as_deref().unwrap_or("name one that is declared"),
    )
}

fn refused(mesh: &Mesh, span: Span, message: String, help: &str) -> Vec<Diagnostic> {
    let mut reader = Reader::of_documents(&mesh.names, Path::new(""));
    reader.report(Severity::Error, span, message, Some(help.to_owned()));
    reader.diagnostics
}
