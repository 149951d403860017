//! What connections to endpoints begin with: TLS, the PROXY protocol, or nothing.

use crate::decode::tls::{self, Credentials};
use crate::decode::{Refusals, type_url, unpack};
use crate::support::message;
use core::proxy_protocol_config::Version;
use core::proxy_protocol_pass_through_tl_vs::PassTlVsMatchType;
use envoy_types::pb::envoy::config::cluster::v3 as cluster;
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::extensions::transport_sockets::proxy_protocol::v3::ProxyProtocolUpstreamTransport;
use envoy_types::pb::envoy::extensions::transport_sockets::raw_buffer::v3::RawBuffer;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::UpstreamTlsContext;
use outrigger_config::document::{Map, Path, Value};

message! {
    pub(super) PROXY_SOCKET, refuse_proxy_socket: ProxyProtocolUpstreamTransport
        as "envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport" {
        used: config, transport_socket;
        refused: allow_unspecified_address, tlv_as_pool_key;
        ignored: ;
    }
}
message! {
    pub(super) PROXY, refuse_proxy: core::ProxyProtocolConfig as "envoy.config.core.v3.ProxyProtocolConfig" {
        used: version, pass_through_tlvs;
        refused: added_tlvs;
        ignored: ;
    }
}
message! {
    pub(super) PASSED, refuse_passed: core::ProxyProtocolPassThroughTlVs
        as "envoy.config.core.v3.ProxyProtocolPassThroughTLVs" {
        used: match_type, tlv_type;
        refused: ;
        ignored: ;
    }
}

pub(super) fn put(
    refusals: &mut Refusals,
    path: &Path,
    message: &cluster::Cluster,
    offered: &[&str],
    credentials: &mut Credentials,
    map: &mut Map,
) {
    if let Some(socket) = &message.transport_socket {
        let at = path.field("transport_socket");
        put_socket(refusals, &at, socket, offered, credentials, map);
    }
}

fn put_socket(
    refusals: &mut Refusals,
    path: &Path,
    socket: &core::TransportSocket,
    offered: &[&str],
    credentials: &mut Credentials,
    map: &mut Map,
) {
    let core::TransportSocket { name, config_type } = socket;
    let path = path.field("typed_config");
    let any = match config_type {
        Some(core::transport_socket::ConfigType::TypedConfig(any)) => any,
        None if name == "envoy.transport_sockets.raw_buffer" => return,
        None => return refusals.fault(&path, "this field is missing"),
    };
    let url = any.type_url.as_str();
    if url == type_url::<UpstreamTlsContext>() {
        if let Some(context) = unpack(refusals, &path, any, url) {
            let tls = tls::upstream(refusals, &path, &context, offered, credentials);
            map.put("tls", tls.into());
        }
    } else if url == type_url::<ProxyProtocolUpstreamTransport>() && !map.has("proxy_protocol") {
        let message = unpack::<ProxyProtocolUpstreamTransport>(refusals, &path, any, url);
        let Some(message) = message else {
            return;
        };
        refuse_proxy_socket(refusals, &path, &message);
        let none = core::ProxyProtocolConfig::default();
        let config = message.config.as_ref().unwrap_or(&none);
        put_proxy_protocol(refusals, &path.field("config"), config, map);
        if let Some(inner) = &message.transport_socket {
            put_socket(
                refusals,
                &path.field("transport_socket"),
                inner,
                offered,
                credentials,
                map,
            );
        }
    } else if url == type_url::<RawBuffer>() {
        let _: Option<RawBuffer> = unpack(refusals, &path, any, url);
    } else {
        refusals.unsupported(&path, format!("the transport socket {url}"));
    }
}

fn put_proxy_protocol(
    refusals: &mut Refusals,
    path: &Path,
    config: &core::ProxyProtocolConfig,
    map: &mut Map,
) {
    refuse_proxy(refusals, path, config);
    let at = path.field("version");
    let version = match Version::try_from(config.version) {
        Ok(Version::V1) => "v1",
        Ok(Version::V2) => "v2",
        Err(_) => return refusals.fault(&at, "there is no such version"),
    };
    let mut proxied = Map::new(path).with("version", Value::plain(&at, version));
    if let Some(passed) = &config.pass_through_tlvs {
        let passed = pass_tlvs(refusals, &path.field("pass_through_tlvs"), passed);
        proxied.put("pass_tlvs", passed);
    }
    map.put("proxy_protocol", proxied.into());
}

/// Fields of a PROXY protocol header that are kept or passed on, as the document has them.
pub(crate) fn pass_tlvs(
    refusals: &mut Refusals,
    path: &Path,
    passed: &core::ProxyProtocolPassThroughTlVs,
) -> Value {
    refuse_passed(refusals, path, passed);
    match PassTlVsMatchType::try_from(passed.match_type) {
        Ok(PassTlVsMatchType::IncludeAll) => Value::plain(&path.field("match_type"), "all"),
        Ok(PassTlVsMatchType::Include) if passed.tlv_type.is_empty() => Value::plain(path, "none"),
        Ok(PassTlVsMatchType::Include) => {
            let at = path.field("tlv_type");
            let types = passed.tlv_type.iter().enumerate();
            Value::list(&at, types.map(|(index, tlv)| Value::plain(&at.index(index), tlv)))
        }
        Err(_) => {
            refusals.fault(&path.field("match_type"), "there is no such value");
            Value::plain(path, "none")
        }
    }
}
