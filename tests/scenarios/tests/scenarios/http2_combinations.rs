//! HTTP/1 and HTTP/2 on either side: bodies of all sizes and framings, trailers, both directions at once.

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body as _, Frame, Incoming};
use hyper::header::{HeaderMap, HeaderValue};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use outrigger_fixtures::Echo;
use outrigger_harness::{Document, Proxy, within};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::mpsc;

type Body = BoxBody<Bytes, Infallible>;

/// The sizes at which framings and windows differ: nothing, one byte, a frame, more than the replay buffer, more than a
/// window.
const SIZES: [usize; 5] = [0, 1, 16 * 1024, 64 * 1024 + 1, 1024 * 1024];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    Http1,
    Http2,
}
use Version::{Http1, Http2};

const COMBINATIONS: [(Version, Version); 4] =
    [(Http1, Http1), (Http1, Http2), (Http2, Http1), (Http2, Http2)];

enum Sender {
    Http1(hyper::client::conn::http1::SendRequest<Body>),
    Http2(hyper::client::conn::http2::SendRequest<Body>),
}

impl Sender {
    async fn connect(version: Version, address: SocketAddr) -> Sender {
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let io = TokioIo::new(stream);
        match version {
            Http1 => {
                let (sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
                tokio::spawn(connection);
                Sender::Http1(sender)
            }
            Http2 => {
                let builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
                let (sender, connection) = builder.handshake(io).await.unwrap();
                tokio::spawn(connection);
                Sender::Http2(sender)
            }
        }
    }

    /// Connects again if the proxy has closed: an answer that begins before its request's end ends an HTTP/1 connection.
    async fn renewed(self, address: SocketAddr) -> Sender {
        match self {
            Sender::Http1(mut sender) => match sender.ready().await {
                Ok(()) => Sender::Http1(sender),
                Err(_) => Sender::connect(Http1, address).await,
            },
            other => other,
        }
    }

    async fn send(&mut self, body: Body, more: &[(&str, &str)]) -> Response<Incoming> {
        let mut request = Request::post(match self {
            Sender::Http1(_) => "/echo",
            Sender::Http2(_) => "http://a.example/echo",
        });
        if matches!(self, Sender::Http1(_)) {
            request = request.header("host", "a.example");
        }
        for (name, value) in more {
            request = request.header(*name, *value);
        }
        let request = request.body(body).unwrap();
        let sent = async {
            match self {
                Sender::Http1(sender) => {
                    sender.ready().await?;
                    sender.send_request(request).await
                }
                Sender::Http2(sender) => sender.send_request(request).await,
            }
        };
        within("a response", sent)
            .await
            .unwrap_or_else(|error| panic!("no response to {more:?}: {error:?}"))
    }
}

/// A body whose frames are sent to it, and whose length nobody is told.
struct Streamed(mpsc::Receiver<Frame<Bytes>>);

impl hyper::body::Body for Streamed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|frame| frame.map(Ok))
    }
}

fn streamed() -> (mpsc::Sender<Frame<Bytes>>, Body) {
    let (sender, receiver) = mpsc::channel(4);
    (sender, Streamed(receiver).boxed())
}

/// A body in pieces of odd lengths, with trailers if they are wanted.
fn in_pieces(bytes: &[u8], trailers: bool) -> Body {
    let (sender, body) = streamed();
    let bytes = bytes.to_vec();
    tokio::spawn(async move {
        for piece in bytes.chunks(10_007) {
            if sender
                .send(Frame::data(Bytes::copy_from_slice(piece)))
                .await
                .is_err()
            {
                return;
            }
        }
        if trailers {
            let mut fields = HeaderMap::new();
            fields.insert("x-sum", HeaderValue::from(bytes.len()));
            let _ = sender.send(Frame::trailers(fields)).await;
        }
    });
    body
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index % 251) as u8).collect()
}

