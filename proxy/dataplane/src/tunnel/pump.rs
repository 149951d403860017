//! Passing bytes on between the two sides of a tunnel, both directions in one task.
//!
//! Each direction takes bytes only when the other side has room for them, so that a slow reader slows the writer: by
//! the receive window of a socket, or by the windows of HTTP/2. A direction that has ended is ended on the other side
//! too, and the other direction goes on.

use super::side::{Read, Side, SideError};
use super::watch::Watch;
use crate::relay::Ending;
use crate::timer::{TimerSlot, after, earlier};
use crate::worker::Worker;
use outrigger_telemetry::RightLost;
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
    /// It has reached its greatest age.
    Aged,
    /// The downstream has lost its right.
    RightLost(RightLost),
}

/// The time limits of a tunnel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Without any movement, in either direction: nothing is read, and nothing that waits is taken.
    pub(crate) idle: Option<Duration>,
    /// When a drain cuts it, once one has begun.
    pub(crate) drain_deadline: Option<Instant>,
    /// When it reaches its greatest age.
    pub(crate) end: Option<Instant>,
}

/// What moved in one poll, as the listener's metrics count it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Moved {
    /// Bytes read from the downstream's connection.
    pub(crate) received: u64,
    /// Bytes written to it.
    pub(crate) sent: u64,
}

/// How far a direction is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    /// Its source has ended; the end is on its way.
    Ending(Ending),
    Ended,
}

/// One direction.
#[derive(Debug, Default)]
struct Flow {
    state: State,
    /// The last poll left a read of the source waiting, which will tell of its failure.
    awaits_source: bool,
    /// Bytes passed on.
    bytes: u64,
}

