//! Ids of traces and spans. Neither is ever zero, which all formats keep for "none".

use super::hex;
use std::fmt;
use std::num::{NonZeroU64, NonZeroU128};

/// The id of a trace: 128 bits, of which older systems know the low 64.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId(NonZeroU128);

impl TraceId {
    /// None for zero.
    pub fn new(id: u128) -> Option<TraceId> {
        NonZeroU128::new(id).map(TraceId)
    }

    /// An id of 128 random bits.
    pub fn random(high: u64, low: u64) -> TraceId {
        let id = u128::from(high) << 64 | u128::from(low);
        TraceId(NonZeroU128::new(id).unwrap_or(NonZeroU128::MIN))
    }

    /// Reads 32 digits in lower case.
    pub fn parse(text: &str) -> Option<TraceId> {
        TraceId::new(hex::parse_wide(text.as_bytes().try_into().ok()?)?)
    }

    /// The bytes as the wire of OTLP has them.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.get().to_be_bytes()
    }

    /// The id as a number.
    pub fn get(self) -> u128 {
        self.0.get()
    }

    /// The high 64 bits; zero in an id of 64 bits.
    pub fn high(self) -> u64 {
        (self.0.get() >> 64) as u64
    }

    /// The low 64 bits.
    pub fn low(self) -> u64 {
        self.0.get() as u64
    }

    /// The 32 digits in lower case.
    pub fn digits(self) -> [u8; 32] {
        let mut text = [0; 32];
        text[..16].copy_from_slice(&hex::digits(self.high()));
        text[16..].copy_from_slice(&hex::digits(self.low()));
        text
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The id of a span within its trace.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId(NonZeroU64);

impl SpanId {
    /// None for zero.
    pub fn new(id: u64) -> Option<SpanId> {
        NonZeroU64::new(id).map(SpanId)
    }

    /// An id of 64 random bits.
    pub fn random(bits: u64) -> SpanId {
        SpanId(NonZeroU64::new(bits).unwrap_or(NonZeroU64::MIN))
    }

    /// The id of the span of an attempt, numbered from one, below this server span. It follows from both, so that it need
    /// not be kept from the attempt's start to its request's end; to others it looks random.
    pub fn of_attempt(self, number: u32) -> SpanId {
        // The finalizer of splitmix64, a bijection that mixes every bit into every other.
        let mut id = self.0.get() ^ u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        id = (id ^ id >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        id = (id ^ id >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        SpanId::random(id ^ id >> 31)
    }

    /// The bytes as the wire of OTLP has them.
    pub fn to_bytes(self) -> [u8; 8] {
        self.0.get().to_be_bytes()
    }

    /// The id as a number.
    pub fn get(self) -> u64 {
        self.0.get()
    }

    /// The 16 digits in lower case.
    pub fn digits(self) -> [u8; 16] {
        hex::digits(self.0.get())
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ids_are_never_zero() {
        assert_eq!(TraceId::new(0), None);
        assert_eq!(SpanId::new(0), None);
        assert_eq!(TraceId::random(0, 0).get(), 1);
        assert_eq!(SpanId::random(0).get(), 1);
        assert_eq!(TraceId::parse(&"0".repeat(32)), None);
        assert_eq!(TraceId::parse("0"), None);
        assert_eq!(TraceId::parse(&"F".repeat(32)), None);
        let id = TraceId::random(7, 9);
        assert_eq!(TraceId::parse(&id.to_string()), Some(id));
        assert_eq!(id.to_string().as_bytes(), id.digits());
    }

    #[test]
    fn each_attempt_of_each_request_has_its_own_id() {
        let mut seen = HashSet::new();
        for bits in 1..200 {
            let server = SpanId::random(bits);
            assert!(seen.insert(server));
            for number in 1..20 {
                assert!(seen.insert(server.of_attempt(number)), "{bits} {number}");
                assert_eq!(server.of_attempt(number), server.of_attempt(number));
            }
        }
    }
}
