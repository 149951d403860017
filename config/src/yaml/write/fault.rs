//! Faults and overload as YAML.

use super::emit::{Map, Out, list, text};
use super::route::string_match;
use super::{boolean, duration, number, number_or_off, percent, size, tls, word};
use crate::Timestamp;
use crate::model::{Fault, FaultAbort, FaultAbortKind, Fraction, MemoryLimit, Overload};

pub(super) fn fault(fault: Option<&Fault>) -> Out {
    let Some(fault) = fault else {
        return word("off");
    };
    let mut map = Map::default();
    if !fault.headers.is_empty() {
        let headers = fault.headers.iter();
        map.put(
            "headers",
            list(headers.map(|one| string_match(one.name.as_str(), &one.value, one.invert))),
        );
    }
    if !fault.identities.is_empty() {
        map.put("identities", list(fault.identities.iter().map(tls::spiffe_match)));
    }
    if let Some(delay) = &fault.delay {
        map.put(
            "delay",
            share(delay.fraction).with("duration", duration(delay.duration)),
        );
    }
    if let Some(abort) = &fault.abort {
        map.put("abort", self::abort(abort));
    }
    if let Some(rate) = &fault.response_rate {
        let rate = share(rate.fraction).with("bytes_per_second", size(rate.bytes_per_second));
        map.put("response_rate", rate);
    }
    let expires = fault
        .expires
        .map_or_else(|| "never".to_owned(), |moment| Timestamp(moment).to_string());
    map.with("by_header", boolean(fault.by_header))
        .with("affected_max", percent(fault.affected_max.parts_per_million()))
        .with("active_max", number_or_off(fault.active_max))
        .with("expires", text(expires))
        .into()
}

fn share(fraction: Fraction) -> Map {
    Map::default().with("percent", percent(fraction.parts_per_million()))
}

fn abort(abort: &FaultAbort) -> Map {
    let map = share(abort.fraction);
    match abort.kind {
        FaultAbortKind::Status(status) => map.with("status", number(status.into())),
        FaultAbortKind::Grpc(status) => map.with("grpc_status", number(status.into())),
        FaultAbortKind::Reset => map.with("reset", boolean(true)),
    }
}

pub(super) fn overload(overload: &Overload) -> Map {
    let count = |limit: Option<u64>| limit.map_or_else(|| word("off"), number);
    let memory = match overload.memory_max {
        MemoryLimit::Off => word("off"),
        MemoryLimit::Cgroup => word("cgroup"),
        MemoryLimit::Bytes(bytes) => size(bytes),
    };
    Map::default()
        .with("connections_max", count(overload.connections_max))
        .with("requests_max", count(overload.requests_max))
        .with(
            "buffered_bytes_max",
            overload.buffered_bytes_max.map_or_else(|| word("off"), size),
        )
        .with("memory_max", memory)
        .with("interval", duration(overload.interval))
        .with("stop_keepalive", number(overload.stop_keepalive.into()))
        .with("refuse_requests", number(overload.refuse_requests.into()))
        .with("refuse_all", number(overload.refuse_all.into()))
        .with("refuse_connections", number(overload.refuse_connections.into()))
}
