//! Windows end to end: who reads slowly slows the writer on the other side of the proxy.

use outrigger_fixtures::frames::{Frame, FrameConnection, FrameKind, FrameServer, setting};
use outrigger_harness::{Document, Proxy, within};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;

fn document(upstream: &FrameServer) -> Document {
    // One worker has one pool, so that the number of connections is known.
    Document::to(&[upstream.address()])
        .cluster("protocol: http2")
        .workers(1)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_gives_no_window_slows_the_client() {
    // The upstream reads one window and no more: what the proxy takes from the client is bounded.
    let go_on = Arc::new(Semaphore::new(0));
    let told = Arc::clone(&go_on);
    let upstream = FrameServer::start(move |mut connection, _| {
        let told = Arc::clone(&told);
        async move {
            connection.greet(&[]).await?;
            let head = connection.next_headers().await?;
            told.acquire().await?.forget();
            let (body, _) = connection.rest_of(&head).await?;
            let answer = [
                Frame::response(head.stream, "200", false),
                Frame::data(head.stream, body.len().to_string(), true),
            ];
            connection.send_all(&answer).await?;
            connection.read_to_end().await.map(drop)
        }
    })
    .await
    .unwrap();
    let document = document(&upstream).http("http2: { stream_window: 64KiB, connection_window: 64KiB }");
    let proxy = Proxy::start(document).await;
    const BYTES: usize = 8 << 20;

    let mut client = FrameConnection::connect(proxy.address(), &[]).await.unwrap();
    client
        .send(Frame::request(1, "POST", "/", &[], false))
        .await
        .unwrap();
    // Sends as the windows allow until they stay shut.
    let (mut sent, mut released) = (0, false);
    while sent < BYTES {
        let room = client.window(1, sent).min(16 * 1024).min(BYTES - sent);
        if room > 0 {
            sent += room;
            client
                .send(Frame::data(1, vec![0; room], sent == BYTES))
                .await
                .unwrap();
            continue;
        }
        match tokio::time::timeout(Duration::from_millis(300), client.read()).await {
            Ok(frame) => drop(frame.unwrap().expect("the connection stays")),
            Err(_) if released => {}
            Err(_) => {
                assert!(sent < 1 << 20, "{sent} bytes were taken, and nobody reads");
                released = true;
                go_on.add_permits(1);
            }
        }
    }
    assert!(released, "the client was never slowed down");
    let head = client.next_headers().await.unwrap();
    assert_eq!(
        client.rest_of(&head).await.unwrap().0,
        BYTES.to_string().as_bytes()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_gives_no_window_slows_the_upstream() {
    // Ten streams of 4 MiB to a client whose window is shut: the upstream's windows shut too.
    const BYTES: usize = 4 << 20;
    let taken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&taken);
    let upstream = FrameServer::start(move |mut connection, _| {
        let taken = Arc::clone(&count);
        async move {
            connection.greet(&[]).await?;
            let stream = connection.next_headers().await?.stream;
            connection.send(Frame::response(stream, "200", false)).await?;
            let mut sent = 0;
            while sent < BYTES {
                let room = connection.window(stream, sent).min(16 * 1024).min(BYTES - sent);
                if room > 0 {
                    sent += room;
                    connection
                        .send(Frame::data(stream, vec![7; room], sent == BYTES))
                        .await?;
                    taken.store(sent, Ordering::SeqCst);
                } else if connection.read().await?.is_none() {
                    return Ok(());
                }
            }
            connection.read_to_end().await.map(drop)
        }
    })
    .await
    .unwrap();
    let document = document(&upstream).cluster("http2: { stream_window: 128KiB, connection_window: 256KiB }");
    let proxy = Proxy::start(document).await;
    let mut client = FrameConnection::connect(proxy.address(), &[(setting::INITIAL_WINDOW_SIZE, 0)])
        .await
        .unwrap();
    client
        .send(Frame::request(1, "GET", "/", &[], true))
        .await
        .unwrap();
    assert_eq!(client.next_headers().await.unwrap().field(":status"), Some("200"));
    // What was sent stops growing: nothing moves between two looks that lie many scheduling rounds apart.
    let stalled = within("the upstream stalls", async {
        let mut before = usize::MAX;
        loop {
            for _ in 0..20 {
                client.settle_ping().await.unwrap();
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let now = taken.load(Ordering::SeqCst);
            if now == before {
                return now;
            }
            before = now;
        }
    })
    .await;
    assert!(
        stalled < 1 << 20,
        "{stalled} bytes were taken for a client that reads none"
    );
    client
        .send_all(&[Frame::window_update(0, 1 << 24), Frame::window_update(1, 1 << 24)])
        .await
        .unwrap();
    let mut received = 0;
    loop {
        let frame = client
            .next_where(|frame| frame.kind == FrameKind::Data)
            .await
            .unwrap();
        received += frame.payload.len();
        assert!(frame.payload.iter().all(|byte| *byte == 7));
        if frame.ends_stream() {
            break;
        }
    }
    assert_eq!(received, BYTES);
}
