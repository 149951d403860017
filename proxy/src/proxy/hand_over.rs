//! The running process's part of an upgrade in place, as the control loop takes it.

use super::Proxy;
use crate::notify::Notifier;
use crate::upgrade::Role;
use crate::upgrade::predecessor::{Estate, Step};
use outrigger_telemetry::UpgradeOutcome;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// What a step of an upgrade has led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HandOver {
    /// This process goes on.
    GoOn,
    /// A successor accepts, and this process does not any more: it should drain.
    Done,
}

/// Tells the service manager that the control loop goes round.
pub(crate) struct Alive {
    notifier: Notifier,
    ticks: Option<Interval>,
}

impl Alive {
    /// Waits for the next time and tells it; forever if nobody watches. Cancel safe.
    pub(crate) async fn tick(&mut self) {
        match &mut self.ticks {
            Some(ticks) => ticks.tick().await,
            None => return std::future::pending().await,
        };
        self.notifier.alive();
    }
}

impl Proxy {
    /// The service manager's watchdog, told twice as often as it asks for.
    pub(crate) fn watchdog(&self) -> Alive {
        let ticks = self.notifier.watchdog().map(|watchdog| {
            let mut ticks = interval((watchdog / 2).max(Duration::from_millis(1)));
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        });
        Alive {
            notifier: self.notifier.clone(),
            ticks,
        }
    }

    /// True if a successor may ask for the sockets.
    pub(crate) fn may_hand_over(&self) -> bool {
        self.upgrades.is_some()
    }

    /// True while a successor has the sockets and is not ready yet.
    pub(crate) fn is_handing_over(&self) -> bool {
        self.upgrades.as_ref().is_some_and(|upgrades| upgrades.is_given())
    }

    /// Does what an upgrade in place asks for.
    pub(crate) async fn take_step(&mut self, step: Step) -> HandOver {
        match step {
            Step::Begin {
                process,
                version,
                answer,
            } => {
                tracing::info!(process, version, "a new process asks for the sockets");
                // One that does not wait any more is told of by the step that follows.
                let _ = answer.send(self.estate().await);
                HandOver::GoOn
            }
            Step::Release { taken_over, answer } => {
                self.release(&taken_over).await;
                self.count(UpgradeOutcome::HandedOver);
                tracing::info!(sockets = taken_over.len(), "handed over: the new process accepts");
                let _ = answer.send(());
                HandOver::Done
            }
            Step::Failed { reason } => {
                self.count(UpgradeOutcome::Failed);
                tracing::warn!(reason, "the upgrade has failed: this process goes on");
                HandOver::GoOn
            }
            Step::Refused { reason } => {
                self.count(UpgradeOutcome::Refused);
                tracing::warn!(reason, "an upgrade was refused");
                HandOver::GoOn
            }
        }
    }

    fn count(&self, outcome: UpgradeOutcome) {
        self.status.metrics.process().upgrades_in_place[outcome].inc();
    }

    async fn estate(&self) -> io::Result<Estate> {
        let mut sockets = vec![(Role::Admin, self.admin.socket()?)];
        for socket in self.plane.lock().await.sockets()? {
            let name = socket.listener().to_owned();
            sockets.push((Role::Listener { name }, OwnedFd::from(socket.into_socket())));
        }
        Ok(Estate {
            epoch: self.status.descent.lock().epoch,
            watchdog: self.notifier.watchdog(),
            sockets,
        })
    }

    async fn release(&mut self, taken_over: &[SocketAddr]) {
        // The successor speaks for the service now, and a word of this process would be taken for its own.
        self.notifier.fall_silent();
        self.status.begin_drain();
        self.plane.lock().await.release(taken_over).await;
        if taken_over.contains(&self.admin.address()) {
            self.admin.close().await;
        }
    }
}
