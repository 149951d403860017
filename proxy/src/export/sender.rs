//! The task of one queue: batches of what waits, each sent until the collector has it or it is given up.

use super::connection::Connection;
use super::failure::{Failure, Retry, shown};
use super::lane::{BATCH_BYTES_MAX, Orders, Settings, Shared};
use super::signal::Signal;
use super::{END_TIMEOUT, Identities};
use crate::backoff::Backoff;
use bytes::Bytes;
use outrigger_telemetry::{ExportDrop, ExportFailure};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

/// How long a batch is tried to be sent: `max_elapsed_time` of the OpenTelemetry Collector's own exporters.
const TRIED_MAX: Duration = Duration::from_secs(300);

pub(super) struct Sender<S: Signal> {
    pieces: mpsc::Receiver<Vec<S::Item>>,
    orders: watch::Receiver<Orders>,
    shared: Arc<Shared>,
    identities: Identities,
    /// Taken out of the queue and not in a batch yet.
    waiting: Waiting<S>,
    connection: Option<Connection>,
    backoff: Backoff,
    /// The collector is not bothered before.
    not_before: Instant,
    /// Orders to end were seen: what was waited for is tried once more, at once.
    is_ending: bool,
    told: Told,
}

/// What was taken out of the queue, in order.
struct Waiting<S: Signal> {
    items: VecDeque<S::Item>,
    bytes: usize,
}

/// What is sent at once.
struct Batch<S: Signal> {
    items: Vec<S::Item>,
    bytes: usize,
}

/// What the log says of the collector.
#[derive(PartialEq)]
enum Told {
    Nothing,
    /// It does not take what it is sent.
    Failing,
    /// It takes what it is sent, but for some.
    Rejecting,
}

impl<S: Signal> Default for Waiting<S> {
    fn default() -> Waiting<S> {
        Waiting {
            items: VecDeque::new(),
            bytes: 0,
        }
    }
}

impl<S: Signal> Waiting<S> {
    fn take_in(&mut self, piece: Vec<S::Item>) {
        self.bytes += piece.iter().map(S::size).sum::<usize>();
        self.items.extend(piece);
    }

    /// More would not be sent at once.
    fn fills(&self, batch_max: usize) -> bool {
        self.items.len() >= batch_max || self.bytes >= BATCH_BYTES_MAX
    }

    /// Takes the first items out, as many as are sent at once: one at least, however long.
    fn batch(&mut self, batch_max: usize) -> Batch<S> {
        let (mut count, mut bytes) = (0, 0);
        for item in self.items.iter().take(batch_max) {
            let size = S::size(item);
            if count > 0 && bytes + size > BATCH_BYTES_MAX {
                break;
            }
            count += 1;
            bytes += size;
        }
        self.bytes -= bytes;
        Batch {
            items: self.items.drain(..count).collect(),
            bytes,
        }
    }
}

impl<S: Signal> Sender<S> {
    pub(super) fn new(
        pieces: mpsc::Receiver<Vec<S::Item>>,
        orders: watch::Receiver<Orders>,
        shared: Arc<Shared>,
        identities: Identities,
    ) -> Sender<S> {
        Sender {
            pieces,
            orders,
            shared,
            identities,
            waiting: Waiting::default(),
            connection: None,
            backoff: Backoff::default(),
            not_before: Instant::now(),
            is_ending: false,
            told: Told::Nothing,
        }
    }

    /// Until it is told to end, or nobody can put anything in any more.
    pub(super) async fn run(mut self) {
        while let Some((settings, batch)) = self.gather().await {
            let (count, bytes) = (batch.items.len(), batch.bytes);
            let message = Bytes::from(S::message(&settings.resource, batch.items));
            // The connection may be in use: a future of some size, once for each task.
            match self.deliver(message).await {
                Ok(rejected) => {
                    let rejected = rejected.min(count as u64);
                    let cells = self.shared.cells();
                    cells.exported.add(count as u64 - rejected);
                    if rejected > 0 {
                        cells.dropped[ExportDrop::Rejected].add(rejected);
                    }
                }
                Err(reason) => self.shared.cells().dropped[reason].add(count as u64),
            }
            self.shared.done(count, bytes);
        }
    }

