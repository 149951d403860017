//! A revision of the mesh, and what it tells each node.

use crate::store::{Digest, Documents};
use outrigger_config::{Diagnostic, Diagnostics, Environment, Mesh, NodeRole, load_mesh, load_mesh_after};
use outrigger_xds::encode::{EncodeOptions, api_listener, encode_after};
use outrigger_xds::resource::{Resource, ResourceType};
use outrigger_xds::session::View;
use outrigger_xds::session::view::Change;
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::SystemTime;
use tokio::sync::Semaphore;

/// What a role is told, before it is on the wire.
type Told = outrigger_config::View;

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
    /// Of its documents.
    hash: Digest,
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
            hash: Documents::new().hash(),
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
    /// What they were made of.
    pub told: Arc<outrigger_config::View>,
}

impl MeshRevision {
    /// Reads documents as revision `number`, which follows `before`. Every fault of every view is found. What is as it was in
    /// `before` is not looked at again.
    ///
    /// # Errors
    /// All faults, with file, line and column.
    pub fn load(
        number: u64,
        documents: &Documents,
        before: Option<&MeshRevision>,
    ) -> Result<MeshRevision, Diagnostics> {
        let texts = documents.iter().map(|(name, text)| (name, Arc::clone(text)));
        let mesh = load_mesh_after(before.map(MeshRevision::mesh), texts, &Environment::empty())?;
        let warnings = mesh.validate(SystemTime::now())?;
        let before = before
            .map(|before| before.views.lock().clone())
            .unwrap_or_default();
        Ok(MeshRevision {
            number,
            hash: documents.hash(),
            mesh,
            warnings,
            views: Mutex::default(),
            before: Mutex::new(before),
            making: making(),
        })
    }

    /// The hash of its documents.
    pub(super) fn hash(&self) -> Digest {
        self.hash
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

    /// As [`MeshRevision::view`], for who only wants to look: nothing is kept of it.
    ///
    /// # Errors
    /// As there.
    pub fn view_once(&self, role: &NodeRole) -> Result<Arc<NodeView>, Diagnostics> {
        if let Some(view) = self.made(role) {
            return Ok(view);
        }
        let before = self.before.lock().get(role).map(Arc::clone);
        let told = self.mesh.view_once(role)?;
        Ok(Arc::new(self.put(role, told, before.as_deref())))
    }

    fn make(&self, role: &NodeRole, before: Option<&NodeView>) -> Result<NodeView, Diagnostics> {
        Ok(self.put(role, self.mesh.view(role)?, before))
    }

    /// Puts on the wire what a role is told.
    fn put(&self, role: &NodeRole, told: Arc<Told>, before: Option<&NodeView>) -> NodeView {
        if let Some(before) = before.filter(|before| Arc::ptr_eq(&before.told, &told)) {
            let view = Arc::new(before.view.next(self.number, []));
            return NodeView { view, told };
        }
        let options = EncodeOptions {
            endpoints_apart: true,
            trust_bundles: vec![TRUST_BUNDLE.to_owned()],
        };
        let encoded = encode_after(&told.config, &options, before.map(|before| &before.told.config));
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
                let listeners = told.targets.iter();
                let listener =
                    |(target, routes): (&String, &String)| (target.clone(), api_listener(target, routes));
                add(ResourceType::Listener, listeners.map(listener).collect());
            }
            _ => add(ResourceType::Listener, encoded.listeners),
        }
        if let Some(before) = before {
            resources.extend(known(&before.view, encoded.known));
        }
        let view = Arc::new(view(self.number, resources, before));
        NodeView { view, told }
    }
}

