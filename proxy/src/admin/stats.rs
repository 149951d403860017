//! `GET /stats`: all metrics for people, one to a line, those that a regular expression picks.
//!
//! What `/metrics` has as buckets is here a count, a mean and estimated quantiles.

use super::Shared;
use super::metrics::{Shape, stream};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use outrigger_telemetry::ExpositionFormat;
use regex::Regex;
use serde::Deserialize;
use std::fmt::Write;

/// The quantiles that are estimated.
const QUANTILES: [(&str, f64); 3] = [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StatsQuery {
    /// Only lines of which this regular expression matches the name or the labels.
    filter: Option<String>,
    /// Only what is not 0; a value is not looked at.
    usedonly: Option<String>,
}

pub(super) async fn stats(
    State(status): Shared,
    query: Result<Query<StatsQuery>, QueryRejection>,
) -> Response {
    let refuse = |why: String| (StatusCode::BAD_REQUEST, format!("{why}\n")).into_response();
    let query = match query {
        Ok(Query(query)) => query,
        Err(rejection) => return refuse(rejection.body_text()),
    };
    let filter = match query.filter.as_deref().map(Regex::new).transpose() {
        Ok(filter) => filter,
        Err(error) => return refuse(format!("`filter` is no regular expression: {error}")),
    };
    let picks = Picks {
        filter,
        used_only: query.usedonly.is_some(),
    };
    let shape = Shape::Lines(picks);
    stream(status, ExpositionFormat::Text, shape, None)
}

/// Which lines are wanted.
pub(super) struct Picks {
    filter: Option<Regex>,
    used_only: bool,
}

/// The buckets of a histogram of which not all lines have been seen.
#[derive(Default)]
struct Buckets {
    /// Upper bound in seconds, and how many are not above it.
    counts: Vec<(f64, f64)>,
    sum: f64,
}

impl Picks {
    /// The lines of a chunk of the text format, in which no histogram is cut.
    pub(super) fn lines(&self, chunk: &str) -> String {
        let mut out = String::new();
        let mut buckets = Buckets::default();
        for line in chunk.lines().filter(|line| !line.starts_with('#')) {
            let Some((series, value)) = line.rsplit_once(' ') else {
                continue;
            };
            let (name, labels) = series.split_at(series.find('{').unwrap_or(series.len()));
            let number = value.parse().unwrap_or(f64::NAN);
            if name.ends_with("_bucket")
                && let Some(bound) = bound(labels)
            {
                buckets.counts.push((bound, number));
            } else if !buckets.counts.is_empty() && name.ends_with("_sum") {
                buckets.sum = number;
            } else if !buckets.counts.is_empty()
                && let Some(family) = name.strip_suffix("_count")
            {
                let told = std::mem::take(&mut buckets).tell(number);
                self.add(&mut out, &format!("{family}{labels}"), &told, number);
            } else {
                self.add(&mut out, series, value, number);
            }
        }
        out
    }

    fn add(&self, out: &mut String, series: &str, told: &str, number: f64) {
        let is_wanted = self.filter.as_ref().is_none_or(|filter| filter.is_match(series));
        if is_wanted && !(self.used_only && number == 0.0) {
            writeln!(out, "{series}: {told}").expect("a string takes any text");
        }
    }
}

/// The upper bound among a bucket's labels.
fn bound(labels: &str) -> Option<f64> {
    let (_, after) = labels.rsplit_once("le=\"")?;
    // Infinity is written `+Inf`, which the parser knows.
    after.split('"').next()?.parse().ok()
}

impl Buckets {
    fn tell(self, count: f64) -> String {
        let mut text = format!("count {count}");
        if count > 0.0 {
            write!(text, ", mean {}", seconds(self.sum / count)).expect("a string takes any text");
            for (name, quantile) in QUANTILES {
                write!(text, ", {name} {}", self.quantile(quantile, count)).expect("a string takes any text");
            }
        }
        text
    }

    /// As Prometheus' `histogram_quantile` estimates it: evenly spread within a bucket.
    fn quantile(&self, quantile: f64, count: f64) -> String {
        let rank = quantile * count;
        let (mut low, mut below) = (0.0, 0.0);
        for (bound, up_to) in &self.counts {
            if *up_to >= rank {
                if bound.is_infinite() {
                    return format!("over {}", seconds(low));
                }
                let within = (rank - below) / (up_to - below);
                return seconds(low + (bound - low) * within);
            }
            (low, below) = (*bound, *up_to);
        }
        format!("over {}", seconds(low))
    }
}

fn seconds(value: f64) -> String {
    match value {
        value if value < 0.001 => format!("{:.0} µs", value * 1e6),
        value if value < 1.0 => format!("{:.1} ms", value * 1e3),
        value => format!("{value:.2} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNK: &str = "\
# HELP outrigger_requests_total Requests.
# TYPE outrigger_requests_total counter
outrigger_requests_total{direction=\"inbound\",code_class=\"2xx\"} 12
outrigger_requests_total{direction=\"inbound\",code_class=\"5xx\"} 0
outrigger_time_seconds_bucket{route=\"a b\",le=\"0.001\"} 50
outrigger_time_seconds_bucket{route=\"a b\",le=\"0.1\"} 90
outrigger_time_seconds_bucket{route=\"a b\",le=\"+Inf\"} 100
outrigger_time_seconds_sum{route=\"a b\"} 250
outrigger_time_seconds_count{route=\"a b\"} 100
outrigger_idle_seconds_bucket{le=\"0.1\"} 0
outrigger_idle_seconds_bucket{le=\"+Inf\"} 0
outrigger_idle_seconds_sum 0
outrigger_idle_seconds_count 0
outrigger_worker_count 2
";

    fn lines(filter: Option<&str>, used_only: bool) -> String {
        let filter = filter.map(|filter| Regex::new(filter).unwrap());
        Picks { filter, used_only }.lines(CHUNK)
    }

    #[test]
    fn each_metric_is_a_line_and_a_histogram_too() {
        assert_eq!(
            lines(None, false),
            "\
outrigger_requests_total{direction=\"inbound\",code_class=\"2xx\"}: 12
outrigger_requests_total{direction=\"inbound\",code_class=\"5xx\"}: 0
outrigger_time_seconds{route=\"a b\"}: count 100, mean 2.50 s, p50 1.0 ms, p95 over 100.0 ms, p99 over 100.0 ms
outrigger_idle_seconds: count 0
outrigger_worker_count: 2
"
        );
    }

    #[test]
    fn only_what_is_wanted_is_told() {
        assert_eq!(
            lines(Some("^outrigger_(requests|idle)"), true),
            "outrigger_requests_total{direction=\"inbound\",code_class=\"2xx\"}: 12\n"
        );
        assert_eq!(lines(Some("route=\"a"), false).lines().count(), 1);
    }

    #[test]
    fn quantiles_lie_within_their_bucket() {
        let buckets = Buckets {
            counts: vec![(0.1, 10.0), (0.2, 20.0), (f64::INFINITY, 20.0)],
            sum: 1.0,
        };
        assert_eq!(buckets.quantile(0.25, 20.0), "50.0 ms");
        assert_eq!(buckets.quantile(0.75, 20.0), "150.0 ms");
    }
}
