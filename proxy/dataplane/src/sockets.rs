//! Listening sockets: bound for the workers, or taken over from another process and passed on to one.
//!
//! How they travel between processes is not known here.

use crate::accept;
use outrigger_config::model::{Interception, Listener};
use rustix::net::{AddressFamily, SocketType, sockopt};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A listening socket that another process bound, or may take over. Several may share an address: each has a backlog
/// of its own, which is lost when the last descriptor of it closes.
#[derive(Debug)]
pub struct ListeningSocket {
    listener: String,
    bound: SocketAddr,
    socket: TcpListener,
}

impl ListeningSocket {
    /// Takes a descriptor that was made elsewhere; `listener` is the name that it was given there.
    ///
    /// # Errors
    /// If it is not a TCP socket that listens, or an IPv6 one that takes IPv4 connections too: a listener has one
    /// address, and its policy speaks of addresses of one family.
    pub fn adopt(listener: impl Into<String>, descriptor: OwnedFd) -> io::Result<ListeningSocket> {
        let refuse = |why: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        match sockopt::socket_domain(&descriptor)? {
            AddressFamily::INET => {}
            AddressFamily::INET6 if sockopt::ipv6_v6only(&descriptor)? => {}
            AddressFamily::INET6 => {
                return refuse("it takes IPv4 connections too (in a systemd unit: BindIPv6Only=ipv6-only)");
            }
            _ => return refuse("it is not an IP socket"),
        }
        if sockopt::socket_type(&descriptor)? != SocketType::STREAM {
            return refuse("it is not a TCP socket");
        }
        if !sockopt::socket_acceptconn(&descriptor)? {
            return refuse("it does not listen (in a systemd unit: Accept=no)");
        }
        let socket = TcpListener::from(descriptor);
        let bound = socket.local_addr()?;
        Ok(ListeningSocket::new(listener.into(), bound, socket))
    }

    pub(crate) fn new(listener: String, bound: SocketAddr, socket: TcpListener) -> ListeningSocket {
        ListeningSocket {
            listener,
            bound,
            socket,
        }
    }

    /// The name that it was given where it was bound.
    pub fn listener(&self) -> &str {
        &self.listener
    }

    /// The address that it is bound to.
    pub fn bound(&self) -> SocketAddr {
        self.bound
    }

    /// The standard library's socket.
    pub fn into_socket(self) -> TcpListener {
        self.socket
    }

    /// True if the listener wants this socket: by its address, or by its name where the kernel picks the port.
    fn is_for(&self, listener: &Listener) -> bool {
        let wanted = listener.address();
        match wanted.port() {
            0 => self.listener == listener.name().as_str() && self.bound.ip() == wanted.ip(),
            _ => self.bound == wanted,
        }
    }
}

impl AsFd for ListeningSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Takes all sockets that a listener wants out of those at hand: all of one address, since each has its own backlog.
pub(crate) fn take(
    sockets: &mut Vec<ListeningSocket>,
    listener: &Listener,
) -> Option<(SocketAddr, Vec<TcpListener>)> {
    let bound = sockets.iter().find(|socket| socket.is_for(listener))?.bound;
    let taken = sockets
        .extract_if(.., |socket| socket.bound == bound)
        .map(ListeningSocket::into_socket)
        .collect();
    Some((bound, taken))
}

/// An address that the workers accept from.
pub(crate) struct Bound {
    pub(crate) address: SocketAddr,
    /// Each socket's second descriptor; the first is a worker's. They are here to be passed on.
    pub(crate) sockets: Vec<TcpListener>,
}

/// The sockets of a listener: those that were taken for it and no others, or one for each worker.
pub(crate) fn open(
    listener: &Listener,
    taken: Option<(SocketAddr, Vec<TcpListener>)>,
    workers: usize,
) -> io::Result<(Bound, Vec<TcpListener>)> {
    let (address, sockets) = match taken {
        Some((address, sockets)) => (address, adopt_all(address, sockets, listener)?),
        None => bind_all(listener, workers)?,
    };
    let seconds: io::Result<Vec<TcpListener>> = sockets.iter().map(TcpListener::try_clone).collect();
    let bound = Bound {
        address,
        sockets: seconds?,
    };
    Ok((bound, sockets))
}

/// All sockets that another process bound to an address.
fn adopt_all(
    address: SocketAddr,
    sockets: Vec<TcpListener>,
    listener: &Listener,
) -> io::Result<Vec<TcpListener>> {
    // Their backlog and transparency are changed by the workers, once everything else has worked out: the process
    // that they come from may have to go on with them.
    if listener.interception() == Interception::Tproxy {
        accept::check_transparency(address)?;
    }
    for socket in &sockets {
        socket.set_nonblocking(true)?;
    }
    Ok(sockets)
}

