//! Operators that read a header: `REQ(name?alternative):length` and its siblings.

use super::{Argument, FormatOptions, Value};
use crate::access_log::record::{HeaderLookup, HeaderName, RequestRecord};
use crate::access_log::sensitive::{REDACTED, is_credential};
use std::borrow::Cow;

/// An operator that takes a header's name.
pub(in crate::access_log) struct Header {
    pub(in crate::access_log) name: &'static str,
    section: Section,
    pub(in crate::access_log) about: &'static str,
}

pub(in crate::access_log) const HEADERS: &[Header] = &[
    Header {
        name: "REQ",
        section: Section::Request,
        about: "a field of the request's header; also `:METHOD`, `:PATH` (with its query), `:AUTHORITY` and `:SCHEME`. \
            `%REQ(A?B):16%` takes B if A is absent, and at most 16 bytes",
    },
    Header {
        name: "RESP",
        section: Section::Response,
        about: "a field of the response's header, as it was sent to the client",
    },
    Header {
        name: "TRAILER",
        section: Section::Trailers,
        about: "a field of the response's trailers",
    },
];

/// Which header a header operator reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::access_log) enum Section {
    Request,
    Response,
    Trailers,
}

impl Section {
    #[inline(always)]
    pub(super) fn of<'a>(self, record: &RequestRecord<'a>) -> Option<&'a dyn HeaderLookup> {
        match self {
            Section::Request => Some(record.request),
            Section::Response => Some(record.response),
            Section::Trailers => record.trailers,
        }
    }
}

/// A header's name, and whether its value prints as something else.
#[derive(Debug, Clone)]
struct ShownName {
    name: HeaderName,
    redacted: bool,
}

/// `REQ(name?alternative):length` and its siblings.
#[derive(Debug, Clone)]
pub(in crate::access_log) struct HeaderOperator {
    section: Section,
    name: ShownName,
    alternative: Option<ShownName>,
    length_max: usize,
}

impl HeaderOperator {
    /// Reads the arguments of the operator `name`; none if it is not one that reads a header.
    pub(super) fn parse(
        name: &str,
        argument: &Argument<'_>,
        options: FormatOptions<'_>,
    ) -> Option<Result<HeaderOperator, &'static str>> {
        let header = HEADERS.iter().find(|header| header.name == name)?;
        Some(HeaderOperator::of_section(header.section, argument, options))
    }

    pub(super) fn of_section(
        section: Section,
        argument: &Argument<'_>,
        options: FormatOptions<'_>,
    ) -> Result<HeaderOperator, &'static str> {
        let names = argument
            .inside
            .ok_or("a header's name in parentheses is missing")?;
        let (name, alternative) = match names.split_once('?') {
            Some((name, alternative)) => (name, Some(header_name(section, alternative, options)?)),
            None => (names, None),
        };
        Ok(HeaderOperator {
            section,
            name: header_name(section, name, options)?,
            alternative,
            length_max: argument.length_max.unwrap_or(usize::MAX),
        })
    }

    /// The bytes that this operator shows of `record`: from anywhere, to be escaped.
    #[inline]
    pub(in crate::access_log) fn read<'a>(&self, record: &RequestRecord<'a>) -> Option<&'a [u8]> {
        let value = self.whole(record)?;
        Some(&value[..value.len().min(self.length_max)])
    }

    /// The same up to a query's question mark.
    pub(super) fn read_without_query<'a>(&self, record: &RequestRecord<'a>) -> Option<&'a [u8]> {
        let value = self.whole(record)?;
        let end = value.iter().position(|byte| *byte == b'?').unwrap_or(value.len());
        Some(&value[..end.min(self.length_max)])
    }

    #[inline]
    fn whole<'a>(&self, record: &RequestRecord<'a>) -> Option<&'a [u8]> {
        let headers = self.section.of(record)?;
        let (value, shown) = match headers.lookup(&self.name.name) {
            Some(value) => (value, &self.name),
            None => {
                let alternative = self.alternative.as_ref()?;
                (headers.lookup(&alternative.name)?, alternative)
            }
        };
        Some(if shown.redacted { REDACTED } else { value })
    }

    pub(super) fn value<'a>(&self, record: &RequestRecord<'a>) -> Value<'a> {
        Value::from(self.read(record).map(Cow::Borrowed))
    }

    /// Replaces names by the numbers that they have.
    pub(super) fn number_names(&mut self, number_of: &dyn Fn(&str) -> Option<u8>) {
        for shown in std::iter::once(&mut self.name).chain(&mut self.alternative) {
            shown.name.become_number(number_of);
        }
    }
}

fn header_name(section: Section, name: &str, options: FormatOptions<'_>) -> Result<ShownName, &'static str> {
    let lower_case = name.to_ascii_lowercase();
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&'*+-.^_`|~".contains(&byte);
    let pseudo = "the pseudo-headers are :METHOD, :PATH, :AUTHORITY and :SCHEME, of requests only";
    let redacted = options.redacts(&lower_case);
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
        HeaderName::Named(_) => Ok(ShownName { name, redacted }),
        _ if section == Section::Request => Ok(ShownName { name, redacted }),
        _ => Err(pseudo),
    }
}

impl FormatOptions<'_> {
    /// Whether the value of what is named so, in lower case, prints as something else.
    pub(super) fn redacts(&self, name: &str) -> bool {
        let allowed = |known: &String| known.eq_ignore_ascii_case(name);
        is_credential(name) && !self.headers_allowed.iter().any(allowed)
    }
}
