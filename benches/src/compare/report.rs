//! What `compare` found, as Markdown for people and JSON for programs.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use super::Bench;
use crate::load::open_loop::Latencies;
use crate::peer::Peer;
use crate::scenario::Scenario;
use crate::statistics::median_ratio;

/// Whom the others are compared with.
const REFERENCES: [Peer; 3] = [Peer::Envoy, Peer::Haproxy, Peer::Nginx];
const MISSING: &str = "–";

/// Whether a row has figures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "state", content = "reason")]
pub(super) enum State {
    /// It has.
    Measured,
    /// It could not take part.
    NotMeasured(String),
    /// It took part, and something went wrong.
    Failed(String),
}

/// The whole outcome.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    placement: String,
    rounds: usize,
    slice_seconds: f64,
    versions: BTreeMap<Peer, String>,
    /// Rows of the closed-loop scenarios.
    pub(super) throughput: Vec<ThroughputRow>,
    /// Rows of the scenario `memory`.
    pub(super) memory: Vec<MemoryRow>,
    /// Rows of the scenario `latency`; the first is the upstream itself.
    pub(super) latency: Vec<LatencyRow>,
    /// Rows of the scenario `banner`; the first is the upstream itself.
    pub(super) banner: Vec<LatencyRow>,
}

/// One product in one scenario.
#[derive(Debug, Clone, Serialize)]
pub(super) struct ThroughputRow {
    pub(super) scenario: Scenario,
    pub(super) peer: Peer,
    #[serde(flatten)]
    pub(super) state: State,
    /// Median over rounds.
    pub(super) requests_per_cpu_second: Option<f64>,
    /// Median over rounds, by the wall clock.
    pub(super) requests_per_second: Option<f64>,
    /// Median of the ratios within rounds to each reference.
    pub(super) ratios: BTreeMap<Peer, f64>,
    pub(super) system_calls_per_request: Option<f64>,
    /// Requests per processor second of each round.
    pub(super) rounds: Vec<Option<f64>>,
}

/// One product's memory.
#[derive(Debug, Clone, Serialize)]
pub(super) struct MemoryRow {
    pub(super) peer: Peer,
    #[serde(flatten)]
    pub(super) state: State,
    pub(super) start_mib: Option<f64>,
    pub(super) kib_per_connection_1000: Option<f64>,
    pub(super) kib_per_connection_10000: Option<f64>,
    pub(super) kib_per_tls_connection_1000: Option<f64>,
}

/// One product's latency, or that of the upstream without a proxy; medians over rounds, in microseconds.
#[derive(Debug, Clone, Serialize)]
pub(super) struct LatencyRow {
    /// `None` is the upstream itself.
    pub(super) peer: Option<Peer>,
    #[serde(flatten)]
    pub(super) state: State,
    pub(super) p50_us: Option<f64>,
    pub(super) p99_us: Option<f64>,
    pub(super) p999_us: Option<f64>,
    pub(super) added_p50_us: Option<f64>,
    pub(super) added_p99_us: Option<f64>,
    /// Median of the ratios within rounds of what is added to the 99th percentile.
    pub(super) added_p99_ratios: BTreeMap<Peer, f64>,
    pub(super) rounds: Vec<Option<Latencies>>,
}

/// The median ratios of `figures` to those of each reference among `all`.
pub(super) fn ratios(figures: &[Option<f64>], all: &[(Peer, Vec<Option<f64>>)]) -> BTreeMap<Peer, f64> {
    all.iter()
        .filter(|(peer, _)| REFERENCES.contains(peer))
        .filter_map(|(peer, reference)| Some((*peer, median_ratio(figures, reference)?)))
        .collect()
}

impl Report {
    pub(super) fn new(bench: &Bench) -> Self {
        let version = |(peer, program): &(Peer, Option<_>)| {
            let version = program
                .as_ref()
                .map(|program: &std::path::PathBuf| peer.version(program));
            (*peer, version.unwrap_or_else(|| "not installed".to_owned()))
        };
        Self {
            placement: bench.placement.describe(),
            rounds: bench.options.rounds,
            slice_seconds: bench.options.slice.as_secs_f64(),
            versions: bench.programs.iter().map(version).collect(),
            throughput: Vec::new(),
            memory: Vec::new(),
            latency: Vec::new(),
            banner: Vec::new(),
        }
    }

    /// Whether any row failed.
    pub(super) fn has_failures(&self) -> bool {
        let throughput = self.throughput.iter().map(|row| &row.state);
        let memory = self.memory.iter().map(|row| &row.state);
        let latency = self.latency.iter().chain(&self.banner).map(|row| &row.state);
        throughput
            .chain(memory)
            .chain(latency)
            .any(|state| matches!(state, State::Failed(_)))
    }

    /// The tables.
    pub(super) fn markdown(&self) -> String {
        let mut text = format!(
            "{} rounds of {} s; {}.\n\n",
            self.rounds, self.slice_seconds, self.placement
        );
        for (peer, version) in &self.versions {
            text.push_str(&format!("- {}: {version}\n", peer.name()));
        }
        if !self.throughput.is_empty() {
            self.write_throughput(&mut text);
        }
        if !self.memory.is_empty() {
            self.write_memory(&mut text);
        }
        for (title, rows) in [("proxy", &self.latency), ("proxy, banner", &self.banner)] {
            if !rows.is_empty() {
                write_latency(title, rows, &mut text);
            }
        }
        text
    }

