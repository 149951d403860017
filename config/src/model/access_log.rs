//! Access logs: where lines go, what they hold, and which requests have one.

use super::{Fraction, HeaderMatch, HeaderName, Name, model};
use std::path::PathBuf;
use std::time::Duration;

model! {
    /// One access log.
    pub struct AccessLog {
        /// Where lines go.
        by_ref sink: AccessLogSink,
        /// What a line holds.
        by_ref format: AccessLogFormat,
        /// Which requests and connections have a line; none: all.
        by_ref filter: Option<LogFilter>,
        /// Headers that print although their names say that they are credentials.
        by_ref headers_allowed: Vec<HeaderName>,
        /// What is missing is left out, rather than `-` in texts and `null` in JSON.
        copy omit_empty_values: bool,
    }
}

/// Where access log lines go.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum AccessLogSink {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A file, appended to.
    File(PathBuf),
    /// Records of OpenTelemetry's logs, to this collector; it exists.
    Collector(Name),
}

/// What an access log line holds. Operators are Envoy's (`%RESPONSE_CODE%` …), checked by the telemetry crate's
/// parser when the configuration is read by the proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessLogFormat {
    /// Envoy's default text line.
    DefaultText,
    /// A JSON object of the usual fields.
    DefaultJson,
    /// A text line with operators.
    Text(String),
    /// A JSON object, its members in order.
    Json(Vec<(String, LogMember)>),
}

/// A part of a JSON line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogMember {
    /// A text with operators.
    Text(String),
    /// An object in it, its members in order.
    Object(Vec<(String, LogMember)>),
    /// A list.
    List(Vec<LogMember>),
}

/// Which requests and connections have a line. What asks for something that one does not have (a TCP connection's
/// status, route, header) does not hold.
#[derive(Debug, Clone, PartialEq)]
pub enum LogFilter {
    /// The status that was sent; 0 where none was.
    Status(Relation, u16),
    /// From the first byte of the request to the last of the response, or a TCP connection's age; in whole milliseconds.
    Duration(Relation, Duration),
    /// One of these response flags is set, of [`RESPONSE_FLAGS`]; empty: any.
    ResponseFlags(Vec<&'static str>),
    /// A share of them.
    Sampled(LogSampling),
    /// The route is one of these.
    Routes(Vec<Name>),
    /// It is no probe of a load balancer or an orchestrator, by its `user-agent`.
    NotHealthCheck,
    /// A condition on a header of the request.
    Header(HeaderMatch),
    /// The gRPC status is one of these: 0 to 16.
    GrpcStatus(Vec<u8>),
    /// This does not hold.
    Not(Box<LogFilter>),
    /// One of these holds.
    AnyOf(Vec<LogFilter>),
    /// All of these hold.
    All(Vec<LogFilter>),
}

/// How a value is compared with a filter's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// Not less.
    AtLeast,
    /// Not more.
    AtMost,
    /// The same.
    Equals,
    /// Another.
    Differs,
}

/// A share of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogSampling {
    /// How many.
    pub(crate) fraction: Fraction,
    /// Which.
    pub(crate) by: LogSamplingBy,
}

impl LogSampling {
    /// How many.
    pub fn fraction(&self) -> Fraction {
        self.fraction
    }

    /// Which.
    pub fn by(&self) -> LogSamplingBy {
        self.by
    }
}

/// How a share is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogSamplingBy {
    /// By `x-request-id`: whoever logs the same share logs the same requests. Without one at random.
    RequestId,
    /// At random.
    Random,
}

/// The response flags, by Envoy's short names; the data plane's own list is compared with it.
pub const RESPONSE_FLAGS: &[&str] = &[
    "UH", "UF", "UO", "NR", "URX", "DC", "UC", "UT", "UR", "DPE", "UPE", "SI", "DT", "UAEX", "DI", "FI",
    "OM", "RL", "RLSE",
];
