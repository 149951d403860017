//! Routes there and back.

use super::*;
use crate::decode::{Decoded, decode};
use crate::encode::{EncodeOptions, encode};
use outrigger_config::{Environment, MeshConfig, Source, load};

fn loaded(name: &str, text: &str) -> MeshConfig {
    let source = Source {
        name: name.into(),
        text: text.into(),
    };
    match load(&source, &Environment::empty()) {
        Ok(loaded) => loaded.config,
        Err(faults) => panic!("{faults}"),
    }
}

/// Every route configuration comes back as it was.
fn there_and_back(config: &MeshConfig, what: &str) {
    let encoded = encode(config, &EncodeOptions::default());
    assert_eq!(
        encoded.route_configurations.len(),
        config.route_configurations().len()
    );
    let type_url = crate::decode::type_url::<pb::RouteConfiguration>();
    for ((name, body), part) in encoded
        .route_configurations
        .iter()
        .zip(config.route_configurations())
    {
        let decoded = decode(&type_url, name, body).unwrap_or_else(|refusal| panic!("{what}: {refusal}"));
        let Decoded::RouteConfiguration(parts) = decoded else {
            panic!("{decoded:?}");
        };
        assert_eq!(parts.route_configurations.len(), 1, "{what}");
        let (back, part) = (&parts.route_configurations[0], part);
        for (back, host) in back.virtual_hosts().iter().zip(part.virtual_hosts()) {
            for (back, route) in back.routes().iter().zip(host.routes()) {
                assert_eq!(back, route, "{what}");
            }
        }
        assert!(back == part, "{what}: {name}");
        for policy in &parts.authorization_policies {
            assert!(
                config.authorization_policies().contains(policy),
                "{what}: {policy:?}"
            );
        }
        for limit in &parts.rate_limits {
            assert!(config.rate_limits().contains(limit), "{what}: {limit:?}");
        }
    }
}

#[test]
fn every_example_comes_back_as_it_was() {
    let examples = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/examples"));
    let mut count = 0;
    for entry in std::fs::read_dir(examples).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.to_str().unwrap();
        let source = Source {
            name: name.into(),
            text: text.as_str().into(),
        };
        let Ok(config) = load(&source, &Environment::empty()) else {
            continue;
        };
        there_and_back(&config.config, name);
        count += 1;
    }
    assert!(count > 20, "{count} examples were read");
}
