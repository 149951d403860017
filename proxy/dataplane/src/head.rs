//! HTTP/2's header maps into heads and back, and what all requests go through before they are routed.

use bytes::BytesMut;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use outrigger_http1::{Fields, KnownName, Method, RequestHead, ResponseHead, Version, is_authority};
use std::sync::OnceLock;

/// A fault of an HTTP/2 request that `h2` lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Http2RequestFault {
    /// `:authority` and `host` differ, or `host` stands twice.
    #[error("authority and host disagree")]
    AuthorityMismatch,
    /// Neither `:authority` nor `host`.
    #[error("no authority")]
    MissingAuthority,
    /// `:authority` or `host` is no host with a port or without: it names a user, for example.
    #[error("no authority that may stand in a request")]
    InvalidAuthority,
    /// No `:path`.
    #[error("no path")]
    MissingPath,
    /// `*` for another method than OPTIONS.
    #[error("the path does not fit the method")]
    InvalidPath,
    /// More fields than the limit.
    #[error("too many fields")]
    TooManyFields,
}

impl Http2RequestFault {
    /// Every fault.
    pub(crate) const ALL: &'static [Http2RequestFault] = &[
        Http2RequestFault::AuthorityMismatch,
        Http2RequestFault::MissingAuthority,
        Http2RequestFault::InvalidAuthority,
        Http2RequestFault::MissingPath,
        Http2RequestFault::InvalidPath,
        Http2RequestFault::TooManyFields,
    ];

    /// True if it is found in a head that was taken over, all but its authority.
    pub(crate) fn has_whole_head(self) -> bool {
        match self {
            Http2RequestFault::AuthorityMismatch
            | Http2RequestFault::MissingAuthority
            | Http2RequestFault::InvalidAuthority
            | Http2RequestFault::TooManyFields => true,
            Http2RequestFault::MissingPath | Http2RequestFault::InvalidPath => false,
        }
    }

    /// For `response_code_details` and metrics.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Http2RequestFault::AuthorityMismatch => "http2_authority_mismatch",
            Http2RequestFault::MissingAuthority => "http2_missing_authority",
            Http2RequestFault::InvalidAuthority => "http2_invalid_authority",
            Http2RequestFault::MissingPath => "http2_missing_path",
            Http2RequestFault::InvalidPath => "http2_invalid_path",
            Http2RequestFault::TooManyFields => "http2_too_many_fields",
        }
    }

    /// The status of the answer.
    pub(crate) fn status(self) -> u16 {
        match self {
            Http2RequestFault::TooManyFields => 431,
            _ => 400,
        }
    }
}

/// Fills `head` from an HTTP/2 request of at most `fields_max` fields. `host` becomes the authority, and cookies that
/// came as several fields become one (RFC 9113 section 8.2.3).
pub(crate) fn request_from_http2(
    parts: &http::request::Parts,
    fields_max: usize,
    head: &mut RequestHead,
) -> Result<(), Http2RequestFault> {
    head.clear();
    head.version = Version::Http2;
    head.method =
        Method::from_bytes(parts.method.as_str().as_bytes()).ok_or(Http2RequestFault::MissingPath)?;
    if let Some(scheme) = parts.uri.scheme_str() {
        head.set_scheme(scheme);
    }
    let path = parts.uri.path_and_query().map_or("", |path| path.as_str());
    if path.is_empty() && head.method != Method::Connect {
        return Err(Http2RequestFault::MissingPath);
    }
    if path == "*" && head.method != Method::Options {
        return Err(Http2RequestFault::InvalidPath);
    }
    head.set_path_and_query(path);
    fill_request_fields(&parts.headers, &mut head.fields);
    if head.fields.len() > fields_max {
        return Err(Http2RequestFault::TooManyFields);
    }
    let mut hosts = parts.headers.get_all(http::header::HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(Http2RequestFault::AuthorityMismatch);
    }
    let authority = match (parts.uri.authority(), host) {
        (Some(authority), Some(host)) if authority.as_str().as_bytes() != host.as_bytes() => {
            return Err(Http2RequestFault::AuthorityMismatch);
        }
        (Some(authority), _) => authority.as_str(),
        (None, Some(host)) => host.to_str().map_err(|_| Http2RequestFault::InvalidAuthority)?,
        (None, None) => return Err(Http2RequestFault::MissingAuthority),
    };
    // The port is not optional for CONNECT (RFC 9113 section 8.5).
    let lacks_port = head.method == Method::Connect && !authority_has_port(authority);
    if lacks_port || !is_authority(authority.as_bytes()) {
        return Err(Http2RequestFault::InvalidAuthority);
    }
    head.set_authority(authority);
    Ok(())
}

