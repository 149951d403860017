//! Tables of what came of simulations.

use crate::load::Outcome;
use std::fmt::Write as _;
use std::time::Duration;

/// One line: a policy and what came of it.
#[derive(Debug, Clone)]
pub struct Line {
    /// What was done.
    pub policy: &'static str,
    /// What clients saw.
    pub outcome: Outcome,
    /// Requests that servers saw.
    pub received: u64,
    /// When what was the matter ended, since the load began; none: it did not end, or nothing is to be recovered from.
    pub mended: Option<Duration>,
}

impl Line {
    /// Requests that servers saw for each that was due.
    pub fn extra(&self) -> f64 {
        self.received as f64 / self.outcome.due().max(1) as f64
    }
}

/// A Markdown table.
pub fn table(lines: &[Line]) -> String {
    let mut text = String::from(
        "| policy | requests | good | upstream for one | p50 ms | p99 ms | recovered after |\n|---|---|---|---|---|---|---|\n",
    );
    for line in lines {
        let outcome = &line.outcome;
        let recovered = match line.mended {
            None => "–".to_owned(),
            Some(mended) => outcome
                .recovered_after(mended)
                .map_or("never".to_owned(), |after| {
                    format!("{:.1} s", after.as_secs_f64())
                }),
        };
        let milliseconds = |quantile| outcome.latency(quantile).as_secs_f64() * 1000.0;
        writeln!(
            text,
            "| {} | {} | {:.2} % | {:.2} | {:.1} | {:.1} | {recovered} |",
            line.policy,
            outcome.due(),
            100.0 * outcome.good() as f64 / outcome.due().max(1) as f64,
            line.extra(),
            milliseconds(0.5),
            milliseconds(0.99),
        )
        .expect("a text takes what it is given");
    }
    text
}
