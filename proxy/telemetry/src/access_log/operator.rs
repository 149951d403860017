//! The operators: what each reads from a record, and how a template is cut into literals and operators.
//!
//! The grammar is Envoy's: `%NAME%`, `%NAME(argument)%`, `%NAME(argument):length%`, and `%%` for a percent sign. An
//! operator that does not exist is an error, never an empty field.

use super::record::{HeaderLookup, RequestRecord};
use crate::flags::ResponseFlags;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

/// Headers whose values are credentials. A header that a format names is allowed to be logged, but these print as
/// [`REDACTED`] even so.
const CREDENTIALS: [&str; 4] = ["authorization", "cookie", "proxy-authorization", "set-cookie"];
/// What stands for the value of a credential.
pub(super) const REDACTED: &[u8] = b"[redacted]";

/// Why a format cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// There is no such operator.
    #[error("unknown operator %{operator}% at byte {offset}{}", suggestion(*nearest))]
    UnknownOperator {
        /// What was written.
        operator: String,
        /// Where its percent sign stands, counted from 0.
        offset: usize,
        /// The operator that it resembles most.
        nearest: Option<&'static str>,
    },
    /// A percent sign without its partner.
    #[error("the operator at byte {offset} has no closing %; a percent sign is written %%")]
    Unterminated {
        /// Where the percent sign stands, counted from 0.
        offset: usize,
    },
    /// An argument is missing, superfluous or malformed.
    #[error("operator %{operator}% at byte {offset}: {problem}")]
    Argument {
        /// The operator's name.
        operator: &'static str,
        /// Where its percent sign stands, counted from 0.
        offset: usize,
        /// What is wrong and what would be right.
        problem: &'static str,
    },
    /// The fault is in the template of one JSON key.
    #[error("key {key:?}: {source}")]
    InKey {
        /// The key.
        key: String,
        /// The fault.
        source: Box<FormatError>,
    },
    /// A JSON object cannot have a key twice.
    #[error("key {key:?} occurs twice")]
    DuplicateKey {
        /// The key.
        key: String,
    },
}

fn suggestion(nearest: Option<&str>) -> String {
    nearest.map_or(String::new(), |nearest| format!("; did you mean %{nearest}%?"))
}

/// What an operator has read.
pub(super) enum Value<'a> {
    Missing,
    Number(u64),
    /// Bytes from anywhere: to be escaped.
    Text(&'a [u8]),
    Time(SystemTime),
    Address(SocketAddr),
    Ip(IpAddr),
    Flags(ResponseFlags),
}

type Read = for<'a> fn(&RequestRecord<'a>) -> Value<'a>;

/// The operators without an argument.
const PLAIN: &[(&str, Read)] = &[
    ("BYTES_RECEIVED", |record| Value::Number(record.bytes_received)),
    ("BYTES_SENT", |record| Value::Number(record.bytes_sent)),
    ("CONNECTION_ID", |record| Value::Number(record.connection_id)),
    ("DOWNSTREAM_DIRECT_REMOTE_ADDRESS", |record| {
        address(record.downstream_direct_remote_address)
    }),
    ("DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT", |record| {
        ip(record.downstream_direct_remote_address)
    }),
    ("DOWNSTREAM_LOCAL_ADDRESS", |record| {
        address(record.downstream_local_address)
    }),
    ("DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT", |record| {
        ip(record.downstream_local_address)
    }),
    ("DOWNSTREAM_LOCAL_PORT", |record| {
        port(record.downstream_local_address)
    }),
    ("DOWNSTREAM_REMOTE_ADDRESS", |record| {
        address(record.downstream_remote_address)
    }),
    ("DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", |record| {
        ip(record.downstream_remote_address)
    }),
    ("DOWNSTREAM_REMOTE_PORT", |record| {
        port(record.downstream_remote_address)
    }),
    ("DURATION", |record| milliseconds(Some(record.duration))),
    ("FILTER_CHAIN_NAME", |record| text(record.filter_chain_name)),
    ("PROTOCOL", |record| text(record.protocol)),
    ("REQUESTED_SERVER_NAME", |record| {
        text(record.requested_server_name)
    }),
    ("REQUEST_DURATION", |record| milliseconds(record.request_duration)),
    ("RESPONSE_CODE", |record| {
        Value::Number(record.response_code.into())
    }),
    ("RESPONSE_CODE_DETAILS", |record| {
        text(record.response_code_details)
    }),
    ("RESPONSE_DURATION", |record| {
        milliseconds(record.response_duration)
    }),
    ("RESPONSE_FLAGS", |record| Value::Flags(record.response_flags)),
    ("ROUTE_NAME", |record| text(record.route_name)),
    ("START_TIME", |record| Value::Time(record.start_time)),
    ("UPSTREAM_CLUSTER", |record| text(record.upstream_cluster)),
    ("UPSTREAM_HOST", |record| address(record.upstream_host)),
    ("UPSTREAM_LOCAL_ADDRESS", |record| {
        address(record.upstream_local_address)
    }),
    ("UPSTREAM_REQUEST_ATTEMPT_COUNT", |record| {
        Value::Number(record.upstream_request_attempt_count.into())
    }),
    ("VIRTUAL_HOST_NAME", |record| text(record.virtual_host)),
];

