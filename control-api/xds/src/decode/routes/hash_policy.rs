//! What the hash of a request is made of.

use super::Refusals;
use crate::decode::value;
use crate::support::message;
use envoy_types::pb::envoy::config::route::v3::route_action::HashPolicy;
use envoy_types::pb::envoy::config::route::v3::route_action::hash_policy::{
    ConnectionProperties, Cookie, Header, PolicySpecifier, QueryParameter,
};
use outrigger_config::document::{Map, Path, Value};

message! {
    pub(super) HASH_POLICY, refuse_hash_policy: HashPolicy as "envoy.config.route.v3.RouteAction.HashPolicy" {
        used: policy_specifier, terminal;
        refused: ;
        ignored: ;
    }
}
message! {
    pub(super) HEADER, refuse_header: Header as "envoy.config.route.v3.RouteAction.HashPolicy.Header" {
        used: header_name;
        refused: regex_rewrite;
        ignored: ;
    }
}
message! {
    pub(super) COOKIE, refuse_cookie: Cookie as "envoy.config.route.v3.RouteAction.HashPolicy.Cookie" {
        used: name, ttl, path;
        refused: attributes;
        ignored: ;
    }
}
message! {
    pub(super) CONNECTION_PROPERTIES, refuse_connection_properties:
        ConnectionProperties as "envoy.config.route.v3.RouteAction.HashPolicy.ConnectionProperties" {
        used: source_ip;
        refused: ;
        ignored: ;
    }
}
message! {
    pub(super) QUERY_PARAMETER, refuse_query_parameter:
        QueryParameter as "envoy.config.route.v3.RouteAction.HashPolicy.QueryParameter" {
        used: name;
        refused: ;
        ignored: ;
    }
}

pub(super) fn policies(refusals: &mut Refusals, path: &Path, policies: &[HashPolicy]) -> Option<Value> {
    let mut values = Vec::with_capacity(policies.len());
    for (index, one) in policies.iter().enumerate() {
        values.extend(policy(refusals, &path.index(index), one));
    }
    (!policies.is_empty()).then(|| Value::list(path, values))
}

fn policy(refusals: &mut Refusals, path: &Path, policy: &HashPolicy) -> Option<Value> {
    refuse_hash_policy(refusals, path, policy);
    let mut map = Map::new(path);
    match &policy.policy_specifier {
        None => {
            refusals.fault(path, "it does not say what is hashed");
            return None;
        }
        Some(PolicySpecifier::Header(header)) => {
            let path = path.field("header");
            refuse_header(refusals, &path, header);
            map.put(
                "header",
                Value::text(&path.field("header_name"), header.header_name.as_str()),
            );
        }
        Some(PolicySpecifier::Cookie(cookie)) => {
            map.put("cookie", self::cookie(refusals, &path.field("cookie"), cookie));
        }
        Some(PolicySpecifier::ConnectionProperties(properties)) => {
            let path = path.field("connection_properties");
            refuse_connection_properties(refusals, &path, properties);
            map.put(
                "source_address",
                Value::plain(&path.field("source_ip"), properties.source_ip),
            );
        }
        Some(PolicySpecifier::QueryParameter(parameter)) => {
            let path = path.field("query_parameter");
            refuse_query_parameter(refusals, &path, parameter);
            map.put("query", Value::text(&path.field("name"), parameter.name.as_str()));
        }
        Some(PolicySpecifier::FilterState(_)) => {
            refusals.unsupported(&path.field("filter_state"), "hashing filter state");
            return None;
        }
    }
    if policy.terminal {
        map.put("terminal", Value::plain(&path.field("terminal"), true));
    }
    Some(map.into())
}

fn cookie(refusals: &mut Refusals, path: &Path, cookie: &Cookie) -> Value {
    refuse_cookie(refusals, path, cookie);
    let mut map = Map::new(path).with("name", Value::text(&path.field("name"), cookie.name.as_str()));
    let ttl = value::duration_value(refusals, &path.field("ttl"), cookie.ttl.as_ref());
    // Without one no cookie is given, and its path says nothing.
    if let Some(ttl) = ttl {
        map.put("ttl", ttl);
        if !cookie.path.is_empty() {
            map.put("path", Value::text(&path.field("path"), cookie.path.as_str()));
        }
    }
    map.into()
}
