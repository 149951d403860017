//! Compression of response bodies as they pass through: the encoders, and the stage of a body's stream that uses them.
//!
//! Whether a response is compressed, and how its head changes, is decided in `pipeline`; what a client accepts is read by
//! `outrigger_traffic::content_coding`. Nothing here is ever decompressed.

mod body;
mod encoder;

pub(crate) use body::{COMPRESSED_PER_POLL_BYTES, CompressedBody};
pub use encoder::{EncodeError, Encoder};

use std::cell::Cell;
use std::rc::Rc;

/// Bytes that the encoders of one worker may hold together; a response for which there is no room is sent as it is. It
/// is room for 64 of the largest at their usual levels: an encoder lives only while its response's input does.
const ENCODERS_BYTES_MAX: usize = 128 * 1024 * 1024;

/// What the encoders of a worker hold together.
#[derive(Debug, Clone, Default)]
pub(crate) struct EncoderMemory(Rc<Cell<usize>>);

impl EncoderMemory {
    /// Room for an encoder that holds `bytes`; none: there are too many.
    pub(crate) fn reserve(&self, bytes: usize) -> Option<EncoderPermit> {
        let held = self.0.get() + bytes;
        (held <= ENCODERS_BYTES_MAX).then(|| {
            self.0.set(held);
            EncoderPermit {
                memory: self.clone(),
                bytes,
            }
        })
    }
}

/// Room for one encoder; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct EncoderPermit {
    memory: EncoderMemory,
    bytes: usize,
}

impl Drop for EncoderPermit {
    fn drop(&mut self) {
        self.memory.0.set(self.memory.0.get() - self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoders_wait_for_no_room_and_give_theirs_back() {
        let memory = EncoderMemory::default();
        let first = memory.reserve(ENCODERS_BYTES_MAX - 1).unwrap();
        assert!(memory.reserve(2).is_none());
        let second = memory.reserve(1).unwrap();
        drop(first);
        assert!(memory.reserve(ENCODERS_BYTES_MAX).is_none());
        drop(second);
        assert!(memory.reserve(ENCODERS_BYTES_MAX).is_some());
    }
}
