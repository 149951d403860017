//! Whether a connection may go on, by who its peer is.

use crate::authorization;
use crate::connection::Accepted;
use crate::snapshot::ChainPolicy;
use crate::tls::KnownPeer;
use crate::worker::LocalSnapshot;
use outrigger_identity::Belief;
use outrigger_telemetry::RightLost;
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

/// Why the connection may not go on, if it may not. Costs a comparison unless a publish may have taken something.
#[inline]
pub(crate) fn judge(accepted: &Accepted) -> Option<RightLost> {
    if accepted.registration.control.rights.is_due() {
        judge_due(accepted, |_| true)
    } else {
        None
    }
}

/// The same for a connection whose bytes are passed on, which authorization policies allow as a whole.
pub(crate) fn judge_bytes(accepted: &Accepted) -> Option<RightLost> {
    if accepted.registration.control.rights.is_due() {
        judge_due(accepted, |chain| authorization::allows_bytes(accepted, chain))
    } else {
        None
    }
}

#[cold]
fn judge_due(accepted: &Accepted, is_authorized: impl FnOnce(&ChainPolicy) -> bool) -> Option<RightLost> {
    let rights = &accepted.registration.control.rights;
    if rights.lost().is_some() {
        return rights.lost();
    }
    let lost = peer_lost(accepted).or_else(|| {
        let snapshot = adopted(accepted)?;
        let chain = accepted.registration.control.chain(&snapshot);
        (!is_authorized(chain)).then_some(RightLost::Unauthorized)
    });
    let Some(lost) = lost else {
        rights.keep();
        return None;
    };
    rights.lose(lost);
    let snapshot = accepted.registration.control.snapshot();
    let listener = &accepted.registration.control.chain(&snapshot).listener;
    listener.worker(accepted.worker.index).connections_cut[lost].inc();
    tracing::debug!(reason = lost.as_str(), peer = %accepted.ends.remote, "a connection has lost its right");
    Some(lost)
}

/// The snapshot in force, if the connection goes by it: one whose chain has gone drains under an older one.
fn adopted(accepted: &Accepted) -> Option<Rc<LocalSnapshot>> {
    let snapshot = accepted.registration.control.snapshot();
    (snapshot.generation() == accepted.worker.snapshot().generation()).then_some(snapshot)
}

/// Why the peer is not believed any more.
fn peer_lost(accepted: &Accepted) -> Option<RightLost> {
    let identity = accepted.ends.identity.as_ref();
    let revocations = Arc::clone(accepted.worker.snapshot().revocations());
    if identity.is_some_and(|identity| revocations.refuses(identity, SystemTime::now()).is_some()) {
        return Some(RightLost::Revoked);
    }
    let snapshot = adopted(accepted)?;
    let chain = accepted.registration.control.chain(&snapshot);
    let belief = chain.tls.as_ref()?.belief.as_ref()?;
    match identity {
        // Where plain text is served too, a client without TLS is one without identity.
        None => {
            (accepted.ends.tls.is_some() && belief.requires_certificate()).then_some(RightLost::Unidentified)
        }
        Some(identity) => distrusted(accepted, identity, belief),
    }
}

/// Why the belief in force does not accept a peer that an older one accepted.
fn distrusted(accepted: &Accepted, identity: &Rc<KnownPeer>, belief: &Arc<Belief>) -> Option<RightLost> {
    let rights = &accepted.registration.control.rights;
    let before = rights.belief();
    if before.as_ref().is_some_and(|before| Arc::ptr_eq(before, belief)) {
        return None;
    }
    let opened = SystemTime::now() - accepted.opened.elapsed();
    let lost = accepted
        .worker
        .announcements
        .distrusted(identity, before.as_ref(), belief, opened);
    if lost.is_some() {
        return lost;
    }
    rights.believe(Some(Arc::clone(belief)));
    None
}
