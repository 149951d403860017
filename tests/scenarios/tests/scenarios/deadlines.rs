//! Deadlines: what the next hop is told, what is refused for the want of time, and the other limits of a request's time.

mod limits;

use outrigger_fixtures::authorization::{Authorization, Said};
use outrigger_fixtures::{Blackhole, Scripted};
use outrigger_harness::{Client, Document, Proxy};

const BELIEVED: &str = "hint_peers: { addresses: [127.0.0.0/8] }";
const LEFT: &str = "x-envoy-expected-rq-timeout-ms";
const PASSED: &str = "outrigger_route_deadlines_passed_total";

/// What an upstream is told, in milliseconds, by a proxy with these settings, for a request with these fields.
async fn told(http: &str, forward: &str, fields: &str) -> Option<u64> {
    let upstream = Scripted::ok().await;
    let document = Document::to(&[upstream.address()]).workers(1);
    let proxy = Proxy::start(document.http(http).forward(forward)).await;
    let response = Client::connect(proxy.address()).await.fetch("/", fields).await;
    assert_eq!(response.status(), 200, "{http}, {forward}, {fields}");
    let head = upstream.last_request().head;
    assert!(head.all(LEFT).count() <= 1, "{head:?}");
    head.field(LEFT).map(|left| left.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_hop_is_told_what_is_left_at_most() {
    let asked = "x-envoy-expected-rq-timeout-ms: 60000\r\n";
    // Settings, the route's, what the request says, what is left at most.
    for (http, forward, fields, most) in [
        (BELIEVED, "", asked, 60_000),
        (BELIEVED, "timeout: off", asked, 60_000),
        (BELIEVED, "timeout: 9s", asked, 9_000),
        (BELIEVED, "timeout: 90s", asked, 60_000),
        (BELIEVED, "timeout: off, client_timeout_max: 8s", asked, 8_000),
        (BELIEVED, "timeout: 9s", "", 9_000),
        ("", "timeout: 9s", asked, 9_000),
        (
            BELIEVED,
            "retry: { retry_on: [5xx], per_try_timeout: 7s }",
            asked,
            7_000,
        ),
        (
            BELIEVED,
            "timeout: 9s",
            "x-envoy-upstream-rq-timeout-ms: 6000\r\n",
            6_000,
        ),
    ] {
        let left = told(http, forward, fields).await;
        let left = left.unwrap_or_else(|| panic!("{http}, {forward}, {fields}: nothing was told"));
        // A minute's difference is none of this machine's load.
        assert!(left > 0 && left <= most, "{http}, {forward}, {fields}: {left}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_told_of_the_default_timeout_nor_for_peers_that_are_not_believed() {
    let asked = "x-envoy-expected-rq-timeout-ms: 60000\r\n";
    for (http, fields) in [
        ("", ""),
        (BELIEVED, ""),
        ("", asked),
        ("xff_num_trusted_hops: 1", asked),
        (BELIEVED, "x-envoy-expected-rq-timeout-ms: soon\r\n"),
    ] {
        assert_eq!(told(http, "", fields).await, None, "{http}, {fields}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_goes_through_hops() {
    let upstream = Scripted::ok().await;
    let hop = |to| Proxy::start(Document::to(&[to]).workers(1).http(BELIEVED));
    let inner = hop(upstream.address()).await;
    let outer = hop(inner.address()).await;
    let fields = "x-envoy-expected-rq-timeout-ms: 50000\r\n";
    let response = Client::connect(outer.address()).await.fetch("/", fields).await;
    assert_eq!(response.status(), 200);
    let head = upstream.last_request().head;
    let left: u64 = head.field(LEFT).unwrap().parse().unwrap();
    assert!(left > 0 && left <= 50_000, "{left}");
}

/// The request is answered 504 and counted, and the upstream has seen this many requests.
async fn late(document: Document, upstream: &Scripted, fields: &str, waiting_for: &str, seen: usize) {
    let proxy = Proxy::start(document.workers(1)).await;
    let response = Client::connect(proxy.address()).await.fetch("/", fields).await;
    assert_eq!(response.status(), 504, "{waiting_for}");
    assert_eq!(upstream.head_count(), seen, "{waiting_for}");
    let admin = proxy.admin();
    let series = format!("{PASSED}{{waiting_for=\"{waiting_for}\"}}");
    assert_eq!(admin.metric(&series).await, 1.0, "{waiting_for}");
    admin
        .wait_for_metric("outrigger_route_response_flags_total{flag=\"UT\"}", 1.0)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_without_time_left_is_not_sent() {
    let upstream = Scripted::ok().await;
    let none_left = "x-envoy-expected-rq-timeout-ms: 0\r\n";
    let document = || Document::to(&[upstream.address()]);
    late(document().http(BELIEVED), &upstream, none_left, "nothing", 0).await;
    let proxy = Proxy::start(document()).await;
    let response = Client::connect(proxy.address()).await.fetch("/", none_left).await;
    assert_eq!(response.status(), 200, "a peer that is not believed");
    let call = "content-type: application/grpc\r\nte: trailers\r\ngrpc-timeout: 0m\r\n";
    let response = Client::connect(proxy.address()).await.fetch("/a.B/C", call).await;
    assert_eq!(
        (response.status(), response.field("grpc-status")),
        (200, Some("4"))
    );
    assert_eq!(
        upstream.head_count(),
        1,
        "the one of the peer that is not believed"
    );
}

const SOON: &str = "x-envoy-expected-rq-timeout-ms: 200\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn time_that_runs_out_at_an_authorization_service() {
    let upstream = Scripted::ok().await;
    let service = Authorization::start(|_| Said::Nothing).await;
    // A failure would let it through; that its time is up is none.
    let asking = "external_authorization: { grpc: { cluster: authz }, timeout: 1h, failure_allowed: true }";
    let document = Document::to(&[upstream.address()])
        .with_cluster("authz", &[service.address()], "protocol: http2")
        .http(&format!("{BELIEVED}, {asking}"));
    late(document, &upstream, SOON, "authorization", 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn time_that_runs_out_in_an_injected_delay() {
    let upstream = Scripted::ok().await;
    let document = Document::to(&[upstream.address()])
        .http(BELIEVED)
        .route("fault: { expires: never, delay: { duration: 1h } }");
    late(document, &upstream, SOON, "fault", 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn time_that_runs_out_before_there_is_a_connection() {
    let nobody = Scripted::ok().await;
    let address = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let _blackhole = Blackhole::at(address).unwrap();
    let document = Document::to(&[address])
        .http(BELIEVED)
        .cluster("connect_timeout: 1h");
    late(document, &nobody, SOON, "connection", 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn time_that_runs_out_before_a_retry() {
    let upstream =
        Scripted::answering("HTTP/1.1 503 X\r\nretry-after: 1000\r\ncontent-length: 4\r\n\r\nfail").await;
    let document = Document::to(&[upstream.address()])
        .http(BELIEVED)
        .forward("retry: { retry_on: [5xx], retry_after_max: 1h }");
    late(document, &upstream, SOON, "backoff", 1).await;
}
