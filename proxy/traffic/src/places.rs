//! Places of which there are so many in the whole process, exactly.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts what has a place, across workers.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct Places(AtomicU64);

impl Places {
    /// How many are taken.
    pub fn taken(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// A place, unless `limit` of them are taken. However many ask at once, no more have one.
    pub fn take(self: &Arc<Self>, limit: Option<u64>) -> Option<Place> {
        let limit = limit.unwrap_or(u64::MAX);
        let add = |taken: u64| (taken < limit).then_some(taken + 1);
        self.0
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, add)
            .ok()
            .map(|_| Place(Arc::clone(self)))
    }
}

/// A place; it is given back when this is dropped.
#[derive(Debug)]
pub struct Place(Arc<Places>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_given_back() {
        let places = Arc::new(Places::default());
        let held: Vec<Place> = (0..3).filter_map(|_| places.take(Some(2))).collect();
        assert_eq!((held.len(), places.taken()), (2, 2));
        drop(held);
        assert_eq!(places.taken(), 0);
        assert!(places.take(Some(0)).is_none());
        assert!(places.take(None).is_some());
    }

    #[test]
    fn many_threads_never_have_more_than_there_are() {
        let (places, most) = (Arc::new(Places::default()), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..5_000 {
                        if let Some(_place) = places.take(Some(3)) {
                            most.fetch_max(places.taken(), Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        assert!((1..=3).contains(&most.load(Ordering::Relaxed)));
        assert_eq!(places.taken(), 0);
    }
}
