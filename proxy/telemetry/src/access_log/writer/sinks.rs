//! The sinks that are open, one writer each.

use super::AccessLogWriter;
use super::output;
use crate::export::{LogSink, LogSinks};
use crate::metrics::Metrics;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// Where lines go.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Sink {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A file, created if it is not there and appended to; a FIFO may have no reader.
    File(PathBuf),
}

impl fmt::Display for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Sink::Stdout => f.write_str("stdout"),
            Sink::Stderr => f.write_str("stderr"),
            Sink::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// What became of files that were to be opened anew.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reopened {
    /// How many were.
    pub files: usize,
    /// Which were not, with why; they are written to as before.
    pub faults: Vec<(PathBuf, String)>,
}

/// The sinks that are open, one writer each, whoever asks: a reload finds the writer that it had.
pub struct AccessLogSinks {
    metrics: Arc<Metrics>,
    /// None: nothing is sent to collectors.
    collectors: Option<Arc<dyn LogSinks>>,
    open: Mutex<HashMap<Sink, Weak<AccessLogWriter>>>,
}

impl AccessLogSinks {
    /// No sink is open. Lines are counted in `metrics`.
    pub fn new(metrics: Arc<Metrics>) -> AccessLogSinks {
        AccessLogSinks {
            metrics,
            collectors: None,
            open: Mutex::default(),
        }
    }

    /// The same, whose records for collectors go to `collectors`; without them they go nowhere.
    pub fn with_collectors(self, collectors: Option<Arc<dyn LogSinks>>) -> AccessLogSinks {
        AccessLogSinks { collectors, ..self }
    }

    /// Where records for the collector with this name go; none: nowhere.
    pub fn collector(&self, name: &str) -> Option<Arc<dyn LogSink>> {
        let collectors = self.collectors.as_ref()?;
        Some(collectors.logs(name))
    }

    /// The writer of this sink; it ends, after its last line, when the last holder drops it.
    ///
    /// # Errors
    /// The file cannot be opened for appending, or no thread can be started.
    pub fn open(&self, sink: &Sink) -> io::Result<Arc<AccessLogWriter>> {
        let mut open = self.open.lock();
        if let Some(writer) = open.get(sink).and_then(Weak::upgrade) {
            return Ok(writer);
        }
        let metrics = Arc::clone(&self.metrics);
        let writer = match sink {
            Sink::Stdout => AccessLogWriter::start(output::stdout()?, metrics)?,
            Sink::Stderr => AccessLogWriter::start(output::stderr()?, metrics)?,
            Sink::File(path) => AccessLogWriter::to_file(path.clone(), metrics)?,
        };
        let writer = Arc::new(writer);
        open.retain(|_, writer| writer.strong_count() > 0);
        open.insert(sink.clone(), Arc::downgrade(&writer));
        Ok(writer)
    }

    /// Opens every file anew, for those that were renamed: what was taken before is in the old one, what comes after in
    /// the new. Waits for it no longer than `bound`: not for workers.
    pub fn reopen(&self, bound: Duration) -> Reopened {
        let deadline = Instant::now() + bound;
        let writers: Vec<_> = {
            let open = self.open.lock();
            let files = open.iter().filter_map(|(sink, writer)| match sink {
                Sink::File(path) => Some((path.clone(), writer.upgrade()?)),
                Sink::Stdout | Sink::Stderr => None,
            });
            files.collect()
        };
        let tickets: Vec<u64> = writers.iter().map(|(_, writer)| writer.reopen()).collect();
        let mut reopened = Reopened::default();
        for ((path, writer), ticket) in writers.into_iter().zip(tickets) {
            match writer.await_reopened(ticket, deadline) {
                Ok(()) => reopened.files += 1,
                Err(fault) => reopened.faults.push((path, fault)),
            }
        }
        reopened.faults.sort();
        reopened
    }

    /// Closes every sink, as [`AccessLogWriter::close`], within `bound` for all of them. For the end of the process.
    pub fn close(&self, bound: Duration) -> bool {
        let deadline = Instant::now() + bound;
        let writers: Vec<_> = self.open.lock().values().filter_map(Weak::upgrade).collect();
        let mut all = true;
        for writer in writers {
            all &= writer.close(deadline.saturating_duration_since(Instant::now()));
        }
        all
    }
}
