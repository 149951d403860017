//! The operators: what each reads from a record, and how a template is cut into literals and operators.
//!
//! The grammar is Envoy's: `%NAME%`, `%NAME(argument)%`, `%NAME(argument):length%`, and `%%` for a percent sign. An
//! operator that does not exist is an error, never an empty field.

use super::record::{HeaderLookup, HeaderName, RequestRecord};
use crate::flags::ResponseFlags;
use std::net::SocketAddr;
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

/// What a plain operator reads from a record: one function for each type of value.
#[derive(Debug, Clone, Copy)]
pub(super) enum Read {
    Number(fn(&RequestRecord<'_>) -> u64),
    Milliseconds(fn(&RequestRecord<'_>) -> Option<Duration>),
    Port(ReadAddress),
    /// Bytes from anywhere: to be escaped.
    Text(for<'a> fn(&RequestRecord<'a>) -> Option<&'a str>),
    Time(fn(&RequestRecord<'_>) -> Option<SystemTime>),
    Address(ReadAddress),
    /// An address without its port.
    Ip(ReadAddress),
    Flags(fn(&RequestRecord<'_>) -> ResponseFlags),
}

type ReadAddress = for<'r> fn(&'r RequestRecord<'_>) -> Option<&'r SocketAddr>;

/// The operators without an argument.
const PLAIN: &[(&str, Read)] = &[
    (
        "AUTHORIZATION_AUDITED",
        Read::Text(|record| record.authorization_audited),
    ),
    (
        "AUTHORIZATION_SHADOW_RESULT",
        Read::Text(|record| record.authorization_shadow_result),
    ),
    ("BYTES_RECEIVED", Read::Number(|record| record.bytes_received)),
    ("BYTES_SENT", Read::Number(|record| record.bytes_sent)),
    ("CONNECTION_ID", Read::Number(|record| record.connection_id)),
    (
        "CONNECTION_TERMINATION_DETAILS",
        Read::Text(|record| record.connection_termination_details),
    ),
    (
        "DOWNSTREAM_DIRECT_REMOTE_ADDRESS",
        Read::Address(|record| record.downstream_direct_remote_address.as_ref()),
    ),
    (
        "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT",
        Read::Ip(|record| record.downstream_direct_remote_address.as_ref()),
    ),
    (
        "DOWNSTREAM_LOCAL_ADDRESS",
        Read::Address(|record| record.downstream_local_address.as_ref()),
    ),
    (
        "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT",
        Read::Ip(|record| record.downstream_local_address.as_ref()),
    ),
    (
        "DOWNSTREAM_LOCAL_PORT",
        Read::Port(|record| record.downstream_local_address.as_ref()),
    ),
    (
        "DOWNSTREAM_REMOTE_ADDRESS",
        Read::Address(|record| record.downstream_remote_address.as_ref()),
    ),
    (
        "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",
        Read::Ip(|record| record.downstream_remote_address.as_ref()),
    ),
    (
        "DOWNSTREAM_REMOTE_PORT",
        Read::Port(|record| record.downstream_remote_address.as_ref()),
    ),
    (
        "DOWNSTREAM_LOCAL_DNS_SAN",
        Read::Text(|record| record.downstream_tls?.local?.dns_names),
    ),
    (
        "DOWNSTREAM_LOCAL_SUBJECT",
        Read::Text(|record| Some(record.downstream_tls?.local?.subject)),
    ),
    (
        "DOWNSTREAM_LOCAL_URI_SAN",
        Read::Text(|record| record.downstream_tls?.local?.uri_names),
    ),
    (
        "DOWNSTREAM_PEER_CERT_V_END",
        Read::Time(|record| Some(record.downstream_tls?.peer?.not_after)),
    ),
    (
        "DOWNSTREAM_PEER_CERT_V_START",
        Read::Time(|record| Some(record.downstream_tls?.peer?.not_before)),
    ),
    (
        "DOWNSTREAM_PEER_DNS_SAN",
        Read::Text(|record| record.downstream_tls?.peer?.dns_names),
    ),
    (
        "DOWNSTREAM_PEER_FINGERPRINT_256",
        Read::Text(|record| Some(record.downstream_tls?.peer?.fingerprint_256)),
    ),
    (
        "DOWNSTREAM_PEER_ISSUER",
        Read::Text(|record| Some(record.downstream_tls?.peer?.issuer)),
    ),
    (
        "DOWNSTREAM_PEER_SERIAL",
        Read::Text(|record| Some(record.downstream_tls?.peer?.serial)),
    ),
    (
        "DOWNSTREAM_PEER_SUBJECT",
        Read::Text(|record| Some(record.downstream_tls?.peer?.subject)),
    ),
    (
        "DOWNSTREAM_PEER_URI_SAN",
        Read::Text(|record| record.downstream_tls?.peer?.uri_names),
    ),
    (
        "DOWNSTREAM_TLS_CIPHER",
        Read::Text(|record| record.downstream_tls?.cipher),
    ),
    (
        "DOWNSTREAM_TLS_VERSION",
        Read::Text(|record| Some(record.downstream_tls?.version)),
    ),
    ("DURATION", Read::Milliseconds(|record| Some(record.duration))),
    ("FILTER_CHAIN_NAME", Read::Text(|record| record.filter_chain_name)),
    ("PROTOCOL", Read::Text(|record| record.protocol)),
    (
        "REQUESTED_SERVER_NAME",
        Read::Text(|record| record.requested_server_name),
    ),
    (
        "REQUEST_DURATION",
        Read::Milliseconds(|record| record.request_duration),
    ),
    (
        "RESPONSE_CODE",
        Read::Number(|record| record.response_code.into()),
    ),
    (
        "RESPONSE_CODE_DETAILS",
        Read::Text(|record| record.response_code_details),
    ),
    (
        "RESPONSE_DURATION",
        Read::Milliseconds(|record| record.response_duration),
    ),
    ("RESPONSE_FLAGS", Read::Flags(|record| record.response_flags)),
    ("ROUTE_NAME", Read::Text(|record| record.route_name)),
    ("START_TIME", Read::Time(|record| Some(record.start_time))),
    ("UPSTREAM_CLUSTER", Read::Text(|record| record.upstream_cluster)),
    (
        "UPSTREAM_HOST",
        Read::Address(|record| record.upstream_host.as_ref()),
    ),
    (
        "UPSTREAM_LOCAL_ADDRESS",
        Read::Address(|record| record.upstream_local_address.as_ref()),
    ),
    (
        "UPSTREAM_REQUEST_ATTEMPT_COUNT",
        Read::Number(|record| record.upstream_request_attempt_count.into()),
    ),
    (
        "UPSTREAM_PEER_DNS_SAN",
        Read::Text(|record| record.upstream_tls?.peer?.dns_names),
    ),
    (
        "UPSTREAM_PEER_ISSUER",
        Read::Text(|record| Some(record.upstream_tls?.peer?.issuer)),
    ),
    (
        "UPSTREAM_PEER_SUBJECT",
        Read::Text(|record| Some(record.upstream_tls?.peer?.subject)),
    ),
    (
        "UPSTREAM_PEER_URI_SAN",
        Read::Text(|record| record.upstream_tls?.peer?.uri_names),
    ),
    (
        "UPSTREAM_TLS_CIPHER",
        Read::Text(|record| record.upstream_tls?.cipher),
    ),
    (
        "UPSTREAM_TLS_VERSION",
        Read::Text(|record| Some(record.upstream_tls?.version)),
    ),
    ("VIRTUAL_HOST_NAME", Read::Text(|record| record.virtual_host)),
];

/// The operators that take a header's name.
const HEADERS: &[(&str, Section)] = &[
    ("REQ", Section::Request),
    ("RESP", Section::Response),
    ("TRAILER", Section::Trailers),
];

/// Which header a header operator reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Section {
    Request,
    Response,
    Trailers,
}

/// A header's name, and whether its value is a credential.
#[derive(Debug, Clone)]
struct ShownName {
    name: HeaderName,
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
    name: ShownName,
    alternative: Option<ShownName>,
    length_max: usize,
}

impl Operator {
    /// Whether it prints a number, which JSON does not quote.
    pub(super) fn is_number(&self) -> bool {
        matches!(
            self,
            Operator::Plain(Read::Number(_) | Read::Milliseconds(_) | Read::Port(_))
        )
    }
}

impl HeaderOperator {
    /// The bytes that this operator shows of `record`: from anywhere, to be escaped.
    #[inline]
    pub(super) fn read<'a>(&self, record: &RequestRecord<'a>) -> Option<&'a [u8]> {
        let headers: &'a dyn HeaderLookup = match self.section {
            Section::Request => record.request,
            Section::Response => record.response,
            Section::Trailers => record.trailers?,
        };
        if let Some(value) = headers.lookup(&self.name.name) {
            return Some(self.shown(value, &self.name));
        }
        let alternative = self.alternative.as_ref()?;
        let value = headers.lookup(&alternative.name)?;
        Some(self.shown(value, alternative))
    }

    #[inline]
    fn shown<'a>(&self, value: &'a [u8], name: &ShownName) -> &'a [u8] {
        let value = if name.credential { REDACTED } else { value };
        &value[..value.len().min(self.length_max)]
    }

    /// Replaces names by the numbers that they have.
    pub(super) fn number_names(&mut self, number_of: &dyn Fn(&str) -> Option<u8>) {
        for shown in std::iter::once(&mut self.name).chain(&mut self.alternative) {
            if let HeaderName::Named(name) = &shown.name
                && let Some(number) = number_of(name)
            {
                shown.name = HeaderName::Numbered(number);
            }
        }
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

fn header_name(section: Section, name: &str) -> Result<ShownName, &'static str> {
    let lower_case = name.to_ascii_lowercase();
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&'*+-.^_`|~".contains(&byte);
    let pseudo = "the pseudo-headers are :METHOD, :PATH, :AUTHORITY and :SCHEME, of requests only";
    let credential = CREDENTIALS.contains(&lower_case.as_str());
    let name = match lower_case.as_str() {
        ":method" => HeaderName::Method,
        ":path" => HeaderName::Path,
        ":authority" => HeaderName::Authority,
        ":scheme" => HeaderName::Scheme,
        "" => return Err("a header's name is missing"),
        _ if lower_case.starts_with(':') => return Err(pseudo),
        _ if !lower_case.bytes().all(is_token) => {
            return Err("a header's name has a character that none can have");
        }
        _ => HeaderName::Named(lower_case.into()),
    };
    match name {
        HeaderName::Named(_) => Ok(ShownName { name, credential }),
        _ if section == Section::Request => Ok(ShownName { name, credential }),
        _ => Err(pseudo),
    }
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
