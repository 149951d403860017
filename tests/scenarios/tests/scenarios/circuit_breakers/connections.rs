//! The limit of connections: who waits, in what order, and what gives way.

use super::*;
use outrigger_fixtures::frames::{Frame, FrameKind, FrameServer, setting};
use std::net::SocketAddr;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

const CONNECTIONS: &str = "outrigger_cluster_connections_active{cluster=\"upstream\"}";
/// Requests that waited because of the limit.
const WAITS: &str = "outrigger_cluster_connection_limit_waits_total{cluster=\"upstream\"}";

#[tokio::test]
async fn who_waits_is_served_in_order_when_a_connection_is_free() {
    let (gate, seen) = (Arc::new(Semaphore::new(0)), Arc::new(Seen::default()));
    let upstream = gated(&gate, &seen).await;
    let document = Document::to(&[upstream.address()])
        .workers(1)
        .cluster("circuit_breakers: { default: { connections_max: 1 } }");
    let proxy = Proxy::start(document).await;
    let admin = proxy.admin();
    let mut clients = vec![begin(&proxy, "/0").await];
    until("the first is there", || seen.now() == 1).await;
    for turn in 1..=4 {
        clients.push(begin(&proxy, &format!("/{turn}")).await);
        admin
            .wait_for_metric(&remaining("pending"), 1024.0 - f64::from(turn))
            .await;
    }
    assert_eq!(admin.metric(&remaining("connections")).await, 0.0);
    gate.add_permits(5);
    for client in &mut clients {
        assert_eq!(client.response("GET").await.status(), 200);
    }
    let paths: Vec<String> = upstream
        .requests()
        .iter()
        .map(|request| request.head.target().to_owned())
        .collect();
    assert_eq!(paths, ["/0", "/1", "/2", "/3", "/4"]);
    assert_eq!((upstream.connections(), seen.most()), (1, 1));
    assert_eq!(admin.metric(WAITS).await, 4.0);
    let refused = admin.metric("outrigger_cluster_overflows_total").await;
    assert_eq!(refused, 0.0, "to wait is not to be refused");
    admin.wait_for_metric(&remaining("pending"), 1024.0).await;
}

#[tokio::test]
async fn over_the_pending_limit_is_503_and_who_leaves_makes_room() {
    let (gate, seen) = (Arc::new(Semaphore::new(0)), Arc::new(Seen::default()));
    let upstream = gated(&gate, &seen).await;
    let document = Document::to(&[upstream.address()])
        .workers(1)
        .cluster("circuit_breakers: { default: { connections_max: 1, pending_max: 2 } }");
    let proxy = Proxy::start(document).await;
    let admin = proxy.admin();
    let mut first = begin(&proxy, "/first").await;
    until("the first is there", || seen.now() == 1).await;
    let mut stays = begin(&proxy, "/stays").await;
    let leaves = begin(&proxy, "/leaves").await;
    admin.wait_for_metric(&remaining("pending"), 0.0).await;
    assert_overflow(&outrigger_harness::client::fetch(proxy.address(), "/refused", "").await);
    assert_eq!(admin.metric(&overflows("pending")).await, 1.0);
    leaves.reset();
    admin.wait_for_metric(&remaining("pending"), 1.0).await;
    let mut late = begin(&proxy, "/late").await;
    admin.wait_for_metric(&remaining("pending"), 0.0).await;
    gate.add_permits(3);
    for client in [&mut first, &mut stays, &mut late] {
        assert_eq!(client.response("GET").await.status(), 200);
    }
    assert_eq!(upstream.request_count(), 3, "who left never ran");
    admin.wait_for_metric(&remaining("pending"), 2.0).await;
}

#[tokio::test]
async fn who_waits_for_as_long_as_a_connection_may_take_is_refused() {
    let (gate, seen) = (Arc::new(Semaphore::new(0)), Arc::new(Seen::default()));
    let upstream = gated(&gate, &seen).await;
    let document = Document::to(&[upstream.address()])
        .workers(1)
        .cluster("connect_timeout: 50ms, circuit_breakers: { default: { connections_max: 1 } }");
    let proxy = Proxy::start(document).await;
    let mut held = begin(&proxy, "/").await;
    until("the first is there", || seen.now() == 1).await;
    assert_overflow(&outrigger_harness::client::fetch(proxy.address(), "/", "").await);
    let admin = proxy.admin();
    assert_eq!(admin.metric(&overflows("pending_timeout")).await, 1.0);
    assert_eq!(admin.metric(&remaining("pending")).await, 1024.0);
    gate.add_permits(1);
    assert_eq!(held.response("GET").await.status(), 200);
}

