//! One timer slot for all the deadlines of a connection or stream.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// A timer that is re-armed only when it must be: moving a deadline later costs a comparison, because the timer then
/// fires too early once and is armed again. A keep-alive connection that serves a thousand requests a second touches
/// the runtime's timer wheel once in many seconds.
#[derive(Default)]
pub(crate) struct TimerSlot {
    sleep: Option<Pin<Box<Sleep>>>,
    armed: Option<Instant>,
    /// The waker that the timer has, if it has been armed with one: it need not be told again.
    waker: Option<Waker>,
}

impl TimerSlot {
    /// Ready when `deadline` has passed; `None` is never ready. Registers the waker otherwise.
    pub(crate) fn poll_until(&mut self, cx: &mut Context<'_>, deadline: Option<Instant>) -> Poll<()> {
        let Some(deadline) = deadline else {
            return Poll::Pending;
        };
        loop {
            match (self.armed, &mut self.sleep) {
                (Some(armed), Some(sleep)) if armed <= deadline => {
                    let known = self
                        .waker
                        .as_ref()
                        .is_some_and(|waker| waker.will_wake(cx.waker()));
                    if known && !sleep.is_elapsed() {
                        return Poll::Pending;
                    }
                    // Without budget the runtime polls the task again, and the timer has not taken the waker.
                    let has_budget = tokio::task::coop::has_budget_remaining();
                    if sleep.as_mut().poll(cx).is_pending() {
                        self.waker = has_budget.then(|| cx.waker().clone());
                        return Poll::Pending;
                    }
                    self.armed = None;
                    self.waker = None;
                    if Instant::now() >= deadline {
                        return Poll::Ready(());
                    }
                }
                (_, Some(sleep)) => {
                    sleep.as_mut().reset(deadline);
                    self.waker = None;
                    self.armed = Some(deadline);
                }
                (_, None) => {
                    self.sleep = Some(Box::pin(tokio::time::sleep_until(deadline)));
                    self.armed = Some(deadline);
                }
            }
        }
    }
}

/// The earlier of two deadlines, of which either may be absent.
pub(crate) fn earlier(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// `start + duration`, where an absent duration, or one that overflows, is never.
pub(crate) fn after(start: Instant, duration: Option<Duration>) -> Option<Instant> {
    start.checked_add(duration?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn fires_at_the_latest_deadline_it_was_given() {
        let mut slot = TimerSlot::default();
        let start = Instant::now();
        // Armed for 10 s, then asked for a later deadline: the early fire of the timer must not count.
        std::future::poll_fn(|cx| {
            assert!(
                slot.poll_until(cx, Some(start + Duration::from_secs(10)))
                    .is_pending()
            );
            Poll::Ready(())
        })
        .await;
        std::future::poll_fn(|cx| {
            assert!(
                slot.poll_until(cx, Some(start + Duration::from_secs(5)))
                    .is_pending()
            );
            Poll::Ready(())
        })
        .await;
        std::future::poll_fn(|cx| slot.poll_until(cx, Some(start + Duration::from_secs(5)))).await;
        assert_eq!(Instant::now() - start, Duration::from_secs(5));
    }

    #[test]
    fn earlier_prefers_what_is_there() {
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        assert_eq!(earlier(Some(later), Some(now)), Some(now));
        assert_eq!(earlier(None, Some(later)), Some(later));
        assert_eq!(earlier(None, None), None);
    }
}
