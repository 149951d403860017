//! Connections to HTTP/2 upstreams: how many there are, how full, and what passes over them.

use outrigger_fixtures::frames::{Frame, FrameConnection, FrameKind, FrameServer, code, setting};
use outrigger_harness::{Client, Document, Proxy, wait_until};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Semaphore;

/// The most streams that were open at once on one connection, and how many are waiting for their answer in all.
#[derive(Default)]
struct Book {
    open_max: AtomicUsize,
    waiting: AtomicUsize,
}

/// An upstream that allows so many streams, says so first, and answers when `answers` allows it.
async fn limited(streams_max: u32, answers: &Arc<Semaphore>, book: &Arc<Book>) -> FrameServer {
    let (answers, book) = (Arc::clone(answers), Arc::clone(book));
    FrameServer::start(move |connection, _| {
        let (answers, book) = (Arc::clone(&answers), Arc::clone(&book));
        async move { serve_limited(connection, streams_max, &answers, &book).await }
    })
    .await
    .unwrap()
}

async fn serve_limited(
    mut connection: FrameConnection,
    streams_max: u32,
    answers: &Semaphore,
    book: &Book,
) -> anyhow::Result<()> {
    connection
        .greet(&[(setting::MAX_CONCURRENT_STREAMS, streams_max)])
        .await?;
    let mut open: Vec<u32> = Vec::new();
    loop {
        tokio::select! {
            frame = connection.read() => {
                let Some(frame) = frame? else { return Ok(()) };
                if frame.kind == FrameKind::Headers {
                    open.push(frame.stream);
                    book.waiting.fetch_add(1, Ordering::SeqCst);
                    book.open_max.fetch_max(open.len(), Ordering::SeqCst);
                }
            }
            permit = answers.acquire(), if !open.is_empty() => {
                permit?.forget();
                let stream = open.remove(0);
                connection.send(Frame::response(stream, "204", true)).await?;
                book.waiting.fetch_sub(1, Ordering::SeqCst);
            }
        }
    }
}

fn document(upstream: &FrameServer) -> Document {
    // One worker has one pool, so that the number of connections is known.
    Document::to(&[upstream.address()])
        .cluster("protocol: http2")
        .workers(1)
}

/// Sends so many requests at once and gives the connection that will have their answers.
async fn ask(proxy: &Proxy, requests: u32) -> FrameConnection {
    let mut client = FrameConnection::connect(proxy.address(), &[]).await.unwrap();
    let frames: Vec<Frame> = (0..requests)
        .map(|index| Frame::request(1 + 2 * index, "GET", "/", &[], true))
        .collect();
    client.send_all(&frames).await.unwrap();
    client
}

