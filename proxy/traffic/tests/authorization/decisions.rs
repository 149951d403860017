//! What is decided, and by which policy.

use crate::facts::{Known, set};
use outrigger_traffic::authorization::{Decision, Outcome, PolicyPlace, PolicySet, decide, foresee_refusal};
use serde_json::json;

fn outcome(set: &PolicySet, known: &Known) -> Outcome {
    decide(&[set], &known.facts()).outcome
}

fn by(policy: usize) -> Option<PolicyPlace> {
    Some(PolicyPlace { level: 0, policy })
}

fn denied(policy: usize) -> Outcome {
    Outcome::Denied(PolicyPlace { level: 0, policy })
}

const NOT_ALLOWED: Outcome = Outcome::NotAllowed { level: 0 };

#[test]
fn deny_comes_before_allow_whatever_the_order() {
    let set = set("{name: a, action: allow, rules: [{paths: [{prefix: /}]}]}, \
                   {name: b, action: deny, rules: [{methods: [DELETE]}]}");
    assert_eq!(outcome(&set, &Known::get("/")), Outcome::Allowed(by(0)));
    assert_eq!(outcome(&set, &Known::get("/").method("DELETE")), denied(1));
}

#[test]
fn without_allow_policies_all_passes_that_is_not_denied_and_with_one_nothing_else() {
    let deny = set("{name: a, action: deny, rules: [{paths: [{path: /x}]}]}");
    assert_eq!(outcome(&deny, &Known::get("/y")), Outcome::Allowed(None));
    let allow = set("{name: a, action: allow, rules: [{paths: [{path: /x}]}]}");
    assert_eq!(outcome(&allow, &Known::get("/y")), NOT_ALLOWED);
    let nothing = set("{name: a, action: allow}");
    assert_eq!(outcome(&nothing, &Known::get("/y")), NOT_ALLOWED);
    let audit = set("{name: a, action: audit, rules: [{always: true}]}");
    assert_eq!(outcome(&audit, &Known::get("/y")), Outcome::Allowed(None));
}

#[test]
fn levels_only_narrow_each_other() {
    let chain = set("{name: c, action: allow, rules: [{methods: [GET, PUT]}]}");
    let route = set("{name: r, action: allow, rules: [{methods: [PUT, POST]}]}");
    let of = |method: &str| decide(&[&chain, &route], &Known::get("/").method(method).facts()).outcome;
    assert_eq!(
        of("PUT"),
        Outcome::Allowed(Some(PolicyPlace { level: 1, policy: 0 }))
    );
    assert_eq!(of("GET"), Outcome::NotAllowed { level: 1 });
    assert_eq!(of("POST"), Outcome::NotAllowed { level: 0 });
    let deny = set("{name: d, action: deny, rules: [{methods: [POST]}]}");
    let of = |method: &str| decide(&[&chain, &deny], &Known::get("/").method(method).facts()).outcome;
    // Every DENY policy is asked before any ALLOW policy.
    assert_eq!(of("POST"), Outcome::Denied(PolicyPlace { level: 1, policy: 0 }));
}

#[test]
fn shadow_policies_tell_what_they_would_do_and_do_nothing() {
    let set = set("{name: a, action: allow, rules: [{methods: [GET]}]}, \
                   {name: b, action: deny, shadow: true, rules: [{paths: [{prefix: /x}]}]}, \
                   {name: c, action: allow, shadow: true, rules: [{methods: [PUT]}]}");
    let of = |known: Known| {
        let Decision { outcome, shadow, .. } = decide(&[&set], &known.facts());
        (outcome, shadow)
    };
    assert_eq!(of(Known::get("/x")), (Outcome::Allowed(by(0)), Some(denied(1))));
    assert_eq!(
        of(Known::get("/y")),
        (Outcome::Allowed(by(0)), Some(Outcome::Allowed(by(0))))
    );
    assert_eq!(
        of(Known::get("/y").method("PUT")),
        (NOT_ALLOWED, Some(Outcome::Allowed(by(2))))
    );
    let only = crate::facts::set("{name: c, action: allow, shadow: true, rules: [{methods: [PUT]}]}");
    let decision = decide(&[&only], &Known::get("/").facts());
    assert_eq!(decision.outcome, Outcome::Allowed(None));
    assert_eq!(decision.shadow, Some(NOT_ALLOWED));
}

