//! YAML text to a tree of nodes that know their place.
//!
//! This is the only module that meets the YAML parser. It bounds what a document can cost: its size, its nesting, what
//! aliases and variables add. It knows nothing of policy.

use super::substitute::{self, Variables};
use crate::diagnostic::Span;
use crate::source::Environment;
use serde_saphyr::granit_parser::{self, ErrorKind, Event, Marker, Parser, ScalarStyle, Span as ParserSpan};
use std::collections::HashMap;
use std::sync::Arc;

/// Bytes of a document at most.
pub(crate) const DOCUMENT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Lists and maps inside each other at most; policy needs about ten.
pub(crate) const NESTING_MAX: usize = 64;
/// Nodes that aliases may add, all together; beyond it a document is a bomb.
pub(crate) const ALIASED_NODES_MAX: usize = 1_000_000;

/// A value with its place. Nodes are shared: aliases stand for them, and meshes make documents of those they keep. Two are
/// equal if they say the same at the same places.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) value: Value,
    /// Nodes below this one and itself, aliases counted as often as they stand.
    size: usize,
    /// Lists and maps inside each other from here on, those behind aliases included: what recursion over the tree,
    /// dropping it too, costs in stack.
    height: usize,
}

impl Node {
    /// A node that was not parsed: nothing counts its parts, which are bounded by who made it.
    pub(crate) fn made(span: Span, value: Value) -> Node {
        Node {
            span,
            value,
            size: 1,
            height: 0,
        }
    }
}

/// What a node holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Scalar(Scalar),
    List(Vec<Arc<Node>>),
    Map(Vec<Entry>),
    /// A fault has been reported here: nothing more is to be said about it.
    Broken,
}

/// A text. A quoted one is a string; a plain one, or one that a variable went into, may also be a number, a boolean or
/// (plain only) nothing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Scalar {
    pub(crate) text: String,
    pub(crate) quoted: bool,
    pub(crate) nothing: bool,
}

/// A key of a map with its value.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: Span,
    pub(crate) value: Arc<Node>,
}

/// Something wrong with the text itself.
#[derive(Debug)]
pub(crate) struct TextFault {
    pub(crate) span: Span,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

/// What came of a text: the tree, unless the text ended before it was whole, and what is wrong.
pub(crate) struct Parsed {
    pub(crate) root: Option<Arc<Node>>,
    pub(crate) faults: Vec<TextFault>,
}

/// Parses one document and puts variables in. Places in it have the number of the document among the reader's.
pub(crate) fn parse(text: &str, document: u32, environment: &Environment) -> Parsed {
    if text.len() > DOCUMENT_BYTES_MAX {
        let span = Span {
            document,
            line: 1,
            column: 1,
            length: 1,
        };
        let message = format!(
            "the document has {} bytes; at most {DOCUMENT_BYTES_MAX} are read",
            text.len()
        );
        return Parsed {
            root: None,
            faults: vec![TextFault {
                span,
                message,
                help: None,
            }],
        };
    }
    let options = granit_parser::options! {
        emit_comments: false,
        emit_unresolved_aliases: true,
        // The builder's own limit, which has a better message, comes first.
        flow_nesting_limit: NESTING_MAX + 2,
        block_nesting_limit: NESTING_MAX + 2,
    };
    let mut builder = Builder {
        document,
        text,
        variables: Variables::new(environment),
        stack: Vec::new(),
        anchors: HashMap::new(),
        aliased: 0,
        documents: 0,
        root: None,
        faults: Vec::new(),
    };
    for event in Parser::new_from_str_with_options(text, options) {
        let next = match event {
            Ok((event, span)) => builder.event(event, span),
            Err(error) => {
                let span = place(document, *error.marker(), *error.marker());
                let message = match error.kind() {
                    // The parser looks ahead, so that its limit may come before the builder's.
                    ErrorKind::RecursionLimitExceeded => too_deep(),
                    _ => format!("this is not YAML: {}", error.info()),
                };
                builder.fault(span, message, None);
                Err(Stop)
            }
        };
        if next.is_err() {
            return Parsed {
                root: None,
                faults: builder.faults,
            };
        }
    }
    Parsed {
        root: builder.root,
        faults: builder.faults,
    }
}

/// The rest of the text makes no sense; a fault says why.
struct Stop;

struct Builder<'a> {
    document: u32,
    text: &'a str,
    variables: Variables<'a>,
    stack: Vec<Frame>,
    anchors: HashMap<usize, Arc<Node>>,
    aliased: usize,
    documents: usize,
    root: Option<Arc<Node>>,
    faults: Vec<TextFault>,
}

