//! A slow reader slows the writer: a body many times the buffers' size passes through a stalled peer, and the proxy's
//! memory stays where it is. HTTP/1 and HTTP/2, both directions.

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use outrigger_fixtures::Echo;
use outrigger_fixtures::scripted::Scripted;
use outrigger_harness::{Client, Document, Process, within};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tempfile::TempDir;

/// The body: hundreds of times what a stream may hold.
const BODY_BYTES: u64 = if cfg!(debug_assertions) {
    256 << 20
} else {
    1 << 30
};

/// What the proxy may grow by: its buffers and windows for one stream, and what the allocator keeps.
const GROWTH_BYTES: u64 = 16 << 20;

/// A sender that has not moved for this long is taken to be held back. That nothing happens can be seen by waiting alone: if
/// the machine stops for as long while bytes still move, less has been sent than might have been, and the bounds hold all
/// the same.
const STILL: Duration = Duration::from_millis(300);

async fn proxy(upstream: SocketAddr, cluster: &str) -> (Process, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("outrigger.yaml");
    let document = Document::to(&[upstream]).cluster(cluster).forward("timeout: off");
    std::fs::write(&file, document.to_string()).unwrap();
    (Process::run(&file).await, directory)
}

/// Waits until `progress` stands still, and tells where: far from the end, or nobody was held back.
async fn standstill(progress: impl Fn() -> u64) -> u64 {
    let mut last = (progress(), std::time::Instant::now());
    within("a standstill", async {
        loop {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let now = progress();
            if now != last.0 {
                last = (now, std::time::Instant::now());
            } else if now > 0 && last.1.elapsed() > STILL {
                return;
            }
        }
    })
    .await;
    assert!(
        last.0 < BODY_BYTES / 2,
        "{} bytes went into a reader that does not read",
        last.0
    );
    last.0
}

