//! Access logs of other control planes: what their filters become, what comes back of it, and what is refused.

use super::*;
use envoy_types::pb::envoy::config::accesslog::v3::{
    AccessLog, AccessLogFilter, AndFilter, ComparisonFilter, DurationFilter, ExtensionFilter,
    GrpcStatusFilter, HeaderFilter, LogTypeFilter, MetadataFilter, NotHealthCheckFilter, OrFilter,
    ResponseFlagFilter, RuntimeFilter, StatusCodeFilter, TraceableFilter, access_log,
    access_log_filter::FilterSpecifier as Specifier, comparison_filter::Op,
};
use envoy_types::pb::envoy::config::core::v3::{
    RuntimeUInt32, SubstitutionFormatString, substitution_format_string::Format,
};
use envoy_types::pb::envoy::config::route::v3::{HeaderMatcher, header_matcher::HeaderMatchSpecifier};
use envoy_types::pb::envoy::extensions::access_loggers::stream::v3::{
    StdoutAccessLog, stdout_access_log::AccessLogFormat as StdoutFormat,
};
use envoy_types::pb::envoy::r#type::matcher::v3::{StringMatcher, string_matcher::MatchPattern};
use envoy_types::pb::envoy::r#type::v3::{FractionalPercent, fractional_percent::DenominatorType};
use envoy_types::pb::google::protobuf::{ListValue, Struct, Value, value::Kind};
use outrigger_config::model::{AccessLogFormat, LogFilter, LogMember, LogSamplingBy, Relation};

const LOG: &str = "filter_chains[0].filters[0].typed_config.access_log[0]";

fn of(specifier: Specifier) -> AccessLogFilter {
    AccessLogFilter {
        filter_specifier: Some(specifier),
    }
}

fn logging(filter: Option<AccessLogFilter>, format: Option<SubstitutionFormatString>) -> Listener {
    let stdout = StdoutAccessLog {
        access_log_format: format.map(StdoutFormat::LogFormat),
    };
    let mut manager = manager(Vec::new());
    manager.access_log = vec![AccessLog {
        name: "log".to_owned(),
        filter,
        config_type: Some(access_log::ConfigType::TypedConfig(any(&stdout))),
    }];
    listener(vec![chain(&manager)])
}

fn filter(specifier: Specifier) -> LogFilter {
    let parts = understood(&logging(Some(of(specifier)), None));
    let http = parts.listeners[0].filter_chains()[0].mode().http().unwrap();
    http.access_logs()[0].filter().clone().unwrap()
}

fn refused_filter(specifier: Specifier, path: &str) {
    refused(
        &logging(Some(of(specifier)), None),
        &format!("{LOG}.filter{path}"),
    );
}

fn comparison(op: Op, number: u32) -> Option<ComparisonFilter> {
    Some(ComparisonFilter {
        op: op.into(),
        value: Some(RuntimeUInt32 {
            default_value: number,
            runtime_key: "access_log.key".to_owned(),
        }),
    })
}

fn status(op: Op, number: u32) -> Specifier {
    Specifier::StatusCodeFilter(StatusCodeFilter {
        comparison: comparison(op, number),
    })
}

fn header(name: &str, invert: bool) -> Specifier {
    Specifier::HeaderFilter(HeaderFilter {
        header: Some(HeaderMatcher {
            name: name.to_owned(),
            invert_match: invert,
            header_match_specifier: Some(HeaderMatchSpecifier::StringMatch(StringMatcher {
                match_pattern: Some(MatchPattern::Prefix("/health".to_owned())),
                ignore_case: false,
            })),
            ..HeaderMatcher::default()
        }),
    })
}

