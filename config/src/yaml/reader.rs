//! Reads a tree by its shapes and collects what is wrong.
//!
//! Reading never stops at a fault: a value that is wrong is reported and a stand-in is returned, so that one pass finds
//! everything. A document with a fault is refused as a whole, so no stand-in is ever used.

mod declared;
mod fields;
mod readings;

pub(crate) use declared::{Declarations, Part};
pub(crate) use fields::{Fields, Said};
pub(crate) use readings::{Reading, Readings};

use super::scalar::{self, Problem};
use super::shape::Shape;
use super::tree::{Entry, Node, Scalar, Value};
use super::unsupported;
use crate::diagnostic::{Diagnostic, Severity, Span};
use crate::document;
use crate::model::{Name, Origin};
use crate::receipt::{Code, Counts};
use crate::suggest::nearest;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Faults that are kept, and as many warnings; the rest is counted.
pub(crate) const DIAGNOSTICS_MAX: usize = 1_000;
/// Names that are compared with wrong ones, all together; after that, faults get no suggestion.
const COMPARISONS_MAX: usize = 100_000;

/// A field of a resource.
enum Field {
    Path(document::Path),
    /// As it was shown before.
    Text(Arc<str>),
}

/// Documents by the numbers that places in them have, in that order: it is the order in which diagnostics are told.
pub(crate) type Documents = Arc<Vec<(u32, Arc<str>)>>;

