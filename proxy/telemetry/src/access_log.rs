//! The access log: one line for each request, in Envoy's operators.
//!
//! [`AccessLogFormat`] is compiled when a configuration is read; writing a line from a [`RequestRecord`] then only
//! copies bytes and prints numbers. [`AccessLogWriter`] owns a thread for its sink and never makes a request wait.
//! Nothing here decides which requests are logged.

mod escape;
mod format;
mod line;
mod operator;
mod record;
mod timestamp;
mod writer;

pub use format::AccessLogFormat;
pub use operator::FormatError;
pub use record::{CertificateRecord, HeaderLookup, HeaderName, RequestRecord, TlsRecord};
pub use writer::{AccessLogSinks, AccessLogWriter, Sink};
