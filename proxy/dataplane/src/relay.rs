//! Passing bytes between two byte streams, both ways, until both have ended.
//!
//! Each side sees the bytes and the ends that it would have seen without a proxy in between: a half-close is passed on
//! as a half-close (TLS's `close_notify` included), a reset as a reset. A side that reads slowly slows the other; each
//! direction holds [`defaults::STREAM_BUFFER_BYTES_MAX`] bytes at most, and none while nothing moves.
//!
//! Plain connections that carry much are moved by the kernel (`splice`), as long as there are pipes. This module knows
//! nothing of policy, listeners or clusters: TCP proxying and upgraded connections use it alike.

mod direction;
mod pipe;
mod side;

#[cfg(test)]
mod tests;

pub(crate) use pipe::PipePool;
pub(crate) use side::Ending;

use crate::io::Stream;
use crate::rights;
use crate::timer::{TimerSlot, after, earlier};
use crate::worker::ConnectionControl;
use bytes::Bytes;
use direction::{Direction, Fault, Surroundings};
use outrigger_config::model::defaults;
use outrigger_telemetry::{ClusterCells, ListenerCells, RightLost};
use side::{Side, Watch};
use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::Instant;

/// What the relays of one worker share.
pub(crate) struct RelayMemory {
    /// Bytes on their way while they are copied: nobody's from one poll to the next.
    copy: RefCell<Box<[u8]>>,
    pub(crate) pipes: PipePool,
}

impl RelayMemory {
    /// For one of so many workers.
    pub(crate) fn new(workers: usize) -> RelayMemory {
        RelayMemory {
            copy: RefCell::new(Box::default()),
            pipes: PipePool::new(workers),
        }
    }

    /// Lends the copy buffer; it is allocated for the first who asks.
    fn with_copy_buffer<T>(&self, lend: impl FnOnce(&mut [u8]) -> T) -> T {
        let mut copy = self.copy.borrow_mut();
        if copy.is_empty() {
            *copy = vec![0; defaults::STREAM_BUFFER_BYTES_MAX].into_boxed_slice();
        }
        lend(&mut copy)
    }
}

/// What a relay is told.
pub(crate) struct Terms<'t> {
    pub(crate) memory: &'t RelayMemory,
    /// Where the downstream side's bytes are counted, as they move.
    pub(crate) listener: &'t ListenerCells,
    /// Where the upstream side's bytes are counted, as they move.
    pub(crate) cluster: &'t ClusterCells,
    /// It ends when nothing moved in either direction for this long.
    pub(crate) idle_timeout: Option<Duration>,
    /// It ends then.
    pub(crate) deadline: Option<Instant>,
    /// The downstream connection, whose drain it ends by.
    pub(crate) control: Option<&'t ConnectionControl>,
    /// Asked whenever something happens.
    pub(crate) judge: Option<Judge<'t>>,
    /// A direction that has moved this much without a pause is worth a pipe: [`SPLICE_AFTER_BYTES`].
    pub(crate) splice_after_bytes: u64,
}

/// Says why a downstream may not go on, if it may not.
pub(crate) type Judge<'t> = &'t dyn Fn() -> Option<RightLost>;

/// The kernel moves a flow of this length as fast as this process copies it: a longer one is worth a pipe.
pub(crate) const SPLICE_AFTER_BYTES: u64 = 1024 * 1024;

/// Bytes that were read before the relay began.
#[derive(Default)]
pub(crate) struct FirstBytes {
    pub(crate) from_downstream: Bytes,
    pub(crate) from_upstream: Bytes,
}

/// How a relay ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RelayEnd {
    /// Both sides ended their directions; the downstream was the first, or the upstream.
    Closed { downstream_first: bool },
    /// The downstream reset its connection, or it failed.
    DownstreamReset,
    /// The upstream reset its connection, or it failed.
    UpstreamReset,
    /// Nothing moved for too long.
    Idle,
    /// The deadline passed.
    Deadline,
    /// The downstream connection drained, and its time for that passed.
    Drained,
    /// The downstream has lost its right.
    RightLost(RightLost),
    /// The upstream's certificate is believed no more.
    UpstreamLost(RightLost),
}