#[test]
fn filters_become_ours() {
    for (op, relation) in [
        (Op::Ge, Relation::AtLeast),
        (Op::Le, Relation::AtMost),
        (Op::Eq, Relation::Equals),
        (Op::Ne, Relation::Differs),
    ] {
        assert_eq!(filter(status(op, 500)), LogFilter::Status(relation, 500));
    }
    let duration = Specifier::DurationFilter(DurationFilter {
        comparison: comparison(Op::Ge, 1_500),
    });
    let expected = LogFilter::Duration(Relation::AtLeast, std::time::Duration::from_millis(1_500));
    assert_eq!(filter(duration), expected);
    let probes = Specifier::NotHealthCheckFilter(NotHealthCheckFilter {});
    assert_eq!(filter(probes), LogFilter::NotHealthCheck);
    let flags = |flags: &[&str]| {
        Specifier::ResponseFlagFilter(ResponseFlagFilter {
            flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
        })
    };
    assert_eq!(filter(flags(&[])), LogFilter::ResponseFlags(Vec::new()));
    assert_eq!(
        filter(flags(&["UF", "NR"])),
        LogFilter::ResponseFlags(vec!["UF", "NR"])
    );
    refused_filter(flags(&["UF", "NC"]), ".response_flag_filter.flags[1]");
    let grpc = |exclude| {
        Specifier::GrpcStatusFilter(GrpcStatusFilter {
            statuses: vec![0, 14],
            exclude,
        })
    };
    let statuses = LogFilter::GrpcStatus(vec![0, 14]);
    assert_eq!(filter(grpc(false)), statuses);
    assert_eq!(filter(grpc(true)), LogFilter::Not(Box::new(statuses)));
    let LogFilter::Header(path) = filter(header(":path", false)) else {
        panic!("a header");
    };
    assert_eq!(path.name().as_str(), ":path");
    // To Envoy a header that is missing does not meet the opposite either.
    assert!(matches!(filter(header("x-a", true)), LogFilter::All(both) if both.len() == 2));
    let both = Specifier::AndFilter(AndFilter {
        filters: vec![
            of(status(Op::Ge, 400)),
            of(Specifier::OrFilter(OrFilter {
                filters: vec![of(status(Op::Eq, 404)), of(flags(&[]))],
            })),
        ],
    });
    let LogFilter::All(all) = filter(both) else {
        panic!("a conjunction");
    };
    assert!(matches!(&all[1], LogFilter::AnyOf(any) if any.len() == 2));
}

#[test]
fn shares_are_by_request_id_unless_they_are_independent() {
    let sampled = |independent| {
        let LogFilter::Sampled(sampling) = filter(Specifier::RuntimeFilter(RuntimeFilter {
            runtime_key: "key".to_owned(),
            percent_sampled: Some(FractionalPercent {
                numerator: 125,
                denominator: DenominatorType::TenThousand.into(),
            }),
            use_independent_randomness: independent,
        })) else {
            panic!("a share");
        };
        (sampling.fraction().parts_per_million(), sampling.by())
    };
    assert_eq!(sampled(false), (12_500, LogSamplingBy::RequestId));
    assert_eq!(sampled(true), (12_500, LogSamplingBy::Random));
}

#[test]
fn filters_that_are_not_here_are_refused_by_their_path() {
    refused_filter(
        Specifier::TraceableFilter(TraceableFilter {}),
        ".traceable_filter",
    );
    refused_filter(
        Specifier::ExtensionFilter(ExtensionFilter::default()),
        ".extension_filter",
    );
    refused_filter(
        Specifier::MetadataFilter(MetadataFilter::default()),
        ".metadata_filter",
    );
    refused_filter(
        Specifier::LogTypeFilter(LogTypeFilter::default()),
        ".log_type_filter",
    );
    refused(
        &logging(Some(AccessLogFilter::default()), None),
        &format!("{LOG}.filter"),
    );
    let nothing = Specifier::StatusCodeFilter(StatusCodeFilter { comparison: None });
    refused_filter(nothing, ".status_code_filter.comparison");
    let strange = Specifier::StatusCodeFilter(StatusCodeFilter {
        comparison: Some(ComparisonFilter {
            op: 9,
            value: Some(RuntimeUInt32::default()),
        }),
    });
    refused_filter(strange, ".status_code_filter.comparison.op");
    refused_filter(
        Specifier::AndFilter(AndFilter { filters: Vec::new() }),
        ".and_filter.filters",
    );
    refused_filter(
        Specifier::HeaderFilter(HeaderFilter { header: None }),
        ".header_filter",
    );
}

#[test]
fn nested_formats_and_what_is_left_out_come_through() {
    let text = |text: &str| Value {
        kind: Some(Kind::StringValue(text.to_owned())),
    };
    let member = |name: &str, value: Value| Struct {
        fields: [(name.to_owned(), value)].into(),
    };
    let list = Value {
        kind: Some(Kind::ListValue(ListValue {
            values: vec![text("%PROTOCOL%")],
        })),
    };
    let inner = Value {
        kind: Some(Kind::StructValue(member("b", list))),
    };
    let format = |value| SubstitutionFormatString {
        omit_empty_values: true,
        format: Some(Format::JsonFormat(member("a", value))),
        ..SubstitutionFormatString::default()
    };
    let parts = understood(&logging(None, Some(format(inner))));
    let http = parts.listeners[0].filter_chains()[0].mode().http().unwrap();
    let log = &http.access_logs()[0];
    assert!(log.omit_empty_values());
    let list = LogMember::List(vec![LogMember::Text("%PROTOCOL%".to_owned())]);
    let inner = LogMember::Object(vec![("b".to_owned(), list)]);
    assert_eq!(
        *log.format(),
        AccessLogFormat::Json(vec![("a".to_owned(), inner)])
    );
    let number = Value {
        kind: Some(Kind::NumberValue(1.0)),
    };
    let path = format!("{LOG}.typed_config.log_format.json_format[\"a\"]");
    refused(&logging(None, Some(format(number))), &path);
}
