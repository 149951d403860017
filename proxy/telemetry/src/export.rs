//! What is handed over to be sent to collectors beside spans: records of logs, by OpenTelemetry's data model of logs.

use crate::trace::{AttributeValue, SpanId, TraceId};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::SystemTime;

/// A record of a log.
#[derive(Clone, Debug, PartialEq)]
pub struct LogRecord {
    /// When it happened.
    pub time: SystemTime,
    /// How bad it is.
    pub severity: Severity,
    /// What it says, as a text.
    pub body: String,
    /// What is known of it, by OpenTelemetry's semantic conventions where they have a word.
    pub attributes: Vec<(Cow<'static, str>, AttributeValue)>,
    /// The trace that it belongs to.
    pub trace_id: Option<TraceId>,
    /// The span that it belongs to; none without a trace.
    pub span_id: Option<SpanId>,
    /// The flags of W3C that the trace has; 0 without one.
    pub trace_flags: u8,
}

/// How bad it is that a record was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Nothing is wrong: 9 in OpenTelemetry's numbers.
    Info,
    /// Something may be wrong: 13.
    Warn,
    /// Something is wrong: 17.
    Error,
}

/// Takes records to where they are looked at.
pub trait LogSink: Send + Sync + std::fmt::Debug {
    /// Takes a record, or drops and counts it: false then. It never waits: it is called on workers.
    fn try_send(&self, record: LogRecord) -> bool;
}

/// Knows where records can be sent.
pub trait LogSinks: Send + Sync {
    /// The sink of the collector with this name, which the configuration has. It is asked for when a configuration is compiled,
    /// and stays good for as long as a collector of that name is in force: what changes of the collector, changes behind
    /// it.
    fn logs(&self, collector: &str) -> Arc<dyn LogSink>;
}
