//! SRV records: ports, weights, priorities.

use super::*;

const SERVICE: &str = "_http._tcp.a.example";

fn port(upstream: &Scripted) -> u16 {
    upstream.address().port()
}

#[tokio::test(flavor = "multi_thread")]
async fn services_give_ports_weights_and_priorities() {
    let (light, heavy, spare) = (Scripted::ok().await, Scripted::ok().await, Scripted::ok().await);
    let server = DnsServer::start().await;
    let host = Reply::addresses(60, &["127.0.0.1"]);
    server.set("one.example", Kind::A, host.clone());
    server.set("two.example", Kind::A, host.clone());
    server.set("spare.example", Kind::A, host);
    let services = [
        (1, 1, port(&light), "one.example"),
        (1, 3, port(&heavy), "two.example"),
        (2, 1, port(&spare), "spare.example"),
    ];
    server.set(SERVICE, Kind::Srv, Reply::services(1, &services));
    let names = format!("[{{ host: {SERVICE}, srv: true }}]");
    let proxy = Proxy::start(discovering(&server, "strict_dns", &names, FAST)).await;
    let mut client = Client::connect(proxy.address()).await;
    for _ in 0..40 {
        assert_eq!(client.fetch("/", "").await.status(), 200);
    }
    let counts = (
        light.request_count(),
        heavy.request_count(),
        spare.request_count(),
    );
    assert_eq!(counts, (10, 30, 0));
    // Without addresses of the first priority, the next one counts.
    server.set("one.example", Kind::A, Reply::NoSuchName(0));
    server.set("two.example", Kind::A, Reply::Empty(0));
    wait_for_endpoints(&proxy, &texts(&[&spare])).await;
    assert_eq!(client.fetch("/", "").await.status(), 200);
    assert_eq!(spare.request_count(), 1);
    // A service that is decidedly not there.
    server.set(SERVICE, Kind::Srv, Reply::services(1, &[(0, 0, 0, "")]));
    wait_for_endpoints(&proxy, &[]).await;
    assert_eq!(client.fetch("/", "").await.status(), 503);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_moves_to_another_target_without_a_failed_request() {
    let (old, new) = (Scripted::ok().await, Scripted::ok().await);
    let server = DnsServer::start().await;
    server.set("old.example", Kind::A, Reply::addresses(60, &["127.0.0.1"]));
    server.set("new.example", Kind::A, Reply::Silence);
    server.set(
        SERVICE,
        Kind::Srv,
        Reply::services(1, &[(1, 1, port(&old), "old.example")]),
    );
    let names = format!("[{{ host: {SERVICE}, srv: true }}]");
    let more = "family: v4, ttl_min: 50ms, ttl_max: 100ms, query_timeout: 5s";
    let proxy = Proxy::start(discovering(&server, "strict_dns", &names, more)).await;
    server.set(
        SERVICE,
        Kind::Srv,
        Reply::services(1, &[(1, 1, port(&new), "new.example")]),
    );
    wait_until("the new target's question", async || {
        (server.asked("new.example", Kind::A) > 0).then_some(())
    })
    .await;
    let mut client = Client::connect(proxy.address()).await;
    assert_eq!(client.fetch("/", "").await.status(), 200);
    assert_eq!((old.request_count(), new.request_count()), (1, 0));
    server.set("new.example", Kind::A, Reply::addresses(60, &["127.0.0.1"]));
    wait_for_endpoints(&proxy, &texts(&[&new])).await;
    assert_eq!(client.fetch("/", "").await.status(), 200);
    assert_eq!((old.request_count(), new.request_count()), (1, 1));
}
