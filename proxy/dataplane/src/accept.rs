//! Accepting connections: listening sockets, limits, hand-over between workers.
//!
//! A listening socket that closes is emptied first, since closing one resets what waits in its backlog.

use crate::connection;
use crate::snapshot::{ListenerShared, SocketKey};
use crate::worker::{HandOver, LocalSnapshot, Worker};
use outrigger_config::model::{self, Interception};
use outrigger_telemetry::ConnectionRefusal;
use outrigger_traffic::Place;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Poll, Waker};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// How long accepting rests after an error of the process (no file descriptors left), instead of spinning.
const ACCEPT_ERROR_PAUSE: Duration = Duration::from_millis(50);

/// Fails if somebody else listens on the address. `SO_REUSEPORT` would let two processes share it, and each would get
/// half of the connections.
pub(crate) fn probe(address: SocketAddr) -> io::Result<()> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())
}

/// Binds one listening socket. Several may share an address, one for each worker.
pub(crate) fn bind(
    address: SocketAddr,
    backlog: u32,
    interception: Interception,
) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if interception == Interception::Tproxy {
        set_transparent(&socket, address.is_ipv4(), true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok(socket.into())
}

/// Lets a socket have addresses that are not this host's.
pub(crate) fn set_transparent(socket: &Socket, ipv4: bool, transparent: bool) -> io::Result<()> {
    let result = if ipv4 {
        socket.set_ip_transparent_v4(transparent)
    } else {
        socket.set_ip_transparent_v6(transparent)
    };
    result.map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => {
            io::Error::other("`tproxy` and `keep_source` need the capability CAP_NET_ADMIN")
        }
        _ => error,
    })
}

/// Whether a socket takes connections to addresses that are not this host's.
fn transparency(socket: &TcpListener, address: SocketAddr) -> bool {
    let socket = SockRef::from(socket);
    let result = match address {
        SocketAddr::V4(_) => socket.ip_transparent_v4(),
        SocketAddr::V6(_) => socket.ip_transparent_v6(),
    };
    result.unwrap_or(false)
}

/// Fails if [`set_transparent`] would.
pub(crate) fn check_transparency(address: SocketAddr) -> io::Result<()> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    set_transparent(&socket, address.is_ipv4(), true)
}

/// A worker's listening sockets.
#[derive(Default)]
pub(crate) struct Listeners {
    /// Usually one socket for a key; several where a process with more workers bound them.
    open: HashMap<SocketKey, Vec<Open>>,
    closing: Vec<JoinHandle<()>>,
}

/// A socket that is accepted from.
struct Open {
    listener: Rc<TcpListener>,
    /// None: whoever bound it knows.
    backlog: Option<u32>,
    transparent: bool,
    signal: Rc<CloseSignal>,
    task: JoinHandle<()>,
}

/// What an acceptor and those who rule it share.
struct CloseSignal {
    told: Cell<Option<Ending>>,
    waker: RefCell<Option<Waker>>,
    /// The last snapshot that holds this listener: connections that wait in the backlog of a listener that was removed are
    /// served by it. Kept up to date, so that nothing that has left the configuration stays here until somebody connects.
    snapshot: RefCell<Rc<LocalSnapshot>>,
}

/// How accepting from a socket ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// The socket closes with this descriptor: what waits in its backlog is accepted first.
    Close,
    /// Another process goes on accepting from the socket: what waits is left to it.
    Release,
}

/// How long a closing socket may take to empty its backlog before the close counts as done.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

impl Listeners {
    /// Starts accepting from these sockets; [`Listeners::adjust`] should follow.
    pub(crate) fn open(&mut self, worker: &Rc<Worker>, sockets: Vec<(SocketKey, std::net::TcpListener)>) {
        for (key, socket) in sockets {
            let listener = match TcpListener::from_std(socket) {
                Ok(listener) => Rc::new(listener),
                Err(error) => {
                    tracing::error!(%error, address = %key.address, "cannot watch a listening socket");
                    continue;
                }
            };
            let signal = Rc::new(CloseSignal {
                told: Cell::default(),
                waker: RefCell::default(),
                snapshot: RefCell::new(worker.snapshot()),
            });
            let accepting = accept(
                Rc::clone(worker),
                Rc::clone(&listener),
                key.clone(),
                Rc::clone(&signal),
            );
            let task = tokio::task::spawn_local(accepting);
            let transparent = transparency(&listener, key.address);
            self.open.entry(key).or_default().push(Open {
                listener,
                backlog: None,
                transparent,
                signal,
                task,
            });
        }
    }

