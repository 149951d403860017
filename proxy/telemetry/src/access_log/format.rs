//! Formats, compiled: literals and operators in turn, which are copied and printed one after the other.

mod attributes;
mod json;
mod omitting;

use super::escape::{push_json, push_text};
use super::line::{Line, Literal};
use super::operator::{FormatError, FormatOptions, Operator, Piece, Read, Value, milliseconds, parse};
use super::record::RequestRecord;
use crate::flags::ResponseFlags;
use omitting::Omitting;
use std::net::SocketAddr;
use std::time::SystemTime;

pub use attributes::LogAttributes;
pub use json::JsonTemplate;

/// What one value probably needs of a line, for the first size of a line's buffer.
const VALUE_BYTES: usize = 32;

/// Envoy's default line.
const DEFAULT_TEXT: &str = "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" \
    %RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% \
    %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" \
    \"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\"";

/// The usual fields, by the names that Envoy's users give them.
const DEFAULT_JSON: [(&str, &str); 25] = [
    ("start_time", "%START_TIME%"),
    ("method", "%REQ(:METHOD)%"),
    ("path", "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"),
    ("protocol", "%PROTOCOL%"),
    ("authority", "%REQ(:AUTHORITY)%"),
    ("response_code", "%RESPONSE_CODE%"),
    ("response_code_details", "%RESPONSE_CODE_DETAILS%"),
    ("response_flags", "%RESPONSE_FLAGS%"),
    ("bytes_received", "%BYTES_RECEIVED%"),
    ("bytes_sent", "%BYTES_SENT%"),
    ("duration", "%DURATION%"),
    ("request_duration", "%REQUEST_DURATION%"),
    ("response_duration", "%RESPONSE_DURATION%"),
    ("x_forwarded_for", "%REQ(X-FORWARDED-FOR)%"),
    ("user_agent", "%REQ(USER-AGENT)%"),
    ("request_id", "%REQ(X-REQUEST-ID)%"),
    ("route_name", "%ROUTE_NAME%"),
    ("upstream_cluster", "%UPSTREAM_CLUSTER%"),
    ("upstream_host", "%UPSTREAM_HOST%"),
    ("upstream_attempts", "%UPSTREAM_REQUEST_ATTEMPT_COUNT%"),
    ("downstream_remote_address", "%DOWNSTREAM_REMOTE_ADDRESS%"),
    ("downstream_local_address", "%DOWNSTREAM_LOCAL_ADDRESS%"),
    ("source_identity", "%DOWNSTREAM_PEER_URI_SAN%"),
    ("requested_server_name", "%REQUESTED_SERVER_NAME%"),
    ("connection_id", "%CONNECTION_ID%"),
];

fn default_members() -> Vec<(String, JsonTemplate)> {
    let member = |(key, template): (&str, &str)| (key.to_owned(), JsonTemplate::Text(template.to_owned()));
    DEFAULT_JSON.map(member).into()
}

/// A compiled format. Lines are UTF-8 and end with one newline; values can neither end a line nor a JSON string.
///
/// A header that a format names is thereby allowed to be logged, but credentials print as `[redacted]` unless
/// [`FormatOptions::headers_allowed`] names them.
#[derive(Debug, Clone)]
pub struct AccessLogFormat(Layout);

#[derive(Debug, Clone)]
enum Layout {
    InTurn(InTurn),
    Omitting(Omitting),
}

/// Every value is printed, one after the other.
#[derive(Debug, Clone)]
struct InTurn {
    fields: Vec<Field>,
    /// What follows the last field.
    end: Literal,
    bytes_expected: usize,
}

/// A value and what stands before it.
#[derive(Debug, Clone)]
struct Field {
    before: Literal,
    operator: Operator,
    style: Style,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    /// In a line of text; `-` when missing.
    Text,
    /// A whole JSON value: a number, a string with its quotes, or `null` when missing. What is not a number finds its
    /// opening quote in the literal before it.
    Json,
    /// Inside a JSON string that holds more than it; `-` when missing.
    JsonInside,
}

impl AccessLogFormat {
    /// Envoy's default text line.
    pub fn default_text(options: FormatOptions<'_>) -> AccessLogFormat {
        AccessLogFormat::text(DEFAULT_TEXT, options).expect("a test writes with it")
    }

    /// A JSON object of the usual fields.
    pub fn default_json(options: FormatOptions<'_>) -> AccessLogFormat {
        AccessLogFormat::json(&default_members(), options).expect("a test writes with it")
    }

