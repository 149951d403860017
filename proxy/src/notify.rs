//! Telling the service manager where the process is in its life: systemd's `sd_notify(3)`, by datagrams to the socket
//! that `NOTIFY_SOCKET` names. Without one nothing is told.

use rustix::time::{ClockId, clock_gettime};
use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

/// How long a service manager that does not read may hold up the control loop.
const SEND_TIMEOUT: Duration = Duration::from_secs(1);

/// Where notifications go. The default goes nowhere.
#[derive(Debug, Clone, Default)]
pub(crate) struct Notifier {
    manager: Option<Arc<(UnixDatagram, SocketAddr)>>,
    /// The service manager ends a process that has been silent for so long.
    watchdog: Option<Duration>,
}

impl Notifier {
    /// What the environment says.
    pub(crate) fn from_environment() -> Notifier {
        let Some(name) = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else {
            return Notifier::default();
        };
        let manager = connect(&name)
            .inspect_err(
                |error| tracing::warn!(%error, socket = ?name, "the service manager cannot be notified"),
            )
            .ok();
        let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
        let is_ours = number("WATCHDOG_PID").is_none_or(|process| process == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|microseconds| is_ours && *microseconds > 0);
        Notifier {
            manager: manager.map(Arc::new),
            watchdog: watchdog.map(Duration::from_micros),
        }
    }

    /// How often the service manager must hear of this process, if it watches it.
    pub(crate) fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// Takes over the watchdog of the process before, if this one was given none of its own.
    pub(crate) fn take_over_watchdog(&mut self, watchdog: Option<Duration>) {
        self.watchdog = self.watchdog.or(watchdog);
    }

    /// Says nothing any more: another process speaks for the service.
    pub(crate) fn fall_silent(&mut self) {
        *self = Notifier::default();
    }

    /// A configuration is in force.
    pub(crate) fn ready(&self, status: &str) {
        self.send(&format!("READY=1\nSTATUS={status}\n"));
    }

    /// Another configuration is read; [`Notifier::ready`] follows.
    pub(crate) fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let microseconds = now.tv_sec * 1_000_000 + now.tv_nsec / 1_000;
        self.send(&format!(
            "RELOADING=1\nMONOTONIC_USEC={microseconds}\nSTATUS=Reading the configuration\n"
        ));
    }

    /// The process ends.
    pub(crate) fn stopping(&self, status: &str) {
        self.send(&format!("STOPPING=1\nSTATUS={status}\n"));
    }

    /// The control loop goes round.
    pub(crate) fn alive(&self) {
        self.send("WATCHDOG=1\n");
    }

    /// This process is the service's main one from now on.
    pub(crate) fn main_process(&self, process: u32) {
        self.send(&format!("MAINPID={process}\n"));
    }

    fn send(&self, state: &str) {
        let Some(manager) = &self.manager else { return };
        let (socket, address) = &**manager;
        if let Err(error) = socket.send_to_addr(state.as_bytes(), address) {
            tracing::debug!(%error, state, "the service manager was not notified");
        }
    }
}

fn connect(name: &OsStr) -> std::io::Result<(UnixDatagram, SocketAddr)> {
    let address = match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        [b'/', ..] => SocketAddr::from_pathname(name)?,
        _ => return Err(std::io::Error::other("neither a path nor an abstract name")),
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(SEND_TIMEOUT))?;
    Ok((socket, address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(receiver: &UnixDatagram) -> String {
        receiver.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut datagram = [0; 4096];
        let length = receiver.recv(&mut datagram).unwrap();
        String::from_utf8(datagram[..length].to_vec()).unwrap()
    }

    #[test]
    fn paths_and_abstract_names_are_sockets() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let abstract_name = format!("outrigger-notify-{}", std::process::id());
        let abstract_address = SocketAddr::from_abstract_name(&abstract_name).unwrap();
        for (receiver, name) in [
            (UnixDatagram::bind(&path).unwrap(), path.into_os_string()),
            (
                UnixDatagram::bind_addr(&abstract_address).unwrap(),
                format!("@{abstract_name}").into(),
            ),
        ] {
            let mut notifier = Notifier {
                manager: Some(Arc::new(connect(&name).unwrap())),
                watchdog: None,
            };
            notifier.ready("all is well");
            assert_eq!(heard(&receiver), "READY=1\nSTATUS=all is well\n");
            notifier.main_process(7);
            assert_eq!(heard(&receiver), "MAINPID=7\n");
            notifier.fall_silent();
            notifier.stopping("unheard");
            receiver.set_nonblocking(true).unwrap();
            assert!(receiver.recv(&mut [0; 64]).is_err());
        }
        assert!(connect(OsStr::new("vsock:2:1234")).is_err());
    }
}
