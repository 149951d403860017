//! Meshes: services, gateways and policies in named YAML documents, and what of them one proxy is told.
//!
//! [`load_mesh`] reads the documents and holds them to each other; a [`View`] is what one node's proxy does. It is made
//! as a configuration document, out of parts that were written and parts that follow from them, which the reader of
//! configuration documents reads: its limits, checks and words are the mesh's, and what it finds wrong points into the
//! mesh's documents. Nothing here knows a store, a wire or a node that is connected.

mod changes;
mod check;
mod documents;
mod gateway;
mod kept;
mod looking;
mod made;
mod mentions;
mod policy;
mod read;
mod service;
pub(crate) mod shapes;
mod sidecar;
pub(crate) mod targets;
mod view;

#[cfg(test)]
mod tests;

pub use changes::{MeshChange, MeshChangeKind};
pub use kept::MeshWork;
pub use view::{NodeRole, View};

use crate::diagnostic::{Diagnostic, Diagnostics, Span};
use crate::receipt::Holding;
use crate::source::{Environment, Source};
use crate::yaml::reader::{self, Reader};
use documents::Document;
use gateway::Gateway;
use kept::{Finding, Kept};
use policy::Policies;
use read::{DeclaredNode, Defaults};
use service::Service;
use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;
use view::Made;

/// Faults, and as many warnings, that [`Mesh::validate`] gathers at most.
const FAULTS_MAX: usize = crate::yaml::reader::DIAGNOSTICS_MAX;

/// Things by their names.
type ByName<T> = BTreeMap<Arc<str>, T>;

/// A mesh whose documents hold together. What its services do is looked at when a [`View`] is made of it, all of it by
/// [`Mesh::validate`].
#[derive(Debug)]
pub struct Mesh {
    documents: Vec<Document>,
    /// The same, as readers know them.
    names: reader::Documents,
    defaults: Arc<Defaults>,
    services: ByName<Arc<Service>>,
    gateways: ByName<Arc<Gateway>>,
    nodes: ByName<Arc<DeclaredNode>>,
    policies: Policies,
    /// Without the lines that they point at.
    warnings: Vec<Diagnostic>,
    kept: Kept,
}

/// Reads the documents of a mesh, in any order. Every fault in them and between them is reported at once; what they say
/// that a configuration document says too is looked at by [`Mesh::validate`].
///
/// Names of files in them are taken as they stand: they are files of the nodes that are told.
pub fn load_mesh(sources: &[Source], environment: &Environment) -> Result<Mesh, Diagnostics> {
    let texts = sources
        .iter()
        .map(|source| (source.name.as_str(), source.text.as_str().into()));
    load_mesh_after(None, texts, environment)
}

/// As [`load_mesh`], of documents by name, after another mesh of which it has most: documents that are the same are not read
/// again, and views that depend on nothing that is other, its place included, are not made again. What comes of it is
/// the same as that of [`load_mesh`]; [`Mesh::work`] tells what it took.
///
/// Costs what the change touches, and beside that a look at the name of everything that is there.
pub fn load_mesh_after<'t>(
    before: Option<&Mesh>,
    texts: impl IntoIterator<Item = (&'t str, Arc<str>)>,
    environment: &Environment,
) -> Result<Mesh, Diagnostics> {
    let known = before.map_or(&[][..], |before| &before.documents);
    let following = documents::following(known, texts);
    let kept = Kept::after(before);
    let mut reader = Reader::of_documents(&documents::names(&following), Path::new(""));
    let mut mesh = read::read(&mut reader, following, known, environment, kept);
    check::check(&mut reader, &mesh);
    match crate::yaml::found(reader) {
        Ok(warnings) => mesh.warnings = warnings,
        Err(faults) => return Err(Diagnostics(documents::shown(faults, &mesh.documents))),
    }
    if let Some(before) = before {
        mesh.kept.follow(before, &mesh);
    }
    Ok(mesh)
}

/// Something of a mesh that is looked at by itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Looked {
    /// All policies.
    Policies,
    /// A service, as nobody may call it.
    Service(Arc<str>),
    /// A view.
    Role(NodeRole),
}