    /// Gives sockets that stay the backlog and the transparency that a new snapshot says.
    pub(crate) fn adjust(&mut self, snapshot: &Rc<LocalSnapshot>) {
        for (key, sockets) in &mut self.open {
            let Some(listener) = snapshot.listener(key) else {
                continue;
            };
            let backlog = listener.config.backlog();
            for open in sockets {
                *open.signal.snapshot.borrow_mut() = Rc::clone(snapshot);
                open.set_transparent(is_transparent(&listener.config), key.address);
                if Some(backlog) == open.backlog {
                    continue;
                }
                // Listening again on a socket that listens changes its backlog and nothing else.
                let length = i32::try_from(backlog).unwrap_or(i32::MAX);
                match SockRef::from(&*open.listener).listen(length) {
                    Ok(()) => open.backlog = Some(backlog),
                    Err(error) => tracing::warn!(%error, address = %key.address, "cannot change the backlog"),
                }
            }
        }
    }

    /// Stops accepting from these sockets once their backlog is empty, and waits until they are closed, so that their
    /// addresses are free.
    pub(crate) async fn close(&mut self, keys: &[SocketKey]) {
        for key in keys {
            for open in self.open.remove(key).into_iter().flatten() {
                self.closing.push(open.end(Ending::Close));
            }
        }
        // One that takes longer goes on by itself.
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, self.join()).await;
    }

    /// Stops accepting everywhere.
    pub(crate) fn close_all(&mut self) {
        for open in self.open.drain().flat_map(|(_, sockets)| sockets) {
            self.closing.push(open.end(Ending::Close));
        }
    }

    /// Stops accepting everywhere. What waits in the backlogs of these sockets is left to the process that has taken
    /// them over; the others close.
    pub(crate) async fn release(&mut self, kept: &HashSet<SocketKey>) {
        for (key, sockets) in self.open.drain() {
            let ending = if kept.contains(&key) {
                Ending::Release
            } else {
                Ending::Close
            };
            self.closing
                .extend(sockets.into_iter().map(|open| open.end(ending)));
        }
        // One that takes longer goes on by itself.
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, self.join()).await;
    }

    /// True if all sockets that were told to close are closed.
    pub(crate) fn are_closed(&mut self) -> bool {
        self.closing.retain(|task| !task.is_finished());
        self.closing.is_empty()
    }

    /// Waits until all sockets that were told to close are closed. Cancel safe.
    async fn join(&mut self) {
        while let Some(task) = self.closing.last_mut() {
            // A task that panicked has closed its socket too.
            let _ = task.await;
            self.closing.pop();
        }
    }
}

fn is_transparent(listener: &model::Listener) -> bool {
    listener.interception() == Interception::Tproxy
}

impl Open {
    fn set_transparent(&mut self, transparent: bool, address: SocketAddr) {
        if transparent == self.transparent {
            return;
        }
        match set_transparent(&SockRef::from(&*self.listener), address.is_ipv4(), transparent) {
            Ok(()) => self.transparent = transparent,
            Err(error) => tracing::warn!(%error, %address, "cannot change whether a socket is transparent"),
        }
    }

    fn end(self, ending: Ending) -> JoinHandle<()> {
        self.signal.tell(ending);
        self.task
    }
}

impl CloseSignal {
    fn tell(&self, ending: Ending) {
        self.told.set(Some(ending));
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }
}

