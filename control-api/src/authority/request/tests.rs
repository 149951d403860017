use super::*;
use proptest::prelude::*;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ECDSA_P521_SHA512, PKCS_ED25519, PKCS_RSA_SHA256,
    PKCS_RSA_SHA384, PKCS_RSA_SHA512, RsaKeySize, SanType, SignatureAlgorithm,
};
use std::sync::OnceLock;

const ID: &str = "spiffe://mesh/ns/a/sa/b";

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

fn request(names: Vec<SanType>, key: &KeyPair, edit: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.subject_alt_names = names;
    edit(&mut params);
    params.serialize_request(key).unwrap().der().to_vec()
}

fn pem(der: &[u8]) -> String {
    let certificate = crate::authority::in_force::to_pem(&der.into());
    certificate.replace("CERTIFICATE", "CERTIFICATE REQUEST")
}

fn key(algorithm: &'static SignatureAlgorithm) -> KeyPair {
    KeyPair::generate_for(algorithm).unwrap()
}

fn accept(text: &str) -> Result<SpiffeId, RequestFault> {
    let asked = Asked::parse(text)?;
    asked.verify()?;
    Ok(asked.id)
}

#[test]
fn every_kind_of_key_that_proxies_make_is_accepted() {
    let rsa = |algorithm, size| KeyPair::generate_rsa_for(algorithm, size).unwrap();
    for key in [
        key(&PKCS_ECDSA_P256_SHA256),
        key(&PKCS_ECDSA_P384_SHA384),
        key(&PKCS_ED25519),
        rsa(&PKCS_RSA_SHA256, RsaKeySize::_2048),
        rsa(&PKCS_RSA_SHA384, RsaKeySize::_3072),
        rsa(&PKCS_RSA_SHA512, RsaKeySize::_4096),
    ] {
        let text = pem(&request(vec![uri(ID)], &key, |_| {}));
        assert_eq!(
            accept(&text).map(|id| id.to_string()),
            Ok(ID.to_owned()),
            "{:?}",
            key.algorithm()
        );
    }
}

#[test]
fn what_is_wrong_with_a_request_is_said() {
    use RequestFault as F;
    let p256 = key(&PKCS_ECDSA_P256_SHA256);
    let good = request(vec![uri(ID)], &p256, |_| {});
    let with = |names: Vec<SanType>| pem(&request(names, &p256, |_| {}));
    let edited = |edit: fn(&mut CertificateParams)| pem(&request(vec![uri(ID)], &p256, edit));
    let changed = |at: usize| {
        let mut der = good.clone();
        der[at] ^= 1;
        pem(&der)
    };
    let dns = SanType::DnsName("example.org".try_into().unwrap());
    let mut longer = good.clone();
    longer.push(0);
    let in_id = good.windows(6).position(|bytes| bytes == b"spiffe").unwrap() + 12;
    // The key of another in the place of its own: what a thief of public keys would send.
    let other = request(vec![uri(ID)], &key(&PKCS_ECDSA_P256_SHA256), |_| {});
    let point = |der: &[u8]| {
        der.windows(3)
            .position(|bytes| bytes == [0x42, 0x00, 0x04])
            .unwrap()
            + 3
    };
    let mut stolen = good.clone();
    let (to, from) = (point(&good), point(&other));
    stolen[to..to + 64].copy_from_slice(&other[from..from + 64]);
    let spiffe = |fault| Err(F::SpiffeId(fault));
    for (what, text, expected) in [
        ("nothing", String::new(), Err(F::Pem)),
        ("no PEM", "spiffe://mesh/a".to_owned(), Err(F::Pem)),
        (
            "another block",
            pem(&good).replace("REQUEST", "REVOCATION"),
            Err(F::Pem),
        ),
        ("two", pem(&good).repeat(2), Err(F::Pem)),
        (
            "a broken end",
            pem(&good).replace("-----END", "-----EMD"),
            Err(F::Pem),
        ),
        ("too long", " ".repeat(REQUEST_BYTES_MAX + 1), Err(F::TooLong)),
        ("bytes behind it", pem(&longer), Err(F::Malformed)),
        ("half of it", pem(&good[..good.len() / 2]), Err(F::Malformed)),
        ("no DER", pem(b"hello"), Err(F::Malformed)),
        ("another signature", changed(good.len() - 1), Err(F::Signature)),
        ("another id than signed", changed(in_id), Err(F::Signature)),
        ("another's key", pem(&stolen), Err(F::Signature)),
        (
            "P-521",
            pem(&request(vec![uri(ID)], &key(&PKCS_ECDSA_P521_SHA512), |_| {})),
            Err(F::Key),
        ),
        ("no name", with(vec![]), Err(F::Names)),
        (
            "two ids",
            with(vec![uri(ID), uri("spiffe://mesh/other")]),
            Err(F::Names),
        ),
        (
            "a DNS name beside it",
            with(vec![uri(ID), dns.clone()]),
            Err(F::Names),
        ),
        ("a DNS name alone", with(vec![dns]), Err(F::Names)),
        (
            "another URI",
            with(vec![uri("https://mesh/a")]),
            spiffe(SpiffeFault::Scheme),
        ),
        (
            "a broken id",
            with(vec![uri("spiffe://mesh/a/../b")]),
            spiffe(SpiffeFault::DotSegment),
        ),
        (
            "an upper-case id",
            with(vec![uri("SPIFFE://mesh/a")]),
            spiffe(SpiffeFault::Scheme),
        ),
        (
            "an authority",
            edited(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)),
            Err(F::Authority),
        ),
        (
            "to sign certificates",
            edited(|params| params.key_usages = vec![KeyUsagePurpose::KeyCertSign]),
            Err(F::Authority),
        ),
        (
            "to sign lists",
            edited(|params| params.key_usages = vec![KeyUsagePurpose::CrlSign]),
            Err(F::Authority),
        ),
        (
            "names twice",
            edited(|params| {
                let names = vec![0x30, 0x04, 0x86, 0x02, b'a', b':'];
                let second = CustomExtension::from_oid_content(&[2, 5, 29, 17], names);
                params.custom_extensions.push(second);
            }),
            Err(F::Names),
        ),
    ] {
        assert_eq!(accept(&text).map(|_| ()), expected, "{what}");
    }
    assert!(accept(&pem(&good)).is_ok());
    assert!(accept(&format!("{}\n", pem(&good).replace('\n', "\r\n"))).is_ok());
}

