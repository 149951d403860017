//! Upgrade in place: a new process takes all listening sockets of a running one over a Unix socket, and the old one
//! drains. The sockets themselves pass, as descriptors, so that nothing that waits in a backlog is lost.
//!
//! The *predecessor* runs and listens on the upgrade socket ([`predecessor`]); the *successor* connects to it
//! ([`successor`]). They exchange [`Message`]s, each a packet of its own ([`channel`]):
//!
//! ```text
//! successor                                  predecessor
//!     Hello (version of the protocol)  ──▶
//!                                      ◀──   Offer, then Sockets (with the descriptors) as often as it takes
//!     reads its configuration, accepts from the sockets
//!     TakenOver (which), then Ready    ──▶
//!                                            stops accepting from what was taken, closes the rest
//!                                      ◀──   Released
//!                                            drains and ends
//! ```
//!
//! Until `Ready` the predecessor has changed nothing: whatever happens to the successor, it goes on. It may answer
//! `Refused` at any time before `Released`, and goes on then too. A predecessor that ends without a word leaves the
//! sockets to the successor.

mod channel;
pub(crate) mod predecessor;
pub(crate) mod successor;

use serde::{Deserialize, Serialize};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Version of the protocol; both sides must speak the same. `Hello` and `Refused` read alike in every version.
const PROTOCOL: u32 = 1;

/// How long either side waits for an answer that needs no work. A predecessor that puts a configuration in force
/// answers when it has.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// How long the predecessor waits for the successor to be ready before it goes on as if nobody had come.
const READY_TIMEOUT: Duration = Duration::from_secs(120);

/// Sockets that pass at most; the kernel limits descriptors on their way to a process's limit of open ones.
const SOCKETS_MAX: usize = 16 * 1024;

/// Addresses in a message at most, so that it fits into a packet.
const ADDRESSES_MAX: usize = 512;

/// What the two processes say to each other, as JSON.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "message", rename_all = "snake_case")]
enum Message {
    /// The successor's first.
    Hello {
        protocol: u32,
        process: u32,
        version: String,
    },
    /// The predecessor does not hand over, and goes on.
    Refused { reason: String },
    /// The predecessor's first; the sockets follow.
    Offer {
        process: u32,
        version: String,
        /// How many upgrades have led to the predecessor.
        epoch: u64,
        /// How many sockets follow.
        sockets: usize,
        /// The predecessor's watchdog: the service manager does not tell those that it did not start.
        watchdog_microseconds: Option<u64>,
    },
    /// What the descriptors of this packet are, in their order.
    Sockets { roles: Vec<Role> },
    /// The successor accepts from the sockets of these addresses; as often as it takes.
    TakenOver { addresses: Vec<SocketAddr> },
    /// That was all: other addresses are the predecessor's to close.
    Ready,
    /// The predecessor does not accept any more.
    Released,
}

/// What a socket is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    /// A listener's; one of several.
    Listener {
        /// The listener's name.
        name: String,
    },
    /// The admin endpoint's.
    Admin,
    /// The upgrade socket itself: the successor listens for its own.
    Upgrade,
}

/// Why sockets were not taken over.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    /// The upgrade socket cannot be used.
    #[error("the upgrade socket {}: {source}", path.display())]
    Socket {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The running process does not hand over.
    #[error("the process that listens on the upgrade socket {} does not hand over: {reason}", path.display())]
    Refused {
        /// The socket's path.
        path: PathBuf,
        /// What it says, or what is wrong with what it says.
        reason: String,
    },
}

/// Why a conversation ended before its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it sent something else than this version of the protocol: {0}")]
    Malformed(String),
    #[error("it closed the connection")]
    Closed,
    #[error("it does not answer")]
    Silent,
    #[error("{0}")]
    Refused(String),
}

fn unexpected(message: &Message) -> Broken {
    Broken::Malformed(format!("{message:?}"))
}
