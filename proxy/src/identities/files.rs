//! Watching the files that identities are made of: their directories, because files are replaced, and because Kubernetes
//! swaps a symbolic link that all of them lead through.

use crate::watch::Changes;
use notify::{RecursiveMode, Watcher};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Watches a set of files. Dropping it ends that.
pub(crate) struct FileWatch {
    watcher: Option<notify::RecommendedWatcher>,
    changes: Changes,
    directories: BTreeSet<PathBuf>,
    /// How the files were when they were last looked at.
    stamps: BTreeMap<PathBuf, Option<Stamp>>,
}

/// What shows that a file, or the file that a link leads to, is another or was written.
type Stamp = (u64, u64, u64, i64, i64, i64, i64);

impl FileWatch {
    /// Watches nothing yet. Where the system cannot tell of changes, nothing is ever told.
    pub(crate) fn new() -> FileWatch {
        let (watcher, changes) = Changes::new();
        let watcher = watcher
            .inspect_err(|error| {
                tracing::warn!(%error, "files cannot be watched: they are read once a minute");
            })
            .ok();
        FileWatch {
            watcher,
            changes,
            directories: BTreeSet::new(),
            stamps: BTreeMap::new(),
        }
    }

    /// Watches these files and no others. What links lead to may have changed: to be called after each change. Blocking,
    /// for as long as the file system takes to name a file.
    pub(crate) fn watch(&mut self, files: &BTreeSet<PathBuf>) {
        let wanted: BTreeSet<PathBuf> = files.iter().flat_map(|file| directories_of(file)).collect();
        if let Some(watcher) = &mut self.watcher {
            for gone in self.directories.difference(&wanted) {
                // It may be gone from the file system too.
                let _ = watcher.unwatch(gone);
            }
            let mut watched = BTreeSet::new();
            for directory in wanted {
                let is_new = !self.directories.contains(&directory);
                match is_new.then(|| watcher.watch(&directory, RecursiveMode::NonRecursive)) {
                    None | Some(Ok(())) => {
                        watched.insert(directory);
                    }
                    // Tried again at the next call.
                    Some(Err(error)) => {
                        tracing::debug!(%error, directory = %directory.display(), "not watched");
                    }
                }
            }
            self.directories = watched;
        }
        let keep = |file: &PathBuf| {
            let before = self.stamps.get(file).copied();
            (file.clone(), before.unwrap_or_else(|| stamp(file)))
        };
        self.stamps = files.iter().map(keep).collect();
    }

    /// Waits until one of the files is another than it was. Cancel safe.
    pub(crate) async fn changed(&mut self) {
        loop {
            self.changes.settled().await;
            // Other files of the same directories change too.
            if self.note_stamps() {
                return;
            }
        }
    }

    fn note_stamps(&mut self) -> bool {
        let mut is_other = false;
        for (file, before) in &mut self.stamps {
            let now = stamp(file);
            is_other |= *before != now;
            *before = now;
        }
        is_other
    }
}

/// Where changes of a file show: in its directory, and in that of the file that links lead to.
fn directories_of(file: &Path) -> Vec<PathBuf> {
    let absolute = std::path::absolute(file).ok();
    let real = std::fs::canonicalize(file).ok();
    let paths = [absolute, real].into_iter().flatten();
    paths
        .filter_map(|path| path.parent().map(Path::to_owned))
        .collect()
}

fn stamp(file: &Path) -> Option<Stamp> {
    let found = std::fs::metadata(file).ok()?;
    Some((
        found.dev(),
        found.ino(),
        found.size(),
        found.mtime(),
        found.mtime_nsec(),
        found.ctime(),
        found.ctime_nsec(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::SETTLE;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::time::Duration;

    /// Far more than a notification takes.
    const DEADLINE: Duration = Duration::from_secs(20);

    fn watching(files: &[PathBuf]) -> FileWatch {
        let mut watch = FileWatch::new();
        watch.watch(&files.iter().cloned().collect());
        watch
    }

    async fn sees_change(watch: &mut FileWatch) {
        tokio::time::timeout(DEADLINE, watch.changed())
            .await
            .expect("the change is seen");
    }

    #[tokio::test]
    async fn files_that_are_written_or_replaced_are_seen() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("tls.crt");
        fs::write(&file, "one").unwrap();
        let mut watch = watching(std::slice::from_ref(&file));
        fs::write(&file, "three").unwrap();
        sees_change(&mut watch).await;
        let other = directory.path().join("new");
        fs::write(&other, "four").unwrap();
        fs::rename(&other, &file).unwrap();
        sees_change(&mut watch).await;
        fs::remove_file(&file).unwrap();
        sees_change(&mut watch).await;
        fs::write(&file, "five").unwrap();
        sees_change(&mut watch).await;
    }

    /// As Kubernetes does it: `tls.crt` → `..data/tls.crt`, `..data` → `..1/`, and `..data` is replaced.
    #[tokio::test]
    async fn a_swapped_link_is_seen() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        for version in ["..1", "..2"] {
            fs::create_dir(path(version)).unwrap();
            fs::write(path(version).join("tls.crt"), version).unwrap();
        }
        symlink("..1", path("..data")).unwrap();
        symlink("..data/tls.crt", path("tls.crt")).unwrap();
        let mut watch = watching(&[path("tls.crt")]);
        symlink("..2", path("..data_tmp")).unwrap();
        fs::rename(path("..data_tmp"), path("..data")).unwrap();
        sees_change(&mut watch).await;
        fs::remove_dir_all(path("..1")).unwrap();
        // And what the link leads to now is watched.
        watch.watch(&[path("tls.crt")].into());
        fs::write(path("..2").join("tls.crt"), "later").unwrap();
        sees_change(&mut watch).await;
    }

    #[tokio::test]
    async fn other_files_of_the_directory_are_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let (file, other) = (directory.path().join("tls.crt"), directory.path().join("log"));
        fs::write(&file, "one").unwrap();
        let mut watch = watching(std::slice::from_ref(&file));
        for round in 0..5 {
            fs::write(&other, round.to_string()).unwrap();
            // Longer than it takes to settle; nothing depends on how long.
            let quiet = tokio::time::timeout(SETTLE * 4, watch.changed()).await;
            assert!(quiet.is_err());
        }
        fs::write(&file, "three").unwrap();
        sees_change(&mut watch).await;
    }
}
