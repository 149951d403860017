//! Passing bytes on between the two sides of a tunnel, both directions in one task.
//!
//! Each direction takes bytes only when the other side has room for them, so that a slow reader slows the writer: by
//! the receive window of a socket, or by the windows of HTTP/2. A direction that has ended is ended on the other side
//! too, and the other direction goes on.

use super::side::{Side, SideError};
use crate::timer::{TimerSlot, after, earlier};
use crate::worker::Worker;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Instant;

/// How a tunnel ended.
#[derive(Debug)]
pub(crate) enum PumpEnd {
    /// Both directions ended in order.
    Closed,
    /// The downstream went away.
    Downstream(SideError),
    /// The upstream went away.
    Upstream(SideError),
    /// Nothing moved for too long.
    Idle,
    /// The time of a drain is up.
    Drained,
}

/// The time limits of a tunnel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Without any movement, in either direction.
    pub(crate) idle: Option<Duration>,
    /// When a drain cuts it, once one has begun.
    pub(crate) drain_deadline: Option<Instant>,
}

/// What moved in one poll, as the listener's metrics count it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Moved {
    /// Bytes read from the downstream's connection.
    pub(crate) received: u64,
    /// Bytes written to it.
    pub(crate) sent: u64,
}

/// One direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Flow {
    #[default]
    Open,
    /// Its source has ended; the end is on its way.
    Ending,
    Ended,
}

/// Both sides of a tunnel and the state between them.
pub(crate) struct Pump {
    pub(crate) downstream: Side,
    pub(crate) upstream: Side,
    upward: Flow,
    downward: Flow,
    last_moved: Instant,
    timer: TimerSlot,
    /// Bytes passed on from the downstream.
    pub(crate) bytes_received: u64,
    /// Bytes passed on to the downstream.
    pub(crate) bytes_sent: u64,
}

/// Which side of a direction failed.
enum Fault {
    Source(SideError),
    Target(SideError),
}

impl Pump {
    pub(crate) fn new(downstream: Side, upstream: Side, now: Instant) -> Pump {
        Pump {
            downstream,
            upstream,
            upward: Flow::Open,
            downward: Flow::Open,
            last_moved: now,
            timer: TimerSlot::default(),
            bytes_received: 0,
            bytes_sent: 0,
        }
    }

    /// Moves what can be moved; ready when the tunnel has ended. `moved` says what to count.
    pub(crate) fn poll(
        &mut self,
        worker: &Worker,
        limits: Limits,
        moved: &mut Moved,
        cx: &mut Context<'_>,
    ) -> Poll<PumpEnd> {
        let before = self.bytes_received + self.bytes_sent;
        let up = poll_flow(
            &mut self.upward,
            &mut self.downstream,
            &mut self.upstream,
            &mut self.bytes_received,
            worker,
            cx,
        );
        let down = poll_flow(
            &mut self.downward,
            &mut self.upstream,
            &mut self.downstream,
            &mut self.bytes_sent,
            worker,
            cx,
        );
        if self.bytes_received + self.bytes_sent != before {
            self.last_moved = worker.tick();
        }
        (moved.received, moved.sent) = self.downstream.take_counts();
        self.upstream.take_counts();
        match (up, down) {
            (Poll::Ready(Err(Fault::Source(error))), _) | (_, Poll::Ready(Err(Fault::Target(error)))) => {
                Poll::Ready(PumpEnd::Downstream(error))
            }
            (Poll::Ready(Err(Fault::Target(error))), _) | (_, Poll::Ready(Err(Fault::Source(error)))) => {
                Poll::Ready(PumpEnd::Upstream(error))
            }
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => Poll::Ready(PumpEnd::Closed),
            (up, down) => {
                // A side that is not read from any more tells of its end in another way.
                if up.is_ready()
                    && let Poll::Ready(error) = self.downstream.poll_reset(cx)
                {
                    return Poll::Ready(PumpEnd::Downstream(error));
                }
                if down.is_ready()
                    && let Poll::Ready(error) = self.upstream.poll_reset(cx)
                {
                    return Poll::Ready(PumpEnd::Upstream(error));
                }
                self.poll_limits(limits, cx)
            }
        }
    }

    fn poll_limits(&mut self, limits: Limits, cx: &mut Context<'_>) -> Poll<PumpEnd> {
        let idle = after(self.last_moved, limits.idle);
        ready!(self.timer.poll_until(cx, earlier(idle, limits.drain_deadline)));
        let is_drained = limits
            .drain_deadline
            .is_some_and(|deadline| Instant::now() >= deadline);
        Poll::Ready(if is_drained {
            PumpEnd::Drained
        } else {
            PumpEnd::Idle
        })
    }
}

/// Moves one direction. Ready when it has ended, on both sides, or cannot go on.
fn poll_flow(
    flow: &mut Flow,
    source: &mut Side,
    target: &mut Side,
    bytes_passed: &mut u64,
    worker: &Worker,
    cx: &mut Context<'_>,
) -> Poll<Result<(), Fault>> {
    loop {
        match flow {
            Flow::Open => {}
            Flow::Ending => {
                ready!(target.poll_finish(worker, cx)).map_err(Fault::Target)?;
                *flow = Flow::Ended;
                return Poll::Ready(Ok(()));
            }
            Flow::Ended => return Poll::Ready(Ok(())),
        }
        ready!(target.poll_room(cx)).map_err(Fault::Target)?;
        let Poll::Ready(read) = source.poll_read(worker, cx) else {
            if let Poll::Ready(Err(error)) = target.poll_flush(worker, cx) {
                return Poll::Ready(Err(Fault::Target(error)));
            }
            return Poll::Pending;
        };
        match read.map_err(Fault::Source)? {
            Some(bytes) if bytes.is_empty() => {}
            Some(bytes) => {
                *bytes_passed += bytes.len() as u64;
                target.send(bytes, worker).map_err(Fault::Target)?;
            }
            None => *flow = Flow::Ending,
        }
    }
}
