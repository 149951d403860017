//! Messages as other control planes write them, and what is made of them.

use envoy_types::pb::envoy::config::cluster::v3::{Cluster, cluster};
use envoy_types::pb::envoy::config::core::v3::{
    Address, ConfigSource, DataSource, SocketAddress, TransportSocket, address::Address as Kind,
    config_source::ConfigSourceSpecifier, data_source::Specifier, socket_address::PortSpecifier,
    transport_socket::ConfigType,
};
use envoy_types::pb::envoy::config::endpoint::v3::{
    ClusterLoadAssignment, Endpoint, LbEndpoint, LocalityLbEndpoints, lb_endpoint::HostIdentifier,
};
use envoy_types::pb::google::protobuf::{Any, UInt32Value};
use outrigger_config::document::{Parts, assemble};
use outrigger_config::{Environment, Source, load, to_json};
use outrigger_xds::decode::{Decoded, Refusal, decode};
use prost::{Message, Name};
use serde_json::Value as Json;

pub(crate) fn url<T: Name>() -> String {
    format!("type.googleapis.com/{}", T::full_name())
}

pub(crate) fn any<T: Message + Name>(message: &T) -> Any {
    Any {
        type_url: url::<T>(),
        value: message.encode_to_vec(),
    }
}

pub(crate) fn number(value: u32) -> Option<UInt32Value> {
    Some(UInt32Value { value })
}

pub(crate) fn take<T: Message + Name>(name: &str, message: &T) -> Result<Decoded, Refusal> {
    decode(&url::<T>(), name, &message.encode_to_vec())
}

/// Paths and messages of the faults of what has to be refused.
pub(crate) fn faults<T: Message + Name>(name: &str, message: &T) -> Vec<(String, String)> {
    let refusal = take(name, message).expect_err("this is refused");
    assert_eq!(refusal.resource, name);
    refusal
        .faults
        .into_iter()
        .map(|fault| (fault.path, fault.message))
        .collect()
}

/// The one fault's path, and what it says.
pub(crate) fn fault<T: Message + Name>(name: &str, message: &T) -> (String, String) {
    let mut faults = faults(name, message);
    assert_eq!(faults.len(), 1, "{faults:#?}");
    faults.remove(0)
}

/// What parts are, as a document.
pub(crate) fn written(parts: &Parts) -> Json {
    let source = Source {
        name: "base.yaml".into(),
        // Whatever samples refer to.
        text: "trust_bundles: [{name: mesh, file: mesh.pem}]\nidentities: [{name: own, files: {certificate_file: c, private_key_file: k}}]\n"
            .to_owned(),
    };
    let base = load(&source, &Environment::empty()).unwrap().config;
    to_json(
        &assemble(&base, [parts])
            .unwrap_or_else(|faults| panic!("{faults}"))
            .config,
    )
}

/// What a cluster becomes, as it is written.
pub(crate) fn cluster_as_written(message: &Cluster) -> Json {
    match take(&message.name, message) {
        Ok(Decoded::Cluster(one)) => written(&one.parts)["clusters"][0].clone(),
        Ok(_) => panic!("of another type"),
        Err(refusal) => panic!("{refusal}"),
    }
}

/// A cluster of nothing.
pub(crate) fn cluster() -> Cluster {
    Cluster {
        name: "c".to_owned(),
        ..Cluster::default()
    }
}

/// A cluster whose endpoints come apart.
pub(crate) fn apart() -> Cluster {
    Cluster {
        cluster_discovery_type: Some(of_type(cluster::DiscoveryType::Eds)),
        eds_cluster_config: Some(cluster::EdsClusterConfig {
            eds_config: Some(ads()),
            service_name: "service".to_owned(),
        }),
        ..cluster()
    }
}

pub(crate) fn of_type(kind: cluster::DiscoveryType) -> cluster::ClusterDiscoveryType {
    cluster::ClusterDiscoveryType::Type(kind as i32)
}

pub(crate) fn ads() -> ConfigSource {
    ConfigSource {
        config_source_specifier: Some(ConfigSourceSpecifier::Ads(Default::default())),
        ..ConfigSource::default()
    }
}

pub(crate) fn socket<T: Message + Name>(message: &T) -> Option<TransportSocket> {
    Some(TransportSocket {
        name: "any name".to_owned(),
        config_type: Some(ConfigType::TypedConfig(any(message))),
    })
}

pub(crate) fn address(host: &str, port: u32) -> Address {
    Address {
        address: Some(Kind::SocketAddress(SocketAddress {
            address: host.to_owned(),
            port_specifier: Some(PortSpecifier::PortValue(port)),
            ..SocketAddress::default()
        })),
    }
}

pub(crate) fn endpoint(host: &str, port: u32) -> LbEndpoint {
    LbEndpoint {
        host_identifier: Some(HostIdentifier::Endpoint(Endpoint {
            address: Some(address(host, port)),
            ..Endpoint::default()
        })),
        ..LbEndpoint::default()
    }
}

pub(crate) fn group(endpoints: Vec<LbEndpoint>) -> LocalityLbEndpoints {
    LocalityLbEndpoints {
        lb_endpoints: endpoints,
        ..LocalityLbEndpoints::default()
    }
}

pub(crate) fn assignment(endpoints: Vec<LocalityLbEndpoints>) -> ClusterLoadAssignment {
    ClusterLoadAssignment {
        cluster_name: "service".to_owned(),
        endpoints,
        ..ClusterLoadAssignment::default()
    }
}

pub(crate) fn file(path: &str) -> Option<DataSource> {
    data(Specifier::Filename(path.to_owned()))
}

pub(crate) fn text(text: &str) -> Option<DataSource> {
    data(Specifier::InlineString(text.to_owned()))
}

pub(crate) fn data(specifier: Specifier) -> Option<DataSource> {
    Some(DataSource {
        specifier: Some(specifier),
        ..DataSource::default()
    })
}