async fn proxy_to(upstream: &Echo, version: Version) -> Proxy {
    let protocol = if version == Http1 { "http1" } else { "http2" };
    Proxy::start(Document::to(&[upstream.address()]).cluster(&format!("protocol: {protocol}"))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_of_all_sizes_and_framings_pass_both_ways() {
    let upstream = Echo::start().await;
    for (downstream, to) in COMBINATIONS {
        let proxy = proxy_to(&upstream, to).await;
        let mut sender = Sender::connect(downstream, proxy.address()).await;
        for size in SIZES {
            let sent = pattern(size);
            for whole in [true, false] {
                let what = format!("{downstream:?} to {to:?}, {size} bytes, length known: {whole}");
                let body = if whole {
                    Full::new(Bytes::from(sent.clone())).boxed()
                } else {
                    in_pieces(&sent, false)
                };
                sender = sender.renewed(proxy.address()).await;
                let response = sender.send(body, &[]).await;
                assert_eq!(response.status(), 200, "{what}");
                let version = if to == Http1 { "1.1" } else { "2" };
                assert_eq!(response.headers()["x-version"], version, "{what}");
                let echoed = within(&what, response.into_body().collect())
                    .await
                    .unwrap()
                    .to_bytes();
                assert!(echoed == sent, "{what}: {} bytes came back", echoed.len());
            }
            let wanted = size.to_string();
            sender = sender.renewed(proxy.address()).await;
            let response = sender
                .send(Full::default().boxed(), &[("x-want-bytes", &wanted)])
                .await;
            assert_eq!(
                response.body().size_hint().exact(),
                Some(size as u64),
                "the length passes"
            );
            let body = within("a body", response.into_body().collect())
                .await
                .unwrap()
                .to_bytes();
            assert_eq!(body.len(), size);
            assert!(
                body.iter()
                    .zip(outrigger_fixtures::echo::PATTERN.iter().cycle())
                    .all(|(a, b)| a == b)
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trailers_pass_both_ways() {
    let upstream = Echo::start().await;
    for (downstream, to) in COMBINATIONS {
        let proxy = proxy_to(&upstream, to).await;
        let mut sender = Sender::connect(downstream, proxy.address()).await;
        for size in SIZES {
            let what = format!("{downstream:?} to {to:?}, {size} bytes");
            sender = sender.renewed(proxy.address()).await;
            let fields = [("trailer", "x-sum"), ("te", "trailers")];
            let response = sender.send(in_pieces(&pattern(size), true), &fields).await;
            let collected = within(&what, response.into_body().collect()).await.unwrap();
            let sum = collected.trailers().and_then(|trailers| trailers.get("x-sum"));
            assert_eq!(sum, Some(&HeaderValue::from(size)), "{what}");
            assert_eq!(collected.to_bytes().len(), size, "{what}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_directions_stream_at_once() {
    // Each piece is sent only when the one before has come back: neither side may wait for the other's end.
    let upstream = Echo::start().await;
    for (downstream, to) in COMBINATIONS {
        let proxy = proxy_to(&upstream, to).await;
        let mut sender = Sender::connect(downstream, proxy.address()).await;
        let (pieces, body) = streamed();
        let mut response = sender.send(body, &[]).await.into_body();
        for round in 0..100usize {
            let what = format!("{downstream:?} to {to:?}, round {round}");
            let piece = pattern(1 + round * 311);
            pieces
                .send(Frame::data(Bytes::from(piece.clone())))
                .await
                .unwrap();
            let mut back = Vec::new();
            while back.len() < piece.len() {
                let frame = within(&what, response.frame()).await.unwrap().unwrap();
                back.extend_from_slice(frame.data_ref().unwrap());
            }
            assert!(back == piece, "{what}");
        }
        drop(pieces);
        let rest = within("the end", response.collect()).await.unwrap().to_bytes();
        assert!(rest.is_empty(), "{downstream:?} to {to:?}: {rest:?}");
    }
}
