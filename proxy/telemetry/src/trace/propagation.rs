//! Contexts between headers and requests: which formats are read, in which order, and which are written.

use super::headers::{Carrier, TraceHeader};
use super::ids::{SpanId, TraceId};
use super::w3c::Traceparent;
use super::{b3, datadog, tracestate};

/// A format in which contexts come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// `traceparent` and `tracestate`.
    W3c,
    /// `b3`, or `x-b3-traceid` and its like.
    B3,
    /// `x-datadog-trace-id` and its like.
    Datadog,
}

/// A format in which contexts go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WrittenFormat {
    /// `traceparent` and `tracestate`.
    W3c,
    /// B3 in one header.
    B3,
    /// B3 in several.
    B3Multi,
    /// `x-datadog-trace-id` and its like.
    Datadog,
}

/// What a request says of the trace that it belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extracted {
    /// The trace; None: it says none, or none that can be read.
    pub trace_id: Option<TraceId>,
    /// The span of whoever sent it.
    pub parent: Option<SpanId>,
    /// Whether it keeps its spans; None: it leaves that open.
    pub sampled: Option<bool>,
    /// It says that the trace id is random.
    pub random: bool,
    /// It is a debug trace of B3.
    pub debug: bool,
    /// The priority that Datadog's headers gave it, -128 to 127.
    pub priority: Option<i8>,
    /// The format of the trace id.
    pub format: Option<Format>,
}

impl Extracted {
    pub(super) fn of_decision(state: b3::State) -> Extracted {
        Extracted {
            sampled: state.sampled,
            debug: state.debug,
            ..Extracted::default()
        }
    }

    /// Leaves open what was decided.
    pub(super) fn forget_decision(&mut self) {
        self.sampled = None;
        self.debug = false;
        self.priority = None;
    }

    pub(super) fn with_ids(self, trace_id: TraceId, parent: Option<SpanId>, format: Format) -> Extracted {
        Extracted {
            trace_id: Some(trace_id),
            parent,
            format: Some(format),
            ..self
        }
    }
}

/// What the next hop is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutgoingContext {
    /// The trace.
    pub trace_id: TraceId,
    /// The span that the request is sent in.
    pub span_id: SpanId,
    /// That span's parent, which only B3 tells.
    pub parent: Option<SpanId>,
    /// Its spans are kept.
    pub sampled: bool,
    /// The trace id is random.
    pub random: bool,
    /// It is a debug trace of B3.
    pub debug: bool,
    /// The priority that Datadog's headers gave it.
    pub priority: Option<i8>,
}

/// Which formats are read and written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Propagation {
    extract: Box<[Format]>,
    inject: Box<[WrittenFormat]>,
    /// Headers that would tell of another parent than the one that is told: those of formats that are read or
    /// written here, but for those that are written anew.
    stale: Box<[TraceHeader]>,
    writes_tracestate: bool,
}

impl Propagation {
    /// `extract`: the formats that are read; the first in which there is a context is believed. `inject`: those that are
    /// written, all of them.
    pub fn new(extract: &[Format], inject: &[WrittenFormat]) -> Propagation {
        let concerns = |format: Format| {
            let is_of = |written: &WrittenFormat| match written {
                WrittenFormat::W3c => format == Format::W3c,
                WrittenFormat::B3 | WrittenFormat::B3Multi => format == Format::B3,
                WrittenFormat::Datadog => format == Format::Datadog,
            };
            extract.contains(&format) || inject.iter().any(is_of)
        };
        let mut stale = Vec::new();
        let writes = |format| inject.contains(&format);
        if concerns(Format::W3c) && !writes(WrittenFormat::W3c) {
            stale.extend([TraceHeader::Traceparent, TraceHeader::Tracestate]);
        }
        if concerns(Format::B3) && !writes(WrittenFormat::B3) {
            stale.push(TraceHeader::B3);
        }
        if concerns(Format::B3) && !writes(WrittenFormat::B3Multi) {
            stale.extend(b3::SEVERAL);
        }
        if concerns(Format::Datadog) && !writes(WrittenFormat::Datadog) {
            stale.extend(datadog::HEADERS);
        }
        Propagation {
            extract: extract.into(),
            inject: inject.into(),
            stale: stale.into(),
            writes_tracestate: writes(WrittenFormat::W3c),
        }
    }

