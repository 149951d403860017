//! The label sets of one kind that are alive: handed out when a configuration is compiled, read by scrapes.
//!
//! A label set lives as long as somebody holds its handle: the same labels give the same live handle, so that counts
//! survive a reload; when the last holder drops it, its series vanish. Resolving takes a lock and belongs to the
//! compilation of a configuration, never to a request.

use crate::cell::Terms;
use crate::cells::{Cells, Family};
use crate::exposition::{Heading, Page, labels_text};
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Weak};

/// What is too many, or unknown, is counted under this value of the labels.
pub(crate) const OTHER: &str = "other";
/// Entries that may lie about dead before they are first swept out.
const SWEPT_FROM: usize = 64;

/// The cells of one label set: `C` once for each worker.
#[derive(Debug)]
pub struct LabelledCells<C> {
    /// As they stand between the braces.
    labels: Box<str>,
    /// They are everything's for which there was no room: what does not add up says nothing of them.
    is_other: bool,
    workers: Box<[C]>,
}

impl<C> LabelledCells<C> {
    /// The cells that belong to the worker with this index; no other thread may write to them.
    ///
    /// # Panics
    /// If there is no such worker.
    #[inline]
    pub fn worker(&self, index: usize) -> &C {
        &self.workers[index]
    }

    /// All workers' cells, to be read.
    pub fn workers(&self) -> &[C] {
        &self.workers
    }
}

/// Label values to the cells that somebody holds.
struct LiveCells<C> {
    cells: BTreeMap<Box<[String]>, Weak<LabelledCells<C>>>,
    /// Dead ones are swept out when there are so many: twice what was alive the last time, so that sweeping costs each
    /// new one a constant.
    sweep_at: usize,
    /// Hashes of label sets for which there was no room, so that each is told of once; as many as there may be label sets.
    folded: HashSet<u64>,
}

/// The label sets of one kind that are alive.
pub(crate) struct Inventory<C> {
    workers: usize,
    terms: Terms,
    label_sets_max: usize,
    live: Mutex<LiveCells<C>>,
}

impl<C: Cells> Inventory<C> {
    pub(crate) fn new(workers: usize, terms: Terms, label_sets_max: usize) -> Arc<Self> {
        Arc::new(Inventory {
            workers,
            terms,
            label_sets_max,
            live: Mutex::new(LiveCells {
                cells: BTreeMap::new(),
                sweep_at: SWEPT_FROM.min(label_sets_max),
                folded: HashSet::new(),
            }),
        })
    }

    /// The live handle of these labels, or a new one. When there are too many it is that of all others, and `folded` is
    /// called if it was not for these labels before.
    pub(crate) fn resolve(&self, labels: &[&str], folded: impl FnOnce()) -> Arc<LabelledCells<C>> {
        let mut key: Box<[String]> = labels.iter().map(|label| (*label).to_owned()).collect();
        let mut is_other = false;
        let mut live = self.live.lock();
        if let Some(cells) = live.cells.get(&key).and_then(Weak::upgrade) {
            return cells;
        }
        if live.cells.len() >= live.sweep_at {
            live.cells.retain(|_, cells| cells.strong_count() > 0);
            live.sweep_at = (live.cells.len() * 2).max(SWEPT_FROM).min(self.label_sets_max);
        }
        if live.cells.len() >= self.label_sets_max {
            is_other = true;
            if live.folded.len() < self.label_sets_max && live.folded.insert(hash(&key)) {
                folded();
            }
            key = labels.iter().map(|_| OTHER.to_owned()).collect();
            if let Some(cells) = live.cells.get(&key).and_then(Weak::upgrade) {
                return cells;
            }
        }
        let pairs = C::LABELS.iter().copied().zip(key.iter().map(String::as_str));
        let cells = Arc::new(LabelledCells {
            labels: labels_text(pairs).into(),
            is_other,
            workers: (0..self.workers).map(|_| C::new(&self.terms)).collect(),
        });
        live.cells.insert(key, Arc::downgrade(&cells));
        cells
    }

    /// How many label sets are remembered, dead ones that nobody has swept out included.
    #[cfg(test)]
    pub(crate) fn remembered(&self) -> usize {
        self.live.lock().cells.len()
    }
}

fn hash(labels: &[String]) -> u64 {
    let mut hasher = DefaultHasher::new();
    labels.hash(&mut hasher);
    hasher.finish()
}

/// An inventory as scrapes see it, whatever its cells.
pub(crate) trait Section: Send + Sync {
    /// Takes what is alive now, sorted by labels; it stays alive while it is read.
    fn open(&self) -> Box<dyn OpenSection>;

    /// Makes a label set of which everything has counted something, and keeps it alive.
    #[cfg(test)]
    fn touch(&self) -> Arc<dyn std::any::Any>;
}

/// The label sets that one scrape reads.
pub(crate) trait OpenSection: Send {
    fn label_sets(&self) -> usize;

    /// The heading of the family with this index, or none when there are no more.
    fn heading(&self, family: usize) -> Option<Heading>;

    /// Writes the samples that one label set has of one family.
    fn write(&self, family: usize, label_set: usize, page: &mut Page);
}

impl<C: Cells> Section for Inventory<C> {
    fn open(&self) -> Box<dyn OpenSection> {
        let mut found = Vec::new();
        self.live.lock().cells.retain(|_, cells| match cells.upgrade() {
            Some(cells) => {
                found.push(cells);
                true
            }
            None => false,
        });
        let mut families: Vec<&'static Family<C>> = C::FAMILIES.iter().collect();
        families.sort_by_key(|family| family.heading.name);
        Box::new(Opened {
            families,
            label_sets: found,
        })
    }

    #[cfg(test)]
    fn touch(&self) -> Arc<dyn std::any::Any> {
        let values = ["a \\ \"b\"\n", "§", ""];
        let cells = self.resolve(&values[..C::LABELS.len()], || {});
        cells.workers.iter().for_each(C::touch);
        cells
    }
}

struct Opened<C: 'static> {
    families: Vec<&'static Family<C>>,
    label_sets: Vec<Arc<LabelledCells<C>>>,
}

impl<C: Cells> OpenSection for Opened<C> {
    fn label_sets(&self) -> usize {
        self.label_sets.len()
    }

    fn heading(&self, family: usize) -> Option<Heading> {
        self.families.get(family).map(|family| family.heading)
    }

    fn write(&self, family: usize, label_set: usize, page: &mut Page) {
        let (cells, family) = (&self.label_sets[label_set], self.families[family]);
        if cells.is_other && !family.adds_up {
            return;
        }
        (family.write)(&cells.workers, &mut page.samples(&cells.labels));
    }
}
