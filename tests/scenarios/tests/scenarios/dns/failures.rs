//! Resolvers that fail, fall silent, lie or send garbage: the last good answer stays, for a bounded time.

use super::*;

const STALE: &str = "outrigger_cluster_dns_stale{cluster=\"upstream\"}";

fn outcome(outcome: &str) -> String {
    format!("outrigger_cluster_dns_resolutions_total{{cluster=\"upstream\",outcome=\"{outcome}\"}}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_resolver_keeps_the_last_answer_and_it_is_told() {
    let table = [
        ("SERVFAIL", Reply::Error(2), "server_failure"),
        ("REFUSED", Reply::Error(5), "refused"),
        ("NOTIMP", Reply::Error(4), "error_code"),
        ("silence", Reply::Silence, "timeout"),
        ("garbage", Reply::Garbage(vec![0xff; 40]), "timeout"),
    ];
    for (what, reply, reason) in table {
        let ups = upstreams(&["127.0.0.1", "127.0.0.2"]).await;
        let server = DnsServer::start().await;
        server.set(NAME, Kind::A, Reply::addresses(1, &["127.0.0.1"]));
        let proxy = Proxy::start(document(&server, "strict_dns", ups[0].address().port(), FAST)).await;
        let admin = proxy.admin();
        assert_eq!(fetch(&proxy).await.0, 200, "{what}");
        server.set(NAME, Kind::A, reply);
        admin.wait_for_metric(STALE, 1.0).await;
        assert!(admin.metric(&outcome(reason)).await >= 1.0, "{what}");
        assert_eq!(fetch(&proxy).await, (200, "127.0.0.1".to_owned()), "{what}");
        let dns = cluster(&proxy).await["dns"].clone();
        assert_eq!(dns["stale"], true, "{dns}");
        let answer = &dns["answers"][0];
        assert!(
            answer["last_error"].as_str().unwrap().starts_with(reason),
            "{dns}"
        );
        assert_eq!(answer["ttl_left_seconds"], 0.0, "{dns}");
        let answered = admin
            .metric("outrigger_cluster_dns_answer_timestamp_seconds{cluster=\"upstream\"}")
            .await;
        assert!(answered > 1e9, "{answered}");
        // The first repetition after a failure comes within two seconds.
        server.set(NAME, Kind::A, Reply::addresses(1, &["127.0.0.2"]));
        wait_for_endpoints(&proxy, &texts(&[&ups[1]])).await;
        admin.wait_for_metric(STALE, 0.0).await;
        assert_eq!(fetch(&proxy).await, (200, "127.0.0.2".to_owned()), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_answer_goes_when_it_has_been_stale_for_too_long() {
    let ups = upstreams(&["127.0.0.1"]).await;
    let server = DnsServer::start().await;
    server.set(NAME, Kind::A, Reply::addresses(1, &["127.0.0.1"]));
    let more = format!("{FAST}, stale_max: 300ms");
    let proxy = Proxy::start(document(&server, "strict_dns", ups[0].address().port(), &more)).await;
    assert_eq!(fetch(&proxy).await.0, 200);
    server.set(NAME, Kind::A, Reply::Error(2));
    wait_for_endpoints(&proxy, &[]).await;
    let response = Client::connect(proxy.address()).await.fetch("/", "").await;
    assert_eq!(response.status(), 503);
    let admin = proxy.admin();
    let expired = "outrigger_cluster_dns_answers_expired_total{cluster=\"upstream\"}";
    admin.wait_for_metric(expired, 1.0).await;
    assert_eq!(admin.metric(STALE).await, 0.0, "nothing stale is in force");
    server.set(NAME, Kind::A, Reply::addresses(1, &["127.0.0.1"]));
    wait_for_endpoints(&proxy, &texts(&[&ups[0]])).await;
    assert_eq!(fetch(&proxy).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_never_resolved_is_503_until_it_does() {
    let ups = upstreams(&["127.0.0.1"]).await;
    let server = DnsServer::start().await;
    server.set(NAME, Kind::A, Reply::Silence);
    let more = "query_timeout: 200ms";
    let proxy = Proxy::start(document(&server, "strict_dns", ups[0].address().port(), more)).await;
    let admin = proxy.admin();
    assert_eq!(
        admin.fetch("/ready").await.status(),
        200,
        "a failure is an outcome"
    );
    assert_eq!(fetch(&proxy).await.0, 503);
    server.set(NAME, Kind::A, Reply::addresses(60, &["127.0.0.1"]));
    wait_for_endpoints(&proxy, &texts(&[&ups[0]])).await;
    assert_eq!(fetch(&proxy).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_answer_is_asked_for_over_tcp() {
    let ups = upstreams(&["127.0.0.1"]).await;
    let server = DnsServer::start().await;
    // More than a datagram takes.
    let many: Vec<String> = (1..=200).map(|last| format!("127.0.0.{last}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    server.set(NAME, Kind::A, Reply::addresses(60, &many));
    let proxy = Proxy::start(document(
        &server,
        "strict_dns",
        ups[0].address().port(),
        "family: v4",
    ))
    .await;
    assert_eq!(endpoints(&proxy).await.len(), 200);
    assert_eq!(server.asked_over_tcp(NAME, Kind::A), 1);
    let addresses = "outrigger_cluster_discovered_addresses{cluster=\"upstream\"}";
    assert_eq!(proxy.admin().metric(addresses).await, 200.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_lie_or_make_no_sense_are_not_used() {
    let ups = upstreams(&["127.0.0.1", "127.0.0.2"]).await;
    let server = DnsServer::start().await;
    server.set(NAME, Kind::A, Reply::addresses(1, &["127.0.0.1"]));
    let more = "ttl_min: 50ms, ttl_max: 100ms, query_timeout: 200ms";
    let proxy = Proxy::start(document(&server, "strict_dns", ups[0].address().port(), more)).await;
    let admin = proxy.admin();
    let elsewhere = (
        60,
        outrigger_fixtures::dns::Data::Address("127.0.0.2".parse().unwrap()),
    );
    let lies = [
        Reply::Mismatched(vec![elsewhere]),
        Reply::Garbage(Vec::new()),
        Reply::Garbage(vec![0; 11]),
        Reply::Garbage(vec![0xc0; 600]),
        Reply::Garbage((0..=255).collect()),
    ];
    for lie in lies {
        let before = admin.metric(&outcome("timeout")).await;
        let refused = admin.metric(&outcome("protocol")).await;
        server.set(NAME, Kind::A, lie.clone());
        wait_until("a failure", async || {
            let failures = admin.metric(&outcome("timeout")).await + admin.metric(&outcome("protocol")).await;
            (failures > before + refused).then_some(())
        })
        .await;
        assert_eq!(fetch(&proxy).await, (200, "127.0.0.1".to_owned()), "{lie:?}");
        server.set(NAME, Kind::A, Reply::addresses(1, &["127.0.0.1"]));
        admin.wait_for_metric(STALE, 0.0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_of_no_host_are_left_out() {
    let ups = upstreams(&["127.0.0.1"]).await;
    let server = DnsServer::start().await;
    server.set(
        NAME,
        Kind::A,
        Reply::addresses(60, &["0.0.0.0", "127.0.0.1", "224.0.0.1"]),
    );
    server.set(NAME, Kind::Aaaa, Reply::addresses(60, &["::"]));
    let proxy = Proxy::start(document(&server, "strict_dns", ups[0].address().port(), "")).await;
    assert_eq!(endpoints(&proxy).await, texts(&[&ups[0]]));
    let left_out = "outrigger_cluster_discovered_addresses_left_out_total{cluster=\"upstream\"}";
    assert_eq!(proxy.admin().metric(left_out).await, 3.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_tells_of_stale_answers_once_however_often_they_come_and_go() {
    let server = DnsServer::start().await;
    server.set(NAME, Kind::A, Reply::addresses(1, &["127.0.0.1"]));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("outrigger.yaml");
    std::fs::write(&file, document(&server, "strict_dns", 80, FAST).to_string()).unwrap();
    let process = outrigger_harness::Process::run(&file).await;
    for _ in 0..2 {
        let asked = server.asked(NAME, Kind::A);
        server.set(NAME, Kind::A, Reply::Error(2));
        wait_until("a failure", async || {
            (server.asked(NAME, Kind::A) > asked + 1).then_some(())
        })
        .await;
        server.set(NAME, Kind::A, Reply::addresses(1, &["127.0.0.1"]));
        let asked = server.asked(NAME, Kind::A);
        wait_until("answers", async || {
            (server.asked(NAME, Kind::A) > asked + 2).then_some(())
        })
        .await;
    }
    let log = process.stderr();
    let warnings: Vec<&str> = log.lines().filter(|line| line.contains("WARN")).collect();
    assert_eq!(warnings.len(), 1, "{log}");
    for part in [
        "the last answers stay in force",
        "cluster=upstream",
        "server_failure",
    ] {
        assert!(warnings[0].contains(part), "{log}");
    }
}
