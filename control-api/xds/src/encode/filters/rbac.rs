//! Authorization policies as RBAC filters: one for DENY, one for ALLOW, one for AUDIT; and the same for what routes add, so
//! that a route narrows what its chain allows and never widens it.

use super::super::canonical;
use super::Carrying;
use super::rbac_condition::{self as condition, Sided};
use crate::decode::CarriedKind;
use crate::decode::filters::{OF_ROUTES, RULE_MARK, carried_by};
use envoy_types::pb::envoy::config::rbac::v3::{Policy, Rbac as Rules, rbac::Action};
use envoy_types::pb::envoy::extensions::filters::http::rbac::v3::{Rbac, RbacPerRoute};
use envoy_types::pb::envoy::extensions::filters::network::rbac::v3::Rbac as NetworkRbac;
use envoy_types::pb::google::protobuf::Any;
use outrigger_config::model::{AuthorizationAction, AuthorizationPolicy, Name};

/// Filters by name.
pub(crate) struct Policies {
    pub(crate) filters: Vec<(String, Any)>,
    /// The policies are read back in this order.
    pub(crate) in_order: bool,
}

/// The order of filters: DENY before ALLOW.
const ACTIONS: [(AuthorizationAction, Action, &str); 3] = [
    (AuthorizationAction::Deny, Action::Deny, "deny"),
    (AuthorizationAction::Allow, Action::Allow, "allow"),
    (AuthorizationAction::Audit, Action::Log, "audit"),
];

/// The filters of a chain.
pub(super) fn filters(carrying: &mut Carrying<'_>, names: &[Name]) -> Policies {
    let said = say(carrying, names);
    let filters = said.filters.into_iter();
    Policies {
        filters: filters
            .map(|(word, rbac)| (format!("outrigger.rbac.{word}"), canonical::any(&rbac)))
            .collect(),
        in_order: said.in_order,
    }
}

/// Filters without policies, which routes fill.
pub(super) fn of_routes() -> impl Iterator<Item = (String, Any)> {
    ACTIONS
        .into_iter()
        .map(|(_, _, word)| (format!("{OF_ROUTES}_{word}"), canonical::any(&Rbac::default())))
}

/// What a route puts into the filters of [`of_routes`].
pub(super) fn on_route(carrying: &mut Carrying<'_>, names: &[Name]) -> Policies {
    let said = say(carrying, names);
    let mut filters: Vec<(String, Any)> = said
        .filters
        .into_iter()
        .map(|(word, rbac)| {
            let config = RbacPerRoute { rbac: Some(rbac) };
            (format!("{OF_ROUTES}_{word}"), canonical::any(&config))
        })
        .collect();
    // By name is how they are read back.
    filters.sort_by(|one, other| one.0.cmp(&other.0));
    let in_order = names.len() < 2;
    Policies { filters, in_order }
}

/// The network filters of a chain that passes bytes on.
pub(crate) fn network(carrying: &mut Carrying<'_>, names: &[Name]) -> Policies {
    let said = say(carrying, names);
    let filters = said.filters.into_iter().map(|(word, rbac)| {
        let name = format!("outrigger.rbac.{word}");
        let Rbac {
            rules, shadow_rules, ..
        } = rbac;
        let filter = NetworkRbac {
            rules,
            shadow_rules,
            stat_prefix: name.clone(),
            ..NetworkRbac::default()
        };
        (name, canonical::any(&filter))
    });
    Policies {
        filters: filters.collect(),
        in_order: said.in_order,
    }
}

struct Filters {
    filters: Vec<(&'static str, Rbac)>,
    in_order: bool,
}

fn say(carrying: &mut Carrying<'_>, names: &[Name]) -> Filters {
    let mut filters = Vec::new();
    let mut order: Vec<&Name> = Vec::new();
    let all = carrying.config.authorization_policies();
    let found: Vec<&AuthorizationPolicy> = names
        .iter()
        .filter_map(|name| {
            all.iter()
                .find(|policy| policy.name() == name)
                .map(|policy| &**policy)
        })
        .collect();
    for (action, native, word) in ACTIONS {
        let mut rbac = Rbac::default();
        for shadow in [false, true] {
            let of_kind = found
                .iter()
                .filter(|policy| policy.action() == action && policy.shadow() == shadow);
            let mut of_kind: Vec<&AuthorizationPolicy> = of_kind.copied().collect();
            if of_kind.is_empty() {
                continue;
            }
            of_kind.sort_by(|one, other| one.name().cmp(other.name()));
            let mut rules = Rules {
                action: native.into(),
                ..Rules::default()
            };
            for policy in of_kind {
                order.push(policy.name());
                rules.policies.extend(entries(carrying, policy));
            }
            match shadow {
                false => rbac.rules = Some(rules),
                true => rbac.shadow_rules = Some(rules),
            }
        }
        if rbac != Rbac::default() {
            filters.push((word, rbac));
        }
    }
    Filters {
        filters,
        in_order: order.iter().copied().eq(names),
    }
}

/// A policy's entries: one for each rule.
fn entries(carrying: &mut Carrying<'_>, policy: &AuthorizationPolicy) -> Vec<(String, Policy)> {
    let name = policy.name().as_str();
    // What cannot be said of a DENY policy denies more, of others less: nothing is opened by it.
    let over = policy.action() == AuthorizationAction::Deny;
    let mut exact = true;
    let mut entries: Vec<(String, Policy)> = Vec::new();
    for (index, rule) in policy.rules().iter().enumerate() {
        let Sided {
            permission,
            principal,
            exact: said,
        } = condition::rule(rule, over);
        exact &= said;
        let key = match policy.rules().len() {
            1 => name.to_owned(),
            _ => format!("{name}{RULE_MARK}{}", index + 1),
        };
        let message = Policy {
            permissions: vec![permission],
            principals: vec![principal],
            ..Policy::default()
        };
        entries.push((key, message));
    }
    if entries.is_empty() {
        let message = Policy {
            permissions: vec![condition::never()],
            principals: vec![condition::anybody()],
            ..Policy::default()
        };
        entries.push((name.to_owned(), message));
    }
    if !exact {
        carrying.only_ours(CarriedKind::AuthorizationPolicy, policy.name());
    }
    let native = ACTIONS.iter().find(|(action, _, _)| *action == policy.action());
    let rules = Rules {
        action: native.map_or(0, |(_, native, _)| (*native).into()),
        policies: entries.iter().cloned().collect(),
        ..Rules::default()
    };
    let alone = match policy.shadow() {
        false => Rbac {
            rules: Some(rules),
            ..Rbac::default()
        },
        true => Rbac {
            shadow_rules: Some(rules),
            ..Rbac::default()
        },
    };
    let said = carried_by(name, &canonical::any(&alone));
    let same = said.is_some_and(|said| said.authorization_policies.iter().any(|said| **said == *policy));
    if !same {
        carrying.give(CarriedKind::AuthorizationPolicy, policy.name());
    }
    entries
}