#[test]
fn short_rsa_keys_are_refused() {
    // By `openssl req -new -newkey rsa:1024`: what is used here makes none so short.
    let short = "-----BEGIN CERTIFICATE REQUEST-----\n\
        MIIBdDCB3gIBADAAMIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDSrx3dmx5h\n\
        lDFAXJr7CRfPG55tvs1HvKRc7X1mcFceIefMkOFb/xuRPgrFXnW8AXexsO5qoKfn\n\
        dAftCRn66QGKZWUZTl0wZzgSa+ZxqxIWgn1l40XU4QfFgOhsfAxm2pUXUTwxIhnV\n\
        5eWf4ypuKnJGcGD1p7llJs+gz6cg63A41wIDAQABoDUwMwYJKoZIhvcNAQkOMSYw\n\
        JDAiBgNVHREEGzAZhhdzcGlmZmU6Ly9tZXNoL25zL2Evc2EvYjANBgkqhkiG9w0B\n\
        AQsFAAOBgQDOQeC7ukKo63AiiJ1mP/cbwVSlWbaA76iZDZDrU5m9XIyZxBi/nt9I\n\
        qft7VbK3Q1MZqOD8jGa9EvbLUbqQyidGwk+vgU5OrH82rtTBnbl4j1irULID6Cmg\n\
        a27aXbdZW4BkuTqizCyAMNZydmNTnBW0MVxJ4XSBvDzeF+f9cZa1ZQ==\n\
        -----END CERTIFICATE REQUEST-----\n";
    assert_eq!(accept(short).map(|_| ()), Err(RequestFault::Key));
}

fn good() -> &'static [u8] {
    static GOOD: OnceLock<Vec<u8>> = OnceLock::new();
    GOOD.get_or_init(|| request(vec![uri(ID)], &key(&PKCS_ECDSA_P256_SHA256), |_| {}))
}

proptest! {
    #[test]
    fn bytes_of_any_kind_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..600), text in ".{0,200}") {
        let _ = accept(&pem(&bytes));
        let _ = accept(&text);
    }

    /// A request that was changed anywhere is refused, or was changed where nothing is signed and nothing is said.
    #[test]
    fn a_changed_request_is_refused(
        edits in prop::collection::vec((any::<prop::sample::Index>(), 1_u8..), 1..4),
        cut in any::<prop::sample::Index>(),
        cuts in any::<bool>(),
    ) {
        let mut der = good().to_vec();
        for (at, bits) in edits {
            let at = at.index(der.len());
            der[at] ^= bits;
        }
        if cuts {
            der.truncate(cut.index(der.len()));
        }
        if der != good() && accept(&pem(&der)).is_ok() {
            let (_, request) = X509CertificationRequest::from_der(good()).unwrap();
            let signed = request.certification_request_info.raw;
            prop_assert!(der.windows(signed.len()).any(|window| window == signed), "what is signed is another");
        }
    }
}
