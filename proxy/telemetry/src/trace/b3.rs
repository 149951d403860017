//! B3, Zipkin's format: in one header (`b3`) or in several (`x-b3-*`). Trace ids have 64 or 128 bits, and stay as long as they
//! came.

use super::headers::{Carrier, TraceHeader};
use super::hex;
use super::ids::{SpanId, TraceId};
use super::propagation::{Extracted, Format, OutgoingContext};

/// Everything of several headers.
pub(super) const SEVERAL: [TraceHeader; 5] = [
    TraceHeader::B3TraceId,
    TraceHeader::B3SpanId,
    TraceHeader::B3ParentSpanId,
    TraceHeader::B3Sampled,
    TraceHeader::B3Flags,
];

/// Reads the one header, or else the several (the one comes first by the format's own rule).
pub(super) fn extract(carrier: &dyn Carrier) -> Option<Extracted> {
    if let Some(value) = carrier.first(TraceHeader::B3) {
        let read = carrier.only(TraceHeader::B3).and_then(|_| single(value));
        if read.is_some() {
            return read;
        }
    }
    several(carrier)
}

/// `traceid-spanid`, `-state` and `-parentspanid` behind it if they are there; or a state alone.
fn single(value: &[u8]) -> Option<Extracted> {
    let mut parts = value.split(|byte| *byte == b'-');
    let first = parts.next()?;
    let Some(span) = parts.next() else {
        return state(first).map(Extracted::of_decision);
    };
    let ids = (trace_id(first)?, span_id(span)?);
    let decision = match parts.next() {
        Some(text) => state(text)?,
        None => State::default(),
    };
    if let Some(parent) = parts.next() {
        span_id(parent)?;
    }
    if parts.next().is_some() {
        return None;
    }
    Some(Extracted::of_decision(decision).with_ids(ids.0, Some(ids.1), Format::B3))
}

fn several(carrier: &dyn Carrier) -> Option<Extracted> {
    let ids = [TraceHeader::B3TraceId, TraceHeader::B3SpanId].map(|header| carrier.only(header));
    let decision = several_state(carrier);
    match ids {
        [Some(trace), Some(span)] => {
            let (trace, span) = (trace_id(trace)?, span_id(span)?);
            let extracted = Extracted::of_decision(decision.unwrap_or_default());
            Some(extracted.with_ids(trace, Some(span), Format::B3))
        }
        _ => decision.map(Extracted::of_decision),
    }
}

/// What is decided: `x-b3-flags: 1` is a debug trace, which is sampled; `true` and `false` are what older tracers write.
fn several_state(carrier: &dyn Carrier) -> Option<State> {
    if carrier.only(TraceHeader::B3Flags) == Some(b"1") {
        return Some(State::DEBUG);
    }
    match carrier.only(TraceHeader::B3Sampled)? {
        b"1" | b"true" => Some(State::SAMPLED),
        b"0" | b"false" => Some(State::DENIED),
        _ => None,
    }
}

/// What B3 says of sampling.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct State {
    pub(super) sampled: Option<bool>,
    pub(super) debug: bool,
}

impl State {
    const SAMPLED: State = State {
        sampled: Some(true),
        debug: false,
    };
    const DENIED: State = State {
        sampled: Some(false),
        debug: false,
    };
    const DEBUG: State = State {
        sampled: Some(true),
        debug: true,
    };
}

fn state(text: &[u8]) -> Option<State> {
    match text {
        b"1" => Some(State::SAMPLED),
        b"0" => Some(State::DENIED),
        b"d" => Some(State::DEBUG),
        _ => None,
    }
}

fn trace_id(text: &[u8]) -> Option<TraceId> {
    match text.len() {
        16 => TraceId::new(u128::from(hex::parse(text)?)),
        _ => TraceId::new(hex::parse_wide(text.try_into().ok()?)?),
    }
}

fn span_id(text: &[u8]) -> Option<SpanId> {
    (text.len() == 16).then(|| hex::parse(text).and_then(SpanId::new))?
}

/// The digits of a trace id: 16 of one of 64 bits, as systems that know no longer ones write it.
fn trace_digits(digits: &[u8; 32], id: TraceId) -> &[u8] {
    if id.high() == 0 { &digits[16..] } else { digits }
}

