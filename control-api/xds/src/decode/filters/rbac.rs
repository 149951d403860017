//! RBAC filters, of requests and of connections: their policies become authorization policies.
//!
//! A filter with DENY policies and one with ALLOW policies are the chain's. Ours let a route's policies narrow what its
//! chain allows, never widen it, while Envoy's routes replace what a filter of the chain says. So what routes say is read
//! only for filters that have no policies in the chain: those of the connection manager at hand, or those named
//! `outrigger.rbac.route…`.

use super::super::carried::{Carried, CarriedKind};
use super::super::{Refusals, matching};
use super::rbac_condition as condition;
use crate::support::{Message, message};
use envoy_types::pb::envoy::config::rbac::v3::{Policy, Rbac as Rules, rbac::Action};
use envoy_types::pb::envoy::extensions::filters::http::rbac::v3::{Rbac, RbacPerRoute};
use envoy_types::pb::envoy::extensions::filters::network::rbac::v3::Rbac as NetworkRbac;
use outrigger_config::document::{Map, Path, Value};
use prost::Message as _;
use std::collections::BTreeMap;

pub(super) const MESSAGES: &[&Message] = &[&RBAC, &RBAC_PER_ROUTE, &NETWORK_RBAC, &RULES, &POLICY];

message! {
    pub(super) RBAC, refuse_rbac: Rbac as "envoy.extensions.filters.http.rbac.v3.RBAC" {
        used: rules, shadow_rules;
        refused: matcher, shadow_matcher;
        ignored: rules_stat_prefix = "metrics are labelled by the policy",
            shadow_rules_stat_prefix = "metrics are labelled by the policy",
            track_per_rule_stats = "every policy has metrics of its own";
    }
}
message! {
    pub(super) RBAC_PER_ROUTE, refuse_per_route: RbacPerRoute
        as "envoy.extensions.filters.http.rbac.v3.RBACPerRoute" {
        used: rbac;
        refused: ;
        ignored: ;
    }
}
message! {
    pub(super) NETWORK_RBAC, refuse_network: NetworkRbac as "envoy.extensions.filters.network.rbac.v3.RBAC" {
        used: rules, shadow_rules;
        refused: matcher, shadow_matcher, delay_deny;
        ignored: stat_prefix = "metrics are labelled by listener, chain and policy",
            shadow_rules_stat_prefix = "metrics are labelled by the policy",
            enforcement_type = "connections are decided when they come, and again when policy changes";
    }
}
message! {
    pub(super) RULES, refuse_rules: Rules as "envoy.config.rbac.v3.RBAC" {
        used: action, policies;
        refused: audit_logging_options;
        ignored: ;
    }
}
message! {
    pub(super) POLICY, refuse_policy: Policy as "envoy.config.rbac.v3.Policy" {
        used: permissions, principals;
        refused: condition, checked_condition, cel_config;
        ignored: ;
    }
}

/// Filters whose policies only routes have, by the beginnings of their names.
pub(crate) const OF_ROUTES: &str = "outrigger.rbac.route";

/// Between the name of a policy and the number of a rule of it, where it has several.
pub(crate) const RULE_MARK: char = '#';

/// The names of the policies of a chain's filter.
pub(super) fn http(
    refusals: &mut Refusals,
    carried: &mut Carried,
    path: &Path,
    name: &str,
    filter: &Rbac,
) -> Vec<Value> {
    refuse_rbac(refusals, path, filter);
    let (rules, shadows) = (filter.rules.as_ref(), filter.shadow_rules.as_ref());
    if rules.is_none() && shadows.is_none() {
        carried.empty_filters.insert(name.to_owned());
    }
    one_allowing(refusals, carried, path, rules);
    both(refusals, carried, path, name, (rules, shadows))
}

/// The names of the policies of a chain that passes bytes on.
pub(crate) fn network(
    refusals: &mut Refusals,
    carried: &mut Carried,
    path: &Path,
    filter: &NetworkRbac,
) -> Vec<Value> {
    refuse_network(refusals, path, filter);
    let (rules, shadows) = (filter.rules.as_ref(), filter.shadow_rules.as_ref());
    one_allowing(refusals, carried, path, rules);
    both(refusals, carried, path, &filter.stat_prefix, (rules, shadows))
}

/// Of two filters with ALLOW policies both must allow; of the policies of a chain here one must.
fn one_allowing(refusals: &mut Refusals, carried: &mut Carried, path: &Path, rules: Option<&Rules>) {
    if rules.is_none_or(|rules| rules.action() != Action::Allow) {
        return;
    }
    if carried.allowing_filter {
        let help = "put the policies into one filter";
        refusals.fault_with_help(
            path,
            "a second filter with ALLOW policies is not implemented",
            help,
        );
    }
    carried.allowing_filter = true;
}

