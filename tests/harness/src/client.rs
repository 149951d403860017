//! An HTTP/1 client that sends the bytes it is told to and reads what really comes back.

use crate::wait::{DEADLINE, within};
use outrigger_fixtures::wire::{Body, Duplex, Framing, Head, Wire};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// A response as it came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Response {
    /// The heads of interim (1xx) responses before it.
    pub interim: Vec<Head>,
    /// Its head.
    pub head: Head,
    /// Its body and trailers.
    pub body: Body,
}

impl Response {
    /// The status.
    pub fn status(&self) -> u16 {
        self.head.status()
    }

    /// The first field of this name.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.field(name)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body.bytes).into_owned()
    }
}

/// A connection to a proxy. Every wait has a deadline.
pub struct Client {
    wire: Wire<Box<dyn Duplex>>,
    local: SocketAddr,
    /// The same socket, for what a stream cannot do.
    socket: socket2::Socket,
}

impl Client {
    /// Connects.
    pub async fn connect(address: SocketAddr) -> Client {
        let (stream, local) = Client::tcp(address).await;
        Client {
            socket: again(&stream),
            wire: Wire::new(Box::new(stream)),
            local,
        }
    }

    /// Connects from a socket that takes little until it is read from.
    pub async fn connect_with_receive_buffer(address: SocketAddr, bytes: usize) -> Client {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket can be had");
        socket
            .set_recv_buffer_size(bytes as u32)
            .expect("the buffer's size can be set");
        let stream = within("connecting", socket.connect(address))
            .await
            .expect("the proxy listens");
        let local = stream.local_addr().expect("a connected socket has an address");
        Client {
            socket: again(&stream),
            wire: Wire::new(Box::new(stream)),
            local,
        }
    }

    /// Connects with TLS.
    pub async fn connect_tls(
        address: SocketAddr,
        config: Arc<ClientConfig>,
        server_name: &str,
    ) -> io::Result<Client> {
        let (stream, local) = Client::tcp(address).await;
        let name = ServerName::try_from(server_name.to_owned()).expect("the server name is one");
        let socket = again(&stream);
        let stream = within(
            "the TLS handshake",
            TlsConnector::from(config).connect(name, stream),
        )
        .await?;
        Ok(Client {
            socket,
            wire: Wire::new(Box::new(stream)),
            local,
        })
    }

    async fn tcp(address: SocketAddr) -> (TcpStream, SocketAddr) {
        let stream = within("connecting", TcpStream::connect(address)).await;
        let stream = stream.unwrap_or_else(|error| panic!("cannot connect to {address}: {error}"));
        stream.set_nodelay(true).expect("TCP_NODELAY can be set");
        let local = stream.local_addr().expect("a connected socket has an address");
        (stream, local)
    }

    /// Its own address.
    pub fn local_address(&self) -> SocketAddr {
        self.local
    }

    /// Sends bytes in one piece. A peer that has closed is no fault here: what it answered shows.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = within("sending", self.wire.send(bytes.as_ref())).await;
    }

    /// Sends bytes one at a time.
    pub async fn send_bytewise(&mut self, bytes: impl AsRef<[u8]>) {
        for byte in bytes.as_ref() {
            if within("sending", self.wire.send(&[*byte])).await.is_err() {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Ends its own side only.
    pub async fn half_close(&mut self) {
        within("closing", self.wire.stream().shutdown())
            .await
            .expect("the socket can be shut down");
    }

    /// Ends the connection with a reset instead of an end.
    pub fn reset(self) {
        self.socket
            .set_linger(Some(Duration::ZERO))
            .expect("the socket can be told to reset");
    }

    /// The response to a request of this method, to its end.
    pub async fn response(&mut self, method: &str) -> Response {
        let response = tokio::time::timeout(DEADLINE, self.try_response(method)).await;
        match response {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => panic!("no response: {error}"),
            Err(_) => panic!(
                "no response in time, but {:?}",
                self.wire.unread().escape_ascii().to_string()
            ),
        }
    }

    /// The same, where it may be cut off.
    pub async fn try_response(&mut self, method: &str) -> io::Result<Response> {
        let mut response = Response::default();
        loop {
            response.head = self.try_head().await?;
            if !(100..200).contains(&response.status()) {
                break;
            }
            response.interim.push(std::mem::take(&mut response.head));
        }
        if method != "HEAD" && !matches!(response.status(), 204 | 304) {
            response.body = self
                .wire
                .body(response.head.framing().unwrap_or(Framing::UntilClose))
                .await?;
        }
        Ok(response)
    }

    /// The final response to a request whose method is nothing special, within the deadline.
    pub async fn try_response_within(&mut self) -> io::Result<Response> {
        match tokio::time::timeout(DEADLINE, self.try_response("GET")).await {
            Ok(response) => response,
            Err(_) => panic!(
                "no response in time, but {:?}",
                self.wire.unread().escape_ascii().to_string()
            ),
        }
    }

    /// The next head, interim or not.
    pub async fn head(&mut self) -> Head {
        within("a head", self.try_head())
            .await
            .unwrap_or_else(|error| panic!("no head: {error}"))
    }

    async fn try_head(&mut self) -> io::Result<Head> {
        let closed = || io::Error::new(io::ErrorKind::UnexpectedEof, "closed before a response");
        self.wire.head().await?.ok_or_else(closed)
    }

    /// The body that this head announces.
    pub async fn body(&mut self, head: &Head) -> io::Result<Body> {
        within(
            "a body",
            self.wire.body(head.framing().unwrap_or(Framing::UntilClose)),
        )
        .await
    }

    /// Exactly this many bytes.
    pub async fn take(&mut self, count: usize) -> Vec<u8> {
        within("bytes", self.wire.take(count))
            .await
            .unwrap_or_else(|error| panic!("{count} bytes: {error}"))
    }

    /// Everything until the proxy closes; with a reset, what came before it.
    pub async fn to_close(&mut self) -> Vec<u8> {
        let read = within("the connection's end", self.wire.to_close()).await;
        read.unwrap_or_else(|_| self.wire.unread().to_vec())
    }

    /// Waits for the proxy's close; false if bytes come instead.
    pub async fn is_closed(&mut self) -> bool {
        self.to_close().await.is_empty()
    }

    /// Sends a request and reads the response.
    pub async fn exchange(&mut self, request: impl AsRef<[u8]>) -> Response {
        let request = request.as_ref();
        self.send(request).await;
        let method = request.split(|byte| *byte == b' ').next().unwrap_or_default();
        self.response(&String::from_utf8_lossy(method)).await
    }

    /// A GET of a path, with a host and these lines of fields.
    pub async fn fetch(&mut self, path: &str, fields: &str) -> Response {
        self.exchange(format!("GET {path} HTTP/1.1\r\nhost: test\r\n{fields}\r\n"))
            .await
    }

    /// The connection itself, for what else a test may do.
    pub fn wire(&mut self) -> &mut Wire<Box<dyn Duplex>> {
        &mut self.wire
    }
}

fn again(stream: &TcpStream) -> socket2::Socket {
    socket2::SockRef::from(stream)
        .try_clone()
        .expect("a socket can be duplicated")
}

/// A GET over a connection of its own.
pub async fn fetch(address: SocketAddr, path: &str, fields: &str) -> Response {
    Client::connect(address).await.fetch(path, fields).await
}
