//! The access log: one line for each request, in Envoy's operators.
//!
//! [`AccessLogFormat`] is compiled when a configuration is read; writing a line from a [`RequestRecord`] then only
//! copies bytes and prints numbers. [`AccessLogWriter`] owns a thread for its sink and never makes a request wait.
//! Which requests have a line is a [`LogFilter`]'s to say, before anything is formatted.

mod escape;
mod filter;
mod format;
mod grpc;
mod line;
mod operator;
mod page;
mod record;
mod sensitive;
mod time_format;
mod timestamp;
mod writer;

pub use filter::{HeaderCondition, LogFilter, LogRelation};
pub use format::{AccessLogFormat, JsonTemplate, LogAttributes};
pub use grpc::GrpcNames;
pub use operator::{FormatError, FormatOptions};
pub use page::page;
pub use record::{CertificateRecord, HeaderLookup, HeaderName, RequestRecord, TlsRecord};
pub use sensitive::{REDACTED, is_credential};
pub use writer::{AccessLogSinks, AccessLogWriter, Reopened, Sink};
