use super::*;
use crate::authority::in_force::to_pem;
use rcgen::{PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256};
use std::process::Command;
use x509_parser::extensions::GeneralName;

const HOUR: Duration = Duration::from_secs(3600);

fn domain() -> TrustDomain {
    "mesh".parse().unwrap()
}

fn wanted(id: &SpiffeId, validity: Duration) -> Wanted<'_> {
    Wanted {
        id,
        dns_names: &[],
        addresses: &[],
        validity,
    }
}

/// A root, and authorities below it: the last signs.
fn chain(keys: Vec<KeyPair>, edit: impl Fn(usize, &mut CertificateParams)) -> SignerPem {
    let mut pems: Vec<String> = Vec::new();
    let mut issuer: Option<Issuer<'static, KeyPair>> = None;
    let mut private_key = String::new();
    for (depth, key) in keys.into_iter().enumerate() {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, format!("authority {depth}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.use_authority_key_identifier_extension = true;
        edit(depth, &mut params);
        let certificate = match &issuer {
            None => params.self_signed(&key),
            Some(issuer) => params.signed_by(&key, issuer),
        };
        pems.insert(0, certificate.unwrap().pem());
        private_key = key.serialize_pem();
        issuer = Some(Issuer::new(params, key));
    }
    SignerPem {
        chain: pems.concat(),
        private_key: private_key.into(),
    }
}

fn keys(count: usize) -> Vec<KeyPair> {
    (0..count).map(|_| KeyPair::generate().unwrap()).collect()
}

#[test]
fn a_leaf_says_what_it_may_and_nothing_else() {
    let now = SystemTime::now();
    let signer = Signer::load(&generate(&domain(), now).unwrap(), &domain(), now).unwrap();
    let id: SpiffeId = "spiffe://mesh/ns/a/sa/b".parse().unwrap();
    let (certificate, _) = signer.issue_with_key(&wanted(&id, HOUR), now).unwrap();
    assert_eq!(certificate.chain.len(), 1);
    let (_, leaf) = X509Certificate::from_der(&certificate.chain[0]).unwrap();
    assert!(leaf.subject().iter().next().is_none());
    let names = leaf.subject_alternative_name().unwrap().unwrap();
    assert!(
        names.critical,
        "RFC 5280 section 4.1.2.6: a certificate without a subject"
    );
    assert_eq!(
        names.value.general_names,
        [GeneralName::URI("spiffe://mesh/ns/a/sa/b")]
    );
    let basic = leaf.basic_constraints().unwrap().unwrap();
    assert!(basic.critical && !basic.value.ca);
    let usage = leaf.key_usage().unwrap().unwrap();
    assert!(
        usage.critical && usage.value.flags == 1,
        "digital signature alone"
    );
    let purposes = leaf.extended_key_usage().unwrap().unwrap().value;
    assert!(purposes.client_auth && purposes.server_auth && !purposes.any);
    let whole = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let held = certificate.validity;
    assert_eq!(whole(held.not_after), whole(now + HOUR));
    assert_eq!(whole(held.not_before), whole(now - BACKDATE));
    assert_eq!(leaf.raw_serial().len(), 17);
    let (other, _) = signer.issue_with_key(&wanted(&id, HOUR), now).unwrap();
    assert_ne!(other.serial, certificate.serial);
}

#[test]
fn a_leaf_never_outlives_its_signer() {
    let now = SystemTime::now();
    let id: SpiffeId = "spiffe://mesh/a".parse().unwrap();
    let pem = chain(keys(2), |depth, params| {
        // The root goes before the authority below it.
        params.not_before = (now - HOUR).into();
        params.not_after = (now + HOUR * (depth as u32 + 1)).into();
    });
    let signer = Signer::load(&pem, &domain(), now).unwrap();
    let (certificate, _) = signer.issue_with_key(&wanted(&id, HOUR * 24), now).unwrap();
    assert!(certificate.validity.not_after <= now + HOUR);
    assert_eq!(certificate.chain.len(), 2, "the leaf and the authority between");
    let late = signer.issue_with_key(&wanted(&id, HOUR), now + HOUR);
    assert!(matches!(late, Err(SignerFault::Expired(_))));
    assert!(matches!(
        Signer::load(&pem, &domain(), now + HOUR),
        Err(SignerFault::Expired(_))
    ));
}

#[test]
fn every_kind_of_signing_key_is_taken() {
    let now = SystemTime::now();
    for algorithm in [&PKCS_ECDSA_P384_SHA384, &PKCS_ED25519, &PKCS_RSA_SHA256] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        Signer::load(&chain(vec![key], |_, _| {}), &domain(), now).unwrap();
    }
    let just_deep_enough = chain(keys(3), |depth, params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(2 - depth as u8));
    });
    Signer::load(&just_deep_enough, &domain(), now).unwrap();
}

