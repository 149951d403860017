//! Answers that are slowed down: a body goes on piece by piece, each when its time has come. What is not yet due stays
//! with the upstream: nothing is buffered but the one piece that was taken.

use crate::body::BodyFrame;
use crate::error::AttemptError;
use outrigger_telemetry::RouteMetrics;
use outrigger_traffic::Place;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until};

/// Pieces in a second, as in Envoy's rate limit of streams: fine enough to look even.
const PIECES_PER_SECOND: u64 = 16;

/// How fast an answer goes.
pub(super) struct Pace {
    bytes_per_second: u64,
    /// What was taken and is not passed on yet.
    taken: Option<BodyFrame>,
    /// When the next piece is due; none before the first.
    due: Option<Pin<Box<Sleep>>>,
    metrics: Arc<RouteMetrics>,
    worker: usize,
    /// Counts the request as touched.
    _place: Place,
}

impl Pace {
    pub(super) fn new(
        bytes_per_second: u64,
        place: Place,
        metrics: Arc<RouteMetrics>,
        worker: usize,
    ) -> Pace {
        metrics.worker(worker).faults_active.inc();
        Pace {
            bytes_per_second: bytes_per_second.max(1),
            taken: None,
            due: None,
            metrics,
            worker,
            _place: place,
        }
    }

    /// The next piece, when it is due. `poll` gives the body as it would go.
    pub(super) fn poll_frame(
        &mut self,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<Result<BodyFrame, AttemptError>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<BodyFrame, AttemptError>> {
        if self.taken.is_none() {
            self.taken = Some(ready!(poll(cx))?);
        }
        if let Some(due) = &mut self.due {
            ready!(due.as_mut().poll(cx));
        }
        let frame = self.taken.take().expect("one was just taken");
        Poll::Ready(Ok(self.cut(frame, Instant::now())))
    }

    /// What of the piece goes now; the rest stays.
    fn cut(&mut self, frame: BodyFrame, now: Instant) -> BodyFrame {
        let BodyFrame::Data { mut bytes, end } = frame else {
            return frame;
        };
        let piece = usize::try_from(self.bytes_per_second / PIECES_PER_SECOND).unwrap_or(usize::MAX);
        let first = bytes.split_to(bytes.len().min(piece.max(1)));
        // What was late does not make the next one early: a stalled answer does not catch up.
        let due = now + transit_time(first.len() as u64, self.bytes_per_second);
        match &mut self.due {
            Some(sleep) => sleep.as_mut().reset(due),
            None => self.due = Some(Box::pin(sleep_until(due))),
        }
        if bytes.is_empty() {
            return BodyFrame::Data { bytes: first, end };
        }
        self.taken = Some(BodyFrame::Data { bytes, end });
        BodyFrame::Data {
            bytes: first,
            end: false,
        }
    }
}

impl Drop for Pace {
    fn drop(&mut self) {
        self.metrics.worker(self.worker).faults_active.dec();
    }
}

/// How long so many bytes take.
fn transit_time(bytes: u64, bytes_per_second: u64) -> Duration {
    let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(bytes_per_second);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use outrigger_telemetry::Metrics;
    use outrigger_traffic::Places;
    use std::future::poll_fn;

    fn pace(bytes_per_second: u64) -> Pace {
        let metrics = Metrics::new(1, &[]);
        let place = Arc::new(Places::default()).take(None).unwrap();
        Pace::new(bytes_per_second, place, metrics.route("c", "v", "r"), 0)
    }

    /// Simulated time: two pieces of a body, and when each byte of it went.
    #[tokio::test(start_paused = true)]
    async fn a_body_goes_evenly_and_whole() {
        let started = Instant::now();
        let mut pace = pace(1600);
        let mut frames = vec![
            BodyFrame::End,
            BodyFrame::Data {
                bytes: Bytes::from(vec![2; 50]),
                end: false,
            },
            BodyFrame::Data {
                bytes: Bytes::from(vec![1; 1550]),
                end: false,
            },
        ];
        let (mut sizes, mut body) = (Vec::new(), Vec::new());
        loop {
            let frame = poll_fn(|cx| {
                pace.poll_frame(
                    |_| Poll::Ready(Ok(frames.pop().expect("nothing is taken after the end"))),
                    cx,
                )
            });
            match frame.await.unwrap() {
                BodyFrame::Data { bytes, .. } => {
                    sizes.push(bytes.len());
                    body.extend_from_slice(&bytes);
                }
                _ => break,
            }
        }
        assert_eq!(sizes, [vec![100; 15], vec![50, 50]].concat());
        assert_eq!(body, [vec![1; 1550], vec![2; 50]].concat());
        // The end waits for the last piece: 1,600 bytes at 1,600 a second, up to the timer's millisecond a piece.
        let taken = started.elapsed();
        assert!(
            taken >= Duration::from_secs(1) && taken < Duration::from_millis(1050),
            "{taken:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_piece_that_ends_the_body_ends_it_once() {
        let mut pace = pace(32);
        let mut whole = Some(BodyFrame::Data {
            bytes: Bytes::from_static(b"12345"),
            end: true,
        });
        let mut ends = Vec::new();
        for _ in 0..3 {
            let frame = poll_fn(|cx| pace.poll_frame(|_| Poll::Ready(Ok(whole.take().unwrap())), cx));
            match frame.await.unwrap() {
                BodyFrame::Data { bytes, end } => ends.push((bytes.len(), end)),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(ends, [(2, false), (2, false), (1, true)]);
    }

    #[test]
    fn no_rate_and_no_length_overflows() {
        assert_eq!(transit_time(1024, 1024), Duration::from_secs(1));
        assert_eq!(transit_time(0, u64::MAX), Duration::ZERO);
        assert_eq!(transit_time(u64::MAX, 1), Duration::from_nanos(u64::MAX));
    }
}
