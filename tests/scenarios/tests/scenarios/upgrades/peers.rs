//! Clients and upstreams of tunnels that speak either version of HTTP, and do the same in both.

use super::{ACCEPT, KEY};
use outrigger_fixtures::frames::{Frame, FrameConnection, FrameKind, FrameServer, code, setting};
use outrigger_fixtures::scripted::{Script, Scripted};
use outrigger_fixtures::wire::{Duplex, Wire};
use outrigger_harness::{Client, wait_until, within};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

/// A head: pseudo-headers, or the start line as `start`, and fields.
pub type Fields = BTreeMap<String, String>;

/// A client with a tunnel, or without if it was refused one.
#[expect(clippy::large_enum_variant, reason = "a test holds one or two")]
pub enum Tunnel {
    Http1(Client),
    Http2(FrameConnection),
}

/// How a direction ended, as its reader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// FIN, or END_STREAM.
    Order,
    /// RST, or RST_STREAM with this code.
    Reset(u32),
}

/// What stands for the code where there is none.
pub const RST: u32 = u32::MAX;

impl Tunnel {
    /// Asks for a WebSocket, with these fields more. The status and the answer's head.
    pub async fn open(address: SocketAddr, http2: bool, more: &[(&str, &str)]) -> (Tunnel, u16, Fields) {
        if !http2 {
            let mut lines = String::new();
            for (name, value) in more {
                lines.push_str(&format!("{name}: {value}\r\n"));
            }
            return Tunnel::open_http1(address, &super::opening(&lines)).await;
        }
        let mut fields = vec![
            (":method", "CONNECT"),
            (":protocol", "websocket"),
            (":scheme", "http"),
            (":authority", "test"),
            (":path", "/chat?room=1"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-protocol", "chat"),
        ];
        fields.extend_from_slice(more);
        Tunnel::open_http2(address, &fields).await
    }

    /// Sends this head, and reads the answer's.
    pub async fn open_http1(address: SocketAddr, head: &str) -> (Tunnel, u16, Fields) {
        let mut client = Client::connect(address).await;
        client.send(head).await;
        let head = client.head().await;
        let status = head.status();
        let fields = head.fields.into_iter().collect();
        (Tunnel::Http1(client), status, fields)
    }

    /// Sends this head on stream 1, which stays open, and reads the answer's.
    pub async fn open_http2(address: SocketAddr, fields: &[(&str, &str)]) -> (Tunnel, u16, Fields) {
        let mut client = FrameConnection::connect(address, &[]).await.unwrap();
        client.send(Frame::headers(1, fields, false)).await.unwrap();
        let head = client.next_headers().await.unwrap();
        let fields = fields_of(&head);
        (Tunnel::Http2(client), fields[":status"].parse().unwrap(), fields)
    }

    pub async fn send(&mut self, bytes: &str) {
        match self {
            Tunnel::Http1(client) => client.send(bytes).await,
            Tunnel::Http2(client) => client
                .send(Frame::data(1, bytes.to_owned(), false))
                .await
                .unwrap(),
        }
    }

    /// Exactly these bytes come next.
    pub async fn expect(&mut self, bytes: &str) {
        let read = match self {
            Tunnel::Http1(client) => client.take(bytes.len()).await,
            Tunnel::Http2(client) => {
                let mut read = Vec::new();
                while read.len() < bytes.len() {
                    let frame = client.next_where(|frame| frame.stream == 1).await.unwrap();
                    assert_eq!(frame.kind, FrameKind::Data, "{frame:?}");
                    read.extend_from_slice(&frame.payload);
                }
                read
            }
        };
        assert_eq!(String::from_utf8_lossy(&read), bytes);
    }

    /// Says something and hears it again.
    pub async fn say(&mut self, bytes: &str) {
        self.send(bytes).await;
        self.expect(bytes).await;
    }

    /// Ends its direction.
    pub async fn finish(&mut self) {
        match self {
            Tunnel::Http1(client) => client.half_close().await,
            Tunnel::Http2(client) => client.send(Frame::data(1, "", true)).await.unwrap(),
        }
    }

    /// What comes until the other direction ends, and how it does.
    pub async fn rest(&mut self) -> (String, End) {
        match self {
            Tunnel::Http1(client) => {
                let (bytes, end) = within("the tunnel's end", rest_http1(client.wire())).await;
                (bytes, end)
            }
            Tunnel::Http2(client) => rest_http2(client, 1).await.unwrap(),
        }
    }

    /// Breaks off.
    pub async fn reset(self) {
        match self {
            Tunnel::Http1(client) => client.reset(),
            Tunnel::Http2(mut client) => {
                client.send(reset_frame(1)).await.unwrap();
                // What it was for has reached the proxy before the connection closes.
                client.settle_ping().await.unwrap();
            }
        }
    }

    pub fn http2(&mut self) -> &mut FrameConnection {
        match self {
            Tunnel::Http1(_) => panic!("it speaks HTTP/1"),
            Tunnel::Http2(client) => client,
        }
    }
}

fn reset_frame(stream: u32) -> Frame {
    Frame::new(
        FrameKind::RstStream,
        0,
        stream,
        code::CANCEL.to_be_bytes().to_vec(),
    )
}

async fn rest_http1<S: Duplex>(wire: &mut Wire<S>) -> (String, End) {
    loop {
        let end = match wire.fill().await {
            Ok(0) => End::Order,
            Ok(_) => continue,
            Err(_) => End::Reset(RST),
        };
        return (String::from_utf8_lossy(wire.unread()).into_owned(), end);
    }
}

async fn rest_http2(connection: &mut FrameConnection, stream: u32) -> anyhow::Result<(String, End)> {
    let mut bytes = Vec::new();
    loop {
        let Some(frame) = connection.next().await? else {
            return Ok((String::from_utf8_lossy(&bytes).into_owned(), End::Reset(RST)));
        };
        if frame.stream != stream {
            continue;
        }
        bytes.extend_from_slice(if frame.kind == FrameKind::Data {
            &frame.payload
        } else {
            &[]
        });
        let end = match frame.kind {
            FrameKind::RstStream => End::Reset(frame.error_code().unwrap()),
            _ if frame.ends_stream() => End::Order,
            _ => continue,
        };
        return Ok((String::from_utf8_lossy(&bytes).into_owned(), end));
    }
}

pub fn fields_of(frame: &Frame) -> Fields {
    let fields = frame.fields.iter();
    fields
        .map(|field| (field.name.clone(), field.value.clone()))
        .collect()
}

/// What an upstream does with a tunnel that it has granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// It sends back what comes until that ends; then it says `bye` and ends.
    Echo,
    /// It says `all` and ends, and reads on.
    EndFirst,
    /// It breaks off when something comes.
    Reset,
    /// It hears, and says nothing, not even an end.
    Silent,
}

