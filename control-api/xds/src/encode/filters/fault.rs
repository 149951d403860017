//! Faults.

use super::super::{canonical, matching, value};
use super::{Said, millionths};
use envoy_types::pb::envoy::extensions::filters::common::fault::v3::{
    FaultDelay, FaultRateLimit, fault_delay::FaultDelaySecifier, fault_rate_limit::FixedLimit,
    fault_rate_limit::LimitType,
};
use envoy_types::pb::envoy::extensions::filters::http::fault::v3::{
    FaultAbort, HttpFault, fault_abort::ErrorType,
};
use outrigger_config::model::{Fault, FaultAbortKind, Fraction};

/// Bytes of the unit in which rates are told.
const KIBIBYTE: u64 = 1024;

/// A fault, or none; said for others only if it reaches nobody else by it.
pub(super) fn filter(fault: Option<&Fault>) -> Said {
    let nothing = canonical::any(&HttpFault::default());
    let Some(fault) = fault else {
        return Said {
            config: nothing,
            exact: true,
        };
    };
    // Whom it is for, and how much of it there may be, is known here only: others are told of no fault at all.
    if !fault.identities().is_empty() || fault.affected_max() != Fraction::ALL {
        return Said {
            config: nothing,
            exact: false,
        };
    }
    let mut exact = fault.expires().is_none() && !fault.by_header();
    let delay = fault.delay().map(|delay| FaultDelay {
        percentage: Some(millionths(delay.fraction().parts_per_million())),
        fault_delay_secifier: Some(FaultDelaySecifier::FixedDelay(value::duration(delay.duration()))),
    });
    let abort = fault.abort().and_then(|abort| {
        let error_type = match abort.kind() {
            FaultAbortKind::Status(status) => ErrorType::HttpStatus(status.into()),
            FaultAbortKind::Grpc(status) => ErrorType::GrpcStatus(status.into()),
            FaultAbortKind::Reset => {
                exact = false;
                return None;
            }
        };
        Some(FaultAbort {
            percentage: Some(millionths(abort.fraction().parts_per_million())),
            error_type: Some(error_type),
            ..FaultAbort::default()
        })
    });
    let rate = fault.response_rate().map(|rate| {
        exact &= rate.bytes_per_second().is_multiple_of(KIBIBYTE);
        FaultRateLimit {
            percentage: Some(millionths(rate.fraction().parts_per_million())),
            limit_type: Some(LimitType::FixedLimit(FixedLimit {
                limit_kbps: (rate.bytes_per_second() / KIBIBYTE).max(1),
            })),
        }
    });
    exact &= delay.is_some() || abort.is_some() || rate.is_some();
    let filter = HttpFault {
        delay,
        abort,
        response_rate_limit: rate,
        headers: fault.headers().iter().map(matching::header).collect(),
        max_active_faults: fault.active_max().map(value::number),
        ..HttpFault::default()
    };
    Said {
        config: canonical::any(&filter),
        exact,
    }
}