impl Mesh {
    /// The documents by name, with their texts, as they were read.
    pub fn documents(&self) -> impl Iterator<Item = (&str, &Arc<str>)> {
        let documents = self.documents.iter();
        documents.map(|document| (&*document.name, &document.text))
    }

    /// The names of the services, in order.
    pub fn services(&self) -> impl Iterator<Item = &str> {
        self.services.keys().map(|name| &**name)
    }

    /// The names of the gateways, in order.
    pub fn gateways(&self) -> impl Iterator<Item = &str> {
        self.gateways.keys().map(|name| &**name)
    }

    /// The names of the nodes that are declared, with the services whose sidecars they are.
    pub fn nodes(&self) -> impl Iterator<Item = (&str, &str)> {
        self.nodes.iter().map(|(name, node)| (&**name, &*node.service))
    }

    /// What a proxy is that calls itself `node` and says that it is a sidecar of `service`: declared nodes have roles of
    /// their own, all others of a service have one.
    pub fn sidecar(&self, service: &str, node: &str) -> NodeRole {
        let declared = self.nodes.get(node);
        NodeRole::Sidecar {
            service: service.to_owned(),
            node: declared
                .filter(|declared| &*declared.service == service)
                .map(|_| node.to_owned()),
        }
    }

    /// The SPIFFE ids of the proxies of a service or a gateway; none if it has none, or is not there.
    pub fn identities_of(&self, name: &str) -> Vec<String> {
        if let Some(service) = self.services.get(name) {
            return service.identities(&self.defaults);
        }
        let gateway = self.gateways.get(name);
        gateway.map_or_else(Vec::new, |gateway| gateway.identities(&self.defaults))
    }

    /// The clusters of its services' ports, as callers have them, each with its service.
    pub fn clusters(&self) -> impl Iterator<Item = (String, String)> {
        let of = |service: &Arc<Service>| {
            let name = service.name.to_string();
            let at = |port| (service.at(port), name.clone());
            service.ports.iter().map(at).collect::<Vec<_>>()
        };
        self.services.values().flat_map(of)
    }

    /// The namespace in a name, which is `NAMESPACE/NAME`; empty if there is none.
    pub fn namespace_of(name: &str) -> &str {
        name.split_once('/').map_or("", |(namespace, _)| namespace)
    }

    /// What a node of this role is told; it is made once. None of a mesh that [`Mesh::validate`] accepts is refused but roles
    /// of what is not there.
    pub fn view(&self, role: &NodeRole) -> Result<Arc<View>, Diagnostics> {
        if let Some(view) = self.kept.view(role) {
            return Ok(view);
        }
        let before = self.kept.wanted(role).unwrap_or_default();
        match view::make(self, role, Some(&before)) {
            Ok(made) => {
                self.count(&made, true);
                Ok(self.kept.made(role, made.view, made.learnt, true))
            }
            Err(faults) => Err(Diagnostics(documents::shown(faults, &self.documents))),
        }
    }

    /// As [`Mesh::view`], for who only wants to look: it is neither kept nor wanted of the next mesh.
    ///
    /// # Errors
    /// As there.
    pub fn view_once(&self, role: &NodeRole) -> Result<Arc<View>, Diagnostics> {
        if let Some(view) = self.kept.current(role) {
            return Ok(view);
        }
        let made = view::make(self, role, None);
        let made = made.map_err(|faults| Diagnostics(documents::shown(faults, &self.documents)))?;
        self.count(&made, true);
        Ok(Arc::new(made.view))
    }

    /// How much was done so far for this mesh, the one that it came after, and all others that came after one of these: by
    /// whoever loaded them, validated them and asked them for views.
    pub fn work(&self) -> MeshWork {
        self.kept.work()
    }

    /// Every role that there is: of each service its sidecars, or its clients if it has none; each declared node; each
    /// gateway.
    pub fn roles(&self) -> impl Iterator<Item = NodeRole> {
        let services = self.services.iter().map(|(name, service)| {
            let service_name = name.to_string();
            match service.sidecar {
                Some(_) => NodeRole::Sidecar {
                    service: service_name,
                    node: None,
                },
                None => NodeRole::Client {
                    service: service_name,
                },
            }
        });
        let nodes = self.nodes.iter().map(|(name, node)| NodeRole::Sidecar {
            service: node.service.to_string(),
            node: Some(name.to_string()),
        });
        let gateways = self.gateways.keys().map(|name| NodeRole::Gateway {
            name: name.to_string(),
        });
        services.chain(nodes).chain(gateways)
    }

