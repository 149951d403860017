//! What another version of a mesh changes, by the names of what it has.

use super::Mesh;
use super::made::{entries_of, field, items_of};
use crate::yaml::tree::{Node, Value};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A kind by its number and what it is called, and a name.
type Key<'m> = (usize, &'static str, &'m str);

const DEFAULTS: &str = "defaults";
const NODE: &str = "node";

/// Something of a mesh that a new version changes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MeshChange {
    /// What it is: `defaults`, `service`, `gateway`, `node`, `authorization policy`, `JWT provider`, `rate limit`.
    pub what: &'static str,
    /// Its name; empty for the defaults.
    pub name: String,
    /// The namespaces that it is in, before and after; none for the defaults, which are everybody's.
    pub namespaces: Vec<String>,
    /// What becomes of it.
    pub kind: MeshChangeKind,
}

/// What becomes of something.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum MeshChangeKind {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// These of its fields are others, come or go.
    Changed {
        /// The fields' names, in order.
        fields: Vec<String>,
    },
}

impl fmt::Display for MeshChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, fields) = match &self.kind {
            MeshChangeKind::Added => ('+', None),
            MeshChangeKind::Removed => ('-', None),
            MeshChangeKind::Changed { fields } => ('~', Some(fields)),
        };
        write!(f, "{sign} {}", self.what)?;
        if !self.name.is_empty() {
            write!(f, " {}", self.name)?;
        }
        match fields {
            Some(fields) => write!(f, ": {}", fields.join(", ")),
            None => Ok(()),
        }
    }
}

impl Mesh {
    /// What `next` changes about this mesh, kind by kind and in the order of names. Where something is written, and in
    /// which order its fields are, changes nothing.
    pub fn changes(&self, next: &Mesh) -> Vec<MeshChange> {
        let mut changes = Vec::new();
        let (before, after) = (self.parts(), next.parts());
        for (key, old) in &before {
            let kind = match after.get(key) {
                None => MeshChangeKind::Removed,
                Some(new) if Arc::ptr_eq(old, new) => continue,
                Some(new) => match changed_fields(old, new) {
                    fields if fields.is_empty() => continue,
                    fields => MeshChangeKind::Changed { fields },
                },
            };
            changes.push((key.0, self.change(next, *key, kind)));
        }
        for key in after.keys().filter(|key| !before.contains_key(*key)) {
            changes.push((key.0, self.change(next, *key, MeshChangeKind::Added)));
        }
        changes.sort_by(|(one, a), (other, b)| (one, &a.name).cmp(&(other, &b.name)));
        changes.into_iter().map(|(_, change)| change).collect()
    }

    fn change(&self, next: &Mesh, (_, what, name): Key<'_>, kind: MeshChangeKind) -> MeshChange {
        // A node is where its service is.
        let of_node = |mesh: &Mesh| Some(Mesh::namespace_of(&mesh.nodes.get(name)?.service).to_owned());
        let mut namespaces: Vec<String> = match what {
            DEFAULTS => Vec::new(),
            NODE => [of_node(self), of_node(next)].into_iter().flatten().collect(),
            _ => vec![Mesh::namespace_of(name).to_owned()],
        };
        namespaces.dedup();
        MeshChange {
            what,
            name: name.to_owned(),
            namespaces,
            kind,
        }
    }

    /// Everything in the mesh, by kind and name.
    fn parts(&self) -> BTreeMap<Key<'_>, &Arc<Node>> {
        let defaults = self.defaults.node.iter().map(|node| ((0, DEFAULTS, ""), node));
        let services = self.services.iter();
        let services = services.map(|(name, service)| ((1, "service", &**name), &service.node));
        let gateways = self.gateways.iter();
        let gateways = gateways.map(|(name, gateway)| ((2, "gateway", &**name), &gateway.node));
        let nodes = self
            .nodes
            .iter()
            .map(|(name, node)| ((3, NODE, &**name), &node.node));
        let policies = self
            .policies
            .each()
            .enumerate()
            .flat_map(|(at, (kind, policies))| {
                let named = policies.iter();
                named.map(move |(name, node)| ((4 + at, kind.what(), &**name), node))
            });
        let parts = defaults.chain(services).chain(gateways);
        parts.chain(nodes).chain(policies).collect()
    }
}

fn changed_fields(old: &Node, new: &Node) -> Vec<String> {
    let mut fields: Vec<String> = Vec::new();
    for entry in entries_of(old) {
        if field(new, &entry.key).is_none_or(|value| !alike(&entry.value, value)) {
            fields.push(entry.key.clone());
        }
    }
    for entry in entries_of(new) {
        if field(old, &entry.key).is_none() {
            fields.push(entry.key.clone());
        }
    }
    fields.sort();
    fields
}

/// They say the same, wherever they stand.
fn alike(one: &Node, other: &Node) -> bool {
    match (&one.value, &other.value) {
        (Value::Scalar(one), Value::Scalar(other)) => {
            (&one.text, one.quoted, one.nothing) == (&other.text, other.quoted, other.nothing)
        }
        (Value::List(_), Value::List(_)) => {
            let (one, other) = (items_of(one), items_of(other));
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| alike(one, other))
        }
        (Value::Map(one), Value::Map(entries)) => {
            one.len() == entries.len()
                && one
                    .iter()
                    .all(|entry| field(other, &entry.key).is_some_and(|value| alike(&entry.value, value)))
        }
        _ => false,
    }
}
