//! Changes of a configuration without remarks, each with the one remark that it draws.

mod clusters;
mod edges;
mod policies;
mod routes;

use super::made;
use super::source;
use crate::{Environment, load};
use std::collections::HashSet;

const SHOP: &str = include_str!("shop.yaml");

/// A change, and what is said of it.
struct Row {
    /// What stands once in the configuration, and what stands there instead.
    changes: &'static [(&'static str, &'static str)],
    code: &'static str,
    part: &'static str,
    /// Of remarks on a whole part, or on what was read a moment ago, empty: the place says it.
    field: &'static str,
    /// What stands at the place that is pointed at.
    at: &'static str,
}

const fn row(
    changes: &'static [(&'static str, &'static str)],
    code: &'static str,
    part: &'static str,
    field: &'static str,
    at: &'static str,
) -> Row {
    Row {
        changes,
        code,
        part,
        field,
        at,
    }
}

/// What is wrong with what is said of a change; none: nothing.
fn wrong(row: &Row) -> Option<String> {
    let mut text = SHOP.to_owned();
    for (old, new) in row.changes {
        if text.matches(old).count() != 1 {
            return Some(format!("`{old}` does not stand once in the configuration"));
        }
        text = text.replace(old, new);
    }
    let receipt = match load(&source(&text), &Environment::empty()) {
        Ok(loaded) => made(&loaded.config).with_lines(&source(&text)),
        Err(faults) => return Some(faults.to_string()),
    };
    let shown: String = receipt
        .remarks()
        .iter()
        .map(|one| {
            format!(
                "{one}   of {:?}, field {:?}\n",
                one.part().unwrap_or_default(),
                one.field().unwrap_or_default()
            )
        })
        .collect();
    let [remark] = receipt.remarks() else {
        return Some(format!(
            "{} remarks on {:?}\n{shown}",
            receipt.remarks().len(),
            row.changes
        ));
    };
    let line = text.lines().nth(remark.line() as usize - 1).unwrap_or_default();
    let found: String = line.chars().skip(remark.column() as usize - 1).collect();
    let is_it = remark.code().is_some_and(|code| code.as_str() == row.code)
        && remark.part().unwrap_or_default() == row.part
        && remark.field().unwrap_or_default() == row.field
        && found.starts_with(row.at)
        && remark.help().is_some();
    (!is_it).then(|| format!("{:?}\n{shown}", row.changes))
}

