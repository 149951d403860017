//! Which requests have a line.

use crate::decode::{Refusals, matching, value};
use crate::support::{Message, message};
use envoy_types::pb::envoy::config::accesslog::v3::{
    AccessLogFilter, AndFilter, ComparisonFilter, DurationFilter, GrpcStatusFilter, HeaderFilter, OrFilter,
    ResponseFlagFilter, RuntimeFilter, StatusCodeFilter, access_log_filter::FilterSpecifier,
    comparison_filter::Op,
};
use envoy_types::pb::envoy::config::core::v3::RuntimeUInt32;
use outrigger_config::document::{Map, Path, Value};

pub(super) const MESSAGES: &[&Message] = &[
    &FILTER,
    &STATUS,
    &DURATION,
    &COMPARISON,
    &RUNTIME_NUMBER,
    &FLAGS,
    &RUNTIME,
    &HEADER,
    &GRPC_STATUS,
    &AND,
    &OR,
];

message! {
    FILTER, refuse_filter: AccessLogFilter as "envoy.config.accesslog.v3.AccessLogFilter" {
        used: filter_specifier;
        refused: ;
        ignored: ;
    }
}
message! {
    STATUS, refuse_status: StatusCodeFilter as "envoy.config.accesslog.v3.StatusCodeFilter" {
        used: comparison;
        refused: ;
        ignored: ;
    }
}
message! {
    DURATION, refuse_duration: DurationFilter as "envoy.config.accesslog.v3.DurationFilter" {
        used: comparison;
        refused: ;
        ignored: ;
    }
}
message! {
    COMPARISON, refuse_comparison: ComparisonFilter as "envoy.config.accesslog.v3.ComparisonFilter" {
        used: op, value;
        refused: ;
        ignored: ;
    }
}
message! {
    RUNTIME_NUMBER, refuse_runtime_number: RuntimeUInt32 as "envoy.config.core.v3.RuntimeUInt32" {
        used: default_value;
        refused: ;
        ignored: runtime_key = "there is no runtime beside the resources: the default value holds";
    }
}
message! {
    FLAGS, refuse_flags: ResponseFlagFilter as "envoy.config.accesslog.v3.ResponseFlagFilter" {
        used: flags;
        refused: ;
        ignored: ;
    }
}
message! {
    RUNTIME, refuse_runtime: RuntimeFilter as "envoy.config.accesslog.v3.RuntimeFilter" {
        used: percent_sampled, use_independent_randomness;
        refused: ;
        ignored: runtime_key = "there is no runtime beside the resources: `percent_sampled` holds";
    }
}
message! {
    HEADER, refuse_header: HeaderFilter as "envoy.config.accesslog.v3.HeaderFilter" {
        used: header;
        refused: ;
        ignored: ;
    }
}
message! {
    GRPC_STATUS, refuse_grpc_status: GrpcStatusFilter as "envoy.config.accesslog.v3.GrpcStatusFilter" {
        used: statuses, exclude;
        refused: ;
        ignored: ;
    }
}
message! {
    AND, refuse_and: AndFilter as "envoy.config.accesslog.v3.AndFilter" {
        used: filters;
        refused: ;
        ignored: ;
    }
}
message! {
    OR, refuse_or: OrFilter as "envoy.config.accesslog.v3.OrFilter" {
        used: filters;
        refused: ;
        ignored: ;
    }
}

