//! How a filter chain speaks HTTP.

use super::chain::distinct;
use super::listener::http2;
use super::reader::{Fields, Part, Reader};
use super::shapes::{HTTP, PROXY_HEADER};
use super::tree::{Node, Value};
use super::{
    access_log, client_certificate, compression, external_authorization, fault, jwt, rate_limit, retry,
    scalar, tracing, upgrades,
};
use crate::model::{EscapedSlashes, HttpOptions, ProxyHeader, RepeatedSlashes, defaults};
use crate::receipt::Code;
use ipnet::IpNet;

pub(super) fn options(reader: &mut Reader<'_>, node: &Node) -> Option<HttpOptions> {
    let fields = reader.fields(node, &HTTP)?;
    let route_configuration = reader.reference(&fields, "route_configuration", Part::RouteConfiguration);
    let escaped = [
        ("keep", EscapedSlashes::Keep),
        ("unescape", EscapedSlashes::Unescape),
        ("refuse", EscapedSlashes::Refuse),
    ];
    let repeated = [
        ("keep", RepeatedSlashes::Keep),
        ("merge", RepeatedSlashes::Merge),
        ("refuse", RepeatedSlashes::Refuse),
    ];
    let bytes_max = fields
        .size(reader, "request_headers_bytes_max")
        .map(|bytes| bytes as usize);
    let count_max = fields
        .integer(reader, "request_headers_count_max")
        .map(|count| count as usize);
    let (xff_num_trusted_hops, trusted_proxies) = trusted(reader, &fields);
    let options = HttpOptions {
        forward_client_certificate: client_certificate::forward_client_certificate(reader, &fields),
        jwt: jwt::requirement(reader, &fields).flatten(),
        external_authorization: external_authorization::settings(reader, &fields),
        route_configuration: route_configuration.unwrap_or(crate::model::Name("".into())),
        accept_http_10: fields.boolean(reader, "accept_http_10").unwrap_or(false),
        http2: http2(reader, &fields),
        request_headers_bytes_max: bytes_max.unwrap_or(defaults::HEADERS_BYTES_MAX),
        request_headers_count_max: count_max.unwrap_or(defaults::HEADERS_COUNT_MAX),
        request_headers_timeout: fields
            .duration(reader, "request_headers_timeout")
            .unwrap_or(defaults::REQUEST_HEADERS_TIMEOUT),
        idle_timeout: fields
            .duration(reader, "idle_timeout")
            .unwrap_or(defaults::IDLE_TIMEOUT),
        stream_idle_timeout: fields
            .duration_or_off(reader, "stream_idle_timeout")
            .unwrap_or(Some(defaults::STREAM_IDLE_TIMEOUT)),
        connection_age_max: fields.duration_or_off(reader, "connection_age_max").flatten(),
        requests_per_connection_max: fields.integer32_or_off(reader, "requests_per_connection_max"),
        escaped_slashes: fields
            .choice(reader, "escaped_slashes", &escaped)
            .unwrap_or(EscapedSlashes::Keep),
        repeated_slashes: fields
            .choice(reader, "repeated_slashes", &repeated)
            .unwrap_or(RepeatedSlashes::Keep),
        upgrades: upgrades::upgrades(reader, &fields)
            .unwrap_or_else(|| defaults::UPGRADES.map(str::to_owned).to_vec()),
        upgrade_idle_timeout: fields
            .duration_or_off(reader, "upgrade_idle_timeout")
            .unwrap_or(Some(defaults::UPGRADE_IDLE_TIMEOUT)),
        trusted_proxies,
        compression: compression::compression(reader, &fields),
        xff_num_trusted_hops,
        server_header: proxy_header(reader, &fields, "server_header")
            .unwrap_or_else(|| ProxyHeader::Set(defaults::SERVER_NAME.to_owned())),
        via_header: proxy_header(reader, &fields, "via_header").unwrap_or(ProxyHeader::Pass),
        access_logs: access_log::access_logs(reader, &fields),
        tracing: tracing::settings(reader, &fields),
        rate_limits: rate_limit::references(reader, &fields),
        fault: fault::fault(reader, &fields).flatten(),
        hint_peers: retry::hint_peers(reader, &fields),
        request_timeout: fields.duration_or_off(reader, "request_timeout").flatten(),
    };
    Some(options)
}

/// How many proxies in front are trusted, and which.
fn trusted(reader: &mut Reader<'_>, fields: &Fields<'_>) -> (u32, Vec<IpNet>) {
    let (name, show) = ("trusted_proxies", IpNet::to_string);
    let proxies = distinct(reader, fields, name, scalar::prefix, show);
    let hops = fields.integer32(reader, "xff_num_trusted_hops").unwrap_or(0);
    if hops == 0 && fields.entry(name).is_some() {
        reader.warn(
            Code::TrustedProxiesUnused,
            fields.key_span_of(name),
            "`trusted_proxies` has no effect: `xff_num_trusted_hops` is 0, so nobody is trusted",
            "write how many proxies stand in front of this one, or remove it",
        );
    }
    (hops, proxies)
}

fn proxy_header(reader: &mut Reader<'_>, fields: &Fields<'_>, name: &str) -> Option<ProxyHeader> {
    let node = fields.node(reader, name)?;
    let value = |text: &str| match scalar::literal_value(text)? {
        value if value.is_empty() => scalar::problem("this value may not be empty"),
        value => Ok(value),
    };
    match &node.value {
        Value::Scalar(scalar) if scalar.text == "pass" => Some(ProxyHeader::Pass),
        Value::Map(_) => {
            let fields = reader.fields(node, &PROXY_HEADER)?;
            let set = fields.parsed(reader, "set", value).map(ProxyHeader::Set);
            let append = fields.parsed(reader, "append", value).map(ProxyHeader::Append);
            set.or(append)
        }
        _ => {
            reader.mismatch(node, "`pass`, `{set: value}` or `{append: value}`");
            None
        }
    }
}
