//! Reads a tree by its shapes and collects what is wrong.
//!
//! Reading never stops at a fault: a value that is wrong is reported and a stand-in is returned, so that one pass finds
//! everything. A document with a fault is refused as a whole, so no stand-in is ever used.

use super::scalar::{self, Problem};
use super::shape::{Field, Kind, Shape};
use super::tree::{Entry, Node, Scalar, Value};
use super::unsupported;
use crate::diagnostic::{Diagnostic, Severity, Span};
use crate::model::{Name, Origin};
use crate::suggest::nearest;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Faults that are kept; the rest is counted.
const FAULTS_MAX: usize = 1_000;
/// Faults that get a suggestion, which bounds the work of finding one.
const SUGGESTIONS_MAX: usize = 200;

/// What one document's reading knows and finds.
pub(crate) struct Reader<'a> {
    file: Arc<str>,
    directory: &'a Path,
    pub(crate) diagnostics: Vec<Diagnostic>,
    faults: usize,
    suggestions: usize,
    /// Clusters that the document declares.
    pub(crate) clusters: Declared,
    /// Route configurations that the document declares.
    pub(crate) route_configurations: Declared,
}

/// Declared names of one kind, and whether something refers to them.
#[derive(Default)]
pub(crate) struct Declared(pub(crate) BTreeMap<String, bool>);

