//! Listeners of other control planes, and what is refused of them, by its path.

mod tracing;

use super::*;
use crate::decode::{Decoded, Fault, decode, type_url};
use envoy_types::pb::envoy::config::core::v3::{
    Address, AggregatedConfigSource, ConfigSource, Http1ProtocolOptions, SocketAddress, address,
    config_source::ConfigSourceSpecifier, socket_address,
};
use envoy_types::pb::envoy::config::listener::v3::{
    Filter, FilterChain, FilterChainMatch, ListenerFilter, filter, listener_filter,
};
use envoy_types::pb::envoy::config::rbac::v3::{
    Permission, Policy, Principal, Rbac as Rules, permission::Rule, principal::Identifier, rbac::Action,
};
use envoy_types::pb::envoy::extensions::filters::http::{
    fault::v3::HttpFault, jwt_authn::v3::JwtAuthentication, local_ratelimit::v3::LocalRateLimit,
    lua::v3::Lua, rbac::v3::Rbac, router::v3::Router,
};
use envoy_types::pb::envoy::extensions::filters::listener::{
    original_dst::v3::OriginalDst, proxy_protocol::v3::ProxyProtocol, tls_inspector::v3::TlsInspector,
};
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpConnectionManager, HttpFilter, Rds, http_connection_manager::RouteSpecifier, http_filter,
};
use envoy_types::pb::envoy::extensions::filters::network::tcp_proxy::v3::{
    TcpProxy, tcp_proxy::ClusterSpecifier,
};
use envoy_types::pb::google::protobuf::{Any, Duration, UInt32Value};
use outrigger_config::model::{Interception, ProxyProtocolMode, TrafficDirection};
use prost::{Message as _, Name};

mod access_logs;

fn any<T: prost::Message + Name>(message: &T) -> Any {
    Any {
        type_url: type_url::<T>(),
        value: message.encode_to_vec(),
    }
}

fn http_filter<T: prost::Message + Name>(name: &str, message: &T) -> HttpFilter {
    HttpFilter {
        name: name.to_owned(),
        config_type: Some(http_filter::ConfigType::TypedConfig(any(message))),
        ..HttpFilter::default()
    }
}

fn router() -> HttpFilter {
    http_filter("envoy.filters.http.router", &Router::default())
}

/// As a control plane of somebody else would write it.
fn manager(filters: Vec<HttpFilter>) -> HttpConnectionManager {
    HttpConnectionManager {
        stat_prefix: "ingress".to_owned(),
        http_filters: filters.into_iter().chain([router()]).collect(),
        route_specifier: Some(RouteSpecifier::Rds(Rds {
            config_source: Some(ConfigSource {
                config_source_specifier: Some(ConfigSourceSpecifier::Ads(AggregatedConfigSource {})),
                ..ConfigSource::default()
            }),
            route_config_name: "main".to_owned(),
        })),
        ..HttpConnectionManager::default()
    }
}

fn chain<T: prost::Message + Name>(message: &T) -> FilterChain {
    FilterChain {
        filters: vec![Filter {
            name: "last".to_owned(),
            config_type: Some(filter::ConfigType::TypedConfig(any(message))),
        }],
        ..FilterChain::default()
    }
}

fn listener(chains: Vec<FilterChain>) -> Listener {
    Listener {
        name: "web".to_owned(),
        address: Some(Address {
            address: Some(address::Address::SocketAddress(SocketAddress {
                address: "127.0.0.1".to_owned(),
                port_specifier: Some(socket_address::PortSpecifier::PortValue(8080)),
                ..SocketAddress::default()
            })),
        }),
        filter_chains: chains,
        ..Listener::default()
    }
}

fn read(message: &Listener) -> Result<Parts, Vec<Fault>> {
    match decode(&type_url::<Listener>(), "web", &message.encode_to_vec()) {
        Ok(Decoded::Listener(parts)) => Ok(parts),
        Ok(other) => panic!("{other:?}"),
        Err(refusal) => Err(refusal.faults),
    }
}

