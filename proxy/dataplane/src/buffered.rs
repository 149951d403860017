//! Bytes of bodies that are kept here, counted for their worker: what may be sent again, what is copied for mirrors, what
//! authorization services are told.
//!
//! A piece that is kept for two uses counts for both. What only passes by is not counted: it is bounded by windows.

use crate::worker::Worker;
use std::rc::Rc;

/// Bytes that somebody keeps; they count until this is dropped.
#[derive(Default)]
pub(crate) struct Buffered {
    /// There once anything was kept.
    worker: Option<Rc<Worker>>,
    bytes: usize,
}

impl Buffered {
    /// How many.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Counts more bytes. False if they may not be kept: the process keeps as much as it may.
    pub(crate) fn try_keep(&mut self, worker: &Rc<Worker>, bytes: usize) -> bool {
        let may = worker.overload.may_keep(bytes);
        if may {
            self.keep(worker, bytes);
        } else {
            worker.cells().buffering_refused.inc();
        }
        may
    }

    /// Counts more bytes, whatever the limit says: they are here.
    pub(crate) fn keep(&mut self, worker: &Rc<Worker>, bytes: usize) {
        let worker = self.worker.get_or_insert_with(|| Rc::clone(worker));
        let held = &worker.cells().buffered_bytes;
        held.set(held.value() + bytes as i64);
        self.bytes += bytes;
    }

    /// Nothing is kept any more.
    pub(crate) fn release(&mut self) {
        if let Some(worker) = self.worker.take() {
            let held = &worker.cells().buffered_bytes;
            held.set(held.value() - self.bytes as i64);
            self.bytes = 0;
        }
    }
}

impl Drop for Buffered {
    #[inline]
    fn drop(&mut self) {
        if self.worker.is_some() {
            self.release();
        }
    }
}
