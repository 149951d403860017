//! Which requests have a line.

use crate::encode::{filters, matching};
use envoy_types::pb::envoy::config::accesslog::v3::{
    AccessLogFilter, AndFilter, ComparisonFilter, DurationFilter, GrpcStatusFilter, HeaderFilter,
    NotHealthCheckFilter, OrFilter, ResponseFlagFilter, RuntimeFilter, StatusCodeFilter,
    access_log_filter::FilterSpecifier, comparison_filter::Op,
};
use envoy_types::pb::envoy::config::core::v3::RuntimeUInt32;
use outrigger_config::model::{LogFilter, LogSampling, LogSamplingBy, Relation};
use std::time::Duration;

/// Envoy asks for the name of a runtime value wherever one may be; nothing here has one.
const RUNTIME_KEY: &str = "outrigger.none";

/// Whether Envoy's types say it all.
pub(super) fn is_exact(filter: &LogFilter) -> bool {
    match filter {
        LogFilter::Duration(_, limit) => milliseconds(*limit).is_some(),
        LogFilter::Routes(_) => false,
        // To Envoy a header that is missing meets no condition, the opposite of one neither.
        LogFilter::Header(condition) => !condition.invert(),
        LogFilter::Not(inner) => matches!(&**inner, LogFilter::GrpcStatus(_)),
        LogFilter::AnyOf(inner) | LogFilter::All(inner) => inner.iter().all(is_exact),
        LogFilter::Status(..)
        | LogFilter::ResponseFlags(_)
        | LogFilter::Sampled(_)
        | LogFilter::NotHealthCheck
        | LogFilter::GrpcStatus(_) => true,
    }
}

/// The filter, or one that takes more where Envoy cannot say it; none: it takes everything.
pub(super) fn encode(filter: &LogFilter) -> Option<AccessLogFilter> {
    let specifier = match filter {
        LogFilter::Status(relation, status) => FilterSpecifier::StatusCodeFilter(StatusCodeFilter {
            comparison: Some(comparison(*relation, (*status).into())),
        }),
        LogFilter::Duration(relation, limit) => FilterSpecifier::DurationFilter(DurationFilter {
            comparison: Some(comparison(*relation, milliseconds(*limit)?)),
        }),
        LogFilter::ResponseFlags(flags) => FilterSpecifier::ResponseFlagFilter(ResponseFlagFilter {
            flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
        }),
        LogFilter::Sampled(sampling) => FilterSpecifier::RuntimeFilter(sampled(*sampling)),
        LogFilter::NotHealthCheck => FilterSpecifier::NotHealthCheckFilter(NotHealthCheckFilter {}),
        LogFilter::Header(condition) => FilterSpecifier::HeaderFilter(HeaderFilter {
            header: Some(matching::header(condition)),
        }),
        LogFilter::GrpcStatus(statuses) => grpc_status(statuses, false),
        LogFilter::Not(inner) => match &**inner {
            LogFilter::GrpcStatus(statuses) => grpc_status(statuses, true),
            _ => return None,
        },
        LogFilter::Routes(_) => return None,
        // One of which a part takes everything does, too.
        LogFilter::AnyOf(inner) => FilterSpecifier::OrFilter(OrFilter {
            filters: inner.iter().map(encode).collect::<Option<_>>()?,
        }),
        LogFilter::All(inner) => {
            let mut filters: Vec<_> = inner.iter().filter_map(encode).collect();
            // Envoy takes no conjunction of fewer than two.
            if filters.len() < 2 {
                return filters.pop();
            }
            FilterSpecifier::AndFilter(AndFilter { filters })
        }
    };
    Some(AccessLogFilter {
        filter_specifier: Some(specifier),
    })
}

fn comparison(relation: Relation, number: u32) -> ComparisonFilter {
    let op = match relation {
        Relation::AtLeast => Op::Ge,
        Relation::AtMost => Op::Le,
        Relation::Equals => Op::Eq,
        Relation::Differs => Op::Ne,
    };
    ComparisonFilter {
        op: op.into(),
        value: Some(RuntimeUInt32 {
            default_value: number,
            runtime_key: RUNTIME_KEY.to_owned(),
        }),
    }
}

/// None if it is not a whole number of them that fits.
fn milliseconds(span: Duration) -> Option<u32> {
    let number = u32::try_from(span.as_millis()).ok()?;
    (Duration::from_millis(number.into()) == span).then_some(number)
}

fn sampled(sampling: LogSampling) -> RuntimeFilter {
    RuntimeFilter {
        runtime_key: RUNTIME_KEY.to_owned(),
        percent_sampled: Some(filters::millionths(sampling.fraction().parts_per_million())),
        use_independent_randomness: sampling.by() == LogSamplingBy::Random,
    }
}

fn grpc_status(statuses: &[u8], exclude: bool) -> FilterSpecifier {
    FilterSpecifier::GrpcStatusFilter(GrpcStatusFilter {
        statuses: statuses.iter().map(|status| i32::from(*status)).collect(),
        exclude,
    })
}