#[test]
fn audit_policies_are_all_told() {
    let set = set(
        "{name: a, action: audit, rules: [{methods: [GET]}, {always: true}]}, \
                   {name: b, action: audit, rules: [{methods: [PUT]}]}, \
                   {name: c, action: audit, rules: [{paths: [{prefix: /x}]}]}",
    );
    let decision = decide(&[&set], &Known::get("/x/y").facts());
    let places: Vec<usize> = decision.audited.iter().map(|place| place.policy).collect();
    assert_eq!(places, [0, 2]);
}

#[test]
fn where_requests_are_not_seen_allow_must_be_certain_and_deny_certain_not_to_match() {
    let id = "spiffe://a/x";
    let deny = set("{name: a, action: deny, rules: [{spiffe_ids: ['spiffe://a/x'], methods: [DELETE]}]}");
    assert_eq!(outcome(&deny, &Known::bytes().from(id)), denied(0));
    assert_eq!(
        outcome(&deny, &Known::bytes().from("spiffe://a/y")),
        Outcome::Allowed(None)
    );
    let allow = set(
        "{name: a, action: allow, rules: [{spiffe_ids: ['spiffe://a/x'], methods: [GET]}]}, \
                     {name: b, action: allow, rules: [{spiffe_ids: ['spiffe://a/y']}]}",
    );
    assert_eq!(outcome(&allow, &Known::bytes().from(id)), NOT_ALLOWED);
    assert_eq!(
        outcome(&allow, &Known::bytes().from("spiffe://a/y")),
        Outcome::Allowed(by(1))
    );
    let not = set("{name: a, action: allow, rules: [{not: {paths: [{prefix: /admin}]}}]}");
    assert_eq!(outcome(&not, &Known::bytes()), NOT_ALLOWED);
}

#[test]
fn a_refusal_is_foreseen_only_if_nothing_can_change_it() {
    let set = set(
        "{name: d, action: deny, rules: [{spiffe_ids: ['spiffe://a/bad']}, \
                   {spiffe_ids: ['spiffe://a/half'], methods: [DELETE]}]}, \
                   {name: a, action: allow, rules: [{trust_domains: [a], methods: [GET]}]}",
    );
    let of = |known: Known| foresee_refusal(&[&set], &known.facts());
    assert_eq!(of(Known::bytes().from("spiffe://a/bad")), Some(denied(0)));
    assert_eq!(of(Known::bytes().from("spiffe://b/any")), Some(NOT_ALLOWED));
    assert_eq!(of(Known::bytes()), Some(NOT_ALLOWED));
    assert_eq!(of(Known::bytes().from("spiffe://a/half")), None);
    assert_eq!(of(Known::bytes().from("spiffe://a/good")), None);
}

#[test]
fn an_address_that_is_not_known_yet_decides_nothing() {
    let set = set("{name: a, action: allow, rules: [{remote_addresses: [10.0.0.0/8]}]}");
    let unknown = Known {
        remote: None,
        ..Known::bytes()
    };
    assert_eq!(foresee_refusal(&[&set], &unknown.facts()), None);
    assert_eq!(outcome(&set, &unknown), NOT_ALLOWED);
    assert_eq!(outcome(&set, &Known::bytes()), Outcome::Allowed(by(0)));
}

#[test]
fn claims_are_compared_as_json_writes_them() {
    let set = set(
        "{name: a, action: allow, rules: [{claims: [{path: realm.roles, exact: admin}]}]}, \
                   {name: b, action: allow, rules: [{claims: [{provider: q, path: level, exact: '3'}]}]}, \
                   {name: c, action: allow, rules: [{claims: [{path: ok, exact: 'true'}]}]}",
    );
    let of = |provider: &str, payload| outcome(&set, &Known::get("/").token(provider, payload));
    assert_eq!(
        of("p", json!({"realm": {"roles": ["user", "admin"]}})),
        Outcome::Allowed(by(0))
    );
    assert_eq!(of("p", json!({"realm": {"roles": ["user"]}})), NOT_ALLOWED);
    assert_eq!(of("q", json!({"level": 3})), Outcome::Allowed(by(1)));
    assert_eq!(of("p", json!({"level": 3})), NOT_ALLOWED);
    assert_eq!(of("p", json!({"ok": true})), Outcome::Allowed(by(2)));
    assert_eq!(outcome(&set, &Known::get("/")), NOT_ALLOWED);
}
