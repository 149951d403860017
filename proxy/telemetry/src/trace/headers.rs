//! The headers that contexts are read from and written to.

/// A header of a trace context.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TraceHeader {
    /// `traceparent`, of W3C.
    Traceparent,
    /// `tracestate`, of W3C.
    Tracestate,
    /// `b3`: all of B3 in one.
    B3,
    /// `x-b3-traceid`
    B3TraceId,
    /// `x-b3-spanid`
    B3SpanId,
    /// `x-b3-parentspanid`
    B3ParentSpanId,
    /// `x-b3-sampled`
    B3Sampled,
    /// `x-b3-flags`
    B3Flags,
    /// `x-datadog-trace-id`
    DatadogTraceId,
    /// `x-datadog-parent-id`
    DatadogParentId,
    /// `x-datadog-sampling-priority`
    DatadogSamplingPriority,
    /// `x-datadog-tags`
    DatadogTags,
}

impl TraceHeader {
    /// All of them.
    pub const ALL: [TraceHeader; 12] = [
        TraceHeader::Traceparent,
        TraceHeader::Tracestate,
        TraceHeader::B3,
        TraceHeader::B3TraceId,
        TraceHeader::B3SpanId,
        TraceHeader::B3ParentSpanId,
        TraceHeader::B3Sampled,
        TraceHeader::B3Flags,
        TraceHeader::DatadogTraceId,
        TraceHeader::DatadogParentId,
        TraceHeader::DatadogSamplingPriority,
        TraceHeader::DatadogTags,
    ];

    /// The name in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            TraceHeader::Traceparent => "traceparent",
            TraceHeader::Tracestate => "tracestate",
            TraceHeader::B3 => "b3",
            TraceHeader::B3TraceId => "x-b3-traceid",
            TraceHeader::B3SpanId => "x-b3-spanid",
            TraceHeader::B3ParentSpanId => "x-b3-parentspanid",
            TraceHeader::B3Sampled => "x-b3-sampled",
            TraceHeader::B3Flags => "x-b3-flags",
            TraceHeader::DatadogTraceId => "x-datadog-trace-id",
            TraceHeader::DatadogParentId => "x-datadog-parent-id",
            TraceHeader::DatadogSamplingPriority => "x-datadog-sampling-priority",
            TraceHeader::DatadogTags => "x-datadog-tags",
        }
    }
}

/// A request's head, as contexts are read from it and written to it. Values have no whitespace around them.
pub trait Carrier {
    /// The first value of this header.
    fn first(&self, header: TraceHeader) -> Option<&[u8]>;

    /// Shows each value of this header, in order.
    fn each(&self, header: TraceHeader, see: &mut dyn FnMut(&[u8]));

    /// Makes this the one field of its name.
    fn set(&mut self, header: TraceHeader, value: &[u8]);

    /// Drops all fields of this name.
    fn remove(&mut self, header: TraceHeader);

    /// The value, where there is exactly one.
    fn only(&self, header: TraceHeader) -> Option<&[u8]>;
}

/// Fields in order, for tests.
#[cfg(test)]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Listed(pub(super) Vec<(TraceHeader, String)>);

#[cfg(test)]
impl Listed {
    pub(super) fn of(fields: &[(TraceHeader, &str)]) -> Listed {
        Listed(
            fields
                .iter()
                .map(|(name, value)| (*name, (*value).to_owned()))
                .collect(),
        )
    }

    pub(super) fn text(&self, header: TraceHeader) -> Option<&str> {
        self.first(header)
            .map(|value| std::str::from_utf8(value).unwrap())
    }
}

#[cfg(test)]
impl Carrier for Listed {
    fn first(&self, header: TraceHeader) -> Option<&[u8]> {
        let (_, value) = self.0.iter().find(|(name, _)| *name == header)?;
        Some(value.as_bytes())
    }

    fn each(&self, header: TraceHeader, see: &mut dyn FnMut(&[u8])) {
        for (_, value) in self.0.iter().filter(|(name, _)| *name == header) {
            see(value.as_bytes());
        }
    }

    fn only(&self, header: TraceHeader) -> Option<&[u8]> {
        let mut values = self.0.iter().filter(|(name, _)| *name == header);
        let (_, first) = values.next()?;
        values.next().is_none().then_some(first.as_bytes())
    }

    fn set(&mut self, header: TraceHeader, value: &[u8]) {
        self.remove(header);
        self.0.push((header, String::from_utf8(value.to_vec()).unwrap()));
    }

    fn remove(&mut self, header: TraceHeader) {
        self.0.retain(|(name, _)| *name != header);
    }
}
