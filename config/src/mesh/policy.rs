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

impl Policies {
    /// Takes in the policies of a document.
    pub(super) fn read(&mut self, reader: &mut Reader<'_>, fields: &Fields<'_>) {
        for (kind, found) in KINDS.into_iter().zip(&mut self.found) {
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
                if let Some(first) = found.get(&name.0) {
                    let mut names = Unique::new(kind.what());
                    let place = field(first, "name").map_or(first.span, |name| name.span);
                    names.insert(reader, name.clone(), place);
                    names.insert(reader, name, span);
                } else {
                    found.insert(name.0, Arc::clone(node));
                }
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
            Value::Scalar(scalar) => {
                for kind in 0..KINDS.len() {
                    let found = self.found[kind].get_key_value(scalar.text.as_str());
                    if let Some((name, policy)) = found
                        && !named.0[kind].contains_key(name)
                    {
                        named.0[kind].insert(Arc::clone(name), Arc::clone(policy));
                        self.named_in(policy, named);
                    }
                }
            }
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