/// An object that is being read. Fields that it may not have, and those that it must have, are checked when it is
/// opened.
pub(crate) struct Fields<'n> {
    pub(crate) span: Span,
    shape: &'static Shape,
    entries: &'n [Entry],
    #[cfg(test)]
    asked: std::cell::RefCell<std::collections::BTreeSet<String>>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(file: &str, directory: &'a Path) -> Reader<'a> {
        Reader {
            file: file.into(),
            directory,
            diagnostics: Vec::new(),
            faults: 0,
            suggestions: 0,
            clusters: Declared::default(),
            route_configurations: Declared::default(),
        }
    }

    pub(crate) fn fault(&mut self, span: Span, message: impl Into<String>) {
        self.report(Severity::Error, span, message.into(), None);
    }

    pub(crate) fn fault_with_help(
        &mut self,
        span: Span,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.report(Severity::Error, span, message.into(), Some(help.into()));
    }

    pub(crate) fn warn(&mut self, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.report(Severity::Warning, span, message.into(), Some(help.into()));
    }

    /// How many faults there are, those that were not kept included.
    pub(crate) fn fault_count(&self) -> usize {
        self.faults
    }

    pub(crate) fn report(&mut self, severity: Severity, span: Span, message: String, help: Option<String>) {
        self.faults += usize::from(severity == Severity::Error);
        if self.diagnostics.len() < FAULTS_MAX {
            let (file, snippet) = (Arc::clone(&self.file), String::new());
            self.diagnostics.push(Diagnostic {
                severity,
                message,
                file,
                span,
                help,
                snippet,
            });
        }
    }

    /// The valid name nearest to a wrong one, while suggestions last.
    pub(crate) fn nearest<'c>(
        &mut self,
        word: &str,
        valid: impl Iterator<Item = &'c str>,
    ) -> Option<&'c str> {
        self.suggestions += 1;
        if self.suggestions > SUGGESTIONS_MAX {
            None
        } else {
            nearest(word, valid)
        }
    }

    pub(crate) fn origin(&self, span: Span) -> Origin {
        Origin {
            file: Some(Arc::clone(&self.file)),
            line: span.line,
            column: span.column,
        }
    }

    /// A file name of the document, from the document's directory.
    pub(crate) fn resolve(&self, file: &str) -> PathBuf {
        self.directory.join(file)
    }

    /// A value with its place, read by `parse`; a fault if it is not a text or `parse` refuses it.
    pub(crate) fn parse<T>(
        &mut self,
        node: &Node,
        expected: &str,
        parse: impl FnOnce(&str) -> Result<T, Problem>,
    ) -> Option<T> {
        match &node.value {
            Value::Scalar(scalar) if !scalar.nothing => match parse(&scalar.text) {
                Ok(value) => Some(value),
                Err(problem) => {
                    self.report(Severity::Error, node.span, problem.message, problem.help);
                    None
                }
            },
            _ => {
                self.fault(
                    node.span,
                    format!("expected {expected}, found {}", describe(node)),
                );
                None
            }
        }
    }

    pub(crate) fn text(&mut self, node: &Node, expected: &str) -> Option<String> {
        self.parse(node, expected, |text| Ok(text.to_owned()))
    }

    pub(crate) fn name(&mut self, node: &Node) -> Option<Name> {
        self.parse(node, "a name", scalar::name)
    }

    /// The items of a list; a fault if it is none, or empty where it may not be.
    pub(crate) fn items<'n>(&mut self, node: &'n Node, filled: bool) -> &'n [Rc<Node>] {
        match &node.value {
            Value::List(items) => {
                if items.is_empty() && filled {
                    self.fault(node.span, "this list may not be empty");
                }
                items
            }
            _ => {
                let help = "write `[value]`, or one `- value` a line";
                self.fault_with_help(
                    node.span,
                    format!("expected a list, found {}", describe(node)),
                    help,
                );
                &[]
            }
        }
    }

    /// The entries of a map with free keys.
    pub(crate) fn entries<'n>(&mut self, node: &'n Node) -> &'n [Entry] {
        match &node.value {
            Value::Map(entries) => entries,
            _ => {
                self.fault(node.span, format!("expected a map, found {}", describe(node)));
                &[]
            }
        }
    }

    /// Opens an object: reports fields that it may not have, fields that are missing, and fields that exclude each
    /// other.
    pub(crate) fn fields<'n>(&mut self, node: &'n Node, shape: &'static Shape) -> Option<Fields<'n>> {
        let Value::Map(entries) = &node.value else {
            let message = format!("expected a map ({}), found {}", shape.name, describe(node));
            self.fault(node.span, message);
            return None;
        };
        for entry in entries {
            if shape.field(&entry.key).is_none() {
                self.unknown_field(entry, shape);
            }
        }
        let given = |name: &str| entries.iter().find(|entry| entry.key == name);
        for field in shape.fields.iter().filter(|field| field.required) {
            if given(field.name).is_none() {
                self.fault(
                    node.span,
                    format!("missing field `{}` in {}", field.name, shape.name),
                );
            }
        }
        for (names, needed) in [(shape.exactly_one, true), (shape.at_most_one, false)] {
            let found: Vec<&Entry> = entries
                .iter()
                .filter(|entry| names.contains(&entry.key.as_str()))
                .collect();
            if found.is_empty() && needed && !names.is_empty() {
                self.fault(
                    node.span,
                    format!("one of {} is missing in {}", quoted(names), shape.name),
                );
            }
            for second in found.iter().skip(1) {
                let message = format!("`{}` and `{}` exclude each other", found[0].key, second.key);
                let help = format!(
                    "{} one of {}",
                    if needed { "give exactly" } else { "give at most" },
                    quoted(names)
                );
                self.fault_with_help(second.key_span, message, help);
            }
        }
        Some(Fields {
            span: node.span,
            shape,
            entries,
            #[cfg(test)]
            asked: Default::default(),
        })
    }

    fn unknown_field(&mut self, entry: &Entry, shape: &'static Shape) {
        let help = if let Some(what) = unsupported::explain(&entry.key) {
            format!("not implemented: {what}")
        } else if entry.key == "<<" {
            "merge keys are not supported; use an alias for a whole value".to_owned()
        } else if let Some(near) = self.nearest(&entry.key, shape.field_names()) {
            format!("did you mean `{near}`?")
        } else {
            format!("it may have {}", quoted(&shape.field_names().collect::<Vec<_>>()))
        };
        self.fault_with_help(
            entry.key_span,
            format!("unknown field `{}` in {}", entry.key, shape.name),
            help,
        );
    }

    /// A word out of a choice, with what it stands for.
    pub(crate) fn choose<T: Copy>(&mut self, node: &Node, choices: &[(&str, T)]) -> Option<T> {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let Some(text) = scalar_of(node)
            .filter(|scalar| !scalar.nothing)
            .map(|scalar| scalar.text.as_str())
        else {
            self.fault(
                node.span,
                format!("expected {}, found {}", alternatives(&words), describe(node)),
            );
            return None;
        };
        if let Some((_, value)) = choices.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let message = format!("expected {}, found {}", alternatives(&words), describe(node));
        if let Some(what) = unsupported::explain(&text.to_lowercase()) {
            self.fault_with_help(node.span, message, format!("not implemented: {what}"));
        } else if let Some(near) = self.nearest(text, words.iter().copied()) {
            self.fault_with_help(node.span, message, format!("did you mean `{near}`?"));
        } else {
            self.fault(node.span, message);
        }
        None
    }

    fn integer(&mut self, node: &Node, min: u64, max: u64) -> Option<u64> {
        if let Some(Scalar {
            quoted: true, text, ..
        }) = scalar_of(node)
            && text.parse::<u64>().is_ok()
        {
            let message = format!("expected a number, found {}", describe(node));
            self.fault_with_help(node.span, message, "remove the quotes");
            return None;
        }
        let value = self.parse(node, "a number", scalar::integer)?;
        self.bounded(node, value, min, max)
    }

    fn bounded(&mut self, node: &Node, value: u64, min: u64, max: u64) -> Option<u64> {
        if (min..=max).contains(&value) {
            return Some(value);
        }
        self.fault(node.span, format!("{value} is not between {min} and {max}"));
        None
    }

    fn duration(&mut self, node: &Node, zero: bool, off: bool) -> Option<Duration> {
        let expected = if off { "a duration or `off`" } else { "a duration" };
        let value = self.parse(node, expected, scalar::duration)?;
        if value.is_zero() && !zero {
            let help = if off {
                "write `off` for no limit"
            } else {
                "it has no meaning as zero"
            };
            self.fault_with_help(node.span, "this duration may not be zero", help);
            return None;
        }
        Some(value)
    }
}

