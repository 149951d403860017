//! What is told to the recorder, and how it becomes words.

use super::ring::Word;
use super::words::Packer;
use crate::flags::ResponseFlags;
use crate::grpc_status;
use crate::story::{AttemptOutcome, AttemptStory, Story};
use std::net::SocketAddr;
use std::time::Duration;

/// Bytes of a method that are kept: that of the longest registered one is 18 (`UPDATEREDIRECTREF`, RFC 4437).
pub const METHOD_BYTES_MAX: usize = 18;
/// Bytes of a path that are kept.
pub(super) const PATH_BYTES_MAX: usize = 96;
/// Bytes of an authority that are kept.
pub const AUTHORITY_BYTES_MAX: usize = 64;
/// Bytes of a request's id that are kept: ours have 36.
pub(super) const REQUEST_ID_BYTES_MAX: usize = 64;
/// Bytes of details that are kept: the name of a policy may be among them.
pub(super) const DETAILS_BYTES_MAX: usize = 160;
/// Bytes of a peer's id that are kept.
pub const PEER_BYTES_MAX: usize = 128;
/// Bytes of what an attempt or an event names that are kept.
pub(super) const NAME_BYTES_MAX: usize = 96;

/// The details of an answer that is an upstream's: not kept for each.
pub(super) const VIA_UPSTREAM: &str = "via_upstream";

/// What stands for an index that is not known.
pub(super) const NOWHERE: u32 = u32::MAX;

/// What stands for a status of gRPC that there is not.
pub(super) const NO_STATUS: u16 = u16::MAX;

/// What a record is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A request.
    Request = 0,
    /// A connection whose bytes were passed on, or were to be.
    Connection = 1,
}

/// What was spoken downstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Protocol {
    /// Bytes, whatever they say.
    Bytes = 0,
    /// HTTP/1.0.
    Http10 = 1,
    /// HTTP/1.1.
    Http11 = 2,
    /// HTTP/2.
    Http2 = 3,
}

impl Protocol {
    /// As it is written; empty for bytes.
    pub fn as_str(self) -> &'static str {
        match self {
            Protocol::Bytes => "",
            Protocol::Http10 => "HTTP/1.0",
            Protocol::Http11 => "HTTP/1.1",
            Protocol::Http2 => "HTTP/2",
        }
    }

    pub(super) fn of(number: u8) -> Protocol {
        match number {
            1 => Protocol::Http10,
            2 => Protocol::Http11,
            3 => Protocol::Http2,
            _ => Protocol::Bytes,
        }
    }
}

/// What is told of a request or a connection that is over. Indexes are those of the configuration of `generation`; none
/// where nothing was decided.
#[derive(Debug, Clone, Copy)]
pub struct Note<'a> {
    /// What it is of.
    pub kind: Kind,
    /// When it ended, as the worker's clock tells.
    pub ended: std::time::Instant,
    /// How long it took.
    pub duration: Duration,
    /// The status that was sent downstream; 0 if none was, and for connections.
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
    /// The attempt that is not in the story: the only one of most requests.
    pub last_attempt: Option<&'a AttemptStory>,
    /// Who is connected, or who the proxies in front say that is.
    pub peer: SocketAddr,
    /// The request had come whole.
    pub request_ended: bool,
    /// The trace that it belongs to.
    pub trace_id: Option<u128>,
    /// The method.
    pub method: &'a str,
    /// The path without the query, before any rewrite.
    pub path: &'a str,
    /// The authority, before any rewrite; of a connection the name that its TLS asks for.
    pub authority: &'a str,
    /// The request's id.
    pub request_id: &'a [u8],
    /// Why this status, or why the connection ended.
    pub details: &'a str,
    /// The peer's verified id.
    pub peer_id: &'a str,
    /// What happened beside one attempt.
    pub story: Option<&'a Story>,
    /// The status of a call of gRPC, which has a story.
    pub grpc_status: Option<u16>,
}

impl Note<'_> {
    /// It ended in an error, or was refused.
    #[inline(always)]
    pub(super) fn is_error(&self) -> bool {
        is_error(self.kind, self.status, self.flags, self.details)
    }

    /// Its story makes it one of those that are kept longer.
    #[cold]
    pub(super) fn is_rare_by(&self, story: &Story) -> bool {
        story.is_eventful() || is_grpc_error(self.grpc_status, self.details)
    }
}