/// A list or map that is being read.
struct Frame {
    span: Span,
    anchor: usize,
    size: usize,
    height: usize,
    content: Content,
}

enum Content {
    List(Vec<Arc<Node>>),
    Map {
        entries: Vec<Entry>,
        seen: HashMap<String, Span>,
        key: Key,
    },
}

/// The key whose value comes next.
enum Key {
    None,
    Text(String, Span),
    /// Not a text, or there already: a fault says so, and the value is dropped.
    Refused,
}

impl Builder<'_> {
    fn fault(&mut self, span: Span, message: impl Into<String>, help: Option<&str>) {
        self.faults.push(TextFault {
            span,
            message: message.into(),
            help: help.map(str::to_owned),
        });
    }

    fn event(&mut self, event: Event<'_>, parser_span: ParserSpan) -> Result<(), Stop> {
        let span = place(self.document, parser_span.start, parser_span.end);
        if let Some(tag) = event.tag() {
            let at = parser_span
                .tag_span()
                .map_or(span, |tag| place(self.document, tag.start, tag.end));
            self.fault(
                at,
                format!("the tag `{}` is not supported", tag.original()),
                Some("remove the tag"),
            );
        }
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    self.fault(
                        span,
                        "a second document",
                        Some("a configuration is one document: remove `---`"),
                    );
                    return Err(Stop);
                }
                Ok(())
            }
            Event::Scalar(text, style, anchor, _) => {
                let node = self.scalar(&text, style, span, &parser_span);
                self.finish(node, anchor);
                Ok(())
            }
            Event::SequenceStart(_, anchor, _) => self.open(span, anchor, Content::List(Vec::new())),
            Event::MappingStart(_, anchor, _) => {
                let content = Content::Map {
                    entries: Vec::new(),
                    seen: HashMap::new(),
                    key: Key::None,
                };
                self.open(span, anchor, content)
            }
            Event::SequenceEnd | Event::MappingEnd => {
                self.close();
                Ok(())
            }
            Event::Alias(anchor) => self.alias(anchor, span),
            Event::UnresolvedAlias(name) => {
                self.fault(span, format!("no anchor `&{name}` comes before this alias"), None);
                self.finish(broken(span), 0);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, span: Span, parser_span: &ParserSpan) -> Node {
        let plain = style == ScalarStyle::Plain;
        let is_key = matches!(
            self.stack.last(),
            Some(Frame {
                content: Content::Map { key: Key::None, .. },
                ..
            })
        );
        let empty = plain && matches!(text, "" | "~" | "null" | "Null" | "NULL");
        let mut scalar = Scalar {
            text: text.to_owned(),
            quoted: !plain,
            nothing: empty,
        };
        if !is_key && text.contains("${") {
            let raw = parser_span.slice(self.text).unwrap_or_default();
            let (replaced, problems) = self.variables.substitute(text);
            if !problems.is_empty() {
                for problem in problems {
                    let at = substitute::place(raw, span, &problem);
                    self.faults.push(TextFault {
                        span: at,
                        message: problem.message,
                        help: problem.help,
                    });
                }
                return broken(span);
            }
            scalar.quoted = !plain && !replaced.changed;
            scalar.text = replaced.text;
        }
        Node {
            span,
            value: Value::Scalar(scalar),
            size: 1,
            height: 0,
        }
    }

    fn open(&mut self, span: Span, anchor: usize, content: Content) -> Result<(), Stop> {
        if self.stack.len() >= NESTING_MAX {
            self.fault(span, too_deep(), None);
            return Err(Stop);
        }
        // Flow collections end at their bracket, block ones have no end to show: one character stands for both.
        self.stack.push(Frame {
            span: Span { length: 1, ..span },
            anchor,
            size: 1,
            height: 1,
            content,
        });
        Ok(())
    }

    fn close(&mut self) {
        if let Some(frame) = self.stack.pop() {
            let value = match frame.content {
                Content::List(items) => Value::List(items),
                Content::Map { entries, .. } => Value::Map(entries),
            };
            self.finish(
                Node {
                    span: frame.span,
                    value,
                    size: frame.size,
                    height: frame.height,
                },
                frame.anchor,
            );
        }
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<(), Stop> {
        let Some(node) = self.anchors.get(&anchor).cloned() else {
            self.fault(span, "this alias stands inside its own anchor", None);
            self.finish(broken(span), 0);
            return Ok(());
        };
        if self.stack.len() + node.height > NESTING_MAX {
            self.fault(span, too_deep(), None);
            return Err(Stop);
        }
        self.aliased = self.aliased.saturating_add(node.size);
        if self.aliased > ALIASED_NODES_MAX {
            self.fault(
                span,
                format!("aliases add more than {ALIASED_NODES_MAX} values"),
                None,
            );
            return Err(Stop);
        }
        self.attach(node);
        Ok(())
    }

    fn finish(&mut self, node: Node, anchor: usize) {
        let node = Arc::new(node);
        if anchor != 0 {
            self.anchors.insert(anchor, Arc::clone(&node));
        }
        self.attach(node);
    }

    fn attach(&mut self, node: Arc<Node>) {
        let Some(frame) = self.stack.last_mut() else {
            self.root = Some(node);
            return;
        };
        frame.size = frame.size.saturating_add(node.size);
        frame.height = frame.height.max(node.height + 1);
        let (entries, seen, key) = match &mut frame.content {
            Content::List(items) => return items.push(node),
            Content::Map { entries, seen, key } => (entries, seen, key),
        };
        match std::mem::replace(key, Key::None) {
            Key::Text(text, key_span) => entries.push(Entry {
                key: text,
                key_span,
                value: node,
            }),
            Key::Refused => {}
            Key::None => match &node.value {
                Value::Scalar(scalar) => {
                    if let Some(first) = seen.insert(scalar.text.clone(), node.span) {
                        seen.insert(scalar.text.clone(), first);
                        *key = Key::Refused;
                        let message = format!("the key `{}` stands twice", scalar.text);
                        let help = format!("it stands first at {}:{}", first.line, first.column);
                        self.faults.push(TextFault {
                            span: node.span,
                            message,
                            help: Some(help),
                        });
                    } else {
                        *key = Key::Text(scalar.text.clone(), node.span);
                    }
                }
                _ => {
                    *key = Key::Refused;
                    self.fault(node.span, "a key must be a text, not a list or a map", None);
                }
            },
        }
    }
}

/// Stands in for a value that could not be read, so that reading goes on.
fn broken(span: Span) -> Node {
    Node {
        span,
        value: Value::Broken,
        size: 1,
        height: 0,
    }
}

fn too_deep() -> String {
    format!("more than {NESTING_MAX} lists and maps inside each other")
}

fn place(document: u32, start: Marker, end: Marker) -> Span {
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    let length = if end.line() == start.line() {
        end.col().saturating_sub(start.col())
    } else {
        1
    };
    Span {
        document,
        line: number(start.line().max(1)),
        column: number(start.col() + 1),
        length: number(length.max(1)),
    }
}
