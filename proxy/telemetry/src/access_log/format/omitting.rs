//! Formats that leave out what is missing, at leisure: what comes next depends on what was there.

use super::json::{in_key, refuse_twins};
use super::{JsonTemplate, push_number};
use crate::access_log::escape::{push_json, push_text};
use crate::access_log::operator::{FormatError, FormatOptions, Operator, Piece, Value, parse};
use crate::access_log::record::RequestRecord;

#[derive(Debug, Clone)]
pub(super) enum Omitting {
    Text(Vec<Piece>),
    Json(Node),
}

/// A part of a JSON format.
#[derive(Debug, Clone)]
pub(super) enum Node {
    /// An operator alone: a number or a string, or left out.
    Value(Operator),
    /// A string, of which what is missing is left out; itself if nothing is left.
    String(Vec<Piece>),
    /// Keys with their quotes and colon, escaped; left out if no member is left.
    Object(Vec<(Vec<u8>, Node)>),
    List(Vec<Node>),
}

impl Omitting {
    pub(super) fn text(pieces: Vec<Piece>) -> Omitting {
        Omitting::Text(pieces)
    }

    pub(super) fn json(
        members: &[(String, JsonTemplate)],
        options: FormatOptions<'_>,
    ) -> Result<Omitting, FormatError> {
        Ok(Omitting::Json(Node::object(members, options)?))
    }

    pub(super) fn write(&self, record: &RequestRecord<'_>, out: &mut Vec<u8>) {
        match self {
            Omitting::Text(pieces) => push_pieces(pieces, record, out, push_text),
            Omitting::Json(object) => {
                if !object.push(record, out) {
                    out.extend_from_slice(b"{}");
                }
            }
        }
        out.push(b'\n');
    }

    pub(super) fn number_names(&mut self, number_of: &dyn Fn(&str) -> Option<u8>) {
        match self {
            Omitting::Text(pieces) => number_pieces(pieces, number_of),
            Omitting::Json(object) => object.number_names(number_of),
        }
    }
}

impl Node {
    fn object(members: &[(String, JsonTemplate)], options: FormatOptions<'_>) -> Result<Node, FormatError> {
        refuse_twins(members)?;
        let nodes = members.iter().map(|(key, template)| {
            let mut quoted = vec![b'"'];
            push_json(key.as_bytes(), &mut quoted);
            quoted.extend_from_slice(b"\":");
            let node = Node::of(template, options).map_err(|fault| in_key(key, fault))?;
            Ok((quoted, node))
        });
        Ok(Node::Object(nodes.collect::<Result<_, FormatError>>()?))
    }

    pub(super) fn of(template: &JsonTemplate, options: FormatOptions<'_>) -> Result<Node, FormatError> {
        Ok(match template {
            JsonTemplate::Text(template) => match parse(template, options)?.as_slice() {
                [Piece::Operator(operator)] => Node::Value(operator.clone()),
                pieces => Node::String(pieces.iter().map(escaped).collect()),
            },
            JsonTemplate::Object(members) => Node::object(members, options)?,
            JsonTemplate::List(items) => {
                let nodes = items.iter().map(|item| Node::of(item, options));
                Node::List(nodes.collect::<Result<_, _>>()?)
            }
        })
    }

    /// Whether anything was appended.
    pub(super) fn push(&self, record: &RequestRecord<'_>, out: &mut Vec<u8>) -> bool {
        match self {
            Node::Value(operator) => match operator.value(record) {
                Value::Missing => return false,
                Value::Number(number) => push_number(number, out),
                Value::Text(text) => {
                    out.push(b'"');
                    push_json(&text, out);
                    out.push(b'"');
                }
            },
            Node::String(pieces) => {
                out.push(b'"');
                let start = out.len();
                push_pieces(pieces, record, out, push_json);
                if out.len() == start {
                    out.pop();
                    return false;
                }
                out.push(b'"');
            }
            Node::Object(members) => {
                return push_all(members.iter(), [b'{', b'}'], out, |(key, node), out| {
                    out.extend_from_slice(key);
                    node.push(record, out)
                });
            }
            Node::List(items) => {
                return push_all(items.iter(), [b'[', b']'], out, |node, out| {
                    node.push(record, out)
                });
            }
        }
        true
    }

    pub(super) fn number_names(&mut self, number_of: &dyn Fn(&str) -> Option<u8>) {
        match self {
            Node::Value(operator) => operator.number_names(number_of),
            Node::String(pieces) => number_pieces(pieces, number_of),
            Node::Object(members) => members
                .iter_mut()
                .for_each(|(_, node)| node.number_names(number_of)),
            Node::List(items) => items.iter_mut().for_each(|node| node.number_names(number_of)),
        }
    }
}

/// A literal of a JSON string as it is printed.
fn escaped(piece: &Piece) -> Piece {
    match piece {
        Piece::Literal(text) => {
            let mut escaped = Vec::new();
            push_json(text.as_bytes(), &mut escaped);
            Piece::Literal(String::from_utf8(escaped).expect("what is escaped is UTF-8 still"))
        }
        operator => operator.clone(),
    }
}

/// Appends what is there of `items`, with commas between them; nothing at all, and false, if nothing is.
fn push_all<T>(
    items: impl Iterator<Item = T>,
    [open, close]: [u8; 2],
    out: &mut Vec<u8>,
    push: impl Fn(T, &mut Vec<u8>) -> bool,
) -> bool {
    let start = out.len();
    out.push(open);
    for item in items {
        let before = out.len();
        if push(item, out) {
            out.push(b',');
        } else {
            out.truncate(before);
        }
    }
    if out.len() == start + 1 {
        out.truncate(start);
        return false;
    }
    // The last comma.
    out.pop();
    out.push(close);
    true
}

pub(super) fn push_pieces(
    pieces: &[Piece],
    record: &RequestRecord<'_>,
    out: &mut Vec<u8>,
    escape: fn(&[u8], &mut Vec<u8>),
) {
    for piece in pieces {
        match piece {
            Piece::Literal(text) => out.extend_from_slice(text.as_bytes()),
            Piece::Operator(operator) => match operator.value(record) {
                Value::Missing => {}
                Value::Number(number) => push_number(number, out),
                Value::Text(text) => escape(&text, out),
            },
        }
    }
}

pub(super) fn number_pieces(pieces: &mut [Piece], number_of: &dyn Fn(&str) -> Option<u8>) {
    for piece in pieces {
        if let Piece::Operator(operator) = piece {
            operator.number_names(number_of);
        }
    }
}
