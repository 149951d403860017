//! Clusters.

mod balancing;
mod breakers;
mod discovery;
mod health;
mod messages;
mod protocol;
mod subsets;
mod transport;

use super::tls::Credentials;
use super::{DecodedCluster, Refusals, check_name, extras, value};
use envoy_types::pb::envoy::config::cluster::v3 as cluster;
use envoy_types::pb::envoy::config::core::v3 as core;
use messages::{refuse_cluster, refuse_connections, refuse_keepalive};
use outrigger_config::document::{Map, Path, Value, read_parts};

pub(super) use cluster::Cluster as Message;
pub(crate) use messages::MESSAGES;
pub(crate) use protocol::OPTIONS_KEY;

pub(super) fn decode(
    refusals: &mut Refusals,
    name: &str,
    message: &cluster::Cluster,
) -> Option<DecodedCluster> {
    let path = Path::root();
    refuse_cluster(refusals, &path, message);
    check_name(refusals, "name", name, &message.name);
    let mut extras = extras(&path, message.metadata.as_ref());
    let mut credentials = Credentials::new(name);
    credentials.take(refusals, &mut extras);
    let mut map = Map::new(&path).with("name", Value::text(&path.field("name"), name));
    let apart = discovery::put(refusals, &path, message, &mut map);
    balancing::put(refusals, &path, message, &mut map);
    health::put(refusals, &path, message, &mut map);
    breakers::put(refusals, &path, message, &mut map);
    let offered = protocol::put(refusals, &path, message, &mut map);
    transport::put(refusals, &path, message, offered, &mut credentials, &mut map);
    put_connections(refusals, &path, message, &mut map);
    extras.merge(refusals, &mut map);
    let mut document = Map::new(&path).with("clusters", Value::list(&path, [map.into()]));
    credentials.put(&mut document, &path);
    if !refusals.is_empty() {
        return None;
    }
    match read_parts(&format!("cluster `{name}`"), document.into()) {
        Ok(mut parts) => {
            credentials.refer(&mut parts);
            let endpoints = apart;
            Some(DecodedCluster { parts, endpoints })
        }
        Err(faults) => {
            refusals.extend(&faults);
            None
        }
    }
}

fn put_connections(refusals: &mut Refusals, path: &Path, message: &cluster::Cluster, map: &mut Map) {
    let at = path.field("connect_timeout");
    map.put_some(
        "connect_timeout",
        value::duration_value(refusals, &at, message.connect_timeout.as_ref()),
    );
    if message
        .wait_for_warm_on_init
        .as_ref()
        .is_some_and(|waits| !waits.value)
    {
        let at = path.field("wait_for_warm_on_init");
        refusals.unsupported(&at, "a cluster that is used before it is warm");
    }
    if message.protocol_selection != cluster::cluster::ClusterProtocolSelection::UseConfiguredProtocol as i32
    {
        let at = path.field("protocol_selection");
        refusals.unsupported(&at, "speaking what the client speaks");
    }
    if let Some(options) = &message.upstream_connection_options {
        let at = path.field("upstream_connection_options");
        refuse_connections(refusals, &at, options);
        if let Some(keepalive) = &options.tcp_keepalive {
            let keepalive = tcp_keepalive(refusals, &at.field("tcp_keepalive"), keepalive);
            map.put("tcp_keepalive", keepalive);
        }
    }
}

/// TCP keep-alive, as the document has it. What is not said is ours, not the kernel's.
pub(crate) fn tcp_keepalive(refusals: &mut Refusals, path: &Path, keepalive: &core::TcpKeepalive) -> Value {
    refuse_keepalive(refusals, path, keepalive);
    let mut map = Map::new(path);
    for (name, field, seconds) in [
        ("time", "keepalive_time", keepalive.keepalive_time.as_ref()),
        (
            "interval",
            "keepalive_interval",
            keepalive.keepalive_interval.as_ref(),
        ),
    ] {
        if let Some(seconds) = seconds {
            map.put(
                name,
                Value::plain(&path.field(field), format_args!("{}s", seconds.value)),
            );
        }
    }
    let at = path.field("keepalive_probes");
    map.put_some("probes", value::number(&at, keepalive.keepalive_probes.as_ref()));
    map.into()
}