/// Writes the one header.
pub(super) fn inject_single(context: &OutgoingContext, carrier: &mut dyn Carrier) {
    let mut text = [b'-'; 32 + 1 + 16 + 1 + 1 + 1 + 16];
    let mut length = 0;
    let mut put = |part: &[u8]| {
        text[length..length + part.len()].copy_from_slice(part);
        length += part.len() + 1;
    };
    put(trace_digits(&context.trace_id.digits(), context.trace_id));
    put(&context.span_id.digits());
    put(match (context.debug, context.sampled) {
        (true, _) => b"d",
        (false, true) => b"1",
        (false, false) => b"0",
    });
    if let Some(parent) = context.parent {
        put(&parent.digits());
    }
    carrier.set(TraceHeader::B3, &text[..length - 1]);
}

/// Writes the several headers. A debug trace says so alone: that it is sampled goes without saying.
pub(super) fn inject_several(context: &OutgoingContext, carrier: &mut dyn Carrier) {
    let digits = context.trace_id.digits();
    carrier.set(TraceHeader::B3TraceId, trace_digits(&digits, context.trace_id));
    carrier.set(TraceHeader::B3SpanId, &context.span_id.digits());
    match context.parent {
        Some(parent) => carrier.set(TraceHeader::B3ParentSpanId, &parent.digits()),
        None => carrier.remove(TraceHeader::B3ParentSpanId),
    }
    if context.debug {
        carrier.set(TraceHeader::B3Flags, b"1");
        carrier.remove(TraceHeader::B3Sampled);
    } else {
        carrier.remove(TraceHeader::B3Flags);
        carrier.set(TraceHeader::B3Sampled, if context.sampled { b"1" } else { b"0" });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::headers::Listed;

    const WIDE: &str = "80f198ee56343ba864fe8b2a57d3eff7";
    const NARROW: &str = "64fe8b2a57d3eff7";
    const SPAN: &str = "e457b5a2e4d86bd1";
    const PARENT: &str = "05e3ac9a4f6e3b90";

    /// Trace and span in digits, sampled, debug.
    fn told(extracted: Option<Extracted>) -> Option<(String, String, Option<bool>, bool)> {
        let extracted = extracted?;
        let text = |id: Option<String>| id.unwrap_or_default();
        Some((
            text(extracted.trace_id.map(|id| format!("{:x}", id.get()))),
            text(extracted.parent.map(|id| id.to_string())),
            extracted.sampled,
            extracted.debug,
        ))
    }

    fn of(fields: &[(TraceHeader, &str)]) -> Option<(String, String, Option<bool>, bool)> {
        told(extract(&Listed::of(fields)))
    }

    fn one(value: &str) -> Option<(String, String, Option<bool>, bool)> {
        of(&[(TraceHeader::B3, value)])
    }

    #[test]
    fn one_header_is_read() {
        let ids = |trace: &str, sampled, debug| Some((trace.to_owned(), SPAN.to_owned(), sampled, debug));
        assert_eq!(one(&format!("{WIDE}-{SPAN}")), ids(WIDE, None, false));
        assert_eq!(one(&format!("{WIDE}-{SPAN}-1")), ids(WIDE, Some(true), false));
        assert_eq!(one(&format!("{WIDE}-{SPAN}-0")), ids(WIDE, Some(false), false));
        assert_eq!(one(&format!("{WIDE}-{SPAN}-d")), ids(WIDE, Some(true), true));
        assert_eq!(
            one(&format!("{NARROW}-{SPAN}-1-{PARENT}")),
            ids(NARROW, Some(true), false)
        );
        let alone = |sampled, debug| Some((String::new(), String::new(), Some(sampled), debug));
        assert_eq!(one("0"), alone(false, false));
        assert_eq!(one("1"), alone(true, false));
        assert_eq!(one("d"), alone(true, true));
    }

    #[test]
    fn what_is_malformed_is_no_context() {
        for value in [
            "",
            "2",
            "-",
            SPAN,
            &format!("{WIDE}-"),
            &format!("{WIDE}-{SPAN}-2"),
            &format!("{WIDE}-{SPAN}-"),
            &format!("{WIDE}-{SPAN}-1-{PARENT}-1"),
            &format!("{WIDE}-{SPAN}-1-{}", &PARENT[1..]),
            &format!("{WIDE}-{}-1", &SPAN[1..]),
            &format!("{}-{SPAN}-1", &WIDE[1..]),
            &format!("{}-{SPAN}-1", WIDE.to_uppercase()),
            &format!("{}-{SPAN}-1", "0".repeat(32)),
            &format!("{WIDE}-{}-1", "0".repeat(16)),
        ] {
            assert_eq!(one(value), None, "{value}");
        }
        let twice = format!("{WIDE}-{SPAN}-1");
        assert_eq!(of(&[(TraceHeader::B3, &twice), (TraceHeader::B3, &twice)]), None);
    }

    #[test]
    fn several_headers_are_read_where_the_one_says_nothing() {
        use TraceHeader::{B3, B3Flags, B3ParentSpanId, B3Sampled, B3SpanId, B3TraceId};
        let ids = |trace: &str, sampled, debug| Some((trace.to_owned(), SPAN.to_owned(), sampled, debug));
        let with = |more: &[(TraceHeader, &str)]| {
            let mut fields = vec![(B3TraceId, WIDE), (B3SpanId, SPAN), (B3ParentSpanId, PARENT)];
            fields.extend_from_slice(more);
            of(&fields)
        };
        assert_eq!(with(&[]), ids(WIDE, None, false));
        assert_eq!(with(&[(B3Sampled, "1")]), ids(WIDE, Some(true), false));
        assert_eq!(with(&[(B3Sampled, "true")]), ids(WIDE, Some(true), false));
        assert_eq!(with(&[(B3Sampled, "0")]), ids(WIDE, Some(false), false));
        assert_eq!(
            with(&[(B3Sampled, "false"), (B3Flags, "1")]),
            ids(WIDE, Some(true), true)
        );
        assert_eq!(with(&[(B3, "nonsense")]), ids(WIDE, None, false));
        assert_eq!(
            with(&[(B3, &format!("{NARROW}-{SPAN}-0"))]),
            ids(NARROW, Some(false), false)
        );
        assert_eq!(
            of(&[(B3TraceId, NARROW), (B3SpanId, SPAN)]),
            ids(NARROW, None, false)
        );
        assert_eq!(of(&[(B3TraceId, WIDE)]), None);
        assert_eq!(
            of(&[(B3TraceId, WIDE), (B3TraceId, WIDE), (B3SpanId, SPAN)]),
            None
        );
        let alone = Some((String::new(), String::new(), Some(false), false));
        assert_eq!(of(&[(B3Sampled, "0")]), alone);
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn what_is_written_is_read() {
        let context = |trace: u128, sampled, debug, parent: Option<u64>| OutgoingContext {
            trace_id: TraceId::new(trace).unwrap(),
            span_id: SpanId::new(0xe457_b5a2_e4d8_6bd1).unwrap(),
            parent: parent.and_then(SpanId::new),
            sampled,
            random: true,
            debug,
            priority: None,
        };
        let wide = u128::from_str_radix(WIDE, 16).unwrap();
        let narrow = u128::from_str_radix(NARROW, 16).unwrap();
        let single = |context: &OutgoingContext| {
            let mut listed = Listed::default();
            inject_single(context, &mut listed);
            listed.text(TraceHeader::B3).unwrap().to_owned()
        };
        assert_eq!(
            single(&context(wide, true, false, None)),
            format!("{WIDE}-{SPAN}-1")
        );
        assert_eq!(
            single(&context(wide, true, true, None)),
            format!("{WIDE}-{SPAN}-d")
        );
        assert_eq!(
            single(&context(narrow, false, false, Some(0x05e3_ac9a_4f6e_3b90))),
            format!("{NARROW}-{SPAN}-0-{PARENT}")
        );
        for (trace, sampled, debug) in [(wide, true, false), (narrow, false, false), (wide, true, true)] {
            for parent in [None, Some(7)] {
                let context = context(trace, sampled, debug, parent);
                let told_then = Some((format!("{trace:x}"), SPAN.to_owned(), Some(sampled), debug));
                // What came before leaves nothing behind.
                let mut listed = Listed::of(&SEVERAL.map(|header| (header, "1")));
                inject_several(&context, &mut listed);
                assert_eq!(told(extract(&listed)), told_then);
                assert_eq!(
                    listed.text(TraceHeader::B3ParentSpanId).is_some(),
                    parent.is_some()
                );
                inject_single(&context, &mut listed);
                for header in SEVERAL {
                    listed.remove(header);
                }
                assert_eq!(told(extract(&listed)), told_then);
            }
        }
    }
}