fn authority_has_port(authority: &str) -> bool {
    authority
        .rfind([':', ']'])
        .is_some_and(|at| authority.as_bytes()[at] == b':')
}

/// Fills `head` from an HTTP/2 response.
pub(crate) fn response_from_http2(parts: &http::response::Parts, head: &mut ResponseHead) {
    head.clear();
    head.version = Version::Http2;
    head.status = parts.status.as_u16();
    fill_fields(&parts.headers, &mut head.fields);
}

/// Copies a header map into fields.
pub(crate) fn fill_fields(headers: &HeaderMap, fields: &mut Fields) {
    for (name, value) in headers {
        push_field(name, value, fields);
    }
}

fn push_field(name: &HeaderName, value: &HeaderValue, fields: &mut Fields) {
    // RFC 9113 section 8.2.1 forbids blanks around a value, `h2` lets them through, and HTTP/1 cannot carry them.
    fields.push(name.as_str().as_bytes(), value.as_bytes().trim_ascii());
}

fn fill_request_fields(headers: &HeaderMap, fields: &mut Fields) {
    let mut has_cookies = false;
    for (name, value) in headers {
        if *name == http::header::HOST {
            continue;
        }
        if *name == http::header::COOKIE {
            if !std::mem::replace(&mut has_cookies, true) {
                push_cookies(headers, fields);
            }
            continue;
        }
        push_field(name, value, fields);
    }
}

fn push_cookies(headers: &HeaderMap, fields: &mut Fields) {
    // An empty piece would leave a blank at the end of the whole.
    let pieces = headers
        .get_all(http::header::COOKIE)
        .iter()
        .map(|cookie| cookie.as_bytes().trim_ascii());
    let mut cookies = pieces.filter(|cookie| !cookie.is_empty());
    let first = cookies.next().unwrap_or_default();
    let Some(second) = cookies.next() else {
        return fields.push(b"cookie", first);
    };
    let mut joined = first.to_vec();
    for cookie in std::iter::once(second).chain(cookies) {
        joined.extend_from_slice(b"; ");
        joined.extend_from_slice(cookie);
    }
    fields.push(b"cookie", &joined);
}

/// Copies fields into a header map: all values into one buffer, of which the map's values are parts. Fields came
/// through a parser or a checked configuration, so that each is legal; one that is not is left out.
pub(crate) fn header_map(fields: &Fields) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(fields.len());
    let mut values = BytesMut::with_capacity(fields.bytes_len());
    for field in fields.iter() {
        values.extend_from_slice(field.value);
    }
    let mut values = values.freeze();
    for field in fields.iter() {
        let value = HeaderValue::from_maybe_shared(values.split_to(field.value.len()));
        let name = match field.known {
            Some(known) => Ok(known_names()[known as usize].clone()),
            None => HeaderName::from_bytes(field.name),
        };
        if let (Ok(name), Ok(mut value)) = (name, value) {
            // A value that is never the same twice would push others out of both ends' compression tables.
            value.set_sensitive(field.known == Some(KnownName::XRequestId));
            headers.append(name, value);
        }
    }
    headers
}

