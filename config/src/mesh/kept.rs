//! What is known of a mesh's views, and what of that still holds for the next mesh.
//!
//! Of every view that was made without a fault it is kept what looked odd and what it depends on: it is made again when one of
//! these is another. The views themselves are kept only for roles that were asked for, with the parts that were read for
//! them, so that those are not read again either; a role that nobody asked for between two meshes is forgotten.

use super::looking::{Changed, On};
use super::view::{Learnt, NodeRole, View};
use super::{Looked, Mesh};
use crate::diagnostic::Diagnostic;
use crate::model::{Cluster, RouteConfiguration};
use crate::receipt::Holding;
use crate::yaml::reader::Reading;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

/// Route configurations of a view, as they were read.
pub(super) type Routes = Arc<[Arc<Reading<RouteConfiguration>>]>;

/// How much was done for meshes: counts of what was not known from the mesh before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MeshWork {
    /// Meshes that were loaded, refused ones among them.
    pub meshes_read: usize,
    /// Documents that were parsed and read.
    pub documents_read: usize,
    /// Services of which it was looked at what no view may have.
    pub services_made: usize,
    /// Views that were made.
    pub views_made: usize,
    /// Clusters that were read for any of these.
    pub clusters_read: usize,
    /// Route configurations that were read for any of these.
    pub route_configurations_read: usize,
}

/// What was found of something that has no fault.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) warnings: Vec<Diagnostic>,
    on: On,
    /// What was found depends on the time, too.
    holding: Holding,
}

#[derive(Debug)]
struct KeptView {
    view: Arc<View>,
    routes: Routes,
    /// It is this mesh's; else it is of one before, and only its parts are of use.
    is_current: bool,
    /// Somebody asked for it.
    is_asked: bool,
}

#[derive(Debug)]
struct KeptCluster {
    service: Arc<str>,
    reading: Arc<Reading<Cluster>>,
}

/// What is known.
#[derive(Debug)]
pub(super) struct Kept {
    known: Mutex<Known>,
    /// Shared by meshes that come after each other.
    work: Arc<Mutex<MeshWork>>,
}

#[derive(Debug, Default)]
struct Known {
    findings: HashMap<Looked, Arc<Finding>>,
    views: HashMap<NodeRole, KeptView>,
    /// By name, for callers with an identity and without.
    clusters: [HashMap<Arc<str>, KeptCluster>; 2],
}

impl Kept {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().expect("nothing panics that holds it")
    }

    /// Nothing is known yet; what is done is added to what was.
    pub(super) fn after(before: Option<&Mesh>) -> Kept {
        Kept {
            known: Mutex::default(),
            work: before.map_or_else(Arc::default, |before| Arc::clone(&before.kept.work)),
        }
    }

    /// What is known from the mesh before that still holds for `mesh`.
    pub(super) fn follow(&self, before: &Mesh, mesh: &Mesh) {
        let changed = Changed::between(before, mesh);
        let before = before.kept.known();
        let mut known = self.known();
        for (looked, finding) in &before.findings {
            if !changed.concerns(&finding.on) {
                known.findings.insert(looked.clone(), Arc::clone(finding));
            }
        }
        for (role, kept) in before.views.iter().filter(|(_, kept)| kept.is_asked) {
            let is_same = known.findings.contains_key(&Looked::Role(role.clone()));
            let kept = KeptView {
                view: Arc::clone(&kept.view),
                routes: Arc::clone(&kept.routes),
                is_current: kept.is_current && is_same,
                is_asked: false,
            };
            known.views.insert(role.clone(), kept);
        }
        for (now, before) in known.clusters.iter_mut().zip(&before.clusters) {
            // What no view has any more, nobody else has either.
            let kept = before.iter().filter(|(_, kept)| {
                !changed.concerns_service(&kept.service) && Arc::strong_count(&kept.reading.part) > 1
            });
            now.extend(kept.map(|(name, kept)| {
                let kept = KeptCluster {
                    service: Arc::clone(&kept.service),
                    reading: Arc::clone(&kept.reading),
                };
                (Arc::clone(name), kept)
            }));
        }
    }

    /// What was found, if that holds as of `now`.
    pub(super) fn finding(&self, looked: &Looked, now: SystemTime) -> Option<Arc<Finding>> {
        let known = self.known();
        let found = known.findings.get(looked);
        found.filter(|finding| finding.holding.is_at(now)).map(Arc::clone)
    }

    /// Keeps what was found of something that depends `on` this.
    pub(super) fn found(
        &self,
        looked: Looked,
        on: On,
        warnings: Vec<Diagnostic>,
        holding: Holding,
    ) -> Arc<Finding> {
        let finding = Arc::new(Finding {
            warnings,
            on,
            holding,
        });
        self.known().findings.insert(looked, Arc::clone(&finding));
        finding
    }

    /// A cluster that was read for callers with an identity, or without one.
    pub(super) fn cluster(&self, name: &str, has_identity: bool) -> Option<Arc<Reading<Cluster>>> {
        let known = self.known();
        let kept = known.clusters[usize::from(has_identity)].get(name)?;
        Some(Arc::clone(&kept.reading))
    }

    /// The view of a role for somebody who asks for it.
    pub(super) fn view(&self, role: &NodeRole) -> Option<Arc<View>> {
        let mut known = self.known();
        let kept = known.views.get_mut(role).filter(|kept| kept.is_current)?;
        kept.is_asked = true;
        Some(Arc::clone(&kept.view))
    }

    /// The view of a role, for somebody who only looks at it.
    pub(super) fn current(&self, role: &NodeRole) -> Option<Arc<View>> {
        let known = self.known();
        let kept = known.views.get(role).filter(|kept| kept.is_current);
        kept.map(|kept| Arc::clone(&kept.view))
    }

    /// The routes of a role's view in the mesh before, if the view is wanted.
    pub(super) fn wanted(&self, role: &NodeRole) -> Option<Routes> {
        let known = self.known();
        known.views.get(role).map(|kept| Arc::clone(&kept.routes))
    }

    /// Keeps a view that was made; of two the first.
    pub(super) fn made(&self, role: &NodeRole, view: View, learnt: Learnt, is_asked: bool) -> Arc<View> {
        let mut known = self.known();
        let clusters = &mut known.clusters[usize::from(learnt.has_identity)];
        for (service, reading) in learnt.clusters {
            let name = Arc::clone(&reading.name.0);
            clusters.entry(name).or_insert(KeptCluster { service, reading });
        }
        if let Some(kept) = known.views.get_mut(role).filter(|kept| kept.is_current) {
            kept.is_asked |= is_asked;
            return Arc::clone(&kept.view);
        }
        let view = Arc::new(view);
        let kept = KeptView {
            view: Arc::clone(&view),
            routes: learnt.routes.into(),
            is_current: true,
            is_asked,
        };
        known.views.insert(role.clone(), kept);
        view
    }

    /// Counts what is done.
    pub(super) fn add(&self, work: MeshWork) {
        let mut sum = self.work.lock().expect("nothing panics that holds it");
        sum.meshes_read += work.meshes_read;
        sum.documents_read += work.documents_read;
        sum.services_made += work.services_made;
        sum.views_made += work.views_made;
        sum.clusters_read += work.clusters_read;
        sum.route_configurations_read += work.route_configurations_read;
    }

    /// How much was done so far.
    pub(super) fn work(&self) -> MeshWork {
        *self.work.lock().expect("nothing panics that holds it")
    }
}
