//! The queue of one collector and signal: workers on one side, its sender's task on the other.

use super::Identities;
use super::sender::Sender;
use super::signal::{Logs, Observed, Signal, Spans};
use opentelemetry_proto::tonic::resource::v1::Resource;
use outrigger_config::model::{Collector, defaults};
use outrigger_telemetry::export::{LogRecord, LogSink};
use outrigger_telemetry::trace::{FinishedSpan, SpanSink};
use outrigger_telemetry::{ExportCells, ExportDrop, ExportMetrics};
use parking_lot::Mutex;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::time::{Duration, SystemTime};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Pieces that a queue's channel takes: more than there can be, since each holds an item and items are counted.
const PIECES_MAX: usize = u32::MAX as usize;

/// Bytes of items, as [`Signal::size`] says, that make a batch: half of what gRPC libraries take in a message where nothing
/// else is said (4 MiB), the OpenTelemetry Collector's receiver among them. A longer one would be refused whole.
pub(super) const BATCH_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Bytes of items that a queue holds: 8 KiB for each of the 2048 that it holds by default.
const QUEUE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A queue, and the task that empties it. Dropped, the task ends with what it has.
pub(super) struct Lane<S: Signal> {
    pieces: mpsc::Sender<Vec<S::Item>>,
    shared: Arc<Shared>,
    orders: watch::Sender<Orders>,
    /// Taken by the task when it starts.
    waiting: Mutex<Option<mpsc::Receiver<Vec<S::Item>>>>,
    task: tokio::sync::Mutex<Option<JoinHandle<()>>>,
    /// Its orders are to end.
    is_ending: AtomicBool,
}

/// What both sides know.
pub(super) struct Shared {
    /// Items that wait or are being sent; at most `limit`.
    count: AtomicUsize,
    limit: AtomicUsize,
    /// Their bytes; at most [`QUEUE_BYTES_MAX`].
    bytes: AtomicUsize,
    /// So many make a batch.
    batch_max: AtomicUsize,
    /// A batch is full.
    pub(super) full: Notify,
    metrics: Arc<ExportMetrics>,
}

/// What a queue has.
struct Held {
    count: usize,
    bytes: usize,
}

/// Where items go, and by what.
#[derive(Clone, PartialEq)]
pub(super) struct Settings {
    pub(super) collector: Arc<Collector>,
    pub(super) resource: Arc<Resource>,
    /// What sockets are marked with.
    pub(super) mark: Option<u32>,
}

/// What the task is told.
#[derive(Clone, Default)]
pub(super) struct Orders {
    /// None: no configuration that has the collector is in force yet.
    pub(super) settings: Option<Settings>,
    /// It ends by then, and earlier if nothing waits.
    pub(super) end: Option<Instant>,
}

impl<S: Signal> Lane<S> {
    pub(super) fn new(metrics: Arc<ExportMetrics>) -> Lane<S> {
        let (pieces, waiting) = mpsc::channel(PIECES_MAX);
        let shared = Shared {
            count: AtomicUsize::new(0),
            limit: AtomicUsize::new(defaults::COLLECTOR_QUEUE_MAX as usize),
            bytes: AtomicUsize::new(0),
            batch_max: AtomicUsize::new(defaults::COLLECTOR_BATCH_MAX as usize),
            full: Notify::new(),
            metrics,
        };
        Lane {
            pieces,
            shared: Arc::new(shared),
            orders: watch::Sender::new(Orders::default()),
            waiting: Mutex::new(Some(waiting)),
            task: tokio::sync::Mutex::default(),
            is_ending: AtomicBool::new(false),
        }
    }

    /// Takes items, all or none; what is not taken is counted. Never waits.
    pub(super) fn put(&self, items: Vec<S::Item>) -> bool {
        let count = items.len();
        if count == 0 {
            return true;
        }
        let refused = |reason| {
            self.shared.cells().dropped[reason].add(count as u64);
            false
        };
        if self.is_ending.load(Relaxed) {
            return refused(ExportDrop::NoCollector);
        }
        let bytes = items.iter().map(S::size).sum();
        let before = self.shared.add(count, bytes);
        let is_full =
            before.count + count > self.shared.limit.load(Relaxed) || before.bytes + bytes > QUEUE_BYTES_MAX;
        if is_full {
            self.shared.remove(count, bytes);
            return refused(ExportDrop::QueueFull);
        }
        if self.pieces.try_send(items).is_err() {
            // The task has ended.
            self.shared.remove(count, bytes);
            return refused(ExportDrop::NoCollector);
        }
        self.shared.show();
        // The first item wakes the task, and then only a full batch does.
        let batch_max = self.shared.batch_max.load(Relaxed);
        let fills = |before, added, limit| before < limit && before + added >= limit;
        if fills(before.count, count, batch_max) || fills(before.bytes, bytes, BATCH_BYTES_MAX) {
            self.shared.full.notify_one();
        }
        true
    }

