//! How texts and paths are compared, wherever that is asked.

use crate::yaml::shape::{Field, Kind, defaulted, optional};

/// The ways in which a header's, a parameter's or a claim's value is compared.
pub(super) const VALUE_MATCH: &[&str] = &["exact", "prefix", "suffix", "contains", "regex", "present"];

pub(super) const EXACT: Field = optional("exact", Kind::Text("a value"), "The value is this.");

pub(super) const BEGINNING: Field = optional("prefix", Kind::Text("a value"), "The value begins with this.");

pub(super) const END: Field = optional("suffix", Kind::Text("a value"), "The value ends with this.");

pub(super) const CONTAINED: Field = optional("contains", Kind::Text("a value"), "The value contains this.");

pub(super) const PATTERN: Field = optional(
    "regex",
    Kind::Text("a regular expression"),
    "The whole value matches.",
);

pub(super) const INVERT: Field = defaulted(
    "invert",
    Kind::Boolean,
    "false",
    "The condition holds where the rest does not.",
);

pub(super) const PATH: Field = optional("path", Kind::Text("/a/b"), "The whole path.");

pub(super) const PATH_PREFIX: Field = optional(
    "prefix",
    Kind::Text("/a"),
    "The path's beginning, on segment borders: `/a` takes `/a/b`, not `/ab`.",
);

pub(super) const PATH_STRING_PREFIX: Field = optional(
    "string_prefix",
    Kind::Text("/a"),
    "The path's beginning as a text: `/a` takes `/a/b` and `/ab`.",
);

pub(super) const PATH_TEMPLATE: Field = optional(
    "template",
    Kind::Text("/a/{id}/b"),
    "Segments, of which `{name}` takes exactly one.",
);

pub(super) const PATH_PATTERN: Field = optional(
    "regex",
    Kind::Text("a regular expression"),
    "The whole path matches.",
);
