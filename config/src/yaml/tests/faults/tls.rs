//! TLS of both sides, and whom a peer must be.

use super::super::{with_chain, with_cluster};
use super::check;

fn terminating(tls: &str) -> String {
    with_chain(&format!("{{tls: {tls}, http: {{route_configuration: r}}}}"))
}

/// With a certificate, so that other fields may be wrong.
fn with_certificate(fields: &str) -> String {
    terminating(&format!(
        "{{certificates: [{{certificate_file: c, private_key_file: k}}], {fields}}}"
    ))
}

#[test]
fn downstream_tls() {
    check(
        terminating,
        &[
            ("«{»}", &["missing field `certificates` in downstream tls"]),
            ("{certificates: «[»]}", &["this list may not be empty"]),
            (
                "{certificates: [«{»certificate_file: c}]}",
                &["missing field `private_key_file` in certificate"],
            ),
            (
                "{certificates: [{certificate_file: «''», private_key_file: k}]}",
                &["expected a file name"],
            ),
            (
                "{certificates: [{certificate_file: c, private_key_file: k}], application_protocols: [«http/2»]}",
                &["expected `h2` or `http/1.1`, found `http/2`"],
            ),
            (
                "{certificates: [{certificate_file: c, private_key_file: k}], application_protocols: [h2, «h2»]}",
                &["a second protocol `h2` | the first stands at 6:96"],
            ),
            (
                "{certificates: [{certificate_file: c, private_key_file: k}], handshake_timeout: «off»}",
                &["expected a duration, found `off` | such as `15s`, `250ms`, `5m`"],
            ),
            (
                "{certificates: [«{»}]}",
                &["one of `certificate_file` and `identity` is missing in certificate"],
            ),
            (
                "{certificates: [{certificate_file: c, private_key_file: k, «identity»: «a»}]}",
                &[
                    "`certificate_file` and `identity` exclude each other | give exactly one of `certificate_file` and `identity`",
                    "no identity is named `a`",
                ],
            ),
            (
                "{certificates: [{identity: «a», «private_key_file»: k, «ocsp_staple_file»: o}]}",
                &[
                    "no identity is named `a`",
                    "`private_key_file` without `certificate_file` | an identity has its own",
                    "`ocsp_staple_file` without `certificate_file` | an identity has its own",
                ],
            ),
        ],
    );
    check(
        with_certificate,
        &[
            (
                "mode: «mutual»",
                &["expected `strict` or `permissive`, found `mutual`"],
            ),
            (
                "«client_ca_file»: ca",
                &["unknown field `client_ca_file` in downstream tls | write `client: {ca_file: FILE}`"],
            ),
            (
                "session_resumption: «off»",
                &["expected true or false, found `off` | write `false`"],
            ),
        ],
    );
}

#[test]
fn versions_and_key_exchange() {
    let rows: &[(&str, &[&str])] = &[
        (
            "minimum_version: «TLSv1.1»",
            &["expected `TLSv1.2` or `TLSv1.3`, found `TLSv1.1` | did you mean `TLSv1.2`?"],
        ),
        (
            "minimum_version: «1.2»",
            &["expected `TLSv1.2` or `TLSv1.3`, found `1.2`"],
        ),
        (
            "minimum_version: «TLSv1.3», maximum_version: TLSv1.2",
            &["`minimum_version` is newer than `maximum_version`"],
        ),
        (
            "post_quantum: «required»",
            &[
                "`post_quantum: required` where TLS 1.2 is spoken, which has no such key exchange | write `minimum_version: TLSv1.3`",
            ],
        ),
        (
            "post_quantum: «required», maximum_version: TLSv1.2",
            &[
                "`post_quantum: required` where TLS 1.2 is spoken, which has no such key exchange | write `minimum_version: TLSv1.3`",
            ],
        ),
        (
            "post_quantum: «on»",
            &["expected `off`, `preferred` or `required`, found `on`"],
        ),
    ];
    check(with_certificate, rows);
    check(
        |fields| {
            with_cluster(&format!(
                "{{name: a, tls: {{ca_file: c, server_name: a, {fields}}}}}"
            ))
        },
        rows,
    );
}

#[test]
fn clients() {
    check(
        |client| with_certificate(&format!("client: {client}")),
        &[
            (
                "«{»}",
                &["one of `ca_file`, `roots` and `trust_bundle` is missing in client"],
            ),
            ("«ca.pem»", &["expected a map (client), found `ca.pem`"]),
            (
                "{ca_file: c, «roots»: system}",
                &[
                    "`ca_file` and `roots` exclude each other | give exactly one of `ca_file`, `roots` and `trust_bundle`",
                ],
            ),
            (
                "{ca_file: c, certificate: «optionel»}",
                &["expected `required` or `optional`, found `optionel` | did you mean `optional`?"],
            ),
            (
                "{roots: «public»}",
                &["expected `system` or `spiffe`, found `public`"],
            ),
            ("{trust_bundle: «mesh»}", &["no trust bundle is named `mesh`"]),
        ],
    );
}

