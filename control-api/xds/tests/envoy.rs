//! Envoy takes what is written for it.
//!
//! Needs Envoy: its path in `OUTRIGGER_ENVOY`. Without it the test says so, and fails where CI runs.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use envoy_types::pb::envoy::config::bootstrap::v3::Bootstrap;
use envoy_types::pb::envoy::config::bootstrap::v3::bootstrap::{DynamicResources, StaticResources};
use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::core::v3::{
    ApiConfigSource, ApiVersion, GrpcService, Node,
    api_config_source::ApiType,
    grpc_service::{EnvoyGrpc, TargetSpecifier},
};
use envoy_types::pb::envoy::config::core::v3::{TransportSocket, transport_socket::ConfigType};
use envoy_types::pb::envoy::config::listener::v3::{Filter, Listener, filter};
use envoy_types::pb::envoy::config::route::v3::RouteConfiguration;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpConnectionManager, http_connection_manager::RouteSpecifier,
};
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::{
    CommonTlsContext, DownstreamTlsContext, UpstreamTlsContext, common_tls_context::ValidationContextType,
};
use outrigger_config::{Environment, MeshConfig, load_file};
use outrigger_xds::encode::{Bodies, EncodeOptions, encode};
use prost::Message;
use std::path::Path;
use std::process::Command;

/// The control plane, which nobody asks while a configuration is only looked at.
const CONTROL: &str =
    "clusters: [{name: outrigger-control, protocol: http2, endpoints: [{address: '127.0.0.1:1'}]}]\n";

fn all<T: Message + Default>(bodies: &Bodies) -> Vec<T> {
    bodies
        .iter()
        .map(|(_, body)| T::decode(body.as_slice()).unwrap())
        .collect()
}

fn read(directory: &Path, text: &str) -> MeshConfig {
    let file = directory.join("read.yaml");
    std::fs::write(&file, text).unwrap();
    load_file(&file, &Environment::empty()).unwrap().config
}

/// Secrets are looked for in the file itself: asked for by ADS while a file is only looked at, Envoy 1.40 crashes.
fn locally(socket: &mut Option<TransportSocket>) {
    let Some(TransportSocket {
        config_type: Some(ConfigType::TypedConfig(any)),
        ..
    }) = socket
    else {
        return;
    };
    if any.type_url.ends_with("v3.UpstreamTlsContext") {
        let mut context = UpstreamTlsContext::decode(any.value.as_slice()).unwrap();
        common(context.common_tls_context.as_mut().unwrap());
        any.value = context.encode_to_vec();
    } else if any.type_url.ends_with("v3.DownstreamTlsContext") {
        let mut context = DownstreamTlsContext::decode(any.value.as_slice()).unwrap();
        common(context.common_tls_context.as_mut().unwrap());
        any.value = context.encode_to_vec();
    }
}

fn common(context: &mut CommonTlsContext) {
    for secret in &mut context.tls_certificate_sds_secret_configs {
        secret.sds_config = None;
    }
    if let Some(ValidationContextType::CombinedValidationContext(combined)) =
        &mut context.validation_context_type
    {
        combined
            .validation_context_sds_secret_config
            .as_mut()
            .unwrap()
            .sds_config = None;
    }
}

/// Routes that are asked for by name are put where they are asked for, so that Envoy looks at them.
fn with_routes(filter: &mut Filter, routes: &[RouteConfiguration]) {
    let Some(filter::ConfigType::TypedConfig(any)) = &mut filter.config_type else {
        return;
    };
    if any.type_url.ends_with("HttpConnectionManager") {
        let mut manager = HttpConnectionManager::decode(any.value.as_slice()).unwrap();
        let Some(RouteSpecifier::Rds(rds)) = &manager.route_specifier else {
            panic!("routes are asked for by name");
        };
        let named = routes.iter().find(|one| one.name == rds.route_config_name);
        manager.route_specifier = named.cloned().map(RouteSpecifier::RouteConfig);
        any.value = manager.encode_to_vec();
    }
}

/// Everything that is for Envoy, as if it stood in its own file; none: it has secrets that Envoy cannot have.
fn bootstrap(config: &MeshConfig, directory: &Path) -> Option<Bootstrap> {
    let encoded = encode(config, &EncodeOptions::default());
    let control = encode(&read(directory, CONTROL), &EncodeOptions::default());
    let mut clusters: Vec<Cluster> = all(&encoded.clusters);
    clusters.extend(all::<Cluster>(&control.clusters));
    if encoded
        .only_ours
        .iter()
        .any(|(resource, _)| resource.starts_with("secret "))
    {
        return None;
    }
    let mut listeners: Vec<Listener> = all(&encoded.listeners);
    let routes: Vec<RouteConfiguration> = all(&encoded.route_configurations);
    for cluster in &mut clusters {
        locally(&mut cluster.transport_socket);
    }
    for chain in listeners
        .iter_mut()
        .flat_map(|listener| &mut listener.filter_chains)
    {
        locally(&mut chain.transport_socket);
        for filter in &mut chain.filters {
            with_routes(filter, &routes);
        }
    }
    let target = TargetSpecifier::EnvoyGrpc(EnvoyGrpc {
        cluster_name: "outrigger-control".to_owned(),
        ..EnvoyGrpc::default()
    });
    let service = GrpcService {
        target_specifier: Some(target),
        ..GrpcService::default()
    };
    Some(Bootstrap {
        node: Some(Node {
            id: "test".to_owned(),
            cluster: "test".to_owned(),
            ..Node::default()
        }),
        static_resources: Some(StaticResources {
            listeners,
            clusters,
            secrets: all(&encoded.secrets),
        }),
        dynamic_resources: Some(DynamicResources {
            ads_config: Some(ApiConfigSource {
                api_type: ApiType::Grpc as i32,
                transport_api_version: ApiVersion::V3 as i32,
                grpc_services: vec![service],
                ..ApiConfigSource::default()
            }),
            ..DynamicResources::default()
        }),
        ..Bootstrap::default()
    })
}

/// A directory with the certificates that examples name.
fn workplace() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let certificates = directory.path().join("certificates");
    std::fs::create_dir(&certificates).unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    for name in ["server", "client", "ca", "api", "web", "root"] {
        std::fs::write(certificates.join(format!("{name}.pem")), made.cert.pem()).unwrap();
        std::fs::write(
            certificates.join(format!("{name}.key")),
            made.signing_key.serialize_pem(),
        )
        .unwrap();
    }
    directory
}

#[test]
fn envoy_takes_every_example() {
    let Some(envoy) = std::env::var_os("OUTRIGGER_ENVOY") else {
        assert!(
            std::env::var_os("CI").is_none(),
            "OUTRIGGER_ENVOY does not say where Envoy is"
        );
        eprintln!("skipped: OUTRIGGER_ENVOY does not say where Envoy is");
        return;
    };
    let directory = workplace();
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/examples");
    let mut refused = Vec::new();
    let mut taken = 0;
    for entry in std::fs::read_dir(examples).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let Some(bootstrap) = bootstrap(&read(directory.path(), &text), directory.path()) else {
            continue;
        };
        taken += 1;
        let bytes = bootstrap.encode_to_vec();
        let file = directory.path().join("envoy.pb");
        std::fs::write(&file, bytes).unwrap();
        let output = Command::new(&envoy)
            .args(["--mode", "validate", "--log-level", "error", "--config-path"])
            .arg(&file)
            .current_dir(directory.path())
            .output()
            .unwrap();
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            refused.push(format!("{}:\n{said}", path.display()));
        }
    }
    assert!(taken > 20, "most examples have nothing that Envoy cannot have");
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}