fn understood(message: &Listener) -> Parts {
    read(message).unwrap_or_else(|faults| panic!("{faults:#?}"))
}

/// Refused for one thing, at this place.
fn refused(message: &Listener, path: &str) {
    let faults = match read(message) {
        Ok(_) => panic!("`{path}` is not refused"),
        Err(faults) => faults,
    };
    let paths: Vec<&str> = faults.iter().map(|fault| fault.path.as_str()).collect();
    assert_eq!(paths, [path], "{faults:#?}");
}

const HTTP: &str = "filter_chains[0].filters[0].typed_config";

#[test]
fn a_plain_listener_is_understood() {
    let parts = understood(&listener(vec![chain(&manager(Vec::new()))]));
    let model = &parts.listeners[0];
    assert_eq!(model.name().as_str(), "web");
    assert_eq!(model.address(), "127.0.0.1:8080".parse().unwrap());
    let http = model.filter_chains()[0].mode().http().unwrap();
    assert_eq!(http.route_configuration().as_str(), "main");
    assert!(http.upgrades().is_empty(), "Envoy upgrades to what is named");
}

#[test]
fn a_tcp_chain_and_listener_filters_are_understood() {
    let proxy = TcpProxy {
        cluster_specifier: Some(ClusterSpecifier::Cluster("outbound|5432||db".to_owned())),
        idle_timeout: Some(Duration::default()),
        ..TcpProxy::default()
    };
    let mut message = listener(vec![FilterChain {
        filter_chain_match: Some(FilterChainMatch {
            server_names: vec!["db.example".to_owned()],
            transport_protocol: "tls".to_owned(),
            ..FilterChainMatch::default()
        }),
        ..chain(&proxy)
    }]);
    let filter = |config: Any| ListenerFilter {
        config_type: Some(listener_filter::ConfigType::TypedConfig(config)),
        ..ListenerFilter::default()
    };
    message.listener_filters = vec![
        filter(any(&TlsInspector::default())),
        filter(any(&OriginalDst::default())),
        filter(any(&ProxyProtocol::default())),
    ];
    message.traffic_direction = 1;
    let parts = understood(&message);
    let model = &parts.listeners[0];
    assert_eq!(model.direction(), TrafficDirection::Inbound);
    assert_eq!(model.interception(), Interception::Redirect);
    assert_eq!(model.proxy_protocol().mode(), ProxyProtocolMode::Required);
    let tcp = model.filter_chains()[0].mode().tcp().unwrap();
    assert_eq!(tcp.idle_timeout(), None, "zero is none");
    assert_eq!(tcp.clusters()[0].cluster().as_str(), "outbound|5432||db");
}

fn rbac(action: Action, permission: Rule) -> Rbac {
    let policy = Policy {
        permissions: vec![Permission {
            rule: Some(permission),
        }],
        principals: vec![Principal {
            identifier: Some(Identifier::Any(true)),
        }],
        ..Policy::default()
    };
    Rbac {
        rules: Some(Rules {
            action: action.into(),
            policies: [("ns[a]-policy[x]".to_owned(), policy)].into(),
            ..Rules::default()
        }),
        ..Rbac::default()
    }
}

#[test]
fn policies_of_others_are_called_by_the_resource() {
    let filter = http_filter("rbac", &rbac(Action::Deny, Rule::DestinationPort(80)));
    let parts = understood(&listener(vec![chain(&manager(vec![filter]))]));
    let policy = &parts.authorization_policies[0];
    assert_eq!(policy.name().as_str(), "web/ns-a--policy-x-");
    assert_eq!(
        parts.listeners[0].filter_chains()[0].authorization(),
        [policy.name().clone()].as_slice()
    );
}