/// Whether a call of gRPC ended in an error: its status is the server's fault, or any but OK by which the proxy itself refused
/// it.
pub(super) fn is_grpc_error(status: Option<u16>, details: &str) -> bool {
    status.is_some_and(|status| {
        grpc_status::is_server_error(status) || (status != 0 && details != VIA_UPSTREAM)
    })
}

/// Whether this is an error, as far as its story does not tell: a status from 500 on or none, any flag, or a refusal by the
/// proxy itself.
#[inline(always)]
pub(super) fn is_error(kind: Kind, status: u16, flags: ResponseFlags, details: &str) -> bool {
    match kind {
        Kind::Request => {
            !(100..500).contains(&status) || !flags.is_empty() || (status >= 400 && details != VIA_UPSTREAM)
        }
        Kind::Connection => !flags.is_empty() || !details.is_empty(),
    }
}

/// What is set among a record's bits.
pub(super) mod bits {
    /// The details are [`super::VIA_UPSTREAM`].
    pub(in super::super) const VIA_UPSTREAM: u64 = 1;
    /// There is a trace's id.
    pub(in super::super) const TRACE: u64 = 1 << 1;
    /// There is a story.
    pub(in super::super) const STORY: u64 = 1 << 2;
    /// The path was longer.
    pub(in super::super) const PATH_CUT: u64 = 1 << 3;
    /// The request had come whole.
    pub(in super::super) const REQUEST_ENDED: u64 = 1 << 4;
    /// There is an attempt that is not in the story.
    pub(in super::super) const LAST_ATTEMPT: u64 = 1 << 5;
}

/// Words that are put for every note: [`pack`] has them first.
const FIXED_WORDS: usize = 11;
/// Texts of a note.
const TEXTS: usize = 6;
/// An address's words.
const ADDRESS_WORDS: usize = 3;
/// Words of a name that is cut, with its length.
const NAME_WORDS_MAX: usize = 1 + NAME_BYTES_MAX / 8;
/// Words of an attempt at most: four, its address and why it failed.
const ATTEMPT_WORDS_MAX: usize = 4 + ADDRESS_WORDS + NAME_WORDS_MAX;
/// Words of an event at most: three, its subject and its detail.
const EVENT_WORDS_MAX: usize = 3 + 2 * NAME_WORDS_MAX;

impl Note<'_> {
    /// The texts that are kept of it, cut.
    #[inline(always)]
    fn texts(&self) -> [&[u8]; TEXTS] {
        let details = if self.details == VIA_UPSTREAM {
            ""
        } else {
            self.details
        };
        [
            cut(self.method.as_bytes(), METHOD_BYTES_MAX),
            cut(self.path.as_bytes(), PATH_BYTES_MAX),
            cut(self.authority.as_bytes(), AUTHORITY_BYTES_MAX),
            cut(self.request_id, REQUEST_ID_BYTES_MAX),
            cut(details.as_bytes(), DETAILS_BYTES_MAX),
            cut(self.peer_id.as_bytes(), PEER_BYTES_MAX),
        ]
    }

    /// Words that [`pack`] puts, or a few more.
    #[inline(always)]
    pub(super) fn words_max(&self) -> usize {
        // One by one, here and below: what is gone through as a list is put into memory for it.
        let [method, path, authority, id, details, peer_id] = self.texts();
        let bytes = method.len() + path.len() + authority.len() + id.len() + details.len() + peer_id.len();
        let trace = 2;
        let plain = FIXED_WORDS + ADDRESS_WORDS + ATTEMPT_WORDS_MAX + trace + bytes / 8 + TEXTS;
        match self.story {
            None => plain,
            Some(story) => plain + story_words_max(story),
        }
    }
}

#[cold]
fn story_words_max(story: &Story) -> usize {
    1 + story.attempts().len() * ATTEMPT_WORDS_MAX + story.events().len() * EVENT_WORDS_MAX
}

