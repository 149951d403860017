//! How a filter chain speaks HTTP: limits, timeouts, normalization, identity headers, access log.

use super::{
    AccessLog, Compression, ExternalAuthorization, Fault, HintPeers, JwtRequirement, Name, Tracing, defaults,
    model,
};
use ipnet::IpNet;
use std::sync::Arc;
use std::time::Duration;

model! {
    /// The HTTP side of a filter chain (Envoy's HTTP connection manager).
    pub struct HttpOptions {
        /// The route configuration's name; it exists.
        by_ref route_configuration: Name,
        /// HTTP/1.0 requests are accepted (else 505).
        copy accept_http_10: bool,
        /// HTTP/2 settings.
        by_ref http2: Http2Options,
        /// Bytes of a request head at most (431): [`super::defaults::HEADERS_BYTES_MAX`].
        copy request_headers_bytes_max: usize,
        /// Fields of a request head at most (431): [`super::defaults::HEADERS_COUNT_MAX`].
        copy request_headers_count_max: usize,
        /// From the first byte of a request to the end of its head (408).
        copy request_headers_timeout: Duration,
        /// A connection without a request is closed after this.
        copy idle_timeout: Duration,
        /// A stream on which nothing moves is ended after this; none: never. A route may say otherwise.
        copy stream_idle_timeout: Option<Duration>,
        /// A connection is drained after this age; none: never.
        copy connection_age_max: Option<Duration>,
        /// A connection is drained after this many requests; none: never.
        copy requests_per_connection_max: Option<u32>,
        /// What is done with `%2F` and `%5C` in paths.
        copy escaped_slashes: EscapedSlashes,
        /// What is done with repeated slashes in paths.
        copy repeated_slashes: RepeatedSlashes,
        /// Protocols that a client may upgrade to, lower case (`websocket`), where its route does not say otherwise:
        /// [`super::defaults::UPGRADES`]. An upgrade to anything else is ignored, as RFC 9110 has it.
        by_ref upgrades: Vec<String>,
        /// An upgraded connection or tunnel on which nothing moves in either direction is ended after this; none: never. A
        /// route may say otherwise. [`super::defaults::UPGRADE_IDLE_TIMEOUT`]
        copy upgrade_idle_timeout: Option<Duration>,
        /// Peers whose `x-forwarded-*` headers are trusted by `xff_num_trusted_hops`; empty: all.
        by_ref trusted_proxies: Vec<IpNet>,
        /// Compression of responses; none: off. A route may turn it off.
        by_ref compression: Option<Compression>,
        /// Proxies in front of this one whose `x-forwarded-*` headers are trusted (Envoy's `xff_num_trusted_hops`);
        /// 0: the downstream is not trusted, and those headers are replaced.
        copy xff_num_trusted_hops: u32,
        /// What is done with the `server` header of responses.
        by_ref server_header: ProxyHeader,
        /// What is done with the `via` header of requests and responses.
        by_ref via_header: ProxyHeader,
        /// What is done with `x-forwarded-client-cert`.
        by_ref forward_client_certificate: ForwardClientCertificate,
        /// Tokens that requests need, where their route does not say otherwise; none: none are looked at.
        by_ref jwt: Option<JwtRequirement>,
        /// Another service is asked whether a request may go on; none: not. A route may say otherwise.
        by_ref external_authorization: Option<ExternalAuthorization>,
        /// Rate limits that apply to every request that a route takes; they exist.
        by_ref rate_limits: Vec<Name>,
        /// Faults of routes that do not say otherwise; none: none.
        by_ref fault: Option<Arc<Fault>>,
        /// Whose hints are believed.
        by_ref hint_peers: HintPeers,
        /// From the end of a request's head to its last byte (408); none: no limit.
        copy request_timeout: Option<Duration>,
        /// How requests are traced, where their route does not say otherwise; none: not.
        by_ref tracing: Option<Arc<Tracing>>,
        /// Where requests are logged.
        by_ref access_logs: Vec<AccessLog>,
    }
}

model! {
    /// HTTP/2 settings of one side of a connection.
    pub struct Http2Options {
        /// Streams that the peer may have open at once; upstream: streams opened at once, if the peer allows as many.
        copy concurrent_streams_max: u32,
        /// Bytes that the peer may send on a stream before they are read.
        copy stream_window_bytes: u32,
        /// Bytes that the peer may send on a connection before they are read.
        copy connection_window_bytes: u32,
        /// A PING is sent after this long without a frame; none: never.
        copy keepalive_interval: Option<Duration>,
        /// A connection whose PING is not answered within this is closed.
        copy keepalive_timeout: Duration,
    }
}

impl Default for Http2Options {
    fn default() -> Http2Options {
        Http2Options {
            concurrent_streams_max: defaults::HTTP2_CONCURRENT_STREAMS_MAX,
            stream_window_bytes: defaults::HTTP2_STREAM_WINDOW_BYTES,
            connection_window_bytes: defaults::HTTP2_CONNECTION_WINDOW_BYTES,
            keepalive_interval: None,
            keepalive_timeout: defaults::HTTP2_KEEPALIVE_TIMEOUT,
        }
    }
}

/// What is done with `%2F` and `%5C` in paths (Envoy's `path_with_escaped_slashes_action`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EscapedSlashes {
    /// Left as they are; they separate nothing.
    Keep,
    /// Decoded to `/` and `\` before matching and forwarding.
    Unescape,
    /// The request is answered 400.
    Refuse,
}

/// What is done with `//` in paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RepeatedSlashes {
    /// Left as they are.
    Keep,
    /// Merged into one before matching and forwarding.
    Merge,
    /// The request is answered 400.
    Refuse,
}

/// What is done with a header that names proxies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProxyHeader {
    /// Passed as it came.
    Pass,
    /// Replaced by this value.
    Set(String),
    /// This value is appended to what came.
    Append(String),
}

/// What is done with `x-forwarded-client-cert` (Envoy's `forward_client_cert_details`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForwardClientCertificate {
    pub(crate) mode: ForwardClientCertificateMode,
    pub(crate) details: Vec<ClientCertificateDetail>,
}

impl ForwardClientCertificate {
    /// What is done.
    pub fn mode(&self) -> ForwardClientCertificateMode {
        self.mode
    }
    /// What is told of the client's certificate where it is told, beside `By` and `Hash`, which always are; in Envoy's
    /// order, none twice.
    pub fn details(&self) -> &[ClientCertificateDetail] {
        &self.details
    }
}

impl Default for ForwardClientCertificate {
    fn default() -> ForwardClientCertificate {
        ForwardClientCertificate {
            mode: ForwardClientCertificateMode::Sanitize,
            details: Vec::new(),
        }
    }
}

/// Envoy's five modes. The first three names are of what happens on a connection with mutual TLS; without it the header
/// is taken off in all modes but the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForwardClientCertificateMode {
    /// Taken off.
    Sanitize,
    /// Passed as it came.
    ForwardOnly,
    /// What is known of the client is appended to what came.
    AppendForward,
    /// What came is replaced by what is known of the client.
    SanitizeSet,
    /// Passed as it came, always.
    AlwaysForwardOnly,
}

/// What is told of a client's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClientCertificateDetail {
    /// `Cert`: the certificate, URL-encoded PEM.
    Certificate,
    /// `Chain`: all that it sent, URL-encoded PEM.
    Chain,
    /// `Subject`: as RFC 2253 writes it, quoted.
    Subject,
    /// `URI`: each URI name.
    Uri,
    /// `DNS`: each DNS name.
    Dns,
}
