//! What is known of a request when it has ended.

use crate::flags::ResponseFlags;
use crate::trace::{SpanId, TraceId};
use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

/// A header's name, as a compiled format holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderName {
    /// `:method`
    Method,
    /// `:path`
    Path,
    /// `:authority`
    Authority,
    /// `:scheme`
    Scheme,
    /// A field's name by the number that [`AccessLogFormat::number_names`](super::AccessLogFormat::number_names) was
    /// told; formats that were told none have none.
    Numbered(u8),
    /// A field's name in lower case.
    Named(Box<str>),
}

impl HeaderName {
    /// A field's name, which must be in lower case.
    pub fn named(name: &str) -> HeaderName {
        HeaderName::Named(name.into())
    }

    /// Becomes the number of a field's name, where `number_of` knows one.
    pub fn become_number(&mut self, number_of: &dyn Fn(&str) -> Option<u8>) {
        if let HeaderName::Named(name) = self
            && let Some(number) = number_of(name)
        {
            *self = HeaderName::Numbered(number);
        }
    }
}

/// Header fields by name; pseudo-headers whatever version the request came in.
pub trait HeaderLookup {
    /// The first field of this name.
    fn lookup(&self, name: &HeaderName) -> Option<&[u8]>;

    /// The values of all fields of this name, joined by commas in `joined`, which comes empty; a single one is lent as it
    /// is.
    fn joined<'a>(&'a self, name: &HeaderName, joined: &'a mut Vec<u8>) -> Option<&'a [u8]>;

    /// Bytes of all names and values, pseudo-headers included.
    fn bytes(&self) -> u64;
}

/// No header at all.
impl HeaderLookup for () {
    fn lookup(&self, _: &HeaderName) -> Option<&[u8]> {
        None
    }

    fn joined<'a>(&'a self, _: &HeaderName, _: &'a mut Vec<u8>) -> Option<&'a [u8]> {
        None
    }

    fn bytes(&self) -> u64 {
        0
    }
}

/// What a log line can say of a certificate that was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CertificateRecord<'a> {
    /// Its URI names, joined by commas; none if it has none.
    pub uri_names: Option<&'a str>,
    /// Its DNS names, likewise.
    pub dns_names: Option<&'a str>,
    /// Its subject, as RFC 2253 writes it.
    pub subject: &'a str,
    /// Its issuer, likewise.
    pub issuer: &'a str,
    /// Its serial number: hexadecimal, lower case.
    pub serial: &'a str,
    /// SHA-256 of its DER: hexadecimal, lower case.
    pub fingerprint_256: &'a str,
    /// From when it holds.
    pub not_before: SystemTime,
    /// Until when it holds.
    pub not_after: SystemTime,
}

/// What a log line can say of a TLS connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TlsRecord<'a> {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: &'a str,
    /// The cipher suite, as OpenSSL names it.
    pub cipher: Option<&'a str>,
    /// What the peer showed and was verified.
    pub peer: Option<CertificateRecord<'a>>,
    /// What was shown to the peer.
    pub local: Option<CertificateRecord<'a>>,
}

/// Everything an access log line can say of one request. What is not known is `None`, and prints as `-` in text and
/// `null` in JSON.
#[derive(Clone, Copy)]
pub struct RequestRecord<'a> {
    /// When the first byte of the request came.
    pub start_time: SystemTime,
    /// `HTTP/1.0`, `HTTP/1.1` or `HTTP/2`.
    pub protocol: Option<&'a str>,
    /// The status sent downstream; 0 when none was.
    pub response_code: u16,
    /// Why that status, in Envoy's words (`via_upstream`, `route_not_found` …).
    pub response_code_details: Option<&'a str>,
    /// Why a connection whose bytes are passed on ended, where this proxy or a fault ended it; in Envoy's words where it
    /// has some.
    pub connection_termination_details: Option<&'a str>,
    /// What authorization policies would decide if shadow policies were in force: `denied[policy]`.
    pub authorization_shadow_result: Option<&'a str>,
    /// AUDIT policies that match, with commas between them.
    pub authorization_audited: Option<&'a str>,
    /// The flags.
    pub response_flags: ResponseFlags,
    /// Request body bytes received.
    pub bytes_received: u64,
    /// Response body bytes sent.
    pub bytes_sent: u64,
    /// From the first byte of the request to the last of the response.
    pub duration: Duration,
    /// From the first byte of the request to its last.
    pub request_duration: Option<Duration>,
    /// From the first byte of the request to the first of the upstream's response.
    pub response_duration: Option<Duration>,
    /// The endpoint of the last attempt.
    pub upstream_host: Option<SocketAddr>,
    /// The cluster.
    pub upstream_cluster: Option<&'a str>,
    /// Our address on the last attempt's connection.
    pub upstream_local_address: Option<SocketAddr>,
    /// The last attempt's protocol: `HTTP/1.1` or `HTTP/2`.
    pub upstream_protocol: Option<&'a str>,
    /// Why the last attempt got no connection, or lost it, in words.
    pub upstream_transport_failure_reason: Option<&'a str>,
    /// Attempts made; 0 when none was.
    pub upstream_request_attempt_count: u32,
    /// The trace that it is part of, where requests are traced.
    pub trace_id: Option<TraceId>,
    /// Our own span of it.
    pub span_id: Option<SpanId>,
    /// The flags of W3C that its trace has: 1 if it is sampled, 2 if its id is random. 0 without a trace.
    pub trace_flags: u8,
    /// The route.
    pub route_name: Option<&'a str>,
    /// The virtual host.
    pub virtual_host: Option<&'a str>,
    /// The client, as trusted `x-forwarded-for` tells it, or else the peer.
    pub downstream_remote_address: Option<SocketAddr>,
    /// The peer of the connection.
    pub downstream_direct_remote_address: Option<SocketAddr>,
    /// Our address on the downstream connection.
    pub downstream_local_address: Option<SocketAddr>,
    /// The SNI.
    pub requested_server_name: Option<&'a str>,
    /// TLS of the downstream connection, where it ends here.
    pub downstream_tls: Option<&'a TlsRecord<'a>>,
    /// TLS of the last attempt's connection.
    pub upstream_tls: Option<&'a TlsRecord<'a>>,
    /// A number of the downstream connection, unique in this process.
    pub connection_id: u64,
    /// The filter chain.
    pub filter_chain_name: Option<&'a str>,
    /// The request's header.
    pub request: &'a dyn HeaderLookup,
    /// The response's header, as sent downstream.
    pub response: &'a dyn HeaderLookup,
    /// The response's trailers.
    pub trailers: Option<&'a dyn HeaderLookup>,
}

/// Headers are left out: they may hold what nobody should read.
impl fmt::Debug for RequestRecord<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestRecord")
            .field("response_code", &self.response_code)
            .field("response_flags", &self.response_flags)
            .field("route_name", &self.route_name)
            .field("connection_id", &self.connection_id)
            .finish_non_exhaustive()
    }
}
