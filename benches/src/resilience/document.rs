//! The proxies' configurations: one listener, one route, one cluster, and a policy in its place.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use crate::peer::Peer;

/// Where a policy's texts go.
#[derive(Debug, Clone, Copy)]
pub(super) enum Written {
    /// Fields of the route's `forward` and of the cluster.
    Outrigger {
        route: &'static str,
        cluster: &'static str,
    },
    /// Fields of the route and of the cluster, and an HTTP filter.
    Envoy {
        route: &'static str,
        cluster: &'static str,
        filter: &'static str,
    },
}

/// How a proxy is started with a file.
pub(super) fn arguments(peer: Peer, file: &Path) -> Vec<OsString> {
    let words: &[&str] = match peer {
        Peer::Envoy => &[
            "--concurrency",
            "1",
            "--disable-hot-restart",
            "--log-level",
            "error",
            "-c",
        ],
        _ => &["run", "-c"],
    };
    let mut arguments: Vec<OsString> = words.iter().map(OsString::from).collect();
    arguments.push(file.into());
    arguments
}

impl Written {
    /// The whole document.
    pub(super) fn text(self, listen: SocketAddr, backends: &[SocketAddr]) -> String {
        match self {
            Written::Outrigger { route, cluster } => outrigger(listen, backends, route, cluster),
            Written::Envoy {
                route,
                cluster,
                filter,
            } => envoy(listen, backends, [route, cluster, filter]),
        }
    }
}

/// What follows other fields of a flow mapping.
fn further(fields: &str) -> String {
    if fields.is_empty() {
        String::new()
    } else {
        format!(", {fields}")
    }
}

fn outrigger(listen: SocketAddr, backends: &[SocketAddr], route: &str, cluster: &str) -> String {
    let endpoints: Vec<String> = backends
        .iter()
        .map(|address| format!("{{ address: {address} }}"))
        .collect();
    format!(
        r#"admin: {{ address: 127.0.0.1:0 }}
runtime: {{ workers: 1 }}
drain: {{ grace: 0s, timeout: 1s }}
listeners:
  - name: bench
    address: {listen}
    filter_chains: [ {{ name: plain, http: {{ route_configuration: main }} }} ]
route_configurations:
  - name: main
    virtual_hosts:
      - name: all
        domains: ["*"]
        routes: [ {{ name: all, match: {{ prefix: / }}, forward: {{ cluster: upstream{} }} }} ]
clusters:
  - {{ name: upstream, endpoints: [ {} ]{} }}
"#,
        further(route),
        endpoints.join(", "),
        further(cluster),
    )
}

fn envoy(listen: SocketAddr, backends: &[SocketAddr], [route, cluster, filter]: [&str; 3]) -> String {
    let mut endpoints = String::new();
    for address in backends {
        write!(
            endpoints,
            "{{ endpoint: {{ address: {{ socket_address: {{ address: {}, port_value: {} }} }} }} }}, ",
            address.ip(),
            address.port()
        )
        .expect("a text takes what it is given");
    }
    format!(
        r#"static_resources:
  listeners:
  - name: bench
    address: {{ socket_address: {{ address: {}, port_value: {} }} }}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: bench
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes: [ {{ match: {{ prefix: "/" }}, route: {{ cluster: upstream{} }} }} ]
          http_filters:
{filter}          - name: envoy.filters.http.router
            typed_config: {{ "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }}
  clusters:
  - {{ name: upstream, type: STATIC, connect_timeout: 5s, load_assignment: {{ cluster_name: upstream, endpoints: [ {{ lb_endpoints: [ {endpoints} ] }} ] }}{} }}
"#,
        listen.ip(),
        listen.port(),
        further(route),
        further(cluster),
    )
}
