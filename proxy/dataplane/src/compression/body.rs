//! A response's body on its way through an encoder.

use super::{EncodeError, Encoder, EncoderPermit};
use crate::body::BodyFrame;
use bytes::Bytes;
use outrigger_http1::Fields;
use std::task::{Context, Poll};

/// Bytes of a body that one poll compresses at most, so that one response does not hold its worker up. Then other
/// connections of the worker have their turn.
pub(crate) const COMPRESSED_PER_POLL_BYTES: usize = 64 * 1024;

/// Bytes that an encoder is given at a time.
const STEP_BYTES: usize = 16 * 1024;

/// Output is sent when it has come to this, when the upstream pauses, and at the end.
const OUTPUT_BYTES: usize = 8 * 1024;

/// The compressing stage of a body's stream: frames in, frames out. Holds one frame of input, the encoder, and at most
/// what one step of it puts out; asks for no more input while a frame of output waits to be taken.
#[derive(Debug)]
pub(crate) struct CompressedBody {
    /// None when the body has been compressed to its end.
    encoder: Option<(Encoder, EncoderPermit)>,
    /// Came and waits to be compressed.
    input: Bytes,
    /// No data follows `input`.
    input_ended: bool,
    trailers: Option<Box<Fields>>,
    output: Vec<u8>,
    /// The encoder may hold back what it was given.
    holds_back: bool,
    input_bytes: u64,
    output_bytes: u64,
}

impl CompressedBody {
    /// A stage that compresses with `encoder`.
    pub(crate) fn new(encoder: Encoder, permit: EncoderPermit) -> CompressedBody {
        CompressedBody {
            encoder: Some((encoder, permit)),
            input: Bytes::new(),
            input_ended: false,
            trailers: None,
            output: Vec::new(),
            holds_back: false,
            input_bytes: 0,
            output_bytes: 0,
        }
    }

    /// Bytes of body that came.
    pub(crate) fn input_bytes(&self) -> u64 {
        self.input_bytes
    }

    /// Bytes of body that became of them.
    pub(crate) fn output_bytes(&self) -> u64 {
        self.output_bytes
    }

    /// The next frame, made of those that `next` gives. Whenever `next` is pending, everything that came before has been
    /// put out, so that a body that pauses is not held back.
    ///
    /// `budget` is what this poll may still compress of [`COMPRESSED_PER_POLL_BYTES`]; when it is used up, the task is
    /// woken for another. `moved` is set when anything was compressed.
    pub(crate) fn poll_frame<E: From<EncodeError>>(
        &mut self,
        mut next: impl FnMut(&mut Context<'_>) -> Poll<Result<BodyFrame, E>>,
        budget: &mut usize,
        moved: &mut bool,
        cx: &mut Context<'_>,
    ) -> Poll<Result<BodyFrame, E>> {
        loop {
            let Some((encoder, _)) = &mut self.encoder else {
                return Poll::Ready(Ok(self.last_frame()));
            };
            if self.output.len() >= OUTPUT_BYTES {
                return Poll::Ready(Ok(self.data_frame()));
            }
            if !self.input.is_empty() {
                if *budget == 0 {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                let step = self.input.len().min(STEP_BYTES).min(*budget);
                *budget -= step;
                *moved = true;
                self.holds_back = true;
                encoder.push(&self.input.split_to(step), &mut self.output)?;
                continue;
            }
            if self.input_ended {
                encoder.finish(&mut self.output)?;
                self.encoder = None;
                continue;
            }
            match next(cx) {
                Poll::Ready(frame) => self.take_frame(frame?),
                Poll::Pending if self.holds_back => {
                    self.holds_back = false;
                    encoder.flush(&mut self.output)?;
                    if !self.output.is_empty() {
                        return Poll::Ready(Ok(self.data_frame()));
                    }
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn take_frame(&mut self, frame: BodyFrame) {
        self.input_ended = frame.is_last();
        match frame {
            BodyFrame::Data { bytes, .. } => {
                self.input_bytes += bytes.len() as u64;
                self.input = bytes;
            }
            BodyFrame::Trailers(trailers) => self.trailers = Some(trailers),
            BodyFrame::End => {}
        }
    }

    fn data_frame(&mut self) -> BodyFrame {
        self.output_bytes += self.output.len() as u64;
        BodyFrame::Data {
            bytes: std::mem::take(&mut self.output).into(),
            end: self.encoder.is_none() && self.trailers.is_none(),
        }
    }

    /// What is left when the encoder is done.
    fn last_frame(&mut self) -> BodyFrame {
        if !self.output.is_empty() {
            return self.data_frame();
        }
        match self.trailers.take() {
            Some(trailers) => BodyFrame::Trailers(trailers),
            None => BodyFrame::End,
        }
    }
}

#[cfg(test)]
mod tests;