/// Packs a note; `started` is its start in microseconds since the epoch. Gives the number of words.
#[inline(always)]
pub(super) fn pack<W: Word>(note: &Note<'_>, started: u64, words: &[W]) -> usize {
    let [method, path, authority, id, details, peer_id] = note.texts();
    let set = |bit: u64, is: bool| if is { bit } else { 0 };
    let bits = set(bits::VIA_UPSTREAM, note.details == VIA_UPSTREAM)
        | set(bits::TRACE, note.trace_id.is_some())
        | set(bits::STORY, note.story.is_some())
        | set(bits::PATH_CUT, note.path.len() > PATH_BYTES_MAX)
        | set(bits::REQUEST_ENDED, note.request_ended)
        | set(bits::LAST_ATTEMPT, note.last_attempt.is_some());
    let index = |index: Option<u32>| u64::from(index.unwrap_or(NOWHERE));
    let length = |text: &[u8], place: u32| (text.len() as u64) << (8 * place);
    let mut packer = Packer::new(words);
    packer.put::<FIXED_WORDS>([
        started,
        micros(note.duration),
        u64::from(note.status)
            | bits << 16
            | (note.kind as u64) << 24
            | (note.protocol as u64) << 28
            | u64::from(note.attempts) << 32,
        u64::from(note.flags.bits()) | u64::from(note.chain) << 32,
        note.generation,
        index(note.virtual_host) | index(note.route) << 32,
        index(note.cluster),
        note.connection,
        note.bytes_received,
        note.bytes_sent,
        length(method, 0)
            | length(path, 1)
            | length(authority, 2)
            | length(id, 3)
            | length(details, 4)
            | length(peer_id, 5),
    ]);
    packer.put_address(Some(note.peer));
    if let Some(attempt) = note.last_attempt {
        pack_attempt(attempt, &mut packer);
    }
    if let Some(id) = note.trace_id {
        packer.put([(id >> 64) as u64, id as u64]);
    }
    packer.put_bytes(method);
    packer.put_bytes(path);
    packer.put_bytes(authority);
    if !id.is_empty() {
        packer.put_bytes(id);
    }
    if !details.is_empty() {
        packer.put_bytes(details);
    }
    if !peer_id.is_empty() {
        packer.put_bytes(peer_id);
    }
    match note.story {
        None => packer.len(),
        Some(story) => pack_story(story, note.grpc_status, packer).len(),
    }
}

#[inline(always)]
fn cut(text: &[u8], bytes_max: usize) -> &[u8] {
    &text[..text.len().min(bytes_max)]
}

/// Attempts and events as far as there is room: how many there were is told first.
#[cold]
fn pack_story<'w, W: Word>(
    story: &Story,
    grpc_status: Option<u16>,
    mut packer: Packer<'w, W>,
) -> Packer<'w, W> {
    let (attempts, events) = (story.attempts(), story.events());
    packer.put([
        // Of each there are fewer than 256.
        attempts.len() as u64
            | (events.len() as u64) << 8
            | u64::from(grpc_status.unwrap_or(NO_STATUS)) << 16
            | u64::from(story.left_out()) << 32,
    ]);
    for attempt in attempts {
        if packer.is_full() {
            return packer;
        }
        pack_attempt(attempt, &mut packer);
    }
    for event in events {
        if packer.is_full() {
            return packer;
        }
        packer.put([micros(event.at), event.kind as u64, event.value]);
        packer.put_text(&event.subject, NAME_BYTES_MAX);
        packer.put_text(event.detail, NAME_BYTES_MAX);
    }
    packer
}

#[inline(always)]
fn pack_attempt<W: Word>(attempt: &AttemptStory, packer: &mut Packer<'_, W>) {
    let (outcome, status, why) = match attempt.outcome {
        AttemptOutcome::Answered(status) => (0, u64::from(status), ""),
        AttemptOutcome::Failed(why) => (1, 0, why),
        AttemptOutcome::Cancelled => (2, 0, ""),
    };
    packer.put([
        u64::from(attempt.number) | outcome << 32 | status << 40,
        micros(attempt.started),
        attempt.answered.map_or(u64::MAX, micros),
        micros(attempt.ended),
    ]);
    packer.put_address(Some(attempt.endpoint));
    if outcome == 1 {
        packer.put_text(why, NAME_BYTES_MAX);
    }
}

#[inline(always)]
fn micros(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000) + u64::from(duration.subsec_micros())
}
