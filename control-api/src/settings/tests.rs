use super::*;
use crate::access::{Role, TokenDigest};
use clap::Parser;
use outrigger_config::Timestamp;
use outrigger_config::model::SpiffeMatch;

#[derive(Debug, Parser)]
struct Program {
    #[command(flatten)]
    serve: ServeArguments,
}

fn arguments(flags: &[&str]) -> ServeArguments {
    let program = std::iter::once(&"outrigger-control").chain(flags);
    Program::parse_from(program).serve
}

fn parse(text: &str, flags: &[&str]) -> Result<Settings, String> {
    let mut arguments = arguments(flags);
    arguments.config.get_or_insert_with(|| "c.yaml".into());
    Settings::parse(text, Path::new("c.yaml"), &arguments).map_err(|error| error.to_string())
}

#[test]
fn without_anything_it_is_the_local_default() {
    let settings = Settings::load(&ServeArguments::default()).unwrap();
    assert!(settings.is_loopback_administrator());
    assert!(settings.grpc.address.ip().is_loopback() && settings.rest.address.ip().is_loopback());
    assert_eq!(settings.tls, None);
    assert_eq!(settings.trust_domain.as_str(), TRUST_DOMAIN);
    assert_eq!(
        settings.store,
        StoreSettings::Embedded("outrigger-control/mesh.redb".into())
    );
    let authority = settings.authority.unwrap();
    assert_eq!(
        authority.signer,
        SignerSettings::Generated("outrigger-control/authority.json".into())
    );
    assert_eq!(authority.certificate_validity_max, CERTIFICATE_VALIDITY_MAX);
    assert_eq!(parse("# nothing\n\n", &[]).unwrap().store, settings.store);
}

#[test]
fn the_documented_example_says_what_it_means() {
    let page = include_str!("../../../docs/control/access.md");
    let example = page
        .split("```yaml\n")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    let settings = parse(example, &[]).unwrap();
    assert_eq!(settings.trust_domain.as_str(), "example.org");
    assert_eq!(settings.grpc.address, "[::]:18000".parse().unwrap());
    assert_eq!(settings.rest.client_certificates, ClientCertificates::Optional);
    let StoreSettings::Etcd(etcd) = &settings.store else {
        panic!("{:?}", settings.store);
    };
    assert_eq!(etcd.endpoints.len(), 2);
    let tls = settings.tls.as_ref().unwrap();
    let ServerCertificate::Authority { dns_names, addresses } = &tls.certificate else {
        panic!("{tls:?}");
    };
    assert_eq!((dns_names.len(), addresses.len()), (2, 0));
    assert!(!settings.is_loopback_administrator());
    let [ci, edge] = &settings.access.tokens[..] else {
        panic!("{:?}", settings.access);
    };
    assert_eq!(ci.digest, TokenDigest::of("abc"));
    let expires = ci.expires.map(|at| Timestamp(at).to_string());
    assert_eq!(expires.as_deref(), Some("2027-01-01T00:00:00Z"));
    assert_eq!(ci.roles, [Role::Reader, Role::Editor(["shop".to_owned()].into())]);
    assert_eq!(edge.roles, [Role::Node(["edge".to_owned()].into())]);
    let [admins] = &settings.access.identities[..] else {
        panic!("{:?}", settings.access);
    };
    assert!(matches!(&admins.identity, SpiffeMatch::Prefix(id) if id.path() == "/admins"));
    let authority = settings.authority.unwrap();
    assert_eq!(authority.certificate_validity_max, Duration::from_secs(12 * 3600));
    let kubernetes = authority.kubernetes.unwrap();
    assert_eq!(kubernetes.audiences, ["outrigger-control"]);
    assert!(matches!(kubernetes.keys, KeysSettings::Url { .. }));
    assert_eq!(authority.join_tokens.len(), 1);
}

