//! A limit that this process counts.

use super::decision::Reading;
use super::descriptor::{DescriptorFacts, descriptor_value};
use super::key::{self, Key};
use super::table::Table;
use crate::pace::{Pace, Token, TokenBucket};
use outrigger_config::model::{DescriptorPart, LocalRateLimit, RateLimit, RateLimitBucket};
use std::sync::Arc;
use std::time::Duration;

/// A key that was forgotten because another came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    /// Its bucket was full: nothing is lost.
    Full,
    /// Tokens were missing from its bucket; should it come back, it has them again.
    Counting,
}

/// What the parts of a key must be, by their index.
pub(super) type Wanted = Box<[(usize, Key)]>;

/// A limit that this process counts: one bucket, or one for each value of its descriptor.
///
/// What it counts is shared by all that are made of one another ([`LocalLimit::new`]).
#[derive(Debug)]
pub struct LocalLimit {
    descriptor: Vec<DescriptorPart>,
    /// The bucket's, then those of the overrides.
    paces: Box<[Pace]>,
    /// What the parts of a key must be, by their index; the first override all of which holds is taken.
    overrides: Box<[Wanted]>,
    keys_max: usize,
    counts: Arc<Counts>,
}

enum Counts {
    One(TokenBucket),
    Keyed(Table),
}

impl std::fmt::Debug for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Counts::One(bucket) => f.debug_tuple("One").field(bucket).finish(),
            Counts::Keyed(table) => f.debug_tuple("Keyed").field(&table.keys()).finish(),
        }
    }
}

/// Whose bucket a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Whose {
    /// All requests ask for one.
    All,
    /// That of these values.
    Key(Key),
}

/// A token that was taken of a limit.
#[derive(Debug, Clone, Copy)]
pub(super) struct LimitToken {
    pub(super) token: Token,
    pub(super) reading: Reading,
    pub(super) dropped: Option<Dropped>,
}

impl LocalLimit {
    /// The limit of this configuration. `before`: the one of the same name until now: what it has counted stays, if its
    /// descriptor does; if its buckets have other sizes now, what was taken stays taken.
    pub fn new(
        config: &RateLimit,
        local: &LocalRateLimit,
        before: Option<&LocalLimit>,
        now: Duration,
    ) -> LocalLimit {
        let descriptor = config.descriptors().first().cloned().unwrap_or_default();
        let index_of = |key: &str| descriptor.iter().position(|part| part.key() == key);
        let overrides = local.overrides().iter().map(|one| {
            let values = one.values().iter().map(|(name, value)| {
                let mut wanted = Key::default();
                wanted.push(value.as_bytes());
                // A key that the descriptor does not have is no value's: such an override matches nothing.
                (index_of(name).unwrap_or(usize::MAX), wanted)
            });
            values.collect()
        });
        let buckets = local.overrides().iter().map(|one| one.bucket());
        LocalLimit::of(
            descriptor.clone(),
            std::iter::once(local.bucket()).chain(buckets).map(pace).collect(),
            overrides.collect(),
            local.keys_max(),
            before,
            now,
        )
    }

    pub(super) fn of(
        descriptor: Vec<DescriptorPart>,
        paces: Box<[Pace]>,
        overrides: Box<[Wanted]>,
        keys_max: usize,
        before: Option<&LocalLimit>,
        now: Duration,
    ) -> LocalLimit {
        let mut limit = LocalLimit {
            descriptor,
            paces,
            overrides,
            keys_max,
            counts: Arc::new(Counts::One(TokenBucket::new())),
        };
        let before = before.filter(|before| before.descriptor == limit.descriptor);
        let counts = match before.map(|before| (before, &*before.counts)) {
            Some((before, _)) if limit.counts_as(before) => Arc::clone(&before.counts),
            Some((before, Counts::One(bucket))) => {
                let carried = bucket.carried(now, &before.paces[0], &limit.paces[0]);
                Arc::new(Counts::One(carried))
            }
            Some((before, Counts::Keyed(table))) => {
                let pace_of = |key: &[u8]| limit.pace_of(key);
                let carried = table.carried(keys_max, now, &before.paces, &limit.paces, pace_of);
                Arc::new(Counts::Keyed(carried))
            }
            None if limit.descriptor.is_empty() => Arc::new(Counts::One(TokenBucket::new())),
            None => Arc::new(Counts::Keyed(Table::new(keys_max))),
        };
        limit.counts = counts;
        limit
    }

