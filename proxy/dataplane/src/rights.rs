//! Rights that are lost while they are used: what was allowed when a connection, a request or a tunnel began is asked
//! again when policy takes something back, and what lost its right is cut.
//!
//! 1. *find* ([`announce`]): a publish is compared with the snapshot before it, by pointers. Connections from which it
//!    may have taken something are marked at once.
//! 2. *judge*: peers by who is believed now, in turns ([`connection`], [`upstream`] for endpoints): no task is woken for
//!    that. Requests, tunnels and bytes that are passed on by authorization policy, in their own tasks, which know what
//!    they are (`pipeline::rights`).
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

use crate::tls::KnownPeer;
use outrigger_identity::Belief;
use outrigger_telemetry::RightLost;
use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};
use tokio::time::Instant;

/// What streams, and HTTP/2 connections, are cut with: gRPC reads it as PERMISSION_DENIED (`PROTOCOL-HTTP2.md`, "Errors"),
/// and nobody takes it for something to be tried again at once.
pub(crate) const RESET_REASON: h2::Reason = h2::Reason::INADEQUATE_SECURITY;

/// What a connection knows of its rights.
#[derive(Default)]
pub(crate) struct Rights {
    /// Counts what may have taken something from whatever the connection carries: policies that changed, and its own loss.
    epoch: Cell<u32>,
    /// The epoch by which bytes that are passed on were last found to be in their right.
    judged: Cell<u32>,
    /// Whether its peer is still believed must be asked.
    doubted: Cell<bool>,
    /// Why it is to be cut.
    lost: Cell<Option<RightLost>>,
    /// Who its peer is; there once its handshake is done.
    peer: OnceCell<Peer>,
    /// By which its peer was accepted, if that showed a certificate.
    belief: RefCell<Option<Arc<Belief>>>,
    queued: Cell<Queued>,
    /// The tasks of its streams (HTTP/2).
    streams: RefCell<Option<Box<StreamTasks>>>,
}

/// Who a connection's peer is.
pub(crate) struct Peer {
    /// What its certificate says, if it has shown one.
    pub(crate) identity: Option<Rc<KnownPeer>>,
    /// It speaks TLS.
    pub(crate) tls: bool,
    /// When the connection was accepted.
    pub(crate) opened: Instant,
}

/// What a connection is waiting for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Queued {
    /// Nothing.
    #[default]
    No,
    /// That its peer is judged.
    Peer,
    /// The same, and to be woken in any case.
    Waking,
}

/// Tasks that serve the streams of one connection: a slab.
#[derive(Default)]
struct StreamTasks {
    wakers: Vec<Option<Waker>>,
    free: Vec<usize>,
}

impl Rights {
    /// Counts what may have taken something from whatever the connection carries.
    #[inline]
    pub(crate) fn epoch(&self) -> u32 {
        self.epoch.get()
    }

    /// Why the connection is to be cut, if it is.
    #[inline]
    pub(crate) fn lost(&self) -> Option<RightLost> {
        self.lost.get()
    }

    /// Whether its peer is still believed must be asked, or is answered already: it is not.
    #[inline]
    fn is_doubted(&self) -> bool {
        self.doubted.get() || self.lost.get().is_some()
    }

    /// Its peer may be believed no more.
    fn doubt(&self) {
        self.doubted.set(true);
    }

    /// Policies have changed.
    fn touch(&self) {
        self.epoch.set(self.epoch.get().wrapping_add(1));
    }

    fn lose(&self, reason: RightLost) {
        self.lost.set(Some(reason));
        // Whatever it carries asks for itself.
        self.touch();
    }

    /// Says who the peer is, once that is known.
    pub(crate) fn meet(&self, peer: Peer) {
        // A connection has one handshake.
        let _ = self.peer.set(peer);
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
    fn what_is_lost_stays_lost_and_all_that_it_carries_asks() {
        let rights = Rights::default();
        let epoch = rights.epoch();
        rights.doubt();
        assert!(rights.is_doubted() && rights.epoch() == epoch);
        rights.lose(RightLost::Revoked);
        rights.doubted.set(false);
        assert!(rights.is_doubted() && rights.epoch() != epoch);
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