#[tokio::test]
async fn an_idle_connection_of_another_worker_gives_way_and_a_worker_may_always_have_one() {
    let (gate, seen) = (Arc::new(Semaphore::new(100_000)), Arc::new(Seen::default()));
    let upstream = gated(&gate, &seen).await;
    let document = Document::to(&[upstream.address()])
        .workers(2)
        .cluster("pool: { idle_timeout: 1h }, circuit_breakers: { default: { connections_max: 2 } }");
    let proxy = Proxy::start(document).await;
    let admin = proxy.admin();
    // Both workers, in turns and together: whoever has none makes one, and idle ones give way.
    for _ in 0..10 {
        let mut clients = JoinSet::new();
        for _ in 0..8 {
            let address = proxy.address();
            clients.spawn(async move { outrigger_harness::client::fetch(address, "/", "").await.status() });
        }
        assert_eq!(clients.join_all().await, [200; 8]);
        let connections = admin.metric(CONNECTIONS).await;
        assert!(connections <= 3.0, "{connections} connections");
    }
    assert!(
        seen.most() <= 3,
        "the limit, and one for a worker that has none: {}",
        seen.most()
    );
}

#[tokio::test]
async fn an_idle_connection_to_one_endpoint_gives_way_to_one_to_another() {
    let (gate, seen) = (Arc::new(Semaphore::new(100_000)), Arc::new(Seen::default()));
    let (one, other) = (gated(&gate, &seen).await, gated(&gate, &seen).await);
    let document = Document::to(&[one.address(), other.address()])
        .workers(1)
        .cluster(
            "load_balancing: round_robin, pool: { idle_timeout: 1h }, circuit_breakers: { default: { connections_max: 1 } }",
        );
    let proxy = Proxy::start(document).await;
    for _ in 0..6 {
        let response = outrigger_harness::client::fetch(proxy.address(), "/", "").await;
        assert_eq!(response.status(), 200);
    }
    assert_eq!((one.request_count(), other.request_count()), (3, 3));
    let closed = "outrigger_cluster_connections_closed_total{cluster=\"upstream\",reason=\"gave_way\"}";
    assert_eq!(proxy.admin().metric(closed).await, 5.0);
    assert_eq!(proxy.admin().metric(CONNECTIONS).await, 1.0);
}

#[tokio::test]
async fn a_higher_limit_lets_those_in_who_wait() {
    let (gate, seen) = (Arc::new(Semaphore::new(0)), Arc::new(Seen::default()));
    let upstream = gated(&gate, &seen).await;
    let document = |max: u32| {
        Document::to(&[upstream.address()]).workers(1).cluster(&format!(
            "circuit_breakers: {{ default: {{ connections_max: {max} }} }}"
        ))
    };
    let proxy = Proxy::start(document(1)).await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(begin(&proxy, "/").await);
    }
    proxy.admin().wait_for_metric(&remaining("pending"), 1022.0).await;
    assert_eq!(seen.now(), 1);
    proxy.reload(document(3)).await.unwrap();
    until("all are there", || seen.now() == 3).await;
    gate.add_permits(3);
    for client in &mut clients {
        assert_eq!(client.response("GET").await.status(), 200);
    }
}

