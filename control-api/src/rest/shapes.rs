//! What JSON bodies look like: data, from which the OpenAPI document is made and to which tests hold every answer.

mod fleet;
mod mesh;

/// A JSON object.
pub(super) struct Shape {
    pub(super) name: &'static str,
    pub(super) summary: &'static str,
    pub(super) fields: &'static [Field],
}

/// A field of it.
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) presence: Presence,
    pub(super) summary: &'static str,
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Whole,
    Number,
    Truth,
    Texts,
    /// An object of this shape.
    One(&'static str),
    /// A list of them.
    Many(&'static str),
    /// An object of texts by name.
    TextByName,
}

/// Whether a field is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    /// Always.
    Given,
    /// Always, and null if there is nothing to say.
    Nullable,
    /// Of a request: it may be left out.
    Optional,
}

const fn given(name: &'static str, kind: Kind, summary: &'static str) -> Field {
    Field {
        name,
        kind,
        presence: Presence::Given,
        summary,
    }
}

const fn nullable(name: &'static str, kind: Kind, summary: &'static str) -> Field {
    Field {
        name,
        kind,
        presence: Presence::Nullable,
        summary,
    }
}

const fn optional(name: &'static str, kind: Kind, summary: &'static str) -> Field {
    Field {
        name,
        kind,
        presence: Presence::Optional,
        summary,
    }
}

const fn shape(name: &'static str, summary: &'static str, fields: &'static [Field]) -> Shape {
    Shape {
        name,
        summary,
        fields,
    }
}

/// All shapes.
pub(super) fn all() -> impl Iterator<Item = &'static Shape> {
    mesh::SHAPES.iter().chain(fleet::SHAPES)
}

/// The shape of a name.
#[cfg(test)]
pub(super) fn find(name: &str) -> Option<&'static Shape> {
    all().find(|shape| shape.name == name)
}