    /// A line of text with operators. The newline at its end is added if it is not there.
    ///
    /// # Errors
    /// The first fault of the template.
    pub fn text(template: &str, options: FormatOptions<'_>) -> Result<AccessLogFormat, FormatError> {
        let pieces = parse(template.strip_suffix('\n').unwrap_or(template), options)?;
        if options.omit_empty_values {
            return Ok(AccessLogFormat(Layout::Omitting(Omitting::text(pieces))));
        }
        let mut compiler = Compiler::default();
        for piece in pieces {
            match piece {
                Piece::Literal(text) => compiler.literal.extend_from_slice(text.as_bytes()),
                Piece::Operator(operator) => compiler.push(operator, Style::Text),
            }
        }
        Ok(compiler.end_with(b"\n"))
    }

    /// A JSON object: keys to templates, in this order. A template that is one operator becomes a number, a string or
    /// `null`; any other becomes a string.
    ///
    /// # Errors
    /// The first fault, with its key.
    pub fn json(
        members: &[(String, JsonTemplate)],
        options: FormatOptions<'_>,
    ) -> Result<AccessLogFormat, FormatError> {
        if options.omit_empty_values {
            let object = Omitting::json(members, options)?;
            return Ok(AccessLogFormat(Layout::Omitting(object)));
        }
        let mut compiler = Compiler::default();
        compiler.push_json_object(members, options)?;
        Ok(compiler.end_with(b"\n"))
    }

    /// Looks headers up by number from now on, where `number_of` knows one for their name in lower case. Every
    /// [`HeaderLookup`](super::HeaderLookup) of a record that is written must know the same numbers.
    #[must_use]
    pub fn number_names(mut self, number_of: impl Fn(&str) -> Option<u8>) -> AccessLogFormat {
        match &mut self.0 {
            Layout::InTurn(format) => {
                for field in &mut format.fields {
                    field.operator.number_names(&number_of);
                }
            }
            Layout::Omitting(format) => format.number_names(&number_of),
        }
        self
    }

    /// Appends the line of `record` to `out`, its newline included.
    pub fn write(&self, record: &RequestRecord<'_>, out: &mut Vec<u8>) {
        match &self.0 {
            Layout::InTurn(format) => format.write(record, out),
            Layout::Omitting(format) => format.write(record, out),
        }
    }
}

impl InTurn {
    fn write(&self, record: &RequestRecord<'_>, out: &mut Vec<u8>) {
        let mut end = out.len();
        out.resize(end + self.bytes_expected, 0);
        let mut fields = self.fields.iter();
        loop {
            let mut line = Line::new(&mut out[end..]);
            let mut left = line.bytes_left();
            let stopped_at = fields.find(|field| match field.print(record, &mut line) {
                Some(()) => {
                    left = line.bytes_left();
                    false
                }
                None => true,
            });
            end = out.len() - left;
            let Some(field) = stopped_at else {
                break;
            };
            end = self.print_slowly(field, record, out, end);
        }
        out.truncate(end);
        out.extend_from_slice(self.end.as_bytes());
    }

    /// Prints a field behind `end`, and makes room for the others; their end is returned.
    #[cold]
    #[inline(never)]
    fn print_slowly(
        &self,
        field: &Field,
        record: &RequestRecord<'_>,
        out: &mut Vec<u8>,
        end: usize,
    ) -> usize {
        out.truncate(end);
        field.print_at_leisure(record, out);
        let end = out.len();
        out.resize(end + self.bytes_expected, 0);
        end
    }
}

/// A format so far.
#[derive(Default)]
struct Compiler {
    fields: Vec<Field>,
    /// What follows the last field.
    literal: Vec<u8>,
}

impl Compiler {
    fn push(&mut self, operator: Operator, style: Style) {
        if style == Style::Json && !operator.is_number() {
            self.literal.push(b'"');
        }
        let before = Literal::new(&self.literal);
        self.literal.clear();
        self.fields.push(Field {
            before,
            operator,
            style,
        });
    }

    fn push_json_object(
        &mut self,
        members: &[(String, JsonTemplate)],
        options: FormatOptions<'_>,
    ) -> Result<(), FormatError> {
        self.literal.push(b'{');
        json::refuse_twins(members)?;
        for (place, (key, template)) in members.iter().enumerate() {
            let literal = &mut self.literal;
            literal.extend_from_slice(if place == 0 { b"\"" } else { b",\"" });
            push_json(key.as_bytes(), literal);
            literal.extend_from_slice(b"\":");
            self.push_json_template(template, options)
                .map_err(|fault| json::in_key(key, fault))?;
        }
        self.literal.push(b'}');
        Ok(())
    }

    fn push_json_template(
        &mut self,
        template: &JsonTemplate,
        options: FormatOptions<'_>,
    ) -> Result<(), FormatError> {
        match template {
            JsonTemplate::Text(template) => self.push_json_value(parse(template, options)?),
            JsonTemplate::Object(members) => self.push_json_object(members, options)?,
            JsonTemplate::List(items) => {
                self.literal.push(b'[');
                for (place, item) in items.iter().enumerate() {
                    if place > 0 {
                        self.literal.push(b',');
                    }
                    self.push_json_template(item, options)?;
                }
                self.literal.push(b']');
            }
        }
        Ok(())
    }