#[test]
fn flags_count_more_than_the_file() {
    let text = "trust_domain: one.example\nstore: { directory: { path: mesh } }\n";
    let flags = [
        "--trust-domain=two.example",
        "--store=etcd:http://127.0.0.1:2379,http://127.0.0.1:2380",
        "--grpc-address=0.0.0.0:1",
        "--tls-name=control.example",
        "--tls-name=192.0.2.1",
        "--data-directory=/data",
        "--bundle-file=/roots.pem",
    ];
    let settings = parse(text, &flags).unwrap();
    assert_eq!(settings.trust_domain.as_str(), "two.example");
    assert!(matches!(&settings.store, StoreSettings::Etcd(etcd) if etcd.endpoints.len() == 2));
    assert_eq!(settings.grpc.address.port(), 1);
    let certificate = ServerCertificate::Authority {
        dns_names: vec!["control.example".to_owned()],
        addresses: vec!["192.0.2.1".parse().unwrap()],
    };
    assert_eq!(settings.tls.unwrap().certificate, certificate);
    let authority = settings.authority.unwrap();
    assert_eq!(
        authority.signer,
        SignerSettings::Generated("/data/authority.json".into())
    );
    assert_eq!(authority.bundle_file, Some("/roots.pem".into()));
    // Reached from elsewhere, so there is no loopback default.
    assert!(!settings.access.loopback);
    let files = ["--tls-certificate-file=a", "--tls-private-key-file=b"];
    let settings = parse("tls: { authority: { names: [a] } }", &files).unwrap();
    assert!(matches!(
        settings.tls.unwrap().certificate,
        ServerCertificate::Files(_)
    ));
    assert!(
        !parse("", &["--no-loopback-administrator"])
            .unwrap()
            .access
            .loopback
    );
    assert!(Program::try_parse_from(["x", "--tls-certificate-file=a"]).is_err());
    for (flag, problem) in [
        ("--store=etcd:", "--store: ``: expected `http://HOST:PORT`"),
        ("--store=redis:x", "--store: `redis:x` is no store"),
        ("--trust-domain=A", "--trust-domain: its trust domain holds"),
        ("--tls-name=a b", "--tls-name: `a b` is neither"),
        (
            "--tls-client-roots-file=a",
            "--tls-client-roots-file: without TLS nobody shows a certificate",
        ),
        (
            "--rest-address=0.0.0.0:1",
            "--rest-address: 0.0.0.0:1 is reached from other machines",
        ),
    ] {
        let error = parse("", &[flag]).unwrap_err();
        assert!(error.starts_with(problem), "{error}");
    }
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let digest = TokenDigest::of("abc").to_string();
    let token =
        |roles: &str| format!("access:\n  tokens:\n  - name: a\n    digest: {digest}\n    roles: {roles}\n");
    let twice = format!(
        "{}  - name: a\n    digest: sha256:{}\n    roles: [reader]\n",
        token("[reader]"),
        "0".repeat(64)
    );
    let join =
        |rest: &str| format!("authority:\n  join_tokens:\n  - name: a\n    digest: {digest}\n    {rest}\n");
    let kubernetes = |issuer: &str, audiences: &str, url: &str| {
        format!(
            "authority:\n  kubernetes:\n    issuer: '{issuer}'\n    audiences: {audiences}\n    keys: {{ url: {{ url: '{url}' }} }}\n"
        )
    };
    for (text, expected) in [
        ("grpc:\n  adress: 127.0.0.1:1\n".to_owned(), "c.yaml:2:3: unknown field `adress`"),
        ("grpc:\n  address: nowhere\n".to_owned(), "c.yaml:2:12: invalid socket address"),
        (
            "grpc:\n  address: 0.0.0.0:1\n".to_owned(),
            "c.yaml:2:12: 0.0.0.0:1 is reached from other machines, and has no TLS",
        ),
        (
            "grpc:\n  client_certificates: required\n".to_owned(),
            "c.yaml:2:24: without TLS nobody shows a certificate",
        ),
        ("rest:\n  connections_max: 0\n".to_owned(), "c.yaml:2:20: 0 connections serve nobody"),
        ("trust_domain: Example\n".to_owned(), "c.yaml:1:15: `Example`: its trust domain holds"),
        ("tls: {}\n".to_owned(), "c.yaml:1:6: expected one of `files` and `authority`"),
        ("tls:\n  authority:\n    names: []\n".to_owned(), "c.yaml:3:12: expected one or more names"),
        (
            "authority: { enabled: false }\ntls: { authority: { names: [a] } }\n".to_owned(),
            "c.yaml: `tls.authority` needs the authority",
        ),
        ("store:\n  etcd:\n    endpoints: [a:1]\n".to_owned(), "c.yaml:3:16: `a:1`: expected `http://HOST:PORT`"),
        ("store:\n  redis: {}\n".to_owned(), "c.yaml:2:3: unknown variant `redis`"),
        (
            "authority:\n  certificate_validity_max: 24\n".to_owned(),
            "c.yaml:2:29: `24` is no length of time",
        ),
        ("authority:\n  certificate_validity_max: 5s\n".to_owned(), "c.yaml:2:29: expected at least 1m"),
        (join("spiffe_id: http://x"), "c.yaml:5:16: `http://x`: it does not begin with"),
        (join("reusable: true"), "c.yaml:3:5: expected one of `spiffe_id` and `spiffe_prefix`"),
        (
            join("spiffe_id: spiffe://mesh.local/a"),
            "c.yaml:3:5: a token that is written down here cannot be used up",
        ),
        (
            join("{spiffe_id: spiffe://other/a}").replace("    {spiffe_id: spiffe://other/a}", "    spiffe_id: spiffe://other/a\n    reusable: true"),
            "c.yaml:3:5: spiffe://other/a is not of this server's trust domain, mesh.local",
        ),
        (
            join("expires: yesterday"),
            "c.yaml:5:14: `yesterday`: expected a time from 1970 on",
        ),
        (kubernetes("", "[a]", "https://k"), "c.yaml:3:13: expected the issuer's URL"),
        (kubernetes("k", "[]", "https://k"), "c.yaml:4:16: without an audience"),
        (kubernetes("k", "[a]", "http://k"), "c.yaml:5:25: `http://k`: expected `https://"),
        (token("[]"), "c.yaml:3:5: without a role it allows nothing"),
        (token("[owner]"), "c.yaml:5:13: unknown variant `owner`"),
        (token("[{ editor: { namespaces: [] } }]"), "c.yaml:3:5: expected the names of one or more namespaces"),
        (twice, "c.yaml:6:5: another token has this name"),
        (
            "rest: { address: '[::]:1' }\ntls: { authority: { names: [a] } }\naccess:\n  loopback_administrator: true\n".to_owned(),
            "c.yaml:4:27: an address that other machines reach has no loopback default",
        ),
        ("trust_domain: [\n".to_owned(), "c.yaml:"),
    ] {
        let error = parse(&text, &[]).expect_err(&text);
        assert!(error.starts_with(expected), "{text}\n{error}\n{expected}");
    }
}

