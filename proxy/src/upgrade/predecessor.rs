//! The running process: listens on the upgrade socket, and gives its sockets to whoever may have them.

use super::channel::{Channel, DESCRIPTORS_MAX};
use super::{
    ANSWER_TIMEOUT, Broken, Message, PROTOCOL, READY_TIMEOUT, Role, SOCKETS_MAX, UpgradeError, successor,
    unexpected,
};
use rustix::fs::{Mode, fchmod};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with};
use rustix::process::{Uid, geteuid};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::UnixListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// Successors that wait to be answered; all but the first are refused.
const BACKLOG: i32 = 16;

/// Steps that the control loop has not taken yet. A full queue makes the conversation wait.
const STEPS_MAX: usize = 4;

/// How long accepting rests after an error, instead of spinning.
const ACCEPT_ERROR_PAUSE: Duration = Duration::from_millis(50);

/// What is given to a successor.
pub(crate) struct Estate {
    /// How many upgrades have led to this process.
    pub(crate) epoch: u64,
    /// This process's watchdog.
    pub(crate) watchdog: Option<Duration>,
    /// All sockets but the upgrade socket.
    pub(crate) sockets: Vec<(Role, OwnedFd)>,
}

/// What the control loop has to do for a successor.
pub(crate) enum Step {
    /// One has come: give it everything.
    Begin {
        process: u32,
        version: String,
        answer: oneshot::Sender<io::Result<Estate>>,
    },
    /// It accepts from these addresses: stop.
    Release {
        taken_over: Vec<SocketAddr>,
        answer: oneshot::Sender<()>,
    },
    /// It has failed: go on.
    Failed { reason: String },
    /// Somebody who came was refused; what is under way is not touched.
    Refused { reason: String },
}

/// The upgrade socket of the process. Dropping it removes the file, unless a successor has it.
pub(crate) struct UpgradeSocket {
    steps: mpsc::Receiver<Step>,
    path: PathBuf,
    task: JoinHandle<()>,
    /// A successor has the socket, and goes on with it if this process ends.
    given: bool,
}

impl UpgradeSocket {
    /// Listens on the path. The file of a process that has ended is replaced.
    pub(crate) fn bind(path: &Path) -> Result<UpgradeSocket, UpgradeError> {
        if successor::connect(path)?.is_some() {
            return Err(UpgradeError::Refused {
                path: path.to_owned(),
                reason: "it was started at the same time".to_owned(),
            });
        }
        let failed = |source: io::Error| UpgradeError::Socket {
            path: path.to_owned(),
            source,
        };
        let socket = listening(path).map_err(failed)?;
        UpgradeSocket::with(socket, path).map_err(failed)
    }

    /// Goes on listening on the socket of the process before.
    pub(crate) fn inherited(socket: OwnedFd, path: &Path) -> Result<UpgradeSocket, UpgradeError> {
        UpgradeSocket::with(socket, path).map_err(|source| UpgradeError::Socket {
            path: path.to_owned(),
            source,
        })
    }

    fn with(socket: OwnedFd, path: &Path) -> io::Result<UpgradeSocket> {
        let (sender, steps) = mpsc::channel(STEPS_MAX);
        let listener = Listener {
            socket: UnixListener::from_std(socket.into())?,
            steps: sender,
        };
        Ok(UpgradeSocket {
            steps,
            path: path.to_owned(),
            task: tokio::spawn(serve(listener)),
            given: false,
        })
    }

    /// The next thing to do for a successor. Cancel safe.
    pub(crate) async fn step(&mut self) -> Step {
        match self.steps.recv().await {
            Some(Step::Failed { reason }) => {
                self.given = false;
                Step::Failed { reason }
            }
            Some(step) => {
                self.given |= matches!(step, Step::Begin { .. });
                step
            }
            None => std::future::pending().await,
        }
    }

    /// True while a successor has the sockets and may come to accept from them.
    pub(crate) fn is_given(&self) -> bool {
        self.given
    }
}

