//! A TCP connection to an upstream, with what every one of this process has: the mark by which rules of the kernel let
//! it pass, and the note by which it is known should it come back.

use crate::interception::OwnConnection;
use crate::worker::Worker;
use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{IpAddr, SocketAddr};
use tokio::net::TcpStream;

/// Our end of a connection to an upstream; kept for as long as the connection is open.
#[derive(Debug)]
pub(crate) struct LocalEnd {
    address: Option<SocketAddr>,
    _note: Option<OwnConnection>,
}

impl LocalEnd {
    /// Our address, if the kernel told.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.address
    }
}

/// Connects, with `source` as our address if it is given. Cancel safe: what is under way is given up.
pub(crate) async fn connect(
    address: SocketAddr,
    source: Option<IpAddr>,
    worker: &Worker,
) -> io::Result<(TcpStream, LocalEnd)> {
    let socket = begin(address, worker.socket_mark)?;
    if let Some(source) = source {
        bind_to(&socket, source, worker)?;
    }
    match socket.connect(&address.into()) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error()) => {}
        Err(error) => return Err(error),
    }
    // The kernel has chosen our address by now. It is noted before the other side can be: that may be ourselves.
    let local = socket.local_addr().ok().and_then(|local| local.as_socket());
    let local = LocalEnd {
        address: local,
        _note: local.and_then(|local| worker.ourselves.note(local, address)),
    };
    Ok((connected(socket).await?, local))
}

/// Connects for the process itself, with the mark by which rules of the kernel let it pass (`runtime.socket_mark`), if it
/// has one. Cancel safe: what is under way is given up.
pub async fn connect_marked(address: SocketAddr, mark: Option<u32>) -> io::Result<TcpStream> {
    let socket = begin(address, mark)?;
    match socket.connect(&address.into()) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error()) => {}
        Err(error) => return Err(error),
    }
    connected(socket).await
}

/// A socket for a connection to this address.
fn begin(address: SocketAddr, mark: Option<u32>) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.nonblocking(),
        Some(Protocol::TCP),
    )?;
    if let Some(mark) = mark {
        socket.set_mark(mark)?;
    }
    Ok(socket)
}

/// Waits for a connection that was begun.
async fn connected(socket: Socket) -> io::Result<TcpStream> {
    let stream = TcpStream::from_std(socket.into())?;
    stream.writable().await?;
    match stream.take_error()? {
        None => Ok(stream),
        Some(error) => Err(error),
    }
}

/// Ports that connections from a client's own address have here: below those that its kernel picks by itself (from 32768
/// on Linux), so that none is taken for one of its own.
const KEPT_SOURCE_PORTS: std::ops::Range<u16> = 10_000..32_768;

/// Ports that are tried before the kernel is left to choose.
const PORTS_TRIED_MAX: usize = 8;

/// Gives a socket an address that is not ours.
fn bind_to(socket: &Socket, source: IpAddr, worker: &Worker) -> io::Result<()> {
    crate::accept::set_transparent(socket, source.is_ipv4(), true)?;
    let ports = u64::from(KEPT_SOURCE_PORTS.end - KEPT_SOURCE_PORTS.start);
    for _ in 0..PORTS_TRIED_MAX {
        let port = KEPT_SOURCE_PORTS.start + (worker.random() % ports) as u16;
        match socket.bind(&SocketAddr::new(source, port).into()) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            bound => return bound,
        }
    }
    socket.bind(&SocketAddr::new(source, 0).into())
}

/// Fails if sockets cannot be given this mark.
pub(crate) fn check_mark(mark: u32) -> io::Result<()> {
    Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?.set_mark(mark)
}
