//! Wrong clusters and endpoints.

use super::good::{Good, spoilt, wrapped};
use crate::Wrong;
use envoy_types::pb::envoy::config::cluster::v3::{Cluster, cluster};
use envoy_types::pb::envoy::config::core::v3::{
    DataSource, SocketAddress, TransportSocket, address::Address as Kind, data_source::Specifier,
    socket_address::PortSpecifier, transport_socket::ConfigType,
};
use envoy_types::pb::envoy::config::endpoint::v3::{
    ClusterLoadAssignment, LbEndpoint, lb_endpoint::HostIdentifier,
};
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::{
    CertificateValidationContext, CommonTlsContext, UpstreamTlsContext,
    common_tls_context::ValidationContextType,
};
use envoy_types::pb::google::protobuf::{Any, Duration, UInt32Value};
use outrigger_xds::resource::ResourceType;
use prost::Message;

type OfCluster = fn(&mut Cluster);
type OfEndpoints = fn(&mut ClusterLoadAssignment);

fn tls(context: &UpstreamTlsContext) -> Option<TransportSocket> {
    Some(TransportSocket {
        name: "tls".to_owned(),
        config_type: Some(ConfigType::TypedConfig(Any {
            type_url: "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"
                .to_owned(),
            value: context.encode_to_vec(),
        })),
    })
}

fn believing() -> CommonTlsContext {
    let authorities = CertificateValidationContext {
        trusted_ca: Some(DataSource {
            specifier: Some(Specifier::Filename("ca.pem".to_owned())),
            ..DataSource::default()
        }),
        ..CertificateValidationContext::default()
    };
    CommonTlsContext {
        validation_context_type: Some(ValidationContextType::ValidationContext(authorities)),
        ..CommonTlsContext::default()
    }
}

const CLUSTERS: &[(&str, &str, OfCluster)] = &[
    ("a connect timeout below nothing", "connect_timeout", |one| {
        one.connect_timeout = Some(Duration {
            seconds: -1,
            nanos: 0,
        });
    }),
    ("an unknown way to balance", "lb_policy", |one| one.lb_policy = 99),
    ("an unknown discovery", "type", |one| {
        one.cluster_discovery_type = Some(cluster::ClusterDiscoveryType::Type(42));
    }),
    ("a field that is not supported", "track_timeout_budgets", |one| {
        one.track_timeout_budgets = true
    }),
    ("endpoints from nowhere", "eds_cluster_config", |one| {
        one.eds_cluster_config = None
    }),
    ("a transport that is unknown", "transport_socket", |one| {
        one.transport_socket = Some(TransportSocket {
            name: "quic".to_owned(),
            config_type: Some(ConfigType::TypedConfig(Any {
                type_url: "type.googleapis.com/example.Quic".to_owned(),
                value: Vec::new(),
            })),
        });
    }),
    (
        "a server name that is none",
        "transport_socket.typed_config.sni",
        |one| {
            one.transport_socket = tls(&UpstreamTlsContext {
                sni: "not a name".to_owned(),
                common_tls_context: Some(believing()),
                ..UpstreamTlsContext::default()
            });
        },
    ),
];

fn first(endpoints: &mut ClusterLoadAssignment) -> &mut LbEndpoint {
    &mut endpoints.endpoints[0].lb_endpoints[0]
}

fn socket(endpoints: &mut ClusterLoadAssignment) -> &mut SocketAddress {
    let Some(HostIdentifier::Endpoint(endpoint)) = &mut first(endpoints).host_identifier else {
        panic!("it has an endpoint")
    };
    match endpoint
        .address
        .as_mut()
        .and_then(|address| address.address.as_mut())
    {
        Some(Kind::SocketAddress(socket)) => socket,
        other => panic!("{other:?}"),
    }
}

const ENDPOINTS: &[(&str, &str, OfEndpoints)] = &[
    ("port 0", "endpoints[0].lb_endpoints[0].endpoint.address", |one| {
        socket(one).port_specifier = Some(PortSpecifier::PortValue(0));
    }),
    (
        "port 65536",
        "endpoints[0].lb_endpoints[0].endpoint.address",
        |one| {
            socket(one).port_specifier = Some(PortSpecifier::PortValue(65_536));
        },
    ),
    (
        "no port",
        "endpoints[0].lb_endpoints[0].endpoint.address",
        |one| {
            socket(one).port_specifier = None;
        },
    ),
    (
        "an address that is none",
        "endpoints[0].lb_endpoints[0].endpoint.address",
        |one| {
            socket(one).address = "300.1.1.1".to_owned();
        },
    ),
    ("no address", "endpoints[0].lb_endpoints[0]", |one| {
        first(one).host_identifier = None
    }),
    (
        "a weight of nothing",
        "endpoints[0].lb_endpoints[0].load_balancing_weight",
        |one| {
            first(one).load_balancing_weight = Some(UInt32Value { value: 0 });
        },
    ),
    (
        "an unknown health",
        "endpoints[0].lb_endpoints[0].health_status",
        |one| {
            first(one).health_status = 99;
        },
    ),
    ("a priority that is too far", "endpoints[0].priority", |one| {
        one.endpoints[0].priority = 129
    }),
    ("an endpoint twice", "endpoints[0].lb_endpoints[1]", |one| {
        let again = first(one).clone();
        one.endpoints[0].lb_endpoints.push(again);
    }),
];

pub(crate) fn all(good: &Good) -> Vec<Wrong> {
    let wrong = |what, resource_type, field, body| Wrong {
        what,
        resource_type,
        resource: wrapped(resource_type, spoilt(resource_type), "", body),
        name: spoilt(resource_type),
        field,
    };
    let of_cluster = |(what, field, edit): &(&'static str, &'static str, OfCluster)| {
        let mut message: Cluster = good.message(ResourceType::Cluster);
        edit(&mut message);
        wrong(*what, ResourceType::Cluster, *field, message.encode_to_vec())
    };
    let of_endpoints = |(what, field, edit): &(&'static str, &'static str, OfEndpoints)| {
        let mut message: ClusterLoadAssignment = good.message(ResourceType::ClusterLoadAssignment);
        edit(&mut message);
        wrong(
            *what,
            ResourceType::ClusterLoadAssignment,
            *field,
            message.encode_to_vec(),
        )
    };
    CLUSTERS
        .iter()
        .map(of_cluster)
        .chain(ENDPOINTS.iter().map(of_endpoints))
        .collect()
}
