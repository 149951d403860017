//! Parts that were read before: where a node is the same, places included, the same comes of it again.
//!
//! What the reading of a part asks the reader is what it refers to. That is noted with the part and asked again where the part
//! is taken over, so that faults, references and uses are what they would be had it been read. A part of which something
//! was said, be it a warning, is never taken over.

use super::{Part, Reader, scalar_of};
use crate::diagnostic::Span;
use crate::model::{Cluster, Name, RouteConfiguration};
use crate::yaml::Unique;
use crate::yaml::tree::{Node, Value};
use std::collections::HashMap;
use std::sync::Arc;

/// A part that was read without a word.
#[derive(Debug)]
pub(crate) struct Reading<T> {
    /// What it was read of.
    pub(crate) node: Arc<Node>,
    pub(crate) name: Name,
    pub(crate) part: Arc<T>,
    referred: Vec<Referred>,
}

/// What a part refers to, in its order.
#[derive(Debug)]
pub(super) enum Referred {
    Part(Part, Name, Span),
    SomeTrustDomain(Span),
    OneTrustDomain(Span),
}

/// Parts of a document that are known, and that are learnt.
#[derive(Default)]
pub(crate) struct Readings {
    pub(crate) clusters: Known<Cluster>,
    pub(crate) route_configurations: Known<RouteConfiguration>,
    /// Of the part that is being read; none: none is that is to be known.
    referred: Option<Vec<Referred>>,
}

/// Parts of one kind.
pub(crate) struct Known<T> {
    /// By name: it is told by its node whether it still is what is meant.
    pub(crate) before: HashMap<Arc<str>, Arc<Reading<T>>>,
    /// Those that were read, or taken over; none: they are not wanted.
    pub(crate) learnt: Option<Vec<Arc<Reading<T>>>>,
    /// How many were read.
    pub(crate) read: usize,
}

impl<T> Default for Known<T> {
    fn default() -> Known<T> {
        Known {
            before: HashMap::new(),
            learnt: None,
            read: 0,
        }
    }
}

impl Readings {
    /// Everything that is read is to be known later.
    pub(crate) fn learn(&mut self) {
        self.clusters.learnt = Some(Vec::new());
        self.route_configurations.learnt = Some(Vec::new());
    }

    pub(crate) fn clusters(&mut self) -> &mut Known<Cluster> {
        &mut self.clusters
    }

    pub(crate) fn route_configurations(&mut self) -> &mut Known<RouteConfiguration> {
        &mut self.route_configurations
    }

    /// Notes what a part refers to.
    pub(super) fn referred(&mut self, what: impl FnOnce() -> Referred) {
        if let Some(referred) = &mut self.referred {
            referred.push(what());
        }
    }
}

impl Reader<'_> {
    /// Reads a part of a document, or takes it over.
    pub(crate) fn once<T>(
        &mut self,
        node: &Arc<Node>,
        kind: fn(&mut Readings) -> &mut Known<T>,
        names: &mut Unique<Name>,
        read: impl FnOnce(&mut Self, &Node, &mut Unique<Name>) -> Option<T>,
    ) -> Option<Arc<T>> {
        let known = kind(&mut self.readings);
        if let Some((name, span)) = named(node)
            && let Some(reading) = known.before.get(name)
            && reading.node == *node
        {
            let reading = Arc::clone(reading);
            known
                .learnt
                .iter_mut()
                .for_each(|learnt| learnt.push(Arc::clone(&reading)));
            names.insert(self, reading.name.clone(), span);
            reading
                .referred
                .iter()
                .for_each(|referred| self.refer_again(referred));
            return Some(Arc::clone(&reading.part));
        }
        known.read += 1;
        if known.learnt.is_none() {
            return read(self, node, names).map(Arc::new);
        }
        let before = (self.fault_count(), self.warning_count());
        self.readings.referred = Some(Vec::new());
        let part = read(self, node, names).map(Arc::new);
        let referred = self.readings.referred.take().unwrap_or_default();
        if before == (self.fault_count(), self.warning_count())
            && let (Some(part), Some((name, _))) = (&part, named(node))
            && let Some(learnt) = &mut kind(&mut self.readings).learnt
        {
            learnt.push(Arc::new(Reading {
                node: Arc::clone(node),
                name: Name(name.into()),
                part: Arc::clone(part),
                referred,
            }));
        }
        part
    }

    fn refer_again(&mut self, referred: &Referred) {
        match referred {
            Referred::Part(part, name, span) => self.refer(*part, name, *span),
            // Where names are open, what is answered is the same whatever there is.
            Referred::SomeTrustDomain(span) => {
                let _ = self.speaks_for_a_trust_domain(*span);
            }
            Referred::OneTrustDomain(span) => {
                let _ = self.is_federated(*span);
            }
        }
    }
}

/// What a part calls itself, and where.
fn named(node: &Node) -> Option<(&str, Span)> {
    let Value::Map(entries) = &node.value else {
        return None;
    };
    let name = entries.iter().find(|entry| entry.key == "name")?;
    scalar_of(&name.value).map(|scalar| (scalar.text.as_str(), name.value.span))
}
