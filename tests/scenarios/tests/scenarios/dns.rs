//! Clusters whose endpoints DNS finds: what a client sees while answers come, change, fail and lie.

mod addresses;
mod drains;
mod failures;
mod reload;
mod services;
mod waiting;

use outrigger_fixtures::dns::{Kind, Reply};
use outrigger_fixtures::{DnsServer, Scripted};
use outrigger_harness::{Client, Document, Proxy, wait_until};
use std::net::{IpAddr, SocketAddr};

/// Answers expire ten times a second, whatever their TTL says: tests do not wait for seconds.
const FAST: &str = "ttl_min: 50ms, ttl_max: 100ms, query_timeout: 500ms";

const NAME: &str = "a.example";

/// A cluster `upstream` of this name and port, resolved by this server.
fn document(server: &DnsServer, kind: &str, port: u16, more: &str) -> Document {
    let names = format!("[{{ host: {NAME}, port: {port} }}]");
    discovering(server, kind, &names, more)
}

fn discovering(server: &DnsServer, kind: &str, names: &str, more: &str) -> Document {
    let resolver = server.address();
    Document::to(&[]).cluster(&format!(
        "discovery: {{ type: {kind}, names: {names}, resolvers: ['{resolver}'], {more} }}"
    ))
}

/// Upstreams on one port of several loopback addresses; each answers with its own address.
async fn upstreams(addresses: &[&str]) -> Vec<Scripted> {
    let addresses: Vec<IpAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
    for _ in 0..100 {
        let first = std::net::TcpListener::bind((addresses[0], 0)).unwrap();
        let port = first.local_addr().unwrap().port();
        let free = |address: &IpAddr| std::net::TcpListener::bind((*address, port)).is_ok();
        if !addresses[1..].iter().all(free) {
            continue;
        }
        drop(first);
        let mut started = Vec::new();
        for address in &addresses {
            let body = address.to_string();
            let response = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            let response: std::sync::Arc<str> = response.into();
            let script = move |mut script: outrigger_fixtures::Script| {
                let response = std::sync::Arc::clone(&response);
                async move {
                    while script.request().await?.is_some() {
                        script.send(response.as_bytes()).await?;
                    }
                    Ok(())
                }
            };
            started.push(Scripted::start_at(SocketAddr::new(*address, port), script).await);
        }
        return started;
    }
    panic!("no port is free on all of {addresses:?}");
}

/// The endpoints of the cluster `upstream`, as `/clusters` shows them.
async fn endpoints(proxy: &Proxy) -> Vec<String> {
    let cluster = cluster(proxy).await;
    let endpoints = cluster["endpoints"].as_array().unwrap().iter();
    endpoints
        .map(|endpoint| endpoint["address"].as_str().unwrap().to_owned())
        .collect()
}

async fn cluster(proxy: &Proxy) -> serde_json::Value {
    let clusters = proxy.admin().json("/clusters").await;
    let mut clusters = clusters["clusters"].as_array().unwrap().iter();
    clusters
        .find(|cluster| cluster["name"] == "upstream")
        .unwrap()
        .clone()
}

async fn wait_for_endpoints(proxy: &Proxy, expected: &[String]) {
    wait_until(&format!("the endpoints {expected:?}"), async || {
        (endpoints(proxy).await == expected).then_some(())
    })
    .await;
}

async fn fetch(proxy: &Proxy) -> (u16, String) {
    let response = Client::connect(proxy.address()).await.fetch("/", "").await;
    (response.status(), response.text())
}