/// An upstream that sends [`BODY_BYTES`] as fast as it may.
async fn pouring(sent: Arc<AtomicU64>) -> Scripted {
    Scripted::start(move |mut script| {
        let sent = Arc::clone(&sent);
        async move {
            script.request().await?;
            script
                .send(format!("HTTP/1.1 200 OK\r\ncontent-length: {BODY_BYTES}\r\n\r\n"))
                .await?;
            let piece = vec![b'x'; 64 << 10];
            for _ in 0..BODY_BYTES / piece.len() as u64 {
                script.send(&piece).await?;
                sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
            }
            script.until_closed().await
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_through_a_stalled_http1_client_holds_the_upstream_back() {
    let sent = Arc::new(AtomicU64::new(0));
    let upstream = pouring(Arc::clone(&sent)).await;
    let (process, _directory) = proxy(upstream.address(), "").await;
    let before = process.resident_bytes();
    let mut client = Client::connect_with_receive_buffer(process.address(), 64 << 10).await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let head = client.head().await;
    standstill(|| sent.load(Ordering::Relaxed)).await;
    let stalled = process.resident_bytes();
    assert!(
        stalled < before + GROWTH_BYTES,
        "{} KiB, then {} KiB",
        before >> 10,
        stalled >> 10
    );
    // The rest comes when it is read, and still nothing piles up.
    assert_eq!(
        head.framing(),
        Some(outrigger_fixtures::wire::Framing::Length(BODY_BYTES))
    );
    let mut left = BODY_BYTES;
    let mut peak = 0;
    while left > 0 {
        let piece = left.min(4 << 20);
        client.take(piece as usize).await;
        left -= piece;
        peak = peak.max(process.resident_bytes());
    }
    assert!(
        peak < before + GROWTH_BYTES,
        "{} KiB, at most {} KiB",
        before >> 10,
        peak >> 10
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_to_a_stalled_http1_upstream_holds_the_client_back() {
    let (go, gone) = tokio::sync::watch::channel(false);
    let upstream = Scripted::start(move |mut script| {
        let mut gone = gone.clone();
        async move {
            script.head().await?;
            let _ = gone.wait_for(|go| *go).await;
            let mut left = BODY_BYTES;
            while left > 0 {
                let piece = left.min(4 << 20);
                script.wire().take(piece as usize).await?;
                left -= piece;
            }
            script
                .send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                .await?;
            script.until_closed().await
        }
    })
    .await;
    let (process, _directory) = proxy(upstream.address(), "").await;
    let before = process.resident_bytes();
    let mut client = Client::connect(process.address()).await;
    client
        .send(format!(
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {BODY_BYTES}\r\n\r\n"
        ))
        .await;
    let sent = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&sent);
    let sending = tokio::spawn(async move {
        let piece = vec![b'x'; 64 << 10];
        while counted.load(Ordering::Relaxed) < BODY_BYTES {
            client.wire().send(&piece).await.unwrap();
            counted.fetch_add(piece.len() as u64, Ordering::Relaxed);
        }
        client
    });
    standstill(|| sent.load(Ordering::Relaxed)).await;
    let stalled = process.resident_bytes();
    assert!(
        stalled < before + GROWTH_BYTES,
        "{} KiB, then {} KiB",
        before >> 10,
        stalled >> 10
    );
    go.send(true).unwrap();
    let mut client = tokio::time::timeout(Duration::from_secs(120), sending)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(client.response("POST").await.text(), "ok");
    let after = process.resident_bytes();
    assert!(
        after < before + GROWTH_BYTES,
        "{} KiB, then {} KiB",
        before >> 10,
        after >> 10
    );
}

type Http2 = hyper::client::conn::http2::SendRequest<Pouring>;

async fn http2(address: SocketAddr) -> Http2 {
    let stream = within("connecting", tokio::net::TcpStream::connect(address))
        .await
        .unwrap();
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    sender
}

/// A body of so many bytes, counted as it is asked for.
struct Pouring {
    left: u64,
    sent: Arc<AtomicU64>,
}

impl Pouring {
    fn empty() -> Pouring {
        Pouring {
            left: 0,
            sent: Arc::default(),
        }
    }
}

impl hyper::body::Body for Pouring {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, Infallible>>> {
        static PIECE: [u8; 16 << 10] = [b'x'; 16 << 10];
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let piece = self.left.min(PIECE.len() as u64);
        self.left -= piece;
        self.sent.fetch_add(piece, Ordering::Relaxed);
        Poll::Ready(Some(Ok(hyper::body::Frame::data(Bytes::from_static(
            &PIECE[..piece as usize],
        )))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }
}

/// A download of [`BODY_BYTES`] by HTTP/2 whose reader stops after the head, then reads all.
async fn stalled_http2_download(upstream: SocketAddr, cluster: &str, sent: Option<Arc<AtomicU64>>) {
    let (process, _directory) = proxy(upstream, cluster).await;
    let before = process.resident_bytes();
    let mut sender = http2(process.address()).await;
    let request = hyper::Request::get(format!("http://{}/", process.address()))
        .header("x-want-bytes", BODY_BYTES)
        .body(Pouring::empty())
        .unwrap();
    let response = within("the head", sender.send_request(request)).await.unwrap();
    assert_eq!(response.status(), 200);
    if let Some(sent) = sent {
        standstill(|| sent.load(Ordering::Relaxed)).await;
    }
    let stalled = process.resident_bytes();
    assert!(
        stalled < before + GROWTH_BYTES,
        "{} KiB, then {} KiB",
        before >> 10,
        stalled >> 10
    );
    // Another stream of the same connection is not held up by it.
    let request = hyper::Request::get(format!("http://{}/", process.address()))
        .body(Pouring::empty())
        .unwrap();
    assert_eq!(
        within("another stream", sender.send_request(request))
            .await
            .unwrap()
            .status(),
        200
    );
    assert!(
        process.resident_bytes() < before + GROWTH_BYTES,
        "with two streams"
    );
    let (mut body, mut bytes, mut peak) = (response.into_body(), 0, 0);
    while let Some(frame) = within("a frame", body.frame()).await {
        bytes += frame.unwrap().into_data().map_or(0, |data| data.len() as u64);
        if bytes.is_multiple_of(1 << 20) {
            peak = peak.max(process.resident_bytes());
        }
    }
    assert_eq!(bytes, BODY_BYTES);
    assert!(
        peak < before + GROWTH_BYTES,
        "{} KiB, at most {} KiB",
        before >> 10,
        peak >> 10
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_through_a_stalled_http2_client_keeps_memory_flat() {
    let sent = Arc::new(AtomicU64::new(0));
    let upstream = pouring(Arc::clone(&sent)).await;
    stalled_http2_download(upstream.address(), "", Some(sent)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_from_http2_through_a_stalled_http2_client_keeps_memory_flat() {
    let upstream = Echo::start().await;
    stalled_http2_download(upstream.address(), "protocol: http2", None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http2_upload_to_a_stalled_upstream_holds_the_client_back() {
    let upstream = Scripted::start(|mut script| async move {
        script.head().await?;
        std::future::pending().await
    })
    .await;
    let (process, _directory) = proxy(upstream.address(), "").await;
    let before = process.resident_bytes();
    let mut sender = http2(process.address()).await;
    let sent = Arc::new(AtomicU64::new(0));
    let request = hyper::Request::post(format!("http://{}/", process.address()))
        .body(Pouring {
            left: BODY_BYTES,
            sent: Arc::clone(&sent),
        })
        .unwrap();
    let _answer = tokio::spawn(sender.send_request(request));
    standstill(|| sent.load(Ordering::Relaxed)).await;
    let stalled = process.resident_bytes();
    assert!(
        stalled < before + GROWTH_BYTES,
        "{} KiB, then {} KiB",
        before >> 10,
        stalled >> 10
    );
}
