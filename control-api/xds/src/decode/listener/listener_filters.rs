//! Listener filters: what is learnt of a connection before its filter chain is known.
//!
//! Our listeners look at the first bytes wherever their chains ask about them: filters that inspect are accepted, and not
//! needed.

use crate::decode::{Refusals, read_as, type_url, value};
use crate::support::{Message, message};
use envoy_types::pb::envoy::config::core::v3::{
    ProxyProtocolPassThroughTlVs as PassThrough,
    proxy_protocol_pass_through_tl_vs::PassTlVsMatchType as MatchType,
};
use envoy_types::pb::envoy::config::listener::v3::{Listener, ListenerFilter, listener_filter::ConfigType};
use envoy_types::pb::envoy::extensions::filters::listener::{
    http_inspector::v3::HttpInspector, original_dst::v3::OriginalDst, proxy_protocol::v3::ProxyProtocol,
    tls_inspector::v3::TlsInspector,
};
use envoy_types::pb::google::protobuf::Any;
use outrigger_config::document::{Map, Path, Value};

pub(super) const MESSAGES: &[&Message] = &[
    &LISTENER_FILTER,
    &TLS_INSPECTOR,
    &HTTP_INSPECTOR,
    &ORIGINAL_DST,
    &PROXY_PROTOCOL,
    &PASS_THROUGH,
];

message! {
    pub(super) LISTENER_FILTER, refuse_filter: ListenerFilter as "envoy.config.listener.v3.ListenerFilter" {
        used: config_type;
        refused: filter_disabled;
        ignored: name = "the type says what it is";
    }
}
message! {
    pub(super) TLS_INSPECTOR, refuse_tls_inspector: TlsInspector
        as "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector" {
        used: ;
        refused: enable_ja3_fingerprinting, enable_ja4_fingerprinting, max_client_hello_size;
        ignored: initial_read_buffer_size = "the first bytes are read as they come",
            close_connection_on_client_hello_parsing_errors = "what is no TLS is told from it by its first bytes";
    }
}
message! {
    pub(super) HTTP_INSPECTOR, refuse_http_inspector: HttpInspector
        as "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector" {
        used: ;
        refused: ;
        ignored: ;
    }
}
message! {
    pub(super) ORIGINAL_DST, refuse_original_dst: OriginalDst
        as "envoy.extensions.filters.listener.original_dst.v3.OriginalDst" {
        used: ;
        refused: ;
        ignored: ;
    }
}
message! {
    pub(super) PROXY_PROTOCOL, refuse_proxy_protocol: ProxyProtocol
        as "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol" {
        used: allow_requests_without_proxy_protocol, pass_through_tlvs;
        refused: rules, disallowed_versions, tlv_location;
        ignored: stat_prefix = "metrics are labelled by the listener's name";
    }
}
message! {
    pub(super) PASS_THROUGH, refuse_pass_through: PassThrough
        as "envoy.config.core.v3.ProxyProtocolPassThroughTLVs" {
        used: match_type, tlv_type;
        refused: ;
        ignored: ;
    }
}

/// Reads the filters into the listener's part. Their time is that of the PROXY protocol: what chains ask about the first
/// bytes has a time of its own in each.
pub(super) fn read(refusals: &mut Refusals, path: &Path, message: &Listener, map: &mut Map) {
    let place = path.field("listener_filters_timeout");
    let timeout = value::duration_value(refusals, &place, message.listener_filters_timeout.as_ref());
    let mut intercepts = false;
    for (index, filter) in message.listener_filters.iter().enumerate() {
        let path = path.field("listener_filters").index(index);
        refuse_filter(refusals, &path, filter);
        match &filter.config_type {
            Some(ConfigType::TypedConfig(any)) => {
                intercepts |= one(refusals, &path.field("typed_config"), any, timeout.as_ref(), map);
            }
            Some(ConfigType::ConfigDiscovery(_)) => {
                refusals.unsupported(&path.field("config_discovery"), "configuring a filter by ECDS");
            }
            None => refusals.fault(&path, "`typed_config` is missing"),
        }
    }
    let transparent = message.transparent.is_some_and(|transparent| transparent.value);
    match (intercepts, transparent) {
        (true, true) => map.put("interception", Value::plain(&path.field("transparent"), "tproxy")),
        (true, false) => map.put(
            "interception",
            Value::plain(&path.field("listener_filters"), "redirect"),
        ),
        (false, true) => {
            let message = "only with the listener filter `original_dst`";
            refusals.fault(&path.field("transparent"), message);
        }
        (false, false) => {}
    }
}

/// Reads one; true if the original destination is asked for.
fn one(refusals: &mut Refusals, path: &Path, any: &Any, timeout: Option<&Value>, map: &mut Map) -> bool {
    let url = any.type_url.as_str();
    if url == type_url::<TlsInspector>() {
        if let Some(filter) = read_as::<TlsInspector>(refusals, path, &any.value) {
            refuse_tls_inspector(refusals, path, &filter);
        }
    } else if url == type_url::<HttpInspector>() {
        if let Some(filter) = read_as::<HttpInspector>(refusals, path, &any.value) {
            refuse_http_inspector(refusals, path, &filter);
        }
    } else if url == type_url::<OriginalDst>() {
        if let Some(filter) = read_as::<OriginalDst>(refusals, path, &any.value) {
            refuse_original_dst(refusals, path, &filter);
        }
        return true;
    } else if url == type_url::<ProxyProtocol>() {
        if let Some(filter) = read_as::<ProxyProtocol>(refusals, path, &any.value) {
            refuse_proxy_protocol(refusals, path, &filter);
            proxy_protocol(refusals, path, &filter, timeout, map);
        }
    } else {
        refusals.fault(path, format!("{url} is not implemented"));
    }
    false
}

fn proxy_protocol(
    refusals: &mut Refusals,
    path: &Path,
    filter: &ProxyProtocol,
    timeout: Option<&Value>,
    map: &mut Map,
) {
    let mode = match filter.allow_requests_without_proxy_protocol {
        true => "optional",
        false => "required",
    };
    let place = path.field("allow_requests_without_proxy_protocol");
    let mut fields = Map::new(path).with("mode", Value::plain(&place, mode));
    fields.put_some("timeout", timeout.cloned());
    if let Some(pass) = &filter.pass_through_tlvs {
        let path = path.field("pass_through_tlvs");
        fields.put("pass_tlvs", pass_through(refusals, &path, pass));
    }
    map.put("proxy_protocol", fields.into());
}

/// Which fields of the PROXY protocol are kept.
pub(crate) fn pass_through(refusals: &mut Refusals, path: &Path, pass: &PassThrough) -> Value {
    refuse_pass_through(refusals, path, pass);
    match MatchType::try_from(pass.match_type) {
        Ok(MatchType::IncludeAll) => Value::plain(path, "all"),
        Ok(MatchType::Include) if pass.tlv_type.is_empty() => Value::plain(path, "none"),
        Ok(MatchType::Include) => {
            let place = path.field("tlv_type");
            Value::list(
                &place,
                pass.tlv_type.iter().map(|number| Value::plain(&place, number)),
            )
        }
        Err(_) => {
            refusals.fault(
                &path.field("match_type"),
                format!("there is no {}", pass.match_type),
            );
            Value::plain(path, "none")
        }
    }
}
