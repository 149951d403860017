//! The heads of requests and responses, of HTTP/1 and of HTTP/2 alike.

use std::fmt;

use crate::fields::Fields;
use crate::method::{Method, TargetForm, Version};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Scheme {
    #[default]
    Unknown,
    Http,
    Https,
    Other(Box<str>),
}

/// The authority, and after `clear` the last one, so that the next request's need not be checked if it is the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Authority {
    text: String,
    is_set: bool,
    /// The decoder has checked the text.
    is_checked: bool,
}

impl Authority {
    fn as_str(&self) -> &str {
        if self.is_set { &self.text } else { "" }
    }

    fn set(&mut self, text: &str) {
        self.text.clear();
        self.text.push_str(text);
        self.is_set = true;
        self.is_checked = false;
    }

    /// Sets it to these bytes if `check` finds them right or did so the last time.
    pub(crate) fn set_checked(&mut self, bytes: &[u8], check: impl Fn(&[u8]) -> bool) -> bool {
        if self.is_checked && self.text.as_bytes() == bytes {
            self.is_set = true;
            return true;
        }
        match std::str::from_utf8(bytes) {
            Ok(text) if check(bytes) => self.set(text),
            _ => return false,
        }
        self.is_checked = true;
        true
    }
}

impl PartialEq for Authority {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Authority {}

/// A request's head. It is meant to be kept and used again: [`clear`](Self::clear) keeps its memory.
///
/// The fields never hold `host`: that is the [authority](Self::authority).
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RequestHead {
    /// The method.
    pub method: Method,
    /// The version that the peer spoke.
    pub version: Version,
    /// The fields in order, without `host`.
    pub fields: Fields,
    authority: Authority,
    target: String,
    /// Where the target's `?` is.
    query_mark: Option<u32>,
    scheme: Scheme,
    is_absolute: bool,
}

impl RequestHead {
    /// `GET` in HTTP/1.1 of nothing from nowhere.
    pub fn new() -> Self {
        Self::default()
    }

    /// Back to [`new`](Self::new), with the memory kept.
    pub fn clear(&mut self) {
        self.method = Method::Get;
        self.version = Version::Http11;
        self.fields.clear();
        self.authority.is_set = false;
        self.target.clear();
        self.query_mark = None;
        self.scheme = Scheme::Unknown;
        self.is_absolute = false;
    }

    /// Back to [`new`](Self::new), with the memory given back.
    pub fn release(&mut self) {
        *self = Self::new();
    }

    /// The bytes of memory held beside the head's own size.
    pub fn capacity_bytes(&self) -> usize {
        self.fields.capacity_bytes() + self.authority.text.capacity() + self.target.capacity()
    }

    /// `host` or `host:port`, as it was written; empty only in HTTP/1.0 and in a new head.
    pub fn authority(&self) -> &str {
        self.authority.as_str()
    }

    /// Sets the authority, which the caller has checked.
    pub fn set_authority(&mut self, authority: &str) {
        self.authority.set(authority);
    }

    /// The path without the query; `*` of an asterisk-form target, empty of CONNECT's authority-form.
    pub fn path(&self) -> &str {
        match self.query_mark {
            Some(mark) => &self.target[..mark as usize],
            None => &self.target,
        }
    }

    /// What follows the `?`, if there is one.
    pub fn query(&self) -> Option<&str> {
        self.query_mark.map(|mark| &self.target[mark as usize + 1..])
    }

    /// Path and query as one.
    pub fn path_and_query(&self) -> &str {
        &self.target
    }

    /// Sets path and query. It must be printable ASCII without space and `#`, which is asserted in debug builds.
    pub fn set_path_and_query(&mut self, target: &str) {
        debug_assert!(
            crate::scan::is_target(target.as_bytes()),
            "a target is printable without space and #"
        );
        self.set_target(target, memchr::memchr(b'?', target.as_bytes()));
    }

    /// Sets path and query, whose first `?` is known.
    #[inline]
    pub(crate) fn set_target(&mut self, target: &str, query_mark: Option<usize>) {
        self.target.clear();
        self.target.push_str(target);
        self.query_mark = query_mark.map(|mark| mark as u32);
    }

    /// The scheme that the request names: of absolute-form, of HTTP/2, or as the data plane has set it.
    pub fn scheme(&self) -> Option<&str> {
        match &self.scheme {
            Scheme::Unknown => None,
            Scheme::Http => Some("http"),
            Scheme::Https => Some("https"),
            Scheme::Other(name) => Some(name),
        }
    }

    /// Sets the scheme, in lower case.
    pub fn set_scheme(&mut self, scheme: &str) {
        self.scheme = match scheme {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            other => Scheme::Other(other.into()),
        };
    }

    /// How the target was, or is to be, written.
    pub fn target_form(&self) -> TargetForm {
        if self.is_absolute {
            TargetForm::Absolute
        } else if self.method == Method::Connect && self.target.is_empty() {
            TargetForm::Authority
        } else if self.target == "*" {
            TargetForm::Asterisk
        } else {
            TargetForm::Origin
        }
    }

    pub(crate) fn set_absolute(&mut self) {
        self.is_absolute = true;
    }

    /// The fields and the authority, to be filled side by side.
    pub(crate) fn fields_and_authority(&mut self) -> (&mut Fields, &mut Authority) {
        (&mut self.fields, &mut self.authority)
    }
}

impl fmt::Debug for RequestHead {
    /// Without the query and the fields' values, which may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestHead")
            .field("method", &self.method)
            .field("version", &self.version)
            .field("authority", &self.authority())
            .field("path", &self.path())
            .field("fields", &self.fields)
            .finish_non_exhaustive()
    }
}

/// An answer's head. It is meant to be kept and used again: [`clear`](Self::clear) keeps its memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseHead {
    /// The status, 100 to 999.
    pub status: u16,
    /// The version that the peer spoke.
    pub version: Version,
    /// The fields in order.
    pub fields: Fields,
}

impl ResponseHead {
    /// 200 in HTTP/1.1 without fields.
    pub fn new() -> Self {
        Self {
            status: 200,
            version: Version::Http11,
            fields: Fields::new(),
        }
    }

    /// Back to [`new`](Self::new), with the memory kept.
    pub fn clear(&mut self) {
        self.status = 200;
        self.version = Version::Http11;
        self.fields.clear();
    }

    /// Back to [`new`](Self::new), with the memory given back.
    pub fn release(&mut self) {
        *self = Self::new();
    }
}

impl Default for ResponseHead {
    fn default() -> Self {
        Self::new()
    }
}
