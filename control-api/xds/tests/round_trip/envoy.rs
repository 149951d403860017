//! Envoy takes what is written for it.
//!
//! Needs Envoy (`OUTRIGGER_ENVOY`); what is asked of it is to look at a bootstrap, as `--mode validate` does.

use super::wire::read;
use envoy_types::pb::envoy::config::bootstrap::v3::{
    Bootstrap,
    bootstrap::{DynamicResources, StaticResources},
};
use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::core::v3::{
    ApiConfigSource, GrpcService, Node, api_config_source::ApiType, grpc_service::EnvoyGrpc,
    grpc_service::TargetSpecifier,
};
use envoy_types::pb::envoy::config::listener::v3::{Listener, filter::ConfigType};
use envoy_types::pb::envoy::config::route::v3::RouteConfiguration;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpConnectionManager, http_connection_manager::RouteSpecifier,
};
use outrigger_xds::encode::{EncodeOptions, encode};
use prost::Message;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Examples that name no file that would have to be there.
const EXAMPLES: [&str; 17] = [
    "authorization.yaml",
    "balancing.yaml",
    "circuit-breakers.yaml",
    "cors.yaml",
    "deadlines.yaml",
    "external-authorization.yaml",
    "fault-injection.yaml",
    "grpc.yaml",
    "health.yaml",
    "hedging.yaml",
    "http2.yaml",
    "mirroring.yaml",
    "proxy-protocol.yaml",
    "rate-limits.yaml",
    "routing.yaml",
    "sidecar.yaml",
    "tcp.yaml",
];

fn envoy() -> Option<PathBuf> {
    let found = std::env::var_os("OUTRIGGER_ENVOY").map(PathBuf::from);
    assert!(
        found.is_some() || std::env::var_os("CI").is_none(),
        "OUTRIGGER_ENVOY says where Envoy is"
    );
    if found.is_none() {
        eprintln!("skipped: OUTRIGGER_ENVOY does not say where Envoy is");
    }
    found
}

/// A bootstrap with everything in it, and the route configurations inside the listeners.
fn bootstrap(text: &str, name: &str) -> Bootstrap {
    let encoded = encode(&read(text, name), &EncodeOptions::default());
    let routes: Vec<RouteConfiguration> = encoded
        .route_configurations
        .iter()
        .map(|(_, body)| RouteConfiguration::decode(body.as_slice()).unwrap())
        .collect();
    let mut clusters: Vec<Cluster> = encoded
        .clusters
        .iter()
        .map(|(_, body)| Cluster::decode(body.as_slice()).unwrap())
        .collect();
    let mut listeners = Vec::new();
    for (_, body) in &encoded.listeners {
        let mut listener = Listener::decode(body.as_slice()).unwrap();
        for chain in &mut listener.filter_chains {
            for filter in &mut chain.filters {
                let Some(ConfigType::TypedConfig(any)) = &mut filter.config_type else {
                    continue;
                };
                if any.type_url.ends_with("HttpConnectionManager") {
                    let mut manager = HttpConnectionManager::decode(any.value.as_slice()).unwrap();
                    let Some(RouteSpecifier::Rds(rds)) = &manager.route_specifier else {
                        panic!("routes are asked for by name");
                    };
                    let of_name = routes.iter().find(|one| one.name == rds.route_config_name);
                    manager.route_specifier = of_name.cloned().map(RouteSpecifier::RouteConfig);
                    any.value = manager.encode_to_vec();
                }
            }
        }
        listeners.push(listener);
    }
    clusters.push(Cluster {
        name: "control".to_owned(),
        ..Cluster::default()
    });
    let source = ApiConfigSource {
        api_type: ApiType::Grpc.into(),
        transport_api_version: 2,
        grpc_services: vec![GrpcService {
            target_specifier: Some(TargetSpecifier::EnvoyGrpc(EnvoyGrpc {
                cluster_name: "control".to_owned(),
                ..EnvoyGrpc::default()
            })),
            ..GrpcService::default()
        }],
        ..ApiConfigSource::default()
    };
    Bootstrap {
        node: Some(Node {
            id: "test".to_owned(),
            cluster: "test".to_owned(),
            ..Node::default()
        }),
        static_resources: Some(StaticResources {
            listeners,
            clusters,
            ..StaticResources::default()
        }),
        dynamic_resources: Some(DynamicResources {
            ads_config: Some(source),
            ..DynamicResources::default()
        }),
        ..Bootstrap::default()
    }
}

#[test]
fn envoy_takes_every_example() {
    let Some(envoy) = envoy() else { return };
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/examples");
    let directory = std::env::temp_dir().join(format!("outrigger-xds-envoy-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let mut refused = Vec::new();
    for example in EXAMPLES {
        let text = std::fs::read_to_string(examples.join(example)).unwrap();
        let file = directory.join(format!("{example}.pb"));
        std::fs::write(&file, bootstrap(&text, example).encode_to_vec()).unwrap();
        let output = Command::new(&envoy)
            .args(["--mode", "validate", "--log-level", "error", "--config-path"])
            .arg(&file)
            .output()
            .unwrap();
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let said: String = said.chars().take(1500).collect();
            refused.push(format!("{example}: {said}"));
        }
    }
    std::fs::remove_dir_all(&directory).unwrap();
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}
