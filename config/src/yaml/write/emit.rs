//! A tree of YAML values to text: block style, quoted where a plain text could be read otherwise.

use std::fmt::{Display, Write};

/// A value to write.
pub(super) enum Out {
    /// Written as it is: a number, a word.
    Plain(String),
    /// A text, quoted if needed.
    Text(String),
    List(Vec<Out>),
    Map(Map),
}

/// A map to write, in order.
#[derive(Default)]
pub(super) struct Map(Vec<Line>);

enum Line {
    Entry(String, Out),
    Comment(String),
}

impl Map {
    pub(super) fn put(&mut self, key: &str, value: impl Into<Out>) {
        self.0.push(Line::Entry(key.to_owned(), value.into()));
    }
    pub(super) fn with(mut self, key: &str, value: impl Into<Out>) -> Map {
        self.put(key, value);
        self
    }
    /// Stands for a value that is not written.
    pub(super) fn comment(&mut self, comment: impl Into<String>) {
        self.0.push(Line::Comment(comment.into()));
    }
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    /// There is a value, not only comments.
    fn has_entries(&self) -> bool {
        self.0.iter().any(|line| matches!(line, Line::Entry(..)))
    }
}

impl From<Map> for Out {
    fn from(map: Map) -> Out {
        Out::Map(map)
    }
}

pub(super) fn text(value: impl Display) -> Out {
    Out::Text(value.to_string())
}

pub(super) fn list(values: impl Iterator<Item = impl Into<Out>>) -> Out {
    Out::List(values.map(Into::into).collect())
}

/// The value as JSON: what is no number and no truth value is a text, as it is in YAML for whoever reads the document.
pub(super) fn json(value: &Out) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Out::Plain(word) => match word.as_str() {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            word => match word.parse::<u64>() {
                Ok(number) => number.into(),
                Err(_) => word.into(),
            },
        },
        Out::Text(text) => text.as_str().into(),
        Out::List(items) => items.iter().map(json).collect(),
        Out::Map(map) => json_of_map(map),
    }
}

/// A map as JSON, without its comments.
pub(super) fn json_of_map(map: &Map) -> serde_json::Value {
    let entries = map.0.iter().filter_map(|line| match line {
        Line::Entry(key, value) => Some((key.clone(), json(value))),
        Line::Comment(_) => None,
    });
    serde_json::Value::Object(entries.collect())
}

/// A whole document.
pub(super) fn document(map: &Map) -> String {
    let mut out = String::new();
    lines(&mut out, map, 0, false);
    out
}

/// The lines of a map; the first one's indentation may stand there already (after `- `).
fn lines(out: &mut String, map: &Map, indent: usize, first_is_indented: bool) {
    let mut indented = first_is_indented;
    for line in &map.0 {
        if !std::mem::take(&mut indented) {
            out.push_str(&" ".repeat(indent));
        }
        match line {
            Line::Comment(comment) => {
                let _ = writeln!(out, "# {comment}");
            }
            Line::Entry(key, value) => {
                out.push_str(&scalar(key, false));
                out.push(':');
                after_key(out, value, indent);
            }
        }
    }
}

fn after_key(out: &mut String, value: &Out, indent: usize) {
    match value {
        Out::Map(map) if map.has_entries() => {
            out.push('\n');
            lines(out, map, indent + 2, false);
        }
        Out::Map(map) => {
            out.push_str(" {}");
            for line in &map.0 {
                if let Line::Comment(comment) = line {
                    let _ = write!(out, "  # {comment}");
                }
            }
            out.push('\n');
        }
        Out::List(items)
            if items
                .iter()
                .any(|item| matches!(item, Out::Map(_) | Out::List(_))) =>
        {
            out.push('\n');
            for item in items {
                out.push_str(&" ".repeat(indent + 2));
                out.push_str("- ");
                match item {
                    Out::Map(map) if map.has_entries() => lines(out, map, indent + 4, true),
                    other => {
                        inline(out, other);
                        out.push('\n');
                    }
                }
            }
        }
        other => {
            out.push(' ');
            inline(out, other);
            out.push('\n');
        }
    }
}

/// A value on one line. Long lists of scalars stay on one line: they are names.
fn inline(out: &mut String, value: &Out) {
    match value {
        Out::Plain(word) => out.push_str(word),
        Out::Text(text) => out.push_str(&scalar(text, true)),
        Out::List(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                inline(out, item);
            }
            out.push(']');
        }
        Out::Map(map) => {
            let entries = map.0.iter().filter_map(|line| match line {
                Line::Entry(key, value) => Some((key, value)),
                Line::Comment(_) => None,
            });
            out.push('{');
            for (index, (key, value)) in entries.enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                out.push_str(&scalar(key, false));
                out.push_str(": ");
                inline(out, value);
            }
            out.push('}');
        }
    }
}

/// A text that reads back as itself: plain if that is certain, else in double quotes. Variables are put into values
/// only, so only those need `${` escaped.
fn scalar(text: &str, is_value: bool) -> String {
    let plain = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '/')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_./-".contains(&byte))
        && !matches!(
            text.to_ascii_lowercase().as_str(),
            "null" | "true" | "false" | "yes" | "no" | "on" | "off" | "y" | "n"
        );
    let address = text.parse::<std::net::SocketAddrV4>().is_ok();
    if plain || (is_value && address) {
        return text.to_owned();
    }
    let escaped = if is_value {
        text.replace("${", "$${")
    } else {
        text.to_owned()
    };
    let mut out = String::with_capacity(escaped.len() + 2);
    out.push('"');
    for letter in escaped.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                let _ = write!(out, "\\u{:04X}", letter as u32);
            }
            other if other.is_control() => {
                let _ = write!(out, "\\u{:04X}", other as u32);
            }
            other => out.push(other),
        }
    }
    out.push('"');
    out
}
