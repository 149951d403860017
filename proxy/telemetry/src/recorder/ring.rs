//! A ring of words that one thread writes and any other reads, without a lock: what is oldest is overwritten.
//!
//! The writer says up to where it is about to overwrite ([`Ring::reserved`]), writes, and says up to where what it wrote
//! is whole ([`Ring::committed`]). A reader copies what is whole and then looks at what was reserved meanwhile: words that
//! may have been overwritten while it copied are left out. Nobody waits for anybody. Records are of any length; each ends
//! with a word that tells its length, so that a reader goes from the newest back. A record lies in one segment, so that it
//! is made in its place: what is left of a segment that is too short for it is passed over.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::sync::{Arc, OnceLock};
use zerocopy::FromZeros;

/// A record's length in words stands in this many low bits of its last word.
const LENGTH_BITS: u32 = 16;

/// Words that are allocated together (32 KiB), when they are first written: who serves little takes little.
const SEGMENT_WORDS: usize = 4096;

/// What stands for a number where words are passed over.
const PASSED_OVER: u64 = 0;

/// A word that threads share; a trait so that a model checker's can take its place.
pub(super) trait Word: Sized {
    fn zero() -> Self;
    fn zeros(count: usize) -> Box<[Self]>;
    fn load(&self, ordering: Ordering) -> u64;
    fn store(&self, value: u64, ordering: Ordering);
    fn fence(ordering: Ordering);
}

impl Word for AtomicU64 {
    fn zero() -> AtomicU64 {
        AtomicU64::new(0)
    }

    /// Fresh memory is zero already: nothing is written.
    fn zeros(count: usize) -> Box<[AtomicU64]> {
        <[AtomicU64]>::new_box_zeroed_with_elems(count).expect("a segment is small")
    }

    #[inline(always)]
    fn load(&self, ordering: Ordering) -> u64 {
        self.load(ordering)
    }

    #[inline(always)]
    fn store(&self, value: u64, ordering: Ordering) {
        self.store(value, ordering);
    }

    #[inline(always)]
    fn fence(ordering: Ordering) {
        fence(ordering);
    }
}

/// What writer and readers share. Positions count words since the ring was made, and never begin again.
#[derive(Debug)]
pub(super) struct Ring<W = AtomicU64> {
    segments: Box<[OnceLock<Box<[W]>>]>,
    length: usize,
    /// Words before this position, a ring's length back, may be overwritten.
    reserved: W,
    /// Words before this position are whole.
    committed: W,
}

/// The one that writes.
#[derive(Debug)]
pub(super) struct RingWriter<W = AtomicU64> {
    ring: Arc<Ring<W>>,
    position: u64,
    /// `position` in the ring.
    place: usize,
    /// Words from there to its segment's end; never none.
    left: usize,
    /// How many words the last record took.
    last: usize,
}

impl<W: Word> Ring<W> {
    /// A ring of this many words, and the one that writes to it.
    pub(super) fn new(words: usize) -> (Arc<Ring<W>>, RingWriter<W>) {
        let ring = Arc::new(Ring {
            segments: (0..words.div_ceil(SEGMENT_WORDS))
                .map(|_| OnceLock::new())
                .collect(),
            length: words,
            reserved: W::zero(),
            committed: W::zero(),
        });
        let writer = RingWriter {
            ring: Arc::clone(&ring),
            position: 0,
            place: 0,
            left: ring.segment_words(0),
            last: 0,
        };
        (ring, writer)
    }

    /// Its length.
    pub(super) fn words(&self) -> usize {
        self.length
    }

    /// The words of a segment. The last one of a ring may be shorter.
    #[inline(always)]
    fn segment(&self, index: usize) -> &[W] {
        let segment = &self.segments[index];
        match segment.get() {
            Some(words) => words,
            None => self.allocate(segment, index),
        }
    }