/// Changes that come as near to a remark as they can.
const NEAR: &[(&str, &str)] = &[
    (
        "\nlisteners:\n",
        "\ntelemetry: { latency_buckets: [500000us] }\nlisteners:\n",
    ),
    (
        "\nlisteners:\n",
        "\ntelemetry: { latency_buckets: [1ms, 500ms, 1h] }\nlisteners:\n",
    ),
    (
        "\nlisteners:\n",
        "\ntelemetry: { recorder: { slow: 1s } }\nlisteners:\n",
    ),
    ("per_try_timeout: 2s", "per_try_timeout: 4999ms"),
    ("per_try_idle_timeout: 1s", "per_try_idle_timeout: 1999ms"),
    (
        "per_try_timeout: 2s, per_try_idle_timeout: 1s",
        "per_try_idle_timeout: 4s",
    ),
    ("stream_duration_max: 10s", "stream_duration_max: 3001ms"),
    ("stream_idle_timeout: 3s", "stream_idle_timeout: 9s"),
    ("stream_idle_timeout: 3s", "stream_idle_timeout: 2s"),
    ("stream_idle_timeout: 3s", "stream_idle_timeout: off"),
    (
        "              timeout: 5s\n",
        "              timeout: 5s\n              stream_idle_timeout: 29s\n",
    ),
    (
        "              timeout: 5s\n",
        "              stream_idle_timeout: 40s\n",
    ),
    (
        "forward: { cluster: stock, ",
        "forward: { cluster: stock, timeout: 1m, ",
    ),
    (
        "forward: { cluster: stock, ",
        "forward: { cluster: stock, timeout: 5m, stream_idle_timeout: off, ",
    ),
    ("idle_timeout: 10m\n", "idle_timeout: 59m\n"),
    ("          idle_timeout: 10m\n", ""),
    ("connection_duration_max: 2h", "connection_duration_max: 31m"),
    ("          idle_timeout: 30m\n", ""),
    ("after: 100ms", "after: 799ms"),
    ("after: 100ms", "after: per_try_timeout"),
    ("after: 100ms", "after: { quantile: 99, delay_min: 10ms }"),
    (
        "percent: 10, concurrency_min: 2",
        "percent: 0, concurrency_min: 1",
    ),
    (
        "percent: 10, concurrency_min: 2",
        "percent: 1, concurrency_min: 0",
    ),
    ("x-shop: \"1\"", "x-envoy-attempt: \"1\""),
    ("percent: 5 }]", "percent: 0.0001 }]"),
    ("match: { prefix: /chat }", "match: { prefix: /cart-chat }"),
    (
        "match: { prefix: /chat }",
        "match: { regex: '/(cart|chat)/[0-9]+' }",
    ),
    ("match: { prefix: /chat }", "match: { path: /order }"),
    ("match: { prefix: /chat }", "match: { prefix: /catalogue }"),
    (
        "terminal: true }]",
        "terminal: false }, { source_address: true, terminal: true }]",
    ),
    ("upgrades: [websocket], upgrade", "upgrade"),
    (
        "fault: { headers: [{ name: x-chaos, present: true }], ",
        "fault: { affected_max: 99.9, ",
    ),
    (
        "fault: { headers: [{ name: x-chaos, present: true }], ",
        "fault: { active_max: 5, ",
    ),
    (
        "fault: { headers: [{ name: x-chaos, present: true }], abort: { percent: 100",
        "fault: { abort: { percent: 99",
    ),
    (", expires: never }", ", expires: \"2099-01-31T18:00:00Z\" }"),
    ("address: 192.0.2.1:80\n", "address: 0.0.0.0:80\n"),
    ("address: 192.0.2.1:80\n", "address: '[::]:443'\n"),
    ("connections_max: 5000\n", "connections_max: 20000\n"),
    (
        "match: { destination_port: 443 }",
        "match: { destination_prefixes: [192.0.2.0/24] }",
    ),
    (
        "match: { destination_port: 443 }",
        "match: { source_prefixes: [10.0.0.0/8] }",
    ),
    (
        "    address: 192.0.2.1:443\n",
        "    address: 192.0.2.1:15443\n    interception: redirect\n",
    ),
    (
        "    address: 192.0.2.1:443\n",
        "    address: 192.0.2.1:15443\n    proxy_protocol: { mode: required }\n",
    ),
    (
        "rules: [{ paths: [{ prefix: /private }] }]",
        "rules: [{ methods: [GET] }]",
    ),
    (
        "rules: [{ paths: [{ prefix: /private }] }]",
        "shadow: true\n    rules: [{ always: true }]",
    ),
    (
        "  - name: peers\n    descriptors: [[source_identity]]",
        "  - name: peers\n    shadow: true",
    ),
    (
        "local: { limit: { requests: 1000, per: 1s } }",
        "local: { limit: { requests: 2000, per: 1s, burst: 3000 } }",
    ),
    (
        "weight: 3 }, { locality: eu/b, weight: 1 }",
        "weight: 0 }, { locality: eu/b, weight: 1 }",
    ),
    (
        "{ enforcing_failure_percentage: 100, failure_percentage_minimum_hosts: 2 }",
        "true",
    ),
    (
        "consecutive_5xx: 3, max_ejection_percent: 50",
        "max_ejection_percent: 0",
    ),
    (
        "consecutive_5xx: 3, max_ejection_percent: 50",
        "enforcing_consecutive_5xx: 0",
    ),
    ("interval: 5s }", "interval: 4m, timeout: 4m }"),
    (
        "pending_max: 100, requests_max: 400",
        "pending_max: 399, requests_max: 400",
    ),
    ("pending_max: 100, requests_max: 400", "requests_max: 400"),
    ("requests_max: 150", "requests_max: 999"),
    ("connections_max: 100 }", "connections_max: 2048 }"),
    ("concurrency_min: 10", "concurrency_min: 999"),
];

#[test]
fn changes_that_come_near_draw_nothing() {
    let mut failures = String::new();
    for (old, new) in NEAR {
        assert_eq!(SHOP.matches(old).count(), 1, "{old}");
        let text = SHOP.replace(old, new);
        match load(&source(&text), &Environment::empty()) {
            Ok(loaded) => made(&loaded.config)
                .remarks()
                .iter()
                .for_each(|one| failures.push_str(&format!("{new}: {one}\n"))),
            Err(faults) => failures.push_str(&format!("{new}: {faults}\n")),
        }
    }
    assert!(failures.is_empty(), "{failures}");
    assert!(NEAR.len() >= 50);
}

#[test]
fn every_change_draws_its_remark_and_no_other() {
    let tables = [routes::ROWS, clusters::ROWS, policies::ROWS, edges::ROWS];
    let rows: Vec<&Row> = tables.into_iter().flatten().collect();
    let failures: Vec<String> = rows.iter().filter_map(|row| wrong(row)).collect();
    assert!(
        failures.is_empty(),
        "{} of {}:\n{}",
        failures.len(),
        rows.len(),
        failures.join("\n")
    );
    assert!(rows.len() >= 100, "{}", rows.len());
    let codes: HashSet<&str> = rows.iter().map(|row| row.code).collect();
    // What cannot be made by one change of this configuration has tests of its own.
    let elsewhere = [
        "policy-unused",
        "service-unused",
        "control-tls-unused",
        "collector-port-odd",
        "permissive-unused",
        "http-behind-tls",
        "certificate-expired",
        "certificate-expires-soon",
        "certificate-not-yet-valid",
        "private-key-open",
    ];
    let missing: Vec<&str> = crate::receipt::Code::ALL
        .iter()
        .map(|code| code.as_str())
        .filter(|code| !codes.contains(code) && !elsewhere.contains(code))
        .collect();
    assert!(missing.is_empty(), "no row draws {missing:?}");
}
