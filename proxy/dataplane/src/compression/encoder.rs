//! The three encoders behind one type: pieces in, pieces out, with a flush between.

use brotli::enc::StandardAlloc;
use brotli::enc::encode::{
    BrotliEncoderDestroyInstance, BrotliEncoderOperation as Operation, BrotliEncoderParameter as Parameter,
    BrotliEncoderStateStruct,
};
use flate2::{Compress, Compression, FlushCompress, Status};
use outrigger_config::model::CompressionAlgorithm;
use zstd_safe::{CCtx, CParameter, InBuffer, OutBuffer, ResetDirective};

/// Room that is made for output at a time.
const OUTPUT_BYTES: usize = 8 * 1024;
/// Deflate's largest window, 32 KiB.
const GZIP_WINDOW_BITS: u8 = 15;
/// Brotli's window of 64 KiB: larger ones gained little on pages and documents, and each bit doubles what is held; the
/// format's 16 MiB would be held by both ends.
const BROTLI_WINDOW_BITS_MAX: u32 = 16;
/// The least that Brotli's format has.
const BROTLI_WINDOW_BITS_MIN: u32 = 10;
/// Brotli compresses when it has this much, and at a flush: its least, so that one call never takes long.
const BROTLI_BLOCK_BITS: u32 = 16;
/// Zstandard's window of 128 KiB, one block: its own default for streams, 2 MiB, would be held by both ends. RFC 9659
/// allows 8 MiB.
const ZSTD_WINDOW_BITS: u32 = 17;

/// An encoder failed: out of memory, or its output is none. What it has put out cannot be continued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} failed to compress")]
pub struct EncodeError(&'static str);

/// One response's encoder.
pub struct Encoder(Kind);

/// Boxed where the state is large: a response that is not compressed must not make room for it.
enum Kind {
    Gzip(Compress),
    Brotli(Box<Brotli>),
    Zstd(CCtx<'static>),
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Encoder").field(&self.coding()).finish()
    }
}

impl Encoder {
    /// An encoder for a body of `length` bytes, if that is known: a small one needs less memory.
    pub fn new(algorithm: CompressionAlgorithm, length: Option<u64>) -> Result<Encoder, EncodeError> {
        Ok(Encoder(match algorithm {
            CompressionAlgorithm::Gzip(level) => {
                Kind::Gzip(Compress::new_gzip(Compression::new(level), GZIP_WINDOW_BITS))
            }
            CompressionAlgorithm::Brotli(quality) => Kind::Brotli(Box::new(Brotli::new(quality, length))),
            CompressionAlgorithm::Zstd(level) => Kind::Zstd(zstd(level, length)?),
        }))
    }

    /// What an encoder counts as, in bytes: as measured with a mebibyte of text and rounded up; above quality 4, where it was
    /// not measured, Brotli by its tables.
    pub fn memory_bytes(algorithm: CompressionAlgorithm) -> usize {
        const KIB: usize = 1024;
        match algorithm {
            CompressionAlgorithm::Gzip(_) => 384 * KIB,
            CompressionAlgorithm::Brotli(0 | 1) => 256 * KIB,
            CompressionAlgorithm::Brotli(2..=4) => 2048 * KIB,
            CompressionAlgorithm::Brotli(5..=9) => 4096 * KIB,
            CompressionAlgorithm::Brotli(_) => 8192 * KIB,
            CompressionAlgorithm::Zstd(..=3) => 2048 * KIB,
            CompressionAlgorithm::Zstd(4..=12) => 3072 * KIB,
            CompressionAlgorithm::Zstd(_) => 4096 * KIB,
        }
    }

    /// The name of its content coding.
    pub fn coding(&self) -> &'static str {
        match self.0 {
            Kind::Gzip(_) => "gzip",
            Kind::Brotli(_) => "br",
            Kind::Zstd(_) => "zstd",
        }
    }

    /// Compresses a piece of the body. What comes out, which may be nothing yet, is appended.
    pub fn push(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        match &mut self.0 {
            Kind::Gzip(gzip) => run_gzip(gzip, input, FlushCompress::None, out),
            Kind::Brotli(brotli) => brotli.run(input, Operation::BROTLI_OPERATION_PROCESS, out),
            Kind::Zstd(zstd) => {
                let mut input = InBuffer::around(input);
                while input.pos() < input.src.len() {
                    out.reserve(OUTPUT_BYTES);
                    let at = out.len();
                    zstd.compress_stream(&mut OutBuffer::around_pos(out, at), &mut input)
                        .map_err(|_| EncodeError("zstd"))?;
                }
                Ok(())
            }
        }
    }

    /// Puts out all that was pushed, so that the other end can decode up to here.
    pub fn flush(&mut self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        match &mut self.0 {
            Kind::Gzip(gzip) => run_gzip(gzip, &[], FlushCompress::Sync, out),
            Kind::Brotli(brotli) => brotli.run(&[], Operation::BROTLI_OPERATION_FLUSH, out),
            Kind::Zstd(zstd) => end_zstd(out, |out| zstd.flush_stream(out)),
        }
    }

    /// Ends the body; nothing may be pushed after it.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        match &mut self.0 {
            Kind::Gzip(gzip) => run_gzip(gzip, &[], FlushCompress::Finish, out),
            Kind::Brotli(brotli) => brotli.run(&[], Operation::BROTLI_OPERATION_FINISH, out),
            Kind::Zstd(zstd) => end_zstd(out, |out| zstd.end_stream(out)),
        }
    }
}