/// The names of the policies that a route adds.
pub(super) fn route(
    refusals: &mut Refusals,
    carried: &mut Carried,
    path: &Path,
    name: &str,
    config: &RbacPerRoute,
) -> Vec<Value> {
    refuse_per_route(refusals, path, config);
    if !name.starts_with(OF_ROUTES) && !carried.empty_filters.contains(name) {
        let message = "a route's policies cannot stand in the place of its chain's: they only add to them";
        let help = format!("use an RBAC filter without rules whose name begins with `{OF_ROUTES}`");
        refusals.fault_with_help(path, message, help);
        return Vec::new();
    }
    let Some(rbac) = &config.rbac else {
        return Vec::new();
    };
    let path = path.field("rbac");
    refuse_rbac(refusals, &path, rbac);
    let rules = (rbac.rules.as_ref(), rbac.shadow_rules.as_ref());
    both(refusals, carried, &path, name, rules)
}

fn both(
    refusals: &mut Refusals,
    carried: &mut Carried,
    path: &Path,
    filter: &str,
    (rules, shadows): (Option<&Rules>, Option<&Rules>),
) -> Vec<Value> {
    let mut names = Vec::new();
    for (field, rules, shadow) in [("rules", rules, false), ("shadow_rules", shadows, true)] {
        if let Some(rules) = rules {
            let found = policies(refusals, carried, &path.field(field), (filter, shadow), rules);
            names.extend(found);
        }
    }
    names
}

fn policies(
    refusals: &mut Refusals,
    carried: &mut Carried,
    path: &Path,
    (filter, shadow): (&str, bool),
    rules: &Rules,
) -> Vec<Value> {
    refuse_rules(refusals, path, rules);
    let action = match Action::try_from(rules.action) {
        Ok(Action::Allow) => "allow",
        Ok(Action::Deny) => "deny",
        Ok(Action::Log) => "audit",
        Err(_) => {
            refusals.fault(
                &path.field("action"),
                format!("there is no action {}", rules.action),
            );
            return Vec::new();
        }
    };
    // Rules of one policy come together, in their order.
    let mut by_name: BTreeMap<&str, BTreeMap<usize, (&str, &Policy)>> = BTreeMap::new();
    for (key, policy) in &rules.policies {
        let (name, number) = match key.rsplit_once(RULE_MARK) {
            Some((name, number)) => match number.parse() {
                Ok(number) => (name, number),
                Err(_) => (key.as_str(), 0),
            },
            None => (key.as_str(), 0),
        };
        by_name.entry(name).or_default().insert(number, (key, policy));
    }
    // ALLOW without policies allows nothing.
    if by_name.is_empty() && action == "allow" {
        by_name.insert(filter, BTreeMap::new());
    }
    let place = path.field("policies");
    let mut names = Vec::new();
    for (name, of_policy) in by_name {
        let mut message = format!("{action} {shadow}").into_bytes();
        for (key, policy) in of_policy.values() {
            message.extend(key.as_bytes());
            message.extend(policy.encode_to_vec());
        }
        let part = |refusals: &mut Refusals, carried: &Carried| {
            let mut map = Map::new(&place).with("action", Value::plain(&path.field("action"), action));
            if shadow {
                map.put("shadow", Value::plain(path, true));
            }
            let mut conditions = Vec::new();
            for (key, policy) in of_policy.values() {
                conditions.extend(rule(refusals, carried, &place.key(key), policy));
            }
            Some(map.with("rules", Value::list(&place, conditions)))
        };
        let key = (CarriedKind::AuthorizationPolicy, name);
        let own = carried.part(refusals, &place.key(name), key, message, part);
        names.push(Value::text(&place.key(name), own));
    }
    names
}

/// One rule; none if it matches nothing.
fn rule(refusals: &mut Refusals, carried: &Carried, path: &Path, policy: &Policy) -> Option<Value> {
    refuse_policy(refusals, path, policy);
    if condition::is_never(&policy.permissions) {
        return None;
    }
    let permissions = path.field("permissions");
    let mut asked: Vec<Value> = Vec::new();
    let principals = path.field("principals");
    asked.extend(condition::principals(
        refusals,
        carried,
        &principals,
        &policy.principals,
    ));
    asked.extend(condition::permissions(
        refusals,
        carried,
        &permissions,
        &policy.permissions,
    ));
    Some(match asked.len() {
        0 => Map::new(path).with("always", Value::plain(path, true)).into(),
        1 => asked.swap_remove(0),
        _ => Map::new(path).with("all_of", Value::list(path, asked)).into(),
    })
}

/// A text match as an item of a list of the document.
pub(super) fn text_item(
    refusals: &mut Refusals,
    path: &Path,
    matcher: &envoy_types::pb::envoy::r#type::matcher::v3::StringMatcher,
) -> Option<Value> {
    let (field, value) = matching::text(refusals, path, matcher)?;
    Some(Map::new(path).with(field, value).into())
}
