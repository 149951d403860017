//! What collectors are told, as YAML. Values of headers are not written.

use super::emit::{Map, list, text};
use super::{REDACTED_HEADER, duration, number, pairs, size, tls, word};
use crate::model::{Collector, CollectorCompression, CollectorProtocol, MeshConfig};

pub(super) fn telemetry(config: &MeshConfig) -> Map {
    let telemetry = &config.telemetry;
    let mut map = Map::default();
    match &telemetry.service_name {
        Some(name) => map.put("service_name", text(name)),
        None => map.comment(format!("service_name: {}", config.service_name())),
    }
    if !telemetry.resource.is_empty() {
        map.put("resource", pairs(&telemetry.resource));
    }
    map.put(
        "latency_buckets",
        list(telemetry.latency_buckets.iter().map(|bound| duration(*bound))),
    );
    let collectors = telemetry.collectors.iter().map(|one| collector(one));
    let recorder = match &telemetry.recorder {
        None => word("off"),
        Some(recorder) => Map::default()
            .with("memory", size(recorder.memory_bytes as u64))
            .with("slow", duration(recorder.slow))
            .into(),
    };
    map.with("collectors", list(collectors))
        .with("recorder", recorder)
}

fn collector(collector: &Collector) -> Map {
    let protocol = match collector.protocol {
        CollectorProtocol::Grpc => "grpc",
        CollectorProtocol::Http => "http",
    };
    let compression = match collector.compression {
        CollectorCompression::None => "none",
        CollectorCompression::Gzip => "gzip",
    };
    let mut map = Map::default()
        .with("name", text(&collector.name))
        .with("endpoint", text(collector.endpoint.url()))
        .with("protocol", word(protocol))
        .with("compression", word(compression));
    if let Some(tls) = &collector.tls {
        map.put("tls", tls::upstream(tls));
    }
    if !collector.headers.is_empty() {
        let mut headers = Map::default();
        for (name, _) in &collector.headers {
            headers.put(name.as_str(), text(REDACTED_HEADER));
        }
        map.put("headers", headers);
    }
    map.with("timeout", duration(collector.timeout))
        .with("queue_max", number(collector.queue_max.into()))
        .with("batch_max", number(collector.batch_max.into()))
        .with("batch_delay", duration(collector.batch_delay))
}
