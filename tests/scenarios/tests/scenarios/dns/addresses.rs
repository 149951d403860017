//! Both address families, and logical clusters: one endpoint, whatever its addresses are.

use super::*;
use outrigger_fixtures::Blackhole;

#[tokio::test(flavor = "multi_thread")]
async fn every_address_of_both_families_is_an_endpoint_of_a_strict_cluster() {
    let ups = upstreams(&["127.0.0.1", "::1"]).await;
    let server = DnsServer::start().await;
    server.set(NAME, Kind::A, Reply::addresses(60, &["127.0.0.1"]));
    server.set(NAME, Kind::Aaaa, Reply::addresses(60, &["::1"]));
    let proxy = Proxy::start(document(&server, "strict_dns", ups[0].address().port(), "")).await;
    let mut client = Client::connect(proxy.address()).await;
    for _ in 0..4 {
        assert_eq!(client.fetch("/", "").await.status(), 200);
    }
    assert_eq!((ups[0].request_count(), ups[1].request_count()), (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alias_is_followed() {
    let ups = upstreams(&["127.0.0.1"]).await;
    let server = DnsServer::start().await;
    let address = outrigger_fixtures::dns::Data::Address("127.0.0.1".parse().unwrap());
    let reply = Reply::Alias("real.example".to_owned(), 60, vec![(60, address)]);
    server.set(NAME, Kind::A, reply);
    let proxy = Proxy::start(document(
        &server,
        "strict_dns",
        ups[0].address().port(),
        "family: v4",
    ))
    .await;
    assert_eq!(fetch(&proxy).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_family_that_refuses_gives_way_to_the_other() {
    let ups = upstreams(&["127.0.0.1"]).await;
    let server = DnsServer::start().await;
    server.set(NAME, Kind::A, Reply::addresses(60, &["127.0.0.1"]));
    server.set(NAME, Kind::Aaaa, Reply::addresses(60, &["::1"]));
    let proxy = Proxy::start(document(&server, "logical_dns", ups[0].address().port(), "")).await;
    assert_eq!(fetch(&proxy).await, (200, "127.0.0.1".to_owned()));
    let cluster = cluster(&proxy).await;
    let endpoints = cluster["endpoints"].as_array().unwrap();
    assert_eq!(endpoints.len(), 1, "{cluster}");
    assert_eq!(
        endpoints[0]["addresses"].as_array().unwrap().len(),
        2,
        "{cluster}"
    );
    assert_eq!(
        proxy
            .admin()
            .metric("outrigger_cluster_connection_failures_total{cluster=\"upstream\"}")
            .await,
        0.0,
        "a connection was made"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_family_that_is_silent_does_not_hold_up_the_other() {
    let ups = upstreams(&["127.0.0.1"]).await;
    let port = ups[0].address().port();
    let _blackhole = Blackhole::at(SocketAddr::new("::1".parse().unwrap(), port)).unwrap();
    let server = DnsServer::start().await;
    server.set(NAME, Kind::A, Reply::addresses(60, &["127.0.0.1"]));
    server.set(NAME, Kind::Aaaa, Reply::addresses(60, &["::1"]));
    // One attempt only: the request is not retried, and the connection alone would time out.
    let document = document(&server, "logical_dns", port, "").cluster("connect_timeout: 5s");
    let proxy = Proxy::start(document.forward("timeout: 4s")).await;
    assert_eq!(fetch(&proxy).await, (200, "127.0.0.1".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn tcp_connections_go_to_the_family_that_answers() {
    let ups = upstreams(&["127.0.0.1"]).await;
    let port = ups[0].address().port();
    let _blackhole = Blackhole::at(SocketAddr::new("::1".parse().unwrap(), port)).unwrap();
    let server = DnsServer::start().await;
    server.set(NAME, Kind::A, Reply::addresses(60, &["127.0.0.1"]));
    server.set(NAME, Kind::Aaaa, Reply::addresses(60, &["::1"]));
    let document = document(&server, "logical_dns", port, "");
    let tcp = document.listener("filter_chains: [{ tcp: { cluster: upstream } }]");
    let proxy = Proxy::start(tcp.cluster("connect_timeout: 5s")).await;
    assert_eq!(fetch(&proxy).await, (200, "127.0.0.1".to_owned()));
    assert_eq!(ups[0].connections(), 1);
    assert_eq!(
        proxy
            .admin()
            .metric("outrigger_cluster_connection_failures_total{cluster=\"upstream\"}")
            .await,
        0.0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logical_endpoint_keeps_connections_and_makes_new_ones_where_the_name_points() {
    let ups = upstreams(&["127.0.0.1", "127.0.0.2"]).await;
    let server = DnsServer::start().await;
    server.set(NAME, Kind::A, Reply::addresses(1, &["127.0.0.1"]));
    let document = document(&server, "logical_dns", ups[0].address().port(), FAST);
    let proxy = Proxy::start(
        document
            .cluster("pool: { requests_per_connection_max: 3 }")
            .workers(1),
    )
    .await;
    let mut client = Client::connect(proxy.address()).await;
    assert_eq!(client.fetch("/", "").await.text(), "127.0.0.1");
    server.set(NAME, Kind::A, Reply::addresses(1, &["127.0.0.2"]));
    wait_for_endpoints(&proxy, &texts(&[&ups[1]])).await;
    assert_eq!(
        client.fetch("/", "").await.text(),
        "127.0.0.1",
        "the connection that is there"
    );
    assert_eq!(client.fetch("/", "").await.text(), "127.0.0.1");
    assert_eq!(
        client.fetch("/", "").await.text(),
        "127.0.0.2",
        "a new connection"
    );
    assert_eq!((ups[0].connections(), ups[1].connections()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn new_connections_to_a_logical_endpoint_spread_over_its_addresses() {
    let ups = upstreams(&["127.0.0.1", "127.0.0.2"]).await;
    let server = DnsServer::start().await;
    server.set(NAME, Kind::A, Reply::addresses(60, &["127.0.0.1", "127.0.0.2"]));
    let document = document(&server, "logical_dns", ups[0].address().port(), "");
    let proxy = Proxy::start(document.cluster("pool: { requests_per_connection_max: 1 }")).await;
    let mut client = Client::connect(proxy.address()).await;
    wait_until("both to be used", async || {
        assert_eq!(client.fetch("/", "").await.status(), 200);
        let used = ups.iter().all(|upstream| upstream.request_count() > 0);
        used.then_some(())
    })
    .await;
}
