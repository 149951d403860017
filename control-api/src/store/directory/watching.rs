//! When a directory has changed and settled.

use notify::{RecursiveMode, Watcher};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// A change is followed by others (a repository that is checked out, a file written in pieces): this long without one,
/// and the directory has settled.
const SETTLE: Duration = Duration::from_millis(200);
/// A directory that never settles is looked at nevertheless.
const SETTLE_MAX: Duration = Duration::from_secs(5);
pub(super) struct Watching {
    path: PathBuf,
    look_interval: Duration,
    changes: mpsc::Receiver<()>,
    sender: mpsc::Sender<()>,
    /// Where the path led to when the watch began.
    watched: Option<PathBuf>,
    watcher: Option<notify::RecommendedWatcher>,
}

impl Watching {
    /// Begins to watch. What cannot be watched is looked at in this interval.
    pub(super) fn start(path: &Path, look_interval: Duration) -> Watching {
        // One place is enough: a change that finds it taken has been told already.
        let (sender, changes) = mpsc::channel(1);
        let mut watching = Watching {
            path: path.to_owned(),
            look_interval,
            changes,
            sender,
            watched: None,
            watcher: None,
        };
        watching.watch();
        watching
    }

    /// Watches what the path leads to now, and the directory that the path's own end lies in: there a link is swapped
    /// that makes it lead elsewhere. Kubernetes' link `..data` lies within, and is seen there.
    fn watch(&mut self) {
        let led = std::fs::canonicalize(&self.path).ok();
        if led == self.watched && self.watcher.is_some() {
            return;
        }
        let sender = self.sender.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if !event.is_ok_and(|event| event.kind.is_access()) {
                let _ = sender.try_send(());
            }
        });
        self.watcher = match watcher {
            Ok(mut watcher) => {
                let parent = self
                    .path
                    .parent()
                    .map(|parent| (parent, RecursiveMode::NonRecursive));
                let within = (self.path.as_path(), RecursiveMode::Recursive);
                for (path, mode) in parent.into_iter().chain([within]) {
                    if let Err(error) = watcher.watch(path, mode) {
                        tracing::debug!(%error, path = %path.display(), "not watched, but looked at now and then");
                    }
                }
                Some(watcher)
            }
            Err(error) => {
                tracing::warn!(%error, "directories cannot be watched, and are looked at now and then");
                None
            }
        };
        self.watched = led;
    }

    /// Waits until there was a change and no more of them, or it is time to look.
    pub(super) async fn settled(&mut self) {
        let told = tokio::time::timeout(self.look_interval, self.changes.recv()).await;
        if told.is_ok() {
            let end = Instant::now() + SETTLE_MAX;
            while Instant::now() < end {
                match tokio::time::timeout(SETTLE, self.changes.recv()).await {
                    Ok(_) => {}
                    Err(_) => break,
                }
            }
        }
        self.watch();
    }
}