/// The resources of a view before of which is known that they are the same; those of clusters with their endpoints.
fn known(before: &View, names: Vec<(ResourceType, String)>) -> impl Iterator<Item = Resource> {
    let find = |resource_type, name: &str| before.of(resource_type).find(name).cloned();
    names.into_iter().flat_map(move |(resource_type, name)| {
        let endpoints = matches!(resource_type, ResourceType::Cluster)
            .then(|| find(ResourceType::ClusterLoadAssignment, &name))
            .flatten();
        [find(resource_type, &name), endpoints].into_iter().flatten()
    })
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

/// A revision of one document.
#[cfg(test)]
pub(crate) fn revision_of(number: u64, text: &str) -> MeshRevision {
    let mut documents = Documents::new();
    documents.insert("m.yaml", text).expect("it fits");
    MeshRevision::load(number, &documents, None).unwrap_or_else(|faults| panic!("{faults}"))
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
            let revision = Arc::new(revision_of(1, MESH));
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

    /// Everything that is sent, by the hash of its bytes.
    fn sent(revision: &MeshRevision, role: &NodeRole) -> Vec<(ResourceType, String, String)> {
        let made = revision.view(role).unwrap();
        let of = |kind: &ResourceType| {
            let resources = made.view.of(*kind).iter();
            let one =
                |resource: &Resource| (*kind, resource.name().to_string(), resource.version().to_string());
            resources.map(one).collect::<Vec<_>>()
        };
        let mut sent: Vec<_> = ResourceType::ALL.iter().flat_map(of).collect();
        sent.sort();
        sent
    }

    /// A document of the examples, with one of its words exchanged.
    const EDITS: [(&str, &str, &str); 9] = [
        (
            "catalog.yaml",
            "127.0.0.1:15206, metadata",
            "127.0.0.1:15206, weight: 3, metadata",
        ),
        ("web.yaml", "uses: [shop/catalog]", "uses: []"),
        ("catalog.yaml", "requests_max: 512", "requests_max: 513"),
        (
            "gateway.yaml",
            "domains: [api.example]",
            "domains: [api.example, other.example]",
        ),
        ("catalog.yaml", "retries_max: 2", "retries_max: 4"),
        ("gateway.yaml", "requests: 100", "requests: 200"),
        ("defaults.yaml", "timeout: 5s", "timeout: 6s"),
        ("web.yaml", "action: allow", "action: deny"),
        ("catalog.yaml", "methods: [GET, HEAD]\n", "methods: [GET]\n"),
    ];

    #[test]
    fn what_follows_is_sent_as_it_is_alone_and_shares_what_is_the_same() {
        let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/examples/mesh");
        let mut documents = Documents::new();
        for name in ["catalog.yaml", "defaults.yaml", "gateway.yaml", "web.yaml"] {
            documents
                .insert(name, std::fs::read_to_string(directory.join(name)).unwrap())
                .unwrap();
        }
        fn load(number: u64, documents: &Documents, before: Option<&MeshRevision>) -> MeshRevision {
            MeshRevision::load(number, documents, before).unwrap()
        }
        let mut before = load(1, &documents, None);
        for (number, (name, from, to)) in (2..).zip(EDITS) {
            // Some nodes ask, and others do not.
            let roles: Vec<NodeRole> = before.mesh().roles().collect();
            for (at, role) in roles.iter().enumerate() {
                if !(at as u64 + number).is_multiple_of(3) {
                    before.view(role).unwrap();
                }
            }
            let text = documents.text(name).unwrap().to_owned();
            assert!(text.contains(from), "{name} has no {from}");
            documents.insert(name, text.replacen(from, to, 1)).unwrap();
            let (next, alone) = (
                load(number, &documents, Some(&before)),
                load(number, &documents, None),
            );
            let roles: Vec<NodeRole> = next.mesh().roles().collect();
            for role in &roles {
                assert_eq!(sent(&next, role), sent(&alone, role), "{to}, {role:?}");
                let (now, asked) = (next.view(role).unwrap(), before.made(role));
                let Some(asked) = asked else { continue };
                for kind in ResourceType::ALL {
                    for resource in now.view.of(kind).iter() {
                        let known = asked.view.of(kind).find(resource.name());
                        if let Some(known) = known.filter(|known| known.version() == resource.version()) {
                            assert!(known.is_shared_with(resource), "{to}, {role:?}, {resource:?}");
                        }
                    }
                }
            }
            before = next;
        }
    }
}