    /// True if the other's counts mean the same here.
    fn counts_as(&self, other: &LocalLimit) -> bool {
        self.paces == other.paces && self.overrides == other.overrides && self.keys_max == other.keys_max
    }

    /// True if requests are told apart.
    pub fn is_keyed(&self) -> bool {
        !self.descriptor.is_empty()
    }

    /// Values that are counted now; 0 where requests are not told apart.
    pub fn keys(&self) -> usize {
        match &*self.counts {
            Counts::One(_) => 0,
            Counts::Keyed(table) => table.keys(),
        }
    }

    /// Tokens that are there now; none where requests are told apart.
    pub fn left(&self, now: Duration) -> Option<u32> {
        match &*self.counts {
            Counts::One(bucket) => Some(bucket.left(now, &self.paces[0])),
            Counts::Keyed(_) => None,
        }
    }

    /// Whose bucket is asked for; none: the limit does not count this.
    pub(super) fn whose(&self, facts: &DescriptorFacts<'_>) -> Option<Whose> {
        if self.descriptor.is_empty() {
            return Some(Whose::All);
        }
        let mut key = Key::default();
        for part in &self.descriptor {
            key.push(&descriptor_value(part.source(), facts)?);
        }
        Some(Whose::Key(key))
    }

    /// Whether there is a token; else how things stand.
    pub(super) fn look(&self, whose: &Whose, now: Duration) -> Result<(), Reading> {
        match (&*self.counts, whose) {
            (Counts::Keyed(table), Whose::Key(key)) => table
                .look(key.as_bytes(), now, &self.paces)
                .map_err(|(pace, wait)| self.empty(pace, wait)),
            (Counts::One(bucket), _) => bucket
                .look(now, &self.paces[0])
                .map_err(|wait| self.empty(0, wait)),
            (Counts::Keyed(_), Whose::All) => Ok(()),
        }
    }

    /// Takes a token, if there is one; else how things stand.
    pub(super) fn take(&self, whose: &Whose, now: Duration) -> Result<LimitToken, Reading> {
        let (token, pace, dropped) = match (&*self.counts, whose) {
            (Counts::Keyed(table), Whose::Key(key)) => {
                let pace_of = || self.pace_of(key.as_bytes());
                let taken = table
                    .take(key.as_bytes(), now, &self.paces, pace_of)
                    .map_err(|(pace, wait)| self.empty(pace, wait))?;
                (taken.token, taken.pace, taken.dropped)
            }
            (Counts::One(bucket), _) => {
                let token = bucket
                    .take(now, &self.paces[0])
                    .map_err(|wait| self.empty(0, wait))?;
                (token, 0, None)
            }
            (Counts::Keyed(_), Whose::All) => unreachable!("a limit that tells requests apart gives keys"),
        };
        let pace = &self.paces[pace];
        let wait = match token.left {
            0 => pace.wait(token.after, pace.at(now)),
            _ => Duration::ZERO,
        };
        Ok(LimitToken {
            token,
            reading: Reading {
                limit: pace.burst(),
                left: token.left,
                wait,
            },
            dropped,
        })
    }

    /// Gives a token back, if nobody has taken one since.
    pub(super) fn give_back(&self, whose: &Whose, taken: LimitToken) -> bool {
        match (&*self.counts, whose) {
            (Counts::Keyed(table), Whose::Key(key)) => table.give_back(key.as_bytes(), taken.token),
            (Counts::One(bucket), _) => bucket.give_back(taken.token),
            (Counts::Keyed(_), Whose::All) => false,
        }
    }

    fn empty(&self, pace: usize, wait: Duration) -> Reading {
        Reading {
            limit: self.paces[pace].burst(),
            left: 0,
            wait,
        }
    }

    /// Which pace this key's bucket has.
    fn pace_of(&self, key: &[u8]) -> usize {
        let holds = |wanted: &Wanted| {
            let mut parts = wanted.iter();
            parts.all(|(index, value)| {
                *index < self.descriptor.len() && key::part(key, *index) == Some(value.as_bytes())
            })
        };
        self.overrides.iter().position(holds).map_or(0, |index| index + 1)
    }
}

fn pace(bucket: RateLimitBucket) -> Pace {
    Pace::new(bucket.requests().get(), bucket.interval(), bucket.burst().get())
}

#[cfg(test)]
mod tests;
