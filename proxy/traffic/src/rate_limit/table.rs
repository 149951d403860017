//! A bounded table of token buckets.
//!
//! Keys are spread over shards by a hash that nobody outside can foresee; each shard holds its share of the bound, so that
//! the bound is exact and a shard may be full a little before the table is. Small tables are one shard, and no shard is so large
//! that requests would wait while its keys are copied.
//!
//! # What goes when a shard is full
//! Of the [`CANDIDATES`] keys that were used least recently that goes of whose bucket the fewest tokens are missing. A full
//! bucket is as good as none: whoever comes back finds what he left. So whoever wants a bucket to be forgotten that is
//! empty must make eight others as empty at the end of the same shard, which takes as many tokens as he gains; a flood of keys
//! that are used once each, from forged headers or many addresses, pushes out one another.

use super::Dropped;
use crate::pace::{Pace, Token};
use foldhash::fast::RandomState;
use lru::LruCache;
use parking_lot::Mutex;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Shards of a table that is large enough, at least.
const SHARDS: usize = 16;
/// Keys of a shard, at most, where there are several: what is copied under one lock when a limit changes.
const SHARD_KEYS_MAX: usize = 2_048;
/// Keys of a shard, at least, where there are several.
const SHARD_KEYS_MIN: usize = 256;
/// Keys among which one is chosen to go.
const CANDIDATES: usize = 8;

/// Buckets by key.
pub(super) struct Table {
    shards: Box<[Shard]>,
    hasher: RandomState,
    keys: AtomicUsize,
}

#[repr(align(64))]
struct Shard {
    keys_max: usize,
    buckets: Mutex<LruCache<Box<[u8]>, Bucket, RandomState>>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// As in a [`crate::TokenBucket`].
    full_at: u64,
    /// Which of the limit's paces.
    pace: usize,
}

/// A token of a table's bucket.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taken {
    pub(super) token: Token,
    pub(super) pace: usize,
    pub(super) dropped: Option<Dropped>,
}

impl Table {
    /// An empty table of at most this many keys, and at least one.
    pub(super) fn new(keys_max: usize) -> Table {
        let keys_max = keys_max.max(1);
        let count = if keys_max >= SHARDS * SHARD_KEYS_MIN {
            SHARDS.max(keys_max.div_ceil(SHARD_KEYS_MAX))
        } else {
            1
        };
        let shard = |index: usize| Shard {
            keys_max: keys_max / count + usize::from(index < keys_max % count),
            buckets: Mutex::new(LruCache::unbounded_with_hasher(RandomState::default())),
        };
        Table {
            shards: (0..count).map(shard).collect(),
            hasher: RandomState::default(),
            keys: AtomicUsize::new(0),
        }
    }

    /// Keys now.
    pub(super) fn keys(&self) -> usize {
        self.keys.load(Ordering::Relaxed)
    }

    fn shard(&self, key: &[u8]) -> &Shard {
        // The high bits: the low ones place the key in its shard's own table.
        let hash = self.hasher.hash_one(key) >> 32;
        &self.shards[hash as usize % self.shards.len()]
    }

    /// Whether there is a token for this key; else how long until there is. Says nothing of when it was used.
    pub(super) fn look(&self, key: &[u8], now: Duration, paces: &[Pace]) -> Result<(), (usize, Duration)> {
        let buckets = self.shard(key).buckets.lock();
        let Some(bucket) = buckets.peek(key) else {
            return Ok(());
        };
        let pace = &paces[bucket.pace];
        let at = pace.at(now);
        match pace.after_taking(bucket.full_at, at) {
            Some(_) => Ok(()),
            None => Err((bucket.pace, pace.wait(bucket.full_at, at))),
        }
    }

