//! Limits that the process counts.

use super::{decided, fetch, limit, limited, limits, statuses};
use outrigger_fixtures::Scripted;
use outrigger_harness::{Client, Document, Proxy, wait_until};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn as_many_pass_as_the_bucket_holds_and_the_rest_is_told_when_to_come_back() {
    let (upstream, proxy) = limited(&[limit("two", 2, "", "headers: true")], "two").await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        let response = fetch(&proxy, "/", "").await;
        let field = |name: &str| response.field(name).unwrap_or("none").to_owned();
        seen.push((
            response.status(),
            [
                field("x-ratelimit-limit"),
                field("x-ratelimit-remaining"),
                field("x-ratelimit-reset"),
                field("retry-after"),
                field("x-envoy-ratelimited"),
            ],
        ));
    }
    // A token comes back every 500 hours; while there is one there is nothing to wait for.
    let fields = |texts: [&str; 5]| texts.map(str::to_owned);
    assert_eq!(seen[0], (200, fields(["2", "1", "0", "none", "none"])));
    assert_eq!(seen[1], (200, fields(["2", "0", "1800000", "none", "none"])));
    assert_eq!(seen[2], (429, fields(["2", "0", "1800000", "1800000", "true"])));
    assert_eq!(upstream.request_count(), 2);
    assert_eq!(decided(&proxy, "two", "allowed").await, 2.0);
    assert_eq!(decided(&proxy, "two", "refused").await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_connections_on_several_workers_get_exactly_what_there_is() {
    let upstream = Scripted::ok().await;
    let document = Document::to(&[upstream.address()])
        .workers(3)
        .http("rate_limits: [hundred]");
    let proxy = Proxy::start(limits(document, &[limit("hundred", 100, "", "")])).await;
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let address = proxy.address();
        clients.spawn(async move {
            let mut client = Client::connect(address).await;
            let mut passed = 0;
            for _ in 0..63 {
                passed += usize::from(client.fetch("/", "").await.status() == 200);
            }
            passed
        });
    }
    let passed: usize = clients.join_all().await.into_iter().sum();
    assert_eq!((passed, upstream.request_count()), (100, 100));
    assert_eq!(decided(&proxy, "hundred", "refused").await, 404.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn those_of_chain_virtual_host_and_route_must_all_allow_and_what_one_refuses_costs_the_others_nothing()
{
    let upstream = Scripted::ok().await;
    let hosts = "{ name: a, domains: ['*'], rate_limits: [host], routes: [\
                 { match: { prefix: /few }, forward: { cluster: upstream }, rate_limits: [few] }, \
                 { match: { prefix: /moved }, redirect: { host: b }, rate_limits: [few] }, \
                 { match: { prefix: /said }, direct_response: { status: 200, body: x } }, \
                 { match: { prefix: / }, forward: { cluster: upstream }, rate_limits: [host] }] }, \
                 { name: b, domains: [free.example], routes: [{ match: { prefix: / }, forward: { cluster: upstream } }] }";
    let document = Document::to(&[upstream.address()])
        .virtual_hosts(hosts)
        .http("rate_limits: [chain]");
    let all = [
        limit("chain", 9, "", ""),
        limit("host", 6, "", ""),
        limit("few", 2, "", "status: 503"),
    ];
    let proxy = Proxy::start(limits(document, &all)).await;
    assert_eq!(statuses(&proxy, 1, "/few", "").await, [200]);
    // What is answered here is limited like anything else.
    assert_eq!(statuses(&proxy, 1, "/moved", "").await, [301]);
    assert_eq!(statuses(&proxy, 3, "/few", "").await, [503; 3]);
    assert_eq!(statuses(&proxy, 1, "/moved", "").await, [503]);
    // Two of the host's six are taken, not six; `host` stands twice on the last route and counts once.
    assert_eq!(statuses(&proxy, 2, "/", "").await, [200; 2]);
    assert_eq!(statuses(&proxy, 3, "/said", "").await, [200, 200, 429]);
    // Six of the chain's nine are taken.
    let free = "host: free.example\r\n";
    let mut passed = Vec::new();
    let mut client = Client::connect(proxy.address()).await;
    for _ in 0..4 {
        let request = format!("GET / HTTP/1.1\r\n{free}\r\n");
        passed.push(client.exchange(request).await.status());
    }
    assert_eq!(passed, [200, 200, 200, 429]);
    assert_eq!(decided(&proxy, "few", "refused").await, 4.0);
    assert_eq!(decided(&proxy, "host", "refused").await, 1.0);
    assert_eq!(decided(&proxy, "chain", "allowed").await, 9.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shadow_counts_and_refuses_nothing_and_tells_nothing() {
    let shadow = limit("shadow", 1, "", "shadow: true, headers: true");
    let (_upstream, proxy) = limited(&[shadow], "shadow").await;
    for _ in 0..3 {
        let response = fetch(&proxy, "/", "").await;
        assert_eq!(
            (response.status(), response.field("x-ratelimit-limit")),
            (200, None)
        );
    }
    assert_eq!(decided(&proxy, "shadow", "allowed").await, 1.0);
    assert_eq!(decided(&proxy, "shadow", "shadow_refused").await, 2.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_logged_with_flag_details_and_the_limits_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("log");
    let upstream = Scripted::ok().await;
    let document = Document::to(&[upstream.address()]).http(&format!(
        "rate_limits: [one], access_logs: [{{ path: '{}', format: {{ text: \"%RESPONSE_CODE% %RESPONSE_FLAGS% \
         %RESPONSE_CODE_DETAILS%\\n\" }} }}]",
        file.display()
    ));
    let proxy = Proxy::start(limits(document, &[limit("one", 1, "", "")])).await;
    assert_eq!(statuses(&proxy, 2, "/", "").await, [200, 429]);
    let lines = wait_until("two lines", async || {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        (text.lines().count() == 2).then_some(text)
    })
    .await;
    // Two workers may have written them.
    let mut lines: Vec<&str> = lines.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["200 - via_upstream", "429 RL local_rate_limited[one]"]);
    let flags = "outrigger_route_response_flags_total{flag=\"RL\"}";
    assert_eq!(proxy.admin().metric(flags).await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_endpoint_shows_limits_and_what_they_decided() {
    let by_address = limit(
        "each",
        5,
        "keys_max: 7",
        "descriptors: [[remote_address, { header: x-key, key: key }]]",
    );
    let all = [limit("all", 3, "", ""), by_address];
    let (_upstream, proxy) = limited(&all, "all, each").await;
    assert_eq!(statuses(&proxy, 2, "/", "x-key: a\r\n").await, [200; 2]);
    assert_eq!(statuses(&proxy, 2, "/", "").await, [200, 429]);
    let shown = proxy.admin().json("/rate_limits").await;
    let shown = shown["rate_limits"].as_array().unwrap();
    assert_eq!(shown[0]["name"], "all");
    assert_eq!(shown[0]["tokens_left"], 0);
    assert_eq!(shown[0]["decisions"], json!({ "allowed": 3, "refused": 1 }));
    assert_eq!(
        shown[0]["bucket"],
        json!({ "requests": 3, "interval_seconds": 3_600_000.0, "burst": 3 })
    );
    assert_eq!(shown[1]["descriptors"], json!([["remote_address", "key"]]));
    assert_eq!((&shown[1]["keys"], &shown[1]["keys_max"]), (&json!(1), &json!(7)));
    assert_eq!(shown[1]["decisions"], json!({ "allowed": 2, "not_counted": 1 }));
}