    /// The next batch: when it is full, or its first item has waited for long enough, or the end has come.
    async fn gather(&mut self) -> Option<(Settings, Batch<S>)> {
        loop {
            let orders = self.orders.borrow_and_update().clone();
            // Whoever puts something in from now on is told that it is not taken.
            if orders.end.is_some() {
                self.pieces.close();
            }
            self.take_in();
            if orders.end.is_some() && self.waiting.items.is_empty() {
                return None;
            }
            if !self.waiting.items.is_empty()
                && let Some(settings) = orders.settings
            {
                return self.fill(settings).await;
            }
            tokio::select! {
                piece = self.pieces.recv() => self.waiting.take_in(piece?),
                changed = self.orders.changed() => changed.ok()?,
            }
        }
    }

    /// A batch, by the settings as they are when it is whole.
    async fn fill(&mut self, mut settings: Settings) -> Option<(Settings, Batch<S>)> {
        let begun = Instant::now();
        loop {
            self.take_in();
            let batch_max = settings.collector.batch_max() as usize;
            let due = begun + settings.collector.batch_delay();
            let is_ending = self.orders.borrow().end.is_some();
            if self.waiting.fills(batch_max) || is_ending || Instant::now() >= due {
                return Some((settings, self.waiting.batch(batch_max)));
            }
            tokio::select! {
                () = sleep_until(due) => {}
                () = self.shared.full.notified() => {}
                changed = self.orders.changed() => changed.ok()?,
            }
            if let Some(changed) = &self.orders.borrow_and_update().settings {
                settings = changed.clone();
            }
        }
    }

    fn take_in(&mut self) {
        while let Ok(piece) = self.pieces.try_recv() {
            self.waiting.take_in(piece);
        }
    }

    /// Sends a message, again and again if need be: how many items the collector did not want, or why it never got it.
    async fn deliver(&mut self, message: Bytes) -> Result<u64, ExportDrop> {
        let give_up = Instant::now() + TRIED_MAX;
        loop {
            let settings = self.turn(give_up).await?;
            let failure = match self.attempt(&settings, message.clone()).await {
                Attempted::Answered(answer) => {
                    self.backoff.reset();
                    let rejection = S::rejection(&answer);
                    self.note_taken(&settings, rejection.as_ref().map(|(_, why)| why.as_str()));
                    return Ok(rejection.map_or(0, |(count, _)| count));
                }
                Attempted::Changed => {
                    self.connection = None;
                    continue;
                }
                Attempted::Failed(failure) => failure,
            };
            self.shared.cells().failures[failure.reason].inc();
            self.note_failed(&settings, &failure);
            if failure.reason != ExportFailure::Refused && failure.reason != ExportFailure::Unavailable {
                self.connection = None;
            }
            let wait = match failure.retry {
                Retry::Never => return Err(ExportDrop::Refused),
                Retry::Later => Duration::ZERO,
                Retry::After(wait) => wait,
            };
            let wait = wait.max(self.backoff.next(fastrand::u64(..))).min(TRIED_MAX);
            self.not_before = Instant::now() + wait;
        }
    }

    /// Waits until the collector may be asked, unless that is too late; gives the settings of then.
    async fn turn(&mut self, give_up: Instant) -> Result<Settings, ExportDrop> {
        loop {
            let orders = self.orders.borrow_and_update().clone();
            if orders.end.is_some() && !self.is_ending {
                self.is_ending = true;
                self.not_before = Instant::now();
            }
            let last = orders.end.unwrap_or(give_up).min(give_up);
            let late = match orders.end {
                Some(end) if end <= give_up => ExportDrop::Ended,
                _ => ExportDrop::GivenUp,
            };
            let now = Instant::now();
            if self.not_before > last || now >= last {
                return Err(late);
            }
            if now >= self.not_before {
                return orders.settings.ok_or(late);
            }
            let known = orders.settings;
            tokio::select! {
                () = sleep_until(self.not_before) => {}
                changed = self.orders.changed() => changed.map_err(|_| ExportDrop::Ended)?,
            }
            if self.orders.borrow().settings != known {
                // Another place, or other credentials: what went wrong before says nothing of it.
                self.backoff.reset();
                self.not_before = Instant::now();
            }
        }
    }

