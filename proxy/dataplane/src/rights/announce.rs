//! Whom a publish concerns, and waking them in turns.
//!
//! Everyone is marked before the publish is acknowledged: whoever runs next, for whatever reason, judges itself before
//! it goes on. Waking those who wait takes turns of [`WAKES_PER_TURN`], between which the worker serves what is ready,
//! so that ten thousand connections do not hold it up.

use super::trust::Verdicts;
use super::upstream;
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

/// Connections that are woken at once. Judging one costs some microseconds, and some tens where a certificate's chain
/// has to be verified again.
const WAKES_PER_TURN: usize = 32;

/// Connections that wait to be woken: each at most once, whatever is published meanwhile.
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

/// Marks the connections from which `after` may have taken something that `before` gave, and has them woken. `before`
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
    for control in connections.filter(|control| changes.concern(control.slot())) {
        control.rights.touch();
        if !control.rights.queued.replace(true) {
            queue.push_back(Rc::clone(control));
        }
    }
    if !queue.is_empty() && !worker.announcements.running.replace(true) {
        tokio::task::spawn_local(wake(Rc::clone(worker)));
    }
}

/// Wakes whoever is queued, and ends.
async fn wake(worker: Rc<Worker>) {
    let announcements = &worker.announcements;
    loop {
        for _ in 0..WAKES_PER_TURN {
            let Some(control) = announcements.queue.borrow_mut().pop_front() else {
                announcements.running.set(false);
                return;
            };
            control.rights.queued.set(false);
            control.wake();
            control.rights.wake_streams();
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
    /// By slot: who is believed, or who may do what.
    chains: Vec<bool>,
}

impl<'s> Changes<'s> {
    fn between(before: &'s Snapshot, after: &'s Snapshot) -> Changes<'s> {
        let changed = |slot: usize| {
            let slot = ChainSlot(slot as u32);
            match (before.chain(slot), after.chain(slot)) {
                (Some(old), Some(new)) => !Arc::ptr_eq(old, new) && has_changed(old, new),
                _ => false,
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
        !self.revocations && !self.chains.contains(&true)
    }

    fn concern(&self, slot: ChainSlot) -> bool {
        // A chain that has gone has connections that drain, of peers that may be revoked.
        let knows_peers = |snapshot: &Snapshot| {
            let chain = snapshot.chain(slot);
            chain.is_none_or(|chain| chain.tls.as_ref().is_some_and(|tls| tls.belief.is_some()))
        };
        self.chains.get(slot.0 as usize) == Some(&true)
            || self.revocations && (knows_peers(self.before) || knows_peers(self.after))
    }
}

/// True if a connection of the chain may have lost something.
fn has_changed(old: &ChainPolicy, new: &ChainPolicy) -> bool {
    let belief = |chain: &ChainPolicy| chain.tls.as_ref()?.belief.as_ref().map(Arc::as_ptr);
    let level = |chain: &ChainPolicy| chain.authorization.as_ref().map(Arc::as_ptr);
    belief(old) != belief(new) || level(old) != level(new) || has_changed_by_route(old, new)
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
