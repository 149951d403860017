//! YAML to the model to YAML is stable, for generated documents.

use super::documents::{KEY, document, quoted, text};
use super::valid;
use crate::to_yaml;
use crate::yaml::write::{REDACTED, REDACTED_HEADER};
use proptest::prelude::*;

/// What was written, with the keys that are not.
fn with_keys(written: &str) -> String {
    let written = written.replace(&format!("\"{REDACTED}\""), &quoted(KEY));
    written.replace(&format!("\"{REDACTED_HEADER}\""), "Bearer x")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_loads_to_the_same(text in document()) {
        let config = valid(&text).config;
        let written = to_yaml(&config);
        let again = valid(&with_keys(&written)).config;
        prop_assert_eq!(&again, &config, "{}", written);
        prop_assert_eq!(to_yaml(&again), written);
    }

    #[test]
    fn texts_survive(body in text()) {
        prop_assume!(body.len() <= 4096);
        let route = format!("{{match: {{path: /}}, direct_response: {{status: 200, body: {}}}}}", quoted(&body));
        let config = valid(&super::with_route(&route)).config;
        let again = valid(&to_yaml(&config)).config;
        for config in [config, again] {
            let host = &config.route_configurations()[0].virtual_hosts()[0];
            let crate::model::RouteAction::DirectResponse(response) = host.routes()[0].action() else { panic!() };
            prop_assert_eq!(response.body(), &body);
        }
    }

    /// Whatever stands in a file, it is loaded or refused, and every fault can be shown.
    #[test]
    fn nothing_panics(text in prop_oneof![any::<String>(), document().prop_flat_map(|text| {
        let length = text.chars().count();
        (Just(text), 0..length, "[\\x00-\\x7f]{0,3}", 0..4usize).prop_map(|(text, at, put, cut)| {
            text.chars().take(at).chain(put.chars()).chain(text.chars().skip(at + cut)).collect()
        })
    })]) {
        if let Err(faults) = super::read(&text) {
            prop_assert!(!faults.is_empty());
            let _ = faults.to_string();
        }
    }
}