#[test]
fn peers() {
    let rows: &[(&str, &[&str])] = &[
        ("«[»]", &["this list may not be empty"]),
        (
            "[«{»}]",
            &["one of `spiffe_id`, `spiffe_prefix`, `trust_domain` and `dns` is missing in peer"],
        ),
        (
            "[{trust_domain: a, «dns»: a}]",
            &[
                "`trust_domain` and `dns` exclude each other | give exactly one of `spiffe_id`, `spiffe_prefix`, `trust_domain` and `dns`",
            ],
        ),
        (
            "[{spiffe_id: «a/b»}]",
            &[
                "`a/b` is not a SPIFFE id: it does not begin with `spiffe://` | such as `spiffe://example.org/ns/prod/sa/api`",
            ],
        ),
        (
            "[{spiffe_id: «'spiffe://A/b'»}]",
            &[
                "`spiffe://A/b` is not a SPIFFE id: its trust domain holds something else than a-z, 0-9, `.`, `-` and `_` | such as `spiffe://example.org/ns/prod/sa/api`",
            ],
        ),
        (
            "[{spiffe_id: «'spiffe://a'»}]",
            &["`spiffe://a` names no workload: it has no path | write `trust_domain: a` for all of them"],
        ),
        (
            "[{spiffe_prefix: «'spiffe://a/b/'»}]",
            &[
                "`spiffe://a/b/` is not a SPIFFE id: its path has an empty segment | such as `spiffe://example.org/ns/prod/sa/api`",
            ],
        ),
        (
            "[{trust_domain: «'spiffe://A.b/c'»}]",
            &[
                "`spiffe://A.b/c` is not a trust domain: its trust domain holds something else than a-z, 0-9, `.`, `-` and `_` | write `a.b`",
            ],
        ),
        (
            "[{dns: «10.0.0.1»}]",
            &["`10.0.0.1` is not a DNS name | addresses in certificates are not matched"],
        ),
        (
            "[{dns: «'a.*'»}]",
            &["`a.*` is not a DNS name | such as `a.example` or `*.a.example`"],
        ),
    ];
    check(
        |peers| with_certificate(&format!("client: {{ca_file: c, peers: {peers}}}")),
        rows,
    );
    check(
        |peers| with_cluster(&format!("{{name: a, tls: {{ca_file: c, peers: {peers}}}}}")),
        rows,
    );
    check(
        |peers| with_cluster(&format!("{{name: a, tls: {{ca_file: c, peers: {peers}}}}}")),
        &[(
            "[{dns: a.example}, «{»dns: A.example}]",
            &["a second peer `a.example` | the first stands at 2:39"],
        )],
    );
    let many = "{dns: a}, ".repeat(10_001);
    let faults = super::super::read(&with_certificate(&format!(
        "client: {{ca_file: c, peers: [{many}]}}"
    )));
    assert!(
        faults
            .unwrap_err()
            .iter()
            .any(|fault| fault.message() == "`peers` has 10001 items; at most 10000 are allowed")
    );
}

#[test]
fn upstream_tls() {
    check(
        |tls| with_cluster(&format!("{{name: a, tls: {tls}}}")),
        &[
            (
                "«{»server_name: a}",
                &["one of `ca_file`, `roots` and `trust_bundle` is missing in upstream tls"],
            ),
            (
                "{ca_file: c, server_name: «'*.a'»}",
                &["`*.a` is neither a DNS name nor an IP address"],
            ),
            (
                "{ca_file: c, server_name: a, certificate: «{»certificate_file: c}}",
                &["missing field `private_key_file` in certificate"],
            ),
            (
                "«{»ca_file: c}",
                &[
                    "one of `server_name` and `peers` is missing in upstream tls | else any certificate of the authority would be taken for the server's",
                ],
            ),
            (
                "«{»roots: «spiffe»}",
                &[
                    "every workload of a trust domain would be taken for the server | say who it is by `peers`, or by `server_name`",
                    "`roots: spiffe`, and no trust bundle speaks for a trust domain | declare it: `trust_bundles: [{name: mesh, trust_domain: example.org, file: …}]`",
                ],
            ),
            (
                "{ca_file: c, server_name: a, «sni»: a}",
                &["unknown field `sni` in upstream tls | did you mean `server_name`?"],
            ),
            (
                "{ca_file: c, server_name: a, certificate: {certificate_file: c, private_key_file: k, «ocsp_staple_file»: o}}",
                &[
                    "`ocsp_staple_file` of a certificate that is shown to servers | only servers staple; remove it",
                ],
            ),
        ],
    );
}
