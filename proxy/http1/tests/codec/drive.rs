//! Runs a decoder over input cut into pieces and writes down what it said, data coalesced.

use outrigger_http1::{
    Event, Fields, HeadInfo, Limits, Method, RequestDecoder, RequestError, RequestHead, ResponseDecoder,
    ResponseError, ResponseHead,
};

/// What a decoder said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen<Head, Error> {
    Head(Box<Head>, HeadInfo),
    Informational(Box<Head>),
    Data(Vec<u8>),
    Trailers(Fields),
    End,
    Error(Error),
}

/// A request's head and all that its fields do not say.
pub(crate) type SeenRequest = Seen<RequestHead, RequestError>;
pub(crate) type SeenResponse = Seen<ResponseHead, ResponseError>;

/// The result of a run, and how many bytes were consumed: 0 after an error, when that means nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run<S> {
    pub(crate) seen: Vec<S>,
    pub(crate) consumed: usize,
}

/// Limits that take all versions.
pub(crate) fn limits() -> Limits {
    Limits {
        accept_http_10: true,
        ..Limits::default()
    }
}

/// Feeds requests; `cuts` are the ends of the pieces, ascending, and the input's end is added.
pub(crate) fn requests(input: &[u8], cuts: &[usize], limits: &Limits) -> Run<SeenRequest> {
    let (mut decoder, mut head) = (RequestDecoder::new(limits.clone()), RequestHead::new());
    let mut run = Run {
        seen: Vec::new(),
        consumed: 0,
    };
    for end in cuts.iter().copied().chain([input.len()]) {
        loop {
            let piece = &input[run.consumed..end];
            let decoded = match decoder.decode(piece, &mut head) {
                Ok(decoded) => decoded,
                Err(error) => {
                    assert_eq!(decoder.decode(piece, &mut head), Err(error), "errors stay");
                    run.seen.push(Seen::Error(error));
                    run.consumed = 0;
                    return run;
                }
            };
            assert!(decoded.consumed <= piece.len());
            let trailers = decoder.trailers();
            let seen = match decoded.event {
                Event::NeedMore => None,
                Event::Head(info) => Some(Seen::Head(Box::new(head.clone()), info)),
                Event::Informational => panic!("requests have no interim heads"),
                event => Some(rest(event, piece, trailers)),
            };
            run.consumed += decoded.consumed;
            match seen {
                Some(seen) => push(&mut run.seen, seen),
                None => break,
            }
        }
    }
    run
}

/// Feeds answers, each to a request of the same method; the decoder is told of the next one at each end.
pub(crate) fn responses(input: &[u8], cuts: &[usize], method: &Method, limits: &Limits) -> Run<SeenResponse> {
    let (mut decoder, mut head) = (ResponseDecoder::new(limits.clone()), ResponseHead::new());
    let mut run = Run {
        seen: Vec::new(),
        consumed: 0,
    };
    decoder.begin(method);
    for end in cuts.iter().copied().chain([input.len()]) {
        loop {
            let piece = &input[run.consumed..end];
            let decoded = match decoder.decode(piece, &mut head) {
                Ok(decoded) => decoded,
                Err(error) => {
                    assert_eq!(decoder.decode(piece, &mut head), Err(error), "errors stay");
                    run.seen.push(Seen::Error(error));
                    run.consumed = 0;
                    return run;
                }
            };
            assert!(decoded.consumed <= piece.len());
            let seen = match decoded.event {
                Event::NeedMore => None,
                Event::Head(info) => Some(Seen::Head(Box::new(head.clone()), info)),
                Event::Informational => Some(Seen::Informational(Box::new(head.clone()))),
                event => Some(rest(event, piece, decoder.trailers())),
            };
            run.consumed += decoded.consumed;
            let Some(seen) = seen else { break };
            if seen == Seen::End {
                decoder.begin(method);
            }
            push(&mut run.seen, seen);
        }
    }
    let may_end = decoder.is_idle();
    if let Err(error) = decoder.eof() {
        assert!(!may_end);
        run.seen.push(Seen::Error(error));
    }
    run
}

/// The ends of pieces of one byte each.
pub(crate) fn every_byte(input: &[u8]) -> Vec<usize> {
    (1..input.len()).collect()
}

fn rest<H, E>(event: Event, piece: &[u8], trailers: &Fields) -> Seen<H, E> {
    match event {
        Event::Data(range) => {
            assert!(!range.is_empty(), "data is never empty");
            Seen::Data(piece[range].to_vec())
        }
        Event::Trailers => Seen::Trailers(trailers.clone()),
        Event::End => Seen::End,
        other => unreachable!("{other:?} is handled before"),
    }
}

fn push<H, E>(list: &mut Vec<Seen<H, E>>, seen: Seen<H, E>) {
    match (list.last_mut(), seen) {
        (Some(Seen::Data(all)), Seen::Data(more)) => all.extend_from_slice(&more),
        (_, seen) => list.push(seen),
    }
}
