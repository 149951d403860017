//! How HTTP is spoken, and access logs, as YAML.

use super::emit::{Map, Out, list, text};
use super::{
    access_log, boolean, duration, duration_or_off, edge, external_authorization, fault, http2, jwt, number,
    number_or_off, put_rate_limits, retry, size, tracing, word,
};
use crate::model::{EscapedSlashes, ForwardClientCertificate, HttpOptions, ProxyHeader, RepeatedSlashes};
use crate::yaml::client_certificate::{DETAILS, MODES};

pub(super) fn http(options: &HttpOptions) -> Map {
    let (escaped, repeated) = slashes(options);
    let mut map = Map::default()
        .with("route_configuration", text(&options.route_configuration))
        .with("accept_http_10", boolean(options.accept_http_10))
        .with("http2", http2(&options.http2))
        .with(
            "request_headers_bytes_max",
            size(options.request_headers_bytes_max as u64),
        )
        .with(
            "request_headers_count_max",
            number(options.request_headers_count_max as u64),
        )
        .with(
            "request_headers_timeout",
            duration(options.request_headers_timeout),
        )
        .with("idle_timeout", duration(options.idle_timeout))
        .with(
            "stream_idle_timeout",
            duration_or_off(options.stream_idle_timeout),
        )
        .with("connection_age_max", duration_or_off(options.connection_age_max))
        .with(
            "requests_per_connection_max",
            number_or_off(options.requests_per_connection_max),
        )
        .with("escaped_slashes", word(escaped))
        .with("repeated_slashes", word(repeated))
        .with("upgrades", list(options.upgrades.iter().map(text)))
        .with(
            "upgrade_idle_timeout",
            duration_or_off(options.upgrade_idle_timeout),
        )
        .with(
            "xff_num_trusted_hops",
            number(options.xff_num_trusted_hops.into()),
        )
        .with("compression", edge::compression(options.compression.as_ref()))
        .with("server_header", proxy_header(&options.server_header))
        .with("via_header", proxy_header(&options.via_header))
        .with(
            "forward_client_certificate",
            forward_client_certificate(&options.forward_client_certificate),
        )
        .with(
            "jwt",
            options
                .jwt
                .as_ref()
                .map_or_else(|| word("off"), |required| jwt::requirement(required).into()),
        )
        .with(
            "external_authorization",
            external_authorization::settings(options.external_authorization.as_ref()),
        )
        .with("fault", fault::fault(options.fault.as_deref()))
        .with("request_timeout", duration_or_off(options.request_timeout))
        .with("hint_peers", retry::hint_peers(&options.hint_peers))
        .with("tracing", tracing::settings(options.tracing.as_deref()))
        .with(
            "access_logs",
            list(options.access_logs.iter().map(access_log::access_log)),
        );
    if !options.trusted_proxies.is_empty() {
        map.put("trusted_proxies", list(options.trusted_proxies.iter().map(text)));
    }
    put_rate_limits(&mut map, &options.rate_limits);
    map
}

/// What is done with escaped and with repeated slashes.
fn slashes(options: &HttpOptions) -> (&'static str, &'static str) {
    let escaped = match options.escaped_slashes {
        EscapedSlashes::Keep => "keep",
        EscapedSlashes::Unescape => "unescape",
        EscapedSlashes::Refuse => "refuse",
    };
    let repeated = match options.repeated_slashes {
        RepeatedSlashes::Keep => "keep",
        RepeatedSlashes::Merge => "merge",
        RepeatedSlashes::Refuse => "refuse",
    };
    (escaped, repeated)
}

fn forward_client_certificate(forward: &ForwardClientCertificate) -> Out {
    let mode = MODES.iter().find(|(_, mode)| *mode == forward.mode);
    let details = DETAILS
        .iter()
        .filter(|(_, detail)| forward.details.contains(detail));
    let mut map = Map::default().with("mode", word(mode.expect("every mode has a word").0));
    if !forward.details.is_empty() {
        map.put("details", list(details.map(|(name, _)| word(name))));
    }
    map.into()
}

fn proxy_header(header: &ProxyHeader) -> Out {
    match header {
        ProxyHeader::Pass => word("pass"),
        ProxyHeader::Set(value) => Map::default().with("set", text(value)).into(),
        ProxyHeader::Append(value) => Map::default().with("append", text(value)).into(),
    }
}
