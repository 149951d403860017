//! The new process: asks the running one for its sockets, and tells it when it may stop.

use super::channel::Channel;
use super::{
    ADDRESSES_MAX, ANSWER_TIMEOUT, Broken, Message, PROTOCOL, Role, SOCKETS_MAX, UpgradeError, unexpected,
};
use outrigger_dataplane::ListeningSocket;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect as connect_socket, socket_with,
};
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a running process has given.
pub(crate) struct Legacy {
    /// Sockets of its listeners.
    pub(crate) listeners: Vec<ListeningSocket>,
    /// Its admin endpoint's.
    pub(crate) admin: Option<ListeningSocket>,
    /// The upgrade socket.
    pub(crate) upgrade: OwnedFd,
    /// The process itself, which waits for [`Predecessor::ready`].
    pub(crate) predecessor: Predecessor,
}

/// The process that runs so far.
pub(crate) struct Predecessor {
    channel: Channel,
    path: PathBuf,
    /// Its process id.
    pub(crate) process: u32,
    /// Its version, as `/server_info` shows it.
    pub(crate) version: String,
    /// How many upgrades have led to it.
    pub(crate) epoch: u64,
    /// Its watchdog.
    pub(crate) watchdog: Option<Duration>,
}

/// Connects to the upgrade socket. None if nobody listens there.
pub(super) fn connect(path: &Path) -> Result<Option<OwnedFd>, UpgradeError> {
    let failed = |source: io::Error| UpgradeError::Socket {
        path: path.to_owned(),
        source,
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
        .map_err(|error| failed(error.into()))?;
    let address = SocketAddrUnix::new(path).map_err(|error| failed(error.into()))?;
    match connect_socket(&socket, &address) {
        Ok(()) => Ok(Some(socket)),
        // No file, or the file of a process that has ended.
        Err(Errno::NOENT | Errno::CONNREFUSED) => match path.symlink_metadata() {
            Ok(found) if !is_socket(&found) => Err(failed(io::Error::other("the file there is no socket"))),
            _ => Ok(None),
        },
        Err(Errno::PROTOTYPE) => Err(failed(io::Error::other("another program's socket is there"))),
        Err(Errno::AGAIN) => Err(UpgradeError::Refused {
            path: path.to_owned(),
            reason: Broken::Silent.to_string(),
        }),
        Err(error) => Err(failed(error.into())),
    }
}

fn is_socket(file: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt;
    file.file_type().is_socket()
}

/// Asks the process that listens on the upgrade socket for its sockets. None if there is none.
pub(crate) async fn inherit(path: &Path) -> Result<Option<Legacy>, UpgradeError> {
    let Some(socket) = connect(path)? else {
        return Ok(None);
    };
    match receive(socket, path).await {
        Ok(legacy) => Ok(Some(legacy)),
        Err(broken) => Err(UpgradeError::Refused {
            path: path.to_owned(),
            reason: broken.to_string(),
        }),
    }
}

async fn receive(socket: OwnedFd, path: &Path) -> Result<Legacy, Broken> {
    // Whoever listens there decides where this process's clients come from.
    let channel = Channel::new(socket)?;
    let user = channel.peer()?;
    if !super::predecessor::is_trusted(user) {
        let user = user.as_raw();
        return Err(Broken::Refused(format!(
            "it belongs to user {user}, who is not trusted"
        )));
    }
    let hello = Message::Hello {
        protocol: PROTOCOL,
        process: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let offer = channel.ask(&hello, ANSWER_TIMEOUT).await?;
    let Message::Offer {
        process,
        version,
        epoch,
        sockets,
        watchdog_microseconds,
    } = offer
    else {
        return Err(unexpected(&offer));
    };
    if sockets > SOCKETS_MAX {
        return Err(Broken::Malformed(format!("{sockets} sockets")));
    }
    let (mut listeners, mut admin, mut upgrade) = (Vec::new(), None, None);
    let mut received = 0;
    while received < sockets {
        for (role, descriptor) in receive_sockets(&channel).await? {
            received += 1;
            match role {
                Role::Listener { name } => listeners.push(ListeningSocket::adopt(name, descriptor)?),
                Role::Admin => admin = Some(ListeningSocket::adopt("admin", descriptor)?),
                Role::Upgrade => upgrade = Some(descriptor),
            }
        }
    }
    let upgrade = upgrade.ok_or_else(|| Broken::Malformed("no upgrade socket".to_owned()))?;
    Ok(Legacy {
        listeners,
        admin,
        upgrade,
        predecessor: Predecessor {
            channel,
            path: path.to_owned(),
            process,
            version,
            epoch,
            watchdog: watchdog_microseconds.map(Duration::from_micros),
        },
    })
}

async fn receive_sockets(channel: &Channel) -> Result<Vec<(Role, OwnedFd)>, Broken> {
    let (message, descriptors) = channel.receive_within(ANSWER_TIMEOUT).await?;
    let Message::Sockets { roles } = message else {
        return Err(unexpected(&message));
    };
    if roles.len() != descriptors.len() || roles.is_empty() {
        return Err(Broken::Malformed(format!(
            "{} sockets with {} descriptors",
            roles.len(),
            descriptors.len()
        )));
    }
    Ok(roles.into_iter().zip(descriptors).collect())
}

impl Predecessor {
    /// Tells that this process accepts from the sockets of these addresses, and waits until the other does not any
    /// more. One that has ended meanwhile does not either. An error: it goes on, and this process must not.
    pub(crate) async fn ready(self, taken_over: Vec<SocketAddr>) -> Result<(), UpgradeError> {
        for addresses in taken_over.chunks(ADDRESSES_MAX) {
            let addresses = addresses.to_vec();
            // What is wrong with it shows below.
            let _ = self.channel.send(&Message::TakenOver { addresses }, &[]).await;
        }
        match self.channel.ask(&Message::Ready, ANSWER_TIMEOUT).await {
            Ok(Message::Released) => Ok(()),
            Ok(other) => Err(self.refused(unexpected(&other).to_string())),
            Err(Broken::Refused(reason)) => Err(self.refused(reason)),
            Err(broken) => {
                tracing::warn!(process = self.process, %broken, "the process before does not say that it stopped");
                Ok(())
            }
        }
    }

    fn refused(&self, reason: String) -> UpgradeError {
        UpgradeError::Refused {
            path: self.path.clone(),
            reason,
        }
    }
}