    /// Makes every view once, and looks at all that no node may have asked for: what is accepted has no fault for any
    /// node, as of `now`. A fault that several have is told once. What is accepted may look odd: warnings, in the order of documents.
    /// Costs what all views together cost, but for those that are known from the mesh before.
    pub fn validate(&self, now: SystemTime) -> Result<Vec<Diagnostic>, Diagnostics> {
        let mut faults = Gathered::default();
        let mut warnings = Gathered::default();
        warnings.take(self.warnings.iter().cloned());
        let services = self.services.keys().map(|name| Looked::Service(Arc::clone(name)));
        let everything = std::iter::once(Looked::Policies).chain(services);
        for looked in everything.chain(self.roles().map(Looked::Role)) {
            match self.look(looked, now) {
                Ok(found) => warnings.take(found.warnings.iter().cloned()),
                Err(found) => faults.take(found),
            }
            if faults.found.len() >= FAULTS_MAX {
                break;
            }
        }
        match faults.found.is_empty() {
            true => Ok(warnings.shown(&self.documents)),
            false => Err(Diagnostics(faults.shown(&self.documents))),
        }
    }
}

impl Mesh {
    /// What is found of something, now or before.
    fn look(&self, looked: Looked, now: SystemTime) -> Result<Arc<Finding>, Vec<Diagnostic>> {
        if let Some(known) = self.kept.finding(&looked, now) {
            return Ok(known);
        }
        let made = match &looked {
            Looked::Policies => view::policies_alone(self)?,
            Looked::Service(name) => {
                let services_made = 1;
                self.kept.add(MeshWork {
                    services_made,
                    ..MeshWork::default()
                });
                view::service_alone(self, name)?
            }
            Looked::Role(role) => {
                let wanted = self.kept.wanted(role);
                let mut made = view::make(self, role, wanted.as_ref())?;
                made.warnings.extend(self.remarks(&made.view, now));
                self.count(&made, true);
                let holding = Holding::of(&made.view.config, now);
                let (on, warnings) = (made.on, made.warnings);
                if wanted.is_some() {
                    self.kept.made(role, made.view, made.learnt, false);
                }
                return Ok(self.kept.found(looked, on, warnings, holding));
            }
        };
        self.count(&made, false);
        Ok(self
            .kept
            .found(looked, made.on, made.warnings, Holding::default()))
    }

    fn count(&self, made: &Made, is_view: bool) {
        self.kept.add(MeshWork {
            views_made: usize::from(is_view),
            ..made.work
        });
    }
}

impl Mesh {
    /// What the receipt of a view's configuration says of parts by themselves. Of what depends on who uses a part, another
    /// view may say otherwise.
    fn remarks(&self, view: &View, now: SystemTime) -> impl Iterator<Item = Diagnostic> + '_ {
        let mut found = crate::receipt::find(&view.config);
        found.add_expired(&view.config, now);
        found
            .into_remarks()
            .into_iter()
            .filter(|remark| !remark.depends_on_use())
            .filter_map(|mut remark| {
                let mut documents = self.documents.iter();
                let document = documents.find(|document| document.name == remark.file)?;
                remark.span.document = document.number;
                Some(remark)
            })
    }
}

/// Diagnostics of several readings, each once.
#[derive(Default)]
struct Gathered {
    found: Vec<Diagnostic>,
    seen: HashSet<(Span, String)>,
}

impl Gathered {
    fn take(&mut self, found: impl IntoIterator<Item = Diagnostic>) {
        for one in found {
            if self.found.len() < FAULTS_MAX && self.seen.insert((one.span, one.message.clone())) {
                self.found.push(one);
            }
        }
    }

    /// In the order of documents, with the lines that they point at.
    fn shown(mut self, documents: &[Document]) -> Vec<Diagnostic> {
        self.found.sort_by_key(|one| one.span);
        documents::shown(self.found, documents)
    }
}
