//! Every default of the model, named, with its source. `outrigger check --effective` prints them in place.

use super::JwtAlgorithm;
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
/// A PROXY protocol header, from accept to its end: as HAProxy's usual `timeout client-hello`.
pub const PROXY_PROTOCOL_TIMEOUT: Duration = Duration::from_secs(5);
/// A proxied TCP connection on which nothing moves, as Envoy's `idle_timeout`.
pub const TCP_IDLE_TIMEOUT: Duration = Duration::from_secs(3600);
/// Endpoints tried for a TCP connection, as Envoy's `max_connect_attempts` with one more: connecting twice harms nobody.
pub const TCP_CONNECT_ATTEMPTS_MAX: u32 = 2;
/// What a client may take to say enough for its protocol to be told, as Linkerd's.
pub const DETECTION_TIMEOUT: Duration = Duration::from_secs(10);
/// Protocols that clients may upgrade to.
pub const UPGRADES: [&str; 1] = ["websocket"];
/// An upgraded connection on which nothing moves: as a proxied TCP connection.
pub const UPGRADE_IDLE_TIMEOUT: Duration = TCP_IDLE_TIMEOUT;
/// Shortest time that a DNS answer is kept: a TTL of zero must not become a storm of queries.
pub const DNS_TTL_MIN: Duration = Duration::from_secs(1);
/// Longest time that a DNS answer is kept.
pub const DNS_TTL_MAX: Duration = Duration::from_secs(300);
/// How long the last good answer outlives its TTL while the resolver fails (RFC 8767 suggests one to three days for
/// caches; a proxy's endpoints move sooner).
pub const DNS_STALE_MAX: Duration = Duration::from_secs(3600);
/// One DNS query with its repetitions, as the usual `resolv.conf` timeout.
pub const DNS_QUERY_TIMEOUT: Duration = Duration::from_secs(5);
/// Weight of a DNS name's addresses.
pub const DNS_NAME_WEIGHT: u32 = 1;
/// Destinations that an original-destination cluster remembers; a bound, not a target.
pub const ORIGINAL_DESTINATION_ENDPOINTS_MAX: usize = 10_000;
/// An original destination that nothing uses: above the pool's idle timeout for HTTP/1, so that pools are not cut short.
pub const ORIGINAL_DESTINATION_IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Status of a redirect to HTTPS, as Envoy's.
pub const HTTPS_REDIRECT_STATUS: u16 = 301;
/// `max-age` of `strict-transport-security`: a year, as preload lists want it.
pub const HSTS_MAX_AGE: Duration = Duration::from_secs(31_536_000);
/// Responses that are known to be shorter are not compressed: about one packet, as is usual for CDNs.
pub const COMPRESSION_BYTES_MIN: u64 = 1024;
/// Media types that are compressed.
pub const COMPRESSION_CONTENT_TYPES: [&str; 7] = [
    "text/*",
    "application/json",
    "application/javascript",
    "application/xml",
    "application/xhtml+xml",
    "application/wasm",
    "image/svg+xml",
];
/// Level of gzip: nginx's default of 1 compresses less, zlib's of 6 costs twice the time.
pub const GZIP_LEVEL: u32 = 4;
/// Quality of Brotli for answers that are made as they are sent.
pub const BROTLI_QUALITY: u32 = 4;
/// Level of zstd, its own default.
pub const ZSTD_LEVEL: u32 = 3;
/// Status of a maintenance page.
pub const MAINTENANCE_STATUS: u16 = 503;
/// Media type of a page.
pub const PAGE_CONTENT_TYPE: &str = "text/html; charset=utf-8";
/// Bytes of a page.
pub const PAGE_BYTES_MAX: usize = 64 * 1024;
/// A mirrored request, from its start to the end of its answer.
pub const MIRROR_TIMEOUT: Duration = ROUTE_TIMEOUT;
/// Mirrored requests of one worker at once; those beyond are dropped.
pub const MIRRORS_MAX: usize = 1024;
/// Bytes of a request's body that are copied for a mirror; a longer request is not mirrored to its end, and counted.
pub const MIRROR_BODY_BYTES_MAX: usize = 64 * 1024;
/// Bytes of a mirror's answer that are read, to be thrown away; of a longer one the connection is given up.
pub const MIRROR_ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// Path of a session cookie.
pub const SESSION_COOKIE_PATH: &str = "/";
/// A second address family is tried after this long without an answer of the first, as RFC 8305 recommends.
pub const HAPPY_EYEBALLS_DELAY: Duration = Duration::from_millis(250);
/// Validity that is asked of a certificate authority, as Istio's `SECRET_TTL`.
pub const CERTIFICATE_VALIDITY: Duration = Duration::from_secs(24 * 3600);
/// Algorithms of tokens: what public issuers sign with.
pub const JWT_ALGORITHMS: [JwtAlgorithm; 2] = [JwtAlgorithm::Rs256, JwtAlgorithm::Es256];
/// How far clocks may differ, as Envoy's `clock_skew_seconds`.
pub const JWT_CLOCK_SKEW: Duration = Duration::from_secs(60);
/// How long a key set is used before it is fetched again: between Envoy's ten minutes and the minutes that issuers
/// announce a new key ahead.
pub const JWKS_REFRESH: Duration = Duration::from_secs(300);
/// One fetch of a key set.
pub const JWKS_TIMEOUT: Duration = Duration::from_secs(5);
/// One question to an authorization service, as Envoy's.
pub const EXTERNAL_AUTHORIZATION_TIMEOUT: Duration = Duration::from_millis(200);
/// Status where an authorization service fails, as Envoy's.
pub const EXTERNAL_AUTHORIZATION_ERROR_STATUS: u16 = 403;
/// Bytes of an authorization service's answer; a longer one counts as none.
pub const EXTERNAL_AUTHORIZATION_ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Headers and query parameters that an authorization service may change in one answer: as many as a head may have.
pub const EXTERNAL_AUTHORIZATION_CHANGES_MAX: usize = HEADERS_COUNT_MAX;
/// Bytes of request bodies that one worker reads ahead for authorization services, all together.
pub const EXTERNAL_AUTHORIZATION_BODIES_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes of what tells a decision that is kept from others; requests with more are asked about each time.
pub const DECISION_KEY_BYTES_MAX: usize = 8 * 1024;
/// Bytes of decisions that one worker keeps for one service.
pub const DECISIONS_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Decisions of an authorization service that are kept, where they are, for each worker.
pub const DECISION_CACHE_ENTRIES_MAX: usize = 10_000;
/// Endpoints that least request looks at, as Envoy's `choice_count`.
pub const LEAST_REQUEST_CHOICES: u32 = 2;
/// Time constant of peak EWMA, as Finagle's and Linkerd's.
pub const PEAK_EWMA_DECAY: Duration = Duration::from_secs(10);
/// Response time of an endpoint that has not answered yet, as Linkerd's.
pub const PEAK_EWMA_DEFAULT_RTT: Duration = Duration::from_millis(30);
/// Points on a hash ring at least, as Envoy's.
pub const RING_SIZE_MIN: u32 = 1024;
/// Points on a hash ring at most, as Envoy's.
pub const RING_SIZE_MAX: u32 = 8 * 1024 * 1024;
/// Entries of a Maglev table, as Envoy's.
pub const MAGLEV_TABLE_SIZE: u32 = 65_537;
/// How the share of a new endpoint grows, as Envoy's `aggression`.
pub const SLOW_START_AGGRESSION: f64 = 1.0;
/// The share of a new endpoint at first, as Envoy's `min_weight_percent`.
pub const SLOW_START_WEIGHT_MIN_PERCENT: u32 = 10;
/// Overprovisioning, as Envoy's.
pub const OVERPROVISIONING_FACTOR_PERCENT: u32 = 140;
/// Healthy endpoints below which there is panic, as Envoy's.
pub const PANIC_THRESHOLD_PERCENT: u32 = 50;
/// Requests that are routed by zones, as Envoy's `routing_enabled`.
pub const ZONE_ROUTING_PERCENT: u32 = 100;
/// Endpoints from which a cluster is routed by zones, as Envoy's `min_cluster_size`.
pub const ZONE_CLUSTER_SIZE_MIN: u32 = 6;
/// `Path` of a cookie that is given for its hash.
pub const HASH_COOKIE_PATH: &str = "/";
/// One health check: less than its interval.
pub const HEALTH_CHECK_TIMEOUT: Duration = Duration::from_secs(1);
/// From one health check to the next: with three failures an endpoint is out after some 15 s, as in Kubernetes' 30.
pub const HEALTH_CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// Jitter of health checks.
pub const HEALTH_CHECK_JITTER_PERCENT: u32 = 10;
/// Failed checks in a row, as HAProxy's `fall` and Kubernetes' `failureThreshold`.
pub const HEALTH_CHECK_UNHEALTHY_THRESHOLD: u32 = 3;
/// Passed checks in a row, as HAProxy's `rise`.
pub const HEALTH_CHECK_HEALTHY_THRESHOLD: u32 = 2;
/// Bytes of a check's answer that are looked at.
pub const HEALTH_CHECK_ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Failures in a row of outlier detection, as Envoy's.
pub const OUTLIER_CONSECUTIVE: u32 = 5;
/// Ejections of which all are made.
pub const OUTLIER_ENFORCED_ALL_PERCENT: u32 = 100;
/// Outlier detection's `interval`, as Envoy's.
pub const OUTLIER_INTERVAL: Duration = Duration::from_secs(10);
/// Outlier detection's `base_ejection_time`, as Envoy's.
pub const OUTLIER_BASE_EJECTION_TIME: Duration = Duration::from_secs(30);
/// Outlier detection's `max_ejection_time`, as Envoy's.
pub const OUTLIER_MAX_EJECTION_TIME: Duration = Duration::from_secs(300);
/// Outlier detection's `max_ejection_percent`, as Envoy's.
pub const OUTLIER_MAX_EJECTION_PERCENT: u32 = 10;
/// Outlier detection's minimal numbers of hosts, as Envoy's.
pub const OUTLIER_HOSTS_MIN: u32 = 5;
/// Outlier detection's `success_rate_request_volume`, as Envoy's.
pub const OUTLIER_SUCCESS_RATE_VOLUME: u32 = 100;
/// Outlier detection's `success_rate_stdev_factor`, thousandths, as Envoy's.
pub const OUTLIER_SUCCESS_RATE_STDEV_FACTOR: u32 = 1900;
/// Outlier detection's `failure_percentage_threshold`, as Envoy's.
pub const OUTLIER_FAILURE_PERCENTAGE_THRESHOLD: u32 = 85;
/// Outlier detection's `failure_percentage_request_volume`, as Envoy's.
pub const OUTLIER_FAILURE_PERCENTAGE_VOLUME: u32 = 50;
/// Retries of a policy that does not say, as Envoy's `num_retries`.
pub const RETRIES_MAX: u32 = 1;
/// Retries of ten seconds that are always allowed, where any are: one a second, so that a cluster with few requests can do
/// without an endpoint.
pub const RETRY_BUDGET_MIN_RECENT: u32 = 10;
/// Backoff before the first retry at most, as Envoy's `base_interval`.
pub const RETRY_BACKOFF_BASE: Duration = Duration::from_millis(25);
/// Backoff at most, as Envoy's `max_interval` (ten times the base).
pub const RETRY_BACKOFF_MAX: Duration = Duration::from_millis(250);
/// Attempts beside the first that hedging makes.
pub const HEDGES_MAX: u32 = 1;
/// Hedges in proportion to requests: what a 95th percentile asks for, twice over, as in "The Tail at Scale".
pub const HEDGE_EXTRA_LOAD_PERCENT: u32 = 10;
/// Requests of a route that a measured quantile needs.
pub const HEDGE_SAMPLES_MIN: u32 = 100;
/// A hedge by a measured quantile is never made sooner.
pub const HEDGE_DELAY_MIN: Duration = Duration::from_millis(1);
/// Connections of a cluster, as Envoy's `max_connections`.
pub const BREAKER_CONNECTIONS_MAX: u32 = 1024;
/// Requests that wait for a connection, as Envoy's `max_pending_requests`.
pub const BREAKER_PENDING_MAX: u32 = 1024;
/// Requests of a cluster, as Envoy's `max_requests`.
pub const BREAKER_REQUESTS_MAX: u32 = 1024;
/// Quantile of adaptive concurrency, as Envoy's `sample_aggregate_percentile`.
pub const ADAPTIVE_QUANTILE_PERCENT: u32 = 50;
/// Interval of adaptive concurrency, as Envoy's example.
pub const ADAPTIVE_UPDATE_INTERVAL: Duration = Duration::from_millis(100);
/// Highest limit of adaptive concurrency, as Envoy's `max_concurrency_limit`.
pub const ADAPTIVE_CONCURRENCY_MAX: u32 = 1000;
/// Lowest limit of adaptive concurrency, as Envoy's `min_concurrency`.
pub const ADAPTIVE_CONCURRENCY_MIN: u32 = 3;
/// From one measurement of the minimum to the next, as Envoy's example.
pub const ADAPTIVE_MIN_RTT_INTERVAL: Duration = Duration::from_secs(60);
/// Requests by which the minimum is measured, as Envoy's `request_count`.
pub const ADAPTIVE_MIN_RTT_REQUESTS: u32 = 50;
/// Jitter of that measurement, as Envoy's.
pub const ADAPTIVE_JITTER_PERCENT: u32 = 15;
/// Buffer above the minimum, as Envoy's.
pub const ADAPTIVE_BUFFER_PERCENT: u32 = 25;
/// Values of a descriptor that are counted at once.
pub const RATE_LIMIT_KEYS_MAX: usize = 10_000;
/// Status of a request that is over its rate.
pub const RATE_LIMIT_STATUS: u16 = 429;
/// One question to a rate limit service, as Envoy's.
pub const RATE_LIMIT_SERVICE_TIMEOUT: Duration = Duration::from_millis(20);
/// Bytes of a rate limit service's answer; a longer one counts as none.
pub const RATE_LIMIT_ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Bytes of a descriptor's value; of a longer one its hash is used.
pub const DESCRIPTOR_VALUE_BYTES_MAX: usize = 256;
/// From one look at what is in use to the next, as Envoy's overload manager's example.
pub const OVERLOAD_INTERVAL: Duration = Duration::from_millis(250);
/// Pressure at which connections are not kept alive any more: before anything is refused.
pub const OVERLOAD_STOP_KEEPALIVE_PERCENT: u32 = 85;
/// Pressure from which requests are refused.
pub const OVERLOAD_REFUSE_REQUESTS_PERCENT: u32 = 90;
/// Pressure at which all requests are refused, as Envoy's example for `stop_accepting_requests`.
pub const OVERLOAD_REFUSE_ALL_PERCENT: u32 = 95;
/// Pressure at which connections are refused.
pub const OVERLOAD_REFUSE_CONNECTIONS_PERCENT: u32 = 98;
/// How policy is transported: a change costs what it changes.
pub const CONTROL_TRANSPORT: super::ControlTransport = super::ControlTransport::Delta;
/// How long a start waits for a first configuration: well within what orchestrators give a process before they doubt it.
pub const CONTROL_FIRST_WAIT: Duration = Duration::from_secs(10);

