//! Where the process sends what it notes of requests, and what it says of itself there.

use super::{HeaderName, MeshConfig, Name, Origin, Secret, UpstreamTls, defaults, model};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

model! {
    /// What the process tells collectors.
    pub struct Telemetry {
        /// Who it says that it is (`service.name`); none: see [`MeshConfig::service_name`].
        by_ref service_name: Option<String>,
        /// What else it says of itself: attributes of OpenTelemetry's resource by their keys.
        by_ref resource: BTreeMap<String, String>,
        /// Upper bounds of the buckets of latency histograms, 1 to 40 that rise: [`defaults::LATENCY_BUCKETS`]. Read once,
        /// at start.
        by_ref latency_buckets: Vec<Duration>,
        /// Whom it may send to, by OTLP; filter chains say what is sent where.
        by_ref collectors: Vec<Arc<Collector>>,
        /// What is kept of requests and connections that are over, to explain them; none: nothing.
        by_ref recorder: Option<FlightRecorder>,
    }
}

impl Default for Telemetry {
    fn default() -> Telemetry {
        Telemetry {
            service_name: None,
            resource: BTreeMap::new(),
            latency_buckets: defaults::LATENCY_BUCKETS.to_vec(),
            collectors: Vec::new(),
            recorder: Some(FlightRecorder::default()),
        }
    }
}

model! {
    /// What is kept of requests and connections that are over. Other settings than before begin it anew.
    pub struct FlightRecorder {
        /// Bytes that records may take, of all workers together: [`defaults::RECORDER_MEMORY_BYTES`].
        copy memory_bytes: usize,
        /// From this on a request is kept for as long as an error is: [`defaults::RECORDER_SLOW`].
        copy slow: Duration,
    }
}

impl Default for FlightRecorder {
    fn default() -> FlightRecorder {
        FlightRecorder {
            memory_bytes: defaults::RECORDER_MEMORY_BYTES,
            slow: defaults::RECORDER_SLOW,
        }
    }
}

impl MeshConfig {
    /// Who the process tells collectors that it is: what `telemetry` says, else the service of `control`, else
    /// [`defaults::SERVICE_NAME`].
    pub fn service_name(&self) -> &str {
        let told = self.telemetry.service_name.as_deref();
        let service = self
            .control
            .as_ref()
            .and_then(|control| control.service.as_deref());
        told.or(service).unwrap_or(defaults::SERVICE_NAME)
    }
}

model! {
    /// A server that takes OTLP.
    pub struct Collector {
        /// Unique among collectors.
        by_ref name: Name,
        /// Where it is.
        by_ref endpoint: CollectorEndpoint,
        /// How it is spoken to: [`defaults::COLLECTOR_PROTOCOL`].
        copy protocol: CollectorProtocol,
        /// What is made of messages before they are sent: [`defaults::COLLECTOR_COMPRESSION`].
        copy compression: CollectorCompression,
        /// TLS, there exactly if the endpoint's URL begins with `https:`.
        by_ref tls: Option<UpstreamTls>,
        /// Sent with each request, none twice. Values may be credentials: they are never shown.
        by_ref headers: Vec<(HeaderName, Secret)>,
        /// How long one request may take: [`defaults::COLLECTOR_TIMEOUT`].
        copy timeout: Duration,
        /// Spans that may wait, and log records beside them; what comes when so many do is dropped:
        /// [`defaults::COLLECTOR_QUEUE_MAX`].
        copy queue_max: u32,
        /// How many are sent at once at most, no more than `queue_max`: [`defaults::COLLECTOR_BATCH_MAX`].
        copy batch_max: u32,
        /// How long the first of a batch waits for others: [`defaults::COLLECTOR_BATCH_DELAY`].
        copy batch_delay: Duration,
        /// Where it was written.
        by_ref origin: Origin,
    }
}

/// What is made of messages to a collector before they are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CollectorCompression {
    /// Nothing.
    None,
    /// They are compressed by gzip, which every collector takes.
    Gzip,
}

model! {
    /// Where a collector is.
    pub struct CollectorEndpoint {
        /// It is spoken to by TLS.
        copy tls: bool,
        /// A name, or an address without brackets.
        by_ref host: String,
        /// The port.
        copy port: u16,
        /// What stands before `/v1/traces` and `/v1/logs`: empty, or `/` and more, without a `/` at its end. Empty where
        /// gRPC is spoken.
        by_ref path: String,
    }
}

impl CollectorEndpoint {
    /// `host:port`, with brackets where they belong.
    pub fn authority(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }

    /// As a URL.
    pub fn url(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}{}", self.authority(), self.path)
    }
}

/// How a collector is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CollectorProtocol {
    /// OTLP over gRPC.
    Grpc,
    /// OTLP over HTTP, bodies in protobuf.
    Http,
}
