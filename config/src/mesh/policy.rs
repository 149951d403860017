//! Policies that services and gateways name.

use super::made::{entries_of, field, items_of};
use crate::yaml::Unique;
use crate::yaml::reader::{Fields, Part, Reader};
use crate::yaml::scalar;
use crate::yaml::tree::{Node, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The kinds of policies.
pub(super) const KINDS: [Part; 3] = [Part::AuthorizationPolicy, Part::JwtProvider, Part::RateLimit];

/// Policies by kind and name, as they stand.
#[derive(Debug, Default)]
pub(super) struct Policies {
    found: [BTreeMap<Arc<str>, Arc<Node>>; KINDS.len()],
}

/// A policy of a document.
#[derive(Debug)]
pub(super) struct Policy {
    /// Which of [`KINDS`].
    pub(super) kind: usize,
    pub(super) name: Arc<str>,
    pub(super) node: Arc<Node>,
}

/// The policies of a document.
pub(super) fn policies(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Vec<Policy> {
    let mut policies = Vec::new();
    for (at, kind) in KINDS.into_iter().enumerate() {
        for node in fields.list(reader, kind.list()) {
            // One without a name is told of where all are read.
            let Some(name) = field(node, "name") else {
                let entries = matches!(node.value, Value::Map(_));
                if entries {
                    reader.fault(node.span, format!("missing field `name` in {}", kind.what()));
                } else {
                    reader.mismatch(node, &format!("a map ({})", kind.what()));
                }
                continue;
            };
            let span = name.span;
            let Some(name) = reader.name(name) else {
                continue;
            };
            if name
                .as_str()
                .split_once('/')
                .is_none_or(|(namespace, name)| namespace.is_empty() || name.is_empty())
            {
                let message = format!("`{}` names no namespace", scalar::shortened(name.as_str()));
                reader.fault_with_help(span, message, "such as `shop/only-web`");
            }
            policies.push(Policy {
                kind: at,
                name: name.0,
                node: Arc::clone(node),
            });
        }
    }
    policies
}

impl Policies {
    /// Takes in the policies of a document; the first of a name stays.
    pub(super) fn merge(&mut self, reader: &mut Reader<'_>, policies: &[Policy]) {
        let place = |node: &Node| field(node, "name").map_or(node.span, |name| name.span);
        for policy in policies {
            let found = &mut self.found[policy.kind];
            if let Some(first) = found.get(&policy.name) {
                let mut names = Unique::new(KINDS[policy.kind].what());
                names.insert(reader, Arc::clone(&policy.name), place(first));
                names.insert(reader, Arc::clone(&policy.name), place(&policy.node));
            } else {
                found.insert(Arc::clone(&policy.name), Arc::clone(&policy.node));
            }
        }
    }

    /// The policies of each kind.
    pub(super) fn each(&self) -> impl Iterator<Item = (Part, &BTreeMap<Arc<str>, Arc<Node>>)> {
        KINDS.into_iter().zip(&self.found)
    }

    /// Adds the policies whose names texts in a tree are, and those that they name: no fewer than are referred to.
    pub(super) fn named_in(&self, node: &Node, named: &mut Named) {
        match &node.value {
            Value::Scalar(scalar) => self.named_by(&scalar.text, named),
            Value::List(_) | Value::Map(_) => {
                let items = items_of(node).iter();
                let values = entries_of(node).iter().map(|entry| &entry.value);
                for below in items.chain(values) {
                    self.named_in(below, named);
                }
            }
            Value::Broken => {}
        }
    }

    /// As [`Policies::named_in`], of one text.
    pub(super) fn named_by(&self, text: &str, named: &mut Named) {
        for kind in 0..KINDS.len() {
            if let Some((name, policy)) = self.found[kind].get_key_value(text)
                && !named.0[kind].contains_key(name)
            {
                named.0[kind].insert(Arc::clone(name), Arc::clone(policy));
                self.named_in(policy, named);
            }
        }
    }

    /// All of them.
    pub(super) fn all(&self) -> Named {
        Named(self.found.clone())
    }
}

/// Policies that a view may need, by kind.
#[derive(Debug, Default)]
pub(super) struct Named([BTreeMap<Arc<str>, Arc<Node>>; KINDS.len()]);

impl Named {
    /// The policies of each kind.
    pub(super) fn each(&self) -> impl Iterator<Item = (Part, &BTreeMap<Arc<str>, Arc<Node>>)> {
        KINDS.into_iter().zip(&self.0)
    }
}