    #[cold]
    fn allocate<'r>(&self, segment: &'r OnceLock<Box<[W]>>, index: usize) -> &'r [W] {
        segment.get_or_init(|| W::zeros(self.segment_words(index)))
    }

    /// How many words a segment has.
    fn segment_words(&self, index: usize) -> usize {
        (self.length - index * SEGMENT_WORDS).min(SEGMENT_WORDS)
    }

    /// A copy of what is whole.
    pub(super) fn read(&self) -> Copied {
        let length = self.length as u64;
        let end = self.committed.load(Ordering::Acquire);
        let begin = end.saturating_sub(length);
        let place = |position: u64| (position % length) as usize;
        let word = |position: u64| {
            let place = place(position);
            // What is before `end` was written, and so is there.
            let segment = self.segments[place / SEGMENT_WORDS].get();
            segment.map_or(0, |words| words[place % SEGMENT_WORDS].load(Ordering::Relaxed))
        };
        let words: Vec<u64> = (begin..end).map(word).collect();
        // Whoever read a word that was written after a reservation reads that reservation below: the writer's fence stands
        // between the two, and this one pairs with it.
        W::fence(Ordering::Acquire);
        let intact = self.reserved.load(Ordering::Relaxed).saturating_sub(length);
        Copied {
            whole_from: (intact.max(begin) - begin).min(end - begin) as usize,
            words,
        }
    }
}

impl<W: Word> RingWriter<W> {
    /// Room for a record of at most so many words, and behind it for the one that [`RingWriter::commit`] puts: they may be
    /// overwritten from now on. None: it would be longer than a segment.
    #[inline(always)]
    pub(super) fn room(&mut self, words_max: usize) -> Option<&[W]> {
        if self.left <= words_max && !self.pass_over(words_max) {
            return None;
        }
        self.reserve(words_max + 1);
        let begin = self.place % SEGMENT_WORDS;
        Some(&self.ring.segment(self.place / SEGMENT_WORDS)[begin..=begin + words_max])
    }

    /// A record of so many words was put into the room that was given last, and [`last_word`] behind it.
    #[inline(always)]
    pub(super) fn commit(&mut self, length: usize) {
        self.last = length;
        self.went_on(length + 1);
        self.ring.committed.store(self.position, Ordering::Release);
    }

    /// The words of the last record.
    pub(super) fn last(&self) -> &[W] {
        let end = match self.place {
            0 => self.ring.length,
            place => place,
        } - 1;
        let begin = end - self.last;
        &self.ring.segment(begin / SEGMENT_WORDS)[begin % SEGMENT_WORDS..][..self.last]
    }

    /// So many words from here on may be overwritten.
    #[inline(always)]
    fn reserve(&self, words: usize) {
        let end = self.position + words as u64;
        self.ring.reserved.store(end, Ordering::Relaxed);
        W::fence(Ordering::Release);
    }

    #[inline(always)]
    fn went_on(&mut self, words: usize) {
        self.position += words as u64;
        self.place += words;
        self.left -= words;
        if self.left == 0 {
            self.begin_segment();
        }
    }

    #[cold]
    fn begin_segment(&mut self) {
        if self.place == self.ring.length {
            self.place = 0;
        }
        self.left = self.ring.segment_words(self.place / SEGMENT_WORDS);
    }

    /// Goes on to a segment in which a record of so many words has room, past what is left of this one; `false` if there is
    /// none.
    #[cold]
    fn pass_over(&mut self, words_max: usize) -> bool {
        if words_max >= self.ring.segment_words(0) || words_max + 1 >= 1 << LENGTH_BITS {
            return false;
        }
        while self.left <= words_max {
            self.reserve(self.left);
            let segment = self.ring.segment(self.place / SEGMENT_WORDS);
            segment[segment.len() - 1].store(last_word(self.left - 1, PASSED_OVER), Ordering::Relaxed);
            self.went_on(self.left);
        }
        true
    }
}

/// What stands behind a record of so many words; its `number` is not 0.
#[inline(always)]
pub(super) fn last_word(length: usize, number: u64) -> u64 {
    number << LENGTH_BITS | (length as u64 + 1)
}

/// What a reader copied out of a ring.
#[derive(Debug)]
pub(super) struct Copied {
    words: Vec<u64>,
    whole_from: usize,
}

impl Copied {
    /// The records, the newest first, each with its number and without its last word.
    pub(super) fn records(&self) -> impl Iterator<Item = (u64, &[u64])> {
        let mut end = self.words.len();
        let records = std::iter::from_fn(move || {
            let range: Range<usize> = {
                let last = end.checked_sub(1)?;
                let length = (self.words[last] & ((1 << LENGTH_BITS) - 1)) as usize;
                // Where nothing was written yet there is no length.
                let begin = end.checked_sub(length.max(1))?;
                begin..last
            };
            if range.start < self.whole_from || range.end < range.start {
                return None;
            }
            let number = self.words[range.end] >> LENGTH_BITS;
            end = range.start;
            Some((number, &self.words[range]))
        });
        records.filter(|(number, _)| *number != PASSED_OVER)
    }
}

#[cfg(test)]
mod tests;