    /// Reads the context of a request, and takes off what must not go on: headers of formats that are read and not
    /// written, and a `tracestate` that is malformed or belongs to no trace that goes on.
    pub fn take(&self, carrier: &mut dyn Carrier) -> Extracted {
        let extracted = self.extract(carrier);
        for header in &self.stale {
            carrier.remove(*header);
        }
        if self.writes_tracestate {
            match extracted.format {
                Some(Format::W3c) => tracestate::clean(carrier),
                _ => carrier.remove(TraceHeader::Tracestate),
            }
        }
        extracted
    }

    fn extract(&self, carrier: &dyn Carrier) -> Extracted {
        let mut decided = None;
        for format in &self.extract {
            let extracted = match format {
                Format::W3c => w3c(carrier),
                Format::B3 => b3::extract(carrier),
                Format::Datadog => datadog::extract(carrier),
            };
            match extracted {
                Some(extracted) if extracted.trace_id.is_some() => return extracted,
                // Whether it is sampled, and no more: another format may say which trace it is.
                Some(extracted) => decided = decided.or(Some(extracted)),
                None => {}
            }
        }
        decided.unwrap_or_default()
    }

    /// Writes the context of what is sent now, in place of what was written before.
    pub fn inject(&self, context: &OutgoingContext, carrier: &mut dyn Carrier) {
        for format in &self.inject {
            match format {
                WrittenFormat::W3c => {
                    let traceparent = Traceparent {
                        trace_id: context.trace_id,
                        parent: context.span_id,
                        sampled: context.sampled,
                        random: context.random,
                    };
                    carrier.set(TraceHeader::Traceparent, &traceparent.write());
                }
                WrittenFormat::B3 => b3::inject_single(context, carrier),
                WrittenFormat::B3Multi => b3::inject_several(context, carrier),
                WrittenFormat::Datadog => datadog::inject(context, carrier),
            }
        }
    }
}

