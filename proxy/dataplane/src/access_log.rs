//! Access logs as compiled: which requests and connections have a line, what it holds, and where it goes.

mod compile;

use crate::worker::Worker;
use outrigger_telemetry::export::{LogRecord, LogSink, Severity};
use outrigger_telemetry::{AccessLogFormat, AccessLogWriter, LogAttributes, LogFilter, RequestRecord};
use std::sync::Arc;

pub(crate) use compile::compile;

/// Bytes of a line at most that a collector is sent; what is longer is cut, so that a queue of records has a bound.
const BODY_BYTES_MAX: usize = 16 * 1024;

/// One access log.
pub(crate) struct AccessLog {
    /// None: everything has a line.
    filter: Option<LogFilter>,
    format: AccessLogFormat,
    to: Destination,
}

/// Where lines go.
enum Destination {
    Lines(Arc<AccessLogWriter>),
    /// To a collector.
    Records {
        sink: Arc<dyn LogSink>,
        attributes: LogAttributes,
    },
    Nowhere,
}

/// Writes a line of what has ended to each log that takes it. It never waits.
pub(crate) fn tell(logs: &[AccessLog], record: &RequestRecord<'_>, worker: &Worker) {
    worker.with_log_line(|line| {
        for log in logs {
            if let Some(filter) = &log.filter
                && !filter.takes(record, &|| worker.random())
            {
                continue;
            }
            line.clear();
            log.format.write(record, line);
            match &log.to {
                Destination::Lines(writer) => {
                    writer.try_write(line);
                }
                Destination::Records { sink, attributes } => {
                    sink.try_send(log_record(record, line, attributes));
                }
                Destination::Nowhere => {}
            }
        }
    });
}

/// A line as a record of OpenTelemetry's logs: its time is the line's, its severity the status'.
#[cold]
fn log_record(record: &RequestRecord<'_>, line: &[u8], attributes: &LogAttributes) -> LogRecord {
    let line = String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(line));
    let body = &line[..line.floor_char_boundary(BODY_BYTES_MAX)];
    LogRecord {
        time: record.start_time,
        severity: match record.response_code {
            500.. => Severity::Error,
            400..=499 => Severity::Warn,
            _ if record.response_flags.is_empty() => Severity::Info,
            _ => Severity::Warn,
        },
        body: body.to_owned(),
        attributes: attributes.of(record),
        trace_id: record.trace_id,
        span_id: record.span_id,
        trace_flags: record.trace_flags,
    }
}