/// The operators that take a header's name.
const HEADERS: &[(&str, Section)] = &[
    ("REQ", Section::Request),
    ("RESP", Section::Response),
    ("TRAILER", Section::Trailers),
];

fn text(value: Option<&str>) -> Value<'_> {
    value.map_or(Value::Missing, |value| Value::Text(value.as_bytes()))
}

fn address(value: Option<SocketAddr>) -> Value<'static> {
    value.map_or(Value::Missing, Value::Address)
}

fn ip(value: Option<SocketAddr>) -> Value<'static> {
    value.map_or(Value::Missing, |value| Value::Ip(value.ip()))
}

fn port(value: Option<SocketAddr>) -> Value<'static> {
    value.map_or(Value::Missing, |value| Value::Number(value.port().into()))
}

fn milliseconds(value: Option<Duration>) -> Value<'static> {
    value.map_or(Value::Missing, |value| {
        Value::Number(
            value
                .as_secs()
                .saturating_mul(1_000)
                .saturating_add(value.subsec_millis().into()),
        )
    })
}

/// Which header a header operator reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Section {
    Request,
    Response,
    Trailers,
}

/// A header's name, and whether its value is a credential.
#[derive(Debug, Clone)]
struct HeaderName {
    lower_case: Box<str>,
    credential: bool,
}

/// One operator of a template.
#[derive(Debug, Clone)]
pub(super) enum Operator {
    /// Reads a field of the record.
    Plain(Read),
    /// Reads a header.
    Header(HeaderOperator),
}

/// `REQ(name?alternative):length` and its siblings.
#[derive(Debug, Clone)]
pub(super) struct HeaderOperator {
    section: Section,
    name: HeaderName,
    alternative: Option<HeaderName>,
    length_max: usize,
}

impl Operator {
    /// What this operator says of `record`.
    pub(super) fn read<'a>(&self, record: &RequestRecord<'a>) -> Value<'a> {
        match self {
            Operator::Plain(read) => read(record),
            Operator::Header(header) => header.read(record),
        }
    }
}

impl HeaderOperator {
    fn read<'a>(&self, record: &RequestRecord<'a>) -> Value<'a> {
        let headers: &'a dyn HeaderLookup = match (self.section, record.trailers) {
            (Section::Request, _) => record.request,
            (Section::Response, _) => record.response,
            (Section::Trailers, Some(trailers)) => trailers,
            (Section::Trailers, None) => return Value::Missing,
        };
        if let Some(value) = headers.lookup(&self.name.lower_case) {
            return self.shown(value, &self.name);
        }
        if let Some(alternative) = &self.alternative
            && let Some(value) = headers.lookup(&alternative.lower_case)
        {
            return self.shown(value, alternative);
        }
        Value::Missing
    }

    fn shown<'a>(&self, value: &'a [u8], name: &HeaderName) -> Value<'a> {
        let value = if name.credential { REDACTED } else { value };
        Value::Text(&value[..value.len().min(self.length_max)])
    }
}

/// A piece of a template.
#[derive(Debug, Clone)]
pub(super) enum Piece {
    Literal(String),
    Operator(Operator),
}

/// Cuts a template into pieces.
pub(super) fn parse(template: &str) -> Result<Vec<Piece>, FormatError> {
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
        let end = inside
            .find('%')
            .ok_or(FormatError::Unterminated { offset: percent })?;
        pieces.push(Piece::Operator(parse_operator(&inside[..end], percent)?));
        offset = percent + end + 2;
    }
    literal.push_str(&template[offset..]);
    if !literal.is_empty() {
        pieces.push(Piece::Literal(literal));
    }
    Ok(pieces)
}

/// Reads what stands between two percent signs.
fn parse_operator(inside: &str, offset: usize) -> Result<Operator, FormatError> {
    let name_end = inside.find(['(', ':']).unwrap_or(inside.len());
    let (name, rest) = inside.split_at(name_end);
    if let Some((name, read)) = PLAIN.iter().find(|(plain, _)| *plain == name) {
        let problem = "it takes no argument and no length";
        return match rest.is_empty() {
            true => Ok(Operator::Plain(*read)),
            false => Err(FormatError::Argument {
                operator: name,
                offset,
                problem,
            }),
        };
    }
    let Some((operator, section)) = HEADERS.iter().find(|(header, _)| *header == name) else {
        return Err(FormatError::UnknownOperator {
            operator: name.to_owned(),
            offset,
            nearest: nearest(name),
        });
    };
    parse_header_operator(*section, rest)
        .map(Operator::Header)
        .map_err(|problem| FormatError::Argument {
            operator,
            offset,
            problem,
        })
}

