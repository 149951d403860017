//! Ending the data plane: giving its sockets away, draining, stopping.
//!
//! Endpoints may be put in force until the end, since what drains may take as long as it takes. Sockets are not opened
//! any more from the first step on.

use super::DataPlane;
use crate::snapshot::SocketKey;
use crate::worker::Command;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;

/// What connections that end by the drain's deadline get to say so, before what is left is cut.
const CUT_GRACE: Duration = Duration::from_millis(250);

/// How long the access logs may take to write what they hold, at the end.
const LOG_CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

impl DataPlane {
    /// Stops accepting in favour of another process that has taken over the sockets of these addresses: what waits in
    /// their backlogs is left to it. Other addresses are emptied and closed. What was accepted goes on, and what drains
    /// is [`DataPlane::drain`]'s to say, which should follow. Not cancel safe.
    pub async fn release(&mut self, taken_over: &[SocketAddr]) {
        self.accepts = false;
        let kept = self
            .bound
            .drain()
            .filter(|(_, bound)| taken_over.contains(&bound.address))
            .map(|(key, _)| key);
        let kept: Arc<HashSet<SocketKey>> = Arc::new(kept.collect());
        let mut acknowledged = Vec::new();
        for worker in &self.workers {
            let (done, receiver) = oneshot::channel();
            let kept = Arc::clone(&kept);
            if worker.commands.send(Command::Release { kept, done }).is_ok() {
                acknowledged.push(receiver);
            }
        }
        for worker in acknowledged {
            // A worker that ended meanwhile accepts nothing any more.
            let _ = worker.await;
        }
    }

    /// Stops accepting at once. The future lets what is in flight finish for at most `timeout`, and cuts what is left
    /// then; true if nothing had to be cut. It does not borrow the data plane, which must outlive it: endpoints may be
    /// put in force meanwhile. One that is dropped leaves the end to [`DataPlane`]'s.
    pub fn drain(&mut self, timeout: Duration) -> impl Future<Output = bool> + Send + use<> {
        // Before the workers close theirs: nothing may come into a backlog once it has been emptied.
        self.accepts = false;
        self.bound.clear();
        self.tell(|| Command::Drain);
        let threads: Vec<JoinHandle<()>> = self
            .workers
            .iter_mut()
            .filter_map(|worker| worker.thread.take())
            .collect();
        let commands: Vec<_> = self
            .workers
            .iter()
            .map(|worker| worker.commands.clone())
            .collect();
        let sinks = Arc::clone(&self.sinks);
        async move {
            let mut joined = tokio::task::spawn_blocking(move || {
                for thread in threads {
                    // A worker that panicked has been reported by the panic hook.
                    let _ = thread.join();
                }
            });
            let whole = tokio::time::timeout(timeout, &mut joined).await.is_ok();
            // Tunnels and relayed connections know the same deadline: they end by it with their records and counts.
            if !whole && tokio::time::timeout(CUT_GRACE, &mut joined).await.is_err() {
                for worker in &commands {
                    let _ = worker.send(Command::Stop);
                }
                let _ = joined.await;
            }
            let _ = tokio::task::spawn_blocking(move || sinks.close(LOG_CLOSE_TIMEOUT)).await;
            whole
        }
    }

    fn tell(&self, command: impl Fn() -> Command) {
        for worker in &self.workers {
            // One that has ended needs no telling.
            let _ = worker.commands.send(command());
        }
    }
}

impl Drop for DataPlane {
    fn drop(&mut self) {
        self.tell(|| Command::Stop);
        for worker in &mut self.workers {
            if let Some(thread) = worker.thread.take() {
                let _ = thread.join();
            }
        }
    }
}
