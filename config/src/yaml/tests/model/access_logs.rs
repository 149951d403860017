//! Access logs.

use super::http;
use crate::model::{
    AccessLogFormat, AccessLogSink, HttpOptions, LogFilter, LogMember, LogSamplingBy, Relation, StringMatch,
};
use crate::yaml::tests::{valid, with_http};
use crate::{to_json, to_yaml};
use std::time::Duration;

#[test]
fn access_logs_have_sinks_and_formats() {
    let logs = http(
        "access_logs: [{path: stdout}, {path: stderr, format: json}, {path: /var/log/x, format: {text: '%PROTOCOL%'}}, \
         {path: log/y, format: {json: {b: '1', a: {z: [x, [y]], c: '2'}}}, omit_empty_values: true}]",
    );
    let logs: Vec<_> = logs
        .access_logs()
        .iter()
        .map(|log| (log.sink().clone(), log.format().clone()))
        .collect();
    let text = |text: &str| LogMember::Text(text.to_owned());
    let list = LogMember::List(vec![text("x"), LogMember::List(vec![text("y")])]);
    let inner = LogMember::Object(vec![("z".to_owned(), list), ("c".to_owned(), text("2"))]);
    let members = vec![("b".to_owned(), text("1")), ("a".to_owned(), inner)];
    assert_eq!(
        logs,
        [
            (AccessLogSink::Stdout, AccessLogFormat::DefaultText),
            (AccessLogSink::Stderr, AccessLogFormat::DefaultJson),
            (
                AccessLogSink::File("/var/log/x".into()),
                AccessLogFormat::Text("%PROTOCOL%".into())
            ),
            (
                AccessLogSink::File("log/y".into()),
                AccessLogFormat::Json(members)
            ),
        ]
    );
}

fn logged(filter: &str) -> HttpOptions {
    http(&format!("access_logs: [{{path: stdout, filter: {filter}}}]"))
}

fn filter(text: &str) -> LogFilter {
    logged(text).access_logs()[0].filter().clone().unwrap()
}

#[test]
fn a_filter_of_one_field_is_that_condition() {
    let status = LogFilter::Status(Relation::AtLeast, 500);
    assert_eq!(filter("{status: {at_least: 500}}"), status);
    assert_eq!(
        filter("{all_of: [{any_of: [{status: {at_least: 500}}]}]}"),
        status
    );
    assert_eq!(
        filter("{duration: {differs_from: 2s}}"),
        LogFilter::Duration(Relation::Differs, Duration::from_secs(2))
    );
    assert_eq!(filter("{response_flags: any}"), LogFilter::ResponseFlags(vec![]));
    assert_eq!(
        filter("{response_flags: [UH, RLSE]}"),
        LogFilter::ResponseFlags(vec!["UH", "RLSE"])
    );
    assert_eq!(filter("{not_health_check: true}"), LogFilter::NotHealthCheck);
    assert_eq!(
        filter("{grpc_status: [2, 14]}"),
        LogFilter::GrpcStatus(vec![2, 14])
    );
    let LogFilter::Sampled(sampling) = filter("{sampled: 12.5}") else {
        panic!("a share");
    };
    assert_eq!(sampling.fraction().parts_per_million(), 125_000);
    assert_eq!(sampling.by(), LogSamplingBy::RequestId);
    let LogFilter::Sampled(sampling) = filter("{sampled: {percent: 1, by: random}}") else {
        panic!("a share");
    };
    assert_eq!(sampling.by(), LogSamplingBy::Random);
    let LogFilter::Header(header) = filter("{headers: [{name: ':path', prefix: /health}]}") else {
        panic!("a header");
    };
    assert_eq!(header.name().as_str(), ":path");
    assert_eq!(*header.value(), StringMatch::Prefix("/health".into()));
}

#[test]
fn all_fields_of_a_filter_hold() {
    let LogFilter::All(all) = filter(
        "{status: {at_least: 400, at_most: 499}, routes: [a, b], not: {response_flags: [NR]}, \
         any_of: [{sampled: 1}, {duration: {at_least: 1s}}]}",
    ) else {
        panic!("a conjunction");
    };
    assert_eq!(all.len(), 5);
    assert_eq!(
        all[..2],
        [
            LogFilter::Status(Relation::AtLeast, 400),
            LogFilter::Status(Relation::AtMost, 499)
        ]
    );
    let LogFilter::Routes(routes) = &all[2] else {
        panic!("routes");
    };
    assert_eq!(
        routes.iter().map(|name| name.as_str()).collect::<Vec<_>>(),
        ["a", "b"]
    );
    assert!(matches!(&all[3], LogFilter::Not(inner) if matches!(**inner, LogFilter::ResponseFlags(_))));
    assert!(matches!(&all[4], LogFilter::AnyOf(inner) if inner.len() == 2));
}

#[test]
fn what_is_written_of_a_log_reads_back_as_the_same() {
    let text = with_http(
        "access_logs: [{path: stdout, headers_allowed: [X-Api-Key], omit_empty_values: true, filter: {status: {at_least: 400}, \
         duration: {at_most: 1500us}, headers: [{name: a, exact: b, invert: true}, {name: c, present: true}], \
         not: {any_of: [{routes: [r]}, {response_flags: any}]}}}]",
    );
    let config = valid(&text).config;
    let again = valid(&to_yaml(&config)).config;
    assert_eq!(
        config.listeners()[0].filter_chains(),
        again.listeners()[0].filter_chains()
    );
    let log = &to_json(&config)["listeners"][0]["filter_chains"][0]["http"]["access_logs"][0];
    assert_eq!(log["headers_allowed"][0], "x-api-key");
    assert_eq!(log["filter"]["all_of"][0]["status"]["at_least"], 400);
}

#[test]
fn a_log_may_go_to_a_collector() {
    let text = format!(
        "{}telemetry: {{collectors: [{{name: c, endpoint: 'http://127.0.0.1:4317'}}]}}\n",
        with_http("access_logs: [{collector: c, format: json}]")
    );
    let config = valid(&text).config;
    let http = config.listeners()[0].filter_chains()[0].mode().http().unwrap();
    assert!(matches!(http.access_logs()[0].sink(), AccessLogSink::Collector(name) if name.as_str() == "c"));
    let again = valid(&to_yaml(&config)).config;
    assert_eq!(
        config.listeners()[0].filter_chains(),
        again.listeners()[0].filter_chains()
    );
}

#[test]
fn nesting_has_an_end() {
    let deep = |depth: usize| {
        format!(
            "{}{{response_flags: any}}{}",
            "{not: ".repeat(depth),
            "}".repeat(depth)
        )
    };
    assert!(logged(&deep(7)).access_logs()[0].filter().is_some());
    let faults = crate::yaml::tests::read(&with_http(&format!(
        "access_logs: [{{path: stdout, filter: {}}}]",
        deep(8)
    )));
    assert!(format!("{:?}", faults.unwrap_err()).contains("more than 8 filters inside each other"));
    let members = |depth: usize| format!("{}x{}", "[".repeat(depth), "]".repeat(depth));
    let format = |depth| {
        with_http(&format!(
            "access_logs: [{{path: stdout, format: {{json: {{a: {}}}}}}}]",
            members(depth)
        ))
    };
    valid(&format(7));
    let faults = crate::yaml::tests::read(&format(8)).unwrap_err();
    assert!(format!("{faults:?}").contains("more than 8 maps and lists inside each other"));
}
