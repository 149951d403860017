//! What an access log takes of a request: a line of each format, and a filter that takes none.

use super::Call;
use anyhow::{Result, ensure};
use outrigger_telemetry::{
    AccessLogFormat, FormatOptions, HeaderLookup, HeaderName, LogFilter, LogRelation, RequestRecord,
    ResponseFlags,
};
use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, UNIX_EPOCH};

/// A few headers, as small as most are: how they are found is no part of what is measured.
struct Headers(&'static [(&'static str, &'static str)]);

impl HeaderLookup for Headers {
    fn lookup(&self, name: &HeaderName) -> Option<&[u8]> {
        let name = match name {
            HeaderName::Method => ":method",
            HeaderName::Path => ":path",
            HeaderName::Authority => ":authority",
            HeaderName::Scheme => ":scheme",
            HeaderName::Numbered(_) => return None,
            HeaderName::Named(name) => name,
        };
        let found = self.0.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.as_bytes())
    }

    fn joined<'a>(&'a self, name: &HeaderName, _: &'a mut Vec<u8>) -> Option<&'a [u8]> {
        self.lookup(name)
    }

    fn bytes(&self) -> u64 {
        0
    }
}

const REQUEST: Headers = Headers(&[
    (":method", "GET"),
    (":path", "/service-00007/v1/items?page=2"),
    (":authority", "shop.example"),
    (
        "user-agent",
        "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    ),
    ("x-request-id", "8f1c2f1e-6a52-4f0e-9a57-0d8f0a0c1b2d"),
    ("x-forwarded-for", "192.0.2.17"),
]);

fn record() -> RequestRecord<'static> {
    let address = |last, port| Some(SocketAddr::from((Ipv4Addr::new(10, 0, 0, last), port)));
    RequestRecord {
        start_time: UNIX_EPOCH + Duration::from_millis(1_767_225_600_123),
        protocol: Some("HTTP/1.1"),
        response_code: 200,
        response_code_details: Some("via_upstream"),
        connection_termination_details: None,
        authorization_shadow_result: None,
        authorization_audited: None,
        response_flags: ResponseFlags::NONE,
        bytes_received: 0,
        bytes_sent: 1_024,
        duration: Duration::from_micros(3_210),
        request_duration: Some(Duration::ZERO),
        response_duration: Some(Duration::from_micros(2_900)),
        upstream_host: address(7, 8080),
        upstream_cluster: Some("backend"),
        upstream_local_address: address(1, 40_000),
        upstream_protocol: Some("HTTP/1.1"),
        upstream_transport_failure_reason: None,
        upstream_request_attempt_count: 1,
        trace_id: None,
        span_id: None,
        trace_flags: 0,
        route_name: Some("items"),
        virtual_host: Some("shop"),
        downstream_remote_address: address(9, 50_000),
        downstream_direct_remote_address: address(9, 50_000),
        downstream_local_address: address(1, 443),
        requested_server_name: Some("shop.example"),
        downstream_tls: None,
        upstream_tls: None,
        connection_id: 4_711,
        filter_chain_name: Some("main"),
        request: &REQUEST,
        response: &(),
        trailers: None,
    }
}

/// A line of this format.
pub(super) fn write(format: AccessLogFormat) -> Result<Call> {
    let record = record();
    let mut line = Vec::new();
    format.write(&record, &mut line);
    ensure!(line.len() > 150 && line.ends_with(b"\n"), "a line is written");
    Ok(Box::new(move || {
        line.clear();
        format.write(black_box(&record), &mut line);
        black_box(&line);
    }))
}

pub(super) fn text() -> Result<Call> {
    write(AccessLogFormat::default_text(FormatOptions::default()))
}

pub(super) fn json() -> Result<Call> {
    write(AccessLogFormat::default_json(FormatOptions::default()))
}

/// A request that went well and fast, which a log of what did not leaves out.
pub(super) fn filtered_out() -> Result<Call> {
    let filter = LogFilter::AnyOf(
        [
            LogFilter::Status(LogRelation::AtLeast, 500),
            LogFilter::Milliseconds(LogRelation::AtLeast, 1_000),
            LogFilter::AnyFlag,
            LogFilter::ByHeader(10_000, HeaderName::named("x-request-id")),
        ]
        .into(),
    );
    let record = record();
    ensure!(!filter.takes(&record, &|| u64::MAX), "it has no line");
    Ok(Box::new(move || {
        black_box(filter.takes(black_box(&record), &|| u64::MAX));
    }))
}