fn texts(upstreams: &[&Scripted]) -> Vec<String> {
    upstreams
        .iter()
        .map(|upstream| upstream.address().to_string())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_appear_move_and_vanish_without_a_failed_request() {
    let ups = upstreams(&["127.0.0.1", "127.0.0.2", "127.0.0.3"]).await;
    let server = DnsServer::start().await;
    let zone = |addresses: &[&str]| server.set(NAME, Kind::A, Reply::addresses(60, addresses));
    zone(&["127.0.0.1"]);
    let proxy = Proxy::start(document(&server, "strict_dns", ups[0].address().port(), FAST)).await;
    let address = proxy.address();
    let (stop, mut stopped) = tokio::sync::watch::channel(false);
    let load = tokio::spawn(async move {
        let mut client = Client::connect(address).await;
        let mut answered = 0;
        while !*stopped.borrow_and_update() {
            let response = client.fetch("/", "").await;
            assert_eq!(response.status(), 200, "{}", response.text());
            answered += 1;
        }
        answered
    });
    let all: Vec<&Scripted> = ups.iter().collect();
    let steps: [(&[&str], &[&Scripted]); 5] = [
        (&["127.0.0.2", "127.0.0.1"], &all[..2]),
        (&["127.0.0.2"], &all[1..2]),
        (&["127.0.0.3", "127.0.0.1", "127.0.0.2"], &all),
        (&["127.0.0.3"], &all[2..]),
        (&["127.0.0.1"], &all[..1]),
    ];
    for (zone_addresses, in_force) in steps {
        zone(zone_addresses);
        wait_for_endpoints(&proxy, &texts(in_force)).await;
        let before: Vec<usize> = all.iter().map(|upstream| upstream.request_count()).collect();
        wait_until("every endpoint to be used", async || {
            let used = |(upstream, before): (&&Scripted, &usize)| {
                let is_in = in_force.iter().any(|other| other.address() == upstream.address());
                !is_in || upstream.request_count() > *before
            };
            all.iter().zip(&before).all(used).then_some(())
        })
        .await;
    }
    stop.send(true).unwrap();
    assert!(load.await.unwrap() > 0);
    let admin = proxy.admin();
    let updates = "outrigger_cluster_discovery_updates_total{cluster=\"upstream\"}";
    assert!(admin.metric(updates).await >= 5.0);
    assert_eq!(
        admin.metric("outrigger_configuration_generation").await,
        1.0,
        "the configuration is the same"
    );
    // A name that is no more has no endpoints, and one that is back has them again.
    server.set(NAME, Kind::A, Reply::NoSuchName(0));
    wait_for_endpoints(&proxy, &[]).await;
    assert_eq!(fetch(&proxy).await.0, 503);
    assert_eq!(
        admin
            .metric("outrigger_cluster_dns_stale{cluster=\"upstream\"}")
            .await,
        0.0
    );
    zone(&["127.0.0.2"]);
    wait_for_endpoints(&proxy, &texts(&all[1..2])).await;
    assert_eq!(fetch(&proxy).await, (200, "127.0.0.2".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_kept_for_its_ttl_and_no_longer() {
    let ups = upstreams(&["127.0.0.1"]).await;
    let server = DnsServer::start().await;
    let port = ups[0].address().port();
    server.set("long.example", Kind::A, Reply::addresses(3600, &["127.0.0.1"]));
    server.set("short.example", Kind::A, Reply::addresses(1, &["127.0.0.1"]));
    let names = format!("[{{ host: long.example, port: {port} }}, {{ host: short.example, port: {port} }}]");
    let proxy = Proxy::start(discovering(&server, "strict_dns", &names, "family: v4")).await;
    wait_until("a third question", async || {
        (server.asked("short.example", Kind::A) == 3).then_some(())
    })
    .await;
    assert_eq!(server.asked("long.example", Kind::A), 1);
    assert_eq!(
        server.asked("long.example", Kind::Aaaa),
        0,
        "only IPv4 is asked for"
    );
    assert_eq!(fetch(&proxy).await.0, 200);
    let dns = cluster(&proxy).await["dns"].clone();
    let answer = &dns["answers"][0];
    assert_eq!(
        (&answer["host"], &answer["type"], &answer["records"][0]),
        (&"long.example".into(), &"A".into(), &"127.0.0.1".into()),
        "{dns}"
    );
    // The default bound is below what the answer says.
    let left = answer["ttl_left_seconds"].as_f64().unwrap();
    assert!(left > 200.0 && left <= 300.0, "{dns}");
    let success = "outrigger_cluster_dns_resolutions_total{cluster=\"upstream\",outcome=\"success\"}";
    assert!(proxy.admin().metric(success).await >= 3.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_stays_keeps_its_connections_while_others_come_and_go() {
    let ups = upstreams(&["127.0.0.1", "127.0.0.2"]).await;
    let server = DnsServer::start().await;
    server.set(NAME, Kind::A, Reply::addresses(1, &["127.0.0.1"]));
    let document = document(&server, "strict_dns", ups[0].address().port(), FAST);
    let proxy = Proxy::start(document.workers(1)).await;
    let mut client = Client::connect(proxy.address()).await;
    assert_eq!(client.fetch("/", "").await.text(), "127.0.0.1");
    server.set(NAME, Kind::A, Reply::addresses(1, &["127.0.0.2", "127.0.0.1"]));
    wait_for_endpoints(&proxy, &texts(&[&ups[0], &ups[1]])).await;
    for _ in 0..4 {
        assert_eq!(client.fetch("/", "").await.status(), 200);
    }
    server.set(NAME, Kind::A, Reply::addresses(1, &["127.0.0.1"]));
    wait_for_endpoints(&proxy, &texts(&[&ups[0]])).await;
    assert_eq!(client.fetch("/", "").await.text(), "127.0.0.1");
    assert_eq!(ups[0].connections(), 1);
    // The one that left loses its idle connections.
    wait_until("its connections to end", async || {
        (ups[1].open_connections() == 0).then_some(())
    })
    .await;
    assert_eq!(ups[1].connections(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_waits_for_the_first_answers_and_is_not_ready_meanwhile() {
    let ups = upstreams(&["127.0.0.1"]).await;
    let server = DnsServer::start().await;
    server.set(NAME, Kind::A, Reply::Silence);
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let admin = free.local_addr().unwrap();
    drop(free);
    let document = document(
        &server,
        "strict_dns",
        ups[0].address().port(),
        "query_timeout: 60s",
    );
    let text = document.to_string().replace(
        "admin: { address: 127.0.0.1:0 }",
        &format!("admin: {{ address: '{admin}' }}"),
    );
    let starting = tokio::spawn(Proxy::start(text));
    wait_until("the question", async || {
        (server.asked(NAME, Kind::A) > 0).then_some(())
    })
    .await;
    let endpoint = outrigger_harness::Admin(admin);
    let ready = endpoint.fetch("/ready").await;
    assert_eq!((ready.status(), ready.text().as_str()), (503, "starting\n"));
    assert_eq!(endpoint.fetch("/live").await.status(), 200);
    assert!(!starting.is_finished());
    // The next repetition of the question is answered.
    server.set(NAME, Kind::A, Reply::addresses(60, &["127.0.0.1"]));
    let proxy = starting.await.unwrap();
    assert_eq!(endpoint.fetch("/ready").await.status(), 200);
    wait_for_endpoints(&proxy, &texts(&[&ups[0]])).await;
    assert_eq!(fetch(&proxy).await.0, 200);
}
