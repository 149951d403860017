//! Faults.

use super::super::{Refusals, matching, value};
use crate::support::{Message, message};
use envoy_types::pb::envoy::extensions::filters::common::fault::v3::{
    FaultDelay, FaultRateLimit, fault_delay::FaultDelaySecifier, fault_rate_limit::FixedLimit,
    fault_rate_limit::LimitType,
};
use envoy_types::pb::envoy::extensions::filters::http::fault::v3::{
    FaultAbort, HttpFault, fault_abort::ErrorType,
};
use envoy_types::pb::envoy::r#type::v3::FractionalPercent;
use outrigger_config::document::{Map, Path, Value};

pub(super) const MESSAGES: &[&Message] = &[&FAULT, &DELAY, &ABORT, &RATE, &FIXED];

message! {
    pub(super) FAULT, refuse_fault: HttpFault as "envoy.extensions.filters.http.fault.v3.HTTPFault" {
        used: delay, abort, headers, max_active_faults, response_rate_limit;
        refused: upstream_cluster, downstream_nodes, filter_metadata, delay_percent_runtime, abort_percent_runtime,
            delay_duration_runtime, abort_http_status_runtime, max_active_faults_runtime,
            response_rate_limit_percent_runtime, abort_grpc_status_runtime;
        ignored: disable_downstream_cluster_stats = "metrics have names of their own";
    }
}
message! {
    pub(super) DELAY, refuse_delay: FaultDelay as "envoy.extensions.filters.common.fault.v3.FaultDelay" {
        used: percentage, fault_delay_secifier;
        refused: ;
        ignored: ;
    }
}
message! {
    pub(super) ABORT, refuse_abort: FaultAbort as "envoy.extensions.filters.http.fault.v3.FaultAbort" {
        used: percentage, error_type;
        refused: response_body;
        ignored: ;
    }
}
message! {
    pub(super) RATE, refuse_rate: FaultRateLimit as "envoy.extensions.filters.common.fault.v3.FaultRateLimit" {
        used: percentage, limit_type;
        refused: ;
        ignored: ;
    }
}
message! {
    pub(super) FIXED, refuse_fixed: FixedLimit as "envoy.extensions.filters.common.fault.v3.FaultRateLimit.FixedLimit" {
        used: limit_kbps;
        refused: ;
        ignored: ;
    }
}

const BY_HEADER: &str = "say `by_header` in the metadata: only believed peers may ask then";

/// What a filter breaks; none if nothing.
pub(super) fn fault(refusals: &mut Refusals, path: &Path, filter: &HttpFault) -> Option<Value> {
    refuse_fault(refusals, path, filter);
    let mut map = Map::new(path);
    if let Some(found) = &filter.delay {
        map.put_some("delay", delay(refusals, &path.field("delay"), found));
    }
    if let Some(found) = &filter.abort {
        map.put_some("abort", abort(refusals, &path.field("abort"), found));
    }
    if let Some(found) = &filter.response_rate_limit {
        let place = path.field("response_rate_limit");
        map.put_some("response_rate", response_rate(refusals, &place, found));
    }
    if map.is_empty() {
        return None;
    }
    let place = path.field("headers");
    let mut headers = Vec::new();
    for (index, matcher) in filter.headers.iter().enumerate() {
        headers.extend(matching::header_conditions(
            refusals,
            &place.index(index),
            matcher,
        ));
    }
    if !headers.is_empty() {
        map.put("headers", Value::list(&place, headers));
    }
    let active = value::number(
        &path.field("max_active_faults"),
        filter.max_active_faults.as_ref(),
    );
    map.put_some("active_max", active);
    // A filter has no end; ours have to say so.
    map.put("expires", Value::text(path, "never"));
    Some(map.into())
}

/// Envoy's fault has no share without one.
fn percent(refusals: &mut Refusals, path: &Path, percent: Option<&FractionalPercent>) -> Value {
    let path = path.field("percentage");
    let millionths = percent.map_or(Some(0), |percent| value::millionths(refusals, &path, percent));
    value::percent(&path, millionths.unwrap_or_default())
}

fn delay(refusals: &mut Refusals, path: &Path, delay: &FaultDelay) -> Option<Value> {
    refuse_delay(refusals, path, delay);
    let duration = match &delay.fault_delay_secifier {
        Some(FaultDelaySecifier::FixedDelay(duration)) => {
            value::duration_value(refusals, &path.field("fixed_delay"), Some(duration))?
        }
        Some(FaultDelaySecifier::HeaderDelay(_)) => {
            let message = "delays by headers of anybody are not implemented";
            refusals.fault_with_help(&path.field("header_delay"), message, BY_HEADER);
            return None;
        }
        None => {
            refusals.fault(path, "`fixed_delay` is missing");
            return None;
        }
    };
    let percent = percent(refusals, path, delay.percentage.as_ref());
    Some(
        Map::new(path)
            .with("percent", percent)
            .with("duration", duration)
            .into(),
    )
}

fn abort(refusals: &mut Refusals, path: &Path, abort: &FaultAbort) -> Option<Value> {
    refuse_abort(refusals, path, abort);
    let (field, value) = match &abort.error_type {
        Some(ErrorType::HttpStatus(status)) => ("status", Value::plain(&path.field("http_status"), status)),
        Some(ErrorType::GrpcStatus(status)) => {
            ("grpc_status", Value::plain(&path.field("grpc_status"), status))
        }
        Some(ErrorType::HeaderAbort(_)) => {
            let message = "aborts by headers of anybody are not implemented";
            refusals.fault_with_help(&path.field("header_abort"), message, BY_HEADER);
            return None;
        }
        None => {
            refusals.fault(path, "`http_status` or `grpc_status` is missing");
            return None;
        }
    };
    let percent = percent(refusals, path, abort.percentage.as_ref());
    Some(Map::new(path).with("percent", percent).with(field, value).into())
}

fn response_rate(refusals: &mut Refusals, path: &Path, rate: &FaultRateLimit) -> Option<Value> {
    refuse_rate(refusals, path, rate);
    let bytes = match &rate.limit_type {
        Some(LimitType::FixedLimit(limit)) => {
            let path = path.field("fixed_limit");
            refuse_fixed(refusals, &path, limit);
            Value::plain(&path.field("limit_kbps"), limit.limit_kbps.saturating_mul(1024))
        }
        Some(LimitType::HeaderLimit(_)) => {
            let message = "rates by headers of anybody are not implemented";
            refusals.fault_with_help(&path.field("header_limit"), message, BY_HEADER);
            return None;
        }
        None => {
            refusals.fault(path, "`fixed_limit` is missing");
            return None;
        }
    };
    let percent = percent(refusals, path, rate.percentage.as_ref());
    Some(
        Map::new(path)
            .with("percent", percent)
            .with("bytes_per_second", bytes)
            .into(),
    )
}
