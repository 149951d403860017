//! The queries of Grafana's dashboards, with everything chosen that can be.

use super::super::workspace;
use serde_json::Value;
use std::fs;

/// A query of a panel.
pub(super) struct Query {
    pub(super) dashboard: String,
    pub(super) panel: String,
    pub(super) expression: String,
}

/// All queries of all dashboards.
pub(super) fn queries() -> Vec<Query> {
    let mut queries = Vec::new();
    for file in fs::read_dir(workspace().join("deploy/grafana")).unwrap() {
        let path = file.unwrap().path();
        let dashboard: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        for panel in dashboard["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().into_iter().flatten() {
                queries.push(Query {
                    dashboard: dashboard["title"].as_str().unwrap().to_owned(),
                    panel: panel["title"].as_str().unwrap().to_owned(),
                    expression: chosen(target["expr"].as_str().unwrap()),
                });
            }
        }
    }
    assert!(queries.len() > 50, "{} queries", queries.len());
    queries
}

/// The query as Grafana sends it when everything is chosen; what rules record, and windows, in the time of the test.
fn chosen(expression: &str) -> String {
    let text = expression
        .replace("$__rate_interval", "1m")
        .replace("$instance", ".*")
        .replace("$service", ".*")
        .replace("$route", ".*");
    assert!(!text.contains('$'), "a variable that is not known: {text}");
    text
}
