//! Lines to their sinks, each sink on a thread of its own.
//!
//! A worker appends a line to one of several lanes: byte buffers, each behind a lock that is held for a copy or a swap
//! and never for I/O. Each thread has its usual lane, so that workers do not meet there; a lane that is held at this
//! moment is passed over, and when all are held, or the lane is full, the line is dropped and counted. Nothing waits.
//! Lines of one thread keep their order as long as its lane is not passed over; between threads there is no order.

use crate::metrics::Metrics;
use parking_lot::{Condvar, Mutex};
use std::cell::Cell;
use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, OnceLock, Weak};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// Lanes of a sink.
const LANES: usize = 8;
/// Bytes that wait in a lane at most; 4 MiB over all lanes, and as much again while it is being written.
const LANE_BYTES_MAX: usize = 512 * 1024;
/// A lane that holds this much wakes the writer before its interval is over.
const LANE_BYTES_URGENT: usize = LANE_BYTES_MAX / 4;
/// Buffers that have grown past this are given back after use.
const BUFFER_BYTES_KEPT: usize = 64 * 1024;
/// Lines are gathered for this long after the first of a batch; it bounds how late a line is seen.
const BATCH_INTERVAL: Duration = Duration::from_millis(10);

/// Where lines go.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Sink {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A file, created if it is not there and appended to.
    File(PathBuf),
}

/// The sinks that are open, one writer each, whoever asks: a reload finds the writer that it had.
pub struct AccessLogSinks {
    metrics: Arc<Metrics>,
    open: Mutex<HashMap<Sink, Weak<AccessLogWriter>>>,
}

impl AccessLogSinks {
    /// No sink is open. Lines are counted in `metrics`.
    pub fn new(metrics: Arc<Metrics>) -> AccessLogSinks {
        AccessLogSinks {
            metrics,
            open: Mutex::default(),
        }
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
        let output: Box<dyn Write + Send> = match sink {
            Sink::Stdout => Box::new(io::stdout()),
            Sink::Stderr => Box::new(io::stderr()),
            Sink::File(path) => Box::new(OpenOptions::new().create(true).append(true).open(path)?),
        };
        let writer = Arc::new(AccessLogWriter::start(output, Arc::clone(&self.metrics))?);
        open.retain(|_, writer| writer.strong_count() > 0);
        open.insert(sink.clone(), Arc::downgrade(&writer));
        Ok(writer)
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

/// Takes lines from any thread to one sink, without ever making a caller wait.
pub struct AccessLogWriter {
    shared: Arc<Shared>,
}

impl AccessLogWriter {
    /// Starts the thread that writes to `output`.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(output: Box<dyn Write + Send>, metrics: Arc<Metrics>) -> io::Result<AccessLogWriter> {
        let shared = Arc::new(Shared {
            lanes: std::array::from_fn(|_| Lane::default()),
            asleep: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            writer_thread: OnceLock::new(),
            ended: Mutex::new(false),
            on_end: Condvar::new(),
            metrics,
        });
        let writer = Arc::clone(&shared);
        let handle = thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || writer.run(output))?;
        // Nobody has the writer yet, so nobody can have needed the thread before this.
        shared.writer_thread.get_or_init(|| handle.thread().clone());
        Ok(AccessLogWriter { shared })
    }

    /// Hands over one line, its newline included. False if it was dropped (and counted) because the sink is too slow
    /// or closed. It never blocks, and costs one uncontended lock and a copy.
    pub fn try_write(&self, line: &[u8]) -> bool {
        let kept = self.shared.push(line);
        if !kept {
            self.shared.metrics.process().access_log_lines_dropped.inc();
        }
        kept
    }

    /// Takes no more lines, writes those that were taken, and waits for that no longer than `bound`. True if every
    /// line was given to the sink in time. The calling thread blocks: not for workers.
    pub fn close(&self, bound: Duration) -> bool {
        self.shared.begin_closing();
        let mut ended = self.shared.ended.lock();
        let deadline = Instant::now() + bound;
        while !*ended {
            if self.shared.on_end.wait_until(&mut ended, deadline).timed_out() {
                return *ended;
            }
        }
        true
    }
}

/// The thread writes what it has and ends; nobody waits for it.
impl Drop for AccessLogWriter {
    fn drop(&mut self) {
        self.shared.begin_closing();
    }
}

/// Lines that wait, on cache lines of their own.
#[derive(Default)]
#[repr(align(128))]
struct Lane {
    waiting: Mutex<Lines>,
}