    /// Sends by these settings from now on; starts to, if nothing was sent yet.
    pub(super) fn go_on(&self, settings: Settings, identities: &Identities) {
        let (queue_max, batch_max) = (settings.collector.queue_max(), settings.collector.batch_max());
        self.shared.limit.store(queue_max as usize, Relaxed);
        self.shared.batch_max.store(batch_max as usize, Relaxed);
        self.orders.send_if_modified(|orders| {
            let is_new = orders.settings.as_ref() != Some(&settings);
            if is_new {
                orders.settings = Some(settings);
            }
            is_new
        });
        if let Some(waiting) = self.waiting.lock().take() {
            let orders = self.orders.subscribe();
            let sender = Sender::<S>::new(waiting, orders, Arc::clone(&self.shared), identities.clone());
            // Nobody else holds the lock: a task is only waited for once there is one.
            if let Ok(mut task) = self.task.try_lock() {
                *task = Some(tokio::spawn(sender.run()));
            }
        }
    }

    /// Takes nothing more, and ends once what waits is sent, within `bound`.
    pub(super) fn end(&self, bound: Duration) {
        if self.is_ending.swap(true, Relaxed) {
            return;
        }
        // Nothing was ever sent from a queue without a task, and nobody waits for what is in it.
        if let Some(mut waiting) = self.waiting.lock().take() {
            waiting.close();
            while let Ok(items) = waiting.try_recv() {
                self.shared.cells().dropped[ExportDrop::Ended].add(items.len() as u64);
                self.shared.done(items.len(), items.iter().map(S::size).sum());
            }
        }
        let end = Some(Instant::now() + bound);
        self.orders.send_modify(|orders| orders.end = end);
    }

    /// Waits until its task has ended, which [`Lane::end`] bounds.
    pub(super) async fn ended(&self) {
        if let Some(task) = &mut *self.task.lock().await {
            let _ = task.await;
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        let task = self.task.try_lock();
        task.is_ok_and(|task| task.as_ref().is_none_or(JoinHandle::is_finished))
    }
}

impl<S: Signal> Drop for Lane<S> {
    fn drop(&mut self) {
        if let Some(task) = self.task.get_mut() {
            task.abort();
        }
    }
}

impl<S: Signal> fmt::Debug for Lane<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.shared.count.load(Relaxed);
        f.debug_struct("Lane")
            .field("count", &count)
            .finish_non_exhaustive()
    }
}

impl SpanSink for Lane<Spans> {
    fn try_send(&self, spans: Vec<FinishedSpan>) {
        self.put(spans);
    }
}

impl LogSink for Lane<Logs> {
    fn try_send(&self, record: LogRecord) -> bool {
        let at = SystemTime::now();
        self.put(vec![Observed { record, at }])
    }
}

impl Shared {
    pub(super) fn cells(&self) -> &ExportCells {
        self.metrics.worker(0)
    }

    /// Items are sent or dropped: there is room for as many, and for their bytes.
    pub(super) fn done(&self, count: usize, bytes: usize) {
        self.remove(count, bytes);
        self.show();
    }

    /// What there was before.
    fn add(&self, count: usize, bytes: usize) -> Held {
        Held {
            count: self.count.fetch_add(count, Relaxed),
            bytes: self.bytes.fetch_add(bytes, Relaxed),
        }
    }

    fn remove(&self, count: usize, bytes: usize) {
        self.count.fetch_sub(count, Relaxed);
        self.bytes.fetch_sub(bytes, Relaxed);
    }

