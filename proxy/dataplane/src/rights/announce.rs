//! Whom a publish concerns, and judging them in turns.
//!
//! Everyone is marked before the publish is acknowledged: whoever runs next, for whatever reason, judges itself before
//! it goes on. The others are judged in turns of [`JUDGED_PER_TURN`], between which the worker serves what is ready, so
//! that ten thousand connections do not hold it up.

use super::trust::Verdicts;
use super::{Queued, connection, upstream};
use crate::snapshot::{ChainPolicy, ChainSlot, Snapshot};
use crate::tls::KnownPeer;
use crate::worker::{ConnectionControl, LocalSnapshot, Worker};
use outrigger_identity::Belief;
use outrigger_telemetry::RightLost;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

/// Connections that are judged at once. One costs about a microsecond, and some tens where a certificate's chain has to
/// be verified again.
const JUDGED_PER_TURN: usize = 32;

/// Connections that wait to be judged: each at most once, whatever is published meanwhile.
#[derive(Default)]
pub(crate) struct Announcements {
    queue: RefCell<VecDeque<Rc<ConnectionControl>>>,
    /// A task is at it.
    running: Cell<bool>,
    verdicts: Verdicts,
}

impl Announcements {
    /// Why the belief `after` does not accept a peer of a connection that was opened at `opened`, and that `before`
    /// accepted.
    pub(super) fn distrusted(
        &self,
        peer: &Rc<KnownPeer>,
        before: Option<&Arc<Belief>>,
        after: &Arc<Belief>,
        opened: SystemTime,
    ) -> Option<RightLost> {
        self.verdicts.distrusted(peer, before, after, opened)
    }
}

/// Marks the connections from which `after` may have taken something that `before` gave, and has them judged. `before`
/// is the snapshot that was in force until now.
pub(crate) fn announce<'c>(
    worker: &Rc<Worker>,
    before: &LocalSnapshot,
    after: &LocalSnapshot,
    connections: impl Iterator<Item = &'c Rc<ConnectionControl>>,
) {
    let changes = Changes::between(before, after);
    worker.announcements.verdicts.clear();
    upstream::announce(worker, before, after);
    if changes.is_empty() {
        return;
    }
    let mut queue = worker.announcements.queue.borrow_mut();
    for control in connections {
        let rights = &control.rights;
        let peer = changes.concern_peer(control.slot());
        let policy = changes.concern_policy(control.slot());
        if peer {
            rights.doubt();
        }
        if policy {
            rights.touch();
        }
        let before = rights.queued.get();
        match (policy, peer) {
            (true, _) => rights.queued.set(Queued::Waking),
            (false, true) if before == Queued::No => rights.queued.set(Queued::Peer),
            _ => {}
        }
        if before == Queued::No && (peer || policy) {
            queue.push_back(Rc::clone(control));
        }
    }
    if !queue.is_empty() && !worker.announcements.running.replace(true) {
        tokio::task::spawn_local(run(Rc::clone(worker)));
    }
}

/// Judges the peers of whoever is queued, wakes those who must hear of it, and ends.
async fn run(worker: Rc<Worker>) {
    let announcements = &worker.announcements;
    loop {
        for _ in 0..JUDGED_PER_TURN {
            let Some(control) = announcements.queue.borrow_mut().pop_front() else {
                announcements.running.set(false);
                return;
            };
            let queued = control.rights.queued.replace(Queued::No);
            let lost = connection::judge_peer(&worker, &control);
            if lost.is_some() || queued == Queued::Waking {
                control.wake();
                control.rights.wake_streams();
            }
        }
        tokio::task::yield_now().await;
    }
}

/// What a publish may have taken from downstream connections.
struct Changes<'s> {
    /// Who is revoked.
    revocations: bool,
    before: &'s Snapshot,
    after: &'s Snapshot,
    /// By slot.
    chains: Vec<Changed>,
}

/// What has changed of a chain.
#[derive(Clone, Copy, Default)]
struct Changed {
    /// Who is believed.
    belief: bool,
    /// Who may do what.
    policy: bool,
}

impl<'s> Changes<'s> {
    fn between(before: &'s Snapshot, after: &'s Snapshot) -> Changes<'s> {
        let changed = |slot: usize| {
            let slot = ChainSlot(slot as u32);
            match (before.chain(slot), after.chain(slot)) {
                (Some(old), Some(new)) if !Arc::ptr_eq(old, new) => Changed::between(old, new),
                _ => Changed::default(),
            }
        };
        Changes {
            revocations: !Arc::ptr_eq(before.revocations(), after.revocations()),
            before,
            after,
            chains: (0..before.chains.len()).map(changed).collect(),
        }
    }

    fn is_empty(&self) -> bool {
        let changed = |changed: &Changed| changed.belief || changed.policy;
        !self.revocations && !self.chains.iter().any(changed)
    }

    fn of(&self, slot: ChainSlot) -> Changed {
        self.chains.get(slot.0 as usize).copied().unwrap_or_default()
    }

    fn concern_policy(&self, slot: ChainSlot) -> bool {
        self.of(slot).policy
    }

    fn concern_peer(&self, slot: ChainSlot) -> bool {
        // A chain that has gone has connections that drain, of peers that may be revoked.
        let knows_peers = |snapshot: &Snapshot| {
            let chain = snapshot.chain(slot);
            chain.is_none_or(|chain| chain.tls.as_ref().is_some_and(|tls| tls.belief.is_some()))
        };
        self.of(slot).belief || self.revocations && (knows_peers(self.before) || knows_peers(self.after))
    }
}

impl Changed {
    fn between(old: &ChainPolicy, new: &ChainPolicy) -> Changed {
        let belief = |chain: &ChainPolicy| chain.tls.as_ref()?.belief.as_ref().map(Arc::as_ptr);
        let level = |chain: &ChainPolicy| chain.authorization.as_ref().map(Arc::as_ptr);
        Changed {
            belief: belief(old) != belief(new),
            policy: level(old) != level(new) || has_changed_by_route(old, new),
        }
    }
}

/// True if a policy of some route may be another, or another route may be taken that has one.
fn has_changed_by_route(old: &ChainPolicy, new: &ChainPolicy) -> bool {
    match (&old.http, &new.http) {
        (Some(old), Some(new)) => {
            !Arc::ptr_eq(&old.routes, &new.routes) && (old.routes.authorizes || new.routes.authorizes)
        }
        _ => false,
    }
}
