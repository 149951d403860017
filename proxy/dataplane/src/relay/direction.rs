//! One direction of a relay: bytes from a source to a sink, then the source's end.

use super::pipe::{Pipe, Splice};
use super::side::{Ending, Read, Side};
use super::{RelayMemory, again};
use bytes::{Buf, Bytes};
use outrigger_telemetry::{ListenerCells, SpliceFallback};
use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Instant;

/// Bytes that one direction moves in one poll before other connections have their turn.
const TURN_BYTES_MAX: u64 = 1024 * 1024;

/// A direction on which nothing moved for this long has paused.
const PAUSE: Duration = Duration::from_secs(1);

/// Which side failed, and how.
pub(super) enum Fault {
    Source(io::Error),
    Sink(io::Error),
}

/// What a direction works with.
pub(super) struct Surroundings<'t> {
    pub(super) memory: &'t RelayMemory,
    pub(super) listener: &'t ListenerCells,
    /// Bytes without a pause that make a direction worth a pipe; none unless both sides are plain TCP.
    pub(super) splice_after_bytes: Option<u64>,
}

/// One direction.
pub(super) struct Direction {
    /// Bytes that were read and not written yet: those from before the relay, or what a slow sink has left.
    pending: Bytes,
    /// How the source ended.
    ending: Option<Ending>,
    /// Bytes were written that the sink may hold back until it is flushed.
    unflushed: bool,
    /// The sink was told of the end.
    closed: bool,
    /// The last poll left off waiting for the source.
    awaits_source: bool,
    /// Bytes written.
    pub(super) written: u64,
    /// Bytes written since the last pause.
    burst: u64,
    last_moved: Option<Instant>,
    /// Bytes may be in it: it goes back to the pool empty.
    pipe: Option<Pipe>,
    /// The kernel does not splice these two.
    unspliceable: bool,
}

impl Direction {
    pub(super) fn new(first: Bytes) -> Direction {
        Direction {
            pending: first,
            ending: None,
            unflushed: false,
            closed: false,
            awaits_source: false,
            written: 0,
            burst: 0,
            last_moved: None,
            pipe: None,
            unspliceable: false,
        }
    }

    /// True if the last poll left a read of the source waiting, which will tell of its failure.
    pub(super) fn awaits_source(&self) -> bool {
        self.awaits_source
    }

    /// Notes what the last poll moved.
    pub(super) fn note(&mut self, moved: u64, now: Instant) {
        if moved == 0 {
            return;
        }
        let paused = self
            .last_moved
            .is_some_and(|last| now.duration_since(last) > PAUSE);
        self.burst = if paused { moved } else { self.burst + moved };
        self.last_moved = Some(now);
    }

