//! Tokens, external authorization and source identities.

use super::super::{with_http, with_route};
use super::check;

/// A provider with keys, so that other fields may be wrong.
fn with_provider(fields: &str) -> String {
    format!("jwt_providers:\n- {{name: p, keys: {{file: k}}, {fields}}}\n")
}

#[test]
fn providers() {
    check(
        with_provider,
        &[
            ("issuer: «''»", &["this text has 1 to 2048 bytes"]),
            ("audiences: «[»]", &["this list may not be empty"]),
            (
                "audiences: [a, «a»]",
                &["a second value `a` | the first stands at 2:42"],
            ),
            (
                "algorithms: [«HS256»]",
                &[
                    "expected `RS256`, `RS384`, `RS512`, `PS256`, `PS384`, `PS512`, `ES256`, `ES384` or `EdDSA`, found `HS256` | not implemented: tokens signed with a shared secret: whoever verifies them could issue them",
                ],
            ),
            (
                "algorithms: [«none»]",
                &[
                    "expected `RS256`, `RS384`, `RS512`, `PS256`, `PS384`, `PS512`, `ES256`, `ES384` or `EdDSA`, found `none`",
                ],
            ),
            (
                "algorithms: [RS256, «RS256»]",
                &["a second algorithm `RS256` | the first stands at 2:43"],
            ),
            (
                "locations: [«{»}]",
                &["one of `header`, `query` and `cookie` is missing in token location"],
            ),
            (
                "locations: [{query: a, «prefix»: b}]",
                &["`prefix` without `header` | remove it"],
            ),
            (
                "locations: [{cookie: «a b»}]",
                &["`a b` is not the name of a cookie"],
            ),
            (
                "payload_header: «host»",
                &["`host` is not edited as a header | use `host_rewrite`"],
            ),
            (
                "payload_header: x-a, claim_headers: [{header: «X-A», claim: sub}]",
                &["a second use of the header `x-a` | the first stands at 2:46"],
            ),
            (
                "claim_headers: [{header: x-a, claim: «a.»}]",
                &["a key of a claim may not be empty | a key that holds a dot stands in a list: `[a.b]`"],
            ),
            (
                "clock_skew: «1500ms»",
                &["`clock_skew` is counted in whole seconds"],
            ),
            (
                "«remote_jwks»: a",
                &["unknown field `remote_jwks` in jwt provider | did you mean `keys`?"],
            ),
        ],
    );
}

#[test]
fn keys() {
    let help = "| such as `{\"keys\": [{\"kty\": \"EC\", …}]}`";
    let (no_json, no_keys) = (
        format!("expected a JSON Web Key Set: this is not JSON {help}"),
        format!("expected a JSON Web Key Set: it has no `keys` {help}"),
    );
    check(
        |keys| format!("jwt_providers:\n- {{name: p, keys: {keys}}}\n"),
        &[
            (
                "«{»}",
                &["one of `file`, `inline` and `url` is missing in key set"],
            ),
            ("{inline: «x»}", &[&no_json]),
            ("{inline: «'{}'»}", &[&no_keys]),
            (
                "{inline: «'{\"keys\": [{\"kty\": \"oct\", \"k\": \"c2Vj\"}]}'»}",
                &[
                    "there is a secret key in this set | tokens are verified by public keys alone: leave `d` and `k` out",
                ],
            ),
            (
                "{url: «'ftp://a/b'»}",
                &[
                    "`ftp://a/b` begins with neither `https://` nor `http://` | such as `https://issuer.example/keys`",
                ],
            ),
            (
                "{url: «'https://a b/c'»}",
                &["`https://a b/c` is not a URL | such as `https://issuer.example/keys`"],
            ),
            (
                "{file: f, «refresh»: 5m, «roots»: system}",
                &[
                    "`refresh` without `url` | nothing is fetched; remove it",
                    "`roots` without `url` | nothing is fetched; remove it",
                ],
            ),
            (
                "{url: 'https://a', roots: system, «ca_file»: c}",
                &[
                    "`roots` and `ca_file` exclude each other | give at most one of `ca_file`, `roots` and `trust_bundle`",
                ],
            ),
        ],
    );
}

