//! What `deploy/` gives to Prometheus and Grafana, tried by a real Prometheus: rules that fire for their cause and for
//! nothing else, and rules and dashboards whose every query finds data, by labels that are there.

mod causes;
mod dashboards;
mod labels;
mod server;

use super::{installed, output, workspace};
use causes::Causes;
use labels::Scraped;
use server::Prometheus;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// How long causes may take to be told of. Only a failing test waits as long.
const PATIENCE: Duration = Duration::from_secs(240);

fn rules() -> PathBuf {
    workspace().join("deploy/prometheus/outrigger.rules.yml")
}

/// The names of all alerts.
fn alerts() -> BTreeSet<String> {
    let text = fs::read_to_string(rules()).unwrap();
    let names = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "));
    names.map(str::to_owned).collect()
}

#[tokio::test]
async fn promtool_accepts_the_rules_and_what_they_do() {
    if !installed(&["promtool"]) {
        return;
    }
    let mut check = Command::new("promtool");
    check
        .args(["check", "rules", "--lint=all", "--lint-fatal"])
        .arg(rules());
    output(check).await;
    let mut test = Command::new("promtool");
    test.args(["test", "rules", "tests.yml"])
        .current_dir(workspace().join("deploy/prometheus"));
    output(test).await;
}

#[test]
fn every_alert_is_tested_and_has_a_section_in_its_page() {
    let page = fs::read_to_string(workspace().join("docs/alerts.md")).unwrap();
    let sections: BTreeSet<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .map(str::to_owned)
        .collect();
    assert_eq!(sections, alerts());
    let tests = fs::read_to_string(workspace().join("deploy/prometheus/tests.yml")).unwrap();
    let rules = fs::read_to_string(rules()).unwrap();
    for alert in alerts() {
        let fires = format!("alertname: {alert}, exp_alerts: [{{");
        assert!(tests.contains(&fires), "no test in which {alert} fires");
        let runbook = format!("runbook: \"docs/alerts.md#{}\"", alert.to_lowercase());
        assert!(rules.contains(&runbook), "{alert} does not name its section");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_cause_fires_its_alert_and_no_other_and_every_panel_has_data() {
    if !installed(&["prometheus"]) {
        return;
    }
    let causes = Causes::start().await;
    let prometheus = Prometheus::start(&rules(), &causes.targets()).await;
    let wanted = causes.wanted();
    let named: BTreeSet<String> = wanted.iter().map(|(alert, _)| alert.clone()).collect();
    assert_eq!(named, alerts(), "each alert has a cause");
    let fired = prometheus.wait_for_alerts(&wanted, PATIENCE).await;
    let missing: Vec<_> = wanted.difference(&fired).collect();
    assert!(missing.is_empty(), "did not fire: {missing:?}; fired: {fired:?}");
    let others: Vec<_> = prometheus
        .alerts("pending|firing")
        .await
        .into_iter()
        .filter(|alert| !wanted.contains(alert))
        .collect();
    let mut queries: Vec<(String, String)> = dashboards::queries()
        .into_iter()
        .map(|query| (format!("{}, {}", query.dashboard, query.panel), query.expression))
        .collect();
    queries.extend(prometheus.rules().await);
    let scraped = Scraped::new(&prometheus.query("{__name__=~\".+\"}").await);
    let mut faults = Vec::new();
    for (of, expression) in queries {
        let missing = scraped.missing(&expression);
        if !missing.is_empty() {
            faults.push(format!("{of}: {missing:?} in {expression}"));
        } else if prometheus.query(&expression).await.is_empty() {
            faults.push(format!("{of}: no data for {expression}"));
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(others.is_empty(), "fired without their cause: {others:?}");
}
