//! Tracing.

use super::super::{valid, with_chain, with_route};
use crate::model::{
    HeaderValue, HeaderValuePart, ParentSampling, RouteTracing, TraceFormat, TraceSampling, Tracing,
    WrittenTraceFormat, defaults,
};
use crate::to_yaml;
use std::time::Duration;

const COLLECTOR: &str = "telemetry: {collectors: [{name: o, endpoint: 'http://127.0.0.1:4317'}]}\n";

fn tracing(fields: &str) -> Option<Tracing> {
    let chain = with_chain(&format!("{{http: {{route_configuration: r, {fields}}}}}"));
    let config = valid(&(chain + COLLECTOR)).config;
    let http = config.listeners()[0].filter_chains()[0].mode().http().unwrap();
    http.tracing().as_deref().cloned()
}

fn route(fields: &str) -> Option<RouteTracing> {
    let text = with_route(&format!(
        "{{match: {{prefix: /}}, forward: {{cluster: a}}{fields}}}"
    ));
    let config = valid(&text).config;
    config.route_configurations()[0].virtual_hosts()[0].routes()[0]
        .tracing()
        .clone()
}

#[test]
fn nothing_is_traced_unless_it_is_said() {
    assert_eq!(tracing(""), None);
    assert_eq!(tracing("tracing: off"), None);
    assert_eq!(route(""), None);
}

#[test]
fn a_collector_is_enough() {
    let plain = tracing("tracing: {collector: o}").unwrap();
    assert_eq!(plain.collector().as_str(), "o");
    assert_eq!(plain.sampling(), TraceSampling::default());
    assert_eq!(plain.sampling().fraction(), defaults::TRACE_FRACTION);
    assert_eq!(plain.extract(), &[TraceFormat::W3c]);
    assert_eq!(plain.inject(), &[WrittenTraceFormat::W3c]);
    assert_eq!(
        plain.force_header().as_ref().unwrap().as_str(),
        "x-envoy-force-trace"
    );
    assert_eq!((plain.keep_errors(), plain.keep_slow()), (false, None));
    assert_eq!(plain.span_name(), &None);
    assert!(plain.attributes().is_empty());
}

#[test]
fn everything_is_as_it_is_said() {
    let full = tracing(
        "tracing: {collector: o, sampling: {parent: follow_believed, percent: 0.5, traces_per_second: 10}, \
         extract: [datadog, b3, w3c], inject: [b3_multi, datadog, b3], force_header: X-Trace, keep_errors: true, \
         keep_slow: 2s, span_name: checkout, attributes: {tenant: '%REQ(x-tenant)%', zone: a}}",
    )
    .unwrap();
    let sampling = full.sampling();
    assert_eq!(sampling.parent(), ParentSampling::FollowBelieved);
    assert_eq!(sampling.fraction().parts_per_million(), 5_000);
    assert_eq!(sampling.traces_per_second(), Some(10));
    assert_eq!(
        full.extract(),
        &[TraceFormat::Datadog, TraceFormat::B3, TraceFormat::W3c]
    );
    assert_eq!(
        full.inject(),
        &[
            WrittenTraceFormat::B3Multi,
            WrittenTraceFormat::Datadog,
            WrittenTraceFormat::B3
        ]
    );
    assert_eq!(full.force_header().as_ref().unwrap().as_str(), "x-trace");
    assert_eq!(
        (full.keep_errors(), full.keep_slow()),
        (true, Some(Duration::from_secs(2)))
    );
    assert_eq!(full.span_name(), &Some(HeaderValue::Text("checkout".into())));
    let HeaderValue::Parts(parts) = &full.attributes()["tenant"] else {
        panic!("{full:?}")
    };
    assert!(matches!(&parts[..], [HeaderValuePart::RequestHeader(name)] if name.as_str() == "x-tenant"));
    let none = tracing("tracing: {collector: o, extract: [], force_header: off, keep_slow: off}").unwrap();
    assert!(none.extract().is_empty() && none.force_header().is_none());
}

#[test]
fn virtual_hosts_change_what_routes_do_not() {
    let host = |fields: &str| {
        let text = with_route("{match: {prefix: /}, forward: {cluster: a}, tracing: {span_name: b}}");
        let text = text.replacen("domains:", &format!("{fields}domains:"), 1);
        let config = valid(&text).config;
        let again = valid(&to_yaml(&config)).config;
        assert_eq!(config.route_configurations(), again.route_configurations());
        let host = &config.route_configurations()[0].virtual_hosts()[0];
        // What they come to together is the data plane's.
        assert!(host.routes()[0].tracing().is_some());
        host.tracing().clone()
    };
    assert_eq!(host(""), None);
    assert_eq!(host("tracing: off\n    "), Some(RouteTracing::Off));
    let changed = host("tracing: {sampling: {percent: 1}, span_name: a}\n    ");
    let Some(RouteTracing::Changed {
        sampling: Some(sampling),
        span_name,
    }) = changed
    else {
        panic!("{changed:?}")
    };
    assert_eq!(span_name, Some(HeaderValue::Text("a".into())));
    assert_eq!(
        sampling.fraction().map(|share| share.parts_per_million()),
        Some(10_000)
    );
}

#[test]
fn routes_change_what_they_name() {
    assert_eq!(route(", tracing: off"), Some(RouteTracing::Off));
    let changed = route(", tracing: {sampling: {percent: 0}}");
    let Some(RouteTracing::Changed { sampling, span_name }) = changed else {
        panic!("{changed:?}")
    };
    assert_eq!(
        sampling
            .unwrap()
            .fraction()
            .map(|share| share.parts_per_million()),
        Some(0)
    );
    // What it does not say is the chain's.
    let sampling = sampling.unwrap();
    assert_eq!(
        (sampling.parent(), sampling.traces_per_second(), span_name),
        (None, None, None)
    );
    let unlimited = route(", tracing: {sampling: {parent: ignore, traces_per_second: off}}");
    let Some(RouteTracing::Changed {
        sampling: Some(sampling),
        ..
    }) = unlimited
    else {
        panic!("{unlimited:?}")
    };
    assert_eq!(sampling.parent(), Some(ParentSampling::Ignore));
    assert_eq!(
        (sampling.fraction(), sampling.traces_per_second()),
        (None, Some(None))
    );
}