#[test]
fn a_second_filter_that_allows_would_open_what_the_first_closes() {
    let filter = http_filter("rbac", &rbac(Action::Allow, Rule::DestinationPort(80)));
    let second = http_filter("rbac2", &rbac(Action::Allow, Rule::Any(true)));
    let message = listener(vec![chain(&manager(vec![filter, second]))]);
    refused(&message, &format!("{HTTP}.http_filters[1].typed_config"));
}

#[test]
fn filters_that_are_off_do_nothing() {
    let limit = LocalRateLimit {
        stat_prefix: "limit".to_owned(),
        ..LocalRateLimit::default()
    };
    let filters = vec![
        http_filter("limit", &limit),
        http_filter("fault", &HttpFault::default()),
        http_filter("jwt", &JwtAuthentication::default()),
        http_filter("rbac", &Rbac::default()),
    ];
    let parts = understood(&listener(vec![chain(&manager(filters))]));
    let http = parts.listeners[0].filter_chains()[0].mode().http().unwrap();
    assert!(http.rate_limits().is_empty() && http.fault().is_none() && http.jwt().is_none());
    assert!(parts.rate_limits.is_empty() && parts.authorization_policies.is_empty());
}

#[test]
fn what_is_not_implemented_is_refused_where_it_stands() {
    type Change = fn(&mut HttpConnectionManager);
    let set = |change: Change| {
        let mut manager = manager(Vec::new());
        change(&mut manager);
        listener(vec![chain(&manager)])
    };
    let lua = http_filter("lua", &Lua::default());
    let message = listener(vec![chain(&manager(vec![lua.clone()]))]);
    refused(&message, &format!("{HTTP}.http_filters[0].typed_config"));
    let optional = HttpFilter {
        is_optional: true,
        ..lua
    };
    understood(&listener(vec![chain(&manager(vec![optional]))]));

    let cases: [(&str, Change); 5] = [
        ("codec_type", |manager| manager.codec_type = 2),
        ("proxy_100_continue", |manager| manager.proxy_100_continue = true),
        ("delayed_close_timeout", |manager| {
            manager.delayed_close_timeout = Some(Duration::default())
        }),
        ("http_protocol_options.default_host_for_http_10", |manager| {
            manager.http_protocol_options = Some(Http1ProtocolOptions {
                default_host_for_http_10: "a.example".to_owned(),
                ..Http1ProtocolOptions::default()
            });
        }),
        ("max_request_headers_kb", |manager| {
            manager.max_request_headers_kb = Some(UInt32Value { value: 1 << 20 });
        }),
    ];
    for (field, change) in cases {
        refused(&set(change), &format!("{HTTP}.{field}"));
    }

    let mut message = listener(vec![chain(&manager(Vec::new()))]);
    message.enable_mptcp = true;
    refused(&message, "enable_mptcp");
    message.enable_mptcp = false;
    message.filter_chains[0].filter_chain_match = Some(FilterChainMatch {
        source_ports: vec![80],
        ..FilterChainMatch::default()
    });
    refused(&message, "filter_chains[0].filter_chain_match.source_ports");
    message.filter_chains.clear();
    message.api_listener = Some(Default::default());
    assert!(
        read(&message)
            .unwrap_err()
            .iter()
            .any(|fault| fault.path == "api_listener")
    );
}

#[test]
fn a_message_of_another_name_is_refused() {
    let mut message = listener(vec![chain(&manager(Vec::new()))]);
    message.name = "other".to_owned();
    refused(&message, "name");
}

#[test]
fn a_port_that_is_none_is_a_fault_of_its_field() {
    let mut message = listener(vec![chain(&manager(Vec::new()))]);
    for (port, is_fine) in [(65_535, true), (65_536, false), (u32::MAX, false)] {
        let Some(Address {
            address: Some(address::Address::SocketAddress(socket)),
        }) = &mut message.address
        else {
            unreachable!("it was built so");
        };
        socket.port_specifier = Some(socket_address::PortSpecifier::PortValue(port));
        match is_fine {
            true => drop(understood(&message)),
            false => refused(&message, "address.socket_address.port_value"),
        }
    }
}