/// A relay's end, and the bytes that were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Relayed {
    pub(crate) end: RelayEnd,
    /// From the downstream to the upstream.
    pub(crate) bytes_up: u64,
    /// From the upstream to the downstream.
    pub(crate) bytes_down: u64,
}

/// Passes bytes on until both sides have ended, one was reset, or a limit is reached; then both are closed. Not cancel
/// safe: dropping it may lose bytes, and closes both.
pub(crate) async fn relay(
    mut downstream: Stream,
    mut upstream: Stream,
    first: FirstBytes,
    terms: &Terms<'_>,
) -> Relayed {
    let relayed = run(&mut downstream, &mut upstream, first, terms).await;
    match relayed.end {
        RelayEnd::Closed { .. } => {}
        RelayEnd::DownstreamReset => reset(&upstream),
        RelayEnd::UpstreamReset => reset(&downstream),
        // Neither has failed, and neither may take what it got for the whole.
        RelayEnd::Idle
        | RelayEnd::Deadline
        | RelayEnd::Drained
        | RelayEnd::RightLost(_)
        | RelayEnd::UpstreamLost(_) => {
            reset(&upstream);
            reset(&downstream);
        }
    }
    relayed
}

/// Makes the close that follows a reset: what is not sent yet is thrown away, and the peer is told.
pub(crate) fn reset(stream: &Stream) {
    // A socket that fails here has been reset already.
    let _ = socket2::SockRef::from(stream.tcp()).set_linger(Some(Duration::ZERO));
}

async fn run(
    downstream: &mut Stream,
    upstream: &mut Stream,
    first: FirstBytes,
    terms: &Terms<'_>,
) -> Relayed {
    let mut relay = Relay {
        splices: matches!((&*downstream, &*upstream), (Stream::Plain(_), Stream::Plain(_))),
        downstream: Side::new(downstream),
        upstream: Side::new(upstream),
        up: Direction::new(first.from_downstream),
        down: Direction::new(first.from_upstream),
        downstream_watch: Watch::default(),
        upstream_watch: Watch::default(),
        downstream_first: None,
        timer: TimerSlot::default(),
        active: Instant::now(),
    };
    let end = poll_fn(|cx| relay.poll(terms, cx)).await;
    Relayed {
        end,
        bytes_up: relay.up.written,
        bytes_down: relay.down.written,
    }
}

struct Relay<'s> {
    downstream: Side<'s>,
    upstream: Side<'s>,
    /// Both sides are plain TCP.
    splices: bool,
    up: Direction,
    down: Direction,
    downstream_watch: Watch<'s>,
    upstream_watch: Watch<'s>,
    /// Who ended its direction first.
    downstream_first: Option<bool>,
    timer: TimerSlot,
    /// When a byte last moved.
    active: Instant,
}

