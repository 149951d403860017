//! The well-known field names as small numbers, so that a field is found without comparing text.

use std::fmt;

use crate::scan;

/// The longest known name; a name is looked up in a window of 32 bytes that also holds its colon.
const NAME_BYTES_MAX: usize = 31;
pub(crate) const WINDOW: usize = 32;
/// A name of up to 32 bytes as little-endian words, zero after its end.
pub(crate) type NameWords = [u64; 4];

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
    };
}

// Those that `signals` reads from every head come first: `KnownSet::below` is then one comparison.
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
const EMPTY: u8 = u8::MAX;

static WORDS: [NameWords; COUNT] = words_table();
// The width of `KnownSet`.
const _: () = assert!(COUNT <= 128);
/// Open addressing by `slot_of`; as full as a quarter, so that nearly every name is found at its first slot.
static TABLE: [u8; SLOTS] = slot_table();
/// What keeps the first `n` bytes of a window.
static MASKS: [NameWords; WINDOW] = mask_table();

const fn words_table() -> [NameWords; COUNT] {
    let mut table = [[0; 4]; COUNT];
    let mut index = 0;
    while index < COUNT {
        let name = NAMES[index].as_bytes();
        assert!(name.len() <= NAME_BYTES_MAX);
        let mut at = 0;
        while at < name.len() {
            table[index][at / 8] |= (name[at] as u64) << (8 * (at % 8));
            at += 1;
        }
        index += 1;
    }
    table
}

const fn slot_table() -> [u8; SLOTS] {
    let words = words_table();
    let mut table = [EMPTY; SLOTS];
    let mut index = 0;
    while index < COUNT {
        let mut slot = slot_of(&words[index]);
        while table[slot] != EMPTY {
            slot = (slot + 1) % SLOTS;
        }
        table[slot] = index as u8;
        index += 1;
    }
    table
}

const fn mask_table() -> [NameWords; WINDOW] {
    let mut table = [[0; 4]; WINDOW];
    let mut length = 0;
    while length < WINDOW {
        let mut at = 0;
        while at < length {
            table[length][at / 8] |= 0xff << (8 * (at % 8));
            at += 1;
        }
        length += 1;
    }
    table
}

const fn slot_of(words: &NameWords) -> usize {
    let mixed = words[0] ^ words[1].rotate_left(11) ^ words[2].rotate_left(23) ^ words[3].rotate_left(37);
    (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 55) as usize
}

/// What the first bytes of a field line say about its name.
pub(crate) struct Spotted {
    pub(crate) known: KnownName,
    pub(crate) length: usize,
    pub(crate) is_lowercase: bool,
}

/// The known name that `window` starts with in any case and that a colon follows at once, if it is one.
#[inline]
pub(crate) fn spot(window: &[u8; WINDOW]) -> Option<Spotted> {
    let raw = window_words(window);
    let mut length = WINDOW;
    for (index, word) in raw.iter().enumerate() {
        let colon = scan::equal(*word, b':');
        if colon != 0 {
            length = index * 8 + colon.trailing_zeros() as usize / 8;
            break;
        }
    }
    let masks = MASKS.get(length)?;
    let name: NameWords = std::array::from_fn(|index| raw[index] & masks[index]);
    let lowered = name.map(scan::lower_word);
    let known = lookup(&lowered, length)?;
    Some(Spotted {
        known,
        length,
        is_lowercase: name == lowered,
    })
}

#[inline]
fn window_words(window: &[u8; WINDOW]) -> NameWords {
    let (words, _) = window.as_chunks::<8>();
    std::array::from_fn(|index| u64::from_le_bytes(words[index]))
}

#[inline]
fn lookup(words: &NameWords, length: usize) -> Option<KnownName> {
    let mut slot = slot_of(words);
    loop {
        // An empty slot's number is past the end of both tables.
        let index = TABLE[slot] as usize;
        if WORDS.get(index)? == words {
            // A name with NULs at its end has the words of the name without.
            return KnownName::ALL
                .get(index)
                .copied()
                .filter(|known| known.as_str().len() == length);
        }
        slot = (slot + 1) % SLOTS;
    }
}

