//! When the last good configuration is written to disk: soon after it changed, and again if that failed.

use super::last_good;
use crate::backoff::Backoff;
use outrigger_xds::resource::Resource;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};
use tokio::task::JoinHandle;

/// It is written at most so often.
const INTERVAL: Duration = Duration::from_secs(2);

/// The next thing to be done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// It is to be written now: [`Keeper::write`].
    Write,
    /// It was written.
    Written,
    /// It was not: what was to be written is still to be.
    Failed,
}

/// Writes, one at a time, where nobody waits for them.
#[derive(Debug, Default)]
pub(super) struct Keeper {
    due: Option<Instant>,
    writing: Option<JoinHandle<bool>>,
    failures: Backoff,
}

impl Keeper {
    /// There is something to write.
    pub(super) fn changed(&mut self, now: Instant) {
        self.due.get_or_insert(now + INTERVAL);
    }

    /// Waits for the next step. Cancel safe.
    pub(super) async fn step(&mut self) -> Step {
        if let Some(writing) = &mut self.writing {
            // A write that panicked has written nothing.
            let written = writing.await.unwrap_or(false);
            self.writing = None;
            return match written {
                true => Step::Written,
                false => Step::Failed,
            };
        }
        let Some(due) = self.due else {
            return std::future::pending().await;
        };
        tokio::time::sleep_until(due.into()).await;
        self.due = None;
        Step::Write
    }

    /// Begins to write.
    pub(super) fn write(&mut self, directory: PathBuf, node: String, resources: Vec<Resource>) {
        self.writing = Some(tokio::task::spawn_blocking(move || {
            let written = last_good::write(&directory, &node, &resources, SystemTime::now());
            if let Err(error) = &written {
                let directory = directory.display();
                tracing::error!(%error, %directory, "the last good configuration cannot be kept");
            }
            written.is_ok()
        }));
    }

    /// What a write came to: one that failed is due again, later each time. `random` is uniform.
    pub(super) fn ended(&mut self, is_written: bool, now: Instant, random: u64) {
        if is_written {
            self.failures.reset();
        } else {
            self.due = Some(now + self.failures.next(random).max(INTERVAL));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use outrigger_xds::resource::ResourceType;

    fn resources() -> Vec<Resource> {
        vec![Resource::new(ResourceType::Cluster, "a", "7", b"one".to_vec())]
    }

    #[tokio::test]
    async fn a_write_that_failed_is_tried_again_without_another_change() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("state");
        std::fs::write(&place, "a file in the place of the directory").unwrap();
        let mut keeper = Keeper::default();
        let now = Instant::now();
        keeper.changed(now);
        keeper.changed(now + INTERVAL);
        assert_eq!(keeper.due, Some(now + INTERVAL), "once for both");
        keeper.due = Some(now);
        for _ in 0..3 {
            assert_eq!(keeper.step().await, Step::Write);
            keeper.write(place.clone(), "n".to_owned(), resources());
            assert_eq!(keeper.step().await, Step::Failed);
            keeper.ended(false, now, u64::MAX / 3);
            assert!(keeper.due.is_some_and(|due| due >= now + INTERVAL));
            keeper.due = Some(now);
        }
        std::fs::remove_file(&place).unwrap();
        assert_eq!(keeper.step().await, Step::Write);
        keeper.write(place.clone(), "n".to_owned(), resources());
        assert_eq!(keeper.step().await, Step::Written);
        keeper.ended(true, now, 0);
        assert_eq!(keeper.due, None, "it is done");
        assert_eq!(
            last_good::read(&place, "n").unwrap().unwrap().resources,
            resources()
        );
    }
}
