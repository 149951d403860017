//! Datadog's headers: ids in decimal, of the trace id the low 64 bits; the high ones stand among the tags. `x-datadog-origin`
//! is passed on untouched, and so are the tags that are others' business.

use super::headers::{Carrier, TraceHeader};
use super::hex;
use super::ids::{SpanId, TraceId};
use super::propagation::{Extracted, Format, OutgoingContext};

/// What a context is written in.
pub(super) const HEADERS: [TraceHeader; 4] = [
    TraceHeader::DatadogTraceId,
    TraceHeader::DatadogParentId,
    TraceHeader::DatadogSamplingPriority,
    TraceHeader::DatadogTags,
];

/// The tag with the high 64 bits of the trace id, in 16 digits.
const HIGH_BITS: &[u8] = b"_dd.p.tid=";

/// The digits of the greatest number of 64 bits.
const DECIMAL_MAX: usize = 20;

/// Reads a context. A priority above zero keeps the trace, any other drops it; without one nothing is decided.
pub(super) fn extract(carrier: &dyn Carrier) -> Option<Extracted> {
    let low = decimal(carrier.only(TraceHeader::DatadogTraceId)?)?;
    if low == 0 {
        return None;
    }
    // Whoever starts a trace may have no span of its own, which is 0.
    let parent = match carrier.only(TraceHeader::DatadogParentId) {
        Some(text) => SpanId::new(decimal(text)?),
        None => None,
    };
    let priority = carrier
        .only(TraceHeader::DatadogSamplingPriority)
        .and_then(|text| std::str::from_utf8(text).ok()?.parse::<i8>().ok());
    let high = carrier
        .only(TraceHeader::DatadogTags)
        .and_then(high_bits)
        .unwrap_or(0);
    let trace_id = TraceId::new(u128::from(high) << 64 | u128::from(low))?;
    let extracted = Extracted {
        sampled: priority.map(|priority| priority > 0),
        priority,
        ..Extracted::default()
    };
    Some(extracted.with_ids(trace_id, parent, Format::Datadog))
}

/// Writes a context. The priority that came stays if it says the same: a person's decision (2, -1) goes on as one.
pub(super) fn inject(context: &OutgoingContext, carrier: &mut dyn Carrier) {
    let mut text = [0; DECIMAL_MAX];
    carrier.set(
        TraceHeader::DatadogTraceId,
        write_decimal(context.trace_id.low(), &mut text),
    );
    carrier.set(
        TraceHeader::DatadogParentId,
        write_decimal(context.span_id.get(), &mut text),
    );
    let priority: &[u8] = match (context.sampled, context.priority) {
        (true, Some(2)) => b"2",
        (true, _) => b"1",
        (false, Some(-1)) => b"-1",
        (false, _) => b"0",
    };
    carrier.set(TraceHeader::DatadogSamplingPriority, priority);
    let high = context.trace_id.high();
    let tags = carrier.only(TraceHeader::DatadogTags);
    if tags.map_or(0, |tags| high_bits(tags).unwrap_or(0)) != high
        || carrier.first(TraceHeader::DatadogTags) != tags
    {
        write_tags(high, carrier);
    }
}

/// Puts the high bits among the tags, in place of what was there.
fn write_tags(high: u64, carrier: &mut dyn Carrier) {
    let mut tags = Vec::new();
    if high != 0 {
        tags.extend_from_slice(HIGH_BITS);
        tags.extend_from_slice(&hex::digits(high));
    }
    carrier.each(TraceHeader::DatadogTags, &mut |value| {
        for tag in value.split(|byte| *byte == b',') {
            if tag.is_empty() || tag.starts_with(HIGH_BITS) {
                continue;
            }
            if !tags.is_empty() {
                tags.push(b',');
            }
            tags.extend_from_slice(tag);
        }
    });
    if tags.is_empty() {
        carrier.remove(TraceHeader::DatadogTags);
    } else {
        carrier.set(TraceHeader::DatadogTags, &tags);
    }
}

fn high_bits(tags: &[u8]) -> Option<u64> {
    let mut tags = tags.split(|byte| *byte == b',');
    let digits = tags.find_map(|tag| tag.strip_prefix(HIGH_BITS))?;
    (digits.len() == 16).then(|| hex::parse(digits))?
}

