//! Rights that are lost while they are used: what was allowed when a connection, a request or a tunnel began is asked
//! again when policy takes something back, and what lost its right is cut.
//!
//! 1. *find* ([`announce`]): a publish is compared with the snapshot before it, by pointers. Connections from which it
//!    may have taken something are marked at once, and woken in turns.
//! 2. *judge*: whoever is woken asks for itself, in its own task. A connection by who its peer is ([`connection`]), a
//!    request or a tunnel by authorization policy (`pipeline::rights`), a TCP connection by both. Connections to
//!    endpoints, which may be idle, are judged by the worker ([`upstream`]).
//! 3. *cut*: the owner of the connection, stream, tunnel or relay ends it in its protocol's way, counts it and says so
//!    in the access log.
//!
//! Nothing here changes what goes on: routes, timeouts and retries stay as the request began. What stays allowed does not
//! notice.

mod announce;
mod connection;
mod trust;
mod upstream;

pub(crate) use announce::{Announcements, announce};
pub(crate) use connection::{judge, judge_bytes};
pub(crate) use upstream::{UPSTREAM_LOST, UpstreamConnections, UpstreamPlace, upstream_lost};

use outrigger_identity::Belief;
use outrigger_telemetry::RightLost;
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::task::{Context, Waker};

/// What streams, and HTTP/2 connections, are cut with: gRPC reads it as PERMISSION_DENIED (`PROTOCOL-HTTP2.md`, "Errors"),
/// and nobody takes it for something to be tried again at once.
pub(crate) const RESET_REASON: h2::Reason = h2::Reason::INADEQUATE_SECURITY;

/// What a connection knows of its rights.
#[derive(Default)]
pub(crate) struct Rights {
    /// Counts the publishes that may have taken something from it.
    epoch: Cell<u32>,
    /// The epoch by which the connection was last found to be in its right.
    judged: Cell<u32>,
    /// Why it is to be cut. From then on it stays due for ever.
    lost: Cell<Option<RightLost>>,
    /// By which its peer was accepted, if that showed a certificate.
    belief: RefCell<Option<Arc<Belief>>>,
    /// It waits to be woken.
    queued: Cell<bool>,
    /// The tasks of its streams (HTTP/2).
    streams: RefCell<Option<Box<StreamTasks>>>,
}

/// Tasks that serve the streams of one connection: a slab.
#[derive(Default)]
struct StreamTasks {
    wakers: Vec<Option<Waker>>,
    free: Vec<usize>,
}

impl Rights {
    /// Counts the publishes that may have taken something from the connection or what it carries.
    #[inline]
    pub(crate) fn epoch(&self) -> u32 {
        self.epoch.get()
    }

    /// True if the connection must be judged, or is to be cut.
    #[inline]
    pub(crate) fn is_due(&self) -> bool {
        self.epoch.get() != self.judged.get()
    }

    /// Why the connection is to be cut, if it is.
    pub(crate) fn lost(&self) -> Option<RightLost> {
        self.lost.get()
    }

    /// Something may have been taken away.
    fn touch(&self) {
        self.epoch.set(self.epoch.get().wrapping_add(1));
        if self.lost.get().is_some() && !self.is_due() {
            self.epoch.set(self.epoch.get().wrapping_add(1));
        }
    }

    fn keep(&self) {
        self.judged.set(self.epoch.get());
    }

    fn lose(&self, reason: RightLost) {
        self.lost.set(Some(reason));
    }

    /// By which the connection's peer was accepted.
    fn belief(&self) -> Option<Arc<Belief>> {
        self.belief.borrow().clone()
    }

    /// The connection's peer has been accepted.
    pub(crate) fn believe(&self, belief: Option<Arc<Belief>>) {
        *self.belief.borrow_mut() = belief;
    }

    /// A place for a stream's task; [`Rights::end_stream`] frees it.
    pub(crate) fn begin_stream(&self) -> usize {
        let mut streams = self.streams.borrow_mut();
        let streams = streams.get_or_insert_default();
        match streams.free.pop() {
            Some(place) => place,
            None => {
                streams.wakers.push(None);
                streams.wakers.len() - 1
            }
        }
    }

    /// Says which task serves the stream.
    pub(crate) fn follow_stream(&self, place: usize, cx: &mut Context<'_>) {
        if let Some(streams) = &mut *self.streams.borrow_mut() {
            streams.wakers[place] = Some(cx.waker().clone());
        }
    }

    /// The stream has ended.
    pub(crate) fn end_stream(&self, place: usize) {
        if let Some(streams) = &mut *self.streams.borrow_mut() {
            streams.wakers[place] = None;
            streams.free.push(place);
        }
    }

    /// Has the tasks of its streams polled again.
    pub(crate) fn wake_streams(&self) {
        let streams = self.streams.borrow();
        for waker in streams.iter().flat_map(|streams| streams.wakers.iter().flatten()) {
            waker.wake_by_ref();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_stays_due() {
        let rights = Rights::default();
        assert!(!rights.is_due());
        rights.touch();
        assert!(rights.is_due());
        rights.keep();
        assert!(!rights.is_due());
        rights.touch();
        rights.lose(RightLost::Revoked);
        // Even where the count wraps.
        rights.epoch.set(rights.judged.get().wrapping_sub(1));
        rights.touch();
        assert!(rights.is_due() && rights.lost() == Some(RightLost::Revoked));
    }

    #[test]
    fn places_of_streams_are_used_again() {
        let rights = Rights::default();
        let (first, second) = (rights.begin_stream(), rights.begin_stream());
        assert_ne!(first, second);
        rights.end_stream(first);
        assert_eq!(rights.begin_stream(), first);
    }
}
