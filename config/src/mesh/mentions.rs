//! Names that a part mentions, whatever it means by them: looked for once, when the part is read.

use super::made::{entries_of, items_of};
use super::targets::text_of;
use crate::yaml::tree::{Node, Value};
use std::collections::BTreeSet;

/// Names in a part of a mesh.
#[derive(Debug, Default)]
pub(super) struct Mentions {
    /// What stands in fields `service`.
    services: BTreeSet<Box<str>>,
    /// All texts that may be the whole name of something: `NAMESPACE/NAME`.
    names: BTreeSet<Box<str>>,
}

impl Mentions {
    pub(super) fn of(node: &Node) -> Mentions {
        let mut mentions = Mentions::default();
        mentions.look(node);
        mentions
    }

    fn look(&mut self, node: &Node) {
        if let Value::Scalar(scalar) = &node.value
            && scalar.text.contains('/')
        {
            self.names.insert(scalar.text.as_str().into());
        }
        for entry in entries_of(node) {
            if entry.key == "service" {
                self.services.extend(text_of(&entry.value).map(Box::from));
            }
            self.look(&entry.value);
        }
        items_of(node).iter().for_each(|item| self.look(item));
    }

    pub(super) fn services(&self) -> impl Iterator<Item = &str> {
        self.services.iter().map(|name| &**name)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }
}
