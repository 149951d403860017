//! Nodes that were not written: parts of a view's document, placed where the mesh's fields are that they came of.

use crate::diagnostic::Span;
use crate::yaml::tree::{Entry, Node, Scalar, Value};
use std::fmt;
use std::sync::Arc;

/// A text.
pub(super) fn text(span: Span, text: impl Into<String>) -> Arc<Node> {
    scalar(span, text.into(), true)
}

/// A number, a boolean or a word.
pub(super) fn plain(span: Span, value: impl fmt::Display) -> Arc<Node> {
    scalar(span, value.to_string(), false)
}

fn scalar(span: Span, text: String, quoted: bool) -> Arc<Node> {
    let nothing = false;
    let scalar = Scalar {
        text,
        quoted,
        nothing,
    };
    Arc::new(Node::made(span, Value::Scalar(scalar)))
}

/// A list.
pub(super) fn list(span: Span, items: impl IntoIterator<Item = Arc<Node>>) -> Arc<Node> {
    Arc::new(Node::made(span, Value::List(items.into_iter().collect())))
}

/// A map of these entries.
pub(super) fn map(span: Span, entries: Vec<Entry>) -> Arc<Node> {
    Arc::new(Node::made(span, Value::Map(entries)))
}

/// What stands where a fault has been reported.
pub(super) fn broken(span: Span) -> Arc<Node> {
    Arc::new(Node::made(span, Value::Broken))
}

/// An entry of a map, placed where its value is.
pub(super) fn entry(key: &str, value: Arc<Node>) -> Entry {
    Entry {
        key: key.to_owned(),
        key_span: value.span,
        value,
    }
}

/// The same entry once more.
pub(super) fn again(entry: &Entry) -> Entry {
    Entry {
        key: entry.key.clone(),
        key_span: entry.key_span,
        value: Arc::clone(&entry.value),
    }
}

/// A map of entries that were made, and of those of maps that were written, the first of each name.
pub(super) fn overlay<'n>(
    span: Span,
    made: Vec<Entry>,
    written: impl IntoIterator<Item = Option<&'n Arc<Node>>>,
) -> Arc<Node> {
    let mut entries = made;
    for node in written.into_iter().flatten() {
        for entry in entries_of(node) {
            if entries.iter().all(|known| known.key != entry.key) {
                entries.push(again(entry));
            }
        }
    }
    map(span, entries)
}

/// The entries of a map; none of anything else.
pub(super) fn entries_of(node: &Node) -> &[Entry] {
    match &node.value {
        Value::Map(entries) => entries,
        _ => &[],
    }
}

/// The items of a list; none of anything else.
pub(super) fn items_of(node: &Node) -> &[Arc<Node>] {
    match &node.value {
        Value::List(items) => items,
        _ => &[],
    }
}

/// The value of a field of a map.
pub(super) fn field<'n>(node: &'n Node, name: &str) -> Option<&'n Arc<Node>> {
    entries_of(node)
        .iter()
        .find(|entry| entry.key == name)
        .map(|entry| &entry.value)
}
