//! Memory that a worker's connections pass on: heads and write buffers. An idle connection holds none, and one that
//! wakes takes what the last one left, warm in the cache, instead of growing its own.

use outrigger_http1::{RequestHead, ResponseHead};
use std::cell::RefCell;

/// Things of one kind that are kept, at most: as many as requests are usually under way at one time.
const KEPT_MAX: usize = 128;
/// A thing that has grown beyond this is not kept.
const KEPT_BYTES_MAX: usize = 128 * 1024;
/// All things of one kind that are kept together have no more bytes than this.
const SHELF_BYTES_MAX: usize = 1024 * 1024;

/// A worker's spare memory.
#[derive(Default)]
pub(crate) struct Spares {
    // Boxed: a head is some hundred bytes, and goes from hand to hand with every request.
    requests: Shelf<Box<RequestHead>>,
    responses: Shelf<Box<ResponseHead>>,
    buffers: Shelf<Vec<u8>>,
}

impl Spares {
    /// A request head, empty.
    pub(crate) fn request(&self) -> Box<RequestHead> {
        self.requests.take()
    }

    /// A response head, empty.
    pub(crate) fn response(&self) -> Box<ResponseHead> {
        self.responses.take()
    }

    /// A buffer, empty.
    pub(crate) fn buffer(&self) -> Vec<u8> {
        self.buffers.take()
    }

    pub(crate) fn keep_request(&self, mut head: Box<RequestHead>) {
        head.clear();
        let bytes = head.capacity_bytes();
        self.requests.put(head, bytes);
    }

    #[inline]
    pub(crate) fn keep_response(&self, mut head: Box<ResponseHead>) {
        head.clear();
        let bytes = head.fields.capacity_bytes();
        self.responses.put(head, bytes);
    }

    pub(crate) fn keep_buffer(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        let bytes = buffer.capacity();
        self.buffers.put(buffer, bytes);
    }
}

/// Things with the bytes that each holds, and the sum.
struct Shelf<T>(RefCell<(Vec<(T, usize)>, usize)>);

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Shelf(RefCell::new((Vec::new(), 0)))
    }
}

impl<T: Default> Shelf<T> {
    fn take(&self) -> T {
        let (kept, sum) = &mut *self.0.borrow_mut();
        let Some((thing, bytes)) = kept.pop() else {
            return T::default();
        };
        *sum -= bytes;
        thing
    }

    fn put(&self, thing: T, bytes: usize) {
        let (kept, sum) = &mut *self.0.borrow_mut();
        if bytes > 0 && bytes <= KEPT_BYTES_MAX && kept.len() < KEPT_MAX && *sum + bytes <= SHELF_BYTES_MAX {
            *sum += bytes;
            kept.push((thing, bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_back_empty_and_what_is_large_does_not() {
        let spares = Spares::default();
        spares.keep_buffer(b"abc".to_vec());
        let buffer = spares.buffer();
        assert!(buffer.is_empty() && buffer.capacity() >= 3);
        spares.keep_buffer(vec![0; KEPT_BYTES_MAX + 1]);
        assert_eq!(spares.buffer().capacity(), 0);
        let mut head = Box::new(RequestHead::new());
        head.fields.push(b"x-a", b"b");
        spares.keep_request(head);
        let head = spares.request();
        assert!(head.fields.is_empty() && head.capacity_bytes() > 0);
    }
}
