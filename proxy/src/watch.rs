//! Watching the configuration's directory. The directory, not the file: editors replace files, and Kubernetes swaps
//! a symbolic link that the file's path leads through.

use notify::{RecursiveMode, Watcher};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// A change is followed by others (a write in pieces, a rename after a write): they are waited for, this long, and
/// counted as one.
const SETTLE: Duration = Duration::from_millis(50);

/// Tells of changes. Dropping it ends the watch.
pub(crate) struct Watch {
    changes: mpsc::Receiver<()>,
    file: PathBuf,
    seen: Option<Vec<u8>>,
    /// A change was told: when it counts.
    settled: Option<Instant>,
    _watcher: notify::RecommendedWatcher,
}

impl Watch {
    /// Watches the directory that `file` is in.
    pub(crate) fn start(file: &Path) -> notify::Result<Watch> {
        // One place is enough: a change that finds it taken has been told already.
        let (sender, changes) = mpsc::channel(1);
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if !event.is_ok_and(|event| event.kind.is_access()) {
                let _ = sender.try_send(());
            }
        })?;
        let absolute = std::path::absolute(file)?;
        let directory = absolute.parent().unwrap_or(Path::new("/"));
        watcher.watch(directory, RecursiveMode::NonRecursive)?;
        let seen = std::fs::read(file).ok();
        Ok(Watch {
            changes,
            file: absolute,
            seen,
            settled: None,
            _watcher: watcher,
        })
    }

    /// Waits until the file's contents are others than they were. Cancel safe.
    pub(crate) async fn changed(&mut self) {
        loop {
            let settled = match self.settled {
                Some(settled) => settled,
                None if self.changes.recv().await.is_none() => return std::future::pending().await,
                None => Instant::now() + SETTLE,
            };
            // Kept, so that a caller that looks elsewhere meanwhile neither loses the change nor waits anew.
            self.settled = Some(settled);
            tokio::time::sleep_until(settled).await;
            self.settled = None;
            while self.changes.try_recv().is_ok() {}
            let now = std::fs::read(&self.file).ok();
            // A file that is gone for a moment is about to be replaced.
            if now.is_some() && now != self.seen {
                self.seen = now;
                return;
            }
        }
    }
}
