//! Identities, trust bundles and revocation.

use super::check;

fn with_identity(fields: &str) -> String {
    format!("identities:\n- {{name: a, {fields}}}\n")
}

fn with_bundle(fields: &str) -> String {
    format!(
        "identities: [{{name: held, files: {{certificate_file: c, private_key_file: k}}}}]\n\
         trust_bundles:\n- {{name: mesh, {fields}}}\n"
    )
}

#[test]
fn identities() {
    check(
        with_identity,
        &[
            (
                "files: «{»certificate_file: c}",
                &["missing field `private_key_file` in identity files"],
            ),
            (
                "files: {certificate_file: c, private_key_file: k}, «workload_api»: {socket: s}",
                &[
                    "`files` and `workload_api` exclude each other | give exactly one of `files`, `inline`, `workload_api` and `authority`",
                ],
            ),
            (
                "workload_api: {socket: s}, «sds»: {}",
                &["unknown field `sds` in identity | not implemented: secrets by SDS"],
            ),
            (
                "files: {certificate_file: «\"-----BEGIN CERTIFICATE-----\\nx\"», private_key_file: k}",
                &[
                    "expected a file name, found what such a file holds | give the name of a file that holds it, or write it in `inline`",
                ],
            ),
            (
                "workload_api: {socket: «'tcp://127.0.0.1:1'»}",
                &["`tcp://127.0.0.1:1` is not a Unix socket | such as `/run/spire/sockets/agent.sock`"],
            ),
            (
                "workload_api: {socket: s, spiffe_id: «'spiffe://a'»}",
                &["`spiffe://a` names no workload: it has no path | write `trust_domain: a` for all of them"],
            ),
        ],
    );
    check(
        |text| format!("identities:\n- «{{»{text}}}\n"),
        &[
            (
                "name: a",
                &["one of `files`, `inline`, `workload_api` and `authority` is missing in identity"],
            ),
            (
                "files: {certificate_file: c, private_key_file: k}",
                &["missing field `name` in identity"],
            ),
        ],
    );
    check(
        |text| {
            format!(
                "identities:\n- {{name: a, workload_api: {{socket: s}}}}\n- {{name: {text}, workload_api: {{socket: s}}}}\n"
            )
        },
        &[("«a»", &["a second identity `a` | the first stands at 2:10"])],
    );
}

#[test]
fn keys_and_certificates_in_the_document() {
    let chain = "\"-----BEGIN CERTIFICATE-----\\n-----END CERTIFICATE-----\"";
    let key = "\"-----BEGIN PRIVATE KEY-----\\nc2Vj\\n-----END PRIVATE KEY-----\"";
    check(
        |text| {
            with_identity(&format!(
                "inline: {{{}}}",
                text.replace("CHAIN", chain).replace("KEY", key)
            ))
        },
        &[
            (
                "certificate_chain: «x», private_key: KEY",
                &["expected a certificate chain in PEM | it begins with `-----BEGIN CERTIFICATE-----`"],
            ),
            (
                "certificate_chain: «KEY», private_key: KEY",
                &[
                    "there is a private key where a certificate chain is expected | private keys stand in `private_key` alone",
                ],
            ),
            (
                "certificate_chain: CHAIN, private_key: «c2Vj»",
                &[
                    "expected a private key in PEM | it begins with `-----BEGIN PRIVATE KEY-----`, or with `EC` or `RSA` in it",
                ],
            ),
            (
                "certificate_chain: CHAIN, private_key: «CHAIN»",
                &[
                    "expected a private key in PEM | it begins with `-----BEGIN PRIVATE KEY-----`, or with `EC` or `RSA` in it",
                ],
            ),
            (
                "certificate_chain: CHAIN, private_key: «'[a private key, which is not shown]'»",
                &[
                    "this private key was taken out when the configuration was shown | put the key in its place",
                ],
            ),
            (
                "certificate_chain: CHAIN, private_key: KEY, ocsp_staple: «'%'»",
                &["expected base64"],
            ),
        ],
    );
}

#[test]
fn authorities() {
    check(
        |url| {
            with_identity(&format!(
                "authority: {{url: {url}, ca_file: c, spiffe_id: 'spiffe://a/b'}}"
            ))
        },
        &[
            (
                "«'http://a:1'»",
                &["`http://a:1` does not begin with `https://` | such as `https://ca.example:15012`"],
            ),
            (
                "«'https://a:1/'»",
                &["`https://a:1/` has a path | write `https://a:1`"],
            ),
            (
                "«'https://a'»",
                &["`https://a` is not `https://HOST:PORT` | such as `https://ca.example:15012`"],
            ),
            (
                "«'https://a:1/b'»",
                &["`https://a:1/b` is not `https://HOST:PORT` | such as `https://ca.example:15012`"],
            ),
        ],
    );
    check(
        |fields| {
            with_identity(&format!(
                "authority: {{url: 'https://a:1', spiffe_id: 'spiffe://a/b', {fields}}}"
            ))
        },
        &[
            ("roots: «spiffe»", &["expected `system`, found `spiffe`"]),
            ("trust_bundle: «mesh»", &["no trust bundle is named `mesh`"]),
            (
                "ca_file: c, key: «ecdsa_p265»",
                &[
                    "expected `ecdsa_p256`, `ecdsa_p384`, `ed25519` or `rsa_2048`, found `ecdsa_p265` | did you mean `ecdsa_p256`?",
                ],
            ),
            (
                "ca_file: c, validity: «0s»",
                &["this duration may not be zero | it has no meaning as zero"],
            ),
        ],
    );
}

