//! The flight recorder: what was decided of the last requests and connections, in bounded memory, always on.
//!
//! Each worker has two rings of its own: one takes everything, the other what ended in an error, was slow, or has a story;
//! so the latter is found for longer. A worker writes when a request or a connection is over, and waits for nobody; whoever
//! reads copies the rings and takes them apart. What is still open is not here yet.
//!
//! Names are not written but numbers, with that of the configuration whose they are: whoever reads keeps configurations
//! (`proxy/src/why/`). Paths come without their query, and header values not at all but for the request's id.

mod note;
mod recorded;
mod ring;
mod words;

pub use note::{AUTHORITY_BYTES_MAX, Kind, METHOD_BYTES_MAX, Note, PEER_BYTES_MAX, Protocol};
pub use recorded::{Recorded, RecordedAttempt, RecordedEvent, RecordedOutcome};

use parking_lot::Mutex;
use ring::{Ring, RingWriter, last_word};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Words of one record at most (8 KiB): all attempts and events that a story holds have a place in it unless their names
/// are long.
const RECORD_WORDS_MAX: usize = 1024;
/// Words of one worker at least (32 KiB): either ring has room for the longest record.
const WORKER_WORDS_MIN: usize = 4 * RECORD_WORDS_MAX;
/// Of the memory, what errors and slow ones have to themselves.
const ERRORS_SHARE: f64 = 0.375;
/// Records after which a worker looks at the wall clock again, which may have been set.
const CLOCK_RECORDS: u64 = 4096;
/// The time after which it does, however few there were.
const CLOCK_AGE: Duration = Duration::from_secs(10);

/// How much is kept, and what is slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecorderSettings {
    /// Bytes of all workers' rings together; a worker has 32 KiB in any case.
    pub memory_bytes: usize,
    /// From this on a request is kept for as long as an error.
    pub slow: Duration,
}

/// What all workers have recorded.
#[derive(Debug)]
pub struct Recorder {
    /// By worker; none: nothing is recorded.
    rings: Mutex<Vec<Option<Rings>>>,
}

#[derive(Debug, Clone)]
struct Rings {
    all: Arc<Ring>,
    errors: Arc<Ring>,
}

/// A worker's side.
#[derive(Debug)]
pub struct RecorderWriter {
    all: RingWriter,
    errors: RingWriter,
    settings: RecorderSettings,
    number: u64,
    clock: Clock,
}

/// Tells wall clock time by the monotonic clock, which costs nothing more.
#[derive(Debug, Clone, Copy)]
struct Clock {
    base: Instant,
    /// Microseconds since the epoch then.
    micros: u64,
}

impl Clock {
    fn now() -> Clock {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Clock {
            base: Instant::now(),
            micros: u64::try_from(since.as_micros()).unwrap_or(u64::MAX),
        }
    }

    /// Microseconds since the epoch of a moment; the wall clock is looked at again if that is due.
    #[inline(always)]
    fn micros_at(&mut self, at: Instant, due: bool) -> u64 {
        match at.checked_duration_since(self.base) {
            Some(after) if after < CLOCK_AGE && !due => self.micros + micros(after),
            _ => self.look_again(at),
        }
    }

    #[cold]
    fn look_again(&mut self, at: Instant) -> u64 {
        *self = Clock::now();
        // What is over ended before this look.
        self.micros
            .saturating_sub(micros(self.base.saturating_duration_since(at)))
    }
}

#[inline(always)]
fn micros(duration: Duration) -> u64 {
    duration.as_secs() * 1_000_000 + u64::from(duration.subsec_micros())
}

impl Recorder {
    /// A recorder of so many workers, in which nothing is recorded yet.
    pub fn new(workers: usize) -> Recorder {
        Recorder {
            rings: Mutex::new(vec![None; workers]),
        }
    }

    /// Begins to record for a worker, or ends it. What it has recorded before is forgotten.
    ///
    /// # Panics
    /// If there is no such worker.
    pub fn open(&self, worker: usize, settings: Option<RecorderSettings>) -> Option<RecorderWriter> {
        let mut all_rings = self.rings.lock();
        // The old ones go first, so that both are never there at once.
        all_rings[worker] = None;
        let settings = settings?;
        let words = settings.memory_bytes / size_of::<u64>() / all_rings.len();
        let words = words.max(WORKER_WORDS_MIN);
        let for_errors = (words as f64 * ERRORS_SHARE) as usize;
        let (all, all_writer) = Ring::new(words - for_errors);
        let (errors, errors_writer) = Ring::new(for_errors);
        all_rings[worker] = Some(Rings { all, errors });
        Some(RecorderWriter {
            all: all_writer,
            errors: errors_writer,
            settings,
            number: 0,
            clock: Clock::now(),
        })
    }

    /// Bytes that it takes.
    pub fn memory_bytes(&self) -> usize {
        let rings = self.rings.lock();
        let words = rings
            .iter()
            .flatten()
            .map(|rings| rings.all.words() + rings.errors.words());
        words.sum::<usize>() * size_of::<u64>()
    }

    /// Whether anything is recorded.
    pub fn is_on(&self) -> bool {
        self.rings.lock().iter().any(Option::is_some)
    }

    /// What `wanted` takes of what is there: the newest, each once, at most `limit`, the newest first. It copies the rings of
    /// one worker after the other: not for threads that serve.
    pub fn read(&self, limit: usize, mut wanted: impl FnMut(&Recorded) -> bool) -> Vec<Recorded> {
        let mut found: Vec<Recorded> = Vec::new();
        let rings = self.rings.lock().clone();
        for (worker, rings) in rings.into_iter().enumerate() {
            let Some(rings) = rings else { continue };
            for ring in [&rings.all, &rings.errors] {
                let copied = ring.read();
                let records = copied.records();
                let records = records.filter_map(|(number, words)| Recorded::unpack(worker, number, words));
                found.extend(records.filter(&mut wanted).take(limit));
            }
        }
        found.sort_by_key(|recorded| {
            (
                recorded.started + recorded.duration,
                recorded.worker,
                recorded.number,
            )
        });
        found.dedup_by_key(|recorded| (recorded.worker, recorded.number));
        found.reverse();
        found.truncate(limit);
        found
    }
}

impl RecorderWriter {
    /// What it was opened with.
    pub fn settings(&self) -> RecorderSettings {
        self.settings
    }

    /// Records what is over.
    #[inline(always)]
    pub fn record(&mut self, note: &Note<'_>) {
        self.number += 1;
        let due = self.number.is_multiple_of(CLOCK_RECORDS);
        let ended = self.clock.micros_at(note.ended, due);
        let started = ended.saturating_sub(micros(note.duration));
        let words_max = note.words_max().min(RECORD_WORDS_MAX - 1);
        let Some(room) = self.all.room(words_max) else {
            return;
        };
        let length = note::pack(note, started, &room[..words_max]);
        room[length].store(last_word(length, self.number), Ordering::Relaxed);
        self.all.commit(length);
        if note.is_error()
            || note.story.is_some_and(|story| note.is_rare_by(story))
            || note.duration >= self.settings.slow
        {
            self.keep_longer();
        }
    }

    /// Records the last one beside those that are kept longer.
    #[cold]
    fn keep_longer(&mut self) {
        let last = self.all.last();
        let Some(room) = self.errors.room(last.len()) else {
            return;
        };
        for (word, last) in room.iter().zip(last) {
            word.store(last.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        room[last.len()].store(last_word(last.len(), self.number), Ordering::Relaxed);
        self.errors.commit(last.len());
    }
}

#[cfg(test)]
mod tests;
