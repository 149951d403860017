//! The words of a request line: method, version, and the form of its target.

use std::fmt;

use crate::scan;

/// A request's method (RFC 9110, 9). Case-sensitive.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Method {
    /// `GET`
    #[default]
    Get,
    /// `HEAD`
    Head,
    /// `POST`
    Post,
    /// `PUT`
    Put,
    /// `DELETE`
    Delete,
    /// `CONNECT`
    Connect,
    /// `OPTIONS`
    Options,
    /// `TRACE`
    Trace,
    /// `PATCH` (RFC 5789)
    Patch,
    /// Any other token of at most [`Method::BYTES_MAX`] bytes.
    Other(Box<str>),
}

impl Method {
    /// The longest method that is accepted. The longest registered one has 17 bytes.
    pub const BYTES_MAX: usize = 32;

    /// The method of these bytes, if they are a token of at most [`Method::BYTES_MAX`] bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if let Some(method) = Self::with_path(bytes) {
            return Some(method);
        }
        Some(match bytes {
            b"CONNECT" => Self::Connect,
            other if other.len() <= Self::BYTES_MAX && scan::is_token(other) => {
                Self::Other(std::str::from_utf8(other).ok()?.into())
            }
            _ => return None,
        })
    }

    /// The method of these bytes, if it is one of the registered ones here that take a path.
    #[inline(always)]
    pub(crate) fn with_path(bytes: &[u8]) -> Option<Self> {
        Some(match bytes {
            b"GET" => Self::Get,
            b"HEAD" => Self::Head,
            b"POST" => Self::Post,
            b"PUT" => Self::Put,
            b"DELETE" => Self::Delete,
            b"OPTIONS" => Self::Options,
            b"TRACE" => Self::Trace,
            b"PATCH" => Self::Patch,
            _ => return None,
        })
    }

    /// The method as it stands on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
            Self::Options => "OPTIONS",
            Self::Trace => "TRACE",
            Self::Patch => "PATCH",
            Self::Other(name) => name,
        }
    }

    /// Whether sending the request twice has the effect of sending it once (RFC 9110, 9.2.2). Unknown methods: no.
    pub fn is_idempotent(&self) -> bool {
        self.is_safe() || matches!(self, Self::Put | Self::Delete)
    }

    /// Whether the request asks for no change (RFC 9110, 9.2.1). Unknown methods: no.
    pub fn is_safe(&self) -> bool {
        matches!(self, Self::Get | Self::Head | Self::Options | Self::Trace)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The version of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    #[default]
    Http11,
    /// HTTP/2; never decoded here, but a head may come from there.
    Http2,
}

impl Version {
    /// `HTTP/1.0`, `HTTP/1.1` or `HTTP/2`, as logs name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a request names its target (RFC 9112, 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TargetForm {
    /// `/path?query`
    Origin,
    /// `http://host/path?query`
    Absolute,
    /// `host:port`, of CONNECT only.
    Authority,
    /// `*`, of OPTIONS only.
    Asterisk,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_case_sensitive_tokens_of_bounded_length() {
        assert_eq!(Method::from_bytes(b"GET"), Some(Method::Get));
        assert_eq!(Method::from_bytes(b"get"), Some(Method::Other("get".into())));
        assert_eq!(Method::from_bytes(&[b'A'; 32]).unwrap().as_str().len(), 32);
        assert_eq!(Method::from_bytes(&[b'A'; 33]), None);
        assert_eq!(Method::from_bytes(b""), None);
        assert_eq!(Method::from_bytes(b"GE\0T"), None);
        assert_eq!(Method::from_bytes(b"GE(T"), None);
    }

    #[test]
    fn safety_and_idempotence_are_as_registered() {
        let table: [(&[u8], bool, bool); 10] = [
            (b"GET", true, true),
            (b"HEAD", true, true),
            (b"OPTIONS", true, true),
            (b"TRACE", true, true),
            (b"PUT", false, true),
            (b"DELETE", false, true),
            (b"POST", false, false),
            (b"PATCH", false, false),
            (b"CONNECT", false, false),
            (b"PROPFIND", false, false),
        ];
        for (name, safe, idempotent) in table {
            let method = Method::from_bytes(name).unwrap();
            assert_eq!(
                (method.is_safe(), method.is_idempotent()),
                (safe, idempotent),
                "{method}"
            );
            assert_eq!(method.as_str().as_bytes(), name);
        }
    }
}
