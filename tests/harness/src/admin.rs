//! The admin endpoint as a test reads it.

use crate::client::{Client, Response};
use crate::wait::wait_until;
use serde_json::Value;
use std::net::SocketAddr;

/// An admin endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admin(pub SocketAddr);

impl Admin {
    /// The answer to a GET.
    pub async fn fetch(self, path: &str) -> Response {
        self.call("GET", path).await
    }

    /// The answer to a POST without a body.
    pub async fn post(self, path: &str) -> Response {
        self.call("POST", path).await
    }

    async fn call(self, method: &str, path: &str) -> Response {
        let mut client = Client::connect(self.0).await;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
        );
        client.send(request.as_bytes()).await;
        client.response(method).await
    }

    /// All metrics.
    pub async fn metrics(self) -> Metrics {
        let response = self.fetch("/metrics").await;
        assert_eq!(response.status(), 200, "{}", response.text());
        Metrics(response.text())
    }

    /// The sum of the series of this name whose labels hold all of these: `name` or `name{label="value",...}`.
    pub async fn metric(self, series: &str) -> f64 {
        self.metrics().await.sum(series)
    }

    /// Waits until a metric has this value; metrics of a request may be written after its last byte.
    pub async fn wait_for_metric(self, series: &str, value: f64) {
        self.wait_for(series, |found| found == value).await;
    }

    /// Waits until a metric's value is what `expected` wants.
    pub async fn wait_for(self, series: &str, expected: impl Fn(f64) -> bool) -> f64 {
        let expected = &expected;
        wait_until(&format!("the metric {series}"), || async move {
            let found = self.metric(series).await;
            expected(found).then_some(found)
        })
        .await
    }

    /// `/config_dump`.
    pub async fn config_dump(self) -> Value {
        self.json("/config_dump").await
    }

    /// An answer that is JSON.
    pub async fn json(self, path: &str) -> Value {
        let response = self.fetch(path).await;
        assert_eq!(response.status(), 200, "{}", response.text());
        serde_json::from_slice(&response.body.bytes).expect("the answer is JSON")
    }
}

/// What `/metrics` said.
#[derive(Debug, Clone)]
pub struct Metrics(pub String);

impl Metrics {
    /// The sum of the series of this name whose labels hold all of these: `name` or `name{label="value",...}`.
    pub fn sum(&self, series: &str) -> f64 {
        let (name, labels) = match series.split_once('{') {
            None => (series, Vec::new()),
            Some((name, labels)) => (name, labels.trim_end_matches('}').split("\",").collect()),
        };
        let labels: Vec<String> = labels
            .into_iter()
            .map(|label| format!("{}\"", label.trim_end_matches('"')))
            .collect();
        let matches = |line: &&str| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| {
                (rest.starts_with('{') || rest.starts_with(' '))
                    && labels.iter().all(|label| has_label(rest, label))
            })
        };
        self.0
            .lines()
            .filter(matches)
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }
}

fn has_label(rest: &str, label: &str) -> bool {
    rest.find(label)
        .is_some_and(|at| matches!(rest.as_bytes()[at - 1], b'{' | b','))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_summed_by_their_labels() {
        let metrics = Metrics(
            "# HELP a x\na{b=\"1\",c=\"2\"} 3\na{b=\"1\",c=\"4\"} 5\na{b=\"10\",c=\"2\"} 7\nab 9\nplain 2\n"
                .into(),
        );
        for (series, sum) in [
            ("a", 15.0),
            ("a{b=\"1\"}", 8.0),
            ("a{c=\"2\"}", 10.0),
            ("a{b=\"1\",c=\"2\"}", 3.0),
            ("plain", 2.0),
            ("absent", 0.0),
        ] {
            assert_eq!(metrics.sum(series), sum, "{series}");
        }
    }
}