/// Binds sockets beside those that another process bound to an address, if there are more workers; gives the workers'.
pub(crate) fn complete(bound: &mut Bound, listener: &Listener, workers: usize) -> Vec<TcpListener> {
    let address = bound.address;
    let mut added = Vec::new();
    while bound.sockets.len() < workers {
        let socket = accept::bind(address, listener.backlog(), listener.interception())
            .and_then(|socket| Ok((socket.try_clone()?, socket)));
        match socket {
            Ok((second, first)) => {
                bound.sockets.push(second);
                added.push(first);
            }
            Err(error) => {
                // A socket that was bound without SO_REUSEPORT, or by another user, shares its address with no other.
                tracing::info!(%address, %error, sockets = bound.sockets.len(), workers,
                    "fewer sockets than workers: the others get their connections from those that accept");
                break;
            }
        }
    }
    added
}

/// One socket for each worker, on one address.
fn bind_all(listener: &Listener, workers: usize) -> io::Result<(SocketAddr, Vec<TcpListener>)> {
    let bind = |address| accept::bind(address, listener.backlog(), listener.interception());
    accept::probe(listener.address())?;
    let first = bind(listener.address())?;
    let bound = first.local_addr()?;
    let mut sockets = vec![first];
    for _ in 1..workers {
        sockets.push(bind(bound)?);
    }
    Ok((bound, sockets))
}

#[cfg(test)]
mod tests {
    use super::*;
    use outrigger_config::{Environment, MeshConfig, Source, load};
    use socket2::{Domain, Socket, Type};

    /// One listener, on a port that the kernel picks.
    fn config() -> MeshConfig {
        let text = "listeners: [{ name: edge, address: '127.0.0.1:0', filter_chains: [{ http: { route_configuration: main } }] }]\n\
            route_configurations: [{ name: main, virtual_hosts: [{ name: all, domains: ['*'], routes: [] }] }]\n";
        let source = Source {
            name: "test.yaml".into(),
            text: text.into(),
        };
        load(&source, &Environment::empty()).unwrap().config
    }

    fn adopt(socket: Socket) -> io::Result<ListeningSocket> {
        ListeningSocket::adopt("edge", OwnedFd::from(socket))
    }

    #[test]
    fn what_listens_on_one_family_is_taken() {
        for (domain, address) in [(Domain::IPV4, "127.0.0.1:0"), (Domain::IPV6, "[::1]:0")] {
            let socket = Socket::new(domain, Type::STREAM, None).unwrap();
            if domain == Domain::IPV6 {
                socket.set_only_v6(true).unwrap();
            }
            let address: SocketAddr = address.parse().unwrap();
            if socket.bind(&address.into()).is_err() {
                // A machine without IPv6.
                continue;
            }
            socket.listen(1).unwrap();
            let adopted = adopt(socket).unwrap();
            assert_eq!(adopted.bound().ip(), address.ip());
            assert_ne!(adopted.bound().port(), 0);
            assert_eq!(adopted.listener(), "edge");
        }
    }

    #[test]
    fn what_was_taken_is_added_to_only_when_nobody_else_may_go_on_with_it() {
        let config = config();
        let listener = &config.listeners()[0];
        let (mut bound, workers) = open(listener, None, 2).unwrap();
        assert_eq!((workers.len(), bound.sockets.len()), (2, 2));
        let address = bound.address;
        let again = bound.sockets.iter().map(|socket| socket.try_clone().unwrap());
        // As long as the start may fail, a third would take connections that nobody would serve then.
        let (mut taken, workers) = open(listener, Some((address, again.collect())), 3).unwrap();
        assert_eq!((workers.len(), taken.sockets.len()), (2, 2));
        let added = complete(&mut taken, listener, 3);
        assert_eq!((added.len(), taken.sockets.len()), (1, 3));
        assert_eq!(added[0].local_addr().unwrap(), address);
        assert!(complete(&mut taken, listener, 3).is_empty());
        assert!(complete(&mut bound, listener, 1).is_empty());
    }

    /// A socket that shares its address with no other.
    #[test]
    fn fewer_sockets_than_workers_are_no_fault() {
        let alone = TcpListener::bind("127.0.0.1:0").unwrap();
        let config = config();
        let mut bound = Bound {
            address: alone.local_addr().unwrap(),
            sockets: vec![alone],
        };
        assert!(complete(&mut bound, &config.listeners()[0], 3).is_empty());
        assert_eq!(bound.sockets.len(), 1);
    }

    #[test]
    fn anything_else_is_refused() {
        let dual = Socket::new(Domain::IPV6, Type::STREAM, None).unwrap();
        dual.set_only_v6(false).unwrap();
        dual.listen(1).unwrap();
        let silent = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let datagrams = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
        let local = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        for (socket, why) in [
            (dual, "IPv4 connections too"),
            (silent, "does not listen"),
            (datagrams, "not a TCP socket"),
            (local, "not an IP socket"),
        ] {
            let error = adopt(socket).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(ListeningSocket::adopt("edge", OwnedFd::from(file)).is_err());
    }
}
