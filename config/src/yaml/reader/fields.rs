//! An open object: its fields, read by the kinds that its shape declares.

use super::{Reader, alternatives, describe, is_off, quoted, scalar_of};
use crate::diagnostic::Span;
use crate::model::Name;
use crate::yaml::scalar::{self, Problem};
use crate::yaml::shape::{Field, Kind, Shape};
use crate::yaml::tree::{Entry, Node, Value};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What a field says that is true, false or a map.
pub(crate) enum Said<'n> {
    /// Nothing, or `false`.
    Off,
    /// `true`: the defaults.
    On,
    Settings(&'n Node),
}

/// An object that is being read. Fields that it may not have, and those that it must have, are checked when it is
/// opened.
pub(crate) struct Fields<'n> {
    pub(crate) span: Span,
    shape: &'static Shape,
    entries: &'n [Entry],
    #[cfg(test)]
    asked: std::cell::RefCell<std::collections::BTreeSet<String>>,
}

impl<'n> Fields<'n> {
    pub(super) fn new(span: Span, shape: &'static Shape, entries: &'n [Entry]) -> Fields<'n> {
        Fields {
            span,
            shape,
            entries,
            #[cfg(test)]
            asked: Default::default(),
        }
    }

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

    /// Refuses every field but these, where only a part of an object is read.
    pub(crate) fn refuse_others(&self, reader: &mut Reader<'_>, names: &[&str]) {
        for entry in self
            .entries
            .iter()
            .filter(|entry| !names.contains(&entry.key.as_str()))
        {
            let message = format!("`{}` may not be given here", entry.key);
            reader.fault_with_help(entry.key_span, message, format!("it may have {}", quoted(names)));
        }
        #[cfg(test)]
        self.asked
            .borrow_mut()
            .extend(self.shape.field_names().map(str::to_owned));
    }

    /// Leaves the values of fields that were not asked for to a reading that comes later.
    pub(crate) fn pass_on(self) {
        #[cfg(test)]
        self.asked
            .borrow_mut()
            .extend(self.shape.field_names().map(str::to_owned));
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

    /// What a field says that is true, false or a map.
    pub(crate) fn said(&self, reader: &mut Reader<'_>, name: &str) -> Said<'n> {
        let Some(node) = self.node(reader, name) else {
            return Said::Off;
        };
        match scalar_of(node) {
            None => Said::Settings(node),
            Some(_) => match self.boolean(reader, name) {
                Some(true) => Said::On,
                Some(false) | None => Said::Off,
            },
        }
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

    /// A duration that is counted in seconds where it goes.
    pub(crate) fn whole_seconds(&self, reader: &mut Reader<'_>, name: &str) -> Option<Duration> {
        let span = self.duration(reader, name)?;
        if span.subsec_nanos() != 0 {
            reader.fault(
                self.span_of(name),
                format!("`{name}` is counted in whole seconds"),
            );
        }
        Some(span)
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
    pub(crate) fn list(&self, reader: &mut Reader<'_>, name: &str) -> &'n [Arc<Node>] {
        let Some(node) = self.node(reader, name) else {
            return &[];
        };
        reader.items(node, matches!(self.field(name).kind, Kind::FilledList(_)))
    }

    /// The field is not given, or an empty list.
    pub(crate) fn list_is_empty(&self, name: &str) -> bool {
        self.entry(name)
            .is_none_or(|entry| matches!(&entry.value.value, Value::List(items) if items.is_empty()))
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
