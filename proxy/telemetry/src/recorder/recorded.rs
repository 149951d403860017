//! A record as it is read.

use super::note::{Kind, NO_STATUS, NOWHERE, Protocol, VIA_UPSTREAM, bits, is_error, is_grpc_error};
use super::words::Unpacker;
use crate::flags::ResponseFlags;
use crate::story::EventKind;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A request or a connection that is over. Indexes are those of the configuration of `generation`. Texts are as they came,
/// cut at a bound, with what is no UTF-8 replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The worker that served it.
    pub worker: usize,
    /// Counts the worker's records.
    pub number: u64,
    /// What it is of.
    pub kind: Kind,
    /// When it began.
    pub started: SystemTime,
    /// How long it took.
    pub duration: Duration,
    /// The status that was sent downstream; 0 if none was.
    pub status: u16,
    /// The flags.
    pub flags: ResponseFlags,
    /// Attempts that were made.
    pub attempts: u32,
    /// What was spoken.
    pub protocol: Protocol,
    /// The configuration.
    pub generation: u64,
    /// The filter chain.
    pub chain: u32,
    /// The virtual host, in the chain's route configuration.
    pub virtual_host: Option<u32>,
    /// The route, in its virtual host.
    pub route: Option<u32>,
    /// The cluster.
    pub cluster: Option<u32>,
    /// The downstream connection.
    pub connection: u64,
    /// Bytes of bodies that came.
    pub bytes_received: u64,
    /// Bytes of bodies that were sent.
    pub bytes_sent: u64,
    /// Who was connected.
    pub peer: Option<SocketAddr>,
    /// The request had come whole.
    pub request_ended: bool,
    /// The trace that it belongs to.
    pub trace_id: Option<u128>,
    /// The method.
    pub method: String,
    /// The path without the query, before any rewrite.
    pub path: String,
    /// The path was longer.
    pub path_cut: bool,
    /// The authority, before any rewrite.
    pub authority: String,
    /// The request's id.
    pub request_id: String,
    /// Why this status, or why the connection ended.
    pub details: String,
    /// The peer's verified id.
    pub peer_id: String,
    /// The attempts that are told of, in the order of their ends; the last one may have ended with the request.
    pub told_attempts: Vec<RecordedAttempt>,
    /// What happened beside attempts, in order.
    pub events: Vec<RecordedEvent>,
    /// Attempts and events for which there was no place.
    pub left_out: u32,
    /// The status of a call of gRPC.
    pub grpc_status: Option<u16>,
}

/// An attempt that is told of. Times are counted from the start of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedAttempt {
    /// Counted from 1.
    pub number: u32,
    /// The endpoint.
    pub endpoint: Option<SocketAddr>,
    /// When its endpoint was picked.
    pub started: Duration,
    /// When the head of its answer came.
    pub answered: Option<Duration>,
    /// When it was over.
    pub ended: Duration,
    /// What came of it.
    pub outcome: RecordedOutcome,
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordedOutcome {
    /// Its answer has this status.
    Answered(u16),
    /// It failed; why, in snake case.
    Failed(String),
    /// It was given up.
    Cancelled,
}

/// An event that is told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedEvent {
    /// Since the start of the request.
    pub at: Duration,
    /// What.
    pub kind: EventKind,
    /// The policy, limit or cluster that is concerned; empty if it has no name.
    pub subject: String,
    /// Why, or how, in snake case.
    pub detail: String,
    /// A number that belongs to it, by its kind.
    pub value: u64,
}

impl Recorded {
    /// It ended in an error, or was refused: a status from 500 on or none, any flag, a status from 400 on that is no upstream's,
    /// a status of gRPC that is the server's fault, one but OK that is no upstream's, or it was cut off.
    pub fn is_error(&self) -> bool {
        is_error(self.kind, self.status, self.flags, &self.details)
            || is_grpc_error(self.grpc_status, &self.details)
            || self.events.iter().any(|event| event.kind.is_cut())
    }