#[test]
fn a_token_in_the_place_of_its_digest_is_not_shown() {
    let text = "access:\n  tokens:\n  - name: a\n    digest: ot_verysecret\n    roles: [reader]\n";
    let error = parse(text, &[]).unwrap_err();
    assert!(error.starts_with("c.yaml:4:13: expected `sha256:`"), "{error}");
    assert!(!error.contains("verysecret"), "{error}");
}

#[test]
fn a_release_in_stages_is_read_and_what_is_none_is_refused_with_its_place() {
    assert_eq!(parse("", &[]).unwrap().release, None);
    let page = include_str!("../../../docs/control/rollouts.md");
    let example = page.split("```yaml\n").nth(1).unwrap();
    let settings = parse(example.split("```").next().unwrap(), &[]).unwrap();
    let release = settings.release.unwrap();
    assert_eq!(release.to_string(), "5% for 30s, 50% for 30s, 100% for 30s");
    assert_eq!(release.settle_timeout(), Duration::from_secs(60));
    for (text, expected) in [
        ("release: { stages: [5%] }", "c.yaml:1:20: the last stage is"),
        ("release: { stages: [x, 100%] }", "`x` is no stage"),
        ("release: { stages: [100%], pause: soon }", "or `by hand`"),
        ("release: { pause: 5s }", "stages"),
    ] {
        let fault = parse(text, &[]).expect_err(text);
        assert!(fault.contains(expected), "{text}: {fault}");
    }
}
