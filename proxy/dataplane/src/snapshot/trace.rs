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

/// What a virtual host or a route changes.
#[derive(Debug)]
pub(crate) enum RouteTracing {
    /// Requests are not traced.
    Off,
    Changed {
        sampler: Option<SamplerChange>,
        span_name: Option<HeaderValue>,
    },
}

impl RouteTracing {
    /// What holds for a route: what it says, and of the rest what its virtual host does.
    pub(crate) fn of_route(
        config: Option<&model::RouteTracing>,
        host: Option<&Arc<RouteTracing>>,
    ) -> Option<Arc<RouteTracing>> {
        let Some(config) = config else {
            return host.cloned();
        };
        let mut own = RouteTracing::compile(config);
        if let RouteTracing::Changed { sampler, span_name } = &mut own
            && let Some(RouteTracing::Changed {
                sampler: of_host,
                span_name: name_of_host,
            }) = host.map(Arc::as_ref)
        {
            if let Some(of_host) = of_host {
                *sampler = Some(sampler.take().unwrap_or_default().or(of_host));
            }
            if span_name.is_none() {
                span_name.clone_from(name_of_host);
            }
        }
        Some(Arc::new(own))
    }

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

#[cfg(test)]
mod tests {
    use super::*;
    use outrigger_config::{Environment, Source, load};

    /// What holds for a route of these words in a virtual host of those.
    fn together(host: &str, route: &str) -> Option<Arc<RouteTracing>> {
        let text = format!(
            "route_configurations: [{{name: r, virtual_hosts: [{{name: v, {host}domains: ['*'], routes: [\
             {{{route}match: {{prefix: /}}, direct_response: {{status: 200}}}}]}}]}}]\n"
        );
        let name = String::new();
        let config = load(&Source { name, text }, &Environment::empty())
            .unwrap()
            .config;
        let host = &config.route_configurations()[0].virtual_hosts()[0];
        let of_host = host.tracing().as_ref().map(RouteTracing::compile).map(Arc::new);
        RouteTracing::of_route(host.routes()[0].tracing().as_ref(), of_host.as_ref())
    }

    #[test]
    fn a_route_says_more_than_its_virtual_host() {
        let off = |both: Option<Arc<RouteTracing>>| matches!(both.as_deref(), Some(RouteTracing::Off));
        assert!(together("", "").is_none());
        assert!(off(together("tracing: off, ", "")));
        assert!(off(together("tracing: {span_name: a}, ", "tracing: off, ")));
        // It is traced after all.
        assert!(!off(together("tracing: off, ", "tracing: {span_name: a}, ")));
        let both = together(
            "tracing: {span_name: a, sampling: {percent: 5, traces_per_second: 7}}, ",
            "tracing: {sampling: {parent: ignore, percent: 6}}, ",
        );
        let Some(RouteTracing::Changed {
            sampler: Some(sampler),
            span_name,
        }) = both.as_deref()
        else {
            panic!("{both:?}")
        };
        assert_eq!(sampler.parent, Some(ParentRule::Ignore));
        assert_eq!(sampler.ratio, Some(Ratio::per_million(60_000)));
        assert!(matches!(sampler.rate, Some(Some(_))));
        assert_eq!(span_name, &Some(HeaderValue::Text("a".to_owned())));
    }

    #[test]
    fn routes_share_their_virtual_host_s_rate() {
        let host = model_rate();
        let rates = [None, Some("a")].map(|name| {
            let own = name.map(|name| model::RouteTracing::Changed {
                sampling: None,
                span_name: Some(HeaderValue::Text(name.to_owned())),
            });
            match RouteTracing::of_route(own.as_ref(), Some(&host)).as_deref() {
                Some(RouteTracing::Changed {
                    sampler: Some(sampler),
                    ..
                }) => sampler.rate.clone().flatten().expect("it is the host's"),
                other => panic!("{other:?}"),
            }
        });
        assert!(Arc::ptr_eq(&rates[0], &rates[1]));
    }

    fn model_rate() -> Arc<RouteTracing> {
        together("tracing: {sampling: {traces_per_second: 7}}, ", "").expect("it says something")
    }
}
