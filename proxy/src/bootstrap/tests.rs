use super::*;
use outrigger_config::model::{IdentitySource, Roots};
use outrigger_config::{Environment, Loaded, load};
use std::path::PathBuf;

fn flags(servers: &[&str]) -> ControlArguments {
    ControlArguments {
        control: servers.iter().map(|&server| server.to_owned()).collect(),
        node_id: Some("web-1".into()),
        service: Some("shop/web".into()),
        ..ControlArguments::default()
    }
}

fn loaded(flags: &ControlArguments) -> Loaded {
    let source = document(flags);
    load(&source, &Environment::empty()).unwrap_or_else(|faults| panic!("{}\n{faults}", source.text))
}

fn refused(flags: &ControlArguments) -> String {
    load(&document(flags), &Environment::empty())
        .unwrap_err()
        .to_string()
}

#[test]
fn every_flag_is_in_the_document() {
    let flags = ControlArguments {
        spiffe_id: Some("spiffe://example.org/ns/shop/sa/web".into()),
        control_ca_file: Some("a: \"b\" #${c}.pem".into()),
        token_file: Some("/run/token".into()),
        last_good: Some("/var/lib/outrigger".into()),
        admin: Some(([127, 0, 0, 1], 9902).into()),
        ..flags(&["https://a.example:15010", "grpcs://[::1]:15010"])
    };
    let Loaded { config, warnings } = loaded(&flags);
    assert!(warnings.is_empty(), "{warnings:?}");
    assert_eq!(config.admin().address().port(), 9902);
    let control = config.control().as_ref().unwrap();
    let urls: Vec<String> = control.servers().iter().map(|server| server.url()).collect();
    assert_eq!(urls, ["https://a.example:15010", "https://[::1]:15010"]);
    assert_eq!(
        (control.node().as_str(), control.service().as_deref()),
        ("web-1", Some("shop/web"))
    );
    assert_eq!(control.identity().as_ref().unwrap().as_str(), "default");
    assert_eq!(control.last_good(), &Some(PathBuf::from("/var/lib/outrigger")));
    assert!(control.token_file().is_none(), "the token is the authority's");
    let Some(Roots::File(roots)) = control.roots() else {
        panic!("{control:?}")
    };
    assert!(roots.ends_with("a: \"b\" #${c}.pem"), "{}", roots.display());
    let [identity] = &config.identities()[..] else {
        panic!("one identity")
    };
    let IdentitySource::Authority(authority) = identity.source() else {
        panic!("{identity:?}")
    };
    assert_eq!(authority.url(), "https://a.example:15010");
    assert_eq!(authority.token_file(), &Some(PathBuf::from("/run/token")));
    assert_eq!(config.trust_bundles().len(), 1);
}

#[test]
fn plain_text_on_loopback_needs_no_identity() {
    let Loaded { config, warnings } = loaded(&flags(&["http://127.0.0.1:18000"]));
    assert!(warnings.is_empty(), "{warnings:?}");
    assert!(config.identities().is_empty() && config.trust_bundles().is_empty());
    assert!(config.control().as_ref().unwrap().roots().is_none());
}

#[test]
fn without_an_identity_the_token_is_for_the_servers() {
    let flags = ControlArguments {
        token_file: Some("/run/token".into()),
        ..flags(&["https://control.example:15010"])
    };
    let config = loaded(&flags).config;
    let control = config.control().as_ref().unwrap();
    assert_eq!(control.token_file(), &Some(PathBuf::from("/run/token")));
    assert_eq!(control.roots(), &Some(Roots::System));
    assert!(control.identity().is_none());
}

#[test]
fn a_fault_names_its_flag() {
    let cases = [
        (flags(&["control.example:15010"]), "--control"),
        (
            ControlArguments {
                node_id: Some("a b".into()),
                ..flags(&["http://localhost:1"])
            },
            "--node-id",
        ),
        (
            ControlArguments {
                spiffe_id: Some("web".into()),
                ..flags(&["https://localhost:1"])
            },
            "--spiffe-id",
        ),
        // A certificate is not given over plain text.
        (
            ControlArguments {
                spiffe_id: Some("spiffe://example.org/web".into()),
                ..flags(&["http://localhost:1"])
            },
            "--control",
        ),
        (
            ControlArguments {
                token_file: Some("/token".into()),
                ..flags(&["http://control.example:1"])
            },
            "--token-file",
        ),
    ];
    for (flags, flag) in cases {
        let faults = refused(&flags);
        assert!(faults.contains("--> command line:"), "{faults}");
        assert!(faults.contains(&format!("# {flag}\n")), "{flag} in {faults}");
    }
}