impl<'n> Fields<'n> {
    fn field(&self, name: &str) -> &'static Field {
        self.shape
            .field(name)
            .expect("the reader asks only for fields of the shape")
    }

    /// The field's entry, if it is given.
    pub(crate) fn entry(&self, name: &str) -> Option<&'n Entry> {
        #[cfg(test)]
        self.asked.borrow_mut().insert(name.to_owned());
        debug_assert!(
            self.shape.field(name).is_some(),
            "{} has no field {name}",
            self.shape.name
        );
        self.entries.iter().find(|entry| entry.key == name)
    }

    /// The field's value, if it is given; a fault if it is given without one.
    pub(crate) fn node(&self, reader: &mut Reader<'_>, name: &str) -> Option<&'n Node> {
        let entry = self.entry(name)?;
        if scalar_of(&entry.value).is_some_and(|scalar| scalar.nothing) {
            let message = format!("`{name}` has no value");
            reader.fault_with_help(entry.key_span, message, "give it one, or remove the field");
            return None;
        }
        Some(&entry.value)
    }

    /// The place of the field's value, or of the object.
    pub(crate) fn span_of(&self, name: &str) -> Span {
        self.entry(name).map_or(self.span, |entry| entry.value.span)
    }

    /// The place of the field's key, or of the object.
    pub(crate) fn key_span_of(&self, name: &str) -> Span {
        self.entry(name).map_or(self.span, |entry| entry.key_span)
    }

    pub(crate) fn name(&self, reader: &mut Reader<'_>, name: &str) -> Option<Name> {
        let node = self.node(reader, name)?;
        reader.name(node)
    }

    pub(crate) fn text(&self, reader: &mut Reader<'_>, name: &str) -> Option<String> {
        let node = self.node(reader, name)?;
        let expected = match &self.field(name).kind {
            Kind::Text(like) => like,
            _ => "a text",
        };
        reader.text(node, expected)
    }

    /// A text that `parse` must take.
    pub(crate) fn parsed<T>(
        &self,
        reader: &mut Reader<'_>,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, Problem>,
    ) -> Option<T> {
        let node = self.node(reader, name)?;
        reader.parse(node, "a text", parse)
    }

    pub(crate) fn file(&self, reader: &mut Reader<'_>, name: &str) -> Option<PathBuf> {
        let node = self.node(reader, name)?;
        let file = reader.parse(node, "a file name", scalar::file)?;
        Some(reader.resolve(&file))
    }

    pub(crate) fn address(&self, reader: &mut Reader<'_>, name: &str) -> Option<SocketAddr> {
        let node = self.node(reader, name)?;
        reader.parse(node, "an IP address and a port", scalar::address)
    }

    pub(crate) fn boolean(&self, reader: &mut Reader<'_>, name: &str) -> Option<bool> {
        let node = self.node(reader, name)?;
        if scalar_of(node).is_some_and(|scalar| scalar.quoted) {
            reader.fault(
                node.span,
                format!("expected true or false, found {}", describe(node)),
            );
            return None;
        }
        reader.parse(node, "true or false", scalar::boolean)
    }

    /// A number within the limits of the field's shape.
    pub(crate) fn integer(&self, reader: &mut Reader<'_>, name: &str) -> Option<u64> {
        let node = self.node(reader, name)?;
        match self.field(name).kind {
            Kind::Integer { min, max } => reader.integer(node, min, max),
            Kind::Number(numbers) => {
                let value = reader.integer(node, 0, u64::MAX)?;
                if numbers.iter().any(|number| u64::from(*number) == value) {
                    return Some(value);
                }
                let words: Vec<String> = numbers.iter().map(u16::to_string).collect();
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                reader.fault(
                    node.span,
                    format!("expected {}, found {value}", alternatives(&words)),
                );
                None
            }
            _ => unreachable!("{name} is declared as a number"),
        }
    }

    /// A 32-bit number within the limits of the field's shape.
    pub(crate) fn integer32(&self, reader: &mut Reader<'_>, name: &str) -> Option<u32> {
        self.integer(reader, name)
            .and_then(|value| u32::try_from(value).ok())
    }

    /// A number, or none for `off`.
    pub(crate) fn integer32_or_off(&self, reader: &mut Reader<'_>, name: &str) -> Option<u32> {
        let node = self.node(reader, name)?;
        let Kind::IntegerOrOff { min, max } = self.field(name).kind else {
            unreachable!("{name} is declared as a number or `off`")
        };
        if is_off(node) {
            return None;
        }
        reader
            .integer(node, min, max)
            .and_then(|value| u32::try_from(value).ok())
    }

    /// A number of bytes within the limits of the field's shape.
    pub(crate) fn size(&self, reader: &mut Reader<'_>, name: &str) -> Option<u64> {
        let node = self.node(reader, name)?;
        let Kind::Size { min, max } = self.field(name).kind else {
            unreachable!("{name} is declared as a size")
        };
        let value = reader.parse(node, "a size", scalar::size)?;
        reader.bounded(node, value, min, max)
    }

    pub(crate) fn duration(&self, reader: &mut Reader<'_>, name: &str) -> Option<Duration> {
        let node = self.node(reader, name)?;
        let Kind::Duration { zero } = self.field(name).kind else {
            unreachable!("{name} is declared as a duration")
        };
        reader.duration(node, zero, false)
    }

    /// A duration; `Some(None)` for `off` or an allowed zero; none if it is not given.
    pub(crate) fn duration_or_off(&self, reader: &mut Reader<'_>, name: &str) -> Option<Option<Duration>> {
        let node = self.node(reader, name)?;
        let Kind::DurationOrOff { zero } = self.field(name).kind else {
            unreachable!("{name} is declared as a duration or `off`")
        };
        if is_off(node) {
            return Some(None);
        }
        Some(reader.duration(node, zero, true).filter(|value| !value.is_zero()))
    }

    pub(crate) fn choice<T: Copy>(
        &self,
        reader: &mut Reader<'_>,
        name: &str,
        choices: &[(&str, T)],
    ) -> Option<T> {
        let node = self.node(reader, name)?;
        debug_assert!(
            matches!(self.field(name).kind, Kind::Choice(words)
                if words.iter().copied().eq(choices.iter().map(|(word, _)| *word))),
            "{name}'s words are those of its shape"
        );
        reader.choose(node, choices)
    }

    /// The items of a list field; empty if it is not given.
    pub(crate) fn list(&self, reader: &mut Reader<'_>, name: &str) -> &'n [Rc<Node>] {
        let Some(node) = self.node(reader, name) else {
            return &[];
        };
        reader.items(node, matches!(self.field(name).kind, Kind::FilledList(_)))
    }

    /// The entries of a map field; empty if it is not given.
    pub(crate) fn map(&self, reader: &mut Reader<'_>, name: &str) -> &'n [Entry] {
        self.node(reader, name).map_or(&[], |node| reader.entries(node))
    }
}

/// Holds the shapes to the reader: a field that is declared and never read would be silently ignored.
#[cfg(test)]
impl Drop for Fields<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let asked = self.asked.borrow();
            for name in self.shape.field_names() {
                assert!(
                    asked.contains(name),
                    "`{name}` of {} is declared and not read",
                    self.shape.name
                );
            }
        }
    }
}

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

    /// Notes that a name is used; the nearest declared one if it is not declared.
    pub(crate) fn refer(&mut self, name: &str) -> bool {
        self.0.get_mut(name).map(|used| *used = true).is_some()
    }
}

