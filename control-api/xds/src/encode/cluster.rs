//! Clusters as Envoy's.

mod balancing;
mod discovery;
mod health;
mod limits;
mod protocol;

use super::{Encoding, Remainder, canonical, endpoints, tls, value};
use envoy_types::pb::envoy::config::cluster::v3 as cluster;
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::extensions::transport_sockets::proxy_protocol::v3::ProxyProtocolUpstreamTransport;
use envoy_types::pb::envoy::extensions::transport_sockets::raw_buffer::v3::RawBuffer;
use outrigger_config::model::{Cluster, PassTlvs, ProxyProtocolVersion, TcpKeepalive};
use outrigger_config::{Environment, Source, load, to_json};
use serde_json::Value as Json;
use std::sync::LazyLock;
use std::time::Duration;

/// A cluster of which nothing is said but its name, as it is written.
static DEFAULT: LazyLock<Json> = LazyLock::new(|| {
    let source = Source {
        name: String::new(),
        text: "clusters: [{name: default}]".to_owned(),
    };
    let loaded = load(&source, &Environment::empty());
    let config = loaded.expect("a cluster needs no more than its name").config;
    to_json(&config)["clusters"][0].clone()
});

/// All clusters, and the endpoints that come apart.
pub(super) fn encode(encoding: &mut Encoding<'_>) {
    let clusters = std::mem::take(&mut encoding.clusters);
    for (index, model) in clusters.iter().enumerate() {
        let mut remainder = encoding.written("clusters", index);
        let message = message(encoding, model, &mut remainder);
        encoding.note(&format!("cluster {}", model.name()), remainder.names());
        let message = cluster::Cluster {
            metadata: remainder.into_metadata(None),
            ..message
        };
        let name = model.name().as_str().to_owned();
        encoding
            .encoded
            .clusters
            .push((name.clone(), canonical::encode(&message)));
        if discovery::is_apart(model, encoding.endpoints_apart) {
            let body = endpoints_of(model);
            encoding.encoded.endpoints.push((name, body));
        }
    }
}

/// The body of a cluster's endpoints, where they come apart from it.
pub fn endpoints_of(cluster: &Cluster) -> Vec<u8> {
    canonical::encode(&endpoints::listed(cluster))
}

fn message(encoding: &Encoding<'_>, model: &Cluster, remainder: &mut Remainder) -> cluster::Cluster {
    let mut message = cluster::Cluster {
        name: model.name().as_str().to_owned(),
        connect_timeout: Some(value::duration(model.connect_timeout())),
        ..cluster::Cluster::default()
    };
    remainder.said("name");
    remainder.said("connect_timeout");
    discovery::put(model, encoding.endpoints_apart, remainder, &mut message);
    balancing::put(model, remainder, &mut message);
    health::put(model, remainder, &mut message);
    limits::put(model, remainder, &mut message);
    let alpn = protocol::put(model, remainder, &mut message);
    let secured = model.tls().as_ref().map(|model| {
        let context = tls::upstream(model, alpn, &encoding.believed, remainder);
        tls::socket("envoy.transport_sockets.tls", &context)
    });
    message.transport_socket = proxied(model, secured, remainder);
    message.upstream_connection_options = tcp_keepalive(model, remainder);
    remainder.without_defaults(&DEFAULT, &[]);
    message
}

/// The socket, with the PROXY protocol around it if that is spoken.
fn proxied(
    model: &Cluster,
    inner: Option<core::TransportSocket>,
    remainder: &mut Remainder,
) -> Option<core::TransportSocket> {
    remainder.said("proxy_protocol");
    let Some(options) = model.proxy_protocol() else {
        return inner;
    };
    let version = match options.version() {
        ProxyProtocolVersion::V1 => core::proxy_protocol_config::Version::V1,
        ProxyProtocolVersion::V2 => core::proxy_protocol_config::Version::V2,
    };
    let raw = || tls::socket("envoy.transport_sockets.raw_buffer", &RawBuffer {});
    let message = ProxyProtocolUpstreamTransport {
        config: Some(core::ProxyProtocolConfig {
            version: version as i32,
            pass_through_tlvs: pass_tlvs(options.pass_tlvs()),
            ..core::ProxyProtocolConfig::default()
        }),
        transport_socket: Some(inner.unwrap_or_else(raw)),
        ..ProxyProtocolUpstreamTransport::default()
    };
    Some(tls::socket(
        "envoy.transport_sockets.upstream_proxy_protocol",
        &message,
    ))
}

/// Fields of a PROXY protocol header that are kept or passed on.
pub(crate) fn pass_tlvs(tlvs: &PassTlvs) -> Option<core::ProxyProtocolPassThroughTlVs> {
    use core::proxy_protocol_pass_through_tl_vs::PassTlVsMatchType;
    let (kind, types) = match tlvs {
        PassTlvs::None => return None,
        PassTlvs::All => (PassTlVsMatchType::IncludeAll, Vec::new()),
        PassTlvs::Listed(types) => {
            let types = types.iter().map(|value| u32::from(*value)).collect();
            (PassTlVsMatchType::Include, types)
        }
    };
    Some(core::ProxyProtocolPassThroughTlVs {
        match_type: kind as i32,
        tlv_type: types,
    })
}

/// TCP keep-alive in whole seconds: Envoy has no others.
fn tcp_keepalive(model: &Cluster, remainder: &mut Remainder) -> Option<cluster::UpstreamConnectionOptions> {
    let keepalive = keepalive(model.tcp_keepalive().as_ref()?)?;
    remainder.said("tcp_keepalive");
    Some(cluster::UpstreamConnectionOptions {
        tcp_keepalive: Some(keepalive),
        ..cluster::UpstreamConnectionOptions::default()
    })
}

/// TCP keep-alive; none: it has parts of seconds, which Envoy has not.
pub(crate) fn keepalive(model: &TcpKeepalive) -> Option<core::TcpKeepalive> {
    let seconds = |duration: Duration| {
        let seconds = u32::try_from(duration.as_secs()).ok()?;
        (duration.subsec_nanos() == 0).then(|| value::number(seconds))
    };
    Some(core::TcpKeepalive {
        keepalive_time: Some(seconds(model.time())?),
        keepalive_interval: Some(seconds(model.interval())?),
        keepalive_probes: Some(value::number(model.probes())),
    })
}
