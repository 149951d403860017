//! A real Prometheus in whose time a minute is two seconds, so that windows of an hour are full within a test.

use super::super::Beside;
use outrigger_harness::client::fetch;
use outrigger_harness::wait_until;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Between two looks at what fires.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// An alert, and the cluster or else the proxy that it is about.
pub(super) type Alert = (String, String);

pub(super) struct Prometheus {
    address: SocketAddr,
    _program: Beside,
    _directory: TempDir,
}

impl Prometheus {
    /// Starts one with these rules that scrapes these proxies.
    pub(super) async fn start(rules: &Path, targets: &[SocketAddr]) -> Prometheus {
        let directory = tempfile::tempdir().unwrap();
        let text = fs::read_to_string(rules).unwrap();
        fs::write(directory.path().join("rules.yml"), in_seconds(&text)).unwrap();
        let targets: Vec<String> = targets.iter().map(|target| format!("'{target}'")).collect();
        let config = format!(
            "global: {{ scrape_interval: 2s, scrape_timeout: 2s, evaluation_interval: 1s }}\n\
             rule_files: [rules.yml]\n\
             scrape_configs: [{{ job_name: outrigger, static_configs: [{{ targets: [{}] }}] }}]\n",
            targets.join(", ")
        );
        fs::write(directory.path().join("prometheus.yml"), config).unwrap();
        // It cannot be told to take any port and say which.
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let mut command = Command::new("prometheus");
        command
            .arg("--config.file=prometheus.yml")
            .arg("--storage.tsdb.path=data")
            .arg(format!("--web.listen-address={address}"))
            .arg("--log.level=error")
            .current_dir(directory.path());
        let prometheus = Prometheus {
            address,
            _program: Beside::start(command),
            _directory: directory,
        };
        wait_until("Prometheus", async || {
            tokio::net::TcpStream::connect(address).await.ok()?;
            let response = fetch(address, "/-/ready", "").await;
            (response.status() == 200).then_some(())
        })
        .await;
        prometheus
    }

    /// Every rule by its name, with its query.
    pub(super) async fn rules(&self) -> Vec<(String, String)> {
        let response = fetch(self.address, "/api/v1/rules", "").await;
        let answer: Value = serde_json::from_str(&response.text()).unwrap();
        let groups = answer["data"]["groups"].as_array().unwrap();
        let rules = groups.iter().flat_map(|group| group["rules"].as_array().unwrap());
        let text = |rule: &Value, field: &str| rule[field].as_str().unwrap().to_owned();
        let query = |rule: &Value| match rule["type"] == "alerting" {
            // Some causes come again and again, and not at every moment.
            true => format!("max_over_time(({})[10m:1s])", text(rule, "query")),
            false => text(rule, "query"),
        };
        let rules: Vec<_> = rules.map(|rule| (text(rule, "name"), query(rule))).collect();
        assert!(rules.len() > 50, "{} rules", rules.len());
        rules
    }

    /// The labels of what a query finds.
    pub(super) async fn query(&self, expression: &str) -> Vec<Value> {
        let path = format!("/api/v1/query?query={}", percent_encoded(expression));
        let response = fetch(self.address, &path, "").await;
        let answer: Value = serde_json::from_str(&response.text()).unwrap();
        assert_eq!(answer["status"], "success", "{expression}: {answer}");
        let found = answer["data"]["result"].as_array().cloned().unwrap_or_default();
        // A number that is none is what a panel shows as nothing.
        let is_number = |one: &Value| one["value"][1] != "NaN";
        found
            .into_iter()
            .filter(is_number)
            .map(|mut one| one["metric"].take())
            .collect()
    }

    /// The alerts that were ever in one of these states.
    pub(super) async fn alerts(&self, states: &str) -> BTreeSet<Alert> {
        let query = format!("max_over_time(ALERTS{{alertstate=~\"{states}\"}}[1h])");
        let found = self.query(&query).await;
        let text = |labels: &Value, name: &str| labels[name].as_str().map(str::to_owned);
        found
            .iter()
            .map(|labels| {
                let about = text(labels, "cluster").or_else(|| text(labels, "instance"));
                (text(labels, "alertname").unwrap(), about.unwrap_or_default())
            })
            .collect()
    }

    /// Waits until all of these have fired; those that have.
    pub(super) async fn wait_for_alerts(
        &self,
        wanted: &BTreeSet<Alert>,
        patience: Duration,
    ) -> BTreeSet<Alert> {
        let started = Instant::now();
        loop {
            let fired = self.alerts("firing").await;
            if wanted.is_subset(&fired) || started.elapsed() > patience {
                return fired;
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }
}

/// Seconds that stand for a minute.
const MINUTE: u64 = 2;

/// The rules with all durations, in windows and in `for`, as much shorter.
fn in_seconds(rules: &str) -> String {
    let mut text = String::new();
    for line in rules.lines() {
        match line.trim().strip_prefix("for: ") {
            Some(duration) => text.push_str(&line.replace(duration, &shortened(duration))),
            None => {
                let mut rest = line;
                while let Some((before, window)) = rest.split_once('[') {
                    let (window, after) = window.split_once(']').expect("a window ends");
                    write!(text, "{before}[{}]", shortened(window)).unwrap();
                    rest = after;
                }
                text.push_str(rest);
            }
        }
        text.push('\n');
    }
    text
}

fn shortened(duration: &str) -> String {
    let (number, unit) = duration.split_at(duration.len() - 1);
    let minutes = match unit {
        "m" => 1,
        "h" => 60,
        "d" => 24 * 60,
        _ => panic!("a duration of another unit: {duration}"),
    };
    let number: u64 = number.parse().expect("a whole number of one unit");
    format!("{}s", number * minutes * MINUTE)
}

fn percent_encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' => encoded.push(char::from(byte)),
            _ => write!(encoded, "%{byte:02X}").unwrap(),
        }
    }
    encoded
}
