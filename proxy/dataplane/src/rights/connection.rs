//! Whether a connection may go on, by who its peer is.

use super::Peer;
use crate::authorization;
use crate::connection::Accepted;
use crate::tls::KnownPeer;
use crate::worker::{ConnectionControl, Worker};
use outrigger_identity::Belief;
use outrigger_telemetry::RightLost;
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;
use tokio::time::Instant;

/// Why the connection may not go on, if it may not. Costs a look unless a publish may have taken something.
#[inline]
pub(crate) fn judge(accepted: &Accepted) -> Option<RightLost> {
    judge_peer(&accepted.worker, &accepted.registration.control)
}

/// The same for a connection whose bytes are passed on, which authorization policies allow as a whole.
pub(crate) fn judge_bytes(accepted: &Accepted) -> Option<RightLost> {
    let control = &accepted.registration.control;
    let epoch = control.rights.epoch();
    if let Some(lost) = judge(accepted) {
        return Some(lost);
    }
    if control.rights.judged.get() == epoch {
        return None;
    }
    let snapshot = control.snapshot();
    let chain = control.chain(&snapshot);
    if !authorization::allows_bytes(accepted, chain) {
        return Some(lose(&accepted.worker, control, RightLost::Unauthorized));
    }
    control.rights.judged.set(epoch);
    None
}

/// Why the connection's peer may not go on, if it may not.
#[inline]
pub(super) fn judge_peer(worker: &Worker, control: &ConnectionControl) -> Option<RightLost> {
    if control.rights.is_doubted() {
        judge_doubted(worker, control)
    } else {
        None
    }
}

#[cold]
fn judge_doubted(worker: &Worker, control: &ConnectionControl) -> Option<RightLost> {
    let rights = &control.rights;
    if rights.lost().is_some() {
        return rights.lost();
    }
    // Without a peer its handshake is under way: it is asked again when that is done.
    let peer = rights.peer.get()?;
    if let Some(reason) = peer_lost(worker, control, peer) {
        return Some(lose(worker, control, reason));
    }
    rights.doubted.set(false);
    None
}

/// Notes and counts a loss.
fn lose(worker: &Worker, control: &ConnectionControl, reason: RightLost) -> RightLost {
    control.rights.lose(reason);
    let snapshot = control.snapshot();
    let listener = &control.chain(&snapshot).listener;
    listener.worker(worker.index).connections_cut[reason].inc();
    tracing::debug!(
        reason = reason.as_str(),
        connection = control.id,
        "a connection has lost its right"
    );
    reason
}

/// Why the peer is not believed any more.
fn peer_lost(worker: &Worker, control: &ConnectionControl, peer: &Peer) -> Option<RightLost> {
    let current = worker.snapshot();
    let revocations = current.revocations();
    if let Some(identity) = &peer.identity
        && revocations.refuses(identity, SystemTime::now()).is_some()
    {
        return Some(RightLost::Revoked);
    }
    let snapshot = control.snapshot();
    // One whose chain has gone drains under an older snapshot.
    if snapshot.generation() != current.generation() {
        return None;
    }
    let belief = control.chain(&snapshot).tls.as_ref()?.belief.as_ref()?;
    match &peer.identity {
        // Where plain text is served too, a client without TLS is one without identity.
        None => (peer.tls && belief.requires_certificate()).then_some(RightLost::Unidentified),
        Some(identity) => distrusted(worker, control, identity, peer.opened, belief),
    }
}

/// Why the belief in force does not accept a peer that an older one accepted.
fn distrusted(
    worker: &Worker,
    control: &ConnectionControl,
    identity: &Rc<KnownPeer>,
    opened: Instant,
    belief: &Arc<Belief>,
) -> Option<RightLost> {
    let before = control.rights.belief();
    if before.as_ref().is_some_and(|before| Arc::ptr_eq(before, belief)) {
        return None;
    }
    let opened = SystemTime::now() - opened.elapsed();
    let announcements = &worker.announcements;
    let lost = announcements.distrusted(identity, before.as_ref(), belief, opened);
    if lost.is_some() {
        return lost;
    }
    control.rights.believe(Some(Arc::clone(belief)));
    None
}
