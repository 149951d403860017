//! Authorization policies, their conditions, and where they apply.

use super::check;

/// A policy that a chain uses, with one rule.
fn with_rule(rule: &str) -> String {
    format!("authorization_policies:\n- {{name: p, action: allow, rules: [{rule}]}}\n")
}

#[test]
fn policies() {
    check(
        |policy| format!("authorization_policies:\n- {policy}\n"),
        &[
            (
                "««{»»}",
                &[
                    "missing field `action` in authorization policy",
                    "missing field `name` in authorization policy",
                ],
            ),
            (
                "{name: p, action: «log»}",
                &["expected `allow`, `deny` or `audit`, found `log`"],
            ),
            (
                "{name: p, action: allow}\n- {name: «p», action: deny}",
                &["a second authorization policy `p` | the first stands at 2:10"],
            ),
            (
                "{name: p, action: allow, rules: «{»always: true}}",
                &["expected a list, found a map"],
            ),
            (
                "{name: p, action: allow, «principals»: []}",
                &[
                    "unknown field `principals` in authorization policy | not implemented: a policy's principals beside its permissions; its `rules` ask for both",
                ],
            ),
        ],
    );
}

#[test]
fn conditions() {
    check(
        with_rule,
        &[
            (
                "«{»}",
                &["this condition asks nothing | write `always: true` where everything is meant"],
            ),
            (
                "{always: «false»}",
                &["`always: false` matches nothing | write `not: {always: true}`"],
            ),
            (
                "{authenticated: «false»}",
                &["`authenticated: false` matches nothing | write `not: {authenticated: true}`"],
            ),
            ("{methods: «[»]}", &["this list may not be empty"]),
            (
                "{methods: [«get»]}",
                &["methods are upper case, `get` is not | write `GET`"],
            ),
            (
                "{spiffe_ids: [«'spiffe://a'»]}",
                &["`spiffe://a` names no workload: it has no path | write `trust_domain: a` for all of them"],
            ),
            (
                "{spiffe_prefixes: [«a»]}",
                &[
                    "`a` is not a SPIFFE id: it does not begin with `spiffe://` | such as `spiffe://example.org/ns/prod/sa/api`",
                ],
            ),
            (
                "{trust_domains: [«'*'»]}",
                &[
                    "`*` is not a trust domain: its trust domain holds something else than a-z, 0-9, `.`, `-` and `_` | such as `example.org`",
                ],
            ),
            (
                "{remote_addresses: [«10.0.0.1/8»]}",
                &["`10.0.0.1/8` has bits set beyond its prefix length | did you mean `10.0.0.0/8`?"],
            ),
            (
                "{destination_ports: [«0», «9-8», «http», 80, 8000-8100]}",
                &[
                    "expected a port or a range of ports, found `0` | such as `443` or `8000-8100`",
                    "expected a port or a range of ports, found `9-8` | such as `443` or `8000-8100`",
                    "expected a port or a range of ports, found `http` | such as `443` or `8000-8100`",
                ],
            ),
            (
                "{server_names: [«'a.*'»]}",
                &["`a.*` is not a DNS name | such as `a.example` or `*.a.example`"],
            ),
            ("{paths: [«/a»]}", &["expected a map (path match), found `/a`"]),
            (
                "{paths: [{prefix: «a»}]}",
                &["the path `a` does not begin with `/` | write `/a`"],
            ),
            (
                "{paths: [{prefix: /a, «regex»: b}]}",
                &[
                    "`prefix` and `regex` exclude each other | give exactly one of `path`, `prefix`, `string_prefix`, `template` and `regex`",
                ],
            ),
            (
                "{hosts: [«'a:80'»]}",
                &["`a:80` is not a domain | ports are ignored: write `a`"],
            ),
            (
                "{headers: [«{»name: x}]}",
                &[
                    "one of `exact`, `prefix`, `suffix`, `contains`, `regex` and `present` is missing in header condition",
                ],
            ),
            (
                "{peer_names: [{regex: «(»}]}",
                &["not a regular expression: unclosed group"],
            ),
            (
                "{peer_names: [{present: «false»}]}",
                &["`present: false` matches nothing | write `present: true` with `invert: true`"],
            ),
            (
                "{claims: [{path: «a..b», exact: x}]}",
                &["a key of a claim may not be empty | a key that holds a dot stands in a list: `[a.b]`"],
            ),
            (
                "{claims: [{path: «[»], exact: x}]}",
                &["this list may not be empty"],
            ),
            (
                "{claims: [{path: a, exact: x, provider: «b»}]}",
                &["no JWT provider is named `b`"],
            ),
            (
                "{«ips»: [10.0.0.0/8]}",
                &[
                    "unknown field `ips` in condition | it may have `always`, `authenticated`, `spiffe_ids`, `spiffe_prefixes`, `trust_domains`, `peer_names`, `remote_addresses`, `direct_addresses`, `destination_addresses`, `destination_ports`, `server_names`, `methods`, `paths`, `hosts`, `headers`, `query`, `claims`, `not`, `any_of` and `all_of`",
                ],
            ),
            (
                "{«path»: [/a]}",
                &["unknown field `path` in condition | did you mean `paths`?"],
            ),
            (
                "{not: {not: {not: {not: {not: {not: {not: {not: «{»always: true}}}}}}}}}",
                &["more than 8 conditions inside each other | split the policy"],
            ),
        ],
    );
    let many = "a, ".repeat(10_001);
    let faults = super::super::read(&with_rule(&format!("{{trust_domains: [{many}]}}"))).unwrap_err();
    let expected = "`trust_domains` has 10001 items; at most 10000 are allowed";
    assert!(faults.iter().any(|fault| fault.message() == expected), "{faults}");
}