impl KnownName {
    /// The name in lower case, as it stands on the wire.
    pub fn as_str(self) -> &'static str {
        NAMES[self as usize]
    }

    /// The known name of these bytes, which must be in lower case to be found.
    pub fn from_lowercase(name: &[u8]) -> Option<Self> {
        let mut window = [0; WINDOW];
        window
            .get_mut(..name.len())
            .filter(|_| name.len() <= NAME_BYTES_MAX)?
            .copy_from_slice(name);
        lookup(&window_words(&window), name.len())
    }
}

impl fmt::Display for KnownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of known names, a bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KnownSet(u128);

impl KnownSet {
    /// The set of no names.
    pub const EMPTY: Self = Self(0);

    /// The set of these names.
    pub const fn of(names: &[KnownName]) -> Self {
        let mut bits = 0;
        let mut index = 0;
        while index < names.len() {
            bits |= 1 << names[index] as u8;
            index += 1;
        }
        Self(bits)
    }

    /// The names numbered below `end`.
    pub(crate) const fn below(end: KnownName) -> Self {
        Self((1 << end as u8) - 1)
    }

    /// Whether `name` is in it.
    #[inline]
    pub const fn contains(self, name: KnownName) -> bool {
        self.0 & (1 << name as u8) != 0
    }

    /// Whether the two have a name in common.
    #[inline]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The names of either.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) fn insert(&mut self, name: KnownName) {
        self.0 |= 1 << name as u8;
    }

    pub(crate) fn remove(&mut self, name: KnownName) {
        self.0 &= !(1 << name as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window_of(line: &[u8]) -> [u8; WINDOW] {
        let mut window = [0; WINDOW];
        let length = line.len().min(WINDOW);
        window[..length].copy_from_slice(&line[..length]);
        window
    }

    #[test]
    fn every_name_is_found_in_any_case_and_only_whole() {
        for &known in KnownName::ALL {
            let name = known.as_str();
            assert_eq!(KnownName::ALL[known as usize], known);
            assert_eq!(KnownName::from_lowercase(name.as_bytes()), Some(known));
            assert_eq!(
                KnownName::from_lowercase(&name.as_bytes()[1..]),
                None,
                "{name} without its first byte"
            );
            assert_eq!(KnownName::from_lowercase(format!("{name}x").as_bytes()), None);
            for line in [format!("{name}: v"), format!("{}: v", name.to_ascii_uppercase())] {
                let spotted = spot(&window_of(line.as_bytes())).expect("it is known");
                assert_eq!((spotted.known, spotted.length), (known, name.len()));
                assert_eq!(spotted.is_lowercase, line.starts_with(name));
            }
        }
    }

    #[test]
    fn a_byte_that_differs_in_one_bit_is_another_name() {
        for &known in KnownName::ALL {
            let line = format!("{known}: v");
            for at in 0..known.as_str().len() {
                for bit in 0..8 {
                    let mut changed = line.clone().into_bytes();
                    changed[at] ^= 1 << bit;
                    if !changed[at].eq_ignore_ascii_case(&line.as_bytes()[at]) {
                        let spotted = spot(&window_of(&changed)).map(|spotted| spotted.known);
                        assert_ne!(spotted, Some(known), "bit {bit} of byte {at} of {known}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_name_is_not_known_with_nuls_at_its_end() {
        for &known in KnownName::ALL {
            assert_eq!(KnownName::from_lowercase(format!("{known}\0").as_bytes()), None);
            assert!(
                spot(&window_of(format!("{known}\0:").as_bytes())).is_none(),
                "{known}"
            );
        }
    }

    #[test]
    fn names_are_not_spotted_without_their_colon() {
        assert!(spot(&window_of(b"host : a")).is_none());
        assert!(spot(&window_of(b"host")).is_none());
        assert!(spot(&window_of(b":")).is_none());
        assert!(spot(&[b'a'; WINDOW]).is_none());
    }

    #[test]
    fn sets_hold_what_was_put_in() {
        let mut set = KnownSet::of(&[KnownName::Host, KnownName::XRequestId]);
        assert!(set.contains(KnownName::Host) && set.contains(KnownName::XRequestId));
        assert!(!set.contains(KnownName::Via));
        set.remove(KnownName::Host);
        assert!(!set.contains(KnownName::Host));
        assert!(KnownSet::below(KnownName::Trailer).contains(KnownName::Expect));
        assert!(!KnownSet::below(KnownName::Trailer).contains(KnownName::Trailer));
    }
}
