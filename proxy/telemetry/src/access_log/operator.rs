//! The operators: what each reads from a record, and how a template is cut into literals and operators.
//!
//! The grammar is Envoy's: `%NAME%`, `%NAME(argument)%`, `%NAME(argument):length%`, and `%%` for a percent sign; an
//! argument may hold percent signs. An operator that does not exist is an error, never an empty field.

mod fault;
mod header;
mod not_here;
mod plain;
mod rare;

use super::record::RequestRecord;
use std::borrow::Cow;

pub use fault::FormatError;
pub(super) use header::{HEADERS, HeaderOperator};
pub(super) use not_here::NOT_HERE;
pub(super) use plain::{PLAIN, Read, milliseconds};
pub(super) use rare::{RARE, Rare};

/// What holds for a whole format.
#[derive(Debug, Clone, Copy, Default)]
pub struct FormatOptions<'o> {
    /// Headers and parameters that print although their names say that they are credentials, which print as `[redacted]`
    /// else. Case does not matter.
    pub headers_allowed: &'o [String],
    /// What is missing is left out: nothing in place of `-` in texts, and no member in place of `null` in JSON.
    pub omit_empty_values: bool,
}

/// One operator of a template.
#[derive(Debug, Clone)]
pub(super) enum Operator {
    /// Reads a field of the record.
    Plain(Read),
    /// Reads a header.
    Header(HeaderOperator),
    /// Anything else, at leisure.
    Rare(Box<Rare>),
}

/// What an operator has to print.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Missing,
    Number(u64),
    /// Bytes from anywhere: to be escaped.
    Text(Cow<'a, [u8]>),
}

impl<'a> From<Option<Cow<'a, [u8]>>> for Value<'a> {
    fn from(text: Option<Cow<'a, [u8]>>) -> Value<'a> {
        text.map_or(Value::Missing, Value::Text)
    }
}

impl Value<'_> {
    pub(super) fn of_number(number: Option<u64>) -> Self {
        number.map_or(Value::Missing, Value::Number)
    }
}

impl Operator {
    /// Whether it prints a number, which JSON does not quote.
    pub(super) fn is_number(&self) -> bool {
        match self {
            Operator::Plain(read) => read.is_number(),
            Operator::Header(_) => false,
            Operator::Rare(rare) => rare.is_number(),
        }
    }

    /// What it prints, for where that is not printed at once.
    pub(super) fn value<'a>(&self, record: &RequestRecord<'a>) -> Value<'a> {
        match self {
            Operator::Plain(read) => read.value(record),
            Operator::Header(header) => header.value(record),
            Operator::Rare(rare) => rare.value(record),
        }
    }

    /// Replaces names of headers by the numbers that they have.
    pub(super) fn number_names(&mut self, number_of: &dyn Fn(&str) -> Option<u8>) {
        match self {
            Operator::Plain(_) => {}
            Operator::Header(header) => header.number_names(number_of),
            Operator::Rare(rare) => rare.number_names(number_of),
        }
    }
}

/// A piece of a template.
#[derive(Debug, Clone)]
pub(super) enum Piece {
    Literal(String),
    Operator(Operator),
}

/// What follows an operator's name.
#[derive(Debug, Clone, Copy)]
struct Argument<'t> {
    /// What stands in parentheses.
    inside: Option<&'t str>,
    length_max: Option<usize>,
}

impl<'t> Argument<'t> {
    fn none(&self) -> Result<(), &'static str> {
        match (self.inside, self.length_max) {
            (None, None) => Ok(()),
            _ => Err("it takes no argument and no length"),
        }
    }

    fn without_length(&self) -> Result<Option<&'t str>, &'static str> {
        match self.length_max {
            None => Ok(self.inside),
            Some(_) => Err("it takes no length"),
        }
    }
}

/// Cuts a template into pieces.
pub(super) fn parse(template: &str, options: FormatOptions<'_>) -> Result<Vec<Piece>, FormatError> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut offset = 0;
    while let Some(before) = template[offset..].find('%') {
        literal.push_str(&template[offset..offset + before]);
        let percent = offset + before;
        let inside = &template[percent + 1..];
        if inside.starts_with('%') {
            literal.push('%');
            offset = percent + 2;
            continue;
        }
        if !literal.is_empty() {
            pieces.push(Piece::Literal(std::mem::take(&mut literal)));
        }
        let (operator, bytes) = parse_operator(inside, percent, options)?;
        pieces.push(Piece::Operator(operator));
        offset = percent + 1 + bytes;
    }
    literal.push_str(&template[offset..]);
    if !literal.is_empty() {
        pieces.push(Piece::Literal(literal));
    }
    Ok(pieces)
}

/// Reads an operator from behind its percent sign, and how many bytes it takes, the closing percent sign included.
fn parse_operator(
    inside: &str,
    offset: usize,
    options: FormatOptions<'_>,
) -> Result<(Operator, usize), FormatError> {
    let unterminated = FormatError::Unterminated { offset };
    let name_end = inside.find(['(', ':', '%']).ok_or(unterminated.clone())?;
    let name = &inside[..name_end];
    let name = known(name, offset)?;
    let fault = |problem| FormatError::Argument {
        operator: name,
        offset,
        problem,
    };
    // A percent sign in parentheses is part of the argument.
    let (argument, rest) = match inside[name_end..].strip_prefix('(') {
        Some(behind) => {
            let (argument, rest) = behind
                .split_once(')')
                .ok_or_else(|| fault("the closing parenthesis is missing"))?;
            (Some(argument), rest)
        }
        None => (None, &inside[name_end..]),
    };
    let (length, behind) = rest.split_once('%').ok_or(unterminated)?;
    let length_max = match length.strip_prefix(':') {
        Some(digits) => Some(
            digits
                .parse()
                .ok()
                .filter(|max| *max > 0)
                .ok_or_else(|| fault("the length must be a number of bytes above 0"))?,
        ),
        None if length.is_empty() => None,
        None => return Err(fault("only :length may follow the parenthesis")),
    };
    let argument = Argument {
        inside: argument,
        length_max,
    };
    let operator = with_argument(name, &argument, options).map_err(fault)?;
    Ok((operator, inside.len() - behind.len()))
}

/// The operator of this name as it is known, if there is one.
fn known(name: &str, offset: usize) -> Result<&'static str, FormatError> {
    let names = plain::all()
        .map(|plain| plain.name)
        .chain(HEADERS.iter().map(|header| header.name))
        .chain(RARE.iter().map(|rare| rare.name));
    if let Some(known) = names.into_iter().find(|known| *known == name) {
        return Ok(known);
    }
    if let Some((operator, instead)) = NOT_HERE.iter().find(|(operator, _)| *operator == name) {
        return Err(FormatError::NotHere {
            operator,
            offset,
            instead,
        });
    }
    Err(FormatError::UnknownOperator {
        operator: name.to_owned(),
        offset,
        nearest: fault::nearest(name),
    })
}

fn with_argument(
    name: &'static str,
    argument: &Argument<'_>,
    options: FormatOptions<'_>,
) -> Result<Operator, &'static str> {
    if let Some(header) = HeaderOperator::parse(name, argument, options) {
        return header.map(Operator::Header);
    }
    if let Some(rare) = Rare::parse(name, argument, options) {
        return rare.map(|rare| Operator::Rare(Box::new(rare)));
    }
    argument.none()?;
    let plain = plain::all().find(|plain| plain.name == name);
    let plain = plain.expect("a known operator that is neither of the others");
    Ok(Operator::Plain(plain.read))
}

#[cfg(test)]
mod tests;
