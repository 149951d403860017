//! The well-known field names as small numbers, so that a field is found without comparing text.

use std::fmt;

use crate::blocks::{self, BLOCK};
use crate::scan;

/// The longest known name; a name is looked up in a window of 32 bytes that also holds its colon.
const NAME_BYTES_MAX: usize = 31;
const WINDOW: usize = 32;

macro_rules! known_names {
    ($($variant:ident = $text:literal,)*) => {
        /// A field name that policy or the protocol asks for often.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum KnownName {
            $(#[doc = concat!("`", $text, "`")] $variant,)*
        }

        impl KnownName {
            /// Every known name, each at the index of its number.
            pub const ALL: &'static [KnownName] = &[$(KnownName::$variant),*];
        }

        static NAMES: &[&str] = &[$($text),*];
        /// The names as lines start with them.
        static STARTS: &[&str] = &[$(concat!($text, ": ")),*];
    };
}

known_names! {
    Host = "host",
    Connection = "connection",
    ContentLength = "content-length",
    TransferEncoding = "transfer-encoding",
    Te = "te",
    Upgrade = "upgrade",
    Expect = "expect",
    Trailer = "trailer",
    KeepAlive = "keep-alive",
    ProxyConnection = "proxy-connection",
    ProxyAuthenticate = "proxy-authenticate",
    ProxyAuthorization = "proxy-authorization",
    Accept = "accept",
    AcceptEncoding = "accept-encoding",
    AcceptLanguage = "accept-language",
    AcceptRanges = "accept-ranges",
    AccessControlAllowHeaders = "access-control-allow-headers",
    AccessControlAllowMethods = "access-control-allow-methods",
    AccessControlAllowOrigin = "access-control-allow-origin",
    AccessControlExposeHeaders = "access-control-expose-headers",
    AccessControlMaxAge = "access-control-max-age",
    AccessControlRequestHeaders = "access-control-request-headers",
    AccessControlRequestMethod = "access-control-request-method",
    Age = "age",
    Allow = "allow",
    AltSvc = "alt-svc",
    Authorization = "authorization",
    B3 = "b3",
    CacheControl = "cache-control",
    ContentDisposition = "content-disposition",
    ContentEncoding = "content-encoding",
    ContentLanguage = "content-language",
    ContentLocation = "content-location",
    ContentRange = "content-range",
    ContentSecurityPolicy = "content-security-policy",
    ContentType = "content-type",
    Cookie = "cookie",
    Date = "date",
    Etag = "etag",
    Expires = "expires",
    Forwarded = "forwarded",
    GrpcAcceptEncoding = "grpc-accept-encoding",
    GrpcEncoding = "grpc-encoding",
    GrpcMessage = "grpc-message",
    GrpcStatus = "grpc-status",
    GrpcStatusDetailsBin = "grpc-status-details-bin",
    GrpcTimeout = "grpc-timeout",
    IfMatch = "if-match",
    IfModifiedSince = "if-modified-since",
    IfNoneMatch = "if-none-match",
    IfRange = "if-range",
    IfUnmodifiedSince = "if-unmodified-since",
    LastModified = "last-modified",
    Link = "link",
    Location = "location",
    MaxForwards = "max-forwards",
    Origin = "origin",
    Pragma = "pragma",
    Priority = "priority",
    Range = "range",
    Referer = "referer",
    RetryAfter = "retry-after",
    SecWebsocketAccept = "sec-websocket-accept",
    SecWebsocketExtensions = "sec-websocket-extensions",
    SecWebsocketKey = "sec-websocket-key",
    SecWebsocketProtocol = "sec-websocket-protocol",
    SecWebsocketVersion = "sec-websocket-version",
    Server = "server",
    SetCookie = "set-cookie",
    StrictTransportSecurity = "strict-transport-security",
    Traceparent = "traceparent",
    Tracestate = "tracestate",
    UpgradeInsecureRequests = "upgrade-insecure-requests",
    UserAgent = "user-agent",
    Vary = "vary",
    Via = "via",
    WwwAuthenticate = "www-authenticate",
    XB3Flags = "x-b3-flags",
    XB3Parentspanid = "x-b3-parentspanid",
    XB3Sampled = "x-b3-sampled",
    XB3Spanid = "x-b3-spanid",
    XB3Traceid = "x-b3-traceid",
    XContentTypeOptions = "x-content-type-options",
    XDatadogParentId = "x-datadog-parent-id",
    XDatadogSamplingPriority = "x-datadog-sampling-priority",
    XDatadogTraceId = "x-datadog-trace-id",
    XEnvoyAttemptCount = "x-envoy-attempt-count",
    XEnvoyOverloaded = "x-envoy-overloaded",
    XEnvoyUpstreamServiceTime = "x-envoy-upstream-service-time",
    XForwardedClientCert = "x-forwarded-client-cert",
    XForwardedFor = "x-forwarded-for",
    XForwardedHost = "x-forwarded-host",
    XForwardedPort = "x-forwarded-port",
    XForwardedProto = "x-forwarded-proto",
    XFrameOptions = "x-frame-options",
    XRealIp = "x-real-ip",
    XRequestId = "x-request-id",
}

