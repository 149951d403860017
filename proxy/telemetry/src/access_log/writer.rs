//! Lines to their sinks, each sink on a thread of its own.
//!
//! A worker appends a line to one of several lanes: byte buffers, each behind a lock that is held for a copy or a swap
//! and never for I/O. Each thread has its usual lane, so that workers do not meet there; a lane that is held at this
//! moment is passed over, and when all are held, or the lane is full, the line is dropped and counted. Nothing waits.
//! Lines of one thread keep their order as long as its lane is not passed over; between threads there is no order.
//!
//! A sink that takes nothing (a terminal that is stopped, a FIFO without a reader) holds up its own thread alone; its lanes
//! fill, and then its lines are dropped. How sinks are opened and written to is `output`'s.

mod output;
mod sinks;

use crate::metrics::Metrics;
use output::Output;
use parking_lot::{Condvar, Mutex};
use std::cell::Cell;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

pub use sinks::{AccessLogSinks, Reopened, Sink};

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
        AccessLogWriter::to(Output::stream(output), metrics)
    }

    /// Starts the thread that appends to a file, which [`AccessLogWriter::reopen`] opens anew.
    fn to_file(path: PathBuf, metrics: Arc<Metrics>) -> io::Result<AccessLogWriter> {
        AccessLogWriter::to(Output::file(path)?, metrics)
    }

    fn to(output: Output, metrics: Arc<Metrics>) -> io::Result<AccessLogWriter> {
        let shared = Arc::new(Shared {
            lanes: std::array::from_fn(|_| Lane::default()),
            asleep: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            writer_thread: OnceLock::new(),
            ended: Mutex::new(false),
            on_end: Condvar::new(),
            reopening: AtomicBool::new(false),
            reopened: Mutex::default(),
            on_reopen: Condvar::new(),
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

    /// Asks for the file to be opened anew; [`AccessLogWriter::await_reopened`] takes what is returned.
    fn reopen(&self) -> u64 {
        let ticket = {
            let mut reopened = self.shared.reopened.lock();
            reopened.asked += 1;
            reopened.asked
        };
        self.shared.reopening.store(true, SeqCst);
        self.shared.wake();
        ticket
    }

    /// Waits until the file was opened anew after it was asked for, no longer than until `deadline`.
    ///
    /// # Errors
    /// Why it was not: what was open before is written to as before.
    fn await_reopened(&self, ticket: u64, deadline: Instant) -> Result<(), String> {
        let mut reopened = self.shared.reopened.lock();
        while reopened.done < ticket {
            if *self.shared.ended.lock() {
                return Err("the log was closed".to_owned());
            }
            if self
                .shared
                .on_reopen
                .wait_until(&mut reopened, deadline)
                .timed_out()
            {
                return Err("the sink takes nothing now; it is opened anew when it does".to_owned());
            }
        }
        reopened.fault.clone().map_or(Ok(()), Err)
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
    /// The file is to be opened anew.
    reopening: AtomicBool,
    reopened: Mutex<Reopening>,
    on_reopen: Condvar,
    metrics: Arc<Metrics>,
}

/// How often a file was to be opened anew, and was.
#[derive(Default)]
struct Reopening {
    asked: u64,
    done: u64,
    /// Why the last time failed.
    fault: Option<String>,
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
            if lines.closed {
                return false;
            }
            // Another has room: a line that comes out of order is better than none.
            if after > LANE_BYTES_MAX {
                continue;
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
    fn run(&self, mut output: Output) {
        let mut batch = Vec::new();
        loop {
            // Read before the lanes are emptied: what was taken before the close, or before a file was to be opened anew, is
            // then certainly seen.
            let closing = self.closing.load(SeqCst);
            let reopening = self.reopening.swap(false, SeqCst);
            let wrote = self.write_waiting(&mut output, &mut batch, closing);
            if reopening {
                self.reopen(&mut output);
            }
            if closing {
                break;
            }
            if wrote {
                thread::park_timeout(BATCH_INTERVAL);
                continue;
            }
            self.asleep.store(true, SeqCst);
            if self.is_empty() && !self.is_called() {
                thread::park();
            }
            if !self.asleep.swap(false, SeqCst) && !self.is_called() {
                // Woken by the first line of a batch: let the others come.
                thread::park_timeout(BATCH_INTERVAL);
            }
        }
        *self.ended.lock() = true;
        self.on_end.notify_all();
        // Whoever looks whether it has ended holds this lock until it waits.
        drop(self.reopened.lock());
        self.on_reopen.notify_all();
    }

    /// Somebody waits for the writer itself.
    fn is_called(&self) -> bool {
        self.closing.load(SeqCst) || self.reopening.load(SeqCst)
    }

    fn reopen(&self, output: &mut Output) {
        let fault = output.reopen().err().map(|error| error.to_string());
        let mut reopened = self.reopened.lock();
        reopened.done = reopened.asked;
        reopened.fault = fault;
        drop(reopened);
        self.on_reopen.notify_all();
    }

    fn is_empty(&self) -> bool {
        self.lanes.iter().all(|lane| lane.waiting.lock().bytes.is_empty())
    }

    /// Writes what waits in each lane; false if nothing did. When `closing`, the lanes take no more.
    fn write_waiting(&self, output: &mut Output, batch: &mut Vec<u8>, closing: bool) -> bool {
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
                let written = output.write_lines(batch, count);
                let process = self.metrics.process();
                process.access_log_lines_written.add(written);
                process.access_log_lines_dropped.add(count - written);
            }
            batch.clear();
            if batch.capacity() > BUFFER_BYTES_KEPT {
                *batch = Vec::new();
            }
        }
        wrote
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
