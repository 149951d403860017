//! A revision of the mesh, and what it tells each node.

use outrigger_config::document::Reference;
use outrigger_config::{Diagnostic, Diagnostics, Environment, Mesh, MeshConfig, NodeRole, Source, load_mesh};
use outrigger_xds::encode::{EncodeOptions, api_listener, encode};
use outrigger_xds::resource::{Resource, ResourceType};
use outrigger_xds::session::View;
use outrigger_xds::session::view::Change;
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// The name of the trust bundle of the mesh, which the server has.
pub const TRUST_BUNDLE: &str = "mesh";

/// What a node runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Agent {
    /// This project's proxy.
    Outrigger,
    /// Envoy.
    Envoy,
    /// A client of gRPC's own, without a proxy.
    Grpc,
    /// Something else that speaks xDS: it is told what Envoy is.
    Other,
}

impl Agent {
    /// By what a node says of itself (`user_agent_name`).
    pub fn of(user_agent: &str) -> Agent {
        match user_agent {
            "outrigger" => Agent::Outrigger,
            "envoy" => Agent::Envoy,
            name if name.starts_with("gRPC") => Agent::Grpc,
            _ => Agent::Other,
        }
    }

    /// By how it is shown.
    pub fn of_word(word: &str) -> Agent {
        let agents = [Agent::Outrigger, Agent::Envoy, Agent::Grpc];
        let found = agents.into_iter().find(|agent| agent.word() == word);
        found.unwrap_or(Agent::Other)
    }

    /// As it is shown.
    pub fn word(self) -> &'static str {
        match self {
            Agent::Outrigger => "outrigger",
            Agent::Envoy => "envoy",
            Agent::Grpc => "grpc",
            Agent::Other => "other",
        }
    }
}

/// A revision of the mesh, with the views that were asked for.
#[derive(Debug)]
pub struct MeshRevision {
    number: u64,
    mesh: Mesh,
    warnings: Vec<Diagnostic>,
    views: Mutex<HashMap<NodeRole, Arc<NodeView>>>,
    /// The views of the revision before: what did not change is shared with them.
    before: Mutex<HashMap<NodeRole, Arc<NodeView>>>,
    /// Views that are made at once: the nodes of a role all come for its view when a revision is new.
    making: Semaphore,
}

impl Default for MeshRevision {
    fn default() -> MeshRevision {
        let mesh = load_mesh(&[], &Environment::empty()).expect("a mesh without documents is one");
        MeshRevision {
            number: 0,
            mesh,
            warnings: Vec::new(),
            views: Mutex::default(),
            before: Mutex::default(),
            making: making(),
        }
    }
}

/// What nodes of one role are told.
#[derive(Debug)]
pub struct NodeView {
    /// The resources.
    pub view: Arc<View>,
    /// The configuration that they were made of.
    pub config: MeshConfig,
    /// Secrets that it refers to.
    pub secrets: Vec<Reference>,
    /// The services of which something is in it.
    pub services: BTreeSet<String>,
    /// What only this project's proxies obey: the resource and the document's field.
    pub only_ours: Vec<(String, String)>,
}

impl MeshRevision {
    /// Reads documents as revision `number`, which follows `before`. Every fault of every view is found.
    ///
    /// # Errors
    /// All faults, with file, line and column.
    pub fn load(
        number: u64,
        documents: &[Source],
        before: Option<&MeshRevision>,
    ) -> Result<MeshRevision, Diagnostics> {
        let mesh = load_mesh(documents, &Environment::empty())?;
        let warnings = mesh.validate(std::time::SystemTime::now())?;
        let before = before
            .map(|before| before.views.lock().clone())
            .unwrap_or_default();
        Ok(MeshRevision {
            number,
            mesh,
            warnings,
            views: Mutex::default(),
            before: Mutex::new(before),
            making: making(),
        })
    }

    /// Its number in the store; 0 is the empty mesh.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The mesh.
    pub fn mesh(&self) -> &Mesh {
        &self.mesh
    }