const COUNT: usize = KnownName::ALL.len();
const SLOTS: usize = 512;
// The width of `KnownSet`.
const _: () = assert!(COUNT <= 128);

/// A name as words of eight bytes: its start, its end (the same if it is shorter than that), and what is between.
/// Bytes that are not of the name are zero.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Words {
    first: u64,
    last: u64,
    middle: [u64; 2],
    /// Of the name, in bytes.
    length: usize,
}

static WORDS: [Words; COUNT] = words_table();
/// Open addressing by `slot_of`; so sparse that nearly every name is found at its first slot.
static TABLE: [Option<KnownName>; SLOTS] = slot_table();
/// What keeps the first `n` bytes of a word.
static MASKS: [u64; 9] = mask_table();

/// Up to eight bytes from `from` on, before `end`.
const fn word_of(name: &[u8], from: usize, end: usize) -> u64 {
    let mut word = 0;
    let mut at = from;
    while at < end && at < from + 8 {
        word |= (name[at] as u64) << (8 * (at - from));
        at += 1;
    }
    word
}

const fn words_table() -> [Words; COUNT] {
    let mut table = [Words {
        first: 0,
        last: 0,
        middle: [0; 2],
        length: 0,
    }; COUNT];
    let mut index = 0;
    while index < COUNT {
        let name = NAMES[index].as_bytes();
        assert!(name.len() <= NAME_BYTES_MAX);
        let first = word_of(name, 0, name.len());
        let last = if name.len() < 8 {
            first
        } else {
            word_of(name, name.len() - 8, name.len())
        };
        let middle = [word_of(name, 8, name.len()), word_of(name, 16, name.len())];
        let length = name.len();
        table[index] = Words {
            first,
            last,
            middle,
            length,
        };
        index += 1;
    }
    table
}

const fn slot_table() -> [Option<KnownName>; SLOTS] {
    let words = words_table();
    let mut table = [None; SLOTS];
    let mut index = 0;
    while index < COUNT {
        let mut slot = slot_of(words[index].first, words[index].last);
        while table[slot].is_some() {
            slot = (slot + 1) % SLOTS;
        }
        table[slot] = Some(KnownName::ALL[index]);
        index += 1;
    }
    table
}

const fn mask_table() -> [u64; 9] {
    let mut table = [u64::MAX; 9];
    let mut length = 0;
    while length < 8 {
        table[length] = (1 << (8 * length)) - 1;
        length += 1;
    }
    table
}