async fn accept(worker: Rc<Worker>, listener: Rc<TcpListener>, key: SocketKey, signal: Rc<CloseSignal>) {
    let take = |stream, peer| {
        let current = worker.snapshot();
        if current.listener(&key).is_some() {
            *signal.snapshot.borrow_mut() = current;
        }
        let snapshot = Rc::clone(&signal.snapshot.borrow());
        accepted_one(&worker, &snapshot, stream, peer, &key);
    };
    while signal.told.get().is_none() {
        let accepted = std::future::poll_fn(|cx| match listener.poll_accept(cx) {
            Poll::Ready(accepted) => Poll::Ready(Some(accepted)),
            Poll::Pending if signal.told.get().is_some() => Poll::Ready(None),
            Poll::Pending => {
                *signal.waker.borrow_mut() = Some(cx.waker().clone());
                Poll::Pending
            }
        });
        match accepted.await {
            None => break,
            Some(Ok((stream, peer))) => take(stream, peer),
            Some(Err(error)) if is_of_one_connection(&error) => {}
            Some(Err(error)) => {
                tracing::warn!(%error, address = %key.address, "cannot accept");
                tokio::time::sleep(ACCEPT_ERROR_PAUSE).await;
            }
        }
    }
    if signal.told.get() == Some(Ending::Release) {
        return;
    }
    // The runtime's view of the socket may be a moment old: the kernel itself is asked until it has no more.
    let socket = SockRef::from(&*listener);
    loop {
        match socket.accept() {
            Ok((stream, peer)) => {
                let stream = stream
                    .set_nonblocking(true)
                    .and_then(|()| TcpStream::from_std(stream.into()));
                if let (Ok(stream), Some(peer)) = (stream, peer.as_socket()) {
                    take(stream, peer);
                }
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(_) => return,
        }
    }
}

/// True if the error concerns the connection that was to be accepted, not the socket or the process.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}

/// Counts a connection against its listener's limit and its worker's load; dropping it ends the count.
pub(crate) struct ConnectionPermit {
    shared: Arc<ListenerShared>,
    /// Its place among all connections of the process.
    _place: Place,
    /// The worker whose load it is part of, with the table of workers.
    worker: Option<(Arc<[crate::worker::Peer]>, usize)>,
}

impl ConnectionPermit {
    fn assign(&mut self, peers: &Arc<[crate::worker::Peer]>, worker: usize) {
        self.unassign();
        peers[worker].connections.fetch_add(1, Ordering::AcqRel);
        self.worker = Some((Arc::clone(peers), worker));
    }

    fn unassign(&mut self) {
        if let Some((peers, worker)) = self.worker.take() {
            peers[worker].connections.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.unassign();
        self.shared.connections.fetch_sub(1, Ordering::AcqRel);
    }
}

fn accepted_one(
    worker: &Rc<Worker>,
    snapshot: &Rc<LocalSnapshot>,
    stream: TcpStream,
    peer: SocketAddr,
    key: &SocketKey,
) {
    let Some(listener) = snapshot.listener(key) else {
        return;
    };
    let cells = listener.metrics.worker(worker.index);
    cells.connections_accepted.inc();
    let place = match worker.overload.admit_connection() {
        Ok(place) => place,
        Err(refusal) => return cells.connections_refused[refusal].inc(),
    };
    let before = listener.shared.connections.fetch_add(1, Ordering::AcqRel);
    let mut permit = ConnectionPermit {
        shared: Arc::clone(&listener.shared),
        _place: place,
        worker: None,
    };
    if before >= listener.config.connections_max() {
        cells.connections_refused[ConnectionRefusal::Limit].inc();
        return;
    }
    if let Some(rate) = &listener.rate
        && !rate.allows()
    {
        cells.connections_refused[ConnectionRefusal::Rate].inc();
        return;
    }
    set_options(
        &stream,
        listener.config.tcp_keepalive().as_ref(),
        listener.config.tcp_user_timeout(),
    );
    let target = least_loaded(worker);
    permit.assign(&worker.peers, target);
    if target == worker.index {
        connection::spawn(worker, Rc::clone(snapshot), stream, peer, key.clone(), permit);
        return;
    }
    cells.connections_handed_over.inc();
    match stream.into_std() {
        Ok(stream) => {
            let snapshot = Arc::clone(&snapshot.0);
            let hand_over = HandOver {
                snapshot,
                stream,
                peer,
                key: key.clone(),
                permit,
            };
            if let Err(refused) = worker.peers[target].hand_over.try_send(hand_over) {
                let mut hand_over = refused.into_inner();
                hand_over.permit.assign(&worker.peers, worker.index);
                take_over(worker, hand_over);
            }
        }
        Err(error) => tracing::warn!(%error, "cannot hand a connection over"),
    }
}

/// Serves a connection that another worker accepted.
pub(crate) fn take_over(worker: &Rc<Worker>, hand_over: HandOver) {
    match TcpStream::from_std(hand_over.stream) {
        Ok(stream) => {
            let snapshot = Rc::new(LocalSnapshot(hand_over.snapshot));
            connection::spawn(
                worker,
                snapshot,
                stream,
                hand_over.peer,
                hand_over.key,
                hand_over.permit,
            );
        }
        Err(error) => tracing::warn!(%error, "cannot watch a connection"),
    }
}

/// This worker, unless another has clearly fewer connections: few connections are spread exactly, since one of few may
/// be a busy HTTP/2 connection; among many a difference of an eighth is let be, for a hand-over costs a wake-up.
fn least_loaded(worker: &Worker) -> usize {
    let load = |index: usize| worker.peers[index].connections.load(Ordering::Relaxed);
    let own = load(worker.index);
    let other = (0..worker.peers.len())
        .min_by_key(|&index| load(index))
        .unwrap_or(worker.index);
    let least = load(other);
    if own > least + least / 8 && !worker.is_draining() {
        other
    } else {
        worker.index
    }
}

/// Sets the options of a TCP connection; a failure is not worth the connection.
pub(crate) fn set_options(
    stream: &TcpStream,
    keepalive: Option<&model::TcpKeepalive>,
    user_timeout: Option<Duration>,
) {
    let result = stream.set_nodelay(true).and_then(|()| {
        let socket = SockRef::from(stream);
        if let Some(keepalive) = keepalive {
            let settings = TcpKeepalive::new()
                .with_time(keepalive.time())
                .with_interval(keepalive.interval())
                .with_retries(keepalive.probes());
            socket.set_tcp_keepalive(&settings)?;
        }
        match user_timeout {
            Some(_) => socket.set_tcp_user_timeout(user_timeout),
            None => Ok(()),
        }
    });
    if let Err(error) = result {
        tracing::debug!(%error, "cannot set socket options");
    }
}
