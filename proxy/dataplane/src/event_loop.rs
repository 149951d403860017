//! How late a thread is: whatever holds it up, a request waits for as long.
//!
//! A timer is set again and again, and what lies between its time and that at which it was served is counted. It says
//! nothing of who it was: a profiler does.

use outrigger_telemetry::EventLoopMetrics;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Between two looks. What holds a thread up for as long is always seen, and for a tenth of it one time in ten; each look
/// costs a few microseconds.
const INTERVAL: Duration = Duration::from_millis(250);

/// When the next look is due.
#[derive(Debug, Clone, Copy)]
struct Lateness {
    due: Instant,
}

impl Lateness {
    fn from(now: Instant) -> Lateness {
        Lateness { due: now + INTERVAL }
    }

    /// How late a look is; the next one is due an interval after it, so that what is missed is counted once.
    fn look(&mut self, now: Instant) -> Duration {
        let late = now.saturating_duration_since(self.due);
        self.due = now + INTERVAL;
        late
    }
}

/// Measures the runtime that polls this, for as long as it does. `writer`: whose cells of `metrics` nobody else writes.
pub async fn measure(metrics: Arc<EventLoopMetrics>, writer: usize) {
    let mut lateness = Lateness::from(Instant::now());
    loop {
        tokio::time::sleep_until(lateness.due).await;
        let late = lateness.look(Instant::now());
        metrics.worker(writer).delay.observe(late);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use outrigger_telemetry::Metrics;

    #[test]
    fn what_is_missed_is_counted_once() {
        let start = Instant::now();
        let mut lateness = Lateness::from(start);
        assert_eq!(lateness.look(start + INTERVAL), Duration::ZERO);
        let held_up = INTERVAL * 4;
        let now = start + INTERVAL * 2 + held_up;
        assert_eq!(lateness.look(now), held_up);
        assert_eq!(lateness.look(now + INTERVAL), Duration::ZERO);
        assert_eq!(lateness.look(now), Duration::ZERO, "early is not late");
    }

    #[tokio::test(start_paused = true)]
    async fn each_interval_is_one_look() {
        let metrics = Metrics::new(1, &[]);
        let cells = metrics.event_loop("control");
        let measuring = tokio::spawn(measure(Arc::clone(&cells), 0));
        tokio::time::sleep(INTERVAL * 4 + INTERVAL / 2).await;
        measuring.abort();
        assert_eq!(cells.worker(0).delay.count(), 4);
    }
}