const fn slot_of(first: u64, last: u64) -> usize {
    ((first ^ last.rotate_left(11)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 55) as usize
}

/// What the first bytes of a field line say about its name.
pub(crate) struct Spotted {
    pub(crate) known: KnownName,
    pub(crate) length: u8,
    /// Known for names of at most 16 bytes; else false.
    pub(crate) is_lowercase: bool,
}

/// The known name that `line` starts with in any case and that a colon follows at once, if it is one.
#[inline(always)]
pub(crate) fn spot(line: &[u8]) -> Option<Spotted> {
    if let Some(block) = line.first_chunk() {
        let colons = blocks::equal(block, b':');
        if colons != 0 {
            return find_short(block, colons.trailing_zeros() as usize);
        }
    }
    // The end of a section is met once in each.
    if line.starts_with(b"\r") {
        None
    } else {
        spot_long(line)
    }
}

/// As `spot`, for names that are longer than a block and lines that are shorter.
#[inline(never)]
fn spot_long(line: &[u8]) -> Option<Spotted> {
    match line.first_chunk::<WINDOW>() {
        Some(window) => find(
            window,
            blocks::first_of(window, 0, |block| blocks::equal(block, b':')),
        ),
        None => {
            let window = blocks::padded(line);
            find(
                &window,
                blocks::first_of(&window, 0, |block| blocks::equal(block, b':')),
            )
        }
    }
}

/// The known name that the first `length` bytes of `block` are, in any case.
#[inline(always)]
fn find_short(block: &[u8; BLOCK], length: usize) -> Option<Spotted> {
    let (words, _) = block.as_chunks::<8>();
    let mut first = u64::from_le_bytes(words[0]);
    let last = match length.checked_sub(8) {
        Some(last) => word_at(block, last)?,
        None => {
            first &= MASKS[length];
            first
        }
    };
    let (known, is_lowercase) = look_up(first, last, length)?;
    Some(Spotted {
        known,
        length: length as u8,
        is_lowercase,
    })
}

/// The known name that the first `length` bytes of `window` are, in any case.
///
/// Both ends are compared, which is all of a name of 16 bytes, and the middle of a longer one.
fn find(window: &[u8; WINDOW], length: usize) -> Option<Spotted> {
    let first = word_at(window, 0)? & MASKS[length.min(8)];
    let last = if length < 8 {
        first
    } else {
        word_at(window, length - 8)?
    };
    let (known, is_lowercase) = look_up(first, last, length)?;
    if length > 16 && !is_middle(window, length, &WORDS[known as usize]) {
        return None;
    }
    Some(Spotted {
        known,
        length: length as u8,
        // Of a longer name the middle is not looked at again: it counts as not in lower case.
        is_lowercase: is_lowercase && length <= 16,
    })
}

/// The known name of this length with these ends in any case, and whether they are in lower case.
#[inline(always)]
fn look_up(first: u64, last: u64, length: usize) -> Option<(KnownName, bool)> {
    let (first_lowered, last_lowered) = (scan::lower_word(first), scan::lower_word(last));
    let mut slot = slot_of(first_lowered, last_lowered);
    loop {
        let known = TABLE[slot]?;
        let words = &WORDS[known as usize];
        if words.first == first_lowered && words.last == last_lowered && words.length == length {
            return Some((known, (first ^ first_lowered) | (last ^ last_lowered) == 0));
        }
        slot = (slot + 1) % SLOTS;
    }
}

fn is_middle(window: &[u8; WINDOW], length: usize, words: &Words) -> bool {
    [8, 16].into_iter().zip(words.middle).all(|(from, expected)| {
        let mask = MASKS[length.saturating_sub(from).min(8)];
        word_at(window, from).is_some_and(|word| scan::lower_word(word & mask) == expected)
    })
}

#[inline(always)]
fn word_at(window: &[u8], at: usize) -> Option<u64> {
    window
        .get(at..at + 8)?
        .first_chunk()
        .map(|word| u64::from_le_bytes(*word))
}

impl KnownName {
    /// Makes the name that `line` starts with, which is this one in any case, lower-case.
    #[inline(always)]
    pub(crate) fn write_lowercase(self, line: &mut [u8]) {
        let words = &WORDS[self as usize];
        let length = words.length;
        match (line.first_chunk_mut::<BLOCK>(), length) {
            (Some(block), ..8) => {
                let (start, _) = block.as_chunks_mut::<8>();
                let after = u64::from_le_bytes(start[0]) & !MASKS[length];
                start[0] = (after | words.first).to_le_bytes();
            }
            (Some(block), 8..=BLOCK) => {
                block[..8].copy_from_slice(&words.first.to_le_bytes());
                block[length - 8..length].copy_from_slice(&words.last.to_le_bytes());
            }
            _ => lower(&mut line[..length]),
        }
    }

    /// The name in lower case, as it stands on the wire.
    pub fn as_str(self) -> &'static str {
        NAMES[self as usize]
    }

    /// The name and what stands between it and its value.
    #[inline]
    pub(crate) fn line_start(self) -> &'static [u8] {
        STARTS[self as usize].as_bytes()
    }

    /// The known name of these bytes in any case.
    pub(crate) fn from_any_case(name: &[u8]) -> Option<Self> {
        find(&window_of(name)?, name.len()).map(|found| found.known)
    }

    /// The known name of these bytes, which must be in lower case to be found.
    pub fn from_lowercase(name: &[u8]) -> Option<Self> {
        Self::from_any_case(name).filter(|known| known.as_str().as_bytes() == name)
    }
}

/// For names of any kind; apart, so that loops over short ones stay small.
#[cold]
#[inline(never)]
pub(crate) fn lower(name: &mut [u8]) {
    name.make_ascii_lowercase();
}

/// A name in a window, unless it is longer than any that is known.
fn window_of(name: &[u8]) -> Option<[u8; WINDOW]> {
    let mut window = [0; WINDOW];
    window
        .get_mut(..name.len())
        .filter(|_| name.len() <= NAME_BYTES_MAX)?
        .copy_from_slice(name);
    Some(window)
}

impl fmt::Display for KnownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of known names, a bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KnownSet([u64; 2]);

impl KnownSet {
    /// The set of no names.
    pub const EMPTY: Self = Self([0; 2]);

    /// The set of these names.
    pub const fn of(names: &[KnownName]) -> Self {
        let mut set = Self::EMPTY;
        let mut index = 0;
        while index < names.len() {
            set.insert(names[index]);
            index += 1;
        }
        set
    }

    /// Whether `name` is in it.
    #[inline]
    pub const fn contains(self, name: KnownName) -> bool {
        self.0[name as usize / 64] >> (name as u8 % 64) & 1 != 0
    }

    /// Whether the two have a name in common.
    #[inline]
    pub const fn intersects(self, other: Self) -> bool {
        self.0[0] & other.0[0] | self.0[1] & other.0[1] != 0
    }

    /// The names of either.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self([self.0[0] | other.0[0], self.0[1] | other.0[1]])
    }

    /// The names of this set that are not in the other.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self([self.0[0] & !other.0[0], self.0[1] & !other.0[1]])
    }

    #[inline]
    pub(crate) const fn insert(&mut self, name: KnownName) {
        self.0[name as usize / 64] |= 1 << (name as u8 % 64);
    }

    pub(crate) fn remove(&mut self, name: KnownName) {
        self.0[name as usize / 64] &= !(1 << (name as u8 % 64));
    }
}

#[cfg(test)]
mod tests;
