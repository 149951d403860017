//! Faulty documents, each with the exact place («marked») and message of all its faults.

mod actions;
mod authorization;
mod balancing;
mod chains;
mod clusters;
mod control;
mod cors;
mod discovery;
mod distress;
mod documents;
mod edge;
mod header_edits;
mod health;
mod http;
mod identities;
mod jwt;
mod listeners;
mod rate_limit;
mod retry;
mod routes;
mod telemetry;
mod tls;
mod tracing;

/// Checks a table of (marked fragment, messages) in the document that `around` makes of each.
fn check(around: impl Fn(&str) -> String, table: &[(&str, &[&str])]) {
    let mut failures = Vec::new();
    for (fragment, messages) in table {
        let marked = around(fragment);
        let (text, _) = super::unmark(&marked);
        let found = match super::read(&text) {
            Ok(_) => Vec::new(),
            Err(faults) => faults.into_vec(),
        };
        if let Err(failure) = super::expect(&marked, &found, messages) {
            failures.push(failure);
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {} cases:\n{}",
        failures.len(),
        table.len(),
        failures.join("\n")
    );
}
