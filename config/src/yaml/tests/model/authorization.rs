//! Authorization policies.

use super::super::valid;
use crate::model::{
    AuthorizationAction, AuthorizationPolicy, Condition, Domain, PathMatch, SpiffeMatch, StringMatch,
};

fn policy(text: &str) -> AuthorizationPolicy {
    let text = format!("authorization_policies: [{{name: p, {text}}}]\n");
    valid(&text).config.authorization_policies()[0].as_ref().clone()
}

fn rule(text: &str) -> Condition {
    policy(&format!("action: allow, rules: [{text}]")).rules()[0].clone()
}

#[test]
fn policies_have_actions_and_rules() {
    let plain = policy("action: allow");
    assert_eq!(
        (plain.action(), plain.shadow()),
        (AuthorizationAction::Allow, false)
    );
    assert!(plain.rules().is_empty());
    let deny = policy("action: deny, shadow: true, rules: [{always: true}, {authenticated: true}]");
    assert_eq!((deny.action(), deny.shadow()), (AuthorizationAction::Deny, true));
    assert_eq!(deny.rules(), &[Condition::Always, Condition::Authenticated]);
}

#[test]
fn all_fields_hold_and_one_value_of_each() {
    let id = |text: &str| Condition::Identity(SpiffeMatch::Exact(text.parse().unwrap()));
    let method = |text: &str| Condition::Method(text.to_owned());
    assert_eq!(rule("{methods: [GET]}"), method("GET"));
    assert_eq!(
        rule("{methods: [GET, PUT], spiffe_ids: ['spiffe://a/b']}"),
        Condition::All(vec![
            id("spiffe://a/b"),
            Condition::AnyOf(vec![method("GET"), method("PUT")])
        ])
    );
    assert_eq!(
        rule("{not: {any_of: [{methods: [GET]}, {all_of: [{methods: [PUT]}, {authenticated: true}]}]}}"),
        Condition::Not(Box::new(Condition::AnyOf(vec![
            method("GET"),
            Condition::All(vec![method("PUT"), Condition::Authenticated])
        ])))
    );
    let Condition::All(headers) = rule("{headers: [{name: a, exact: b}, {name: c, present: true}]}") else {
        panic!()
    };
    assert!(headers.len() == 2 && headers.iter().all(|one| matches!(one, Condition::Header(_))));
}

#[test]
fn values_are_what_they_say() {
    assert_eq!(
        rule("{destination_ports: [443]}"),
        Condition::DestinationPort(443..=443)
    );
    assert_eq!(
        rule("{destination_ports: [1-9]}"),
        Condition::DestinationPort(1..=9)
    );
    assert_eq!(
        rule("{server_names: [A.example]}"),
        Condition::ServerName(StringMatch::Exact("a.example".into()))
    );
    assert_eq!(
        rule("{server_names: ['*.a.example']}"),
        Condition::ServerName(StringMatch::Suffix(".a.example".into()))
    );
    assert_eq!(
        rule("{peer_names: [{contains: CN=a}]}"),
        Condition::PeerName(StringMatch::Contains("CN=a".into()))
    );
    assert_eq!(
        rule("{hosts: ['*.a']}"),
        Condition::Host(Domain::Suffix(".a".into()))
    );
    assert_eq!(
        rule("{paths: [{prefix: /a}]}"),
        Condition::Path(PathMatch::Prefix("/a".into()))
    );
    for text in [
        "{claims: [{path: realm.roles, exact: x}]}",
        "{claims: [{path: [realm, roles], exact: x}]}",
    ] {
        let Condition::Claim(claim) = rule(text) else {
            panic!()
        };
        assert_eq!(claim.path(), &["realm", "roles"]);
        assert_eq!(
            (claim.provider(), claim.value()),
            (&None, &StringMatch::Exact("x".into()))
        );
    }
}

#[test]
fn chains_and_routes_name_policies() {
    let text = "
listeners: [{name: l, address: 127.0.0.1:1, filter_chains: [{authorization: [p, q], http: {route_configuration: r}}]}]
route_configurations: [{name: r, virtual_hosts: [{name: v, domains: ['*'], routes: [
  {match: {prefix: /}, direct_response: {status: 200}, authorization: [q]}]}]}]
authorization_policies: [{name: p, action: allow}, {name: q, action: audit, rules: [{always: true}]}]
";
    let loaded = valid(text);
    assert!(loaded.warnings.is_empty());
    let names = |names: &[crate::model::Name]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let config = loaded.config;
    assert_eq!(
        names(config.listeners()[0].filter_chains()[0].authorization()),
        ["p", "q"]
    );
    let route = &config.route_configurations()[0].virtual_hosts()[0].routes()[0];
    assert_eq!(names(route.authorization()), ["q"]);
}
