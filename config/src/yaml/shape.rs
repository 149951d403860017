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
#[derive(Debug, Clone, Copy)]
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

/// An object's fields but some, and some more: objects of other documents are made of ours by it, and follow their
/// changes. `N` is how many that makes.
pub(crate) const fn fields_of<const N: usize>(
    shape: &'static Shape,
    without: &[&str],
    with: &[Field],
) -> [Field; N] {
    let mut fields = [optional("", Kind::Name, ""); N];
    let (mut at, mut from, mut left_out) = (0, 0, 0);
    while from < with.len() {
        fields[at] = with[from];
        (at, from) = (at + 1, from + 1);
    }
    from = 0;
    while from < shape.fields.len() {
        let field = shape.fields[from];
        if holds(without, field.name) {
            left_out += 1;
        } else {
            fields[at] = field;
            at += 1;
        }
        from += 1;
    }
    assert!(at == N, "the number of fields");
    assert!(left_out == without.len(), "what is left out is there");
    fields
}

const fn holds(words: &[&str], word: &str) -> bool {
    let mut at = 0;
    while at < words.len() {
        if same(words[at].as_bytes(), word.as_bytes()) {
            return true;
        }
        at += 1;
    }
    false
}

const fn same(one: &[u8], other: &[u8]) -> bool {
    let mut at = 0;
    while at < one.len() && at < other.len() {
        if one[at] != other[at] {
            return false;
        }
        at += 1;
    }
    one.len() == other.len()
}

/// What a value may be.
#[derive(Debug, Clone, Copy)]
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
    /// Any text, with what it must be like in words, or maps with free keys and lists of such.
    Nested(&'static str),
    /// An object.
    Object(&'static Shape),
    /// One of these kinds.
    Either(&'static [Kind]),
}
