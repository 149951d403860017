//! Documents that were not written as text: how other fronts (the wire, meshes) hand policy in.
//!
//! A front makes [`Value`]s, each with the [`Path`] of the field that it was made of, in the shape of the YAML document.
//! The one reader checks them and builds the model, so that limits, choices, defaults and messages are the same whatever
//! policy came from. Nothing here knows a protocol.

mod parts;

pub use parts::{
    Assembled, EndpointSet, Parts, Reference, ReferenceKind, assemble, read_endpoints, read_parts,
    read_process,
};

use crate::diagnostic::Span;
use crate::yaml::tree::{Entry, Node, Scalar};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Lists and maps inside each other at most: as in a text.
const NESTING_MAX: usize = crate::yaml::tree::NESTING_MAX;

/// Which field of a resource: `virtual_hosts[2].routes[0].match.prefix`. Cheap to make and to clone; it becomes text only
/// where it is shown.
#[derive(Clone, Default)]
pub struct Path(Option<Rc<Step>>);

struct Step {
    before: Path,
    last: Segment,
}

enum Segment {
    Field(&'static str),
    Key(Box<str>),
    Index(usize),
}

impl Path {
    /// The resource itself.
    pub fn root() -> Path {
        Path::default()
    }
    /// A field of this.
    pub fn field(&self, name: &'static str) -> Path {
        self.step(Segment::Field(name))
    }
    /// The value of a key of this, which is a map.
    pub fn key(&self, key: &str) -> Path {
        self.step(Segment::Key(key.into()))
    }
    /// An item of this, which is a list; counted from 0.
    pub fn index(&self, index: usize) -> Path {
        self.step(Segment::Index(index))
    }
    fn step(&self, last: Segment) -> Path {
        let before = self.clone();
        Path(Some(Rc::new(Step { before, last })))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut steps = Vec::new();
        let mut next = self;
        while let Some(step) = &next.0 {
            steps.push(&step.last);
            next = &step.before;
        }
        for (index, segment) in steps.into_iter().rev().enumerate() {
            match segment {
                Segment::Field(name) if index == 0 => f.write_str(name)?,
                Segment::Field(name) => write!(f, ".{name}")?,
                Segment::Key(key) => write!(f, "[\"{key}\"]")?,
                Segment::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Path({self})")
    }
}

/// A value of a document, with the field that it was made of.
#[derive(Debug, Clone)]
pub struct Value {
    path: Path,
    content: Content,
}

#[derive(Debug, Clone)]
enum Content {
    /// A string, as if it stood in quotes.
    Text(String),
    /// A number, a boolean, or a word, as if it stood there plain.
    Plain(String),
    Nothing,
    List(Vec<Value>),
    Map(Vec<(String, Value)>),
}

impl Value {
    /// A text: it is never taken for a number, a boolean or nothing.
    pub fn text(path: &Path, text: impl Into<String>) -> Value {
        Value::new(path, Content::Text(text.into()))
    }
    /// A number, a boolean or a word of the document's language (`off`, `http2`), by its text.
    pub fn plain(path: &Path, value: impl fmt::Display) -> Value {
        Value::new(path, Content::Plain(value.to_string()))
    }
    /// A duration, exactly.
    pub fn duration(path: &Path, duration: Duration) -> Value {
        let nanoseconds = duration.as_nanos();
        let units = [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us"), (1, "ns")];
        let (size, unit) = units
            .into_iter()
            .find(|(size, _)| nanoseconds.is_multiple_of(*size))
            .expect("every number is a multiple of 1");
        Value::plain(path, format_args!("{}{unit}", nanoseconds / size))
    }
    /// A list.
    pub fn list(path: &Path, items: impl IntoIterator<Item = Value>) -> Value {
        Value::new(path, Content::List(items.into_iter().collect()))
    }
    /// Nothing, as a field without a value has it.
    pub fn nothing(path: &Path) -> Value {
        Value::new(path, Content::Nothing)
    }
    /// The map that this is; itself if it is none.
    pub fn into_map(self) -> Result<Map, Value> {
        match self.content {
            Content::Map(fields) => Ok(Map {
                path: self.path,
                fields,
            }),
            _ => Err(self),
        }
    }
    /// The items of the list that this is; itself if it is none.
    pub fn into_list(self) -> Result<Vec<Value>, Value> {
        match self.content {
            Content::List(items) => Ok(items),
            _ => Err(self),
        }
    }
    /// The text, number or word that this is.
    pub fn as_scalar(&self) -> Option<&str> {
        match &self.content {
            Content::Text(text) | Content::Plain(text) => Some(text),
            Content::Nothing | Content::List(_) | Content::Map(_) => None,
        }
    }
    /// Where it was made of.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn new(path: &Path, content: Content) -> Value {
        let path = path.clone();
        Value { path, content }
    }

    /// The reader's node; its places are numbers into `paths`. None: nested too deeply.
    pub(crate) fn into_node(self, paths: &mut Vec<Path>, depth: usize) -> Option<Arc<Node>> {
        use crate::yaml::tree::Value as Tree;
        if depth > NESTING_MAX {
            return None;
        }
        let span = placed(paths, &self.path);
        let value = match self.content {
            Content::Text(text) => Tree::Scalar(Scalar {
                text,
                quoted: true,
                nothing: false,
            }),
            Content::Plain(text) => Tree::Scalar(Scalar {
                text,
                quoted: false,
                nothing: false,
            }),
            Content::Nothing => Tree::Scalar(Scalar {
                text: String::new(),
                quoted: false,
                nothing: true,
            }),
            Content::List(items) => Tree::List(
                items
                    .into_iter()
                    .map(|item| item.into_node(paths, depth + 1))
                    .collect::<Option<_>>()?,
            ),
            Content::Map(fields) => {
                let mut entries = Vec::with_capacity(fields.len());
                for (key, value) in fields {
                    let key_span = placed(paths, &value.path);
                    let value = value.into_node(paths, depth + 1)?;
                    entries.push(Entry { key, key_span, value });
                }
                Tree::Map(entries)
            }
        };
        Some(Arc::new(Node::made(span, value)))
    }
}

fn placed(paths: &mut Vec<Path>, path: &Path) -> Span {
    paths.push(path.clone());
    Span::of_path(paths.len())
}

/// A map that is being made.
#[derive(Debug, Clone)]
pub struct Map {
    path: Path,
    fields: Vec<(String, Value)>,
}

impl Map {
    /// An empty map.
    pub fn new(path: &Path) -> Map {
        Map {
            path: path.clone(),
            fields: Vec::new(),
        }
    }
    /// Adds a field. One that is there already makes [`Map::duplicate`] tell it.
    pub fn put(&mut self, name: impl Into<String>, value: Value) {
        self.fields.push((name.into(), value));
    }
    /// Adds a field, if there is a value.
    pub fn put_some(&mut self, name: &str, value: Option<Value>) {
        if let Some(value) = value {
            self.put(name, value);
        }
    }
    /// As [`Map::put`], in a chain.
    pub fn with(mut self, name: impl Into<String>, value: Value) -> Map {
        self.put(name, value);
        self
    }
    /// The field is there.
    pub fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|(field, _)| field == name)
    }
    /// Takes a field out.
    pub fn take(&mut self, name: &str) -> Option<Value> {
        let at = self.fields.iter().position(|(field, _)| field == name)?;
        Some(self.fields.remove(at).1)
    }
    /// Nothing was put in.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }
    /// A field that was put in twice, by its name and the second value's place.
    pub fn duplicate(&self) -> Option<(&str, &Path)> {
        let mut seen = std::collections::HashSet::new();
        let twice = self.fields.iter().find(|(name, _)| !seen.insert(name));
        twice.map(|(name, value)| (name.as_str(), &value.path))
    }
    /// The names and values, in order.
    pub fn into_fields(self) -> Vec<(String, Value)> {
        self.fields
    }
}

impl From<Map> for Value {
    fn from(map: Map) -> Value {
        Value {
            path: map.path,
            content: Content::Map(map.fields),
        }
    }
}

#[cfg(test)]
mod tests;
