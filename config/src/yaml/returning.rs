//! Warns of connections that would come back: a cluster that forwards to where a connection was meant for, behind a
//! listener that takes only what is meant for itself.

use super::reader::Reader;
use crate::model::{
    Discovery, FilterChain, Interception, Listener, MeshConfig, Name, ProxyProtocolMode, RouteAction,
    RouteConfiguration,
};
use crate::receipt::Code;
use std::collections::{HashMap, HashSet};

pub(super) fn warn(reader: &mut Reader<'_>, config: &MeshConfig) {
    let clusters: HashSet<&Name> = config
        .clusters
        .iter()
        .filter(|cluster| {
            matches!(&cluster.discovery, Discovery::OriginalDestination(settings) if settings.port.is_none())
        })
        .map(|cluster| &cluster.name)
        .collect();
    if clusters.is_empty() {
        return;
    }
    let routes: HashMap<&Name, &Name> = config
        .route_configurations
        .iter()
        .filter_map(|routes| Some((&routes.name, forwarded(routes, &clusters)?)))
        .collect();
    for listener in config.listeners.iter().filter(|listener| takes_its_own(listener)) {
        let reached = |chain| reached(chain, &clusters, &routes);
        if let Some(cluster) = listener.filter_chains.iter().find_map(reached) {
            let message = format!(
                "connections to the listener `{}` are meant for itself, and the cluster `{cluster}` sends them there",
                listener.name
            );
            let help = "write how they are led here (`interception: redirect`), or give the cluster's `discovery` a `port`";
            let part = ("listener", &listener.name);
            reader.warn_of(Code::ConnectionComesBack, part, &listener.origin, message, help);
        }
    }
}

/// What else a connection was meant for is told neither by the kernel nor by a header.
fn takes_its_own(listener: &Listener) -> bool {
    listener.interception == Interception::Off && listener.proxy_protocol.mode == ProxyProtocolMode::Off
}

fn forwarded<'a>(routes: &'a RouteConfiguration, clusters: &HashSet<&Name>) -> Option<&'a Name> {
    let hosts = routes.virtual_hosts.iter();
    let actions = hosts.flat_map(|host| host.routes.iter().map(|route| &route.action));
    let targets = actions.flat_map(|action| match action {
        RouteAction::Forward(forward) => forward.clusters.as_slice(),
        RouteAction::Redirect(_) | RouteAction::DirectResponse(_) => &[],
    });
    targets
        .map(|target| &target.cluster)
        .find(|name| clusters.contains(name))
}

fn reached<'a>(
    chain: &'a FilterChain,
    clusters: &HashSet<&Name>,
    routes: &HashMap<&Name, &'a Name>,
) -> Option<&'a Name> {
    let tcp = chain
        .mode
        .tcp()
        .map_or(&[][..], |proxy| proxy.clusters.as_slice());
    let http = chain
        .mode
        .http()
        .and_then(|http| routes.get(&http.route_configuration));
    tcp.iter()
        .map(|target| &target.cluster)
        .find(|name| clusters.contains(name))
        .or(http.copied())
}