pub(crate) fn scalar_of(node: &Node) -> Option<&Scalar> {
    match &node.value {
        Value::Scalar(scalar) => Some(scalar),
        _ => None,
    }
}

pub(crate) fn is_off(node: &Node) -> bool {
    scalar_of(node).is_some_and(|scalar| scalar.text == "off")
}

/// A value in a message.
pub(crate) fn describe(node: &Node) -> String {
    match &node.value {
        Value::Scalar(scalar) if scalar.nothing => "nothing".to_owned(),
        Value::Scalar(scalar) if scalar.text.chars().count() > 60 => "a long text".to_owned(),
        Value::Scalar(scalar) if scalar.quoted => format!("the text \"{}\"", scalar.text),
        Value::Scalar(scalar) => format!("`{}`", scalar.text),
        Value::List(_) => "a list".to_owned(),
        Value::Map(_) => "a map".to_owned(),
    }
}

/// `a`, `b` and `c`.
pub(crate) fn quoted(names: &[&str]) -> String {
    join(names, "and")
}

/// `a`, `b` or `c`.
pub(crate) fn alternatives(names: &[&str]) -> String {
    join(names, "or")
}

fn join(names: &[&str], last: &str) -> String {
    match names {
        [] => String::new(),
        [one] => format!("`{one}`"),
        [first @ .., end] => {
            let first: Vec<String> = first.iter().map(|name| format!("`{name}`")).collect();
            format!("{} {last} `{end}`", first.join(", "))
        }
    }
}
