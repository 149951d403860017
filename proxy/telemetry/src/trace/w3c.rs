//! `traceparent`, by W3C's Trace Context (level 2): `version-traceid-parentid-flags`.

use super::hex;
use super::ids::{SpanId, TraceId};

/// The length of a value of version 00, and the least of later versions.
const LENGTH: usize = 55;

const SAMPLED: u8 = 1;
/// At least the low 56 bits of the trace id are random (level 2).
const RANDOM: u8 = 2;

/// What a `traceparent` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Traceparent {
    pub(super) trace_id: TraceId,
    pub(super) parent: SpanId,
    pub(super) sampled: bool,
    pub(super) random: bool,
}

impl TraceId {
    /// The trace's id in a `traceparent`; none if the trace has to begin anew.
    pub fn of_traceparent(value: &[u8]) -> Option<TraceId> {
        Some(Traceparent::parse(value)?.trace_id)
    }
}

impl Traceparent {
    /// Reads a value; None if the trace has to begin anew.
    ///
    /// A version above 00 may be longer, with a dash after what is known of it; `ff` is none. Flags that are not known are
    /// not passed on.
    pub(super) fn parse(value: &[u8]) -> Option<Traceparent> {
        let (known, rest) = value.split_first_chunk::<LENGTH>()?;
        let version = hex::parse(&known[..2])?;
        match version {
            0xff => return None,
            0 if !rest.is_empty() => return None,
            _ if rest.first().is_some_and(|byte| *byte != b'-') => return None,
            _ => {}
        }
        if [known[2], known[35], known[52]] != [b'-'; 3] {
            return None;
        }
        let trace_id = hex::parse_wide(known[3..35].try_into().ok()?)?;
        let parent = hex::parse(&known[36..52])?;
        let flags = hex::parse(&known[53..])? as u8;
        Some(Traceparent {
            trace_id: TraceId::new(trace_id)?,
            parent: SpanId::new(parent)?,
            sampled: flags & SAMPLED != 0,
            random: flags & RANDOM != 0,
        })
    }

    /// The value in version 00.
    pub(super) fn write(&self) -> [u8; LENGTH] {
        let mut text = [b'-'; LENGTH];
        text[..2].copy_from_slice(b"00");
        text[3..35].copy_from_slice(&self.trace_id.digits());
        text[36..52].copy_from_slice(&self.parent.digits());
        text[53] = b'0';
        text[54] = b'0' + ((u8::from(self.sampled) * SAMPLED) | (u8::from(self.random) * RANDOM));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDS: &str = "12345678901234567890123456789012-1234567890123456";

    fn parse(value: &str) -> Option<Traceparent> {
        Traceparent::parse(value.as_bytes())
    }

    #[test]
    fn what_is_read_is_written() {
        for flags in 0..4 {
            let text = format!("00-{IDS}-0{flags}");
            let read = parse(&text).unwrap();
            assert_eq!((read.sampled, read.random), (flags & 1 != 0, flags & 2 != 0));
            assert_eq!(read.write(), text.as_bytes());
            assert_eq!(TraceId::of_traceparent(text.as_bytes()), Some(read.trace_id));
        }
        // Flags of later versions are not passed on.
        assert_eq!(
            parse(&format!("00-{IDS}-ff")).unwrap().write(),
            format!("00-{IDS}-03").as_bytes()
        );
    }

    #[test]
    fn later_versions_may_be_longer() {
        for text in [
            format!("01-{IDS}-01"),
            format!("cc-{IDS}-01"),
            format!("cc-{IDS}-01-"),
            format!("cc-{IDS}-01-what-the-future-will-be-like"),
            format!("fe-{IDS}-01-{}", "x".repeat(1000)),
        ] {
            let read = parse(&text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(read.write(), format!("00-{IDS}-01").as_bytes());
        }
    }

    #[test]
    fn what_is_malformed_is_refused() {
        let zero_trace = "00000000000000000000000000000000-1234567890123456";
        let zero_parent = "12345678901234567890123456789012-0000000000000000";
        for text in [
            String::new(),
            "00".to_owned(),
            IDS.to_owned(),
            format!("ff-{IDS}-01"),
            format!("00-{IDS}-01-"),
            format!("00-{IDS}-01-what-the-future-will-be-like"),
            format!("00-{IDS}-01."),
            format!("cc-{IDS}-01.what-the-future-will-be-like"),
            format!("cc-{IDS}-0"),
            format!("0-{IDS}-01"),
            format!("000-{IDS}-01"),
            format!(".0-{IDS}-01"),
            format!("0.-{IDS}-01"),
            format!("0A-{IDS}-01"),
            format!("00-{IDS}-1"),
            format!("00-{IDS}-001"),
            format!("00-{IDS}-.0"),
            format!("00-{IDS}-0A"),
            format!("00_{IDS}-01"),
            format!("00-{IDS}_01"),
            format!("00-{zero_trace}-01"),
            format!("00-{zero_parent}-01"),
            format!("00-{}-01", IDS.replace('-', "_")),
            format!("00-{}-01", IDS.replacen('1', "A", 1)),
            format!("00-{}-01", IDS.replacen("2-1", "2-.", 1)),
            format!("00-{}-01", &IDS[1..]),
            format!("00-1{IDS}-01"),
            format!("00-{IDS}7-01"),
            format!("00-{IDS}-01,00-{IDS}-01"),
        ] {
            assert_eq!(parse(&text), None, "{text}");
        }
    }
}
