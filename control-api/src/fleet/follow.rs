//! From the store to the plan: revisions are loaded, and told as their rollouts have it.

use super::{Fleet, Freshness, Plan, Unloadable};
use crate::rollout::{Driver, DriverOptions};
use crate::store::{Store, StoreError};
use std::sync::Arc;

/// Revisions that are tried, newest first, where a server starts with one that cannot be loaded. Each may take seconds.
const EARLIER_MAX: usize = 20;

/// Brings the fleet to each revision that becomes current, at once unless a release in stages is wished for it; ends with
/// the store. May be dropped at any time.
pub async fn follow(fleet: Arc<Fleet>, store: Arc<dyn Store>) {
    Driver::new(fleet, store, DriverOptions::default()).run().await;
}

/// The current revision cannot be loaded: what everybody has stays. Where that is nothing yet, it is the newest one before
/// that can be loaded, if there is one.
pub(crate) async fn stay(fleet: &Arc<Fleet>, store: &dyn Store, current: u64) -> Result<(), StoreError> {
    let before = fleet.plan();
    if before.freshness != Freshness::Unread {
        if before.freshness == Freshness::Current {
            fleet.replan(|plan| Plan {
                freshness: Freshness::Earlier,
                ..plan.clone()
            });
        }
        return Ok(());
    }
    for head in store.history(Some(current), EARLIER_MAX).await? {
        match fleet.revision(store, head.number).await {
            Ok(stable) => {
                tracing::warn!(
                    revision = head.number,
                    current,
                    "an earlier revision of the mesh is in force, for the current one cannot be"
                );
                fleet.replan(|plan| Plan {
                    stable,
                    freshness: Freshness::Earlier,
                    ..plan.clone()
                });
                return Ok(());
            }
            Err(Unloadable::Store(error)) => return Err(error),
            Err(Unloadable::Faults(_)) => {}
        }
    }
    tracing::error!(
        current,
        "no revision of the mesh can be used: nodes are told nothing until there is one"
    );
    Ok(())
}

#[cfg(test)]
mod tests;
