//! Nothing is passed over in silence: fields that are not supported, and fields that are newer than the types.

use super::samples::{apart, assignment, endpoint, fault, group, socket, text, url};
use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::core::v3::BindConfig;
use envoy_types::pb::envoy::config::endpoint::v3::ClusterLoadAssignment;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as tls;
use envoy_types::pb::envoy::service::runtime::v3::Runtime;
use envoy_types::pb::google::protobuf::Struct;
use outrigger_xds::decode::decode;
use prost::{Message, Name};

type Edit = (&'static str, fn(&mut Cluster));

#[test]
fn each_field_of_a_cluster_that_is_not_supported() {
    let edits: &[Edit] = &[
        ("transport_socket_matches", |c| {
            c.transport_socket_matches = vec![Default::default()]
        }),
        ("stats_matcher", |c| c.stats_matcher = Some(Default::default())),
        ("upstream_http_protocol_options", |c| {
            c.upstream_http_protocol_options = Some(Default::default())
        }),
        ("dns_jitter", |c| c.dns_jitter = Some(Default::default())),
        ("dns_failure_refresh_rate", |c| {
            c.dns_failure_refresh_rate = Some(Default::default())
        }),
        ("use_tcp_for_dns_lookups", |c| c.use_tcp_for_dns_lookups = true),
        ("upstream_bind_config", |c| {
            c.upstream_bind_config = Some(BindConfig::default())
        }),
        ("close_connections_on_host_health_failure", |c| {
            c.close_connections_on_host_health_failure = true
        }),
        ("ignore_health_on_host_removal", |c| {
            c.ignore_health_on_host_removal = true
        }),
        ("filters", |c| c.filters = vec![Default::default()]),
        ("lrs_server", |c| c.lrs_server = Some(Default::default())),
        ("track_timeout_budgets", |c| c.track_timeout_budgets = true),
        ("upstream_config", |c| {
            c.upstream_config = Some(Default::default())
        }),
        ("track_cluster_stats", |c| {
            c.track_cluster_stats = Some(Default::default())
        }),
        ("preconnect_policy", |c| {
            c.preconnect_policy = Some(Default::default())
        }),
        ("connection_pool_per_downstream_connection", |c| {
            c.connection_pool_per_downstream_connection = true
        }),
        ("queuing_policies", |c| {
            c.queuing_policies = Some(Default::default())
        }),
    ];
    for (field, edit) in edits {
        let mut message = apart();
        edit(&mut message);
        let found = fault("c", &message);
        assert_eq!(
            found,
            ((*field).to_owned(), "this field is not implemented".to_owned())
        );
    }
}

/// Puts a field into the bytes that no type has.
fn newer<T: Message + Name>(name: &str, message: &T) {
    let mut bytes = message.encode_to_vec();
    assert!(decode(&url::<T>(), name, &bytes).is_ok(), "{}", T::full_name());
    prost::encoding::encode_key(9_000, prost::encoding::WireType::Varint, &mut bytes);
    prost::encoding::encode_varint(1, &mut bytes);
    let refusal = decode(&url::<T>(), name, &bytes).unwrap_err();
    assert!(
        refusal.to_string().contains("number 9000"),
        "{}: {refusal}",
        T::full_name()
    );
}

#[test]
fn a_newer_field_is_refused_by_its_number() {
    newer("c", &apart());
    newer::<ClusterLoadAssignment>(
        "service",
        &assignment(vec![group(vec![endpoint("192.0.2.1", 80)])]),
    );
    let context = tls::CertificateValidationContext {
        trusted_ca: text("-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n"),
        ..Default::default()
    };
    newer(
        "s",
        &tls::Secret {
            name: "s".to_owned(),
            r#type: Some(tls::secret::Type::ValidationContext(context)),
        },
    );
    newer(
        "outrigger",
        &Runtime {
            name: "outrigger".to_owned(),
            layer: Some(Struct::default()),
        },
    );
}

#[test]
fn a_newer_field_in_an_extension_is_refused_by_its_number() {
    use envoy_types::pb::envoy::config::core::v3::transport_socket::ConfigType;
    let context = tls::UpstreamTlsContext::default();
    let mut message = Cluster {
        transport_socket: socket(&context),
        ..apart()
    };
    let socket = message.transport_socket.as_mut().unwrap();
    let Some(ConfigType::TypedConfig(any)) = &mut socket.config_type else {
        panic!()
    };
    prost::encoding::encode_key(9_000, prost::encoding::WireType::Varint, &mut any.value);
    prost::encoding::encode_varint(1, &mut any.value);
    let (path, said) = fault("c", &message);
    assert_eq!(path, "transport_socket.typed_config");
    assert!(said.contains("number 9000"), "{said}");
}

#[test]
fn a_newer_field_deep_inside_is_refused() {
    // The endpoint's address, with a field that no address has.
    let mut group = group(vec![]).encode_to_vec();
    prost::encoding::encode_key(8_000, prost::encoding::WireType::Varint, &mut group);
    prost::encoding::encode_varint(1, &mut group);
    let mut bytes = assignment(vec![]).encode_to_vec();
    prost::encoding::encode_key(2, prost::encoding::WireType::LengthDelimited, &mut bytes);
    prost::encoding::encode_varint(group.len() as u64, &mut bytes);
    bytes.extend(group);
    let refusal = decode(&url::<ClusterLoadAssignment>(), "service", &bytes).unwrap_err();
    assert!(
        refusal.to_string().contains("not known here (somewhere inside)"),
        "{refusal}"
    );
}

#[test]
fn bytes_that_are_no_message_and_types_that_are_not_read() {
    let refusal = decode(&url::<Cluster>(), "c", b"\xff\xff\xff").unwrap_err();
    assert!(refusal.to_string().contains("cannot be read"), "{refusal}");
    let refusal = decode("type.googleapis.com/envoy.config.route.v3.VirtualHost", "v", b"").unwrap_err();
    assert!(
        refusal.to_string().contains("VirtualHost is not implemented"),
        "{refusal}"
    );
    let (path, _) = fault(
        "other",
        &Runtime {
            name: "other".to_owned(),
            layer: None,
        },
    );
    assert_eq!(path, "");
}
