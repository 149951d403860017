//! Spans as they are handed over: whole, and ended.

use super::ids::{SpanId, TraceId};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::SystemTime;

/// How long a text is at most, in bytes, as in the access log's attributes: what a client makes up must not fill a queue.
const TEXT_BYTES_MAX: usize = 4_096;

/// A span that has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct FinishedSpan {
    /// Its trace.
    pub trace_id: TraceId,
    /// Its own id.
    pub span_id: SpanId,
    /// The span that it is part of.
    pub parent: Option<SpanId>,
    /// The parent is another process's.
    pub parent_is_remote: bool,
    /// The flags of W3C that its own context has: 1 if the trace is sampled (a span that was kept by how it ended is
    /// not), 2 if its id is random.
    pub flags: u8,
    /// The `tracestate` that it goes with; empty: none.
    pub tracestate: String,
    /// Low in cardinality.
    pub name: String,
    /// Which side it is of.
    pub kind: SpanKind,
    /// When it began.
    pub start: SystemTime,
    /// When it ended.
    pub end: SystemTime,
    /// What is known of it, by OpenTelemetry's semantic conventions.
    pub attributes: Vec<(Cow<'static, str>, AttributeValue)>,
    /// What happened in it, in order.
    pub events: Vec<SpanEvent>,
    /// How it ended.
    pub status: SpanStatus,
}

impl FinishedSpan {
    /// The value of an attribute.
    pub fn attribute(&self, name: &str) -> Option<&AttributeValue> {
        let (_, value) = self.attributes.iter().find(|(known, _)| known == name)?;
        Some(value)
    }

    /// Cuts its texts to what a collector is to have of them. Of a `tracestate` whole members go, as its format has it.
    pub(super) fn cut(&mut self) {
        cut(&mut self.name);
        if self.tracestate.len() > TEXT_BYTES_MAX {
            cut(&mut self.tracestate);
            let end = self.tracestate.rfind(',').unwrap_or(0);
            self.tracestate.truncate(end);
        }
        for (_, value) in &mut self.attributes {
            if let AttributeValue::Text(text) = value
                && text.len() > TEXT_BYTES_MAX
            {
                cut(text.to_mut());
            }
        }
    }
}

fn cut(text: &mut String) {
    if text.len() > TEXT_BYTES_MAX {
        text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
        text.shrink_to_fit();
    }
}

/// Which side of a call a span is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// The request as it came.
    Server,
    /// An attempt at it.
    Client,
}

/// What an attribute says.
#[derive(Clone, Debug, PartialEq)]
pub enum AttributeValue {
    /// A text.
    Text(Cow<'static, str>),
    /// A number.
    Integer(i64),
    /// Yes or no.
    Bool(bool),
}

impl From<String> for AttributeValue {
    fn from(text: String) -> AttributeValue {
        AttributeValue::Text(text.into())
    }
}

impl From<&'static str> for AttributeValue {
    fn from(text: &'static str) -> AttributeValue {
        AttributeValue::Text(text.into())
    }
}

impl From<Cow<'static, str>> for AttributeValue {
    fn from(text: Cow<'static, str>) -> AttributeValue {
        AttributeValue::Text(text)
    }
}

impl From<u16> for AttributeValue {
    fn from(number: u16) -> AttributeValue {
        AttributeValue::Integer(number.into())
    }
}

impl From<u32> for AttributeValue {
    fn from(number: u32) -> AttributeValue {
        AttributeValue::Integer(number.into())
    }
}

/// Something that happened in a span.
#[derive(Clone, Debug, PartialEq)]
pub struct SpanEvent {
    /// What.
    pub name: Cow<'static, str>,
    /// When.
    pub at: SystemTime,
    /// What is known of it.
    pub attributes: Vec<(Cow<'static, str>, AttributeValue)>,
}

/// How a span ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum SpanStatus {
    /// Nothing went wrong that is this side's business.
    #[default]
    Unset,
    /// An error, in a few words; empty where an attribute says all.
    Error(Cow<'static, str>),
}

/// Takes spans to where they are looked at.
pub trait SpanSink: Send + Sync + std::fmt::Debug {
    /// Takes the spans of one request, or drops and counts them all. It never waits: it is called on workers.
    fn try_send(&self, spans: Vec<FinishedSpan>);
}

/// Knows where spans can be sent.
pub trait SpanSinks: Send + Sync {
    /// The sink of the collector with this name, which the configuration has. It is asked for when a configuration is compiled,
    /// and stays good for as long as a collector of that name is in force: what changes of the collector, changes behind
    /// it.
    fn spans(&self, collector: &str) -> Arc<dyn SpanSink>;
}