/// The filter in the document's words; none if it is refused.
pub(super) fn decode(refusals: &mut Refusals, path: &Path, filter: &AccessLogFilter) -> Option<Value> {
    refuse_filter(refusals, path, filter);
    let Some(specifier) = &filter.filter_specifier else {
        refusals.fault(path, "it says no filter");
        return None;
    };
    let (field, value) = match specifier {
        FilterSpecifier::StatusCodeFilter(status) => {
            let path = path.field("status_code_filter");
            refuse_status(refusals, &path, status);
            (
                "status",
                comparison(refusals, &path, status.comparison.as_ref(), |number| {
                    number.to_string()
                })?,
            )
        }
        FilterSpecifier::DurationFilter(duration) => {
            let path = path.field("duration_filter");
            refuse_duration(refusals, &path, duration);
            let compared = comparison(refusals, &path, duration.comparison.as_ref(), |number| {
                format!("{number}ms")
            });
            ("duration", compared?)
        }
        FilterSpecifier::NotHealthCheckFilter(_) => (
            "not_health_check",
            Value::plain(&path.field("not_health_check_filter"), true),
        ),
        FilterSpecifier::RuntimeFilter(runtime) => (
            "sampled",
            sampled(refusals, &path.field("runtime_filter"), runtime)?,
        ),
        FilterSpecifier::AndFilter(and) => {
            let path = path.field("and_filter");
            refuse_and(refusals, &path, and);
            ("all_of", several(refusals, &path, &and.filters)?)
        }
        FilterSpecifier::OrFilter(or) => {
            let path = path.field("or_filter");
            refuse_or(refusals, &path, or);
            ("any_of", several(refusals, &path, &or.filters)?)
        }
        FilterSpecifier::HeaderFilter(header) => {
            let path = path.field("header_filter");
            refuse_header(refusals, &path, header);
            let Some(matcher) = &header.header else {
                refusals.fault(&path, "`header` is missing");
                return None;
            };
            let path = path.field("header");
            let conditions = matching::header_conditions(refusals, &path, matcher);
            ("headers", Value::list(&path, conditions))
        }
        FilterSpecifier::ResponseFlagFilter(flags) => {
            let path = path.field("response_flag_filter");
            refuse_flags(refusals, &path, flags);
            ("response_flags", response_flags(&path, flags))
        }
        FilterSpecifier::GrpcStatusFilter(status) => {
            return Some(grpc_status(refusals, &path.field("grpc_status_filter"), status));
        }
        FilterSpecifier::TraceableFilter(_) => return unsupported(refusals, &path.field("traceable_filter")),
        FilterSpecifier::ExtensionFilter(_) => return unsupported(refusals, &path.field("extension_filter")),
        FilterSpecifier::MetadataFilter(_) => return unsupported(refusals, &path.field("metadata_filter")),
        FilterSpecifier::LogTypeFilter(_) => return unsupported(refusals, &path.field("log_type_filter")),
    };
    Some(Map::new(path).with(field, value).into())
}

fn unsupported(refusals: &mut Refusals, path: &Path) -> Option<Value> {
    refusals.unsupported(path, "a filter of this kind");
    None
}

fn several(refusals: &mut Refusals, path: &Path, filters: &[AccessLogFilter]) -> Option<Value> {
    let path = path.field("filters");
    if filters.is_empty() {
        refusals.fault(&path, "there is no filter");
        return None;
    }
    let mut values = Vec::with_capacity(filters.len());
    for (index, filter) in filters.iter().enumerate() {
        values.extend(decode(refusals, &path.index(index), filter));
    }
    Some(Value::list(&path, values))
}

fn comparison(
    refusals: &mut Refusals,
    path: &Path,
    comparison: Option<&ComparisonFilter>,
    written: impl Fn(u32) -> String,
) -> Option<Value> {
    let path = path.field("comparison");
    let Some(comparison) = comparison else {
        refusals.fault(&path, "it is missing");
        return None;
    };
    refuse_comparison(refusals, &path, comparison);
    let relation = match Op::try_from(comparison.op) {
        Ok(Op::Eq) => "equals",
        Ok(Op::Ge) => "at_least",
        Ok(Op::Le) => "at_most",
        Ok(Op::Ne) => "differs_from",
        Err(_) => {
            refusals.fault(
                &path.field("op"),
                format!("there is no comparison {}", comparison.op),
            );
            return None;
        }
    };
    let at = path.field("value");
    let Some(number) = &comparison.value else {
        refusals.fault(&at, "it is missing");
        return None;
    };
    refuse_runtime_number(refusals, &at, number);
    let value = Value::plain(&at.field("default_value"), written(number.default_value));
    Some(Map::new(&path).with(relation, value).into())
}

fn sampled(refusals: &mut Refusals, path: &Path, runtime: &RuntimeFilter) -> Option<Value> {
    refuse_runtime(refusals, path, runtime);
    let at = path.field("percent_sampled");
    let parts = match &runtime.percent_sampled {
        Some(percent) => value::millionths(refusals, &at, percent)?,
        // Envoy's default.
        None => 0,
    };
    let by = match runtime.use_independent_randomness {
        true => "random",
        false => "request_id",
    };
    let mut map = Map::new(path).with("percent", value::percent(&at, parts));
    map.put("by", Value::text(&path.field("use_independent_randomness"), by));
    Some(map.into())
}

fn response_flags(path: &Path, filter: &ResponseFlagFilter) -> Value {
    let path = path.field("flags");
    if filter.flags.is_empty() {
        return Value::text(&path, "any");
    }
    let flags = filter.flags.iter().enumerate();
    Value::list(
        &path,
        flags.map(|(index, flag)| Value::text(&path.index(index), flag.as_str())),
    )
}

fn grpc_status(refusals: &mut Refusals, path: &Path, filter: &GrpcStatusFilter) -> Value {
    refuse_grpc_status(refusals, path, filter);
    let at = path.field("statuses");
    let statuses = filter.statuses.iter().enumerate();
    let list = Value::list(
        &at,
        statuses.map(|(index, status)| Value::plain(&at.index(index), status)),
    );
    let statuses = Map::new(path).with("grpc_status", list);
    match filter.exclude {
        true => Map::new(path).with("not", statuses.into()).into(),
        false => statuses.into(),
    }
}