#[derive(Default)]
struct Lines {
    bytes: Vec<u8>,
    count: u64,
    /// No line will be taken from here again.
    closed: bool,
}

struct Shared {
    lanes: [Lane; LANES],
    /// The writer has found every lane empty and waits to be woken.
    asleep: AtomicBool,
    closing: AtomicBool,
    writer_thread: OnceLock<Thread>,
    ended: Mutex<bool>,
    on_end: Condvar,
    metrics: Arc<Metrics>,
}

impl Shared {
    /// Whether the line was taken.
    fn push(&self, line: &[u8]) -> bool {
        let usual = usual_lane();
        for turn in 0..LANES {
            let Some(mut lines) = self.lanes[(usual + turn) % LANES].waiting.try_lock() else {
                continue;
            };
            let before = lines.bytes.len();
            let after = before + line.len();
            if lines.closed || after > LANE_BYTES_MAX {
                return false;
            }
            lines.bytes.extend_from_slice(line);
            lines.count += 1;
            drop(lines);
            let urgent = before < LANE_BYTES_URGENT && after >= LANE_BYTES_URGENT;
            // The writer sets `asleep` before it looks at the lanes a last time under their locks: either it sees this
            // line there, or this thread sees the flag here.
            if urgent || (self.asleep.load(Relaxed) && self.asleep.swap(false, SeqCst)) {
                self.wake();
            }
            return true;
        }
        false
    }

    fn wake(&self) {
        if let Some(thread) = self.writer_thread.get() {
            thread.unpark();
        }
    }

    fn begin_closing(&self) {
        self.closing.store(true, SeqCst);
        self.wake();
    }

    /// The writer's thread: gather, write, sleep when there is nothing.
    fn run(&self, mut output: Box<dyn Write + Send>) {
        let mut batch = Vec::new();
        let mut failing = false;
        loop {
            // Read before the lanes are emptied: what was taken before the close is then certainly seen.
            let closing = self.closing.load(SeqCst);
            let wrote = self.write_waiting(&mut *output, &mut batch, &mut failing, closing);
            if closing {
                break;
            }
            if wrote {
                thread::park_timeout(BATCH_INTERVAL);
                continue;
            }
            self.asleep.store(true, SeqCst);
            if self.is_empty() && !self.closing.load(SeqCst) {
                thread::park();
            }
            if !self.asleep.swap(false, SeqCst) && !self.closing.load(SeqCst) {
                // Woken by the first line of a batch: let the others come.
                thread::park_timeout(BATCH_INTERVAL);
            }
        }
        *self.ended.lock() = true;
        self.on_end.notify_all();
    }

    fn is_empty(&self) -> bool {
        self.lanes.iter().all(|lane| lane.waiting.lock().bytes.is_empty())
    }

    /// Writes what waits in each lane; false if nothing did. When `closing`, the lanes take no more.
    fn write_waiting(
        &self,
        output: &mut dyn Write,
        batch: &mut Vec<u8>,
        failing: &mut bool,
        closing: bool,
    ) -> bool {
        let mut wrote = false;
        for lane in &self.lanes {
            let count = {
                let mut lines = lane.waiting.lock();
                lines.closed |= closing;
                std::mem::swap(&mut lines.bytes, batch);
                std::mem::take(&mut lines.count)
            };
            if count > 0 {
                wrote = true;
                self.write_batch(output, batch, count, failing);
            }
            batch.clear();
            if batch.capacity() > BUFFER_BYTES_KEPT {
                *batch = Vec::new();
            }
        }
        wrote
    }

    /// Writes one batch and counts its lines. A sink that fails is named once, until it works again.
    fn write_batch(&self, output: &mut dyn Write, batch: &[u8], count: u64, failing: &mut bool) {
        let process = self.metrics.process();
        match output.write_all(batch).and_then(|()| output.flush()) {
            Ok(()) => {
                process.access_log_lines_written.add(count);
                *failing = false;
            }
            Err(error) => {
                process.access_log_lines_dropped.add(count);
                if !std::mem::replace(failing, true) {
                    tracing::warn!(%error, lines = count, "access log cannot be written; lines are lost until it can");
                }
            }
        }
    }
}

/// The calling thread's usual lane: threads take turns when they first write.
fn usual_lane() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static LANE: Cell<Option<usize>> = const { Cell::new(None) };
    }
    LANE.with(|lane| match lane.get() {
        Some(index) => index,
        None => {
            let index = NEXT.fetch_add(1, Relaxed) % LANES;
            lane.set(Some(index));
            index
        }
    })
}

#[cfg(test)]
mod tests;
