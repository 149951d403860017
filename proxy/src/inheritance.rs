//! What a starting process finds: sockets of a running process, or of the service manager.

use crate::upgrade::UpgradeError;
use crate::upgrade::successor::{self, Predecessor};
use outrigger_dataplane::ListeningSocket;
use std::collections::{BTreeSet, HashSet};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::Path;

/// Sockets that were bound by others.
pub(crate) struct Inheritance {
    /// What listeners may take.
    pub(crate) sockets: Vec<ListeningSocket>,
    /// Addresses that a running process listens on.
    offered: HashSet<SocketAddr>,
    admin: Option<ListeningSocket>,
    upgrade: Option<OwnedFd>,
    predecessor: Option<Predecessor>,
    count: usize,
}

/// How a process came to be.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Descent {
    /// How many upgrades in place have led to it.
    pub(crate) epoch: u64,
    /// Listening sockets that it did not bind itself.
    pub(crate) sockets_inherited: usize,
}

impl Inheritance {
    /// Asks the process that listens on the upgrade socket, if there is one, and adds what the service manager passed.
    pub(crate) async fn collect(
        upgrade_socket: Option<&Path>,
        activated: Vec<ListeningSocket>,
    ) -> Result<Inheritance, UpgradeError> {
        let legacy = match upgrade_socket {
            Some(path) => successor::inherit(path).await?,
            None => None,
        };
        let mut inheritance = Inheritance {
            sockets: activated,
            offered: HashSet::new(),
            admin: None,
            upgrade: None,
            predecessor: None,
            count: 0,
        };
        if let Some(legacy) = legacy {
            let predecessor = &legacy.predecessor;
            tracing::info!(
                process = predecessor.process,
                version = predecessor.version,
                sockets = legacy.listeners.len(),
                "a running process offers its sockets"
            );
            let listening = legacy.listeners.iter().chain(&legacy.admin);
            inheritance.offered = listening.map(ListeningSocket::bound).collect();
            inheritance.sockets.extend(legacy.listeners);
            inheritance.admin = legacy.admin;
            inheritance.upgrade = Some(legacy.upgrade);
            inheritance.predecessor = Some(legacy.predecessor);
        }
        inheritance.count = inheritance.sockets.len();
        Ok(inheritance)
    }

    /// True if a running process waits for a word of this one.
    pub(crate) fn has_predecessor(&self) -> bool {
        self.predecessor.is_some()
    }

    /// The socket for an admin endpoint at this address.
    pub(crate) fn take_admin(&mut self, wanted: SocketAddr) -> Option<TcpListener> {
        let fits = |bound: SocketAddr| match wanted.port() {
            0 => bound.ip() == wanted.ip(),
            _ => bound == wanted,
        };
        if let Some(admin) = self.admin.take_if(|admin| fits(admin.bound())) {
            return Some(admin.into_socket());
        }
        let index = self.sockets.iter().position(|socket| {
            fits(socket.bound()) && (wanted.port() != 0 || socket.listener() == "admin")
        })?;
        self.count -= 1;
        Some(self.sockets.swap_remove(index).into_socket())
    }

    /// How this process came to be, once listeners have taken what they want.
    pub(crate) fn descent(&self) -> Descent {
        Descent {
            epoch: self
                .predecessor
                .as_ref()
                .map_or(0, |predecessor| predecessor.epoch + 1),
            sockets_inherited: self.count - self.sockets.len(),
        }
    }

    /// Addresses of the running process that this one now accepts from. What nobody wanted is reported, and closed
    /// here.
    pub(crate) fn taken_over(&mut self) -> Vec<SocketAddr> {
        let left = self.sockets.drain(..).chain(self.admin.take());
        let left: BTreeSet<(SocketAddr, String)> = left
            .map(|socket| (socket.bound(), socket.listener().to_owned()))
            .collect();
        for (address, name) in left {
            if self.offered.remove(&address) {
                tracing::info!(%address, name, "not listened on any more: the process before empties and closes it");
            } else {
                tracing::warn!(%address, name, "no listener wants this socket that was passed");
            }
        }
        self.offered.drain().collect()
    }

    /// Takes what outlives the start: the process that waits for a word, and the upgrade socket.
    pub(crate) fn into_parts(self) -> (Option<Predecessor>, Option<OwnedFd>) {
        (self.predecessor, self.upgrade)
    }
}
