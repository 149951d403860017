//! Rate limits that never count.

use super::super::{valid, with_chain};

fn warnings(descriptors: &str) -> Vec<String> {
    let text = with_chain("tcp: {cluster: a, rate_limits: [m]}")
        .replace("route_configurations: [{name: r}]\n", "")
        .replace(", {name: backend}", "");
    let text = format!("{text}rate_limits: [{{name: m, {descriptors}local: {{limit: {{requests: 1}}}}}}]\n");
    let found = valid(&text).warnings;
    found.iter().map(|warning| warning.message().to_owned()).collect()
}

#[test]
fn connections_that_are_not_told_apart() {
    let none: [&str; 0] = [];
    assert_eq!(warnings(""), none);
    assert_eq!(
        warnings("descriptors: [[remote_address, source_identity, {constant: a}]], "),
        none
    );
    assert_eq!(
        warnings("descriptors: [[remote_address, method]], "),
        [
            "the rate limit `m` counts nothing on the connections of `chain-0`: what tells them apart is known of requests \
             only"
        ]
    );
}
