//! An answer that is judged, and one that is thrown away.

use crate::body::{BodyFrame, BodyLength};
use crate::upstream::Upstream;
use outrigger_http1::{Fields, KnownName, ResponseHead};
use outrigger_traffic::retry::{AnswerView, seconds_until};
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Bytes of a body that is thrown away which are read at most, so that its connection can be used again.
const THROWN_AWAY_BYTES_MAX: usize = 64 * 1024;

/// An answer's head, and trailers that are there with it.
pub(super) struct Answer<'a> {
    pub(super) head: &'a ResponseHead,
    pub(super) trailers: Option<&'a Fields>,
}

impl AnswerView for Answer<'_> {
    fn status(&self) -> u16 {
        self.head.status
    }

    fn field<'a>(&'a self, name: &str, joined: &'a mut Vec<u8>) -> Option<&'a [u8]> {
        let mut values = self.head.fields.find_all(name);
        let first = values.next()?;
        let Some(second) = values.next() else {
            return Some(first);
        };
        joined.extend_from_slice(first);
        for value in std::iter::once(second).chain(values) {
            joined.push(b',');
            joined.extend_from_slice(value);
        }
        Some(joined)
    }

    fn grpc_status(&self) -> Option<u8> {
        let trailers = || self.trailers?.get(KnownName::GrpcStatus);
        let value = self.head.fields.get(KnownName::GrpcStatus).or_else(trailers)?;
        std::str::from_utf8(value).ok()?.parse().ok()
    }
}

/// How long the answer asks to wait: `retry-after` (seconds or a date), else `x-ratelimit-reset` (seconds, or a time in
/// seconds since 1970).
pub(super) fn asked_wait(fields: &Fields) -> Option<Duration> {
    let now = SystemTime::now();
    let unix_now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let text = |name| std::str::from_utf8(fields.find(name)?).ok();
    let seconds = |value: &str| seconds_until(value, unix_now);
    let date = |value: &str| {
        let time = httpdate::parse_http_date(value.trim()).ok()?;
        Some(time.duration_since(now).unwrap_or_default())
    };
    text("retry-after")
        .and_then(|value| seconds(value).or_else(|| date(value)))
        .or_else(|| text("x-ratelimit-reset").and_then(seconds))
}

/// An answer whose body is read to its end, within a bound and for as long as somebody polls, so that its connection can be
/// used again. Dropped before that, its connection is closed, or its stream reset.
pub(in super::super) struct ThrownAway {
    upstream: Option<Upstream>,
    length: BodyLength,
    bytes: usize,
}

impl ThrownAway {
    pub(super) fn new(upstream: Upstream, length: BodyLength) -> ThrownAway {
        ThrownAway {
            upstream: Some(upstream),
            length,
            bytes: 0,
        }
    }

    /// Ready when nothing more is to be done for it.
    pub(in super::super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(upstream) = &mut self.upstream else {
            return Poll::Ready(());
        };
        let ended = self.length == BodyLength::None
            || loop {
                match ready!(upstream.poll_body(cx)) {
                    Ok(BodyFrame::Data { bytes, end }) => {
                        self.bytes += bytes.len();
                        if end {
                            break true;
                        }
                        if self.bytes > THROWN_AWAY_BYTES_MAX {
                            break false;
                        }
                    }
                    Ok(BodyFrame::Trailers(_) | BodyFrame::End) => break true,
                    Err(_) => break false,
                }
            };
        let upstream = self.upstream.take();
        if let (true, Some(upstream)) = (ended, upstream) {
            upstream.complete();
        }
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_read_as_seconds_and_as_dates() {
        let asked = |name: &str, value: &str| {
            let mut fields = Fields::new();
            fields.push(name.as_bytes(), value.as_bytes());
            asked_wait(&fields)
        };
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(asked("retry-after", "3"), seconds(3));
        assert_eq!(asked("x-ratelimit-reset", "4"), seconds(4));
        assert_eq!(asked("retry-after", "Fri, 31 Dec 1999 23:59:59 GMT"), seconds(0));
        let later = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(100));
        let wait = asked("retry-after", &later).unwrap();
        assert!(
            wait > Duration::from_secs(90) && wait <= Duration::from_secs(100),
            "{wait:?}"
        );
        for value in ["", "soon", "-1", "Fri, 31 Dec"] {
            assert_eq!(asked("retry-after", value), None, "{value}");
        }
        assert_eq!(asked("x-other", "3"), None);
    }
}