fn parse_header_operator(section: Section, rest: &str) -> Result<HeaderOperator, &'static str> {
    let argument = rest
        .strip_prefix('(')
        .ok_or("a header's name in parentheses is missing")?;
    let (argument, length) = argument
        .split_once(')')
        .ok_or("the closing parenthesis is missing")?;
    let length_max = match length.strip_prefix(':') {
        Some(digits) => digits
            .parse()
            .ok()
            .filter(|max| *max > 0)
            .ok_or("the length must be a number of bytes above 0")?,
        None if length.is_empty() => usize::MAX,
        None => return Err("only :length may follow the parenthesis"),
    };
    let (name, alternative) = match argument.split_once('?') {
        Some((name, alternative)) => (name, Some(header_name(section, alternative)?)),
        None => (argument, None),
    };
    Ok(HeaderOperator {
        section,
        name: header_name(section, name)?,
        alternative,
        length_max,
    })
}

fn header_name(section: Section, name: &str) -> Result<HeaderName, &'static str> {
    let lower_case = name.to_ascii_lowercase();
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&'*+-.^_`|~".contains(&byte);
    match lower_case.strip_prefix(':') {
        Some("method" | "path" | "authority" | "scheme") if section == Section::Request => {}
        Some(_) => {
            return Err("the pseudo-headers are :METHOD, :PATH, :AUTHORITY and :SCHEME, of requests only");
        }
        None if lower_case.is_empty() => return Err("a header's name is missing"),
        None if !lower_case.bytes().all(is_token) => {
            return Err("a header's name has a character that none can have");
        }
        None => {}
    }
    let credential = CREDENTIALS.contains(&lower_case.as_str());
    Ok(HeaderName {
        lower_case: lower_case.into(),
        credential,
    })
}

/// The operator that `name` was probably meant to be.
fn nearest(name: &str) -> Option<&'static str> {
    // Nobody's mistake is longer than this; the cost below is quadratic.
    if name.len() > 64 {
        return None;
    }
    let names = PLAIN
        .iter()
        .map(|(plain, _)| *plain)
        .chain(HEADERS.iter().map(|(header, _)| *header));
    let upper_case = name.to_ascii_uppercase();
    names
        .map(|known| (edit_distance(upper_case.as_bytes(), known.as_bytes()), known))
        .filter(|(distance, known)| *distance <= known.len().max(name.len()) / 2)
        .min()
        .map(|(_, known)| known)
}

/// Insertions, deletions and replacements that make one of the other (Levenshtein).
fn edit_distance(from: &[u8], to: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (deleted, byte) in from.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], deleted + 1);
        for (column, other) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(byte != other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_name_the_operator_its_place_and_what_would_be_right() {
        let table = [
            (
                "a %RESPONSE_COD% b",
                "unknown operator %RESPONSE_COD% at byte 2; did you mean %RESPONSE_CODE%?",
            ),
            (
                "%%%Req(X)%",
                "unknown operator %Req% at byte 2; did you mean %REQ%?",
            ),
            (
                "%START_TIM%",
                "unknown operator %START_TIM% at byte 0; did you mean %START_TIME%?",
            ),
            (
                "%XYZZYXYZZYXYZZY%",
                "unknown operator %XYZZYXYZZYXYZZY% at byte 0",
            ),
            (
                "50% done",
                "the operator at byte 2 has no closing %; a percent sign is written %%",
            ),
            (
                "%REQ%",
                "operator %REQ% at byte 0: a header's name in parentheses is missing",
            ),
            (
                "%REQ(X%",
                "operator %REQ% at byte 0: the closing parenthesis is missing",
            ),
            ("%REQ()%", "operator %REQ% at byte 0: a header's name is missing"),
            (
                "%REQ(A?)%",
                "operator %REQ% at byte 0: a header's name is missing",
            ),
            (
                "%REQ(A B)%",
                "operator %REQ% at byte 0: a header's name has a character that none can have",
            ),
            (
                "%REQ(A):0%",
                "operator %REQ% at byte 0: the length must be a number of bytes above 0",
            ),
            (
                "%REQ(A):x%",
                "operator %REQ% at byte 0: the length must be a number of bytes above 0",
            ),
            (
                "%REQ(A)5%",
                "operator %REQ% at byte 0: only :length may follow the parenthesis",
            ),
            (
                "%START_TIME(%s)%",
                "operator %START_TIME% at byte 0: it takes no argument and no length",
            ),
            (
                "%DURATION:3%",
                "operator %DURATION% at byte 0: it takes no argument and no length",
            ),
        ];
        for (template, message) in table {
            assert_eq!(parse(template).unwrap_err().to_string(), message, "{template}");
        }
        let pseudo = parse("%RESP(:STATUS)%").unwrap_err().to_string();
        assert!(
            pseudo.contains(":METHOD, :PATH, :AUTHORITY and :SCHEME"),
            "{pseudo}"
        );
    }
}