#[test]
fn where_policies_apply() {
    let policies = "authorization_policies:\n\
                    - {name: by-path, action: allow, rules: [{paths: [{prefix: /a}]}]}\n\
                    - {name: deny-path, action: deny, rules: [{paths: [{prefix: /a}]}]}\n\
                    - {name: mixed, action: allow, rules: [{methods: [GET]}, {any_of: [{methods: [PUT]}, {authenticated: true}]}]}\n\
                    - {name: not-both, action: allow, rules: [{not: {methods: [GET], authenticated: true}}]}\n\
                    - {name: not-path, action: allow, rules: [{not: {paths: [{prefix: /a}]}}]}\n";
    check(
        |chain| super::super::with_chain(chain) + policies,
        &[
            (
                "{authorization: [«by-pth»], http: {route_configuration: r}}",
                &["no authorization policy is named `by-pth` | did you mean `by-path`?"],
            ),
            (
                "{authorization: [mixed, «mixed»], http: {route_configuration: r}}",
                &["a second reference to the policy `mixed` | the first stands at 6:22"],
            ),
            (
                "«{»authorization: [by-path], tcp: {cluster: a}}",
                &[
                    "the policy `by-path` never allows anything here: every rule asks for a request, and the filter chain `chain-0` passes bytes on | ask for identities, addresses, ports or server names",
                ],
            ),
            (
                "«{»authorization: [not-path], tcp: {cluster: a}}",
                &[
                    "the policy `not-path` never allows anything here: every rule asks for a request, and the filter chain `chain-0` passes bytes on | ask for identities, addresses, ports or server names",
                ],
            ),
        ],
    );
    for chain in [
        "{authorization: [mixed, not-both, deny-path], tcp: {cluster: a}}",
        "{authorization: [by-path], http: {route_configuration: r}}",
        "{authorization: [by-path], http: {route_configuration: r}, tcp: {cluster: a}}",
    ] {
        super::super::valid(&(super::super::with_chain(chain) + policies));
    }
    check(
        super::super::with_route,
        &[(
            "{match: {prefix: /}, forward: {cluster: a}, authorization: [«p»]}",
            &["no authorization policy is named `p`"],
        )],
    );
}
