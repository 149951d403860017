use super::*;
use flate2::read::GzDecoder;
use std::io::Read;
use tokio_stream::StreamExt;

fn metrics(clusters: usize) -> (Arc<Metrics>, Vec<Arc<outrigger_telemetry::ClusterMetrics>>) {
    let metrics = Metrics::new(1, &[]);
    let held = (0..clusters)
        .map(|number| metrics.cluster(&format!("cluster-{number}")))
        .collect();
    (metrics, held)
}

fn plain() -> Output {
    Output {
        shape: Shape::Exposition,
        encoder: None,
    }
}

async fn whole(mut told: Told) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(chunk) = told.next().await {
        bytes.extend_from_slice(&chunk?);
    }
    Ok(bytes)
}

#[tokio::test]
async fn a_reader_gets_everything_and_gzip_is_the_same_text() {
    let (metrics, _held) = metrics(500);
    let mut texts = Vec::new();
    for gzip in [false, true] {
        let (teller, told) = channel(PATIENCE);
        let encoder = gzip.then(|| GzEncoder::new(Vec::new(), Compression::fast()));
        let telling = tokio::spawn(tell(
            metrics.scrape(ExpositionFormat::OpenMetrics),
            Output {
                shape: Shape::Exposition,
                encoder,
            },
            teller,
        ));
        let mut bytes = whole(told).await.unwrap();
        assert_eq!(telling.await.unwrap(), ScrapeOutcome::Served);
        if gzip {
            let mut text = Vec::new();
            GzDecoder::new(bytes.as_slice()).read_to_end(&mut text).unwrap();
            assert!(bytes.len() * 4 < text.len());
            bytes = text;
        }
        texts.push(String::from_utf8(bytes).unwrap());
    }
    assert!(texts[0].len() > 200_000 && texts[0].ends_with("# EOF\n"));
    assert_eq!(texts[0], texts[1]);
}

#[tokio::test]
async fn what_waits_for_a_slow_reader_is_bounded_and_then_dropped() {
    let (metrics, _held) = metrics(2_000);
    let long = Duration::from_secs(600);
    // It takes nothing; or it has taken a little again and again, until its time was up.
    for (chunk, whole) in [(Duration::from_millis(1), long), (long, Duration::ZERO)] {
        let (teller, mut told) = channel(Patience { chunk, whole });
        let outcome = tell(metrics.scrape(ExpositionFormat::Text), plain(), teller).await;
        assert_eq!(outcome, ScrapeOutcome::Slow);
        assert_eq!(told.chunks.len(), CHUNKS_WAITING_MAX);
        for _ in 0..CHUNKS_WAITING_MAX {
            assert!(told.next().await.unwrap().is_ok());
        }
        assert!(told.next().await.unwrap().is_err(), "it does not look whole");
        assert!(told.next().await.is_none());
    }
}

#[tokio::test]
async fn a_reader_that_leaves_ends_the_scrape() {
    let (metrics, _held) = metrics(10);
    let (teller, told) = channel(PATIENCE);
    drop(told);
    let outcome = tell(metrics.scrape(ExpositionFormat::Text), plain(), teller).await;
    assert_eq!(outcome, ScrapeOutcome::Left);
}
