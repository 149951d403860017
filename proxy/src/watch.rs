//! Watching the configuration's directory. The directory, not the file: editors replace files, and Kubernetes swaps
//! a symbolic link that the file's path leads through.

mod changes;

pub(crate) use changes::Changes;
#[cfg(test)]
pub(crate) use changes::SETTLE;

use notify::{RecursiveMode, Watcher};
use std::path::{Path, PathBuf};

/// Tells of changes. Dropping it ends the watch.
pub(crate) struct Watch {
    changes: Changes,
    file: PathBuf,
    seen: Option<Vec<u8>>,
    _watcher: notify::RecommendedWatcher,
}

impl Watch {
    /// Watches the directory that `file` is in.
    pub(crate) fn start(file: &Path) -> notify::Result<Watch> {
        let (watcher, changes) = Changes::new();
        let mut watcher = watcher?;
        let absolute = std::path::absolute(file)?;
        let directory = absolute.parent().unwrap_or(Path::new("/"));
        watcher.watch(directory, RecursiveMode::NonRecursive)?;
        let seen = std::fs::read(file).ok();
        Ok(Watch {
            changes,
            file: absolute,
            seen,
            _watcher: watcher,
        })
    }

    /// Waits until the file's contents are others than they were. Cancel safe.
    pub(crate) async fn changed(&mut self) {
        loop {
            self.changes.settled().await;
            let now = std::fs::read(&self.file).ok();
            // A file that is gone for a moment is about to be replaced.
            if now.is_some() && now != self.seen {
                self.seen = now;
                return;
            }
        }
    }
}
