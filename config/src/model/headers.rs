//! Header names, matchers and edits.

use super::model;
use regex::Regex;
use std::sync::Arc;

/// A lower-case field name that RFC 9110 allows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HeaderName(pub(crate) Arc<str>);

impl HeaderName {
    /// The name, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A regular expression that compiled within [`super::defaults::REGEX_SIZE_BYTES_MAX`]. It must match the whole text.
#[derive(Debug, Clone)]
pub struct Pattern {
    /// As it was written.
    pub(crate) source: Arc<str>,
    /// Anchored at both ends.
    pub(crate) regex: Regex,
}

impl Pattern {
    /// The expression as it was written.
    pub fn source(&self) -> &str {
        &self.source
    }
    /// The compiled expression, anchored at both ends.
    pub fn anchored(&self) -> &Regex {
        &self.regex
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        self.source == other.source
    }
}

/// How a text is compared.
#[derive(Debug, Clone, PartialEq)]
pub enum StringMatch {
    /// Equal.
    Exact(String),
    /// Begins with.
    Prefix(String),
    /// Ends with.
    Suffix(String),
    /// Contains.
    Contains(String),
    /// The whole text matches.
    Regex(Pattern),
    /// There at all, with any value.
    Present,
}

model! {
    /// A condition on a request header. Several fields of one name count as one, joined by `,`.
    pub struct HeaderMatch {
        /// The header's name.
        by_ref name: HeaderName,
        /// How its value is compared. A header that is absent matches nothing.
        by_ref value: StringMatch,
        /// The condition holds where `value` does not match (an absent header included).
        copy invert: bool,
    }
}

model! {
    /// A condition on a query parameter: the first parameter of that name, percent-decoded.
    pub struct QueryMatch {
        /// The parameter's name.
        by_ref name: String,
        /// How its value is compared. A parameter that is absent matches nothing.
        by_ref value: StringMatch,
        /// The condition holds where `value` does not match.
        copy invert: bool,
    }
}

/// What an edit does with a header that may be there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderEditKind {
    /// Only if no field of that name is there (Envoy's `ADD_IF_ABSENT`).
    Add,
    /// Replaces all fields of that name (Envoy's `OVERWRITE_IF_EXISTS_OR_ADD`).
    Set,
    /// One more field (Envoy's `APPEND_IF_EXISTS_OR_ADD`).
    Append,
}

model! {
    /// One header that is written.
    pub struct HeaderEdit {
        /// What happens to fields of that name that are there.
        copy kind: HeaderEditKind,
        /// The header's name.
        by_ref name: HeaderName,
        /// The value.
        by_ref value: HeaderValue,
    }
}

/// The value of a header that is written: a legal field value, of which parts may be known only with the request. `%%`
/// was written for `%`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderValue {
    /// This text.
    Text(String),
    /// Parts, one after the other; at least one is no text.
    Parts(Vec<HeaderValuePart>),
}

impl std::fmt::Display for HeaderValue {
    /// As it was written.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let literal = |f: &mut std::fmt::Formatter<'_>, text: &str| f.write_str(&text.replace('%', "%%"));
        let parts = match self {
            HeaderValue::Text(text) => return literal(f, text),
            HeaderValue::Parts(parts) => parts,
        };
        for part in parts {
            match part {
                HeaderValuePart::Text(text) => literal(f, text)?,
                HeaderValuePart::PathVariable(name) => write!(f, "%PATH_VARIABLE({name})%")?,
                HeaderValuePart::RequestHeader(name) => write!(f, "%REQ({})%", name.as_str())?,
                HeaderValuePart::DownstreamRemoteAddress => {
                    f.write_str("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%")?
                }
                HeaderValuePart::Protocol => f.write_str("%PROTOCOL%")?,
                HeaderValuePart::UpstreamHost => f.write_str("%UPSTREAM_HOST%")?,
            }
        }
        Ok(())
    }
}

/// A part of a header's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderValuePart {
    /// This text.
    Text(String),
    /// `%PATH_VARIABLE(name)%`: what a variable of the route's path template took, as it stands in the path. The template
    /// has it.
    PathVariable(String),
    /// `%REQ(name)%`: the first field of that name in the request; empty if there is none.
    RequestHeader(HeaderName),
    /// `%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%`: the client's address.
    DownstreamRemoteAddress,
    /// `%PROTOCOL%`: `HTTP/1.0`, `HTTP/1.1` or `HTTP/2`.
    Protocol,
    /// `%UPSTREAM_HOST%`: the endpoint's address; empty where there is none. Only in response headers.
    UpstreamHost,
}

model! {
    /// Edits of one head: removals first, then the writes in order.
    pub struct HeaderEdits {
        /// Names whose fields are all removed.
        by_ref remove: Vec<HeaderName>,
        /// Headers that are written.
        by_ref write: Vec<HeaderEdit>,
    }
}

impl HeaderEdits {
    /// True if nothing is edited.
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.write.is_empty()
    }
    /// No edits.
    pub(crate) fn none() -> HeaderEdits {
        HeaderEdits {
            remove: Vec::new(),
            write: Vec::new(),
        }
    }
}