/// A `traceparent` that is there twice begins a trace anew.
fn w3c(carrier: &dyn Carrier) -> Option<Extracted> {
    let traceparent = Traceparent::parse(carrier.only(TraceHeader::Traceparent)?)?;
    let extracted = Extracted {
        sampled: Some(traceparent.sampled),
        random: traceparent.random,
        ..Extracted::default()
    };
    Some(extracted.with_ids(traceparent.trace_id, Some(traceparent.parent), Format::W3c))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::headers::Listed;
    use TraceHeader::{
        B3, B3Sampled, B3SpanId, B3TraceId, DatadogParentId, DatadogTraceId, Traceparent, Tracestate,
    };

    const W3C: &str = "00-12345678901234567890123456789012-1234567890123456-01";
    const SINGLE: &str = "00000000000000aa-00000000000000bb-0";

    fn everything() -> Listed {
        Listed::of(&[
            (Traceparent, W3C),
            (Tracestate, "foo=1"),
            (B3, SINGLE),
            (B3TraceId, "00000000000000ab"),
            (B3SpanId, "00000000000000bb"),
            (DatadogTraceId, "172"),
            (DatadogParentId, "1"),
        ])
    }

    #[test]
    fn the_first_format_with_a_context_is_believed() {
        let low = |extract: &[Format], mut listed: Listed| {
            let taken = Propagation::new(extract, &[]).take(&mut listed);
            taken.trace_id.map(|id| id.low() & 0xffff)
        };
        assert_eq!(low(&[Format::W3c, Format::B3], everything()), Some(0x9012));
        assert_eq!(low(&[Format::B3, Format::W3c], everything()), Some(0xaa));
        assert_eq!(low(&[Format::Datadog, Format::W3c], everything()), Some(172));
        assert_eq!(low(&[], everything()), None);
        let mut malformed = everything();
        malformed.set(Traceparent, b"00-x");
        malformed.set(B3, b"x");
        assert_eq!(low(&[Format::W3c, Format::B3], malformed), Some(0xab));
        let mut twice = everything();
        twice.0.push((Traceparent, W3C.to_owned()));
        assert_eq!(low(&[Format::W3c], twice.clone()), None);
        assert_eq!(low(&[Format::W3c, Format::Datadog], twice), Some(172));
    }

    #[test]
    fn a_decision_without_ids_is_used_where_no_format_has_ids() {
        let propagation = Propagation::new(&[Format::B3, Format::W3c], &[]);
        let mut denied = Listed::of(&[(B3Sampled, "0")]);
        let taken = propagation.take(&mut denied);
        assert_eq!((taken.trace_id, taken.sampled), (None, Some(false)));
        let mut both = Listed::of(&[(B3, "0"), (Traceparent, W3C)]);
        assert_eq!(propagation.take(&mut both).sampled, Some(true));
    }

    #[test]
    fn no_header_is_left_that_names_another_parent() {
        let left = |extract: &[Format], inject: &[WrittenFormat]| {
            let mut listed = everything();
            Propagation::new(extract, inject).take(&mut listed);
            listed.0.into_iter().map(|(header, _)| header).collect::<Vec<_>>()
        };
        let of_b3 = [B3TraceId, B3SpanId];
        let of_datadog = [DatadogTraceId, DatadogParentId];
        // What is neither read nor written is others' business.
        assert_eq!(
            left(&[Format::W3c], &[WrittenFormat::W3c]),
            [&[Traceparent, Tracestate, B3][..], &of_b3, &of_datadog].concat()
        );
        assert_eq!(
            left(&[Format::B3], &[WrittenFormat::B3]),
            [&[Traceparent, Tracestate, B3][..], &of_datadog].concat()
        );
        assert_eq!(
            left(
                &[Format::W3c, Format::B3, Format::Datadog],
                &[WrittenFormat::B3Multi]
            ),
            of_b3
        );
        // A trace that begins here, or came by another format, has no state of W3C.
        assert_eq!(
            left(&[], &[WrittenFormat::W3c]),
            [&[Traceparent, B3][..], &of_b3, &of_datadog].concat()
        );
        assert_eq!(
            left(&[Format::B3], &[WrittenFormat::W3c]),
            [&[Traceparent][..], &of_datadog].concat()
        );
        assert_eq!(left(&[], &[]).len(), everything().0.len());
    }

    #[test]
    fn all_formats_are_written_in_place_of_what_was() {
        let mut listed = everything();
        let all = [
            WrittenFormat::W3c,
            WrittenFormat::B3,
            WrittenFormat::B3Multi,
            WrittenFormat::Datadog,
        ];
        let propagation = Propagation::new(&[Format::W3c], &all);
        let taken = propagation.take(&mut listed);
        let context = OutgoingContext {
            trace_id: taken.trace_id.unwrap(),
            span_id: SpanId::new(0xff).unwrap(),
            parent: None,
            sampled: true,
            random: taken.random,
            debug: false,
            priority: None,
        };
        propagation.inject(&context, &mut listed);
        propagation.inject(&context, &mut listed);
        assert_eq!(
            listed.text(Traceparent),
            Some("00-12345678901234567890123456789012-00000000000000ff-01")
        );
        assert_eq!(listed.text(Tracestate), Some("foo=1"));
        for format in [Format::W3c, Format::B3, Format::Datadog] {
            let read = Propagation::new(&[format], &[]).extract(&listed);
            assert_eq!(
                (read.trace_id, read.parent),
                (taken.trace_id, SpanId::new(0xff)),
                "{format:?}"
            );
            assert_eq!(read.sampled, Some(true));
        }
        for header in TraceHeader::ALL {
            assert!(
                listed.0.iter().filter(|(name, _)| *name == header).count() <= 1,
                "{header:?}"
            );
        }
    }
}
