//! Those who wait for a place at a breaker, and what is to give way for them.

use std::sync::atomic::{AtomicU64, Ordering, fence};

/// What [`WaitCount`] asks of an atomic word.
pub trait WaitWord: Send + Sync {
    /// A word of this value.
    fn new(value: u64) -> Self;
    /// Its value.
    fn load(&self) -> u64;
    /// Changes it as `change` says, called again whenever another thread was quicker; gives what it was, or none once
    /// `change` wants none.
    fn update(&self, change: impl FnMut(u64) -> Option<u64>) -> Option<u64>;
    /// What is written before it and what is read after it have one order for all threads.
    fn fence();
}

impl WaitWord for AtomicU64 {
    #[inline]
    fn new(value: u64) -> AtomicU64 {
        AtomicU64::new(value)
    }

    #[inline]
    fn load(&self) -> u64 {
        AtomicU64::load(self, Ordering::Relaxed)
    }

    #[inline]
    fn update(&self, change: impl FnMut(u64) -> Option<u64>) -> Option<u64> {
        self.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change)
            .ok()
    }

    #[inline]
    fn fence() {
        fence(Ordering::SeqCst);
    }
}

/// How many wait, and how many idle things are still to be closed for them: never more than wait. Both are one word, so
/// that what one who leaves takes back is never what another has just asked for.
///
/// Nobody sleeps beside a free place: who waits calls [`WaitCount::enter`] and then looks for a place, who gives one back
/// does so and then calls [`WaitCount::is_waited_for_now`]; at least one of the two sees the other.
#[derive(Debug)]
pub struct WaitCount<W = AtomicU64>(W);

impl<W: WaitWord> Default for WaitCount<W> {
    fn default() -> WaitCount<W> {
        WaitCount(W::new(0))
    }
}

/// The word: those who wait in the low half, the room that they want in the high one.
fn split(word: u64) -> (u32, u32) {
    (word as u32, (word >> 32) as u32)
}

fn join(waiting: u32, room_wanted: u32) -> u64 {
    u64::from(room_wanted) << 32 | u64::from(waiting)
}

impl<W: WaitWord> WaitCount<W> {
    /// One more waits, until [`WaitCount::leave`]; true if nobody did before.
    pub fn enter(&self) -> bool {
        let before = self.0.update(|word| {
            let (waiting, room_wanted) = split(word);
            Some(join(waiting.checked_add(1)?, room_wanted))
        });
        debug_assert!(before.is_some(), "fewer wait than four thousand million");
        W::fence();
        before.is_none_or(|word| split(word).0 == 0)
    }

    /// One who waited does so no more. What is wanted for the others stays wanted.
    pub fn leave(&self) {
        let left = self.0.update(|word| {
            let (waiting, room_wanted) = split(word);
            let waiting = waiting.checked_sub(1)?;
            Some(join(waiting, room_wanted.min(waiting)))
        });
        debug_assert!(left.is_some(), "who leaves has entered");
    }

    /// True if somebody waits, as far as this thread can see.
    #[inline]
    pub fn is_waited_for(&self) -> bool {
        split(self.0.load()).0 > 0
    }

    /// The same for whoever has just given a place back: who is not seen here finds it.
    pub fn is_waited_for_now(&self) -> bool {
        W::fence();
        self.is_waited_for()
    }

    /// One more idle thing is to be closed, unless that is so for everybody who waits.
    pub fn want_room(&self) {
        self.0.update(|word| {
            let (waiting, room_wanted) = split(word);
            (room_wanted < waiting).then(|| join(waiting, room_wanted + 1))
        });
    }

    /// True if something is still to be closed.
    pub fn wants_room(&self) -> bool {
        split(self.0.load()).1 > 0
    }

    /// Takes it on to close something, if that is still wanted.
    pub fn take_room_wanted(&self) -> bool {
        let taken = self.0.update(|word| {
            let (waiting, room_wanted) = split(word);
            Some(join(waiting, room_wanted.checked_sub(1)?))
        });
        taken.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Breaker;
    use super::*;
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicU32 as LoomU32, AtomicU64 as LoomU64};

    impl WaitWord for LoomU64 {
        fn new(value: u64) -> LoomU64 {
            LoomU64::new(value)
        }
        fn load(&self) -> u64 {
            LoomU64::load(self, Ordering::Relaxed)
        }
        fn update(&self, change: impl FnMut(u64) -> Option<u64>) -> Option<u64> {
            self.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change)
                .ok()
        }
        fn fence() {
            loom::sync::atomic::fence(Ordering::SeqCst);
        }
    }

    #[test]
    fn loom_nobody_sleeps_beside_a_place_that_was_given_back() {
        loom::model(|| {
            let shared: Arc<(Breaker<LoomU32>, WaitCount<LoomU64>)> =
                Arc::new((Breaker::new(1), WaitCount::default()));
            assert!(shared.0.try_begin());
            let other = {
                let shared = Arc::clone(&shared);
                loom::thread::spawn(move || {
                    shared.1.enter();
                    shared.0.try_begin()
                })
            };
            shared.0.end();
            let wakes = shared.1.is_waited_for_now();
            let found = other.join().expect("the model holds");
            assert!(wakes || found, "one sleeps, and nobody wakes it");
        });
    }

    #[test]
    fn loom_what_a_newcomer_wants_is_not_taken_back_by_who_leaves() {
        loom::model(|| {
            let count: Arc<WaitCount<LoomU64>> = Arc::default();
            count.enter();
            count.want_room();
            let other = {
                let count = Arc::clone(&count);
                loom::thread::spawn(move || {
                    count.enter();
                    count.want_room();
                })
            };
            count.leave();
            other.join().expect("the model holds");
            assert!(count.is_waited_for() && count.wants_room());
        });
    }

    #[test]
    fn no_more_room_is_wanted_than_there_are_who_wait() {
        let count: WaitCount = WaitCount::default();
        count.want_room();
        assert!(!count.wants_room(), "for nobody");
        assert!(count.enter() && !count.enter());
        for _ in 0..5 {
            count.want_room();
        }
        assert!(count.take_room_wanted() && count.take_room_wanted() && !count.take_room_wanted());
        count.want_room();
        count.want_room();
        count.leave();
        assert!(count.take_room_wanted() && !count.take_room_wanted());
        count.leave();
        assert!(!count.is_waited_for());
    }
}
