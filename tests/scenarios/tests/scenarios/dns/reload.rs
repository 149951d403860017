//! Configurations that change while names are resolved.

use super::*;

/// A name that is asked for as long as nothing changes.
const CLOCK: &str = "clock.example";

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_keeps_the_resolution_of_clusters_that_stay() {
    let ups = upstreams(&["127.0.0.1"]).await;
    let server = DnsServer::start().await;
    server.set(NAME, Kind::A, Reply::addresses(3600, &["127.0.0.1"]));
    let document = document(&server, "strict_dns", ups[0].address().port(), "family: v4").workers(1);
    let proxy = Proxy::start(&document).await;
    let mut client = Client::connect(proxy.address()).await;
    assert_eq!(client.fetch("/", "").await.status(), 200);
    for changed in [
        document.clone().forward("timeout: 3s"),
        document.clone().cluster("connect_timeout: 3s"),
    ] {
        proxy.reload(changed).await.unwrap();
        assert_eq!(client.fetch("/", "").await.status(), 200);
    }
    assert_eq!(server.asked(NAME, Kind::A), 1);
    assert_eq!(ups[0].connections(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_that_adds_a_cluster_waits_for_its_first_answer() {
    let ups = upstreams(&["127.0.0.1"]).await;
    let server = DnsServer::start().await;
    server.set(NAME, Kind::A, Reply::Silence);
    let fixed = Scripted::answering("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nfixed").await;
    let proxy = Proxy::start(Document::to(&[fixed.address()])).await;
    let document = document(
        &server,
        "strict_dns",
        ups[0].address().port(),
        "query_timeout: 60s",
    );
    let reloading = proxy.reload(document);
    let meanwhile = async {
        wait_until("the question", async || {
            (server.asked(NAME, Kind::A) > 0).then_some(())
        })
        .await;
        assert_eq!(
            fetch(&proxy).await,
            (200, "fixed".to_owned()),
            "the old policy is in force"
        );
        assert_eq!(proxy.admin().fetch("/ready").await.status(), 200);
        server.set(NAME, Kind::A, Reply::addresses(60, &["127.0.0.1"]));
    };
    let (reloaded, ()) = tokio::join!(reloading, meanwhile);
    assert_eq!(reloaded, Ok(2));
    // The bound may have passed before the question was repeated.
    wait_for_endpoints(&proxy, &texts(&[&ups[0]])).await;
    assert_eq!(fetch(&proxy).await, (200, "127.0.0.1".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn other_settings_keep_the_last_answer_where_the_resolver_has_failed_meanwhile() {
    let ups = upstreams(&["127.0.0.1"]).await;
    let server = DnsServer::start().await;
    server.set(NAME, Kind::A, Reply::addresses(3600, &["127.0.0.1"]));
    let port = ups[0].address().port();
    let proxy = Proxy::start(document(&server, "strict_dns", port, "family: v4")).await;
    server.set(NAME, Kind::A, Reply::Error(2));
    let changed = document(&server, "strict_dns", port, "family: v4, stale_max: 2h");
    proxy.reload(changed).await.unwrap();
    wait_until("a question under the new settings", async || {
        (server.asked(NAME, Kind::A) > 1).then_some(())
    })
    .await;
    assert_eq!(fetch(&proxy).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn resolvers_end_with_the_configuration_that_wanted_them() {
    let server = DnsServer::start().await;
    server.set(NAME, Kind::A, Reply::addresses(1, &["127.0.0.1"]));
    server.set("other.example", Kind::A, Reply::addresses(1, &["127.0.0.1"]));
    let fixed = Scripted::ok().await;
    let proxy = Proxy::start(document(&server, "strict_dns", 80, FAST)).await;
    let other = format!(
        "discovery: {{ type: strict_dns, names: [{{ host: other.example, port: 80 }}], resolvers: ['{}'], {FAST} }}",
        server.address()
    );
    // One that is refused leaves nothing running either.
    let refused = Document::to(&[fixed.address()])
        .with_cluster("other", &[], &other)
        .with_listener_text("- { name: bad, address: '192.0.2.1:1', filter_chains: [{ http: { route_configuration: main } }] }\n");
    proxy.reload(refused).await.unwrap_err();
    server.set(CLOCK, Kind::A, Reply::addresses(1, &["127.0.0.1"]));
    let without =
        Document::to(&[fixed.address()]).with_cluster("clock", &[], &other.replace("other.example", CLOCK));
    proxy.reload(without).await.unwrap();
    assert!(server.asked("other.example", Kind::A) > 0);
    let asked = || server.asked(NAME, Kind::A) + server.asked("other.example", Kind::A);
    // Another name, of which answers are kept for as long, says how time goes by: nobody asks for these while it is asked
    // for some times over.
    wait_until("the questions to end", async || {
        let before = asked();
        let now = server.asked(CLOCK, Kind::A);
        wait_until("four questions for the other name", async || {
            (server.asked(CLOCK, Kind::A) >= now + 4).then_some(())
        })
        .await;
        (asked() == before).then_some(())
    })
    .await;
    let series = proxy
        .admin()
        .metrics()
        .await
        .sum("outrigger_cluster_discovered_addresses");
    assert_eq!(
        series, 1.0,
        "their series have gone: the one address is the clock's"
    );
}