    fn write_throughput(&self, text: &mut String) {
        text.push_str(
            "\n| scenario | proxy | req/CPU-s | × Envoy | × HAProxy | × nginx | req/s | syscalls/req |\n\
             |---|---|---|---|---|---|---|---|\n",
        );
        for row in &self.throughput {
            let mut cells = vec![row.scenario.name().to_owned(), row.peer.name().to_owned()];
            match verdict(&row.state) {
                Some(verdict) => cells.push(verdict),
                None => {
                    cells.push(thousands(row.requests_per_cpu_second));
                    cells.extend(ratio_cells(&row.ratios));
                    cells.push(thousands(row.requests_per_second));
                    cells.push(
                        row.system_calls_per_request
                            .map_or_else(not_measured, |calls| format!("{calls:.2}")),
                    );
                }
            }
            write_row(text, cells, 8);
        }
    }

    fn write_memory(&self, text: &mut String) {
        text.push_str(
            "\n| proxy | MiB at start | KiB per idle connection, 1,000 | the same, 10,000 | TLS, 1,000 |\n\
             |---|---|---|---|---|\n",
        );
        for row in &self.memory {
            let mut cells = vec![row.peer.name().to_owned()];
            match verdict(&row.state) {
                Some(verdict) => cells.push(verdict),
                None => cells.extend(
                    [
                        row.start_mib,
                        row.kib_per_connection_1000,
                        row.kib_per_connection_10000,
                        row.kib_per_tls_connection_1000,
                    ]
                    .map(|figure| figure.map_or_else(not_measured, |figure| format!("{figure:.1}"))),
                ),
            }
            write_row(text, cells, 5);
        }
    }
}

fn write_latency(title: &str, rows: &[LatencyRow], text: &mut String) {
    text.push_str(&format!(
            "\n| {title} | p50 µs | p99 µs | p99.9 µs | added p50 | added p99 | added p99 × Envoy | × HAProxy | × nginx |\n\
             |---|---|---|---|---|---|---|---|---|\n",
        ));
    for row in rows {
        let mut cells = vec![row.peer.map_or("direct", Peer::name).to_owned()];
        match verdict(&row.state) {
            Some(verdict) => cells.push(verdict),
            None => {
                let figures = [
                    row.p50_us,
                    row.p99_us,
                    row.p999_us,
                    row.added_p50_us,
                    row.added_p99_us,
                ];
                cells.extend(figures.map(|figure| {
                    figure.map_or_else(|| MISSING.to_owned(), |figure| format!("{figure:.0}"))
                }));
                cells.extend(ratio_cells(&row.added_p99_ratios));
            }
        }
        write_row(text, cells, 9);
    }
}

fn write_row(text: &mut String, mut cells: Vec<String>, columns: usize) {
    cells.resize(columns, String::new());
    // Writing to a string cannot fail.
    let _ = writeln!(text, "| {} |", cells.join(" | "));
}

/// What stands instead of figures.
fn verdict(state: &State) -> Option<String> {
    let one_line = |reason: &str| reason.replace(['\n', '|'], " ");
    match state {
        State::Measured => None,
        State::NotMeasured(reason) => Some(format!("not measured ({})", one_line(reason))),
        State::Failed(reason) => Some(format!("FAILED: {}", one_line(reason))),
    }
}

fn ratio_cells(ratios: &BTreeMap<Peer, f64>) -> impl Iterator<Item = String> + '_ {
    REFERENCES.iter().map(|peer| {
        ratios
            .get(peer)
            .map_or_else(|| MISSING.to_owned(), |ratio| format!("{ratio:.2}"))
    })
}

fn thousands(figure: Option<f64>) -> String {
    figure.map_or_else(not_measured, |figure| format!("{:.1}k", figure / 1000.0))
}

fn not_measured() -> String {
    "not measured".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(peer: Peer, state: State, rounds: &[Option<f64>]) -> ThroughputRow {
        ThroughputRow {
            scenario: Scenario::Http1,
            peer,
            state,
            requests_per_cpu_second: rounds.first().copied().flatten(),
            requests_per_second: Some(40_000.0),
            ratios: ratios(rounds, &[(Peer::Envoy, vec![Some(20_000.0)])]),
            system_calls_per_request: None,
            rounds: rounds.to_vec(),
        }
    }

    fn report(throughput: Vec<ThroughputRow>) -> Report {
        Report {
            placement: "here".to_owned(),
            rounds: 1,
            slice_seconds: 2.0,
            versions: BTreeMap::new(),
            throughput,
            memory: Vec::new(),
            latency: Vec::new(),
            banner: Vec::new(),
        }
    }

    #[test]
    fn rows_say_figures_absence_and_failure() {
        let absent = State::NotMeasured("not installed".to_owned());
        let failed = State::Failed("3 of 9\nfailed".to_owned());
        let report = report(vec![
            row(Peer::Outrigger, State::Measured, &[Some(50_000.0)]),
            row(Peer::Nginx, absent, &[None]),
            row(Peer::Haproxy, failed, &[Some(1.0)]),
        ]);
        let text = report.markdown();
        assert!(
            text.contains("| http1 | outrigger | 50.0k | 2.50 | – | – | 40.0k | not measured |\n"),
            "{text}"
        );
        assert!(
            text.contains("| http1 | nginx | not measured (not installed) |  |"),
            "{text}"
        );
        assert!(
            text.contains("| http1 | haproxy | FAILED: 3 of 9 failed |  |"),
            "{text}"
        );
        assert!(report.has_failures());
    }

    #[test]
    fn json_has_state_and_ratios_by_name() {
        let report = report(vec![row(Peer::Outrigger, State::Measured, &[Some(50_000.0)])]);
        assert!(!report.has_failures());
        let value = serde_json::to_value(&report).unwrap();
        assert_eq!(value["throughput"][0]["state"], "measured");
        assert_eq!(value["throughput"][0]["ratios"]["envoy"], 2.5);
        assert_eq!(value["throughput"][0]["scenario"], "http1");
    }
}
