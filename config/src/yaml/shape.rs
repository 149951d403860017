//! The vocabulary in which the document's objects are declared.
//!
//! A [`Shape`] lists an object's fields once; the reader refuses what is not in it, checks limits and choices by it,
//! and the JSON Schema is printed from it. Shapes hold no values and read nothing.

/// An object: its fields and which of them exclude each other.
#[derive(Debug)]
pub(crate) struct Shape {
    /// What messages call it: "listener".
    pub(crate) name: &'static str,
    /// One sentence for the schema.
    pub(crate) about: &'static str,
    pub(crate) fields: &'static [Field],
    /// Exactly one of these is given.
    pub(crate) exactly_one: &'static [&'static str],
    /// At most one of these is given.
    pub(crate) at_most_one: &'static [&'static str],
    /// At least one of these is given.
    pub(crate) at_least_one: &'static [&'static str],
}

impl Shape {
    pub(crate) const fn new(name: &'static str, about: &'static str, fields: &'static [Field]) -> Shape {
        Shape {
            name,
            about,
            fields,
            exactly_one: &[],
            at_most_one: &[],
            at_least_one: &[],
        }
    }
    pub(crate) const fn with_exactly_one(mut self, names: &'static [&'static str]) -> Shape {
        self.exactly_one = names;
        self
    }
    pub(crate) const fn with_at_most_one(mut self, names: &'static [&'static str]) -> Shape {
        self.at_most_one = names;
        self
    }
    pub(crate) const fn with_at_least_one(mut self, names: &'static [&'static str]) -> Shape {
        self.at_least_one = names;
        self
    }
    pub(crate) fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }
    pub(crate) fn field_names(&self) -> impl Iterator<Item = &'static str> {
        self.fields.iter().map(|field| field.name)
    }
}

/// A field of an object.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) required: bool,
    /// What is in force when it is not given, as YAML; none: nothing is, or `about` says it.
    pub(crate) default: Option<&'static str>,
    /// One sentence for the schema.
    pub(crate) about: &'static str,
}

/// A field that must be given.
pub(crate) const fn required(name: &'static str, kind: Kind, about: &'static str) -> Field {
    Field {
        name,
        kind,
        required: true,
        default: None,
        about,
    }
}

/// A field that may be left out.
pub(crate) const fn optional(name: &'static str, kind: Kind, about: &'static str) -> Field {
    Field {
        name,
        kind,
        required: false,
        default: None,
        about,
    }
}

/// A field that may be left out, and what is in force then.
pub(crate) const fn defaulted(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    about: &'static str,
) -> Field {
    Field {
        name,
        kind,
        required: false,
        default: Some(default),
        about,
    }
}

/// What a value may be.
#[derive(Debug)]
pub(crate) enum Kind {
    /// A name of policy.
    Name,
    /// Any text, with what it must be like in words.
    Text(&'static str),
    /// `true` or `false`.
    Boolean,
    /// A whole number.
    Integer { min: u64, max: u64 },
    /// A whole number, or `off`.
    IntegerOrOff { min: u64, max: u64 },
    /// A number of bytes: `65536`, `64KiB`.
    Size { min: u64, max: u64 },
    /// A share of 100, as `12.5`.
    Percent,
    /// A time span: `15s`; may it be zero?
    Duration { zero: bool },
    /// A time span, or `off`.
    DurationOrOff { zero: bool },
    /// An IP address and a port.
    Address,
    /// A file name, relative to the document's directory.
    File,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// One of these numbers.
    Number(&'static [u16]),
    /// A list.
    List(&'static Kind),
    /// A list that is not empty.
    FilledList(&'static Kind),
    /// A map with free keys.
    Map(&'static Kind),
    /// An object.
    Object(&'static Shape),
    /// One of these kinds.
    Either(&'static [Kind]),
}
