//! Envoy's arithmetic over the endpoints of a cluster: who has fewer successes than the others.

/// What an endpoint did in an interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Tally {
    pub(super) all: u64,
    /// At most `all`.
    pub(super) failed: u64,
}

impl Tally {
    /// Successes, percent; none if there is nothing to go by.
    pub(super) fn success_rate(self) -> Option<f64> {
        (self.all > 0).then(|| 100.0 * (self.all - self.failed) as f64 / self.all as f64)
    }
}

/// What is needed before statistics mean anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Enough {
    /// Endpoints with enough requests.
    pub(super) hosts: u32,
    /// Requests of an endpoint in an interval.
    pub(super) requests: u32,
}

/// The places of the tallies that are enough, with their success rates; none if there are too few of them.
fn considered(tallies: &[Tally], enough: Enough) -> Option<Vec<(usize, f64)>> {
    let rates: Vec<(usize, f64)> = tallies
        .iter()
        .enumerate()
        .filter(|(_, tally)| tally.all >= u64::from(enough.requests))
        .filter_map(|(place, tally)| Some((place, tally.success_rate()?)))
        .collect();
    (!rates.is_empty() && rates.len() >= enough.hosts as usize).then_some(rates)
}

/// The success rate below which an endpoint is an outlier: the mean less `factor_thousandths` / 1000 standard deviations
/// (of the population).
pub(super) fn threshold(rates: &[(usize, f64)], factor_thousandths: u32) -> f64 {
    let count = rates.len() as f64;
    let mean = rates.iter().map(|(_, rate)| rate).sum::<f64>() / count;
    let variance = rates.iter().map(|(_, rate)| (rate - mean).powi(2)).sum::<f64>() / count;
    mean - f64::from(factor_thousandths) / 1000.0 * variance.sqrt()
}

/// The places of those with fewer successes than the others.
pub(super) fn below_the_others(tallies: &[Tally], enough: Enough, factor_thousandths: u32) -> Vec<usize> {
    let Some(rates) = considered(tallies, enough) else {
        return Vec::new();
    };
    let threshold = threshold(&rates, factor_thousandths);
    let below = rates.into_iter().filter(|(_, rate)| *rate < threshold);
    below.map(|(place, _)| place).collect()
}

/// The places of those of whose requests at least `percent` failed.
pub(super) fn failing(tallies: &[Tally], enough: Enough, percent: u32) -> Vec<usize> {
    let rates = considered(tallies, enough).unwrap_or_default();
    let failing = rates
        .into_iter()
        .filter(|(_, rate)| 100.0 - rate >= f64::from(percent));
    failing.map(|(place, _)| place).collect()
}
