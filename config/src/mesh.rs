//! Meshes: services, gateways and policies in named YAML documents, and what of them one proxy is told.
//!
//! [`load_mesh`] reads the documents and holds them to each other; a [`View`] is what one node's proxy does. It is made
//! as a configuration document, out of parts that were written and parts that follow from them, which the reader of
//! configuration documents reads: its limits, checks and words are the mesh's, and what it finds wrong points into the
//! mesh's documents. Nothing here knows a store, a wire or a node that is connected.

mod changes;
mod check;
mod gateway;
mod made;
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
pub use view::{NodeRole, View};

use crate::diagnostic::{Diagnostic, Diagnostics, Span};
use crate::source::{Environment, Source};
use crate::yaml::reader::Reader;
use gateway::Gateway;
use policy::Policies;
use read::{DeclaredNode, Defaults};
use service::Service;
use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

/// Faults, and as many warnings, that [`Mesh::validate`] gathers at most.
const FAULTS_MAX: usize = crate::yaml::reader::DIAGNOSTICS_MAX;

/// Things by their names.
type ByName<T> = BTreeMap<Arc<str>, T>;

/// A mesh whose documents hold together. What its services do is looked at when a [`View`] is made of it, all of it by
/// [`Mesh::validate`].
#[derive(Debug)]
pub struct Mesh {
    sources: Vec<Source>,
    defaults: Defaults,
    services: ByName<Service>,
    gateways: ByName<Gateway>,
    nodes: ByName<DeclaredNode>,
    policies: Policies,
    warnings: Vec<Diagnostic>,
}

/// Reads the documents of a mesh, in any order. Every fault in them and between them is reported at once; what they say
/// that a configuration document says too is looked at by [`Mesh::validate`].
///
/// Names of files in them are taken as they stand: they are files of the nodes that are told.
pub fn load_mesh(sources: &[Source], environment: &Environment) -> Result<Mesh, Diagnostics> {
    let mut reader = Reader::of_documents(sources.iter().map(|source| source.name.as_str()), Path::new(""));
    let mut mesh = read::read(&mut reader, sources, environment);
    check::check(&mut reader, &mesh);
    mesh.warnings = crate::yaml::conclude(reader, sources)?;
    Ok(mesh)
}

impl Mesh {
    /// The documents, as they were read.
    pub fn sources(&self) -> &[Source] {
        &self.sources
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
        let of = |service: &Service| {
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

    /// What a node of this role is told. None of a mesh that [`Mesh::validate`] accepts is refused but roles of what is
    /// not there.
    pub fn view(&self, role: &NodeRole) -> Result<View, Diagnostics> {
        match view::make(self, role) {
            Ok((view, _)) => Ok(view),
            Err(mut faults) => {
                crate::yaml::give_lines(&mut faults, &self.sources);
                Err(Diagnostics(faults))
            }
        }
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

    /// Makes every view once, and one of all that no node may have asked for: what is accepted has no fault for any
    /// node, as of `now`. A fault that several have is told once. What is accepted may look odd: warnings, in the order of documents.
    /// Costs what all views together cost.
    pub fn validate(&self, now: SystemTime) -> Result<Vec<Diagnostic>, Diagnostics> {
        let mut faults = Gathered::default();
        let mut warnings = Gathered::default();
        warnings.take(self.warnings.iter().cloned());
        let everything = std::iter::once_with(|| view::everything(self));
        let roles = self.roles();
        let views = roles.map(|role| {
            let (view, mut warnings) = view::make(self, &role)?;
            warnings.extend(self.remarks(&view, now));
            Ok(warnings)
        });
        for found in everything.chain(views) {
            match found {
                Ok(found) => warnings.take(found),
                Err(found) => faults.take(found),
            }
            if faults.found.len() >= FAULTS_MAX {
                break;
            }
        }
        match faults.found.is_empty() {
            true => Ok(warnings.shown(&self.sources)),
            false => Err(Diagnostics(faults.shown(&self.sources))),
        }
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
                let document = self
                    .sources
                    .iter()
                    .position(|source| *source.name == *remark.file)?;
                remark.span.document = u32::try_from(document).ok()?;
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
    fn shown(mut self, sources: &[Source]) -> Vec<Diagnostic> {
        self.found.sort_by_key(|one| one.span);
        crate::yaml::give_lines(&mut self.found, sources);
        self.found
    }
}