    /// What looks odd in its documents.
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }

    /// What a node of `service` is; none if the mesh has no service and no gateway of that name.
    pub fn role(&self, service: &str, node: &str, agent: Agent) -> Option<NodeRole> {
        if self.mesh.gateways().any(|gateway| gateway == service) {
            return Some(NodeRole::Gateway {
                name: service.to_owned(),
            });
        }
        if !self.mesh.services().any(|known| known == service) {
            return None;
        }
        Some(match agent {
            Agent::Grpc => NodeRole::Client {
                service: service.to_owned(),
            },
            _ => self.mesh.sidecar(service, node),
        })
    }

    /// As [`MeshRevision::view`], off the threads that serve if it has to be made: then after others that are being made,
    /// of which this may be one. May be dropped at any time.
    ///
    /// # Errors
    /// Faults in words; none of a revision that was loaded.
    pub async fn view_in_turn(self: &Arc<Self>, role: &NodeRole) -> Result<Arc<NodeView>, String> {
        if let Some(view) = self.made(role) {
            return Ok(view);
        }
        let _turn = self.making.acquire().await.map_err(|error| error.to_string())?;
        if let Some(view) = self.made(role) {
            return Ok(view);
        }
        let (revision, role) = (Arc::clone(self), role.clone());
        let making =
            tokio::task::spawn_blocking(move || revision.view(&role).map_err(|faults| faults.to_string()));
        making.await.unwrap_or_else(|error| Err(error.to_string()))
    }

    fn made(&self, role: &NodeRole) -> Option<Arc<NodeView>> {
        self.views.lock().get(role).map(Arc::clone)
    }

    /// What a role is told. It is made once.
    ///
    /// # Errors
    /// Faults; none of a revision that was loaded.
    pub fn view(&self, role: &NodeRole) -> Result<Arc<NodeView>, Diagnostics> {
        if let Some(view) = self.made(role) {
            return Ok(view);
        }
        // Two may make it at once; the first one stays.
        let before = self.before.lock().remove(role);
        let made = Arc::new(self.make(role, before.as_deref())?);
        Ok(Arc::clone(self.views.lock().entry(role.clone()).or_insert(made)))
    }

    fn make(&self, role: &NodeRole, before: Option<&NodeView>) -> Result<NodeView, Diagnostics> {
        let made = self.mesh.view(role)?;
        let options = EncodeOptions {
            endpoints_apart: true,
            trust_bundles: vec![TRUST_BUNDLE.to_owned()],
        };
        let encoded = encode(&made.config, &options);
        let mut resources = Vec::new();
        let mut add = |resource_type, bodies: Vec<(String, Vec<u8>)>| {
            let of = |(name, body): (String, Vec<u8>)| Resource::hashed(resource_type, name, body);
            resources.extend(bodies.into_iter().map(of));
        };
        add(ResourceType::Cluster, encoded.clusters);
        add(ResourceType::ClusterLoadAssignment, encoded.endpoints);
        add(ResourceType::RouteConfiguration, encoded.route_configurations);
        match role {
            NodeRole::Client { .. } => {
                let listeners = made.targets.iter();
                let listener =
                    |(target, routes): (&String, &String)| (target.clone(), api_listener(target, routes));
                add(ResourceType::Listener, listeners.map(listener).collect());
            }
            _ => add(ResourceType::Listener, encoded.listeners),
        }
        Ok(NodeView {
            view: Arc::new(view(self.number, resources, before)),
            config: made.config,
            secrets: made.secrets,
            services: made.services,
            only_ours: encoded.only_ours,
        })
    }
}

/// As many as there are cores: making one is computing.
fn making() -> Semaphore {
    Semaphore::new(std::thread::available_parallelism().map_or(1, usize::from))
}

/// A view that shares what did not change with the one before.
fn view(number: u64, resources: Vec<Resource>, before: Option<&NodeView>) -> View {
    let Some(before) = before else {
        return View::new(number, resources);
    };
    let before = &before.view;
    let mut there: HashSet<(ResourceType, Arc<str>)> = HashSet::with_capacity(resources.len());
    let mut changes = Vec::new();
    for resource in resources {
        let (resource_type, name) = (resource.resource_type(), Arc::clone(resource.name()));
        let same = before.of(resource_type).find(&name);
        if same.is_none_or(|same| same.version() != resource.version()) {
            changes.push(Change::Put(resource));
        }
        there.insert((resource_type, name));
    }
    for resource_type in ResourceType::ALL {
        for resource in before.of(resource_type).iter() {
            let name = Arc::clone(resource.name());
            if !there.contains(&(resource_type, Arc::clone(&name))) {
                changes.push(Change::Remove(resource_type, name));
            }
        }
    }
    before.next(number, changes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESH: &str = "\
defaults: {trust_domain: example.org}
services:
  - name: shop/web
    ports: [{port: 80, protocol: http}]
    sidecar: {}
    endpoints: [{address: '192.0.2.1:80'}]
";

    #[test]
    fn a_view_that_is_made_needs_no_thread() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .max_blocking_threads(1)
            .build()
            .unwrap();
        runtime.block_on(async {
            let source = Source {
                name: "mesh.yaml".into(),
                text: MESH.into(),
            };
            let revision = Arc::new(MeshRevision::load(1, &[source], None).unwrap());
            let role = revision.role("shop/web", "a", Agent::Grpc).unwrap();
            let first = revision.view_in_turn(&role).await.unwrap();
            // The only thread that there is for it is busy.
            let (end, ended) = std::sync::mpsc::channel::<()>();
            let busy = tokio::task::spawn_blocking(move || ended.recv());
            for _ in 0..1_000 {
                let again = revision.view_in_turn(&role);
                let again = tokio::select! {
                    biased;
                    again = again => again.unwrap(),
                    () = std::future::ready(()) => panic!("it waits"),
                };
                assert!(Arc::ptr_eq(&first, &again));
            }
            drop(end);
            assert!(busy.await.unwrap().is_err());
        });
    }
}
