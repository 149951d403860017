//! Wrong listeners.

use super::good::{Good, spoilt, wrapped};
use crate::Wrong;
use envoy_types::pb::envoy::config::core::v3::{
    Address, SocketAddress, address::Address as Kind, socket_address::PortSpecifier,
};
use envoy_types::pb::envoy::config::listener::v3::{Filter, FilterChainMatch, Listener, filter};
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpConnectionManager, HttpFilter, http_connection_manager::RouteSpecifier, http_filter,
};
use envoy_types::pb::google::protobuf::{Any, Duration};
use outrigger_xds::resource::ResourceType;
use prost::Message;

type Edit = fn(&mut Listener);

fn at(port: u32) -> Option<Address> {
    Some(Address {
        address: Some(Kind::SocketAddress(SocketAddress {
            address: "127.0.0.1".to_owned(),
            port_specifier: Some(PortSpecifier::PortValue(port)),
            ..SocketAddress::default()
        })),
    })
}

fn filter(listener: &mut Listener) -> &mut Filter {
    listener.filter_chains[0].filters.last_mut().unwrap()
}

fn typed(listener: &mut Listener) -> &mut Any {
    match &mut filter(listener).config_type {
        Some(filter::ConfigType::TypedConfig(any)) => any,
        _ => panic!("it is typed"),
    }
}

fn http(listener: &mut Listener, edit: impl FnOnce(&mut HttpConnectionManager)) {
    let any = typed(listener);
    let mut message = HttpConnectionManager::decode(any.value.as_slice()).unwrap();
    edit(&mut message);
    any.value = message.encode_to_vec();
}

const EDITS: &[(&str, &str, Edit)] = &[
    ("no address", "address: ", |one| one.address = None),
    ("port 65536", "address.socket_address.port_value: ", |one| {
        one.address = at(65_536)
    }),
    ("an address that is a name", "address.socket_address", |one| {
        if let Some(Kind::SocketAddress(socket)) = one.address.as_mut().and_then(|at| at.address.as_mut()) {
            socket.address = "localhost".to_owned();
        }
    }),
    ("another's address", "address", |one| one.address = at(8_444)),
    ("no filter chain", "filter_chains", |one| {
        one.filter_chains.clear()
    }),
    ("a chain without filters", "filter_chains[0]", |one| {
        one.filter_chains[0].filters.clear()
    }),
    ("a filter that is unknown", "filter_chains[0].filters[0]", |one| {
        typed(one).type_url = "type.googleapis.com/example.Filter".to_owned();
    }),
    (
        "half a filter",
        "filter_chains[0].filters[0].typed_config",
        |one| {
            let value = &mut typed(one).value;
            value.truncate(value.len() - 1);
        },
    ),
    ("a field that is not supported", "enable_mptcp", |one| {
        one.enable_mptcp = true
    }),
    (
        "a server name that is none",
        "filter_chains[0].filter_chain_match.server_names[0]",
        |one| {
            one.filter_chains[0].filter_chain_match = Some(FilterChainMatch {
                server_names: vec!["not a name".to_owned()],
                ..FilterChainMatch::default()
            });
        },
    ),
    ("two chains for the same", "filter_chains[1]", |one| {
        let again = one.filter_chains[0].clone();
        one.filter_chains.push(again);
    }),
    ("routes of nobody", "`rds` or `route_config` is missing", |one| {
        http(one, |http| http.route_specifier = None)
    }),
    ("routes without a name", "rds", |one| {
        http(one, |http| {
            if let Some(RouteSpecifier::Rds(rds)) = &mut http.route_specifier {
                rds.route_config_name.clear();
            }
        });
    }),
    ("an HTTP filter that is unknown", "http_filters[0]", |one| {
        http(one, |http| {
            let unknown = HttpFilter {
                name: "lua".to_owned(),
                config_type: Some(http_filter::ConfigType::TypedConfig(Any {
                    type_url: "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua".to_owned(),
                    value: Vec::new(),
                })),
                ..HttpFilter::default()
            };
            http.http_filters.insert(0, unknown);
        });
    }),
    ("an unknown codec", "codec_type", |one| {
        http(one, |http| http.codec_type = 9)
    }),
    ("a time below nothing", "stream_idle_timeout", |one| {
        http(one, |http| {
            http.stream_idle_timeout = Some(Duration {
                seconds: -5,
                nanos: 0,
            });
        });
    }),
];

pub(crate) fn all(good: &Good) -> Vec<Wrong> {
    let resource_type = ResourceType::Listener;
    let wrong = |(what, field, edit): &(&'static str, &'static str, Edit)| {
        let mut message: Listener = good.message(resource_type);
        edit(&mut message);
        Wrong {
            what,
            resource_type,
            resource: wrapped(resource_type, spoilt(resource_type), "", message.encode_to_vec()),
            name: spoilt(resource_type),
            field,
        }
    };
    EDITS.iter().map(wrong).collect()
}
