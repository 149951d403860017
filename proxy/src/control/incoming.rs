//! What comes from a stream while something is being put in force.

use super::stream::{Said, Stream, StreamError};
use outrigger_xds::session::Response;
use std::time::Duration;
use tokio::time::Instant;

/// How long what is put in force waits for what it adds to be ready, from when the first of those was pushed that give
/// way to one another: as long as one alone does.
const WARM_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the last of them waits in any case: what answers at all answers a check in that time.
const WARM_TIMEOUT_MIN: Duration = Duration::from_secs(1);

/// Responses that come while others are put in force, as many as may.
pub(super) struct Incoming<'s> {
    /// None: nothing more is to come.
    stream: Option<&'s mut Stream>,
    room: usize,
    responses: Vec<Response>,
    failed: Option<StreamError>,
    /// When the first push began.
    began: Option<Instant>,
    is_superseded: bool,
}

impl<'s> Incoming<'s> {
    /// Nothing comes.
    pub(super) fn nothing() -> Incoming<'s> {
        Incoming {
            stream: None,
            room: 0,
            responses: Vec::new(),
            failed: None,
            began: None,
            is_superseded: false,
        }
    }

    /// At most so many come of this stream.
    pub(super) fn of(stream: &'s mut Stream, room: usize) -> Incoming<'s> {
        Incoming {
            stream: Some(stream),
            room,
            ..Incoming::nothing()
        }
    }

    /// Waits until one more is here; for ever if none may come. Cancel safe.
    pub(super) async fn more(&mut self) {
        while let Some(stream) = self.stream.as_mut().filter(|_| self.room > 0) {
            match stream.next().await {
                Ok(Said::Response(response)) => {
                    self.room -= 1;
                    return self.responses.push(response);
                }
                // It was said before the first response.
                Ok(Said::Taken) => {}
                Err(error) => {
                    self.failed = Some(error);
                    self.stream = None;
                }
            }
        }
        std::future::pending().await
    }

    /// Those that came.
    pub(super) fn take(&mut self) -> Vec<Response> {
        std::mem::take(&mut self.responses)
    }

    /// Something is pushed.
    pub(super) fn pushing(&mut self, now: Instant) {
        self.began.get_or_insert(now);
    }

    /// It gave way to what came.
    pub(super) fn superseded(&mut self) {
        self.is_superseded = true;
    }

    /// Until when what is pushed now waits at most; none: as long as it does by itself.
    pub(super) fn warm_until(&self, now: Instant) -> Option<Instant> {
        let began = self.began.filter(|_| self.is_superseded)?;
        Some((began + WARM_TIMEOUT).max(now + WARM_TIMEOUT_MIN))
    }

    /// Why nothing more comes, if the stream has ended.
    pub(super) fn into_failed(self) -> Option<StreamError> {
        self.failed
    }
}

/// Until when endpoints that go ahead of a push wait at most.
pub(super) fn ahead(now: Instant) -> Instant {
    now + WARM_TIMEOUT_MIN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_give_way_to_one_another_wait_no_longer_than_one() {
        let mut incoming = Incoming::nothing();
        let first = Instant::now();
        let at = |milliseconds| first + Duration::from_millis(milliseconds);
        incoming.pushing(first);
        assert_eq!(incoming.warm_until(first), None);
        incoming.superseded();
        incoming.pushing(at(2_000));
        assert_eq!(incoming.warm_until(at(2_000)), Some(at(5_000)));
        assert_eq!(incoming.warm_until(at(4_900)), Some(at(5_900)));
    }
}
