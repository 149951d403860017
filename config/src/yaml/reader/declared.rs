//! Names that the document declares, for references to them.

use super::{Reader, scalar_of};
use crate::diagnostic::Span;
use crate::model::Name;
use crate::yaml::tree::{Node, Value};
use std::collections::BTreeMap;
use std::rc::Rc;

/// Declared names of one kind, and whether something refers to them.
#[derive(Default)]
pub(crate) struct Declared(pub(crate) BTreeMap<String, bool>);

impl Declared {
    /// Names that the items of a top-level list give themselves, read before anything else so that order is free.
    pub(crate) fn collect(root: &Node, list: &str) -> Declared {
        let mut names = BTreeMap::new();
        let entries = |node: &Node, key: &str| match &node.value {
            Value::Map(entries) => entries
                .iter()
                .find(|entry| entry.key == key)
                .map(|entry| Rc::clone(&entry.value)),
            _ => None,
        };
        if let Some(node) = entries(root, list)
            && let Value::List(items) = &node.value
        {
            for name in items.iter().filter_map(|item| entries(item, "name")) {
                if let Some(scalar) = scalar_of(&name) {
                    names.insert(scalar.text.clone(), false);
                }
            }
        }
        Declared(names)
    }

    /// Notes that a name is used; false if it is not declared.
    fn refer(&mut self, name: &str) -> bool {
        self.0.get_mut(name).map(|used| *used = true).is_some()
    }
}

impl Reader<'_> {
    /// Notes a reference to a cluster; a fault if there is none of that name.
    pub(crate) fn refer_to_cluster(&mut self, name: &Name, span: Span) {
        if !self.clusters.refer(name.as_str()) {
            let declared = std::mem::take(&mut self.clusters);
            self.dangling("cluster", name, span, &declared);
            self.clusters = declared;
        }
    }

    /// Notes a reference to a route configuration; a fault if there is none of that name.
    pub(crate) fn refer_to_route_configuration(&mut self, name: &Name, span: Span) {
        if !self.route_configurations.refer(name.as_str()) {
            let declared = std::mem::take(&mut self.route_configurations);
            self.dangling("route configuration", name, span, &declared);
            self.route_configurations = declared;
        }
    }

    fn dangling(&mut self, what: &str, name: &Name, span: Span, declared: &Declared) {
        let message = format!("no {what} is named `{name}`");
        match self.nearest(name.as_str(), declared.0.keys().map(String::as_str)) {
            Some(near) => self.fault_with_help(span, message, format!("did you mean `{near}`?")),
            None => self.fault(span, message),
        }
    }
}
