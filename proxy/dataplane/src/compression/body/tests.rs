//! What comes out of the stage, decoded by the decoders of the same formats.

use super::*;
use crate::compression::EncoderMemory;
use outrigger_config::model::CompressionAlgorithm::{self, Brotli, Gzip, Zstd};
use proptest::prelude::*;
use std::convert::Infallible;
use std::io::Read;
use std::task::Waker;

const ALGORITHMS: [CompressionAlgorithm; 9] = [
    Gzip(1),
    Gzip(4),
    Gzip(9),
    Brotli(0),
    Brotli(4),
    Brotli(9),
    Zstd(1),
    Zstd(3),
    Zstd(19),
];

/// A fault of the encoder fails the test.
#[derive(Debug)]
struct NeverFails;

impl From<EncodeError> for NeverFails {
    fn from(error: EncodeError) -> NeverFails {
        panic!("{error}")
    }
}

impl From<Infallible> for NeverFails {
    fn from(never: Infallible) -> NeverFails {
        match never {}
    }
}

/// All that can be decoded of these bytes, which may stop in the middle.
fn decoded(algorithm: CompressionAlgorithm, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut reader: Box<dyn Read + '_> = match algorithm {
        Gzip(_) => Box::new(flate2::read::GzDecoder::new(bytes)),
        Brotli(_) => Box::new(brotli::Decompressor::new(bytes, 4096)),
        Zstd(_) => return decoded_zstd(bytes),
    };
    let mut piece = [0; 4096];
    // An end in the middle is an error after the last byte that is known.
    while let Ok(read @ 1..) = reader.read(&mut piece) {
        out.extend_from_slice(&piece[..read]);
    }
    out
}

fn decoded_zstd(bytes: &[u8]) -> Vec<u8> {
    let mut context = zstd_safe::DCtx::create();
    let mut input = zstd_safe::InBuffer::around(bytes);
    let mut out = Vec::new();
    loop {
        out.reserve(4096);
        let at = out.len();
        {
            let mut output = zstd_safe::OutBuffer::around_pos(&mut out, at);
            context.decompress_stream(&mut output, &mut input).unwrap();
        }
        if input.pos() == bytes.len() && out.len() < out.capacity() {
            return out;
        }
    }
}

/// What `next` gives: data, or a pause.
type Pieces = Vec<Option<Vec<u8>>>;

struct Run {
    stage: CompressedBody,
    pieces: std::collections::VecDeque<Option<Vec<u8>>>,
    given: Vec<u8>,
    sent: Vec<u8>,
    trailers: Option<Box<Fields>>,
}

impl Run {
    fn new(algorithm: CompressionAlgorithm, length: Option<u64>, pieces: Pieces) -> Run {
        let encoder = Encoder::new(algorithm, length).unwrap();
        let permit = EncoderMemory::default().reserve(1).unwrap();
        Run {
            stage: CompressedBody::new(encoder, permit),
            pieces: pieces.into(),
            given: Vec::new(),
            sent: Vec::new(),
            trailers: None,
        }
    }

    /// Polls once with a fresh budget; true when the body has ended. `end`: what follows the last piece.
    fn poll(&mut self, end: fn() -> BodyFrame) -> Poll<bool> {
        let mut cx = Context::from_waker(Waker::noop());
        let mut budget = COMPRESSED_PER_POLL_BYTES;
        let (pieces, given) = (&mut self.pieces, &mut self.given);
        let polled = self.stage.poll_frame::<NeverFails>(
            |_| match pieces.pop_front() {
                Some(Some(piece)) => {
                    given.extend_from_slice(&piece);
                    Poll::Ready(Ok(BodyFrame::Data {
                        bytes: piece.into(),
                        end: false,
                    }))
                }
                Some(None) => Poll::Pending,
                None => Poll::Ready(Ok(end())),
            },
            &mut budget,
            &mut false,
            &mut cx,
        );
        polled.map(|frame| {
            let frame = frame.unwrap();
            let last = frame.is_last();
            match frame {
                BodyFrame::Data { bytes, .. } => self.sent.extend_from_slice(&bytes),
                BodyFrame::Trailers(trailers) => self.trailers = Some(trailers),
                BodyFrame::End => {}
            }
            last
        })
    }
}

