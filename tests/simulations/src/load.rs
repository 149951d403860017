//! Clients: requests that are due at a fixed rate, whatever answers do.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout};

/// What came of a load.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// In the order in which they were due.
    requests: Vec<Request>,
}

/// When a request was due, since the load began, and how long its good answer took; none: it had no good one.
type Request = (Duration, Option<Duration>);

impl Outcome {
    /// Requests that were due.
    pub fn due(&self) -> u64 {
        self.requests.len() as u64
    }

    /// Requests that were answered 2xx in time.
    pub fn good(&self) -> u64 {
        self.requests.iter().filter(|(_, took)| took.is_some()).count() as u64
    }

    /// The share of good answers among requests that were due from one moment to another.
    pub fn good_between(&self, from: Duration, to: Duration) -> f64 {
        // They are in the order of their due times.
        let place = |time| self.requests.partition_point(|(due, _)| *due < time);
        let within = &self.requests[place(from)..place(to)];
        let good = within.iter().filter(|(_, took)| took.is_some()).count();
        good as f64 / within.len().max(1) as f64
    }

    /// A quantile of the latencies of good answers; zero if there are none.
    pub fn latency(&self, quantile: f64) -> Duration {
        let mut latencies: Vec<Duration> = self.requests.iter().filter_map(|(_, took)| *took).collect();
        latencies.sort_unstable();
        let place = (quantile * latencies.len() as f64).ceil() as usize;
        latencies
            .get(place.saturating_sub(1))
            .copied()
            .unwrap_or_default()
    }

    /// How long after `since` it took until, for a whole second, 99 of 100 requests had good answers; none: never.
    pub fn recovered_after(&self, since: Duration) -> Option<Duration> {
        const STEP: Duration = Duration::from_millis(100);
        let end = self.requests.last()?.0;
        let mut from = since;
        while from + Duration::from_secs(1) <= end {
            if self.good_between(from, from + Duration::from_secs(1)) >= 0.99 {
                return Some(from - since);
            }
            from += STEP;
        }
        None
    }
}

/// Asks `rate` times a second for `duration`; an answer that takes longer than `patience` is none. `ask` gives a status.
pub async fn load<F>(rate: u32, duration: Duration, patience: Duration, ask: impl Fn() -> F) -> Outcome
where
    F: Future<Output = u16> + 'static,
{
    let start = Instant::now();
    let total = (duration.as_secs_f64() * f64::from(rate)).round() as u32;
    let interval = Duration::from_secs(1) / rate;
    let gathered: Rc<RefCell<Vec<Request>>> = Rc::default();
    let mut under_way = tokio::task::JoinSet::new();
    for number in 0..total {
        let due = interval * number;
        sleep_until(start + due).await;
        let gathered = Rc::clone(&gathered);
        let asking = ask();
        under_way.spawn_local(async move {
            let begun = Instant::now();
            let status = timeout(patience, asking).await;
            let took = matches!(status, Ok(200..300)).then(|| begun.elapsed());
            gathered.borrow_mut().push((due, took));
        });
    }
    while let Some(ended) = under_way.join_next().await {
        ended.expect("clients do not panic");
    }
    let mut requests = gathered.take();
    requests.sort_unstable();
    Outcome { requests }
}
