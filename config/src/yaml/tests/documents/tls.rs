//! TLS of both sides, for round trips.

use super::{duration, maybe, quoted, text};
use proptest::prelude::*;

fn spoken() -> BoxedStrategy<String> {
    let versions = prop_oneof![
        Just("".to_owned()),
        Just("minimum_version: TLSv1.3, post_quantum: required, ".to_owned()),
        Just("maximum_version: TLSv1.2, post_quantum: off, ".to_owned()),
        Just("minimum_version: TLSv1.2, post_quantum: preferred, ".to_owned()),
    ];
    (versions, maybe("session_resumption", Just("false".to_owned())))
        .prop_map(|(a, b)| format!("{a}{b}"))
        .boxed()
}

pub(super) fn spiffe() -> BoxedStrategy<String> {
    let path = "(/[a-zA-Z0-9_-]{1,5}){1,3}";
    prop_oneof![
        path.prop_map(|path| format!("{{spiffe_id: 'spiffe://a.b{path}'}}")),
        path.prop_map(|path| format!("{{spiffe_prefix: 'spiffe://a.b{path}'}}")),
        Just("{spiffe_prefix: 'spiffe://1'}".to_owned()),
        "[a-z0-9._-]{1,9}".prop_map(|domain| format!("{{trust_domain: '{domain}'}}")),
    ]
    .boxed()
}

/// Believed authorities, by the fields `ca_file` and `roots`.
fn roots() -> BoxedStrategy<String> {
    prop_oneof![
        file().prop_map(|file| format!("ca_file: {file}, ")),
        Just("roots: system, ".to_owned()),
        Just("roots: spiffe, ".to_owned()),
        Just("trust_bundle: read, ".to_owned()),
    ]
    .boxed()
}

pub(super) fn file() -> BoxedStrategy<String> {
    text()
        .prop_filter("a file name", |name| !name.is_empty() && !name.contains('\0'))
        .prop_map(|name| quoted(&name))
        .boxed()
}

fn peers() -> BoxedStrategy<String> {
    let dns = prop_oneof![
        Just("{dns: A.example}".to_owned()),
        Just("{dns: '*.b.example'}".to_owned())
    ];
    (spiffe(), dns)
        .prop_map(|(spiffe, dns)| format!("[{dns}, {spiffe}]"))
        .boxed()
}

pub(super) fn upstream() -> BoxedStrategy<String> {
    let who = prop_oneof![
        Just("server_name: a.example, ".to_owned()),
        peers().prop_map(|peers| format!("peers: {peers}, ")),
        peers().prop_map(|peers| format!("peers: {peers}, server_name: '::1', ")),
    ];
    let certificate = prop_oneof![
        file().prop_map(|file| format!("{{certificate_file: {file}, private_key_file: k}}")),
        Just("{identity: i}".to_owned())
    ];
    (roots(), who, spoken(), maybe("certificate", certificate))
        .prop_map(|(a, b, c, d)| format!("{{{a}{b}{c}{d}}}"))
        .boxed()
}

pub(super) fn downstream() -> BoxedStrategy<String> {
    let client = (
        roots(),
        maybe("peers", peers()),
        maybe("certificate", Just("optional".to_owned())),
    )
        .prop_map(|(a, b, c)| format!("{{{a}{b}{c}}}"));
    let certificate = maybe("ocsp_staple_file", file())
        .prop_map(|staple| format!("[{{certificate_file: c, {staple}private_key_file: k}}]"));
    (
        certificate,
        maybe("mode", Just("permissive".to_owned())),
        maybe("client", client),
        spoken(),
        maybe("handshake_timeout", duration()),
    )
        .prop_map(|(a, b, c, d, e)| format!("{{{b}{c}{d}{e}certificates: {a}}}"))
        .boxed()
}
