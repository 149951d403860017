//! Authorization policies, and where they apply.

use super::Unique;
use super::condition::condition;
use super::reader::{Fields, Part, Reader};
use super::shapes::AUTHORIZATION_POLICY;
use super::tree::Node;
use crate::model::{
    AuthorizationAction, AuthorizationPolicy, ChainMode, Condition, FilterChain, MeshConfig, Name,
};
use crate::receipt::Code;
use std::collections::HashMap;
use std::sync::Arc;

pub(super) fn policies(reader: &mut Reader<'_>, nodes: &[Arc<Node>]) -> Vec<Arc<AuthorizationPolicy>> {
    let mut names = Unique::new("authorization policy");
    let read = |node: &Arc<Node>| {
        reader
            .within(|reader| policy(reader, node, &mut names))
            .map(Arc::new)
    };
    nodes.iter().filter_map(read).collect()
}

fn policy(reader: &mut Reader<'_>, node: &Node, names: &mut Unique<Name>) -> Option<AuthorizationPolicy> {
    let fields = reader.fields(node, &AUTHORIZATION_POLICY)?;
    let name = fields.name(reader, "name");
    if let Some(name) = &name {
        names.insert(reader, name.clone(), fields.span_of("name"));
        reader.enter("authorization policy", name);
    }
    let actions = [
        ("allow", AuthorizationAction::Allow),
        ("deny", AuthorizationAction::Deny),
        ("audit", AuthorizationAction::Audit),
    ];
    let action = fields.choice(reader, "action", &actions);
    let shadow = fields.boolean(reader, "shadow").unwrap_or(false);
    let nodes = fields.list(reader, "rules");
    let mut rules = Vec::with_capacity(nodes.len());
    for node in nodes {
        rules.extend(condition(reader, node, 0));
    }
    if nodes.is_empty()
        && matches!(
            action,
            Some(AuthorizationAction::Deny | AuthorizationAction::Audit)
        )
    {
        reader.warn(
            Code::PolicyMatchesNothing,
            node.span,
            "this policy matches nothing: it has no rules",
            "write `rules: [{always: true}]` where everything is meant",
        );
    }
    Some(AuthorizationPolicy {
        name: name?,
        action: action?,
        shadow,
        rules,
        origin: reader.origin(node.span),
    })
}

/// The policies in the field `authorization` of a filter chain or a route.
pub(super) fn references(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Vec<Name> {
    let part = Part::AuthorizationPolicy;
    reader.references(fields, "authorization", part, "reference to the policy")
}

/// Refuses what can never allow where only bytes are passed on, and warns of what is not known there.
pub(super) fn check(reader: &mut Reader<'_>, config: &MeshConfig) {
    let policies: HashMap<&Name, &AuthorizationPolicy> = config
        .authorization_policies
        .iter()
        .map(|policy| (&policy.name, policy.as_ref()))
        .collect();
    let chains = config
        .listeners
        .iter()
        .flat_map(|listener| &listener.filter_chains);
    for chain in chains.filter(|chain| matches!(chain.mode, ChainMode::Tcp(_))) {
        for policy in chain.authorization.iter().filter_map(|name| policies.get(name)) {
            check_bytes(reader, chain, policy);
        }
    }
}

fn check_bytes(reader: &mut Reader<'_>, chain: &FilterChain, policy: &AuthorizationPolicy) {
    if policy.rules.is_empty() || policy.rules.iter().any(|rule| Known::of(rule).may_hold) {
        return;
    }
    let (part, origin) = (("filter chain", &chain.name), &chain.origin);
    let span = reader.place(origin);
    let (chain, name) = (&chain.name, &policy.name);
    let because = format!("every rule asks for a request, and the filter chain `{chain}` passes bytes on");
    match policy.action {
        AuthorizationAction::Allow => reader.fault_with_help(
            span,
            format!("the policy `{name}` never allows anything here: {because}"),
            "ask for identities, addresses, ports or server names",
        ),
        AuthorizationAction::Deny => reader.warn_of(
            Code::DenyByConnection,
            part,
            origin,
            format!("the policy `{name}` denies by what it asks of connections alone: {because}"),
            "what is asked of requests counts as met; ask for what is known of a connection",
        ),
        AuthorizationAction::Audit => reader.warn_of(
            Code::AuditNeverKnown,
            part,
            origin,
            format!("the policy `{name}` has no effect here: {because}"),
            "ask for what is known of a connection",
        ),
    }
}

/// What can be known of a condition without a request.
struct Known {
    may_hold: bool,
    may_fail: bool,
}

impl Known {
    fn of(condition: &Condition) -> Known {
        let known = |may_hold, may_fail| Known { may_hold, may_fail };
        match condition {
            Condition::All(all) => known(
                all.iter().all(|one| Known::of(one).may_hold),
                all.iter().any(|one| Known::of(one).may_fail),
            ),
            Condition::AnyOf(any) => known(
                any.iter().any(|one| Known::of(one).may_hold),
                any.iter().all(|one| Known::of(one).may_fail),
            ),
            Condition::Not(condition) => {
                let of = Known::of(condition);
                known(of.may_fail, of.may_hold)
            }
            Condition::Always => known(true, false),
            other if other.needs_request() => known(false, false),
            _ => known(true, true),
        }
    }
}
