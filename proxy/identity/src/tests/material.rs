//! What is read, what is kept, and what is said of faults.

use super::{Authority, loaded, material};
use crate::{Material, MaterialPart, RootSet};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use outrigger_config::MeshConfig;
use outrigger_config::model::{CertificateSource, Name, Roots};
use std::sync::Arc;
use std::time::Duration;

fn document(authority: &Authority) -> MeshConfig {
    let require = format!(", client: {{ {} }}", authority.ca_file());
    authority.downstream(&["one", "two"], &require)
}

fn source(config: &MeshConfig, index: usize) -> CertificateSource {
    let tls = config.listeners()[0].filter_chains()[0].tls().as_ref().unwrap();
    tls.certificates()[index].clone()
}

#[test]
fn what_did_not_change_is_the_same_by_pointer() {
    let authority = Authority::new("root");
    authority.issue("one", &["one.example"]);
    authority.issue("two", &["two.example"]);
    let config = document(&authority);
    let before = material(&config).unwrap();
    authority.issue("two", &["two.example"]);
    let after = Material::load(&config, Some(&before)).material;
    let is_same = |index| {
        let source = source(&config, index);
        let (old, new) = (before.credential(&source), after.credential(&source));
        Arc::ptr_eq(old.unwrap(), new.unwrap())
    };
    assert!(is_same(0) && !is_same(1));
    let roots = Roots::File(authority.path("ca.pem"));
    assert!(Arc::ptr_eq(
        before.roots(&roots).unwrap(),
        after.roots(&roots).unwrap()
    ));
    assert!(Arc::ptr_eq(before.bundles(), after.bundles()));
    assert!(Arc::ptr_eq(before.revocations(), after.revocations()));
    // Its file touched, the contents as they were.
    authority.write("one.pem", &authority.read("one.pem"));
    assert!(Material::load(&config, Some(&after)).material.is_same(&after));
}

#[test]
fn of_a_part_at_fault_what_was_there_stays() {
    let authority = Authority::new("root");
    authority.issue("one", &["one.example"]);
    authority.issue("two", &["two.example"]);
    let config = document(&authority);
    let before = material(&config).unwrap();
    authority.write("one.pem", "half of a certif");
    authority.write("ca.pem", "");
    authority.issue("two", &["two.example"]);
    let loaded = Material::load(&config, Some(&before));
    let parts: Vec<MaterialPart> = loaded.faults.iter().map(|fault| fault.part.clone()).collect();
    let roots = Roots::File(authority.path("ca.pem"));
    assert_eq!(
        parts,
        [
            MaterialPart::Credential(source(&config, 0)),
            MaterialPart::Roots(roots.clone())
        ]
    );
    let after = loaded.material;
    let pair = |index| {
        let source = source(&config, index);
        (
            before.credential(&source).unwrap(),
            after.credential(&source).unwrap(),
        )
    };
    assert!(Arc::ptr_eq(pair(0).0, pair(0).1), "the bad one stays as it was");
    assert!(!Arc::ptr_eq(pair(1).0, pair(1).1), "the good one is taken");
    assert!(after.roots(&roots).is_some());
    let nothing_before = Material::load(&config, None).material;
    assert!(nothing_before.credential(&source(&config, 0)).is_none());
    super::downstream_of(&config, &nothing_before).expect("what is missing refuses, and is no error");
}

