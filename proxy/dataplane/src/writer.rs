//! The outgoing side of an HTTP/1 connection: bytes queued, then written with as few system calls as can be.

use crate::io::Stream;
use crate::spares::Spares;
use bytes::{Buf, Bytes};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::AsyncWrite;

/// Data up to this length is copied beside the head; longer data is written from where it is.
const COPY_BYTES_MAX: usize = 4 * 1024;

/// Bytes on their way out: those before a large piece of data, the piece, those after it. At most one large piece is
/// held, so memory is bounded by the reader of the other side.
#[derive(Default)]
pub(crate) struct Writer {
    before: Vec<u8>,
    /// Bytes of `before` that are written.
    before_written: usize,
    data: Bytes,
    after: Vec<u8>,
    /// Bytes written since [`Writer::start_counting`]: what decides whether a request can have run.
    count: u64,
}

impl Writer {
    /// The buffer that framing and heads are appended to; in order with the data queued so far.
    pub(crate) fn text(&mut self) -> &mut Vec<u8> {
        if self.data.is_empty() && self.after.is_empty() {
            &mut self.before
        } else {
            &mut self.after
        }
    }

    /// Takes a spare buffer if it has none, so that a head is written without growing one.
    pub(crate) fn provide(&mut self, spares: &Spares) {
        if self.before.capacity() == 0 {
            self.before = spares.buffer();
        }
    }

    /// Queues body data. The caller asked [`Writer::has_room`] before.
    pub(crate) fn push_data(&mut self, data: Bytes) {
        if data.len() <= COPY_BYTES_MAX || !self.data.is_empty() || !self.after.is_empty() {
            self.text().extend_from_slice(&data);
        } else {
            self.data = data;
        }
    }

    /// True while less than `limit` bytes wait and no large piece does.
    pub(crate) fn has_room(&self, limit: usize) -> bool {
        self.data.is_empty() && self.before.len() - self.before_written + self.after.len() < limit
    }

    /// Bytes that wait.
    pub(crate) fn unwritten_bytes(&self) -> usize {
        self.before.len() - self.before_written + self.data.len() + self.after.len()
    }

    /// True if nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.before_written == self.before.len() && self.data.is_empty() && self.after.is_empty()
    }

    /// Counts written bytes from here.
    pub(crate) fn start_counting(&mut self) {
        self.count = 0;
    }

    /// Bytes written since [`Writer::start_counting`].
    pub(crate) fn bytes_written(&self) -> u64 {
        self.count
    }

    /// Writes all that waits. Cancel safe: what is written is remembered.
    pub(crate) fn poll_flush(&mut self, io: &mut Stream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.is_empty() {
            let written = if self.data.is_empty() && self.after.is_empty() {
                ready!(Pin::new(&mut *io).poll_write(cx, &self.before[self.before_written..]))?
            } else {
                let slices = [
                    IoSlice::new(&self.before[self.before_written..]),
                    IoSlice::new(&self.data),
                    IoSlice::new(&self.after),
                ];
                // An empty first slice would make a write of nothing on streams without vectored writes.
                let first = slices.iter().position(|slice| !slice.is_empty()).unwrap_or(0);
                ready!(Pin::new(&mut *io).poll_write_vectored(cx, &slices[first..]))?
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(written);
        }
        self.before.clear();
        self.before_written = 0;
        Pin::new(io).poll_flush(cx)
    }

    fn advance(&mut self, written: usize) {
        self.count += written as u64;
        if self.data.is_empty() && self.after.is_empty() {
            self.before_written += written;
            return;
        }
        let from_before = written.min(self.before.len() - self.before_written);
        self.before_written += from_before;
        let from_data = (written - from_before).min(self.data.len());
        self.data.advance(from_data);
        let from_after = written - from_before - from_data;
        if self.data.is_empty() {
            self.data = Bytes::new();
            if !self.after.is_empty() {
                self.before.clear();
                self.before.extend_from_slice(&self.after[from_after..]);
                self.before_written = 0;
                self.after.clear();
            }
        }
    }

    /// Gives its buffers back; for connections that go idle.
    pub(crate) fn release(&mut self, spares: &Spares) {
        if self.is_empty() {
            spares.keep_buffer(std::mem::take(&mut self.before));
            self.before_written = 0;
            self.after = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_order_of_text_and_data() {
        let mut writer = Writer::default();
        writer.text().extend_from_slice(b"head ");
        writer.push_data(Bytes::from(vec![b'a'; COPY_BYTES_MAX + 1]));
        writer.text().extend_from_slice(b" tail");
        assert!(!writer.has_room(1 << 20));
        writer.advance(3);
        writer.advance(2 + COPY_BYTES_MAX);
        assert!(!writer.is_empty());
        writer.advance(1);
        assert_eq!(&writer.before[writer.before_written..], b" tail");
        writer.advance(5);
        assert!(writer.is_empty());
        assert_eq!(writer.bytes_written(), (5 + COPY_BYTES_MAX + 1 + 5) as u64);
    }

    #[test]
    fn small_data_is_copied_beside_the_head() {
        let mut writer = Writer::default();
        writer.text().extend_from_slice(b"head ");
        writer.push_data(Bytes::from_static(b"body"));
        assert_eq!(writer.before, b"head body");
        assert!(writer.has_room(10));
        assert!(!writer.has_room(9));
    }
}