    /// Moves what can be moved. Ready when the source has ended and the sink was told, or when either failed.
    pub(super) fn poll(
        &mut self,
        source: &mut Side<'_>,
        sink: &mut Side<'_>,
        around: &Surroundings<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Fault>> {
        self.awaits_source = false;
        if self.closed {
            return Poll::Ready(Ok(()));
        }
        let stop_at = self.written + TURN_BYTES_MAX;
        while self.ending.is_none() {
            ready!(self.poll_write_pending(sink, cx))?;
            if self.written >= stop_at {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let moved = match (&*source, &*sink) {
                (Side::Plain(from), Side::Plain(to)) if self.takes_pipe(around) => {
                    let (from, to) = (*from, *to);
                    self.poll_splice(from, to, around, cx)
                }
                _ => self.poll_copy(source, sink, around, cx),
            };
            match moved {
                Poll::Pending => {
                    if self.awaits_source {
                        ready!(self.poll_flush(sink, cx))?;
                    }
                    return Poll::Pending;
                }
                Poll::Ready(moved) => moved?,
            }
        }
        ready!(self.poll_write_pending(sink, cx))?;
        ready!(self.poll_flush(sink, cx))?;
        if let Some(ending) = self.ending {
            ready!(sink.poll_end(ending, cx)).map_err(Fault::Sink)?;
        }
        self.closed = true;
        Poll::Ready(Ok(()))
    }

    fn poll_write_pending(&mut self, sink: &mut Side<'_>, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        while !self.pending.is_empty() {
            let count = ready!(sink.poll_write(&self.pending, cx)).map_err(Fault::Sink)?;
            self.pending.advance(count);
            self.wrote(count);
            if self.pending.is_empty() {
                // The memory goes with the last byte.
                self.pending = Bytes::new();
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_flush(&mut self, sink: &mut Side<'_>, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        if self.unflushed {
            ready!(sink.poll_flush(cx)).map_err(Fault::Sink)?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn wrote(&mut self, count: usize) {
        self.written += count as u64;
        self.unflushed = true;
    }

    /// One read, and the writes of it, through the buffer that all relays of a worker share.
    fn poll_copy(
        &mut self,
        source: &mut Side<'_>,
        sink: &mut Side<'_>,
        around: &Surroundings<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Fault>> {
        around.memory.with_copy_buffer(|buffer| {
            let count = match source.poll_read(buffer, cx) {
                Poll::Pending => {
                    self.awaits_source = true;
                    return Poll::Pending;
                }
                Poll::Ready(Err(error)) if again(&error) => return Poll::Ready(Ok(())),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(Fault::Source(error))),
                Poll::Ready(Ok(Read::End(ending))) => {
                    self.ending = Some(ending);
                    return Poll::Ready(Ok(()));
                }
                Poll::Ready(Ok(Read::Bytes(count))) => count,
            };
            let mut left = &buffer[..count];
            while !left.is_empty() {
                match sink.poll_write(left, cx) {
                    Poll::Pending => {
                        self.pending = Bytes::copy_from_slice(left);
                        return Poll::Pending;
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(Fault::Sink(error))),
                    Poll::Ready(Ok(count)) => {
                        left = &left[count..];
                        self.wrote(count);
                    }
                }
            }
            Poll::Ready(Ok(()))
        })
    }

    /// True if the next bytes go through a pipe, which is there then.
    fn takes_pipe(&mut self, around: &Surroundings<'_>) -> bool {
        if self.pipe.is_some() {
            return true;
        }
        let long = around.splice_after_bytes.is_some_and(|bytes| self.burst >= bytes);
        if !long || self.unspliceable {
            return false;
        }
        match around.memory.pipes.take() {
            Ok(pipe) => self.pipe = Some(pipe),
            Err(reason) => {
                around.listener.splice_fallbacks[reason].inc();
                // It is asked again after as many bytes more.
                self.burst = 0;
            }
        }
        self.pipe.is_some()
    }

    /// One step through the pipe. It is filled only when it is empty, so that a full pipe and an empty socket cannot be
    /// taken for each other.
    fn poll_splice(
        &mut self,
        source: &tokio::net::TcpStream,
        sink: &tokio::net::TcpStream,
        around: &Surroundings<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Fault>> {
        let Some(mut pipe) = self.pipe.take() else {
            return Poll::Ready(Ok(()));
        };
        if pipe.is_empty() {
            match pipe.poll_fill(source, cx) {
                Poll::Pending => {
                    around.memory.pipes.put(pipe);
                    self.awaits_source = true;
                    return Poll::Pending;
                }
                Poll::Ready(Splice::End) => {
                    around.memory.pipes.put(pipe);
                    self.ending = Some(Ending::Whole);
                }
                Poll::Ready(Splice::Failed(error)) => return Poll::Ready(Err(Fault::Source(error))),
                Poll::Ready(Splice::Unsupported) => {
                    around.memory.pipes.put(pipe);
                    self.give_up_splicing(around);
                }
                Poll::Ready(Splice::Moved(_)) => self.pipe = Some(pipe),
            }
            return Poll::Ready(Ok(()));
        }
        let drained = pipe.poll_drain(sink, cx);
        match drained {
            Poll::Ready(Splice::Moved(count)) => {
                self.wrote(count);
                around.listener.spliced_bytes.add(count as u64);
            }
            Poll::Ready(Splice::Failed(error)) => return Poll::Ready(Err(Fault::Sink(error))),
            Poll::Ready(Splice::Unsupported | Splice::End) => {
                // What is in the pipe has been taken from the source: it goes on by hand.
                self.pending = pipe.spill().map_err(Fault::Sink)?;
                self.give_up_splicing(around);
            }
            Poll::Pending => {}
        }
        if self.unspliceable {
            around.memory.pipes.put(pipe);
        } else {
            self.pipe = Some(pipe);
        }
        drained.map(|_| Ok(()))
    }

    fn give_up_splicing(&mut self, around: &Surroundings<'_>) {
        self.unspliceable = true;
        around.listener.splice_fallbacks[SpliceFallback::Unsupported].inc();
    }
}
