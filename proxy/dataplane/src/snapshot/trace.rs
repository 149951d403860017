//! Compiled tracing: what a request's trace is read from, decided by, written to and sent to.

use outrigger_config::model::{self, HeaderValue, ParentSampling, TraceFormat, WrittenTraceFormat};
use outrigger_telemetry::trace::{
    FinishedSpan, Format, ParentRule, Propagation, Ratio, Sampler, SamplerChange, SpanSink, SpanSinks,
    TailRule, TraceRate, WrittenFormat,
};
use std::sync::Arc;
use std::time::Instant;

/// The tracing of a filter chain.
#[derive(Debug)]
pub(crate) struct TracingPolicy {
    pub(crate) config: Arc<model::Tracing>,
    pub(crate) propagation: Propagation,
    /// Decides about requests of routes that do not say otherwise.
    pub(crate) sampler: Sampler,
    pub(crate) tail: TailRule,
    pub(crate) sink: Arc<dyn SpanSink>,
    /// What rates count from.
    pub(crate) epoch: Instant,
}

impl TracingPolicy {
    pub(crate) fn compile(
        config: &Arc<model::Tracing>,
        sinks: Option<&dyn SpanSinks>,
        epoch: Instant,
    ) -> TracingPolicy {
        let extract: Vec<Format> = config.extract().iter().map(|format| read(*format)).collect();
        let inject: Vec<WrittenFormat> = config.inject().iter().map(|format| written(*format)).collect();
        TracingPolicy {
            propagation: Propagation::new(&extract, &inject),
            sampler: sampler(config.sampling()),
            tail: TailRule {
                errors: config.keep_errors(),
                slow: config.keep_slow(),
            },
            sink: match sinks {
                Some(sinks) => sinks.spans(config.collector().as_str()),
                None => Arc::new(Nowhere),
            },
            config: Arc::clone(config),
            epoch,
        }
    }
}

/// What a route changes.
#[derive(Debug)]
pub(crate) enum RouteTracing {
    /// Its requests are not traced.
    Off,
    Changed {
        sampler: Option<SamplerChange>,
        span_name: Option<HeaderValue>,
    },
}

impl RouteTracing {
    pub(crate) fn compile(config: &model::RouteTracing) -> RouteTracing {
        match config {
            model::RouteTracing::Off => RouteTracing::Off,
            model::RouteTracing::Changed { sampling, span_name } => RouteTracing::Changed {
                sampler: sampling.map(sampler_change),
                span_name: span_name.clone(),
            },
        }
    }
}

/// Spans of configurations that are only looked at.
#[derive(Debug)]
struct Nowhere;

impl SpanSink for Nowhere {
    fn try_send(&self, _: Vec<FinishedSpan>) {}
}

fn sampler(sampling: model::TraceSampling) -> Sampler {
    Sampler {
        parent: rule(sampling.parent()),
        ratio: Ratio::per_million(sampling.fraction().parts_per_million()),
        rate: rate(sampling.traces_per_second()),
    }
}

fn sampler_change(sampling: model::RouteTraceSampling) -> SamplerChange {
    SamplerChange {
        parent: sampling.parent().map(rule),
        ratio: sampling
            .fraction()
            .map(|share| Ratio::per_million(share.parts_per_million())),
        rate: sampling.traces_per_second().map(rate),
    }
}

fn rule(parent: ParentSampling) -> ParentRule {
    match parent {
        ParentSampling::Follow => ParentRule::Follow,
        ParentSampling::FollowBelieved => ParentRule::FollowTrusted,
        ParentSampling::Ignore => ParentRule::Ignore,
    }
}

fn rate(traces_per_second: Option<u32>) -> Option<Arc<TraceRate>> {
    traces_per_second.map(|traces| Arc::new(TraceRate::per_second(traces)))
}

fn read(format: TraceFormat) -> Format {
    match format {
        TraceFormat::W3c => Format::W3c,
        TraceFormat::B3 => Format::B3,
        TraceFormat::Datadog => Format::Datadog,
    }
}

fn written(format: WrittenTraceFormat) -> WrittenFormat {
    match format {
        WrittenTraceFormat::W3c => WrittenFormat::W3c,
        WrittenTraceFormat::B3 => WrittenFormat::B3,
        WrittenTraceFormat::B3Multi => WrittenFormat::B3Multi,
        WrittenTraceFormat::Datadog => WrittenFormat::Datadog,
    }
}
