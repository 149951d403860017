//! Identities, trust bundles and revocation, for round trips.

use super::tls::{file, spiffe};
use super::{duration, maybe, quoted};
use proptest::prelude::*;

/// The one private key in documents.
pub(crate) const KEY: &str = "-----BEGIN PRIVATE KEY-----\nc2Vj\n-----END PRIVATE KEY-----\n";
const CHAIN: &str = "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n";
const LIST: &str = "-----BEGIN X509 CRL-----\nMA==\n-----END X509 CRL-----\n";

fn identity() -> BoxedStrategy<String> {
    let inline = maybe("ocsp_staple", "([A-Za-z0-9+/]{4}){1,3}([A-Z]g==|[A-Z]9E=)?").prop_map(|staple| {
        let (chain, key) = (quoted(CHAIN), quoted(KEY));
        format!("inline: {{certificate_chain: {chain}, {staple}private_key: {key}}}")
    });
    let api = (file(), maybe("spiffe_id", Just("'spiffe://a/b'".to_owned())))
        .prop_filter("a path", |(file, _)| {
            !file.contains("://") && !file.starts_with("\"unix:")
        })
        .prop_map(|(file, id)| format!("workload_api: {{{id}socket: {file}}}"));
    let roots = prop_oneof![
        Just("roots: system"),
        Just("ca_file: c"),
        Just("trust_bundle: read")
    ];
    let key = prop_oneof![Just("ecdsa_p384"), Just("ed25519"), Just("rsa_2048")].prop_map(str::to_owned);
    let authority = (
        roots,
        maybe("key", key),
        maybe("validity", duration()),
        maybe("token_file", file()),
        maybe("server_name", Just("a.example".to_owned())),
    )
        .prop_map(|(roots, a, b, c, d)| {
            format!("authority: {{{a}{b}{c}{d}{roots}, url: 'https://ca:1', spiffe_id: 'spiffe://a.b/c'}}")
        });
    let files = file().prop_map(|file| format!("files: {{certificate_file: {file}, private_key_file: k}}"));
    prop_oneof![files, inline, api, authority].boxed()
}

/// The lists of a document; there is always a trust bundle that speaks for a trust domain.
pub(super) fn lists() -> BoxedStrategy<String> {
    let inline = prop_oneof![Just(CHAIN.to_owned()), Just("{\"keys\": []}".to_owned())];
    let revocation = (
        maybe(
            "lists",
            file().prop_map(|file| format!("[{{file: {file}}}, {{inline: {}}}]", quoted(LIST))),
        ),
        maybe("list_required", Just("true".to_owned())),
        maybe("outdated_allowed", Just("false".to_owned())),
        maybe("denied", spiffe().prop_map(|one| format!("[{one}]"))),
    )
        .prop_map(|(a, b, c, d)| format!("{{{a}{b}{c}{d}}}"));
    (identity(), inline, revocation)
        .prop_map(|(identity, inline, revocation)| {
            format!(
                "identities: [{{name: i, {identity}}}, {{name: w, workload_api: {{socket: s}}}}]\n\
                 trust_bundles: [{{name: read, trust_domain: a.b, file: f}}, {{name: held, inline: {}}}, {{name: come, \
                 identity: w}}]\nrevocation: {revocation}\n",
                quoted(&inline)
            )
        })
        .boxed()
}
