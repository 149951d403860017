//! A worker's decisions of authorization services that are kept for a while, for requests that look alike.
//!
//! Bounded in number by the configuration and in bytes by [`DECISIONS_BYTES_MAX`]; what is used least recently goes
//! first. A new configuration keeps none.

use crate::external_authorization::{HeaderChange, Verdict};
use crate::worker::LocalSnapshot;
use foldhash::HashMap;
use foldhash::fast::RandomState;
use lru::LruCache;
use outrigger_config::model::DecisionCache;
use outrigger_config::model::defaults::DECISIONS_BYTES_MAX;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::Instant;

/// What an entry costs beside its bytes.
const ENTRY_OVERHEAD_BYTES: usize = 256;

/// How decisions are kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) entries_max: usize,
    pub(crate) time_to_live: Duration,
}

impl From<&DecisionCache> for Settings {
    fn from(cache: &DecisionCache) -> Settings {
        Settings {
            entries_max: cache.entries_max(),
            time_to_live: cache.time_to_live(),
        }
    }
}

/// All decisions that a worker keeps, by the number of the policy that asked for them.
#[derive(Default)]
pub(crate) struct Decisions(RefCell<HashMap<u64, Kept>>);

/// The decisions of one policy.
struct Kept {
    entries: LruCache<Box<[u8]>, Entry, RandomState>,
    bytes: usize,
}

struct Entry {
    verdict: Rc<Verdict>,
    until: Instant,
    bytes: usize,
}

impl Kept {
    fn drop_oldest(&mut self) {
        if let Some((_, entry)) = self.entries.pop_lru() {
            self.bytes -= entry.bytes;
        }
    }
}

impl Decisions {
    /// The decision on this question, if there is one that is still good.
    pub(crate) fn find(&self, policy: u64, key: &[u8], now: Instant) -> Option<Rc<Verdict>> {
        let mut all = self.0.borrow_mut();
        let kept = all.get_mut(&policy)?;
        let entry = kept.entries.get(key)?;
        if now < entry.until {
            return Some(Rc::clone(&entry.verdict));
        }
        if let Some(entry) = kept.entries.pop(key) {
            kept.bytes -= entry.bytes;
        }
        None
    }

    /// Keeps a decision.
    pub(crate) fn keep(
        &self,
        policy: u64,
        key: Box<[u8]>,
        verdict: Rc<Verdict>,
        settings: Settings,
        now: Instant,
    ) {
        let bytes = key.len() + bytes_of(&verdict) + ENTRY_OVERHEAD_BYTES;
        let Some(until) = now.checked_add(settings.time_to_live) else {
            return;
        };
        if bytes > DECISIONS_BYTES_MAX || settings.entries_max == 0 {
            return;
        }
        let mut all = self.0.borrow_mut();
        let kept = all.entry(policy).or_insert_with(|| Kept {
            entries: LruCache::unbounded_with_hasher(RandomState::default()),
            bytes: 0,
        });
        let entry = Entry {
            verdict,
            until,
            bytes,
        };
        kept.bytes += bytes;
        if let Some(before) = kept.entries.put(key, entry) {
            kept.bytes -= before.bytes;
        }
        while kept.entries.len() > settings.entries_max || kept.bytes > DECISIONS_BYTES_MAX {
            kept.drop_oldest();
        }
    }

    #[cfg(test)]
    fn bytes(&self, policy: u64) -> usize {
        self.0.borrow().get(&policy).map_or(0, |kept| kept.bytes)
    }

    /// Another snapshot is in force: decisions under another configuration are forgotten, and those of policies that are
    /// gone.
    pub(crate) fn reap(&self, before: &LocalSnapshot, now: &LocalSnapshot) {
        let mut all = self.0.borrow_mut();
        if all.is_empty() {
            return;
        }
        if before.generation() != now.generation() {
            return all.clear();
        }
        let is_alive = |id: &u64| {
            let policies = now
                .chains
                .iter()
                .flatten()
                .filter_map(|chain| chain.http.as_ref());
            policies
                .filter_map(|http| http.external_authorization.as_ref())
                .any(|policy| policy.id == *id)
        };
        all.retain(|id, _| is_alive(id));
    }
}

fn bytes_of(verdict: &Verdict) -> usize {
    let headers = |changes: &[HeaderChange]| -> usize {
        let bytes =
            |change: &HeaderChange| change.name.len() + change.value.len() + size_of::<HeaderChange>();
        changes.iter().map(bytes).sum()
    };
    let texts =
        |texts: &[String]| -> usize { texts.iter().map(|text| text.len() + size_of::<String>()).sum() };
    match verdict {
        Verdict::Allowed(allowance) => {
            let set = allowance.query_set.iter();
            headers(&allowance.request_headers)
                + headers(&allowance.response_headers)
                + texts(&allowance.request_headers_removed)
                + texts(&allowance.query_removed)
                + set
                    .map(|(name, value)| name.len() + value.len() + 2 * size_of::<String>())
                    .sum::<usize>()
        }
        Verdict::Denied(denial) | Verdict::Failed(denial) => headers(&denial.headers) + denial.body.len(),
    }
}

#[cfg(test)]
mod tests;
