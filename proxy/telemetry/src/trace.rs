//! Traces, as pure values: who a request belongs to, whether its spans are kept, and what they say.
//!
//! A request has a *server span*, and below it a *client span* for each attempt. Contexts come and go in headers
//! ([`propagation`](Propagation), by the formats of W3C, B3 and Datadog); a [`Sampler`] decides; what is kept becomes
//! [`FinishedSpan`]s at the request's end, which a [`SpanSink`] takes. Nothing is kept for a span while it lasts: the id of
//! an attempt's span follows from the server span's ([`SpanId::of_attempt`]).
//!
//! Nothing here reads a clock or a random source, or opens a socket. `baggage` is never touched.

mod b3;
mod datadog;
mod headers;
mod hex;
mod http;
mod ids;
mod propagation;
mod rate;
mod sampling;
mod span;
mod tracestate;
mod w3c;

pub use headers::{Carrier, TraceHeader};
pub use http::{SentRequest, TracedRequest, TracedRoute, is_error};
pub use ids::{SpanId, TraceId};
pub use propagation::{Extracted, Format, OutgoingContext, Propagation, WrittenFormat};
pub use rate::TraceRate;
pub use sampling::{ParentRule, Ratio, Sampler, SamplerChange, TailRule};
pub use span::{AttributeValue, FinishedSpan, SpanEvent, SpanKind, SpanSink, SpanSinks, SpanStatus};
