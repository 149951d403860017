//! Limits of each endpoint: one at its limit is passed over.

use super::*;

#[tokio::test]
async fn an_endpoint_with_as_many_requests_as_it_may_have_is_passed_over() {
    let gates = [Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0))];
    let seen = [Arc::new(Seen::default()), Arc::new(Seen::default())];
    let one = gated(&gates[0], &seen[0]).await;
    let other = gated(&gates[1], &seen[1]).await;
    let document = Document::to(&[one.address(), other.address()])
        .workers(2)
        .cluster("load_balancing: random, circuit_breakers: { endpoint: { requests_max: 3 } }");
    let proxy = Proxy::start(document).await;
    let mut held = Vec::new();
    for _ in 0..6 {
        held.push(begin(&proxy, "/").await);
    }
    until("each has three", || seen[0].now() == 3 && seen[1].now() == 3).await;
    assert_overflow(&outrigger_harness::client::fetch(proxy.address(), "/", "").await);
    assert_eq!(proxy.admin().metric(&overflows("endpoints")).await, 1.0);
    gates[1].add_permits(1);
    until("one has room", || seen[1].now() == 2).await;
    held.push(begin(&proxy, "/").await);
    until("it goes there", || seen[1].now() == 3).await;
    gates.iter().for_each(|gate| gate.add_permits(10));
    let mut answered = 0;
    for client in &mut held {
        answered += usize::from(client.response("GET").await.status() == 200);
    }
    assert_eq!(answered, 7);
    assert_eq!((seen[0].most(), seen[1].most()), (3, 3));
}

#[tokio::test]
async fn an_endpoint_with_as_many_connections_as_it_may_have_is_passed_over_and_waited_for_last() {
    let gate = Arc::new(Semaphore::new(0));
    let seen = [Arc::new(Seen::default()), Arc::new(Seen::default())];
    let one = gated(&gate, &seen[0]).await;
    let other = gated(&gate, &seen[1]).await;
    let document = Document::to(&[one.address(), other.address()])
        .workers(1)
        .cluster("load_balancing: random, circuit_breakers: { endpoint: { connections_max: 1 } }");
    let proxy = Proxy::start(document).await;
    let mut clients = vec![begin(&proxy, "/").await, begin(&proxy, "/").await];
    until("each has one", || seen[0].now() == 1 && seen[1].now() == 1).await;
    for _ in 0..4 {
        clients.push(begin(&proxy, "/").await);
    }
    let admin = proxy.admin();
    admin.wait_for_metric(&remaining("pending"), 1020.0).await;
    gate.add_permits(6);
    for client in &mut clients {
        assert_eq!(client.response("GET").await.status(), 200);
    }
    assert_eq!((one.connections(), other.connections()), (1, 1));
    assert_eq!((seen[0].most(), seen[1].most()), (1, 1));
}

#[tokio::test]
async fn the_idle_connection_of_the_endpoint_that_is_waited_for_gives_way_to_another_worker() {
    let gate = Arc::new(Semaphore::new(0));
    let seen = [Arc::new(Seen::default()), Arc::new(Seen::default())];
    let one = gated(&gate, &seen[0]).await;
    let other = gated(&gate, &seen[1]).await;
    let document = Document::to(&[one.address(), other.address()])
        .workers(2)
        .cluster("load_balancing: random, circuit_breakers: { endpoint: { connections_max: 1 } }");
    let proxy = Proxy::start(document).await;
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(Client::connect(proxy.address()).await);
    }
    let request = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    // Whichever of them share a worker: one has both connections, and another worker's client comes.
    for first in 0..4 {
        for second in (0..4).filter(|second| *second != first) {
            for third in (0..4).filter(|third| ![first, second].contains(third)) {
                clients[first].send(request).await;
                clients[second].send(request).await;
                // It may wait for the endpoint that the other is at.
                wait_until("both are there, or one waits", async || {
                    let waiting = 1024.0 - proxy.admin().metric(&remaining("pending")).await;
                    (seen[0].now() + seen[1].now() + waiting as usize == 2).then_some(())
                })
                .await;
                gate.add_permits(2);
                for client in [first, second] {
                    assert_eq!(clients[client].response("GET").await.status(), 200);
                }
                gate.add_permits(1);
                assert_eq!(clients[third].fetch("/", "").await.status(), 200);
            }
        }
    }
}