    async fn attempt(&mut self, settings: &Settings, message: Bytes) -> Attempted {
        let timeout = settings.collector.timeout();
        let cut = cut(self.orders.clone(), settings);
        let material = self.identities.material();
        let connection = &mut self.connection;
        connection.take_if(|open| !open.is_for(&settings.collector, &material));
        let exchange = async {
            loop {
                let was_open = connection.is_some();
                let open = match connection {
                    Some(open) => open,
                    None => connection
                        .insert(Connection::open(&settings.collector, &material, settings.mark).await?),
                };
                match open.send::<S>(message.clone(), timeout).await {
                    // The collector may have closed it while nothing was sent: that is no failure of its.
                    Err(failure) if was_open && failure.reason == ExportFailure::Connection => {
                        *connection = None;
                    }
                    sent => return sent,
                }
            }
        };
        tokio::select! {
            sent = exchange => match sent {
                Ok(answer) => Attempted::Answered(answer),
                Err(failure) => Attempted::Failed(failure),
            },
            () = sleep(timeout) => Attempted::Failed(Failure::timeout(timeout)),
            cut = cut => cut,
        }
    }

    fn note_taken(&mut self, settings: &Settings, rejection: Option<&str>) {
        let collector = settings.collector.name().as_str();
        match rejection {
            Some(why) if self.told != Told::Rejecting => {
                let why = shown(why, &settings.collector);
                tracing::warn!(
                    collector,
                    signal = S::NAME,
                    "the collector rejects a part of what it is sent: {why}"
                );
                self.told = Told::Rejecting;
            }
            None if self.told == Told::Failing => {
                tracing::info!(
                    collector,
                    signal = S::NAME,
                    "the collector takes what it is sent again"
                );
                self.told = Told::Nothing;
            }
            _ => {}
        }
    }

    fn note_failed(&mut self, settings: &Settings, failure: &Failure) {
        let collector = settings.collector.name().as_str();
        let failure = failure.shown(&settings.collector);
        if self.told == Told::Failing {
            tracing::debug!(
                collector,
                signal = S::NAME,
                "the collector does not take what it is sent: {failure}"
            );
            return;
        }
        // Once, until it takes something again: what comes of it is counted.
        tracing::warn!(
            collector,
            signal = S::NAME,
            "the collector does not take what it is sent, which waits, and is dropped when too much does: {failure}"
        );
        self.told = Told::Failing;
    }
}

/// What came of an attempt.
enum Attempted {
    /// The collector took it, and says this.
    Answered(Bytes),
    Failed(Failure),
    /// It was given up, since there are other settings; the collector may have it all the same.
    Changed,
}

/// Waits for other settings, or for the end that is ordered, whenever that is.
async fn cut(mut orders: watch::Receiver<Orders>, settings: &Settings) -> Attempted {
    loop {
        let now = orders.borrow_and_update().clone();
        if now.settings.as_ref() != Some(settings) {
            return Attempted::Changed;
        }
        if let Some(end) = now.end {
            sleep_until(end).await;
            return Attempted::Failed(Failure::timeout(END_TIMEOUT));
        }
        if orders.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::signal::{Logs, Observed};
    use outrigger_telemetry::export::{LogRecord, Severity};
    use std::time::UNIX_EPOCH;

    fn record(bytes: usize) -> Observed {
        let record = LogRecord {
            time: UNIX_EPOCH,
            severity: Severity::Info,
            body: String::new(),
            attributes: Vec::new(),
            trace_id: None,
            span_id: None,
            trace_flags: 0,
        };
        let mut observed = Observed {
            at: record.time,
            record,
        };
        observed.record.body = "x".repeat(bytes.saturating_sub(Logs::size(&observed)));
        observed
    }

    #[test]
    fn a_batch_is_bounded_by_count_and_by_bytes() {
        let mut waiting = Waiting::<Logs>::default();
        let lengths = |batch: Batch<Logs>| {
            assert_eq!(batch.bytes, batch.items.iter().map(Logs::size).sum::<usize>());
            batch.items.len()
        };
        waiting.take_in(vec![record(60 * 1024); 33]);
        assert!(waiting.fills(33) && !waiting.fills(34));
        waiting.take_in(vec![record(60 * 1024); 479]);
        assert!(waiting.fills(513));
        let mut sent = 0;
        while sent < 512 {
            let count = lengths(waiting.batch(512));
            assert_eq!(count, (512 - sent).min(34), "34 of 60 KiB are 2040 KiB");
            sent += count;
        }
        assert!(waiting.items.is_empty() && waiting.bytes == 0);
        waiting.take_in(vec![record(3 * BATCH_BYTES_MAX), record(0), record(0), record(0)]);
        assert_eq!(lengths(waiting.batch(2)), 1);
        assert_eq!(lengths(waiting.batch(2)), 2);
        assert_eq!(lengths(waiting.batch(2)), 1);
    }
}
