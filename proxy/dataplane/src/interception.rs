//! Connections that were not addressed to us: where each was meant for, and whether it leads back here.
//!
//! Rules of the kernel bring them; `outrigger intercept` installs those, nothing here does.

use outrigger_config::model::Interception;
use parking_lot::Mutex;
use socket2::SockRef;
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use tokio::net::TcpStream;

/// Where a connection was meant for: what the kernel remembers of before it led the connection here, and the
/// connection's own address here where it has nothing else to say.
pub(crate) fn destination(how: Interception, stream: &TcpStream, local: SocketAddr) -> SocketAddr {
    let original = match how {
        Interception::Off | Interception::Tproxy => return comparable(local),
        Interception::Redirect if local.is_ipv4() => SockRef::from(stream).original_dst_v4(),
        Interception::Redirect => SockRef::from(stream).original_dst_v6(),
    };
    // The kernel has none (ENOENT), or does not track connections at all (ENOPROTOOPT).
    let original = original.ok().and_then(|address| address.as_socket());
    comparable(original.unwrap_or(local))
}

/// An address that equals another if they are the same place: IPv4 as such, and no flow label.
pub(crate) fn comparable(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(_) => address,
        SocketAddr::V6(v6) => match v6.ip().to_ipv4_mapped() {
            Some(ip) => SocketAddr::new(ip.into(), v6.port()),
            None => {
                let mut v6 = v6;
                v6.set_flowinfo(0);
                SocketAddr::V6(v6)
            }
        },
    }
}

/// What a worker knows of its own process, so that nothing is sent round in a circle.
pub(crate) struct Ourselves {
    index: usize,
    /// Where the process listens, the admin endpoint included.
    listening: RefCell<Arc<[SocketAddr]>>,
    /// True while a listener intercepts: only then are our connections noted.
    intercepts: Cell<bool>,
    connections: Arc<OwnConnections>,
}

impl Ourselves {
    pub(crate) fn new(index: usize, connections: Arc<OwnConnections>) -> Ourselves {
        Ourselves {
            index,
            listening: RefCell::new(Arc::new([])),
            intercepts: Cell::new(false),
            connections,
        }
    }

    /// Takes what a publish says.
    pub(crate) fn publish(&self, listening: Arc<[SocketAddr]>, intercepts: bool) {
        *self.listening.borrow_mut() = listening;
        self.intercepts.set(intercepts);
    }

    /// True if this process listens on the address, be it by a wildcard and an address of this host.
    pub(crate) fn listens_on(&self, address: SocketAddr) -> bool {
        let address = comparable(address);
        self.listening.borrow().iter().any(|&own| {
            own.port() == address.port()
                && (own.ip() == address.ip()
                    || (own.ip().is_unspecified()
                        && own.is_ipv4() == address.is_ipv4()
                        && is_of_this_host(address.ip())))
        })
    }

    /// True if a connection that came from `peer` and was meant for `destination` is one that this process made.
    pub(crate) fn made(&self, peer: SocketAddr, destination: SocketAddr) -> bool {
        self.intercepts.get() && self.connections.has(comparable(peer), comparable(destination))
    }

    /// Notes a connection that this process makes, until the note is dropped.
    pub(crate) fn note(&self, local: SocketAddr, remote: SocketAddr) -> Option<OwnConnection> {
        let ends = (comparable(local), comparable(remote));
        self.intercepts
            .get()
            .then(|| self.connections.note(self.index, ends))
    }
}

/// True if the address is one of this host's: a socket can be bound to it. Where that cannot be told, it is taken to be
/// one, so that what might be a circle is refused.
fn is_of_this_host(ip: IpAddr) -> bool {
    match UdpSocket::bind((ip, 0)) {
        Ok(_) => true,
        Err(error) => error.kind() != std::io::ErrorKind::AddrNotAvailable,
    }
}

/// Local and remote address of a connection.
type Connection = (SocketAddr, SocketAddr);

/// The connections that this process has made and not closed, by the worker that made them: a connection that comes
/// back to one of its listeners is known by its two addresses.
#[derive(Debug)]
pub(crate) struct OwnConnections {
    workers: Box<[Mutex<HashSet<Connection>>]>,
}

impl OwnConnections {
    pub(crate) fn new(workers: usize) -> OwnConnections {
        OwnConnections {
            workers: (0..workers).map(|_| Mutex::default()).collect(),
        }
    }

    fn has(&self, local: SocketAddr, remote: SocketAddr) -> bool {
        self.workers
            .iter()
            .any(|connections| connections.lock().contains(&(local, remote)))
    }

    fn note(self: &Arc<Self>, worker: usize, ends: Connection) -> OwnConnection {
        self.workers[worker].lock().insert(ends);
        OwnConnection {
            connections: Arc::clone(self),
            worker,
            ends,
        }
    }
}

/// A connection of ours that is noted; dropping it ends the note.
#[derive(Debug)]
pub(crate) struct OwnConnection {
    connections: Arc<OwnConnections>,
    worker: usize,
    ends: Connection,
}

impl Drop for OwnConnection {
    fn drop(&mut self) {
        self.connections.workers[self.worker].lock().remove(&self.ends);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn ourselves(listening: &[&str]) -> Ourselves {
        let ourselves = Ourselves::new(0, Arc::new(OwnConnections::new(2)));
        let listening: Vec<SocketAddr> = listening.iter().map(|text| address(text)).collect();
        ourselves.publish(listening.into(), true);
        ourselves
    }

    #[test]
    fn own_addresses_are_known_also_behind_a_wildcard() {
        let ourselves = ourselves(&["0.0.0.0:15001", "127.0.0.1:9901", "[::]:15006"]);
        for own in [
            "127.0.0.1:15001",
            "127.9.9.9:15001",
            "[::ffff:127.0.0.1]:15001",
            "127.0.0.1:9901",
        ] {
            assert!(ourselves.listens_on(address(own)), "{own}");
        }
        // TEST-NET-1 and the documentation prefix are nobody's.
        for other in [
            "192.0.2.1:15001",
            "127.0.0.1:15002",
            "127.0.0.2:9901",
            "127.0.0.1:15006",
            "[2001:db8::1]:15006",
        ] {
            assert!(!ourselves.listens_on(address(other)), "{other}");
        }
    }

    #[test]
    fn a_connection_is_known_by_both_its_ends_until_it_is_dropped() {
        let ourselves = ourselves(&[]);
        let (local, remote) = (address("10.0.0.1:4000"), address("10.0.0.2:80"));
        let note = ourselves.note(local, remote);
        assert!(ourselves.made(local, remote));
        assert!(ourselves.made(address("[::ffff:10.0.0.1]:4000"), remote));
        // The kernel gives one local port to connections with different remote ends.
        assert!(!ourselves.made(local, address("10.0.0.3:80")));
        drop(note);
        assert!(!ourselves.made(local, remote));
    }

    #[test]
    fn nothing_is_noted_where_nothing_is_intercepted() {
        let ourselves = ourselves(&[]);
        ourselves.publish(Arc::new([]), false);
        assert!(
            ourselves
                .note(address("10.0.0.1:4000"), address("10.0.0.2:80"))
                .is_none()
        );
    }
}
