//! What is broken on purpose.

use super::condition::only_true;
use super::reader::{Fields, Reader, is_off, scalar_of};
use super::scalar;
use super::shapes::{FAULT, FAULT_ABORT, FAULT_DELAY, FAULT_RATE};
use super::tree::Node;
use super::{headers, peers};
use crate::model::{Fault, FaultAbort, FaultAbortKind, FaultDelay, FaultRate, Fraction, defaults};
use std::sync::Arc;

/// The `fault` of a filter chain's `http` or of a route; `Some(None)`: off.
pub(super) fn fault(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<Option<Arc<Fault>>> {
    let node = fields.node(reader, "fault")?;
    if is_off(node) {
        return Some(None);
    }
    if scalar_of(node).is_some() {
        reader.mismatch(node, "`off` or a map (fault)");
        return None;
    }
    Some(settings(reader, node).map(Arc::new))
}

fn settings(reader: &mut Reader<'_>, node: &Node) -> Option<Fault> {
    let fields = reader.fields(node, &FAULT)?;
    let headers = headers::header_matches(reader, &fields, "headers");
    let identities = peers::spiffe_matches(reader, &fields, "identities", "identity");
    let delay = fields.node(reader, "delay").and_then(|node| delay(reader, node));
    let abort = fields.node(reader, "abort").and_then(|node| abort(reader, node));
    let response_rate = fields
        .node(reader, "response_rate")
        .and_then(|node| response_rate(reader, node));
    let by_header = fields.boolean(reader, "by_header").unwrap_or(false);
    let affected_max = fields.parsed(reader, "affected_max", scalar::percent);
    let active_max = fields.integer32_or_off(reader, "active_max");
    let expires = fields.parsed(reader, "expires", |text| match text {
        "never" => Ok(None),
        _ => scalar::timestamp(text).map(Some),
    });
    let says = ["delay", "abort", "response_rate"];
    if fields.entry("by_header").is_some()
        && !by_header
        && says.iter().all(|name| fields.entry(name).is_none())
    {
        reader.fault(fields.span, "this fault does nothing");
    }
    Some(Fault {
        headers,
        identities,
        delay,
        abort,
        response_rate,
        by_header,
        affected_max: affected_max.unwrap_or(defaults::FAULT_AFFECTED_MAX),
        active_max,
        expires: expires?,
    })
}

fn fraction(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Fraction {
    fields
        .parsed(reader, "percent", scalar::percent)
        .unwrap_or(Fraction::ALL)
}

fn delay(reader: &mut Reader<'_>, node: &Node) -> Option<FaultDelay> {
    let fields = reader.fields(node, &FAULT_DELAY)?;
    let fraction = fraction(reader, &fields);
    let duration = fields.duration(reader, "duration");
    Some(FaultDelay {
        fraction,
        duration: duration?,
    })
}

fn abort(reader: &mut Reader<'_>, node: &Node) -> Option<FaultAbort> {
    let fields = reader.fields(node, &FAULT_ABORT)?;
    let fraction = fraction(reader, &fields);
    let number = |reader: &mut Reader<'_>, name| {
        fields
            .integer(reader, name)
            .and_then(|status| u16::try_from(status).ok())
    };
    let status = number(reader, "status").map(FaultAbortKind::Status);
    let grpc = number(reader, "grpc_status").map(FaultAbortKind::Grpc);
    let reset = only_true(reader, &fields, "reset").then_some(FaultAbortKind::Reset);
    Some(FaultAbort {
        fraction,
        kind: status.or(grpc).or(reset)?,
    })
}

fn response_rate(reader: &mut Reader<'_>, node: &Node) -> Option<FaultRate> {
    let fields = reader.fields(node, &FAULT_RATE)?;
    let fraction = fraction(reader, &fields);
    let bytes = fields.size(reader, "bytes_per_second");
    Some(FaultRate {
        fraction,
        bytes_per_second: bytes?,
    })
}