async fn all_answered(client: &mut FrameConnection, requests: u32, status: &str) {
    let mut answered = 0;
    while answered < requests {
        let frame = client
            .next_where(|frame| frame.kind == FrameKind::Headers)
            .await
            .unwrap();
        assert_eq!(frame.field(":status"), Some(status), "{frame:?}");
        answered += 1;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_that_wait_share_one_new_connection() {
    let (answers, book) = (Arc::new(Semaphore::new(0)), Arc::default());
    let upstream = limited(1000, &answers, &book).await;
    let proxy = Proxy::start(document(&upstream)).await;
    let mut client = ask(&proxy, 100).await;
    wait_until("all requests arrive", || async {
        (book.waiting.load(Ordering::SeqCst) == 100).then_some(())
    })
    .await;
    assert_eq!(upstream.connections(), 1);
    answers.add_permits(100);
    all_answered(&mut client, 100, "204").await;
    proxy
        .admin()
        .wait_for_metric("outrigger_cluster_connections_active", 1.0)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_spread_over_connections_that_are_full() {
    let (answers, book) = (Arc::new(Semaphore::new(0)), Arc::default());
    let upstream = limited(10, &answers, &book).await;
    let proxy = Proxy::start(document(&upstream)).await;
    let mut client = ask(&proxy, 50).await;
    wait_until("all requests arrive", || async {
        (book.waiting.load(Ordering::SeqCst) == 50).then_some(())
    })
    .await;
    assert_eq!(
        (upstream.connections(), book.open_max.load(Ordering::SeqCst)),
        (5, 10)
    );
    answers.add_permits(50);
    all_answered(&mut client, 50, "204").await;
    // What is there is used before more is opened.
    let mut client = ask(&proxy, 50).await;
    answers.add_permits(50);
    all_answered(&mut client, 50, "204").await;
    assert_eq!(upstream.connections(), 5);
    assert_eq!(
        book.open_max.load(Ordering::SeqCst),
        10,
        "never more at once than the upstream allows"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_stream_at_a_time_is_obeyed_under_load() {
    let (answers, book) = (Arc::new(Semaphore::new(1_000_000)), Arc::default());
    let upstream = limited(1, &answers, &book).await;
    let proxy = Proxy::start(document(&upstream)).await;
    for _ in 0..5 {
        let mut client = ask(&proxy, 40).await;
        all_answered(&mut client, 40, "204").await;
    }
    assert_eq!(book.open_max.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_limit_of_streams_holds_too() {
    let (answers, book) = (Arc::new(Semaphore::new(0)), Arc::default());
    let upstream = limited(1000, &answers, &book).await;
    let proxy = Proxy::start(document(&upstream).cluster("http2: { concurrent_streams_max: 4 }")).await;
    let mut client = ask(&proxy, 12).await;
    wait_until("all requests arrive", || async {
        (book.waiting.load(Ordering::SeqCst) == 12).then_some(())
    })
    .await;
    assert_eq!(
        (upstream.connections(), book.open_max.load(Ordering::SeqCst)),
        (3, 4)
    );
    answers.add_permits(12);
    all_answered(&mut client, 12, "204").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_that_falls_is_obeyed_and_one_that_rises_is_used() {
    // First 2 streams, then 1, then 3: each change is acknowledged before the next requests come.
    let (change, changes) = tokio::sync::watch::channel(2u32);
    let waiting = Arc::new(AtomicUsize::new(0));
    let settled = Arc::new(AtomicUsize::new(0));
    let (count, acknowledged) = (Arc::clone(&waiting), Arc::clone(&settled));
    let upstream = FrameServer::start(move |mut connection, _| {
        let (mut changes, count, acknowledged) =
            (changes.clone(), Arc::clone(&count), Arc::clone(&acknowledged));
        async move {
            let first = *changes.borrow_and_update();
            connection
                .greet(&[(setting::MAX_CONCURRENT_STREAMS, first)])
                .await?;
            let mut open = 0;
            loop {
                tokio::select! {
                    frame = connection.read() => {
                        let Some(frame) = frame? else { return Ok(()) };
                        match frame.kind {
                            FrameKind::Headers => {
                                open += 1;
                                count.fetch_max(open, Ordering::SeqCst);
                                if frame.field(":path") != Some("/stay") {
                                    connection.send(Frame::response(frame.stream, "204", true)).await?;
                                    open -= 1;
                                }
                            }
                            FrameKind::RstStream => open -= 1,
                            FrameKind::Settings => { acknowledged.fetch_add(1, Ordering::SeqCst); }
                            _ => {}
                        }
                    }
                    changed = changes.changed() => {
                        changed?;
                        let limit = *changes.borrow_and_update();
                        connection.send(Frame::settings(&[(setting::MAX_CONCURRENT_STREAMS, limit)])).await?;
                    }
                }
            }
        }
    })
    .await
    .unwrap();
    let proxy = Proxy::start(document(&upstream)).await;
    let stay = |stream| Frame::request(stream, "GET", "/stay", &[], true);
    let mut client = FrameConnection::connect(proxy.address(), &[]).await.unwrap();
    client.send_all(&[stay(1), stay(3)]).await.unwrap();
    wait_until("two are open", || async {
        (waiting.load(Ordering::SeqCst) == 2).then_some(())
    })
    .await;
    assert_eq!(upstream.connections(), 1);
    let acknowledgements = settled.load(Ordering::SeqCst);
    change.send(3).unwrap();
    wait_until("settings", || async {
        (settled.load(Ordering::SeqCst) > acknowledgements).then_some(())
    })
    .await;
    client.send(stay(5)).await.unwrap();
    wait_until("three are open", || async {
        (waiting.load(Ordering::SeqCst) == 3).then_some(())
    })
    .await;
    assert_eq!(upstream.connections(), 1, "a limit that rose is used");
    change.send(1).unwrap();
    wait_until("settings", || async {
        (settled.load(Ordering::SeqCst) > acknowledgements + 1).then_some(())
    })
    .await;
    client
        .send(Frame::request(7, "GET", "/", &[], true))
        .await
        .unwrap();
    let head = client.next_headers().await.unwrap();
    assert_eq!((head.stream, head.field(":status")), (7, Some("204")));
    assert_eq!(upstream.connections(), 2, "a limit that fell is obeyed");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_never_greets_is_given_up() {
    let upstream = FrameServer::start(|mut connection, _| async move {
        connection.read_preface().await?;
        connection.read_to_end().await.map(drop)
    })
    .await
    .unwrap();
    let proxy = Proxy::start(document(&upstream).cluster("connect_timeout: 200ms")).await;
    let response = Client::connect(proxy.address()).await.fetch("/", "").await;
    assert_eq!(response.status(), 503, "{}", response.text());
    proxy
        .admin()
        .wait_for_metric("outrigger_route_response_flags_total{flag=\"UF\"}", 1.0)
        .await;
    proxy
        .admin()
        .wait_for_metric("outrigger_cluster_connections_active", 0.0)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_speaks_no_http2_is_a_failure() {
    for greeting in [
        "",
        "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n",
        "SSH-2.0-x\r\n",
    ] {
        let upstream = FrameServer::start(move |mut connection, _| async move {
            connection.send_raw(greeting.as_bytes()).await
        })
        .await
        .unwrap();
        let proxy = Proxy::start(document(&upstream)).await;
        let response = Client::connect(proxy.address()).await.fetch("/", "").await;
        assert!(
            matches!(response.status(), 502 | 503),
            "{greeting:?}: {}",
            response.status()
        );
        proxy
            .admin()
            .wait_for_metric("outrigger_cluster_connections_active", 0.0)
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn interim_responses_are_forwarded() {
    let upstream = FrameServer::start(|mut connection, _| async move {
        connection.greet(&[]).await?;
        loop {
            let stream = connection.next_headers().await?.stream;
            let frames = [
                Frame::headers(stream, &[(":status", "103"), ("link", "</a.css>")], false),
                Frame::headers(stream, &[(":status", "103"), ("link", "</b.css>")], false),
                Frame::response(stream, "200", false),
                Frame::data(stream, "page", true),
            ];
            connection.send_all(&frames).await?;
        }
    })
    .await
    .unwrap();
    let proxy = Proxy::start(document(&upstream)).await;
    let response = Client::connect(proxy.address()).await.fetch("/", "").await;
    let links: Vec<_> = response
        .interim
        .iter()
        .map(|head| (head.status(), head.field("link")))
        .collect();
    assert_eq!(links, [(103, Some("</a.css>")), (103, Some("</b.css>"))]);
    assert_eq!((response.status(), response.text().as_str()), (200, "page"));
    let mut client = FrameConnection::connect(proxy.address(), &[]).await.unwrap();
    client
        .send(Frame::request(1, "GET", "/", &[], true))
        .await
        .unwrap();
    let mut heads = Vec::new();
    for _ in 0..3 {
        let head = client.next_headers().await.unwrap();
        heads.push((
            head.field(":status").unwrap().to_owned(),
            head.field("link").map(str::to_owned),
        ));
    }
    let expected = [
        ("103", Some("</a.css>")),
        ("103", Some("</b.css>")),
        ("200", None),
    ];
    assert_eq!(
        heads,
        expected.map(|(status, link)| (status.to_owned(), link.map(str::to_owned)))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_before_the_request_s_end_passes_whole() {
    // RFC 9113 section 8.1: a whole answer, then RST_STREAM(NO_ERROR) for the rest of the request.
    let upstream = FrameServer::start(|mut connection, _| async move {
        connection.greet(&[]).await?;
        loop {
            let head = connection.next_headers().await?;
            let frames = [
                Frame::response(head.stream, "403", false),
                Frame::data(head.stream, "not that much", true),
                Frame::reset(head.stream, code::NO_ERROR),
            ];
            connection.send_all(&frames).await?;
        }
    })
    .await
    .unwrap();
    let proxy = Proxy::start(document(&upstream)).await;
    for round in 0..20 {
        let mut client = FrameConnection::connect(proxy.address(), &[]).await.unwrap();
        let frames = [
            Frame::request(1, "POST", "/", &[], false),
            Frame::data(1, vec![b'u'; 16_000], false),
        ];
        client.send_all(&frames).await.unwrap();
        let head = client.next_headers().await.unwrap();
        assert_eq!(head.field(":status"), Some("403"), "round {round}");
        assert_eq!(
            client.rest_of(&head).await.unwrap().0,
            b"not that much",
            "round {round}"
        );
        let mut client = Client::connect(proxy.address()).await;
        client
            .send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\npart")
            .await;
        let response = client.response("POST").await;
        assert_eq!(
            (response.status(), response.text().as_str()),
            (403, "not that much"),
            "round {round}"
        );
    }
    assert_eq!(upstream.connections(), 1, "the connection is none the worse");
}