    fn push_json_value(&mut self, pieces: Vec<Piece>) {
        if let [Piece::Operator(operator)] = pieces.as_slice() {
            return self.push(operator.clone(), Style::Json);
        }
        self.literal.push(b'"');
        for piece in pieces {
            match piece {
                Piece::Literal(text) => push_json(text.as_bytes(), &mut self.literal),
                Piece::Operator(operator) => self.push(operator, Style::JsonInside),
            }
        }
        self.literal.push(b'"');
    }

    fn end_with(mut self, last: &[u8]) -> AccessLogFormat {
        self.literal.extend_from_slice(last);
        let end = Literal::new(&self.literal);
        let literals = self.fields.iter().map(|field| field.before.room_bytes());
        AccessLogFormat(Layout::InTurn(InTurn {
            bytes_expected: literals.sum::<usize>() + end.room_bytes() + self.fields.len() * VALUE_BYTES,
            fields: self.fields,
            end,
        }))
    }
}

impl Field {
    #[inline(always)]
    fn print(&self, record: &RequestRecord<'_>, line: &mut Line<'_>) -> Option<()> {
        let read = match &self.operator {
            Operator::Header(header) => {
                return self.print_string(header.read(record), |line, value| line.push_clean(value), line);
            }
            Operator::Plain(read) => read,
            // It is printed at leisure.
            Operator::Rare(_) => return None,
        };
        match *read {
            Read::Text(read) => self.print_string(
                read(record).map(str::as_bytes),
                |line, value| line.push_clean(value),
                line,
            ),
            Read::Number(read) => self.print_number(Some(read(record)), line),
            Read::Milliseconds(read) => self.print_number(read(record).map(milliseconds), line),
            Read::Port(read) => {
                let port = read(record).map(|address| address.port().into());
                self.print_number(port, line)
            }
            Read::Time(read) => {
                let print = |line: &mut Line<'_>, time: &SystemTime| line.push_time(*time);
                self.print_string(read(record).as_ref(), print, line)
            }
            Read::Flags(read) => {
                let print = |line: &mut Line<'_>, flags: &ResponseFlags| line.push_flags(*flags);
                self.print_string(Some(&read(record)), print, line)
            }
            Read::Address(read) => {
                self.print_string(read(record), |line, address| line.push_address(address), line)
            }
            Read::Ip(read) => {
                let print = |line: &mut Line<'_>, address: &SocketAddr| line.push_ip(address.ip());
                self.print_string(read(record), print, line)
            }
        }
    }

    /// What would be a string in JSON.
    #[inline(always)]
    fn print_string<'r, T: ?Sized>(
        &self,
        value: Option<&T>,
        print: impl FnOnce(&mut Line<'r>, &T) -> Option<()>,
        line: &mut Line<'r>,
    ) -> Option<()> {
        let is_json = self.style == Style::Json;
        let Some(value) = value else {
            line.push_literal(&self.before, usize::from(is_json))?;
            return if is_json {
                line.push_null()
            } else {
                line.push_byte(b'-')
            };
        };
        line.push_literal(&self.before, 0)?;
        print(line, value)?;
        if is_json { line.push_byte(b'"') } else { Some(()) }
    }

    #[inline(always)]
    fn print_number(&self, number: Option<u64>, line: &mut Line<'_>) -> Option<()> {
        line.push_literal(&self.before, 0)?;
        match number {
            Some(number) => line.push_number(number),
            None if self.style == Style::Json => line.push_null(),
            None => line.push_byte(b'-'),
        }
    }

    /// Appends a field for which there was no room, whose value has to be escaped, or which may cost more.
    fn print_at_leisure(&self, record: &RequestRecord<'_>, out: &mut Vec<u8>) {
        let value = self.operator.value(record);
        let before = self.before.as_bytes();
        // The literal before a JSON value that is no number ends with its opening quote.
        let quoted = self.style == Style::Json && !self.operator.is_number();
        if quoted && value == Value::Missing {
            out.extend_from_slice(&before[..before.len() - 1]);
            return out.extend_from_slice(b"null");
        }
        out.extend_from_slice(before);
        match (value, self.style) {
            (Value::Number(number), _) => push_number(number, out),
            (Value::Text(text), Style::Text) => push_text(&text, out),
            (Value::Text(text), Style::Json | Style::JsonInside) => push_json(&text, out),
            (Value::Missing, Style::Json) => out.extend_from_slice(b"null"),
            (Value::Missing, Style::Text | Style::JsonInside) => out.push(b'-'),
        }
        if quoted {
            out.push(b'"');
        }
    }
}

fn push_number(number: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(number.to_string().as_bytes());
}

#[cfg(test)]
pub(super) mod tests;
