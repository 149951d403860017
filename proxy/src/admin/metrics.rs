//! `GET /metrics`: all metrics, streamed; and the stream of `/stats`.
//!
//! A scrape is written chunk by chunk into a channel that holds few, and waits there for its reader, so that it needs
//! the same memory whatever the number of clusters. Between chunks others have their turn on the control threads; workers
//! are never asked. A reader that takes nothing for [`Patience::chunk`] is cut off, and sees that the answer is not whole.

use super::Shared;
use super::stats::Picks;
use crate::overload;
use crate::status::Status;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use outrigger_config::model::CompressionAlgorithm;
use outrigger_telemetry::{ExpositionFormat, Metrics, ProcessFigures, Scrape, ScrapeOutcome};
use outrigger_traffic::content_coding;
use std::io::{self, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;
use tokio_stream::Stream;

/// Scrapes at once at most: two scrapers that overlap with themselves.
const SCRAPES_MAX: usize = 4;
/// Chunks that wait for their reader, at most.
const CHUNKS_WAITING_MAX: usize = 2;
/// Clusters whose gauges are brought up to date in one go.
const CLUSTERS_IN_ONE_GO: usize = 256;

/// How hard gzip tries: metrics repeat themselves, so that its least is enough.
const GZIP_LEVEL: u32 = 1;

/// How long a scrape waits for its reader.
#[derive(Debug, Clone, Copy)]
struct Patience {
    /// For one chunk.
    chunk: Duration,
    /// Since it began: from then on there has to be room at once.
    whole: Duration,
}

/// Prometheus gives a scrape up after ten seconds unless it is told otherwise, and never waits for longer than the
/// interval, by default a minute.
const PATIENCE: Patience = Patience {
    chunk: Duration::from_secs(10),
    whole: Duration::from_secs(60),
};

/// Bounds how many scrapes there are.
pub(crate) struct Scrapes(Arc<Semaphore>);

impl Default for Scrapes {
    fn default() -> Scrapes {
        Scrapes(Arc::new(Semaphore::new(SCRAPES_MAX)))
    }
}

pub(super) async fn metrics(State(status): Shared, headers: HeaderMap) -> Response {
    let values = |name: HeaderName| headers.get_all(name).into_iter().map(HeaderValue::as_bytes);
    let accept = values(header::ACCEPT).filter_map(|value| str::from_utf8(value).ok());
    let format = ExpositionFormat::negotiate(accept);
    let gzip = [CompressionAlgorithm::Gzip(GZIP_LEVEL)];
    let coding = content_coding::negotiate(values(header::ACCEPT_ENCODING), &gzip);
    let encoder = coding.map(|_| GzEncoder::new(Vec::new(), Compression::new(GZIP_LEVEL)));
    let mut response = stream(status, format, Shape::Exposition, encoder);
    let vary = HeaderValue::from_static("accept, accept-encoding");
    response.headers_mut().insert(header::VARY, vary);
    response
}

/// What is made of the text.
pub(super) enum Shape {
    /// It stays as it is.
    Exposition,
    /// Lines for people.
    Lines(Picks),
}

/// Answers with all metrics, if there is room for another reader.
pub(super) fn stream(
    status: Arc<Status>,
    format: ExpositionFormat,
    shape: Shape,
    encoder: Option<GzEncoder<Vec<u8>>>,
) -> Response {
    let outcomes = &status.metrics.process().scrapes;
    let Ok(place) = Arc::clone(&status.scrapes.0).try_acquire_owned() else {
        outcomes[ScrapeOutcome::Refused].inc();
        let reason =
            format!("{SCRAPES_MAX} scrapes are under way, and no more are served at once: try again later\n");
        return (
            StatusCode::SERVICE_UNAVAILABLE,
            [(header::RETRY_AFTER, "1")],
            reason,
        )
            .into_response();
    };
    let (teller, told) = channel(PATIENCE);
    let content_type = match shape {
        Shape::Exposition => format.content_type(),
        Shape::Lines(_) => "text/plain; charset=utf-8",
    };
    let is_coded = encoder.is_some();
    tokio::spawn(serve(status, format, Output { shape, encoder }, teller, place));
    let mut response = Body::from_stream(told).into_response();
    let fields = response.headers_mut();
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    if is_coded {
        fields.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

async fn serve(
    status: Arc<Status>,
    format: ExpositionFormat,
    output: Output,
    teller: Teller,
    _place: OwnedSemaphorePermit,
) {
    refresh(&status).await;
    let scrape = status.metrics.scrape(format);
    let outcome = tell(scrape, output, teller).await;
    count(&status.metrics, outcome);
}

fn count(metrics: &Metrics, outcome: ScrapeOutcome) {
    metrics.process().scrapes[outcome].inc();
    if outcome == ScrapeOutcome::Slow {
        tracing::warn!("a scrape was cut off: its reader was too slow");
    }
}

/// Brings up to date what is only looked at for scrapes.
async fn refresh(status: &Status) {
    let figures = tokio::task::spawn_blocking(|| (ProcessFigures::read(), overload::group_limit_bytes()));
    if let Ok((figures, group_limit)) = figures.await {
        figures.show(status.metrics.process(), group_limit);
    }
    let snapshot = status.published.load_full();
    for (number, cluster) in snapshot.clusters().enumerate() {
        cluster.refresh_gauges();
        if number % CLUSTERS_IN_ONE_GO == CLUSTERS_IN_ONE_GO - 1 {
            tokio::task::yield_now().await;
        }
    }
}

/// What becomes of the text on its way.
struct Output {
    shape: Shape,
    encoder: Option<GzEncoder<Vec<u8>>>,
}

/// Writes a scrape to its reader, and says what became of it.
async fn tell(mut scrape: Scrape, output: Output, teller: Teller) -> ScrapeOutcome {
    let Output { shape, mut encoder } = output;
    while let Some(text) = scrape.next_chunk() {
        let text = match &shape {
            Shape::Exposition => text,
            Shape::Lines(picks) => picks.lines(&text),
        };
        let chunk = match &mut encoder {
            None => text.into_bytes(),
            Some(encoder) => {
                encoder
                    .write_all(text.as_bytes())
                    .expect("a vector takes any bytes");
                std::mem::take(encoder.get_mut())
            }
        };
        if let Err(outcome) = teller.tell(chunk).await {
            return outcome;
        }
        tokio::task::yield_now().await;
    }
    if let Some(encoder) = encoder {
        let rest = encoder.finish().expect("a vector takes any bytes");
        if let Err(outcome) = teller.tell(rest).await {
            return outcome;
        }
    }
    teller.whole.store(true, Ordering::Release);
    ScrapeOutcome::Served
}

/// What a scrape is written to, and what its reader has of it.
fn channel(patience: Patience) -> (Teller, Told) {
    let (sender, chunks) = mpsc::channel(CHUNKS_WAITING_MAX);
    let whole = Arc::new(AtomicBool::new(false));
    let teller = Teller {
        chunks: sender,
        whole: Arc::clone(&whole),
        chunk_timeout: patience.chunk,
        deadline: Instant::now() + patience.whole,
    };
    (teller, Told { chunks, whole })
}

struct Teller {
    chunks: mpsc::Sender<Bytes>,
    whole: Arc<AtomicBool>,
    chunk_timeout: Duration,
    deadline: Instant,
}

impl Teller {
    /// Waits until there is room for the chunk.
    async fn tell(&self, chunk: Vec<u8>) -> Result<(), ScrapeOutcome> {
        if chunk.is_empty() {
            return Ok(());
        }
        let until = self.deadline.min(Instant::now() + self.chunk_timeout);
        match tokio::time::timeout_at(until, self.chunks.send(chunk.into())).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(ScrapeOutcome::Left),
            Err(_) => Err(ScrapeOutcome::Slow),
        }
    }
}

/// The body of an answer.
struct Told {
    chunks: mpsc::Receiver<Bytes>,
    /// The teller has told everything. If it goes without, the body ends in an error, so that it does not look whole.
    whole: Arc<AtomicBool>,
}

impl Stream for Told {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        Poll::Ready(match ready!(self.chunks.poll_recv(context)) {
            Some(chunk) => Some(Ok(chunk)),
            None if self.whole.swap(true, Ordering::Acquire) => None,
            None => Some(Err(io::Error::other("the reader was too slow"))),
        })
    }
}

#[cfg(test)]
mod tests;