impl Drop for UpgradeSocket {
    fn drop(&mut self) {
        self.task.abort();
        if !self.given {
            // One that was removed by hand needs no removing.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// True for the user of this process, and for root.
pub(super) fn is_trusted(user: Uid) -> bool {
    user.is_root() || user == geteuid()
}

fn listening(path: &Path) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    // The file is made with the socket's mode, so that there is no moment at which others may connect.
    fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    bind(&socket, &SocketAddrUnix::new(path)?)?;
    listen(&socket, BACKLOG)?;
    Ok(socket)
}

struct Listener {
    /// Of packets, whatever its type's name: all that is asked of it is to accept.
    socket: UnixListener,
    steps: mpsc::Sender<Step>,
}

async fn serve(listener: Listener) {
    loop {
        let channel = listener.successor().await;
        let outcome = tokio::select! {
            outcome = converse(&channel, &listener) => outcome,
            never = listener.refuse_all() => match never {},
        };
        match outcome {
            Ok(()) => {
                // From here on the successor alone listens for its own.
                drop(listener);
                let _ = channel.send(&Message::Released, &[]).await;
                return;
            }
            Err(broken) => {
                let reason = broken.to_string();
                // One that has gone cannot be told.
                let refused = Message::Refused {
                    reason: reason.clone(),
                };
                let _ = tokio::time::timeout(ANSWER_TIMEOUT, channel.send(&refused, &[])).await;
                let _ = listener.steps.send(Step::Failed { reason }).await;
            }
        }
    }
}

/// From a successor's hello to its word that it is ready, and until this process has stopped accepting.
async fn converse(channel: &Channel, listener: &Listener) -> Result<(), Broken> {
    let (hello, _) = channel.receive_within(ANSWER_TIMEOUT).await?;
    let Message::Hello {
        protocol,
        process,
        version,
    } = hello
    else {
        return Err(unexpected(&hello));
    };
    if protocol != PROTOCOL {
        return Err(Broken::Refused(format!(
            "it speaks version {PROTOCOL} of the upgrade protocol, the new process {protocol}"
        )));
    }
    let estate = ask(listener, |answer| Step::Begin {
        process,
        version,
        answer,
    })
    .await??;
    give(channel, listener, estate).await?;
    let taken_over = tokio::time::timeout(READY_TIMEOUT, taken_over(channel))
        .await
        .unwrap_or(Err(Broken::Silent))?;
    ask(listener, |answer| Step::Release { taken_over, answer }).await
}

/// Waits until the successor accepts, and gives the addresses.
async fn taken_over(channel: &Channel) -> Result<Vec<SocketAddr>, Broken> {
    let mut taken_over = Vec::new();
    loop {
        match channel.receive().await?.0 {
            Message::TakenOver { addresses } if taken_over.len() < SOCKETS_MAX => {
                taken_over.extend(addresses)
            }
            Message::Ready => return Ok(taken_over),
            other => return Err(unexpected(&other)),
        }
    }
}

/// Has the control loop do something, and waits for it.
async fn ask<T>(listener: &Listener, step: impl FnOnce(oneshot::Sender<T>) -> Step) -> Result<T, Broken> {
    let ends = |_| Broken::Refused("it is about to end".to_owned());
    let (answer, answered) = oneshot::channel();
    listener.steps.send(step(answer)).await.map_err(|_| ends(()))?;
    answered.await.map_err(|_| ends(()))
}

async fn give(channel: &Channel, listener: &Listener, estate: Estate) -> Result<(), Broken> {
    let upgrade = listener.socket.as_fd().try_clone_to_owned()?;
    let mut sockets = estate.sockets;
    sockets.push((Role::Upgrade, upgrade));
    if sockets.len() > SOCKETS_MAX {
        return Err(Broken::Refused(format!(
            "it has {} sockets, and may pass {SOCKETS_MAX}",
            sockets.len()
        )));
    }
    let offer = Message::Offer {
        process: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        epoch: estate.epoch,
        sockets: sockets.len(),
        watchdog_microseconds: estate
            .watchdog
            .map(|watchdog| u64::try_from(watchdog.as_micros()).unwrap_or(u64::MAX)),
    };
    let sending = async {
        channel.send(&offer, &[]).await?;
        for sockets in sockets.chunks(DESCRIPTORS_MAX) {
            let roles = sockets.iter().map(|(role, _)| role.clone()).collect();
            let descriptors: Vec<_> = sockets.iter().map(|(_, socket)| socket.as_fd()).collect();
            channel.send(&Message::Sockets { roles }, &descriptors).await?;
        }
        Ok(())
    };
    tokio::time::timeout(ANSWER_TIMEOUT, sending)
        .await
        .unwrap_or(Err(Broken::Silent))
}

/// What never comes.
enum Never {}

impl Listener {
    /// The next one to connect who may have the sockets.
    async fn successor(&self) -> Channel {
        loop {
            let (user, channel) = self.accept().await;
            if is_trusted(user) {
                return channel;
            }
            let reason = format!("user {} may not have its sockets", user.as_raw());
            self.refuse(channel, reason).await;
        }
    }

    /// Refuses whoever comes while a successor is talked to.
    async fn refuse_all(&self) -> Never {
        loop {
            let (_, channel) = self.accept().await;
            self.refuse(channel, "another upgrade is under way".to_owned())
                .await;
        }
    }

    async fn refuse(&self, channel: Channel, reason: String) {
        let refused = Message::Refused {
            reason: reason.clone(),
        };
        // A packet fits into an empty socket: one that cannot take it is gone.
        let _ = tokio::time::timeout(ANSWER_TIMEOUT, channel.send(&refused, &[])).await;
        // The control loop ends only with this task.
        let _ = self.steps.send(Step::Refused { reason }).await;
    }

    async fn accept(&self) -> (Uid, Channel) {
        loop {
            match self.try_accept().await {
                Ok(accepted) => return accepted,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept on the upgrade socket");
                    tokio::time::sleep(ACCEPT_ERROR_PAUSE).await;
                }
            }
        }
    }

    async fn try_accept(&self) -> io::Result<(Uid, Channel)> {
        let (socket, _) = self.socket.accept().await?;
        let channel = Channel::new(OwnedFd::from(socket.into_std()?))?;
        Ok((channel.peer()?, channel))
    }
}