/// Nothing but digits, and no more than fit.
fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn write_decimal(mut number: u64, text: &mut [u8; DECIMAL_MAX]) -> &[u8] {
    let mut start = DECIMAL_MAX;
    loop {
        start -= 1;
        text[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return &text[start..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::headers::Listed;
    use TraceHeader::{DatadogParentId, DatadogSamplingPriority, DatadogTags, DatadogTraceId};

    fn context(trace: u128, sampled: bool, priority: Option<i8>) -> OutgoingContext {
        OutgoingContext {
            trace_id: TraceId::new(trace).unwrap(),
            span_id: SpanId::new(u64::MAX).unwrap(),
            parent: None,
            sampled,
            random: false,
            debug: false,
            priority,
        }
    }

    #[test]
    fn a_context_is_read() {
        let extracted = extract(&Listed::of(&[
            (DatadogTraceId, "18446744073709551615"),
            (DatadogParentId, "1"),
            (DatadogSamplingPriority, "2"),
            (DatadogTags, "_dd.p.dm=-4,_dd.p.tid=640cfd8d00000000"),
        ]))
        .unwrap();
        assert_eq!(
            extracted.trace_id.unwrap().to_string(),
            "640cfd8d00000000ffffffffffffffff"
        );
        assert_eq!(extracted.parent.unwrap().get(), 1);
        assert_eq!((extracted.sampled, extracted.priority), (Some(true), Some(2)));

        let narrow = extract(&Listed::of(&[(DatadogTraceId, "7"), (DatadogParentId, "0")])).unwrap();
        assert_eq!((narrow.trace_id.unwrap().get(), narrow.parent), (7, None));
        assert_eq!(narrow.sampled, None);
        for (text, sampled) in [
            ("-1", Some(false)),
            ("0", Some(false)),
            ("1", Some(true)),
            ("x", None),
        ] {
            let extracted = extract(&Listed::of(&[
                (DatadogTraceId, "7"),
                (DatadogSamplingPriority, text),
            ]))
            .unwrap();
            assert_eq!(extracted.sampled, sampled, "{text}");
        }
        // Tags that say nothing leave an id of 64 bits.
        for tags in ["_dd.p.tid=640c", "_dd.p.tid=640CFD8D00000000", "x=1"] {
            let extracted = extract(&Listed::of(&[(DatadogTraceId, "7"), (DatadogTags, tags)])).unwrap();
            assert_eq!(extracted.trace_id.unwrap().get(), 7);
        }
    }

    #[test]
    fn what_is_malformed_is_no_context() {
        for trace in ["", "0", "+1", "-1", "1.0", "a", "18446744073709551616"] {
            assert!(
                extract(&Listed::of(&[(DatadogTraceId, trace)])).is_none(),
                "{trace}"
            );
        }
        assert!(extract(&Listed::of(&[(DatadogTraceId, "1"), (DatadogTraceId, "1")])).is_none());
        assert!(extract(&Listed::of(&[(DatadogTraceId, "1"), (DatadogParentId, "x")])).is_none());
        assert!(extract(&Listed::default()).is_none());
    }

    #[test]
    fn what_is_written_is_read() {
        for trace in [7, u128::MAX, u128::from(u64::MAX), 1 << 64 | 10] {
            for (sampled, came, priority) in [
                (true, None, "1"),
                (true, Some(2), "2"),
                (true, Some(0), "1"),
                (false, None, "0"),
                (false, Some(-1), "-1"),
                (false, Some(2), "0"),
            ] {
                // Tags of before: those of another trace go, those of others stay.
                let mut listed = Listed::of(&[(DatadogTags, "_dd.p.dm=-4,_dd.p.tid=00000000000000aa")]);
                inject(&context(trace, sampled, came), &mut listed);
                assert_eq!(listed.text(DatadogSamplingPriority), Some(priority));
                assert_eq!(listed.text(DatadogParentId), Some("18446744073709551615"));
                assert!(listed.text(DatadogTags).unwrap().contains("_dd.p.dm=-4"));
                let read = extract(&listed).unwrap();
                assert_eq!(read.trace_id.unwrap().get(), trace);
                assert_eq!(read.parent.unwrap().get(), u64::MAX);
            }
        }
        let mut listed = Listed::of(&[(DatadogTags, "_dd.p.tid=00000000000000aa")]);
        inject(&context(7, true, None), &mut listed);
        assert_eq!(listed.text(DatadogTags), None);
    }
}