/// Both sides of a tunnel and the state between them.
pub(crate) struct Pump {
    pub(crate) downstream: Side,
    pub(crate) upstream: Side,
    upward: Flow,
    downward: Flow,
    downstream_watch: Watch,
    upstream_watch: Watch,
    last_moved: Instant,
    timer: TimerSlot,
    /// It ends like this when the driver of the other side has had its turn.
    broken: Option<PumpEnd>,
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
            upward: Flow::default(),
            downward: Flow::default(),
            downstream_watch: Watch::default(),
            upstream_watch: Watch::default(),
            last_moved: now,
            timer: TimerSlot::default(),
            broken: None,
        }
    }

    /// Bytes passed on from the downstream.
    pub(crate) fn bytes_received(&self) -> u64 {
        self.upward.bytes
    }

    /// Bytes passed on to the downstream.
    pub(crate) fn bytes_sent(&self) -> u64 {
        self.downward.bytes
    }

    /// Moves what can be moved; ready when the tunnel has ended. `moved` says what to count.
    pub(crate) fn poll(
        &mut self,
        worker: &Worker,
        limits: Limits,
        moved: &mut Moved,
        cx: &mut Context<'_>,
    ) -> Poll<PumpEnd> {
        if let Some(end) = self.broken.take() {
            return Poll::Ready(end);
        }
        let before = self.progress();
        let flows = self.poll_flows(worker, cx);
        if self.progress() != before {
            self.last_moved = worker.tick();
        }
        (moved.received, moved.sent) = self.downstream.take_counts();
        self.upstream.take_counts();
        let end = match flows {
            Ok(Poll::Ready(())) => return Poll::Ready(PumpEnd::Closed),
            Ok(Poll::Pending) => match self.poll_resets(cx) {
                Some(end) => end,
                None => return self.poll_limits(limits, cx),
            },
            Err(end) => end,
        };
        let other = match &end {
            PumpEnd::Downstream(_) => &self.upstream,
            _ => &self.downstream,
        };
        if other.has_driver() {
            // A reset throws away what has not left yet.
            self.broken = Some(end);
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(end)
    }

    /// What changes when bytes are taken from one side, or by the other.
    fn progress(&self) -> (u64, u64, usize, usize) {
        let (up, down) = (self.upward.bytes, self.downward.bytes);
        (
            up,
            down,
            self.upstream.unsent_bytes(),
            self.downstream.unsent_bytes(),
        )
    }

    /// Moves both directions; ready when both have ended.
    fn poll_flows(&mut self, worker: &Worker, cx: &mut Context<'_>) -> Result<Poll<()>, PumpEnd> {
        let (downstream, upstream) = (&mut self.downstream, &mut self.upstream);
        let up = match poll_flow(&mut self.upward, downstream, upstream, worker, cx) {
            // The kernel tells of a reset once: asked again, it would say that the side has ended in order.
            Poll::Ready(Err(Fault::Source(error))) => return Err(PumpEnd::Downstream(error)),
            Poll::Ready(Err(Fault::Target(error))) => return Err(PumpEnd::Upstream(error)),
            Poll::Ready(Ok(())) => true,
            Poll::Pending => false,
        };
        match poll_flow(&mut self.downward, upstream, downstream, worker, cx) {
            Poll::Ready(Err(Fault::Source(error))) => Err(PumpEnd::Upstream(error)),
            Poll::Ready(Err(Fault::Target(error))) => Err(PumpEnd::Downstream(error)),
            Poll::Ready(Ok(())) if up => Ok(Poll::Ready(())),
            _ => Ok(Poll::Pending),
        }
    }

    /// A side that is not being read, because it has ended its direction or because the other side is slow, tells of a
    /// reset in another way.
    fn poll_resets(&mut self, cx: &mut Context<'_>) -> Option<PumpEnd> {
        if !self.upward.awaits_source
            && let Poll::Ready(error) = self.downstream.poll_reset(&mut self.downstream_watch, cx)
        {
            return Some(PumpEnd::Downstream(error));
        }
        if !self.downward.awaits_source
            && let Poll::Ready(error) = self.upstream.poll_reset(&mut self.upstream_watch, cx)
        {
            return Some(PumpEnd::Upstream(error));
        }
        None
    }

    fn poll_limits(&mut self, limits: Limits, cx: &mut Context<'_>) -> Poll<PumpEnd> {
        let idle = after(self.last_moved, limits.idle);
        let next = earlier(earlier(idle, limits.drain_deadline), limits.end);
        ready!(self.timer.poll_until(cx, next));
        let now = Instant::now();
        let has_passed = |limit: Option<Instant>| limit.is_some_and(|limit| now >= limit);
        Poll::Ready(if has_passed(limits.drain_deadline) {
            PumpEnd::Drained
        } else if has_passed(limits.end) {
            PumpEnd::Aged
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
    worker: &Worker,
    cx: &mut Context<'_>,
) -> Poll<Result<(), Fault>> {
    flow.awaits_source = false;
    loop {
        match flow.state {
            State::Open => {}
            State::Ending(ending) => {
                ready!(target.poll_finish(ending, worker, cx)).map_err(Fault::Target)?;
                flow.state = State::Ended;
                return Poll::Ready(Ok(()));
            }
            State::Ended => return Poll::Ready(Ok(())),
        }
        ready!(target.poll_room(cx)).map_err(Fault::Target)?;
        match source.poll_read(worker, cx) {
            Poll::Pending => {
                flow.awaits_source = true;
                if let Poll::Ready(Err(error)) = target.poll_flush(worker, cx) {
                    return Poll::Ready(Err(Fault::Target(error)));
                }
                return Poll::Pending;
            }
            Poll::Ready(Err(error)) => {
                // What came before is the target's as far as it takes it; that it fails too changes nothing.
                let _ = target.poll_flush(worker, cx);
                return Poll::Ready(Err(Fault::Source(error)));
            }
            Poll::Ready(Ok(Read::Bytes(bytes))) if bytes.is_empty() => {}
            Poll::Ready(Ok(Read::Bytes(bytes))) => {
                flow.bytes += bytes.len() as u64;
                target.send(bytes, worker).map_err(Fault::Target)?;
            }
            Poll::Ready(Ok(Read::End(ending))) => flow.state = State::Ending(ending),
        }
    }
}
