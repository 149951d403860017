//! What the system tells of changes, gathered: a change is followed by others (a write in pieces, a rename after a write).

use notify::RecommendedWatcher;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// For so long the changes after a change are waited for; all of them count as one.
pub(crate) const SETTLE: Duration = Duration::from_millis(50);

/// Tells of changes, once each has settled.
pub(crate) struct Changes {
    told: mpsc::Receiver<()>,
    /// A change was told: when it counts.
    settled: Option<Instant>,
}

impl Changes {
    /// A watcher that watches nothing yet, and what it tells.
    pub(crate) fn new() -> (notify::Result<RecommendedWatcher>, Changes) {
        // One place is enough: a change that finds it taken has been told already.
        let (sender, told) = mpsc::channel(1);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if !event.is_ok_and(|event| event.kind.is_access()) {
                let _ = sender.try_send(());
            }
        });
        (watcher, Changes { told, settled: None })
    }

    /// Waits until something may have changed; without a watcher, for ever. Cancel safe.
    pub(crate) async fn settled(&mut self) {
        let settled = match self.settled {
            Some(settled) => settled,
            None if self.told.recv().await.is_none() => return std::future::pending().await,
            None => Instant::now() + SETTLE,
        };
        // Kept, so that a caller that looks elsewhere meanwhile neither loses the change nor waits anew.
        self.settled = Some(settled);
        tokio::time::sleep_until(settled).await;
        self.settled = None;
        while self.told.try_recv().is_ok() {}
    }
}
