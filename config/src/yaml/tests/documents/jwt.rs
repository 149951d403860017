//! Tokens and external authorization, for round trips.

use super::tls::file;
use super::{duration, maybe, quoted, quoted_key, text};
use proptest::prelude::*;

fn requirement() -> BoxedStrategy<String> {
    let leaf = prop_oneof![
        Just("{provider: issuer}".to_owned()),
        Just("{allow_missing: true}".to_owned()),
        Just("{allow_missing_or_failed: true}".to_owned()),
    ];
    leaf.prop_recursive(3, 6, 2, |inner| {
        (inner.clone(), inner, any::<bool>()).prop_map(|(one, other, any)| {
            format!("{{{}: [{one}, {other}]}}", if any { "any_of" } else { "all_of" })
        })
    })
    .boxed()
}

fn context() -> BoxedStrategy<String> {
    (text(), text())
        .prop_map(|(key, value)| format!("{{{}: {}}}", quoted_key(&key), quoted(&value)))
        .boxed()
}

fn external_authorization() -> BoxedStrategy<String> {
    let service = prop_oneof![
        Just("http: {cluster: a}".to_owned()),
        Just("http: {cluster: a, authority: 'x:1', path_prefix: /p, upstream_headers: [X-A, {prefix: x-}], client_headers: [{regex: 'x.*'}]}".to_owned()),
    ];
    let cache = maybe("entries_max", Just("7".to_owned()))
        .prop_map(|entries| format!("{{{entries}time_to_live: 1s, headers: [Authorization]}}"));
    (
        service,
        maybe("timeout", duration()),
        maybe("failure_allowed", Just("true".to_owned())),
        maybe("error_status", Just("503".to_owned())),
        maybe("request_headers", Just("[Cookie, {suffix: -id}]".to_owned())),
        maybe(
            "body",
            Just("{bytes_max: 8KiB, partial_allowed: true}".to_owned()),
        ),
        maybe("context", context()),
        maybe("cache", cache),
        maybe("include_peer_certificate", Just("true".to_owned())),
    )
        .prop_map(|(a, b, c, d, e, f, g, h, i)| format!("{{{b}{c}{d}{e}{f}{g}{h}{i}{a}}}"))
        .boxed()
}

/// Fields of a filter chain's `http`.
pub(super) fn http() -> BoxedStrategy<String> {
    (
        maybe("jwt", requirement()),
        maybe("external_authorization", external_authorization()),
    )
        .prop_map(|(a, b)| format!("{a}{b}"))
        .boxed()
}

/// Fields of a route.
pub(super) fn route() -> BoxedStrategy<String> {
    let external = prop_oneof![
        Just("off".to_owned()),
        context().prop_map(|context| format!("{{context: {context}}}"))
    ];
    (
        maybe("jwt", prop_oneof![Just("off".to_owned()), requirement()]),
        maybe("external_authorization", external),
    )
        .prop_map(|(a, b)| format!("{a}{b}"))
        .boxed()
}

/// The provider `issuer` of a document.
pub(super) fn lists() -> BoxedStrategy<String> {
    let keys = prop_oneof![
        file().prop_map(|file| format!("file: {file}")),
        Just("inline: '{\"keys\": [{\"kty\": \"EC\"}]}'".to_owned()),
        duration()
            .prop_map(|refresh| format!("url: 'https://a.example/k?v=1', ca_file: c, refresh: {refresh}")),
        Just("url: 'http://a.example:81', timeout: 7s".to_owned()),
        Just("url: 'https://a.example', trust_bundle: read".to_owned()),
    ];
    (
        keys,
        maybe("issuer", Just("'https://a'".to_owned())),
        maybe("audiences", Just("[a, b]".to_owned())),
        maybe("algorithms", Just("[EdDSA, RS384, PS256]".to_owned())),
        maybe(
            "locations",
            Just(
                "[{header: Authorization}, {header: X-T, prefix: 'T '}, {query: t}, {cookie: c}]".to_owned(),
            ),
        ),
        maybe("forward", Just("true".to_owned())),
        maybe("payload_header", Just("X-P".to_owned())),
        maybe(
            "claim_headers",
            Just("[{header: X-C, claim: [a.b, c]}, {header: x-d, claim: e.f}]".to_owned()),
        ),
        (
            maybe("clock_skew", Just("0s".to_owned())),
            maybe("expiration_required", Just("true".to_owned())),
        )
            .prop_map(|(a, b)| format!("{a}{b}")),
    )
        .prop_map(|(keys, a, b, c, d, e, f, g, h)| {
            format!("jwt_providers: [{{{a}{b}{c}{d}{e}{f}{g}{h}name: issuer, keys: {{{keys}}}}}]\n")
        })
        .boxed()
}