    /// Takes a token for this key, if there is one; else how long until there is. `pace_of` says which pace a new key has.
    pub(super) fn take(
        &self,
        key: &[u8],
        now: Duration,
        paces: &[Pace],
        pace_of: impl FnOnce() -> usize,
    ) -> Result<Taken, (usize, Duration)> {
        let shard = self.shard(key);
        let mut buckets = shard.buckets.lock();
        let mut dropped = None;
        if let Some(bucket) = buckets.get_mut(key) {
            let pace = &paces[bucket.pace];
            let at = pace.at(now);
            let before = bucket.full_at;
            let Some(after) = pace.after_taking(before, at) else {
                return Err((bucket.pace, pace.wait(before, at)));
            };
            bucket.full_at = after;
            return Ok(taken(pace, bucket.pace, before, after, at, None));
        }
        let index = pace_of();
        let pace = &paces[index];
        let at = pace.at(now);
        let after = pace.after_taking(0, at).expect("a full bucket has a token");
        if buckets.len() >= shard.keys_max {
            dropped = drop_one(&mut buckets, now, paces);
        } else {
            self.keys.fetch_add(1, Ordering::Relaxed);
        }
        buckets.put(
            key.into(),
            Bucket {
                full_at: after,
                pace: index,
            },
        );
        Ok(taken(pace, index, 0, after, at, dropped))
    }

    /// Gives a token back if nobody has taken one of this key since.
    pub(super) fn give_back(&self, key: &[u8], token: Token) -> bool {
        let mut buckets = self.shard(key).buckets.lock();
        match buckets.peek_mut(key) {
            Some(bucket) if bucket.full_at == token.after => {
                bucket.full_at = token.before;
                true
            }
            _ => false,
        }
    }

    /// A table of another size, or of buckets of other paces, of which as much was taken as of this one. Of more keys than
    /// fit those go that were used least recently. `pace_of` says which of `to` a key has.
    pub(super) fn carried(
        &self,
        keys_max: usize,
        now: Duration,
        from: &[Pace],
        to: &[Pace],
        pace_of: impl Fn(&[u8]) -> usize,
    ) -> Table {
        let table = Table::new(keys_max);
        let mut copied: Vec<(Box<[u8]>, Bucket)> = Vec::new();
        for shard in &self.shards {
            copied.reserve(shard.keys_max);
            {
                // Requests wait for this lock: nothing is done under it but copying.
                let buckets = shard.buckets.lock();
                copied.extend(buckets.iter().map(|(key, bucket)| (key.clone(), *bucket)));
            }
            // From the one that was used last, so that those stay, and then in their order.
            for (key, bucket) in copied.drain(..) {
                let target = table.shard(&key);
                let mut room = target.buckets.lock();
                if room.len() >= target.keys_max {
                    continue;
                }
                let index = pace_of(&key);
                let full_at = from[bucket.pace].carried(&to[index], bucket.full_at, now);
                let moved = Bucket { full_at, pace: index };
                room.put(key.clone(), moved);
                room.demote(&key);
                table.keys.fetch_add(1, Ordering::Relaxed);
            }
        }
        table
    }
}

fn taken(pace: &Pace, index: usize, before: u64, after: u64, at: u64, dropped: Option<Dropped>) -> Taken {
    Taken {
        token: Token {
            left: pace.left(after, at),
            before,
            after,
        },
        pace: index,
        dropped,
    }
}

/// Drops the one that is missed least.
fn drop_one(
    buckets: &mut LruCache<Box<[u8]>, Bucket, RandomState>,
    now: Duration,
    paces: &[Pace],
) -> Option<Dropped> {
    let missing = |bucket: &Bucket| {
        let pace = &paces[bucket.pace];
        pace.burst() - pace.left(bucket.full_at, pace.at(now))
    };
    let (key, missing) = buckets
        .iter()
        .rev()
        .take(CANDIDATES)
        .map(|(key, bucket)| (key, missing(bucket)))
        .min_by_key(|(_, missing)| *missing)?;
    let key = key.clone();
    buckets.pop(&key);
    Some(if missing == 0 {
        Dropped::Full
    } else {
        Dropped::Counting
    })
}

#[cfg(test)]
mod tests;