fn run_gzip(
    gzip: &mut Compress,
    mut input: &[u8],
    flush: FlushCompress,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    loop {
        out.reserve(OUTPUT_BYTES);
        let before = gzip.total_in();
        let status = gzip
            .compress_vec(input, out, flush)
            .map_err(|_| EncodeError("gzip"))?;
        input = &input[(gzip.total_in() - before) as usize..];
        let has_room = out.len() < out.capacity();
        // Room that is left says that nothing more wants out.
        let done = match flush {
            FlushCompress::Finish => status == Status::StreamEnd,
            _ => input.is_empty() && has_room,
        };
        if done {
            return Ok(());
        }
        if has_room && status == Status::BufError {
            return Err(EncodeError("gzip"));
        }
    }
}

fn zstd(level: u32, length: Option<u64>) -> Result<CCtx<'static>, EncodeError> {
    let fault = |_| EncodeError("zstd");
    let mut context = CCtx::try_create().ok_or(EncodeError("zstd"))?;
    context
        .reset(ResetDirective::SessionAndParameters)
        .map_err(fault)?;
    let level = i32::try_from(level).map_err(|_| EncodeError("zstd"))?;
    for parameter in [
        CParameter::CompressionLevel(level),
        CParameter::WindowLog(ZSTD_WINDOW_BITS),
        // Else tables of up to 80 MiB are made for a body of unknown length, however small the window.
        CParameter::SrcSizeHint(1 << ZSTD_WINDOW_BITS),
    ] {
        context.set_parameter(parameter).map_err(fault)?;
    }
    context.set_pledged_src_size(length).map_err(fault)?;
    Ok(context)
}

fn end_zstd(
    out: &mut Vec<u8>,
    mut step: impl FnMut(&mut OutBuffer<'_, Vec<u8>>) -> zstd_safe::SafeResult,
) -> Result<(), EncodeError> {
    loop {
        out.reserve(OUTPUT_BYTES);
        let at = out.len();
        let left = step(&mut OutBuffer::around_pos(out, at)).map_err(|_| EncodeError("zstd"))?;
        if left == 0 {
            return Ok(());
        }
    }
}

/// Brotli's state, whose memory is given back as its crate wants it.
struct Brotli(BrotliEncoderStateStruct<StandardAlloc>);

impl Brotli {
    fn new(quality: u32, length: Option<u64>) -> Brotli {
        let mut state = BrotliEncoderStateStruct::new(StandardAlloc::default());
        let window = length.map_or(BROTLI_WINDOW_BITS_MAX, |length| {
            (u64::BITS - length.leading_zeros()).clamp(BROTLI_WINDOW_BITS_MIN, BROTLI_WINDOW_BITS_MAX)
        });
        for (parameter, value) in [
            (Parameter::BROTLI_PARAM_QUALITY, quality),
            (Parameter::BROTLI_PARAM_LGWIN, window),
            (Parameter::BROTLI_PARAM_LGBLOCK, BROTLI_BLOCK_BITS),
        ] {
            state.set_parameter(parameter, value);
        }
        Brotli(state)
    }

    fn run(&mut self, input: &[u8], operation: Operation, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let (mut input_left, mut input_at) = (input.len(), 0);
        loop {
            // Nothing is copied to the output here: it is taken below, from where it lies.
            let ran = self.0.compress_stream(
                operation,
                &mut input_left,
                input,
                &mut input_at,
                &mut 0,
                &mut [],
                &mut 0,
                &mut None,
                &mut |_, _, _, _| (),
            );
            if !ran {
                return Err(EncodeError("br"));
            }
            while self.0.has_more_output() {
                // Asked for no length in particular, it says how much of what it lends is output.
                let mut length = 0;
                let lent = self.0.take_output(&mut length);
                out.extend_from_slice(&lent[..length]);
            }
            let done = match operation {
                Operation::BROTLI_OPERATION_FINISH => self.0.is_finished(),
                _ => input_left == 0,
            };
            if done {
                return Ok(());
            }
        }
    }
}

impl Drop for Brotli {
    fn drop(&mut self) {
        BrotliEncoderDestroyInstance(&mut self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zstd_holds_no_more_than_is_said() {
        let text: Vec<u8> = (0..40_000u32)
            .flat_map(|number| (number * 7919).to_string().into_bytes())
            .collect();
        for level in 1..=19 {
            for length in [None, Some(text.len() as u64)] {
                let mut encoder = Encoder::new(CompressionAlgorithm::Zstd(level), length).unwrap();
                encoder.push(&text, &mut Vec::new()).unwrap();
                let Kind::Zstd(context) = &encoder.0 else {
                    unreachable!()
                };
                let said = Encoder::memory_bytes(CompressionAlgorithm::Zstd(level));
                assert!(
                    context.sizeof() <= said,
                    "{level} {length:?}: {}",
                    context.sizeof()
                );
            }
        }
    }
}