/// The well-known names as HTTP/2 wants them, by number.
fn known_names() -> &'static [HeaderName] {
    static NAMES: OnceLock<Vec<HeaderName>> = OnceLock::new();
    NAMES.get_or_init(|| {
        KnownName::ALL
            .iter()
            .map(|name| HeaderName::from_static(name.as_str()))
            .collect()
    })
}

/// An HTTP/2 request from a head. `None` if its parts do not make a URI.
pub(crate) fn request_to_http2(head: &RequestHead, scheme: &str) -> Option<http::Request<()>> {
    let mut request = http::Request::new(());
    *request.method_mut() = match &head.method {
        Method::Get => http::Method::GET,
        Method::Post => http::Method::POST,
        other => http::Method::from_bytes(other.as_str().as_bytes()).ok()?,
    };
    let mut uri = http::uri::Parts::default();
    uri.scheme = Some(match scheme {
        "https" => http::uri::Scheme::HTTPS,
        _ => http::uri::Scheme::HTTP,
    });
    uri.authority = Some(head.authority().parse().ok()?);
    uri.path_and_query = Some(head.path_and_query().parse().ok()?);
    *request.uri_mut() = http::Uri::from_parts(uri).ok()?;
    *request.version_mut() = http::Version::HTTP_2;
    *request.headers_mut() = header_map(&head.fields);
    Some(request)
}

/// An HTTP/2 request that asks for a tunnel: an extended CONNECT with `protocol` (RFC 8441 section 4), or CONNECT without
/// (RFC 9113 section 8.5). `None` if the head's parts do not make a URI.
pub(crate) fn connect_to_http2(
    head: &RequestHead,
    scheme: &str,
    protocol: Option<&str>,
) -> Option<http::Request<()>> {
    let mut request = match protocol {
        Some(protocol) => {
            let mut request = request_to_http2(head, scheme)?;
            request.extensions_mut().insert(h2::ext::Protocol::from(protocol));
            request
        }
        None => {
            let mut request = http::Request::new(());
            let mut uri = http::uri::Parts::default();
            uri.authority = Some(head.authority().parse().ok()?);
            *request.uri_mut() = http::Uri::from_parts(uri).ok()?;
            *request.headers_mut() = header_map(&head.fields);
            request
        }
    };
    *request.method_mut() = http::Method::CONNECT;
    *request.version_mut() = http::Version::HTTP_2;
    Some(request)
}

/// An HTTP/2 response from a head.
pub(crate) fn response_to_http2(head: &ResponseHead) -> http::Response<()> {
    let mut response = http::Response::new(());
    *response.status_mut() = http::StatusCode::from_u16(head.status).unwrap_or(http::StatusCode::BAD_GATEWAY);
    *response.version_mut() = http::Version::HTTP_2;
    *response.headers_mut() = header_map(&head.fields);
    response
}

/// True if the request is gRPC: its `content-type` is `application/grpc`, or begins with it and `+` or `;`.
pub(crate) fn is_grpc(fields: &Fields) -> bool {
    fields.get(KnownName::ContentType).is_some_and(|value| {
        value
            .strip_prefix(b"application/grpc")
            .is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
    })
}