#[test]
fn what_cannot_sign_is_refused_at_once() {
    let now = SystemTime::now();
    let good = chain(keys(2), |_, _| {});
    let (signing, root) = {
        let at = good.chain.rfind("-----BEGIN").unwrap();
        good.chain.split_at(at)
    };
    let with = |chain: &str, key: &str| SignerPem {
        chain: chain.to_owned(),
        private_key: key.to_owned().into(),
    };
    let of_other = chain(keys(1), |_, params| {
        params.subject_alt_names = vec![SanType::URI("spiffe://other".try_into().unwrap())];
    });
    let leaf = chain(keys(2), |depth, params| {
        if depth == 1 {
            params.is_ca = IsCa::ExplicitNoCa;
        }
    });
    let deep = chain(keys(3), |depth, params| {
        if depth == 0 {
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        }
    });
    let other_key = KeyPair::generate().unwrap().serialize_pem();
    for (what, pem, expected) in [
        ("nothing", with("", &good.private_key), "there is none"),
        (
            "no PEM",
            with("-----BEGIN CERTIFICATE-----\n?", &good.private_key),
            "not PEM",
        ),
        ("no root", with(signing, &good.private_key), "is no root"),
        (
            "the wrong order",
            with(&format!("{root}{signing}"), &good.private_key),
            "is no root",
        ),
        ("many", with(&root.repeat(8), &good.private_key), "too many"),
        ("no key", with(&good.chain, ""), "the signing key cannot be used"),
        (
            "another key",
            with(&good.chain, &other_key),
            "is refused by its own root",
        ),
        (
            "the root's chain",
            with(root, &good.private_key),
            "is refused by its own root",
        ),
        ("another trust domain", of_other, "they are of trust domain other"),
        ("no authority", leaf, "is refused by its own root"),
        (
            "too deep for its root",
            deep,
            "CN=authority 0 allows 0 authorities below it, and there are 2",
        ),
    ] {
        let error = Signer::load(&pem, &domain(), now).err().expect(what).to_string();
        assert!(error.contains(expected), "{what}: {error}");
        assert!(!error.contains("PRIVATE"), "{what}: {error}");
    }
}

/// Another program's opinion. Skipped where it is missing, but not in CI.
#[test]
fn openssl_believes_what_is_issued() {
    if Command::new("openssl").arg("version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "openssl is missing");
        eprintln!("skipped: there is no openssl");
        return;
    }
    let now = SystemTime::now();
    let directory = tempfile::tempdir().unwrap();
    let id: SpiffeId = "spiffe://mesh/ns/a/sa/b".parse().unwrap();
    for pem in [generate(&domain(), now).unwrap(), chain(keys(3), |_, _| {})] {
        let signer = Signer::load(&pem, &domain(), now).unwrap();
        let (certificate, _) = signer.issue_with_key(&wanted(&id, HOUR), now).unwrap();
        let write = |name: &str, text: String| {
            let file = directory.path().join(name);
            std::fs::write(&file, text).unwrap();
            file
        };
        let leaf = write("leaf.pem", to_pem(&certificate.chain[0]));
        let between = write("between.pem", certificate.chain[1..].iter().map(to_pem).collect());
        let root = write("root.pem", to_pem(signer.root()));
        for purpose in ["sslclient", "sslserver"] {
            let mut openssl = Command::new("openssl");
            openssl
                .args(["verify", "-x509_strict", "-purpose", purpose, "-CAfile"])
                .arg(&root);
            if certificate.chain.len() > 1 {
                openssl.arg("-untrusted").arg(&between);
            }
            let output = openssl.arg(&leaf).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{purpose}: {said}");
        }
    }
}
