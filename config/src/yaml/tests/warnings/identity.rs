//! Of TLS, identities, policies and tokens.

use super::super::{valid, with_chain};
use super::check;

#[test]
fn tls_that_is_not_what_it_looks() {
    let alone = [
        "nothing uses the cluster `a` | forward to it, or remove it",
        "nothing uses the cluster `backend` | forward to it, or remove it",
    ];
    let permissive = "`mode: permissive` has no effect: this filter chain takes only TLS connections | remove \
                      `transport: tls`, `server_names` and `application_protocols` from its `match`, or the mode";
    let anybody = "whoever has a certificate of a public authority is let in | say who is meant by `peers`, or believe an \
                   authority of your own by `ca_file`";
    let rows = [
        ("«match»: {transport: tls}", "mode: permissive", Some(permissive)),
        (
            "«match»: {server_names: [a.example]}",
            "mode: permissive",
            Some(permissive),
        ),
        ("match: {destination_port: 7}", "mode: permissive", None),
        ("match: {transport: tls}", "mode: strict", None),
        ("match: {}", "client: {roots: «system»}", Some(anybody)),
        (
            "match: {}",
            "client: {roots: system, peers: [{dns: a.example}]}",
            None,
        ),
        ("match: {}", "client: {ca_file: c}", None),
    ];
    for (matches, tls, warning) in rows {
        let messages: Vec<&str> = alone.into_iter().chain(warning).collect();
        let around = |_: &str| {
            with_chain(&format!(
                "{{{matches}, tls: {{{tls}, certificates: [{{certificate_file: c, private_key_file: k}}]}}, http: \
                 {{route_configuration: r}}}}"
            ))
            .replace("{name: a}", "«{»name: a}")
            .replace("{name: backend}", "«{»name: backend}")
        };
        let mut sorted = messages.clone();
        // Marks are taken in the order of the document: the chain stands before the clusters.
        sorted.rotate_left(2.min(messages.len()) % messages.len().max(1));
        check(around, &[("", &sorted)]);
    }
}

#[test]
fn identities_and_trust_that_nothing_uses() {
    let identity = "nothing uses the identity `i` | name it in a `tls`, or remove it";
    let bundle =
        "nothing uses the trust bundle `t` | name it in a `tls`, believe by `roots: spiffe`, or remove it";
    let cluster = "nothing uses the cluster `c` | forward to it, or remove it";
    check(
        |text| text.to_owned(),
        &[
            (
                "identities: [«{»name: i, workload_api: {socket: s}}]",
                &[identity],
            ),
            (
                "trust_bundles: [«{»name: t, file: f, trust_domain: a}]",
                &[bundle],
            ),
            (
                "identities: [{name: i, workload_api: {socket: s}}]\ntrust_bundles: [«{»name: t, identity: i}]",
                &[bundle],
            ),
            (
                "identities: [{name: i, workload_api: {socket: s}}]\ntrust_bundles: [{name: t, identity: i}]\n\
                 control: {servers: ['http://127.0.0.1:1'], node: n}",
                &[],
            ),
            (
                "trust_bundles: [{name: t, file: f, trust_domain: a}]\n\
                 clusters: [«{»name: c, tls: {roots: spiffe, peers: [{trust_domain: a}]}}]",
                &[cluster],
            ),
            (
                "trust_bundles: [{name: t, file: f, trust_domain: a}]\n\
                 clusters: [«{»name: c, tls: {roots: spiffe, peers: [«{»spiffe_id: 'spiffe://b/c'}]}}]",
                &[
                    cluster,
                    "no certificate of this peer is believed: no trust bundle speaks for `b` | declare one with \
                     `trust_domain: b`",
                ],
            ),
            (
                "revocation: {«list_required»: true}",
                &[
                    "every certificate is refused: a list is required, and there is none | give `lists`, or remove it",
                ],
            ),
        ],
    );
}

#[test]
fn policies_that_do_nothing() {
    let unused = "nothing uses the authorization policy `p` | name it in the `authorization` of a filter chain or a route, \
                  or remove it";
    let nothing = "this policy matches nothing: it has no rules | write `rules: [{always: true}]` where everything is meant";
    check(
        |text| text.to_owned(),
        &[
            ("authorization_policies: [«{»name: p, action: allow}]", &[unused]),
            (
                "authorization_policies: [««{»»name: p, action: deny}]",
                &[unused, nothing],
            ),
        ],
    );
    let bytes = |action: &str| {
        let text = format!(
            "listeners: [{{name: l, address: 127.0.0.1:1, filter_chains: [{{authorization: [p], tcp: {{cluster: c}}}}]}}]\n\
             clusters: [{{name: c}}]\n\
             authorization_policies: [{{name: p, action: {action}, rules: [{{methods: [GET]}}]}}]\n"
        );
        let warnings = valid(&text).warnings;
        assert_eq!(warnings.len(), 1);
        super::super::summary(&warnings[0])
    };
    assert!(bytes("deny").starts_with("the policy `p` denies by what it asks of connections alone"));
    assert!(bytes("audit").starts_with("the policy `p` has no effect here"));
}

#[test]
fn providers_that_nobody_requires() {
    let document = valid(
        "jwt_providers: [{name: p, keys: {file: k}}]\n\
         clusters: [{name: c, tls: {ca_file: f, server_name: a}}]\n",
    );
    let messages: Vec<String> = document.warnings.iter().map(super::super::summary).collect();
    assert_eq!(
        messages,
        [
            "nothing uses the JWT provider `p` | require it by `jwt`, or remove it",
            "nothing uses the cluster `c` | forward to it, or remove it"
        ]
    );
}

#[test]
fn routes_for_some_identities_shadow_only_those() {
    let shadowed = |first: &str, second: &str| {
        let route = |name: &str, matches: &str| {
            format!("{{name: {name}, match: {{prefix: /{matches}}}, forward: {{cluster: a}}}}")
        };
        let text = super::super::with_route(&format!(
            "{}\n    - {}",
            route("one", first),
            route("two", second)
        ));
        valid(&text)
            .warnings
            .iter()
            .any(|warning| warning.message().contains("is never taken"))
    };
    let (a, both) = (
        ", source_identities: [{trust_domain: a}]",
        ", source_identities: [{trust_domain: a}, {trust_domain: b}]",
    );
    assert!(shadowed("", a) && shadowed(a, a) && shadowed(both, a));
    assert!(!shadowed(a, "") && !shadowed(a, both));
}