#[test]
fn trust_bundles() {
    check(
        with_bundle,
        &[
            (
                "inline: «x»",
                &["expected a trust bundle in PEM | it begins with `-----BEGIN CERTIFICATE-----`"],
            ),
            (
                "file: f, trust_domain: «'spiffe://a'»",
                &[
                    "`spiffe://a` is not a trust domain: its trust domain holds something else than a-z, 0-9, `.`, `-` and `_` | write `a`",
                ],
            ),
            (
                "identity: «hold»",
                &["no identity is named `hold` | did you mean `held`?"],
            ),
            (
                "identity: «held»",
                &[
                    "no trust bundle comes with this identity | one comes with those from the Workload API and from authorities; write `file` or `inline`",
                ],
            ),
            (
                "file: f, trust_domain: a}\n- {name: other, file: f, trust_domain: «a»",
                &["a second trust bundle for the trust domain `a` | the first stands at 3:39"],
            ),
            (
                "file: f}\n- {name: «mesh», file: f",
                &["a second trust bundle `mesh` | the first stands at 3:10"],
            ),
        ],
    );
    check(
        |bundles| {
            format!(
                "identities:\n\
                 - {{name: a, authority: {{url: 'https://a:1', trust_bundle: a, spiffe_id: 'spiffe://a/b'}}}}\n\
                 - {{name: b, authority: {{url: 'https://a:1', trust_bundle: b, spiffe_id: 'spiffe://a/b'}}}}\n\
                 trust_bundles:\n{bundles}\n"
            )
        },
        &[
            (
                "- «{»name: a, identity: a}\n- {name: b, file: f}",
                &[
                    "the trust bundle `a` comes from an authority that is believed by this bundle alone | believe the authority by another bundle, or by `ca_file`",
                ],
            ),
            (
                "- «{»name: a, identity: b}\n- «{»name: b, identity: a}",
                &[
                    "the trust bundle `a` comes from an authority that is believed by this bundle alone | believe the authority by another bundle, or by `ca_file`",
                    "the trust bundle `b` comes from an authority that is believed by this bundle alone | believe the authority by another bundle, or by `ca_file`",
                ],
            ),
        ],
    );
}

#[test]
fn revocation() {
    check(
        |fields| format!("revocation: {fields}\n"),
        &[
            (
                "{lists: [«{»}]}",
                &["one of `file` and `inline` is missing in revocation list"],
            ),
            (
                "{lists: [{inline: «x»}]}",
                &["expected a revocation list in PEM | it begins with `-----BEGIN X509 CRL-----`"],
            ),
            (
                "{«crls»: []}",
                &["unknown field `crls` in revocation | did you mean `lists`?"],
            ),
            (
                "{denied: [{trust_domain: a}, «{»trust_domain: a}]}",
                &["a second denial of `trust domain a` | the first stands at 1:23"],
            ),
            (
                "{denied: [«{»}]}",
                &["one of `spiffe_id`, `spiffe_prefix` and `trust_domain` is missing in spiffe match"],
            ),
        ],
    );
}

#[test]
fn spiffe_roots_need_a_bundle() {
    check(
        |chain| {
            super::super::with_chain(&format!(
                "{{tls: {{certificates: [{{identity: held}}], client: {{roots: {chain}}}}}, http: {{route_configuration: r}}}}"
            )) + "identities: [{name: held, workload_api: {socket: s}}]\ntrust_bundles: [{name: mesh, identity: held}]\n"
        },
        &[(
            "«spiffe»",
            &[
                "`roots: spiffe`, and no trust bundle speaks for a trust domain | declare it: `trust_bundles: [{name: mesh, trust_domain: example.org, file: …}]`",
            ],
        )],
    );
}

#[test]
fn a_dns_name_says_nothing_where_trust_domains_are_federated() {
    const FAULT: &str = "a DNS name with `roots: spiffe`, and trust bundles of more than one trust domain: each could vouch for it | \
                         say who it is by `spiffe_id` or `trust_domain`, or believe one bundle by `trust_bundle`";
    check(
        |tls| {
            super::super::with_cluster(&format!("{{name: a, tls: {{roots: spiffe, {tls}}}}}"))
                + "trust_bundles: [{name: ours, trust_domain: a, file: f}, {name: theirs, trust_domain: b, file: g}]\n"
        },
        &[
            ("server_name: «db.a»", &[FAULT]),
            ("peers: [{trust_domain: a}, {dns: «db.a»}]", &[FAULT]),
            ("peers: [{dns: «'*.a'»}]", &[FAULT]),
        ],
    );
}