    /// Takes a record apart; none if it is none.
    pub(super) fn unpack(worker: usize, number: u64, words: &[u64]) -> Option<Recorded> {
        let mut words = Unpacker::new(words);
        let [
            started,
            duration,
            outcome,
            flags,
            generation,
            place,
            cluster,
            connection,
            bytes_received,
            bytes_sent,
            lengths,
        ] = words.take()?;
        let set = outcome >> 16;
        let is = |bit: u64| set & bit != 0;
        let peer = words.take_address()?;
        let last_attempt = match is(bits::LAST_ATTEMPT) {
            true => Some(attempt(&mut words)?),
            false => None,
        };
        let trace_id = match is(bits::TRACE) {
            true => {
                let [high, low] = words.take()?;
                Some(u128::from(high) << 64 | u128::from(low))
            }
            false => None,
        };
        let mut lengths = lengths.to_le_bytes().into_iter().map(usize::from);
        let mut text = || words.take_string(lengths.next()?);
        let (method, path, authority, request_id) = (text()?, text()?, text()?, text()?);
        let (details, peer_id) = (text()?, text()?);
        let mut recorded = Recorded {
            worker,
            number,
            kind: match (outcome >> 24) as u8 & 0xf {
                0 => Kind::Request,
                _ => Kind::Connection,
            },
            started: UNIX_EPOCH + Duration::from_micros(started),
            duration: Duration::from_micros(duration),
            status: outcome as u16,
            flags: ResponseFlags::from_bits(flags as u32),
            attempts: (outcome >> 32) as u32,
            protocol: Protocol::of((outcome >> 28) as u8 & 0xf),
            generation,
            chain: (flags >> 32) as u32,
            virtual_host: index(place as u32),
            route: index((place >> 32) as u32),
            cluster: index(cluster as u32),
            connection,
            bytes_received,
            bytes_sent,
            peer,
            request_ended: is(bits::REQUEST_ENDED),
            trace_id,
            method,
            path,
            path_cut: is(bits::PATH_CUT),
            authority,
            request_id,
            details: match is(bits::VIA_UPSTREAM) {
                true => VIA_UPSTREAM.to_owned(),
                false => details,
            },
            peer_id,
            told_attempts: Vec::new(),
            events: Vec::new(),
            left_out: 0,
            grpc_status: None,
        };
        if is(bits::STORY) {
            recorded.unpack_story(&mut words);
        }
        recorded.told_attempts.extend(last_attempt);
        Some(recorded)
    }

    /// What has no place in the record is counted as left out.
    fn unpack_story(&mut self, words: &mut Unpacker<'_>) {
        let Some([counts]) = words.take() else {
            self.left_out += 1;
            return;
        };
        let (attempts, events) = (counts as u8, (counts >> 8) as u8);
        self.grpc_status = Some((counts >> 16) as u16).filter(|status| *status != NO_STATUS);
        self.left_out = (counts >> 32) as u32;
        for _ in 0..attempts {
            match attempt(words) {
                Some(attempt) => self.told_attempts.push(attempt),
                None => self.left_out += 1,
            }
        }
        for _ in 0..events {
            match event(words) {
                Some(event) => self.events.push(event),
                None => self.left_out += 1,
            }
        }
    }
}

fn attempt(words: &mut Unpacker<'_>) -> Option<RecordedAttempt> {
    let [head, started, answered, ended] = words.take()?;
    let endpoint = words.take_address()?;
    let outcome = match (head >> 32) as u8 {
        0 => RecordedOutcome::Answered((head >> 40) as u16),
        1 => RecordedOutcome::Failed(words.take_text()?),
        _ => RecordedOutcome::Cancelled,
    };
    Some(RecordedAttempt {
        number: head as u32,
        endpoint,
        started: Duration::from_micros(started),
        answered: (answered != u64::MAX).then(|| Duration::from_micros(answered)),
        ended: Duration::from_micros(ended),
        outcome,
    })
}

fn event(words: &mut Unpacker<'_>) -> Option<RecordedEvent> {
    let [at, kind, value] = words.take()?;
    let (subject, detail) = (words.take_text()?, words.take_text()?);
    Some(RecordedEvent {
        at: Duration::from_micros(at),
        kind: *EventKind::ALL.get(usize::try_from(kind).ok()?)?,
        subject,
        detail,
        value,
    })
}

fn index(index: u32) -> Option<u32> {
    (index != NOWHERE).then_some(index)
}
