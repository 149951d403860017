//! Health checks that are late, and settings of outlier detection without effect.

use super::super::{valid, with_cluster};

/// The warnings of a cluster that is used.
fn warnings(cluster: &str) -> Vec<String> {
    let text = with_cluster(cluster);
    let found = valid(&text).warnings;
    let messages = found.iter().map(|warning| warning.message().to_owned());
    messages
        .filter(|message| !message.starts_with("nothing uses"))
        .collect()
}

#[test]
fn checks_and_ejections() {
    let none: [&str; 0] = [];
    assert_eq!(
        warnings("{name: c, health_check: {tcp: {}, timeout: 2s, interval: 2s}, outlier_detection: true}"),
        none
    );
    assert_eq!(
        warnings("{name: c, health_check: {tcp: {}, timeout: 6s}}"),
        ["a check may take 6s, longer than the interval of 5s"]
    );
    assert_eq!(
        warnings("{name: c, outlier_detection: {enforcing_local_origin_success_rate: 100}}"),
        ["`enforcing_local_origin_success_rate` has no effect: failures seen here are not counted apart"]
    );
    assert_eq!(
        warnings(
            "{name: c, outlier_detection: {enforcing_local_origin_success_rate: 100, \
             split_external_local_origin_errors: true}}"
        ),
        none
    );
    assert_eq!(
        warnings(
            "{name: c, outlier_detection: true, discovery: {type: logical_dns, names: [{host: a, port: 1}]}}"
        ),
        ["`outlier_detection` has no effect: the name is one endpoint, and the last one is never ejected"]
    );
}
