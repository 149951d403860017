//! Every default of the model, named, with its source. `outrigger check --effective` prints them in place.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// The admin endpoint listens on loopback only.
pub const ADMIN_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9901);
/// Connections are accepted this long after SIGTERM; a load balancer that polls readiness needs more.
pub const DRAIN_GRACE: Duration = Duration::ZERO;
/// Envoy's `--drain-time-s`.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(600);
/// Bytes of request or response head, as Envoy's `max_request_headers_kb`.
pub const HEADERS_BYTES_MAX: usize = 60 * 1024;
/// Fields of a head, as Envoy's `max_headers_count`.
pub const HEADERS_COUNT_MAX: usize = 100;
/// From the first byte of a request to the end of its head.
pub const REQUEST_HEADERS_TIMEOUT: Duration = Duration::from_secs(10);
/// A downstream connection without a request, as Envoy's `idle_timeout`.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(3600);
/// A stream on which nothing moves, as Envoy's `stream_idle_timeout`.
pub const STREAM_IDLE_TIMEOUT: Duration = Duration::from_secs(300);
/// A TLS handshake, from accept to its end; Envoy's `transport_socket_connect_timeout` example.
pub const TLS_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections of one listener; a bound, not a target.
pub const LISTENER_CONNECTIONS_MAX: usize = 100_000;
/// Pending connections that the kernel keeps for one listening socket.
pub const LISTENER_BACKLOG: u32 = 4096;
/// HTTP/2 streams at once on one connection.
pub const HTTP2_CONCURRENT_STREAMS_MAX: u32 = 1024;
/// HTTP/2 stream window: Envoy's 16 MiB lets one slow peer hold too much.
pub const HTTP2_STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
/// HTTP/2 connection window: Envoy's 24 MiB lets one slow peer hold too much.
pub const HTTP2_CONNECTION_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
/// Bytes that one direction of one stream may hold in this process beside socket buffers; Envoy's
/// `per_connection_buffer_limit_bytes`.
pub const STREAM_BUFFER_BYTES_MAX: usize = 64 * 1024;
/// A connection to an upstream, TLS included, as Envoy's `connect_timeout`.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// From the end of the request to the end of the response, retries included, as Envoy's `timeout`.
pub const ROUTE_TIMEOUT: Duration = Duration::from_secs(15);
/// An unused HTTP/1 connection to an upstream: shorter than the 5 s that common servers keep one, so that the
/// keep-alive race is not left to luck.
pub const POOL_IDLE_TIMEOUT_HTTP1: Duration = Duration::from_secs(3);
/// An unused HTTP/2 connection to an upstream, as Envoy's `idle_timeout`.
pub const POOL_IDLE_TIMEOUT_HTTP2: Duration = Duration::from_secs(3600);
/// Endpoint weight.
pub const ENDPOINT_WEIGHT: u32 = 1;
/// Bytes of request body that are kept for a second attempt.
pub const RETRY_BUFFER_BYTES_MAX: usize = 64 * 1024;
/// Retries in proportion to active and pending requests, percent; Envoy's `retry_budget`.
pub const RETRY_BUDGET_PERCENT: u32 = 20;
/// Retries that are always allowed at once; Envoy's `min_retry_concurrency`.
pub const RETRY_BUDGET_MIN_CONCURRENCY: u32 = 3;
/// Regular expressions: compiled size limit in bytes.
pub const REGEX_SIZE_BYTES_MAX: usize = 1024 * 1024;
/// The `server` header of responses.
pub const SERVER_NAME: &str = "outrigger";
/// Status of a redirect, as Envoy's `MOVED_PERMANENTLY`.
pub const REDIRECT_STATUS: u16 = 301;
/// Bytes of a direct response's body, as Envoy's `max_direct_response_body_size_bytes`.
pub const DIRECT_RESPONSE_BODY_BYTES_MAX: usize = 4096;
/// Idle time before the first TCP keep-alive probe, where keep-alive is on: well under the idle limits of NATs.
pub const TCP_KEEPALIVE_TIME: Duration = Duration::from_secs(60);
/// Time between TCP keep-alive probes.
pub const TCP_KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// Unanswered TCP keep-alive probes before a connection is dead.
pub const TCP_KEEPALIVE_PROBES: u32 = 3;
/// An HTTP/2 PING that is not answered within this ends the connection, where PINGs are on; as gRPC's.
pub const HTTP2_KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// ALPN names that a filter chain with TLS offers, in order of preference.
pub const APPLICATION_PROTOCOLS: [&str; 2] = ["h2", "http/1.1"];
/// Media type of a direct response.
pub const DIRECT_RESPONSE_CONTENT_TYPE: &str = "text/plain";