#[tokio::test]
async fn streams_of_http2_wait_for_room_and_go_on_in_order() {
    let answers = Arc::new(Semaphore::new(0));
    let open = Arc::new(AtomicUsize::new(0));
    let (gate, count) = (Arc::clone(&answers), Arc::clone(&open));
    let upstream = FrameServer::start(move |mut connection, _| {
        let (gate, count) = (Arc::clone(&gate), Arc::clone(&count));
        async move {
            connection.greet(&[(setting::MAX_CONCURRENT_STREAMS, 2)]).await?;
            let mut streams: Vec<u32> = Vec::new();
            loop {
                tokio::select! {
                    frame = connection.read() => {
                        let Some(frame) = frame? else { return Ok(()) };
                        if frame.kind == FrameKind::Headers {
                            streams.push(frame.stream);
                            count.store(streams.len(), Ordering::SeqCst);
                        }
                    }
                    permit = gate.acquire(), if !streams.is_empty() => {
                        permit?.forget();
                        let stream = streams.remove(0);
                        count.store(streams.len(), Ordering::SeqCst);
                        connection.send(Frame::response(stream, "204", true)).await?;
                    }
                }
            }
        }
    })
    .await
    .unwrap();
    let document = Document::to(&[upstream.address()])
        .workers(1)
        .cluster("protocol: http2, circuit_breakers: { default: { connections_max: 1, pending_max: 3 } }");
    let proxy = Proxy::start(document).await;
    let mut clients = vec![begin(&proxy, "/").await, begin(&proxy, "/").await];
    until("two streams are open", || open.load(Ordering::SeqCst) == 2).await;
    let admin = proxy.admin();
    for waiting in 1..=3 {
        clients.push(begin(&proxy, "/").await);
        admin
            .wait_for_metric(&remaining("pending"), 3.0 - f64::from(waiting))
            .await;
    }
    assert_overflow(&outrigger_harness::client::fetch(proxy.address(), "/", "").await);
    answers.add_permits(5);
    for client in &mut clients {
        assert_eq!(client.response("GET").await.status(), 204);
    }
    admin.wait_for_metric(&remaining("pending"), 3.0).await;
    assert_eq!(admin.metric(CONNECTIONS).await, 1.0);
}

/// True if a connection is ended before a byte comes.
async fn is_refused(address: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect(address).await else {
        return true;
    };
    let mut byte = [0];
    !matches!(
        outrigger_harness::within("an end", stream.read(&mut byte)).await,
        Ok(1)
    )
}

#[tokio::test]
async fn a_tcp_connection_over_the_limit_is_refused_and_its_place_comes_back() {
    let upstream = Scripted::start(|mut script: Script| async move {
        script.send("hello").await?;
        script.until_closed().await
    })
    .await;
    let document = Document::to(&[upstream.address()])
        .workers(2)
        .cluster("circuit_breakers: { default: { connections_max: 2 } }")
        .with_listener_text(
            "- { name: raw, address: 127.0.0.1:0, filter_chains: [{ tcp: { cluster: upstream } }] }\n",
        );
    let proxy = Proxy::start(document).await;
    let address = proxy.address_of("raw");
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut client = Client::connect(address).await;
        assert_eq!(client.take(5).await, b"hello");
        held.push(client);
    }
    assert!(is_refused(address).await);
    let admin = proxy.admin();
    assert_eq!(admin.metric(&overflows("connections")).await, 1.0);
    assert_eq!(upstream.connections(), 2);
    drop(held);
    admin.wait_for_metric(&remaining("connections"), 2.0).await;
    let mut client = Client::connect(address).await;
    assert_eq!(client.take(5).await, b"hello");
}

/// An upstream that greets a connection for each permit that `gate` has, and then answers all requests; `accepted`: its
/// connections.
async fn late(gate: &Arc<Semaphore>, accepted: &Arc<AtomicUsize>) -> FrameServer {
    let (gate, accepted) = (Arc::clone(gate), Arc::clone(accepted));
    let server = FrameServer::start(move |mut connection, _| {
        accepted.fetch_add(1, Ordering::SeqCst);
        let gate = Arc::clone(&gate);
        async move {
            gate.acquire().await?.forget();
            connection.greet(&[]).await?;
            while let Some(frame) = connection.read().await? {
                if frame.kind == FrameKind::Headers {
                    connection
                        .send(Frame::response(frame.stream, "204", true))
                        .await?;
                }
            }
            Ok(())
        }
    });
    server.await.unwrap()
}

#[tokio::test]
async fn a_connection_that_becomes_ready_for_nobody_gives_way_to_who_waits() {
    let (gate, accepted) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let one = late(&gate, &accepted).await;
    let other = late(&gate, &accepted).await;
    let document = Document::to(&[one.address(), other.address()])
        .workers(1)
        .cluster("protocol: http2, load_balancing: round_robin, circuit_breakers: { default: { connections_max: 1 } }");
    let proxy = Proxy::start(document).await;
    let admin = proxy.admin();
    let leaves = begin(&proxy, "/").await;
    until("a connection is being made", || {
        accepted.load(Ordering::SeqCst) == 1
    })
    .await;
    leaves.reset();
    admin.wait_for_metric(&remaining("pending"), 1024.0).await;
    let mut waits = begin(&proxy, "/").await;
    admin.wait_for_metric(WAITS, 1.0).await;
    gate.add_permits(2);
    assert_eq!(waits.response("GET").await.status(), 204);
    assert_eq!(accepted.load(Ordering::SeqCst), 2);
}
