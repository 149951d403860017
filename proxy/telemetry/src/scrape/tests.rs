use super::*;
use crate::cell::labelled::Label;
use crate::{CodeClass, Metrics};
use std::time::Duration;

/// Everything, with the longest chunk's room and how many chunks there were.
fn read(mut scrape: Scrape) -> (String, usize, usize) {
    let (mut text, mut longest, mut chunks) = (String::new(), 0, 0);
    while let Some(chunk) = scrape.next_chunk() {
        longest = longest.max(chunk.capacity());
        chunks += 1;
        text += &chunk;
    }
    (text, longest, chunks)
}

#[test]
fn ten_thousand_clusters_are_never_held_at_once() {
    let metrics = Metrics::new(2, &[]);
    let held: Vec<_> = (0..10_000)
        .map(|number| {
            let cluster = metrics.cluster(&format!("outbound-{number:05}-of-a-service-with-a-long-name"));
            let cells = cluster.worker(number % 2);
            cells.requests[CodeClass::Success].inc();
            cells.request_duration.observe(Duration::from_millis(3));
            cluster
        })
        .collect();
    for format in [ExpositionFormat::Text, ExpositionFormat::OpenMetrics] {
        let (text, longest, chunks) = read(metrics.scrape(format));
        assert!(
            longest <= CHUNK_BYTES + CHUNK_SLACK_BYTES,
            "a chunk took {longest} bytes"
        );
        assert!(text.len() > 20_000_000, "{}", text.len());
        assert!(
            chunks > text.len() / (CHUNK_BYTES + CHUNK_SLACK_BYTES),
            "{chunks}"
        );
        let requests = |line: &&str| line.starts_with("outrigger_cluster_requests_total{");
        let classes = CodeClass::FROM_ZERO
            .iter()
            .filter(|from_zero| **from_zero)
            .count();
        assert_eq!(text.lines().filter(requests).count(), held.len() * classes);
        assert_eq!(
            text.lines()
                .filter(|line| line.starts_with("# TYPE outrigger_cluster_requests"))
                .count(),
            1 + 1,
            "a family that spans chunks is announced once; the other one is that of active requests"
        );
    }
}

#[test]
fn label_sets_with_nothing_to_tell_end_a_chunk_too() {
    let metrics = Metrics::new(1, &[]);
    let _held: Vec<_> = (0..LOOKS_MAX * 2)
        .map(|number| metrics.policy(&number.to_string()))
        .collect();
    let mut scrape = metrics.scrape(ExpositionFormat::Text);
    let mut empty = 0;
    while let Some(chunk) = scrape.next_chunk() {
        empty += usize::from(chunk.is_empty());
    }
    assert!(empty >= 1, "the caller got no turn in {} looks", LOOKS_MAX * 2);
}

#[test]
fn a_scrape_shows_what_is_there_when_it_comes_to_it_and_keeps_that() {
    let metrics = Metrics::new(1, &[]);
    let mut scrape = metrics.scrape(ExpositionFormat::OpenMetrics);
    let cluster = metrics.cluster("late");
    let mut text = String::new();
    while let Some(chunk) = scrape.next_chunk() {
        text += &chunk;
    }
    assert!(text.contains(r#"outrigger_cluster_attempts_total{cluster="late"} 0"#));
    assert!(text.ends_with("\n# EOF\n"));
    drop(cluster);
    assert_eq!(scrape.next_chunk(), None);
}