#[test]
fn an_identity_given_again_stays_the_same() {
    let authority = Authority::new("root");
    authority.issue("one", &[]);
    let config = loaded(
        "identities:\n- name: us\n  workload_api: { socket: /run/agent.sock }\n\
         trust_bundles:\n- { name: mesh, trust_domain: a.example, identity: us }\n"
            .to_owned(),
    );
    let (us, mesh): (&Name, &Name) = (config.identities()[0].name(), config.trust_bundles()[0].name());
    let credential = || {
        let (chain, key) = (authority.read("one.pem"), authority.read("one.key"));
        Arc::new(crate::Credential::from_pem(chain.as_bytes(), key.as_bytes(), None).unwrap())
    };
    let roots = || Arc::new(RootSet::from_text(authority.read("ca.pem").as_bytes()).unwrap());
    let first = material(&config).unwrap();
    let given = first
        .clone()
        .with_identity(us, credential())
        .with_bundle(mesh, roots());
    assert!(!given.is_same(&first));
    assert!(given.bundles().of_trust_domain("a.example").is_some());
    let again = given
        .clone()
        .with_identity(us, credential())
        .with_bundle(mesh, roots());
    assert!(again.is_same(&given), "made anew of the same");
    let reloaded = Material::load(&config, Some(&given)).material;
    assert!(
        reloaded.is_same(&given),
        "a reload keeps what came over the network"
    );
    let other = loaded(
        "identities:\n- name: us\n  workload_api: { socket: /run/other.sock }\n\
         trust_bundles:\n- { name: mesh, trust_domain: a.example, identity: us }\n"
            .to_owned(),
    );
    let moved = Material::load(&other, Some(&given)).material;
    assert!(
        moved.credentials().next().is_none() && moved.bundles().named(mesh).is_none(),
        "but not from another source"
    );
}

fn bundle(keys: &str) -> String {
    format!(
        "\n {{ \"spiffe_sequence\": 7, \"spiffe_refresh_hint\": 300, \"unknown\": 1, \"keys\": [{keys}] }}"
    )
}

#[test]
fn a_spiffe_bundle_is_read_like_pem() {
    let authority = Authority::new("root");
    let x5c = STANDARD.encode(authority.issuer.der());
    let key =
        |purpose: &str, x5c: &str| format!("{{ \"kty\": \"EC\", \"use\": \"{purpose}\", \"x5c\": [{x5c}] }}");
    let quoted = format!("\"{x5c}\"");
    let good = bundle(&[key("x509-svid", &quoted), key("jwt-svid", "")].join(", "));
    let roots = RootSet::from_text(good.as_bytes()).unwrap();
    assert_eq!(roots.authorities().len(), 1, "keys for tokens are no authorities");
    assert_eq!(roots.sequence(), Some(7));
    assert_eq!(roots.refresh_hint(), Some(Duration::from_secs(300)));
    let pem = RootSet::from_text(authority.issuer.pem().as_bytes()).unwrap();
    assert_eq!(pem.authorities(), roots.authorities());
    assert_eq!(pem.sequence(), None);
    for (bad, problem) in [
        (bundle(&key("jwt-svid", "")), "holds no root certificate"),
        (
            bundle(&key("x509-svid", "")),
            "key 1: expected one certificate in `x5c`",
        ),
        (
            bundle(&key("x509-svid", &format!("{quoted}, {quoted}"))),
            "key 1: expected one certificate",
        ),
        (bundle(&key("x509-svid", "\"*\"")), "key 1: `x5c` is not base64"),
        (bundle(&key("x509-svid", "\"aGVsbG8=\"")), "certificate 1 in"),
        ("{ \"keys\": 1 }".to_owned(), "is no SPIFFE bundle"),
        ("{".to_owned(), "is no SPIFFE bundle"),
    ] {
        let message = RootSet::from_text(bad.as_bytes()).unwrap_err().to_string();
        assert!(message.contains(problem), "{message}");
    }
}

#[test]
fn faults_of_named_parts_say_where_they_were_written() {
    let config = loaded(
        "identities:\n- { name: us, files: { certificate_file: /no/us.pem, private_key_file: /no/us.key } }\n\
         trust_bundles:\n- { name: mesh, file: /no/bundle.json }\n"
            .to_owned(),
    );
    let faults = Material::load(&config, None).faults;
    let shown: Vec<String> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(shown.len(), 2, "{shown:?}");
    assert!(
        shown[0].starts_with("outrigger.yaml:2:")
            && shown[0].contains("identity `us`: cannot read /no/us.pem"),
        "{shown:?}"
    );
    assert!(
        shown[1].starts_with("outrigger.yaml:4:") && shown[1].contains("trust bundle `mesh`: cannot read"),
        "{shown:?}"
    );
}