fn trailers() -> BodyFrame {
    let mut fields = Fields::new();
    fields.push(b"x-sum", b"1");
    BodyFrame::Trailers(Box::new(fields))
}

/// Pieces of all sizes, repetitive and not, with pauses anywhere.
fn pieces() -> impl Strategy<Value = Pieces> {
    let repetitive = ("[a-e]{1,9}", 1usize..4000).prop_map(|(word, times)| word.repeat(times).into_bytes());
    let random = prop::collection::vec(any::<u8>(), 0..9000);
    let piece = prop_oneof![
        2 => random.prop_map(Some),
        2 => repetitive.prop_map(Some),
        1 => Just(None),
    ];
    prop::collection::vec(piece, 0..8)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_comes_out_decodes_to_what_went_in_at_every_pause_and_at_the_end(
        pieces in pieces(),
        algorithm in prop::sample::select(ALGORITHMS.as_slice()),
        known in any::<bool>(),
        with_trailers in any::<bool>(),
    ) {
        let whole: u64 = pieces.iter().flatten().map(|piece| piece.len() as u64).sum();
        let mut run = Run::new(algorithm, known.then_some(whole), pieces);
        let end = if with_trailers { trailers } else { || BodyFrame::End };
        loop {
            match run.poll(end) {
                Poll::Ready(true) => break,
                Poll::Ready(false) => {}
                Poll::Pending if run.stage.input.is_empty() => {
                    prop_assert!(decoded(algorithm, &run.sent) == run.given, "held back at a pause");
                }
                Poll::Pending => {}
            }
        }
        prop_assert_eq!(run.given.len() as u64, whole);
        prop_assert!(decoded(algorithm, &run.sent) == run.given);
        prop_assert_eq!(run.trailers.is_some(), with_trailers);
        prop_assert_eq!(run.stage.input_bytes(), whole);
        prop_assert_eq!(run.stage.output_bytes(), run.sent.len() as u64);
    }
}

#[test]
fn one_poll_compresses_no_more_than_its_share() {
    for algorithm in ALGORITHMS {
        // So compressible that no output interrupts.
        let mut run = Run::new(
            algorithm,
            None,
            vec![Some(vec![b'a'; 5 * COMPRESSED_PER_POLL_BYTES])],
        );
        assert_eq!(run.poll(|| BodyFrame::End), Poll::Pending, "{algorithm:?}");
        assert_eq!(run.stage.input.len(), 4 * COMPRESSED_PER_POLL_BYTES);
        while run.poll(|| BodyFrame::End) != Poll::Ready(true) {}
        assert_eq!(decoded(algorithm, &run.sent), run.given);
    }
}

#[test]
fn an_encoder_is_given_back_with_the_last_of_the_input() {
    let mut run = Run::new(Gzip(4), None, vec![Some(b"abc".to_vec())]);
    let memory = EncoderMemory::default();
    run.stage.encoder.as_mut().unwrap().1 = memory.reserve(1 << 20).unwrap();
    assert_eq!(run.poll(trailers), Poll::Ready(false));
    assert!(run.stage.encoder.is_none());
    assert!(memory.reserve(super::super::ENCODERS_BYTES_MAX).is_some());
    assert_eq!(run.poll(trailers), Poll::Ready(true));
}

#[test]
fn text_becomes_smaller() {
    let text = include_str!("../body.rs").repeat(4).into_bytes();
    for algorithm in ALGORITHMS {
        let mut run = Run::new(algorithm, Some(text.len() as u64), vec![Some(text.clone())]);
        while run.poll(|| BodyFrame::End) != Poll::Ready(true) {}
        assert!(
            run.sent.len() * 2 < text.len(),
            "{algorithm:?}: {}",
            run.sent.len()
        );
    }
}
