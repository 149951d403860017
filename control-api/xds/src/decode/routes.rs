//! Route configurations, as resources of their own and inside connection managers.

mod action;
mod forward;
mod hash_policy;
mod header_edits;
mod mirrors;
mod path;
mod retry;
mod route_match;
mod session;
mod targets;
mod virtual_host;

pub(crate) use action::BODY_AS_IT_IS;
pub(crate) use path::escaped;
pub(crate) use retry::IDEMPOTENT_METHODS;

use super::{Carried, CarriedKind, Extras, Refusals, check_name, extras, filters};
use crate::support::{Message, message};
pub(crate) use envoy_types::pb::envoy::config::route::v3::RouteConfiguration;
use header_edits::Level;
use outrigger_config::document::{Map, Parts, Path, Value, read_parts};
use virtual_host::Defaults;

/// What is read here.
pub(crate) const MESSAGES: &[&Message] = &[
    &ROUTE_CONFIGURATION,
    &virtual_host::VIRTUAL_HOST,
    &virtual_host::ROUTE,
    &route_match::ROUTE_MATCH,
    &route_match::QUERY_PARAMETER_MATCHER,
    &path::URI_TEMPLATE_MATCH,
    &path::URI_TEMPLATE_REWRITE,
    &path::REGEX_REWRITE,
    &action::REDIRECT,
    &action::DIRECT_RESPONSE,
    &forward::ROUTE_ACTION,
    &forward::MAX_STREAM_DURATION,
    &forward::UPGRADE_CONFIG,
    &forward::CONNECT_CONFIG,
    &targets::WEIGHTED_CLUSTER,
    &targets::CLUSTER_WEIGHT,
    &mirrors::REQUEST_MIRROR_POLICY,
    &mirrors::RUNTIME_FRACTIONAL_PERCENT,
    &hash_policy::HASH_POLICY,
    &hash_policy::HEADER,
    &hash_policy::COOKIE,
    &hash_policy::CONNECTION_PROPERTIES,
    &hash_policy::QUERY_PARAMETER,
    &retry::RETRY_POLICY,
    &retry::RETRY_BACK_OFF,
    &retry::RATE_LIMITED_BACK_OFF,
    &retry::RESET_HEADER,
    &retry::HEDGE_POLICY,
    &header_edits::HEADER_VALUE_OPTION,
    &header_edits::HEADER_VALUE,
    &session::STATEFUL_SESSION_PER_ROUTE,
    &session::STATEFUL_SESSION,
    &session::COOKIE_SESSION_STATE,
    &session::COOKIE,
    &session::COOKIE_ATTRIBUTE,
];

message! {
    ROUTE_CONFIGURATION, refuse_route_configuration: RouteConfiguration as "envoy.config.route.v3.RouteConfiguration" {
        used: name, virtual_hosts, response_headers_to_add, response_headers_to_remove, request_headers_to_add,
            request_headers_to_remove, most_specific_header_mutations_wins, request_mirror_policies,
            typed_per_filter_config, metadata;
        refused: vhds, internal_only_headers, cluster_specifier_plugins, vhost_header,
            ignore_path_parameters_in_path_matching, route_specifiers;
        ignored: validate_clusters = "that clusters are there is asked when resources are put together",
            max_direct_response_body_size_bytes = "there is a limit of our own",
            ignore_port_in_host_matching = "ports of hosts are never looked at";
    }
}

/// A route configuration that is a resource.
pub(super) fn resource(refusals: &mut Refusals, name: &str, message: &RouteConfiguration) -> Option<Parts> {
    let path = Path::root();
    check_name(refusals, "name", name, &message.name);
    let mut extras = extras(&path, message.metadata.as_ref());
    let mut carried = Carried::new(refusals, name, &mut extras);
    let part = route_configuration(refusals, &mut carried, &path, name, message, extras);
    carried.push(CarriedKind::RouteConfiguration, part.into());
    let mut document = Map::new(&path);
    carried.put(&mut document, &path);
    if !refusals.is_empty() {
        return None;
    }
    match read_parts(&format!("route configuration `{name}`"), document.into()) {
        Ok(parts) => Some(parts),
        Err(faults) => {
            refusals.extend(&faults);
            None
        }
    }
}

/// The part of this name that a route configuration becomes. `extras` are those of its own metadata.
pub(super) fn route_configuration(
    refusals: &mut Refusals,
    carried: &mut Carried,
    path: &Path,
    name: &str,
    message: &RouteConfiguration,
    extras: Extras,
) -> Map {
    refuse_route_configuration(refusals, path, message);
    if message.most_specific_header_mutations_wins {
        let at = path.field("most_specific_header_mutations_wins");
        refusals.unsupported(&at, "letting a route's header edits come last");
    }
    let defaults = Defaults {
        request_headers: Level {
            path,
            fields: ("request_headers_to_add", "request_headers_to_remove"),
            add: &message.request_headers_to_add,
            remove: &message.request_headers_to_remove,
        },
        response_headers: Level {
            path,
            fields: ("response_headers_to_add", "response_headers_to_remove"),
            add: &message.response_headers_to_add,
            remove: &message.response_headers_to_remove,
        },
        mirrors: (
            path.field("request_mirror_policies"),
            &message.request_mirror_policies,
        ),
        filters: filters::PerFilter {
            path: path.field("typed_per_filter_config"),
            configs: &message.typed_per_filter_config,
        },
    };
    let mut part = Map::new(path).with("name", Value::text(&path.field("name"), name));
    let hosts_at = path.field("virtual_hosts");
    let mut hosts = Vec::with_capacity(message.virtual_hosts.len());
    for (index, host) in message.virtual_hosts.iter().enumerate() {
        let host = virtual_host::virtual_host(refusals, carried, &hosts_at.index(index), host, &defaults);
        hosts.push(host.into());
    }
    part.put("virtual_hosts", Value::list(&hosts_at, hosts));
    extras.merge(refusals, &mut part);
    part
}

#[cfg(test)]
mod tests;
