//! Formats, compiled: a list of parts that are copied or printed one after the other.

use super::escape::{push_address, push_ip, push_json, push_number, push_text};
use super::operator::{FormatError, Operator, Piece, Value, parse};
use super::record::RequestRecord;
use super::timestamp::push_timestamp;
use crate::flags::ResponseFlags;

/// Envoy's default line.
const DEFAULT_TEXT: &str = "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" \
    %RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% \
    %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" \
    \"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\"";

/// The usual fields, by the names that Envoy's users give them.
const DEFAULT_JSON: [(&str, &str); 24] = [
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
    ("requested_server_name", "%REQUESTED_SERVER_NAME%"),
    ("connection_id", "%CONNECTION_ID%"),
];

/// A compiled format. Lines are UTF-8 and end with one newline; values can neither end a line nor a JSON string.
///
/// A header that a format names is thereby allowed to be logged; `authorization`, `proxy-authorization`, `cookie` and
/// `set-cookie` print as `[redacted]` all the same.
#[derive(Debug, Clone)]
pub struct AccessLogFormat {
    parts: Vec<Part>,
}

#[derive(Debug, Clone)]
enum Part {
    /// Copied as it is.
    Literal(Box<[u8]>),
    /// A value in a line of text; `-` when missing.
    Text(Operator),
    /// A whole JSON value: a number, a string with its quotes, or `null` when missing.
    Json(Operator),
    /// A value inside a JSON string that holds more than it; `-` when missing.
    JsonInside(Operator),
}

impl AccessLogFormat {
    /// Envoy's default text line.
    pub fn default_text() -> AccessLogFormat {
        AccessLogFormat::text(DEFAULT_TEXT).expect("a test writes with it")
    }

    /// A JSON object of the usual fields.
    pub fn default_json() -> AccessLogFormat {
        let fields = DEFAULT_JSON.map(|(key, template)| (key.to_owned(), template.to_owned()));
        AccessLogFormat::json(&fields).expect("a test writes with it")
    }

    /// A line of text with operators. The newline at its end is added if it is not there.
    ///
    /// # Errors
    /// The first fault of the template.
    pub fn text(template: &str) -> Result<AccessLogFormat, FormatError> {
        let mut parts = Vec::new();
        for piece in parse(template.strip_suffix('\n').unwrap_or(template))? {
            parts.push(match piece {
                Piece::Literal(literal) => Part::Literal(literal.into_bytes().into()),
                Piece::Operator(operator) => Part::Text(operator),
            });
        }
        parts.push(Part::Literal(Box::from(*b"\n")));
        Ok(AccessLogFormat { parts })
    }

    /// A JSON object: keys to templates, in this order. A template that is one operator becomes a number, a string or
    /// `null`; any other becomes a string.
    ///
    /// # Errors
    /// The first fault, with its key.
    pub fn json(fields: &[(String, String)]) -> Result<AccessLogFormat, FormatError> {
        let mut parts = Vec::new();
        let mut literal = vec![b'{'];
        for (place, (key, template)) in fields.iter().enumerate() {
            if fields[..place].iter().any(|(earlier, _)| earlier == key) {
                return Err(FormatError::DuplicateKey { key: key.clone() });
            }
            literal.extend_from_slice(if place == 0 { b"\"" } else { b",\"" });
            push_json(key.as_bytes(), &mut literal);
            literal.extend_from_slice(b"\":");
            let in_key = |source| FormatError::InKey {
                key: key.clone(),
                source: Box::new(source),
            };
            json_value(parse(template).map_err(in_key)?, &mut literal, &mut parts);
        }
        literal.extend_from_slice(b"}\n");
        parts.push(Part::Literal(literal.into()));
        Ok(AccessLogFormat { parts })
    }

    /// Appends the line of `record` to `out`, its newline included.
    pub fn write(&self, record: &RequestRecord<'_>, out: &mut Vec<u8>) {
        for part in &self.parts {
            match part {
                Part::Literal(literal) => out.extend_from_slice(literal),
                Part::Text(operator) => push_value(operator.read(record), b"-", push_text, out),
                Part::JsonInside(operator) => push_value(operator.read(record), b"-", push_json, out),
                Part::Json(operator) => match operator.read(record) {
                    value @ (Value::Missing | Value::Number(_)) => push_value(value, b"null", push_json, out),
                    value => {
                        out.push(b'"');
                        push_value(value, b"", push_json, out);
                        out.push(b'"');
                    }
                },
            }
        }
    }
}

/// Appends one JSON value to `parts`, gathering literal bytes in `literal`.
fn json_value(pieces: Vec<Piece>, literal: &mut Vec<u8>, parts: &mut Vec<Part>) {
    let mut push_part = |literal: &mut Vec<u8>, part: Part| {
        parts.push(Part::Literal(std::mem::take(literal).into()));
        parts.push(part);
    };
    if let [Piece::Operator(operator)] = pieces.as_slice() {
        return push_part(literal, Part::Json(operator.clone()));
    }
    literal.push(b'"');
    for piece in pieces {
        match piece {
            Piece::Literal(text) => push_json(text.as_bytes(), literal),
            Piece::Operator(operator) => push_part(literal, Part::JsonInside(operator)),
        }
    }
    literal.push(b'"');
}

/// Appends a value; text goes through `escape`, everything else is clean by construction.
#[inline]
fn push_value(value: Value<'_>, missing: &[u8], escape: fn(&[u8], &mut Vec<u8>), out: &mut Vec<u8>) {
    match value {
        Value::Missing => out.extend_from_slice(missing),
        Value::Number(number) => push_number(number, out),
        Value::Text(text) => escape(text, out),
        Value::Time(time) => push_timestamp(time, out),
        Value::Address(address) => push_address(address, out),
        Value::Ip(address) => push_ip(address, out),
        Value::Flags(flags) => push_flags(flags, out),
    }
}

fn push_flags(flags: ResponseFlags, out: &mut Vec<u8>) {
    if flags.is_empty() {
        return out.push(b'-');
    }
    for (place, name) in flags.names().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        out.extend_from_slice(name.as_bytes());
    }
}

#[cfg(test)]
mod tests;
