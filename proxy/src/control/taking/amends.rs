//! Second thoughts about what was answered already: what turns out not to go together with what came later, what does after
//! all, and what goes on as it was in an earlier life.

use super::{Incoming, Refused, Taking, reason};
use std::time::Instant;

impl Taking {
    /// Acknowledged already: they were fit for themselves, and are not for what there is now.
    pub(super) fn refuse_late(&mut self, refused: &Refused, now: Instant) {
        for (resource, refusal) in refused {
            tracing::error!(?resource, %refusal, "a resource of the control plane is refused later");
            let good = self.assembly.good(resource.resource_type(), resource.name());
            self.client
                .refuse_late(resource, &reason(refusal), good.cloned(), now);
        }
    }

    /// What was refused for the sake of something else may be fit for what there is now.
    pub(super) async fn reconsider(&mut self, now: Instant) {
        if self.blocked.is_none() && self.assembly.reconsider() {
            let mut refused = Vec::new();
            self.settle_down(&mut refused, &mut Incoming::nothing(), now)
                .await;
            self.refuse_late(&refused, now);
        }
        let rejected = self.client.rejected();
        let taken = rejected.filter_map(|(of, name)| self.assembly.unrefused(of, name));
        for resource in taken.cloned().collect::<Vec<_>>() {
            if self.client.accept_late(&resource, now) {
                tracing::info!(?resource, "a resource that was refused is taken after all");
            }
        }
    }

    /// What came only in a version that is refused goes on as it was in an earlier life: a proxy that restarts is no worse
    /// off than one that runs.
    pub(super) async fn recall(&mut self, now: Instant) {
        let Some(earlier) = &mut self.earlier else { return };
        let lost = self.assembly.lost();
        if lost.is_empty() {
            return;
        }
        let found = earlier.take(&lost).await;
        if found.is_empty() {
            return;
        }
        for resource in &found {
            tracing::warn!(
                ?resource,
                "a resource is refused: beginning with its last good version"
            );
        }
        // The control plane heard already that it is refused; nothing is to be said of what it does not have any more.
        for (resource, refusal) in self.assembly.recall(found, now) {
            tracing::error!(?resource, %refusal, "a resource on disk is refused");
        }
        self.settle_down(&mut Vec::new(), &mut Incoming::nothing(), now)
            .await;
        self.tell(now);
    }

    /// What was kept in an earlier life is overwritten.
    pub(in super::super) fn forget_earlier(&mut self) {
        self.earlier = None;
    }
}