/// The time that `grpc-timeout` allows; `None` if it is absent or malformed (gRPC's `PROTOCOL-HTTP2.md`: up to eight
/// digits and a unit).
pub(crate) fn grpc_timeout(fields: &Fields) -> Option<std::time::Duration> {
    use std::time::Duration;
    let (unit, digits) = fields.get(KnownName::GrpcTimeout)?.split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let count = digits
        .iter()
        .fold(0u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    Some(match unit {
        b'H' => Duration::from_secs(count * 3600),
        b'M' => Duration::from_secs(count * 60),
        b'S' => Duration::from_secs(count),
        b'm' => Duration::from_millis(count),
        b'u' => Duration::from_micros(count),
        b'n' => Duration::from_nanos(count),
        _ => return None,
    })
}

/// `grpc-timeout` for a duration, rounded up, in the finest unit that eight digits hold.
pub(crate) fn grpc_timeout_text(left: std::time::Duration) -> String {
    const DIGITS_MAX: u128 = 99_999_999;
    let units = [
        (1, 'n'),
        (1_000, 'u'),
        (1_000_000, 'm'),
        (1_000_000_000, 'S'),
        (60_000_000_000, 'M'),
    ];
    let nanos = left.as_nanos();
    let fitting = units.iter().find(|(size, _)| nanos.div_ceil(*size) <= DIGITS_MAX);
    match fitting {
        Some((size, unit)) => format!("{}{unit}", nanos.div_ceil(*size)),
        None => format!("{}H", (nanos.div_ceil(3_600_000_000_000)).min(DIGITS_MAX)),
    }
}

#[cfg(test)]
mod fuzz;

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn grpc_timeouts_are_read_strictly() {
        let read = |value: &[u8]| {
            let mut fields = Fields::new();
            fields.push_known(KnownName::GrpcTimeout, value);
            grpc_timeout(&fields)
        };
        assert_eq!(read(b"5S"), Some(Duration::from_secs(5)));
        assert_eq!(read(b"99999999H"), Some(Duration::from_secs(99_999_999 * 3600)));
        assert_eq!(read(b"100m"), Some(Duration::from_millis(100)));
        for bad in [b"" as &[u8], b"S", b"5", b"5s", b"123456789S", b"-1S", b"1 S"] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn grpc_timeouts_are_written_so_that_they_are_read() {
        for (left, text) in [
            (Duration::from_nanos(1), "1n"),
            (Duration::from_millis(99), "99000000n"),
            (Duration::from_millis(100), "100000u"),
            (Duration::from_secs(5), "5000000u"),
            (Duration::from_secs(100), "100000m"),
            (Duration::from_secs(99_999_999 * 60), "99999999M"),
        ] {
            assert_eq!(grpc_timeout_text(left), text);
            let mut fields = Fields::new();
            fields.push_known(KnownName::GrpcTimeout, text.as_bytes());
            assert_eq!(grpc_timeout(&fields), Some(left), "{text}");
        }
    }

    #[test]
    fn some_targets_of_http1_are_none_of_http2() {
        let expressible = |target: &str| {
            let mut head = RequestHead::new();
            head.method = Method::Get;
            head.set_authority("a");
            head.set_path_and_query(target);
            request_to_http2(&head, "http").is_some()
        };
        assert!(expressible("/?q=x"));
        for target in ["/?q=\"x\"", "/?<", "/?>", "/<", "/>"] {
            assert!(!expressible(target), "{target}");
        }
    }

    #[test]
    fn grpc_is_told_by_its_content_type() {
        for (value, expected) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc-web", false),
        ] {
            let mut fields = Fields::new();
            fields.push_known(KnownName::ContentType, value.as_bytes());
            assert_eq!(is_grpc(&fields), expected, "{value}");
        }
    }

    #[test]
    fn authority_and_host_must_agree_on_http2() {
        let request = |host: Option<&str>, uri: &str| {
            let mut builder = http::Request::builder().uri(uri);
            if let Some(host) = host {
                builder = builder.header("host", host);
            }
            let (parts, ()) = builder.body(()).unwrap().into_parts();
            let mut head = RequestHead::new();
            request_from_http2(&parts, 100, &mut head).map(|()| head.authority().to_owned())
        };
        assert_eq!(request(None, "http://a/x"), Ok("a".to_owned()));
        assert_eq!(request(Some("a"), "http://a/x"), Ok("a".to_owned()));
        assert_eq!(
            request(Some("b"), "http://a/x"),
            Err(Http2RequestFault::AuthorityMismatch)
        );
        assert_eq!(request(Some("b"), "/x"), Ok("b".to_owned()));
        assert_eq!(request(None, "/x"), Err(Http2RequestFault::MissingAuthority));
    }
}