/// What one document's reading knows and finds.
pub(crate) struct Reader<'a> {
    /// Documents that places may be in; never empty.
    documents: Documents,
    /// Fields of resources, by the numbers in places.
    paths: Vec<Field>,
    directory: &'a Path,
    pub(crate) diagnostics: Vec<Diagnostic>,
    faults: usize,
    warnings: usize,
    comparisons: usize,
    /// What is being read, as warnings name it.
    part: Option<Arc<str>>,
    /// Warnings by what they are about, those that were not kept included.
    pub(crate) remarked: Counts,
    /// Names that the document declares.
    pub(crate) declarations: Declarations,
    /// Parts that were read before, and those that are to be known later.
    pub(crate) readings: Readings,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(file: &str, directory: &'a Path) -> Reader<'a> {
        Reader {
            documents: Arc::new(vec![(0, file.into())]),
            paths: Vec::new(),
            directory,
            diagnostics: Vec::new(),
            faults: 0,
            warnings: 0,
            comparisons: 0,
            part: None,
            remarked: Counts::default(),
            declarations: Declarations::default(),
            readings: Readings::default(),
        }
    }

    /// A reader of several documents; places have their numbers.
    pub(crate) fn of_documents(documents: &Documents, directory: &'a Path) -> Reader<'a> {
        let mut reader = Reader::new("", directory);
        if !documents.is_empty() {
            reader.documents = Arc::clone(documents);
        }
        reader
    }

    /// The documents that places may be in.
    pub(crate) fn documents(&self) -> Documents {
        Arc::clone(&self.documents)
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

    pub(crate) fn warn(
        &mut self,
        code: Code,
        span: Span,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let part = self.part.clone();
        self.remark(code, part, span, message.into(), help.into());
    }

    /// As [`Reader::warn`], of a part that was read before.
    pub(crate) fn warn_of(
        &mut self,
        code: Code,
        (what, name): (&str, &Name),
        origin: &Origin,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let part = Some(format!("{what} `{name}`").into());
        let span = self.place(origin);
        self.remark(code, part, span, message.into(), help.into());
    }

    fn remark(&mut self, code: Code, part: Option<Arc<str>>, span: Span, message: String, help: String) {
        self.report(Severity::Warning, span, message, Some(help));
        self.remarked.add(Some(code));
        if self.warnings <= DIAGNOSTICS_MAX
            && let Some(last) = self.diagnostics.last_mut()
        {
            last.code = Some(code);
            last.part = part;
        }
    }

    /// Reads a part; what [`Reader::enter`] says there counts no longer afterwards.
    pub(crate) fn within<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        let around = self.part.clone();
        let read = read(self);
        self.part = around;
        read
    }

    /// From here on warnings are about this part.
    pub(crate) fn enter(&mut self, what: &str, name: &Name) {
        self.part = Some(format!("{what} `{name}`").into());
    }

    /// How many faults there are, those that were not kept included.
    pub(crate) fn fault_count(&self) -> usize {
        self.faults
    }

    /// How many warnings there are, those that were not kept included.
    pub(crate) fn warning_count(&self) -> usize {
        self.warnings
    }

    pub(crate) fn report(&mut self, severity: Severity, span: Span, message: String, help: Option<String>) {
        let count = match severity {
            Severity::Error => &mut self.faults,
            Severity::Warning => &mut self.warnings,
        };
        *count += 1;
        if *count <= DIAGNOSTICS_MAX {
            self.diagnostics.push(Diagnostic {
                severity,
                code: None,
                message,
                part: None,
                field: None,
                file: Arc::clone(self.document(span)),
                span,
                path: self.path(span),
                help,
                snippet: String::new(),
            });
        }
    }

    /// The valid name nearest to a wrong one, while comparisons are left.
    pub(crate) fn nearest<'c>(
        &mut self,
        word: &str,
        valid: impl Iterator<Item = &'c str>,
    ) -> Option<&'c str> {
        if self.comparisons > COMPARISONS_MAX {
            return None;
        }
        nearest(word, valid.inspect(|_| self.comparisons += 1))
    }

    /// The document that a place is in.
    fn document(&self, span: Span) -> &Arc<str> {
        let found = self
            .documents
            .binary_search_by_key(&span.document, |(number, _)| *number);
        &self.documents[found.unwrap_or(0)].1
    }

    /// The field of a resource that a place is; empty if it is a resource and nothing is known of where.
    fn path(&self, span: Span) -> Option<Arc<str>> {
        if span.column > 0 {
            return None;
        }
        let field = span.path().and_then(|number| self.paths.get(number - 1));
        Some(match field {
            Some(Field::Path(path)) => path.to_string().into(),
            Some(Field::Text(text)) => Arc::clone(text),
            None => "".into(),
        })
    }

    pub(crate) fn origin(&self, span: Span) -> Origin {
        let path = self.path(span);
        let (line, column) = match path {
            Some(_) => (0, 0),
            None => (span.line, span.column),
        };
        Origin {
            file: Some(Arc::clone(self.document(span))),
            line,
            column,
            path,
        }
    }

    /// The place of a part, also of one that was read before.
    pub(crate) fn place(&mut self, origin: &Origin) -> Span {
        let name = origin.file.as_ref();
        let known = |(_, document): &&(u32, Arc<str>)| name.is_none_or(|name| document == name);
        let document = match self.documents.iter().find(known) {
            Some((number, _)) => *number,
            None => {
                let number = self
                    .documents
                    .last()
                    .map_or(0, |(last, _)| last.saturating_add(1));
                let name = name.cloned().unwrap_or_default();
                Arc::make_mut(&mut self.documents).push((number, name));
                number
            }
        };
        let mut span = Span {
            line: origin.line,
            column: origin.column,
            length: 1,
            ..Span::default()
        };
        if let Some(path) = &origin.path {
            self.paths.push(Field::Text(Arc::clone(path)));
            span = Span::of_path(self.paths.len());
        }
        span.document = document;
        span
    }

    /// A place in a message about another one.
    pub(crate) fn shown(&self, span: Span, beside: Span) -> String {
        match self.path(span) {
            Some(path) => path.to_string(),
            None if span.document == beside.document => format!("{}:{}", span.line, span.column),
            None => format!("{}:{}:{}", self.document(span), span.line, span.column),
        }
    }

    /// Takes in a document that another front made; none if it is nested too deeply.
    pub(crate) fn adopt(&mut self, document: document::Value) -> Option<Arc<Node>> {
        let mut paths = Vec::new();
        let root = document.into_node(&mut paths, 0);
        self.paths = paths.into_iter().map(Field::Path).collect();
        root
    }

    /// Opens an object of which only these fields may be given.
    pub(crate) fn part_of<'n>(
        &mut self,
        node: &'n Node,
        shape: &'static Shape,
        names: &[&str],
    ) -> Option<Fields<'n>> {
        let Value::Map(entries) = &node.value else {
            self.mismatch(node, &format!("a map of {}", quoted(names)));
            return None;
        };
        let fields = Fields::new(node.span, shape, entries);
        fields.refuse_others(self, names);
        Some(fields)
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
                self.mismatch(node, expected);
                None
            }
        }
    }

    /// Another type of value was expected.
    pub(crate) fn mismatch(&mut self, node: &Node, expected: &str) {
        if !matches!(node.value, Value::Broken) {
            self.fault(
                node.span,
                format!("expected {expected}, found {}", describe(node)),
            );
        }
    }

    pub(crate) fn text(&mut self, node: &Node, expected: &str) -> Option<String> {
        self.parse(node, expected, |text| Ok(text.to_owned()))
    }

    pub(crate) fn name(&mut self, node: &Node) -> Option<Name> {
        self.parse(node, "a name", scalar::name)
    }

    /// The items of a list; a fault if it is none, or empty where it may not be.
    pub(crate) fn items<'n>(&mut self, node: &'n Node, filled: bool) -> &'n [Arc<Node>] {
        match &node.value {
            Value::List(items) => {
                if items.is_empty() && filled {
                    self.fault(node.span, "this list may not be empty");
                }
                items
            }
            _ => {
                self.mismatch(node, "a list");
                &[]
            }
        }
    }

    /// The entries of a map with free keys.
    pub(crate) fn entries<'n>(&mut self, node: &'n Node) -> &'n [Entry] {
        match &node.value {
            Value::Map(entries) => entries,
            _ => {
                self.mismatch(node, "a map");
                &[]
            }
        }
    }

    /// Opens an object: reports fields that it may not have, fields that are missing, and fields that exclude each
    /// other.
    pub(crate) fn fields<'n>(&mut self, node: &'n Node, shape: &'static Shape) -> Option<Fields<'n>> {
        let Value::Map(entries) = &node.value else {
            self.mismatch(node, &format!("a map ({})", shape.name));
            return None;
        };
        // Misspelt fields are not missing too.
        let mut meant = Vec::new();
        for entry in entries.iter().filter(|entry| shape.field(&entry.key).is_none()) {
            meant.extend(self.unknown_field(entry, shape));
        }
        let given = |name: &str| meant.contains(&name) || entries.iter().any(|entry| entry.key == name);
        for field in shape.fields.iter().filter(|field| field.required) {
            if !given(field.name) {
                self.fault(
                    node.span,
                    format!("missing field `{}` in {}", field.name, shape.name),
                );
            }
        }
        for names in [shape.exactly_one, shape.at_least_one] {
            if !names.is_empty() && !names.iter().any(|name| given(name)) {
                let message = format!("one of {} is missing in {}", quoted(names), shape.name);
                self.fault(node.span, message);
            }
        }
        self.refuse_exclusive(entries, shape.exactly_one, "exactly");
        self.refuse_exclusive(entries, shape.at_most_one, "at most");
        Some(Fields::new(node.span, shape, entries))
    }

    fn refuse_exclusive(&mut self, entries: &[Entry], names: &[&str], how_many: &str) {
        let mut found = entries.iter().filter(|entry| names.contains(&entry.key.as_str()));
        let Some(first) = found.next() else { return };
        for second in found {
            let message = format!("`{}` and `{}` exclude each other", first.key, second.key);
            let help = format!("give {how_many} one of {}", quoted(names));
            self.fault_with_help(second.key_span, message, help);
        }
    }

    /// Reports a field that an object may not have; the field that was meant, if one is near.
    fn unknown_field(&mut self, entry: &Entry, shape: &'static Shape) -> Option<&'static str> {
        let message = format!("unknown field `{}` in {}", entry.key, shape.name);
        let mut meant = None;
        let help = if let Some(what) = unsupported::explain(&entry.key) {
            format!("not implemented: {what}")
        } else if let Some(instead) = unsupported::instead(&entry.key) {
            instead.to_owned()
        } else if entry.key == "<<" {
            "merge keys are not supported; use an alias for a whole value".to_owned()
        } else if let Some(near) = self.called_here(&entry.key, shape) {
            meant = Some(near);
            format!("did you mean `{near}`?")
        } else {
            format!("it may have {}", quoted(&shape.field_names().collect::<Vec<_>>()))
        };
        self.fault_with_help(entry.key_span, message, help);
        meant
    }

    /// The field of an object that a word of another proxy, or a misspelt one, stands for.
    fn called_here(&mut self, word: &str, shape: &'static Shape) -> Option<&'static str> {
        unsupported::meant(word)
            .find(|name| shape.field(name).is_some())
            .or_else(|| self.nearest(word, shape.field_names()))
    }

    /// A word out of a choice, with what it stands for.
    pub(crate) fn choose<T: Copy>(&mut self, node: &Node, choices: &[(&str, T)]) -> Option<T> {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let Some(Scalar {
            text, nothing: false, ..
        }) = scalar_of(node)
        else {
            self.mismatch(node, &alternatives(&words));
            return None;
        };
        if let Some((_, value)) = choices.iter().find(|(word, _)| word == text) {
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

    pub(crate) fn integer(&mut self, node: &Node, min: u64, max: u64) -> Option<u64> {
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
        let message = match min == max {
            true => format!("{value} is not {min}: nothing else is supported"),
            false => format!("{value} is not between {min} and {max}"),
        };
        self.fault(node.span, message);
        None
    }

    pub(super) fn duration(&mut self, node: &Node, zero: bool, off: bool) -> Option<Duration> {
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
        Value::Scalar(scalar) if scalar::holds_key(&scalar.text) => "a private key".to_owned(),
        Value::Scalar(scalar) if scalar.text.chars().count() > 60 => "a long text".to_owned(),
        Value::Scalar(scalar) if scalar.quoted => format!("the text \"{}\"", scalar.text),
        Value::Scalar(scalar) => format!("`{}`", scalar.text),
        Value::List(_) => "a list".to_owned(),
        Value::Map(_) => "a map".to_owned(),
        Value::Broken => "nothing".to_owned(),
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
