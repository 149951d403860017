//! Sockets that the service manager bound and passes: systemd's socket activation, `sd_listen_fds(3)`.

use listenfd::ListenFd;
use outrigger_dataplane::ListeningSocket;
use std::os::fd::OwnedFd;

/// Takes the sockets that were passed to this process, with the names of `LISTEN_FDNAMES`. What is no listening TCP
/// socket is reported and closed. `LISTEN_FDS` and `LISTEN_PID` are taken out of the environment: call this before
/// there are threads.
pub(crate) fn sockets() -> Vec<ListeningSocket> {
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let names: Vec<&str> = names.split(':').collect();
    // Without LISTEN_PID they were meant for whom it concerns, which systemd never says.
    if std::env::var_os("LISTEN_PID").is_none() {
        return Vec::new();
    }
    let mut passed = ListenFd::from_env();
    let mut sockets = Vec::new();
    for index in 0..passed.len() {
        let name = names.get(index).copied().unwrap_or("unknown");
        let adopted = match passed.take_tcp_listener(index) {
            Ok(Some(socket)) => ListeningSocket::adopt(name, OwnedFd::from(socket)),
            Ok(None) => continue,
            Err(error) => {
                close(&mut passed, index);
                Err(error)
            }
        };
        match adopted {
            Ok(socket) => sockets.push(socket),
            Err(error) => {
                tracing::error!(name, %error, "a socket that the service manager passed is of no use")
            }
        }
    }
    sockets
}

/// Closes a descriptor of another kind.
fn close(passed: &mut ListenFd, index: usize) {
    drop(passed.take_udp_socket(index));
    drop(passed.take_unix_listener(index));
    drop(passed.take_unix_datagram(index));
}
