//! Proxies in a row of which one retries, and the others stand down.

mod chain;

use outrigger_fixtures::Scripted;
use outrigger_harness::{Client, Document, Proxy, wait_until};

const BELIEVED: &str = "hint_peers: { addresses: [127.0.0.0/8] }";
const NUMBER: &str = "x-outrigger-retry";
const BUDGET: &str = "x-outrigger-retry-budget";
const FAILED: &str = "HTTP/1.1 503 X\r\ncontent-length: 4\r\n\r\nfail";

/// What each request of an upstream said of retries: its number, and the budget.
fn told(upstream: &Scripted) -> Vec<(Option<String>, Option<String>)> {
    let requests = upstream.requests();
    let said = |request: &outrigger_fixtures::scripted::Request| {
        let field = |name| request.head.field(name).map(str::to_owned);
        (field(NUMBER), field(BUDGET))
    };
    requests.iter().map(said).collect()
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

async fn fetched(http: &str, forward: &str, fields: &str) -> Vec<(Option<String>, Option<String>)> {
    let upstream = Scripted::answering(FAILED).await;
    let document = Document::to(&[upstream.address()]).workers(1);
    let proxy = Proxy::start(document.http(http).forward(forward)).await;
    let response = Client::connect(proxy.address()).await.fetch("/", fields).await;
    assert_eq!(response.status(), 503, "{fields}");
    told(&upstream)
}

const RETRIES: &str = "retry: { retry_on: [5xx], retries_max: 2, backoff: { base: 1ms } }";

#[tokio::test(flavor = "multi_thread")]
async fn attempts_say_which_retry_they_are_and_leave_nothing_where_they_are_made() {
    let said = fetched(BELIEVED, RETRIES, "").await;
    let zero = some("0");
    assert_eq!(
        said,
        [(None, zero.clone()), (some("1"), zero.clone()), (some("2"), zero)]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hop_that_does_not_retry_says_what_it_was_told_if_it_believes_it() {
    let hints = "x-outrigger-retry: 3\r\nx-outrigger-retry-budget: 7\r\n";
    let never_ran = "retry: { retry_on: [connect-failure, refused-stream, reset-before-request] }";
    for forward in ["", never_ran] {
        assert_eq!(fetched(BELIEVED, forward, "").await, [(None, None)], "{forward}");
        assert_eq!(
            fetched(BELIEVED, forward, hints).await,
            [(some("3"), some("7"))],
            "{forward}"
        );
        for http in ["", "xff_num_trusted_hops: 1"] {
            assert_eq!(fetched(http, forward, hints).await, [(None, None)], "{http}");
        }
    }
}

/// Whoever is told that nothing is left does not repeat what may have run, says so, and tells nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn a_hop_that_is_told_to_stand_down_does() {
    for hints in ["x-outrigger-retry-budget: 0\r\n", "x-outrigger-retry: 1\r\n"] {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("access.log");
        let upstream = Scripted::answering(FAILED).await;
        let http = format!(
            "{BELIEVED}, access_logs: [{{ path: '{}', format: {{ text: \"%RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\\n\" }} }}]",
            log.display()
        );
        let document = Document::to(&[upstream.address()]).workers(1).http(&http);
        let proxy = Proxy::start(document.forward(RETRIES)).await;
        let response = Client::connect(proxy.address()).await.fetch("/", hints).await;
        assert_eq!((response.status(), upstream.request_count()), (503, 1), "{hints}");
        assert_eq!(told(&upstream)[0].1, some("0"), "{hints}");
        let denied = "outrigger_cluster_retries_denied_total{bound=\"restrained\"}";
        assert_eq!(proxy.admin().metric(denied).await, 1.0, "{hints}");
        let line = wait_until("the line", async || {
            let text = std::fs::read_to_string(&log).ok()?;
            text.ends_with('\n').then_some(text)
        })
        .await;
        assert_eq!(line.trim_end(), "UO via_upstream{retry_restrained}");
    }
}

/// Who cannot repeat a request does not keep the next hop from it.
#[tokio::test(flavor = "multi_thread")]
async fn a_hop_leaves_to_the_next_what_it_cannot_repeat() {
    let upstream = Scripted::answering(FAILED).await;
    let document = Document::to(&[upstream.address()]).workers(1);
    let proxy = Proxy::start(document.http(BELIEVED).forward(RETRIES)).await;
    let mut client = Client::connect(proxy.address()).await;
    for hint in ["", "x-outrigger-retry-budget: 7\r\n"] {
        client
            .send(format!(
                "POST / HTTP/1.1\r\nhost: a\r\n{hint}content-length: 0\r\n\r\n"
            ))
            .await;
        assert_eq!(client.response("POST").await.status(), 503, "{hint}");
    }
    assert_eq!(told(&upstream), [(None, None), (None, some("7"))]);
}

/// What no endpoint has seen is sent on: that multiplies nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_hop_that_stands_down_sends_on_what_never_ran() {
    let upstream = Scripted::ok().await;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    for forward in ["", RETRIES] {
        let document = Document::to(&[nobody, upstream.address()])
            .workers(1)
            .http(BELIEVED)
            .forward(forward);
        let proxy = Proxy::start(document).await;
        let mut client = Client::connect(proxy.address()).await;
        for _ in 0..4 {
            let response = client.fetch("/", "x-outrigger-retry-budget: 0\r\n").await;
            assert_eq!(response.status(), 200, "{forward}");
        }
        let moved = "outrigger_cluster_retries_total{reason=\"connect_failure\"}";
        assert!(proxy.admin().metric(moved).await > 0.0, "{forward}");
    }
}

/// A percentage lowers the share of the requests that may be repeated, and never raises it.
#[tokio::test(flavor = "multi_thread")]
async fn a_hint_lowers_a_budget_and_never_raises_it() {
    const REQUESTS: usize = 200;
    for (own, hinted, most) in [(50, 10, 10), (10, 50, 10)] {
        let upstream = Scripted::answering(FAILED).await;
        let document = Document::to(&[upstream.address()])
            .workers(1)
            .http(BELIEVED)
            .forward(RETRIES)
            .cluster(&format!("retry_budget: {{ percent: {own} }}"));
        let proxy = Proxy::start(document).await;
        let mut client = Client::connect(proxy.address()).await;
        for _ in 0..REQUESTS {
            let hints = format!("x-outrigger-retry-budget: {hinted}\r\n");
            assert_eq!(client.fetch("/", &hints).await.status(), 503);
        }
        let extra = upstream.request_count() - REQUESTS;
        assert!(
            (10..=REQUESTS * most / 100).contains(&extra),
            "{own} %, {hinted} % hinted: {extra}"
        );
    }
}