/// Between two trials of preferred servers: as long as the longest wait between two trials of a server that is away.
pub const CONTROL_RETURN_INTERVAL: Duration = Duration::from_secs(30);
/// The share of requests that faults touch at most.
pub const FAULT_AFFECTED_MAX: super::Fraction = super::Fraction::ALL;

/// `service.name` of a process that is not told whom it stands for.
pub const SERVICE_NAME: &str = "outrigger";
/// Bytes of the flight recorder: some 15,000 plain requests, and some 7,000 errors beside them.
pub const RECORDER_MEMORY_BYTES: usize = 8 * 1024 * 1024;
/// A request that takes as long is slow enough to be asked about.
pub const RECORDER_SLOW: Duration = Duration::from_secs(1);
/// Upper bounds of the buckets of latency histograms. From half a millisecond, where a hop on one machine ends, to a
/// minute, where timeouts do; close to each other from 100 to 500 ms, where objectives of latency lie.
pub const LATENCY_BUCKETS: [Duration; 18] = [
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_micros(2_500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(250),
    Duration::from_millis(300),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_millis(2_500),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(30),
    Duration::from_secs(60),
];
/// What the rules for alerts in `deploy/prometheus` hold an answer to: without a bucket that ends there they cannot tell.
pub const LATENCY_OBJECTIVE: Duration = Duration::from_millis(500);
/// How collectors are spoken to: what all of them take.
pub const COLLECTOR_PROTOCOL: super::CollectorProtocol = super::CollectorProtocol::Grpc;
/// What is made of messages to a collector: nothing, as OTLP has it where nothing is said.
pub const COLLECTOR_COMPRESSION: super::CollectorCompression = super::CollectorCompression::None;
/// One request to a collector, as OpenTelemetry's `OTEL_EXPORTER_OTLP_TIMEOUT`.
pub const COLLECTOR_TIMEOUT: Duration = Duration::from_secs(10);
/// What may wait for a collector, as OpenTelemetry's `OTEL_BSP_MAX_QUEUE_SIZE` and `OTEL_BLRP_MAX_QUEUE_SIZE`.
pub const COLLECTOR_QUEUE_MAX: u32 = 2048;
/// What is sent at once, as OpenTelemetry's `OTEL_BSP_MAX_EXPORT_BATCH_SIZE` and `OTEL_BLRP_MAX_EXPORT_BATCH_SIZE`.
pub const COLLECTOR_BATCH_MAX: u32 = 512;
/// How long the first of a batch waits, as OpenTelemetry's `OTEL_BSP_SCHEDULE_DELAY`.
pub const COLLECTOR_BATCH_DELAY: Duration = Duration::from_secs(5);
/// The share of traces that is kept where no share is given, as in Envoy and OpenTelemetry.
pub const TRACE_FRACTION: super::Fraction = super::Fraction::ALL;
/// Formats in which contexts of traces are read.
pub const TRACE_EXTRACT: [super::TraceFormat; 1] = [super::TraceFormat::W3c];
/// Formats in which contexts of traces are written.
pub const TRACE_INJECT: [super::WrittenTraceFormat; 1] = [super::WrittenTraceFormat::W3c];
/// The header with which believed peers have a request traced, as in Envoy.
pub const TRACE_FORCE_HEADER: &str = "x-envoy-force-trace";
