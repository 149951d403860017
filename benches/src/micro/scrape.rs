//! Rendering metrics.

use super::Call;
use outrigger_dataplane::refusals;
use outrigger_telemetry::{CodeClass, ExpositionFormat, Metrics};
use std::hint::black_box;
use std::time::Duration;

/// Renders everything, with so many clusters that both workers have sent requests to.
pub(super) fn render(clusters: usize) -> Call {
    let metrics = Metrics::new(2, refusals::reasons());
    let held: Vec<_> = (0..clusters)
        .map(|number| {
            let cluster = metrics.cluster(&format!("outbound-{number:05}"));
            for worker in cluster.workers() {
                worker.attempts.inc();
                worker.requests[CodeClass::Success].inc();
                worker.request_duration.observe(Duration::from_millis(3));
                worker.time_to_answer.observe(Duration::from_millis(2));
            }
            cluster
        })
        .collect();
    Box::new(move || {
        let mut scrape = metrics.scrape(ExpositionFormat::OpenMetrics);
        while let Some(chunk) = scrape.next_chunk() {
            black_box(chunk);
        }
        black_box(&held);
    })
}
