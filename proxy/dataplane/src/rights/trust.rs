//! Holding peers that one belief has accepted against a newer one, for many connections at once.

use crate::tls::KnownPeer;
use outrigger_identity::{Belief, PeerFault, Taken};
use outrigger_telemetry::RightLost;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

/// What was found since the last publish: connections share beliefs, and often peers.
#[derive(Default)]
pub(super) struct Verdicts {
    taken: RefCell<HashMap<(*const Belief, *const Belief), Compared>>,
    verified: RefCell<HashMap<(*const KnownPeer, *const Belief), Verified>>,
}

/// Two beliefs, which must live for as long as they are known by their addresses, and what came of comparing them.
struct Compared {
    _beliefs: [Arc<Belief>; 2],
    taken: Rc<Taken>,
}

/// A peer and a belief, likewise, and what came of verifying it.
struct Verified {
    _belief: Arc<Belief>,
    _peer: Rc<KnownPeer>,
    lost: Option<RightLost>,
}

impl Verdicts {
    pub(super) fn clear(&self) {
        self.taken.borrow_mut().clear();
        self.verified.borrow_mut().clear();
    }

    /// Why `after` does not accept a peer of a connection that was opened at `opened`, and that `before` accepted.
    pub(super) fn distrusted(
        &self,
        peer: &Rc<KnownPeer>,
        before: Option<&Arc<Belief>>,
        after: &Arc<Belief>,
        opened: SystemTime,
    ) -> Option<RightLost> {
        if before.is_some_and(|before| !self.taken(before, after).concerns(peer)) {
            return None;
        }
        let mut verified = self.verified.borrow_mut();
        let verified = verified
            .entry((Rc::as_ptr(peer), Arc::as_ptr(after)))
            .or_insert_with(|| {
                let fault = after
                    .accepts(peer.chain(), opened.min(peer.validity.not_after))
                    .err();
                Verified {
                    _belief: Arc::clone(after),
                    _peer: Rc::clone(peer),
                    lost: fault.map(reason),
                }
            });
        verified.lost
    }

    /// What `after` has taken of those whom `before` believed.
    fn taken(&self, before: &Arc<Belief>, after: &Arc<Belief>) -> Rc<Taken> {
        let mut taken = self.taken.borrow_mut();
        let compared = taken
            .entry((Arc::as_ptr(before), Arc::as_ptr(after)))
            .or_insert_with(|| Compared {
                _beliefs: [Arc::clone(before), Arc::clone(after)],
                taken: Rc::new(after.taken_since(before)),
            });
        Rc::clone(&compared.taken)
    }
}

/// What a fault of a peer's certificate takes from its connection.
fn reason(fault: PeerFault) -> RightLost {
    match fault {
        PeerFault::Revoked
        | PeerFault::RevocationUnknown
        | PeerFault::RevocationListOutdated
        | PeerFault::Denied => RightLost::Revoked,
        _ => RightLost::Untrusted,
    }
}
