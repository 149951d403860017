//! Identities, trust bundles, revocation, and keys that are not shown.

use super::super::{read, valid};
use crate::model::{
    CertificateSource, IdentitySource, KeyKind, Revocation, RevocationList, Roots, SpiffeMatch, TrustSource,
    defaults,
};
use crate::to_yaml;

const KEY: &str = "-----BEGIN EC PRIVATE KEY-----\nc2VjcmV0\n-----END EC PRIVATE KEY-----\n";

fn with_key() -> String {
    let key = KEY.replace('\n', "\n      ");
    format!(
        "identities:
- name: given
  inline:
    certificate_chain: |
      -----BEGIN CERTIFICATE-----
      -----END CERTIFICATE-----
    private_key: |
      {key}
    ocsp_staple: AAEC/w==
"
    )
}

#[test]
fn identities_come_from_four_sources() {
    let text = "
identities:
- {name: f, files: {certificate_file: c, private_key_file: k, ocsp_staple_file: o}}
- {name: w, workload_api: {socket: 'unix:///run/agent.sock', spiffe_id: 'spiffe://a/b'}}
- {name: v, workload_api: {socket: agent.sock}}
- {name: a, authority: {url: 'https://ca:1', roots: system, spiffe_id: 'spiffe://a/b'}}
- {name: b, authority: {url: 'https://ca:1', trust_bundle: t, server_name: x, token_file: t, spiffe_id: 'spiffe://a/b',
    validity: 1h, key: ed25519}}
trust_bundles:
- {name: t, file: f}
- {name: u, trust_domain: a, identity: w}
";
    let config = valid(text).config;
    let source = |index: usize| config.identities()[index].source();
    let IdentitySource::Files(files) = source(0) else {
        panic!()
    };
    assert_eq!(
        files.ocsp_staple_file().as_deref(),
        Some(std::path::Path::new("o"))
    );
    let IdentitySource::WorkloadApi(api) = source(1) else {
        panic!()
    };
    assert_eq!(api.socket().to_str(), Some("/run/agent.sock"));
    assert_eq!(api.spiffe_id().as_ref().map(|id| id.path()), Some("/b"));
    let IdentitySource::WorkloadApi(api) = source(2) else {
        panic!()
    };
    assert_eq!(
        (api.socket().to_str(), api.spiffe_id()),
        (Some("agent.sock"), &None)
    );
    let IdentitySource::Authority(asked) = source(3) else {
        panic!()
    };
    assert_eq!((asked.roots(), asked.key()), (&Roots::System, KeyKind::EcdsaP256));
    assert_eq!(asked.validity(), defaults::CERTIFICATE_VALIDITY);
    assert_eq!((asked.server_name(), asked.token_file()), (&None, &None));
    let IdentitySource::Authority(asked) = source(4) else {
        panic!()
    };
    assert_eq!(
        asked.roots(),
        &Roots::Bundle(config.trust_bundles()[0].name().clone())
    );
    assert_eq!(asked.key(), KeyKind::Ed25519);
    let bundle = &config.trust_bundles()[1];
    assert_eq!(bundle.trust_domain().as_ref().unwrap().as_str(), "a");
    assert_eq!(
        bundle.source(),
        &TrustSource::Identity(config.identities()[1].name().clone())
    );
}

#[test]
fn certificates_may_be_identities() {
    let text =
        super::super::with_chain("{tls: {certificates: [{identity: i}]}, http: {route_configuration: r}}")
            + "identities: [{name: i, workload_api: {socket: s}}]\n";
    let config = valid(&text).config;
    let tls = config.listeners()[0].filter_chains()[0].tls().clone().unwrap();
    assert_eq!(
        tls.certificates(),
        &[CertificateSource::Identity(config.identities()[0].name().clone())]
    );
}

#[test]
fn revocation_is_what_is_said() {
    assert_eq!(valid("{}").config.revocation(), &Revocation::default());
    let config = valid(
        "revocation: {lists: [{file: a.crl}], list_required: true, outdated_allowed: false, denied: [{spiffe_id: \
         'spiffe://a/b'}]}",
    )
    .config;
    let revocation = config.revocation();
    assert_eq!(revocation.lists(), &[RevocationList::File("a.crl".into())]);
    assert!(revocation.list_required() && !revocation.outdated_allowed());
    let denied = SpiffeMatch::Exact("spiffe://a/b".parse().unwrap());
    assert_eq!(revocation.denied(), &[denied]);
}

#[test]
fn a_key_is_kept_and_not_shown() {
    let config = valid(&with_key()).config;
    let IdentitySource::Inline(inline) = config.identities()[0].source() else {
        panic!()
    };
    assert_eq!(
        String::from_utf8_lossy(inline.private_key().expose()).trim(),
        KEY.trim()
    );
    assert_eq!(inline.ocsp_staple().as_deref(), Some(&[0, 1, 2, 255][..]));
    let written = to_yaml(&config);
    assert!(written.contains("BEGIN CERTIFICATE"), "{written}");
    for shown in [written.clone(), format!("{config:?}")] {
        assert!(!shown.contains("c2Vj") && !shown.contains("BEGIN EC"), "{shown}");
    }
    let refused = read(&written).unwrap_err();
    assert_eq!(refused.len(), 1, "what is written holds no key: {refused}");
    assert!(refused.to_string().contains("was taken out"), "{refused}");
}

#[test]
fn no_fault_shows_a_key() {
    let whole = with_key();
    let broken = [
        // The end is missing: the key is refused, and the fault points at it.
        whole.replace("-----END EC PRIVATE KEY-----", ""),
        // No key at all, and not in PEM.
        whole
            .replace("-----BEGIN EC PRIVATE KEY-----", "")
            .replace("-----END EC PRIVATE KEY-----", ""),
        // A variable in the midst of it.
        whole.replace("c2VjcmV0", "c2VjcmV0${X"),
        whole.replace("c2VjcmV0", "c2VjcmV0${X Y}"),
        // A line that ends the block, so that the text is not YAML.
        whole.replace("      c2VjcmV0", "  c2VjcmV0"),
        // On one line with other faults.
        format!("identities: [{{name: 'x y', inline: {{certificate_chain: x, private_key: {KEY:?}}}}}]"),
        "identities: [{name: 'x y', inline: {certificate_chain: x, private_key: c2VjcmV0}}]".to_owned(),
        format!("identities: [{{name: x, inline: {{certificate_chain: {KEY:?}, private_key: x}}}}]"),
        format!("identities: [{{name: x, files: {{certificate_file: {KEY:?}, private_key_file: x}}}}]"),
        format!("drain: {{grace: {KEY:?}}}"),
        format!("admin: {KEY:?}"),
        format!("runtime: {{workers: {KEY:?}}}"),
    ];
    for text in broken {
        let source = crate::Source {
            name: "mesh.yaml".into(),
            text: text.clone(),
        };
        let faults = crate::load(&source, &crate::Environment::empty()).unwrap_err();
        let rendered: String = faults.iter().map(|fault| fault.render(&text)).collect();
        for shown in [faults.to_string(), rendered, format!("{faults:?}")] {
            assert!(!shown.contains("c2Vj"), "{text}\n{shown}");
        }
    }
}