#[derive(Default)]
struct Book {
    heads: Vec<Fields>,
    heard: Vec<(String, End)>,
}

/// An upstream that grants tunnels.
pub struct Upstream {
    address: SocketAddr,
    book: Arc<Mutex<Book>>,
    _server: Box<dyn std::any::Any + Send + Sync>,
}

impl Upstream {
    pub async fn start(http2: bool, then: Then) -> Upstream {
        let book = Arc::new(Mutex::new(Book::default()));
        let shared = Arc::clone(&book);
        if http2 {
            let server =
                FrameServer::start(move |connection, _| serve_http2(connection, then, Arc::clone(&shared)));
            let server = server.await.unwrap();
            return Upstream {
                address: server.address(),
                book,
                _server: Box::new(server),
            };
        }
        let server = Scripted::start(move |script| serve_http1(script, then, Arc::clone(&shared))).await;
        Upstream {
            address: server.address(),
            book,
            _server: Box::new(server),
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The last head that came.
    pub fn head(&self) -> Fields {
        self.book
            .lock()
            .unwrap()
            .heads
            .last()
            .expect("a head came")
            .clone()
    }

    pub fn heads(&self) -> usize {
        self.book.lock().unwrap().heads.len()
    }

    /// What came in the first tunnel whose client has ended, and how it ended.
    pub async fn heard(&self) -> (String, End) {
        wait_until("a tunnel's end", async || {
            self.book.lock().unwrap().heard.first().cloned()
        })
        .await
    }
}

async fn serve_http1(mut script: Script, then: Then, book: Arc<Mutex<Book>>) -> io::Result<()> {
    let Some(head) = script.head().await? else {
        return Ok(());
    };
    let mut fields: Fields = head.fields.iter().cloned().collect();
    fields.insert("start".to_owned(), head.start_line.clone());
    let accept = match fields.get("sec-websocket-key") {
        Some(key) if key == KEY => ACCEPT.to_owned(),
        Some(key) => super::accept_of(key),
        None => String::new(),
    };
    book.lock().unwrap().heads.push(fields);
    script.send(super::switching_with(&accept)).await?;
    if then == Then::EndFirst {
        script.send("all").await?;
        script.half_close().await?;
        let heard = rest_http1(script.wire()).await;
        book.lock().unwrap().heard.push(heard);
        return Ok(());
    }
    let mut heard = String::new();
    let end = loop {
        let unread = script.wire().unread().len();
        let bytes = script.wire().take(unread).await?;
        heard.push_str(&String::from_utf8_lossy(&bytes));
        if then == Then::Reset && !heard.is_empty() {
            return script.reset();
        }
        if then != Then::Silent {
            script.send(bytes).await?;
        }
        match script.wire().fill().await {
            Ok(0) => break End::Order,
            Ok(_) => {}
            Err(_) => break End::Reset(RST),
        }
    };
    book.lock().unwrap().heard.push((heard, end.clone()));
    if then == Then::Silent {
        return std::future::pending().await;
    }
    if end == End::Order {
        script.send("bye").await?;
        script.half_close().await?;
    }
    Ok(())
}

async fn serve_http2(
    mut connection: FrameConnection,
    then: Then,
    book: Arc<Mutex<Book>>,
) -> anyhow::Result<()> {
    connection.greet(&[(setting::ENABLE_CONNECT_PROTOCOL, 1)]).await?;
    let mut heard: BTreeMap<u32, String> = BTreeMap::new();
    while let Some(frame) = connection.next().await? {
        let stream = frame.stream;
        match frame.kind {
            FrameKind::Headers => {
                book.lock().unwrap().heads.push(fields_of(&frame));
                let answer = [
                    (":status", "200"),
                    ("sec-websocket-protocol", "chat"),
                    ("x-from", "upstream"),
                ];
                connection.send(Frame::headers(stream, &answer, false)).await?;
                if then == Then::EndFirst {
                    connection.send(Frame::data(stream, "all", true)).await?;
                }
                heard.insert(stream, String::new());
            }
            FrameKind::Data => {
                let text = heard.entry(stream).or_default();
                text.push_str(&String::from_utf8_lossy(&frame.payload));
                match then {
                    Then::Reset if !frame.payload.is_empty() => connection.send(reset_frame(stream)).await?,
                    Then::Echo if !frame.payload.is_empty() => {
                        let length = frame.payload.len() as u32;
                        connection.send(Frame::window_update(0, length)).await?;
                        connection.send(Frame::window_update(stream, length)).await?;
                        connection
                            .send(Frame::data(stream, frame.payload.clone(), false))
                            .await?;
                    }
                    _ => {}
                }
                if frame.ends_stream() {
                    let text = heard.remove(&stream).unwrap_or_default();
                    book.lock().unwrap().heard.push((text, End::Order));
                    if then == Then::Echo {
                        connection.send(Frame::data(stream, "bye", true)).await?;
                    }
                }
            }
            FrameKind::RstStream => {
                if let Some(text) = heard.remove(&stream) {
                    let end = End::Reset(frame.error_code().unwrap_or(RST));
                    book.lock().unwrap().heard.push((text, end));
                }
            }
            _ => {}
        }
    }
    // The connection has ended with all that was on it.
    let cut = heard.into_values().map(|text| (text, End::Reset(RST)));
    book.lock().unwrap().heard.extend(cut);
    Ok(())
}