impl Relay<'_> {
    fn poll(&mut self, terms: &Terms<'_>, cx: &mut Context<'_>) -> Poll<RelayEnd> {
        if let Some(lost) = terms.judge.and_then(|judge| judge()) {
            return Poll::Ready(RelayEnd::RightLost(lost));
        }
        let before = (self.up.written, self.down.written);
        let around = Surroundings {
            memory: terms.memory,
            listener: terms.listener,
            splice_after_bytes: self.splices.then_some(terms.splice_after_bytes),
        };
        let (source, sink) = (&mut self.downstream, &mut self.upstream);
        let up = self.up.poll(source, sink, &around, cx);
        if let Poll::Ready(Err(fault)) = up {
            // The kernel tells of a reset once: asked again, it would say that the upstream has ended in order.
            self.count(terms, before);
            return Poll::Ready(fault_of(fault, true));
        }
        let down = self.down.poll(sink, source, &around, cx);
        self.count(terms, before);
        if let Poll::Ready(Err(fault)) = down {
            return Poll::Ready(fault_of(fault, false));
        }
        if up.is_ready() && down.is_ready() {
            return Poll::Ready(RelayEnd::Closed {
                downstream_first: self.downstream_first.unwrap_or(true),
            });
        }
        if self.downstream_first.is_none() && up.is_ready() != down.is_ready() {
            self.downstream_first = Some(up.is_ready());
        }
        if let Some(end) = self.poll_watches(cx) {
            return Poll::Ready(end);
        }
        let drain = terms.control.and_then(|control| {
            control.set_waker(cx.waker());
            control.drain_deadline()
        });
        let idle = after(self.active, terms.idle_timeout);
        let cut = earlier(terms.deadline, drain);
        if self.timer.poll_until(cx, earlier(idle, cut)).is_ready() {
            let now = Instant::now();
            let is_due = |deadline: Option<Instant>| deadline.is_some_and(|deadline| now >= deadline);
            return Poll::Ready(if is_due(terms.deadline) {
                RelayEnd::Deadline
            } else if is_due(drain) {
                RelayEnd::Drained
            } else {
                RelayEnd::Idle
            });
        }
        Poll::Pending
    }

    /// Counts what was moved since as much had been written.
    fn count(&mut self, terms: &Terms<'_>, (up_before, down_before): (u64, u64)) {
        let moved_up = self.up.written - up_before;
        let moved_down = self.down.written - down_before;
        if moved_up + moved_down == 0 {
            return;
        }
        terms.listener.bytes_received.add(moved_up);
        terms.cluster.bytes_sent.add(moved_up);
        terms.listener.bytes_sent.add(moved_down);
        terms.cluster.bytes_received.add(moved_down);
        self.active = Instant::now();
        self.up.note(moved_up, self.active);
        self.down.note(moved_down, self.active);
    }

    /// A side that is not being read, because it has ended its direction or because the other side is slow, can only
    /// tell of a reset by its socket's error.
    fn poll_watches(&mut self, cx: &mut Context<'_>) -> Option<RelayEnd> {
        if !self.up.awaits_source() && self.downstream_watch.poll_failed(&self.downstream, cx) {
            return Some(RelayEnd::DownstreamReset);
        }
        if !self.down.awaits_source() && self.upstream_watch.poll_failed(&self.upstream, cx) {
            return Some(RelayEnd::UpstreamReset);
        }
        None
    }
}

/// Which side a fault of a direction is of.
fn fault_of(fault: Fault, up: bool) -> RelayEnd {
    let (error, of_downstream) = match fault {
        Fault::Source(error) => (error, up),
        Fault::Sink(error) => (error, !up),
    };
    tracing::debug!(%error, of_downstream, "a relayed connection failed");
    if let Some(lost) = rights::upstream_lost(&error) {
        return RelayEnd::UpstreamLost(lost);
    }
    if of_downstream {
        RelayEnd::DownstreamReset
    } else {
        RelayEnd::UpstreamReset
    }
}

/// Waits until a plain connection has failed; never ready for TLS, which can only be asked by reading it. Cancel safe.
pub(crate) async fn failed(stream: &Stream) {
    match stream {
        Stream::Plain(tcp) => socket_failed(tcp).await,
        _ => std::future::pending().await,
    }
}

/// The same, for a socket.
pub(crate) async fn socket_failed(tcp: &TcpStream) {
    match tcp.ready(tokio::io::Interest::ERROR).await {
        Ok(_) if matches!(tcp.take_error(), Ok(None)) => std::future::pending().await,
        // Reset, or of no use.
        _ => {}
    }
}

/// Makes of a socket call that was interrupted one that is to be made again.
fn again(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Interrupted
}