#[test]
fn requirements() {
    let rows: &[(&str, &[&str])] = &[
        (
            "jwt: «{»}",
            &[
                "one of `provider`, `any_of`, `all_of`, `allow_missing` and `allow_missing_or_failed` is missing in jwt requirement",
            ],
        ),
        (
            "jwt: «on»",
            &["expected `off` or a map (jwt requirement), found `on`"],
        ),
        ("jwt: {provider: «p»}", &["no JWT provider is named `p`"]),
        (
            "jwt: {allow_missing: «false»}",
            &["`allow_missing: false` requires nothing | remove it"],
        ),
        (
            "jwt: {any_of: [{all_of: [{any_of: [{all_of: [«{»allow_missing: true}]}]}]}]}",
            &["more than 4 requirements inside each other"],
        ),
    ];
    check(with_http, rows);
    check(
        |fields| {
            with_route(&format!(
                "{{match: {{prefix: /}}, forward: {{cluster: a}}, {fields}}}"
            ))
        },
        rows,
    );
}

#[test]
fn external_authorization() {
    check(
        |fields| with_http(&format!("external_authorization: {fields}")),
        &[
            (
                "«{»}",
                &["one of `grpc` and `http` is missing in external authorization"],
            ),
            ("«on»", &["expected `off` or a map, found `on`"]),
            ("{http: {cluster: «c»}}", &["no cluster is named `c`"]),
            (
                "{http: {cluster: a, path_prefix: «b»}}",
                &["the path `b` does not begin with `/` | write `/b`"],
            ),
            (
                "{http: {cluster: a, upstream_headers: [«':x'»]}}",
                &["`:x` is not a header name | pseudo-headers cannot be named here"],
            ),
            (
                "{http: {cluster: a}, error_status: «200»}",
                &["200 is not between 400 and 599"],
            ),
            (
                "{http: {cluster: a}, timeout: «0s»}",
                &["this duration may not be zero | it has no meaning as zero"],
            ),
            (
                "{http: {cluster: a}, body: {bytes_max: «17MiB»}}",
                &["17825792 is not between 1 and 16777216"],
            ),
            (
                "{http: {cluster: a}, «failure_mode_allow»: true}",
                &[
                    "unknown field `failure_mode_allow` in external authorization | did you mean `failure_allowed`?",
                ],
            ),
        ],
    );
    check(
        super::super::with_chain,
        &[(
            "«{»http: {route_configuration: r, external_authorization: {grpc: {cluster: a}}}}",
            &[
                "the filter chain `chain-0` asks the cluster `a` over gRPC, which speaks HTTP/1 | give the cluster `protocol: http2`",
            ],
        )],
    );
    check(
        |fields| {
            with_route(&format!(
                "{{match: {{prefix: /}}, forward: {{cluster: a}}, {fields}}}"
            ))
        },
        &[
            (
                "external_authorization: «on»",
                &["expected `off` or a map (route external authorization), found `on`"],
            ),
            (
                "external_authorization: «{»}",
                &["missing field `context` in route external authorization"],
            ),
            (
                "«ext_authz»: {}",
                &["unknown field `ext_authz` in route | did you mean `external_authorization`?"],
            ),
        ],
    );
}

#[test]
fn source_identities() {
    check(
        |matches| {
            with_route(&format!(
                "{{match: {{prefix: /, {matches}}}, forward: {{cluster: a}}}}"
            ))
        },
        &[
            ("source_identities: «[»]", &["this list may not be empty"]),
            (
                "source_identities: [{trust_domain: a}, «{»trust_domain: a}]",
                &["a second match of `trust domain a` | the first stands at 9:47"],
            ),
        ],
    );
}