    fn show(&self) {
        let count = self.count.load(Relaxed);
        self.cells().queue.set(i64::try_from(count).unwrap_or(i64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use outrigger_config::{Environment, Source, load};
    use outrigger_telemetry::Metrics;
    use outrigger_telemetry::export::Severity;
    use std::time::UNIX_EPOCH;

    fn records(count: usize) -> Vec<Observed> {
        let record = LogRecord {
            time: UNIX_EPOCH,
            severity: Severity::Info,
            body: String::new(),
            attributes: Vec::new(),
            trace_id: None,
            span_id: None,
            trace_flags: 0,
        };
        let at = UNIX_EPOCH;
        vec![Observed { record, at }; count]
    }

    fn lane() -> (Arc<Metrics>, Lane<Logs>) {
        let metrics = Metrics::new(1, &[]);
        let lane = Lane::new(metrics.export("c", "logs"));
        (metrics, lane)
    }

    fn settings(fields: &str) -> Settings {
        let text =
            format!("telemetry: {{collectors: [{{name: c, endpoint: http://127.0.0.1:1, {fields}}}]}}\n");
        let source = Source {
            name: String::new(),
            text,
        };
        let config = load(&source, &Environment::empty()).unwrap().config;
        Settings {
            collector: Arc::clone(&config.telemetry().collectors()[0]),
            resource: Arc::default(),
            mark: None,
        }
    }

    #[test]
    fn what_has_no_room_is_dropped_whole_and_counted() {
        let (_, lane) = lane();
        let limit = defaults::COLLECTOR_QUEUE_MAX as usize;
        assert!(lane.put(records(limit - 1)));
        assert!(!lane.put(records(2)));
        assert!(lane.put(records(1)));
        assert!(!lane.put(records(1)));
        let cells = lane.shared.cells();
        assert_eq!(cells.dropped[ExportDrop::QueueFull].value(), 3);
        assert_eq!(cells.queue.value(), limit as i64);
        lane.shared.done(5, 5 * Logs::size(&records(1)[0]));
        assert!(lane.put(records(5)) && !lane.put(records(1)));
    }

    #[test]
    fn what_has_no_room_by_its_bytes_is_dropped_whole_and_counted() {
        let (_, lane) = lane();
        let of_half_a_mebibyte = || {
            let mut records = records(1);
            let beside = Logs::size(&records[0]);
            records[0].record.body = "x".repeat(512 * 1024 - beside);
            records
        };
        for _ in 0..31 {
            assert!(lane.put(of_half_a_mebibyte()));
        }
        assert!(!lane.put([of_half_a_mebibyte(), records(1)].concat()));
        assert!(lane.put(of_half_a_mebibyte()) && !lane.put(records(1)));
        let cells = lane.shared.cells();
        assert_eq!(cells.dropped[ExportDrop::QueueFull].value(), 3);
        assert_eq!(cells.queue.value(), 32);
        lane.shared.done(1, 512 * 1024);
        assert!(lane.put(of_half_a_mebibyte()));
    }

    #[test]
    fn a_queue_of_a_collector_that_is_gone_takes_nothing() {
        let (_, lane) = lane();
        assert!(lane.put(records(3)));
        lane.end(Duration::ZERO);
        assert_eq!(lane.shared.cells().dropped[ExportDrop::Ended].value(), 3);
        assert_eq!(lane.shared.cells().queue.value(), 0);
        assert!(!lane.put(records(2)));
        assert_eq!(lane.shared.cells().dropped[ExportDrop::NoCollector].value(), 2);
        assert!(lane.has_ended());
    }

    #[tokio::test]
    async fn what_waits_goes_on_by_new_settings_and_ends_in_time() {
        let (_, lane) = lane();
        assert!(lane.put(records(3)));
        // Nobody listens there.
        lane.go_on(
            settings("queue_max: 4, batch_max: 2, batch_delay: 1ms"),
            &Identities::default(),
        );
        assert!(!lane.put(records(2)), "the limit is the new one");
        assert!(lane.put(records(1)));
        lane.go_on(settings("queue_max: 9"), &Identities::default());
        assert!(lane.put(records(5)) && !lane.has_ended());
        lane.end(Duration::ZERO);
        lane.ended().await;
        assert!(lane.has_ended());
        let cells = lane.shared.cells();
        let ended = cells.dropped[ExportDrop::Ended].value();
        assert_eq!((ended, cells.exported.value(), cells.queue.value()), (9, 0, 0));
    }
}
