//! Retry policies: which failures and answers are repeated, how long is waited, what bounds it, and who may ask for it.

mod bounds;
mod hints;
mod waits;

use outrigger_fixtures::scripted::Scripted;
use outrigger_harness::{Client, Document, Proxy};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// Answers the first `failing` requests with one answer, and all that follow with 200.
async fn failing(failing: usize, answer: &str) -> Scripted {
    let answer: Arc<str> = answer.into();
    let seen = Arc::new(AtomicUsize::new(0));
    Scripted::start(move |mut script| {
        let (answer, seen) = (Arc::clone(&answer), Arc::clone(&seen));
        async move {
            while script.request().await?.is_some() {
                let fails = seen.fetch_add(1, Ordering::SeqCst) < failing;
                script.send(if fails { &answer[..] } else { OK }).await?;
            }
            Ok(())
        }
    })
    .await
}

fn answer(status: u16, fields: &str) -> String {
    format!("HTTP/1.1 {status} X\r\n{fields}content-length: 4\r\n\r\nfail")
}

/// One route with this retry policy.
fn document(upstream: &Scripted, retry: &str) -> Document {
    Document::to(&[upstream.address()])
        .workers(1)
        .forward(&format!("retry: {{ {retry} }}"))
}

const QUICK: &str = "backoff: { base: 1ms }";

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_repeated_by_the_conditions_that_name_them() {
    let statuses = "retriable_status_codes: [429, 404]";
    let headers = "retriable_headers: [{ name: x-again, exact: 'yes' }]";
    let again = "x-again: yes\r\n";
    let limited = "x-envoy-ratelimited: true\r\n";
    // Condition, what goes with it, an answer, whether it is repeated.
    let cases = [
        ("5xx", "", 500, "", true),
        ("5xx", "", 599, "", true),
        ("5xx", "", 499, "", false),
        ("gateway-error", "", 502, "", true),
        ("gateway-error", "", 503, "", true),
        ("gateway-error", "", 504, "", true),
        ("gateway-error", "", 500, "", false),
        ("retriable-4xx", "", 409, "", true),
        ("retriable-4xx", "", 404, "", false),
        ("retriable-status-codes", statuses, 429, "", true),
        ("retriable-status-codes", statuses, 404, "", true),
        ("retriable-status-codes", statuses, 503, "", false),
        ("retriable-headers", headers, 200, again, true),
        ("retriable-headers", headers, 200, "x-again: no\r\n", false),
        ("envoy-ratelimited", "", 429, limited, true),
        ("5xx", "", 503, limited, false),
        ("reset", "", 503, "", false),
        ("connect-failure", "", 503, "", false),
        ("refused-stream", "", 503, "", false),
        ("unavailable", "", 200, "grpc-status: 14\r\n", true),
        ("unavailable", "", 200, "grpc-status: 13\r\n", false),
        ("internal", "", 200, "grpc-status: 13\r\n", true),
        ("cancelled", "", 200, "grpc-status: 1\r\n", true),
        ("deadline-exceeded", "", 200, "grpc-status: 4\r\n", true),
        ("resource-exhausted", "", 200, "grpc-status: 8\r\n", true),
    ];
    for (condition, more, status, fields, repeated) in cases {
        let upstream = failing(1, &answer(status, fields)).await;
        let more = if more.is_empty() {
            String::new()
        } else {
            format!(", {more}")
        };
        let retry = format!("retry_on: [{condition}], {QUICK}{more}");
        let proxy = Proxy::start(document(&upstream, &retry)).await;
        let response = Client::connect(proxy.address()).await.fetch("/", "").await;
        let (body, requests) = if repeated { ("ok", 2) } else { ("fail", 1) };
        let what = format!("{condition}: {status} {fields:?}");
        assert_eq!(
            (response.text().as_str(), upstream.request_count()),
            (body, requests),
            "{what}"
        );
        if repeated {
            assert_eq!(
                upstream.connections(),
                1,
                "{what}: the answer was read and its connection kept"
            );
            let admin = proxy.admin();
            admin
                .wait_for_metric("outrigger_cluster_retry_successes_total", 1.0)
                .await;
            admin
                .wait_for_metric("outrigger_cluster_retry_waits_total{by=\"backoff\"}", 1.0)
                .await;
        }
    }
}

/// Conditions of connections and streams, with a request that may run twice.
#[tokio::test(flavor = "multi_thread")]
async fn failures_are_repeated_by_the_conditions_that_name_them() {
    for (condition, repeated) in [
        ("5xx", true),
        ("gateway-error", true),
        ("reset", true),
        ("reset-before-request", false),
        ("connect-failure", false),
        ("refused-stream", false),
        ("retriable-4xx", false),
    ] {
        let upstream = Scripted::start(|mut script| async move {
            let first = script.index() == 0;
            while script.request().await?.is_some() {
                if first {
                    return Ok(());
                }
                script.send(OK).await?;
            }
            Ok(())
        })
        .await;
        let proxy = Proxy::start(document(&upstream, &format!("retry_on: [{condition}], {QUICK}"))).await;
        let response = Client::connect(proxy.address()).await.fetch("/", "").await;
        let expected = if repeated { (200, 2) } else { (503, 1) };
        assert_eq!(
            (response.status(), upstream.request_count()),
            expected,
            "{condition}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_do_not_come_about_are_repeated_elsewhere() {
    for (condition, repeated) in [
        ("5xx", true),
        ("reset", true),
        ("reset-before-request", true),
        ("connect-failure", true),
        ("refused-stream", false),
    ] {
        let upstream = Scripted::ok().await;
        let refusing = {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            listener.local_addr().unwrap()
        };
        let document = Document::to(&[refusing, upstream.address()])
            .workers(1)
            .forward(&format!("retry: {{ retry_on: [{condition}], {QUICK} }}"));
        let proxy = Proxy::start(document).await;
        let mut statuses = Vec::new();
        for _ in 0..2 {
            let request = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc";
            let response = Client::connect(proxy.address()).await.exchange(request).await;
            statuses.push(response.status());
        }
        statuses.sort_unstable();
        let expected = if repeated { [200, 200] } else { [200, 503] };
        assert_eq!(
            statuses, expected,
            "{condition}: round robin meets the refusing one once"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_that_were_tried_are_avoided_unless_policy_says_otherwise() {
    for avoids in [true, false] {
        // The second has so little weight that it is never picked by itself.
        let (bad, good) = (failing(1000, &answer(503, "")).await, Scripted::ok().await);
        let retry =
            format!("retry: {{ retry_on: [5xx], {QUICK}, avoid_tried_endpoints: {avoids}, retries_max: 1 }}");
        let document = Document::to(&[bad.address(), good.address()])
            .workers(1)
            .forward(&retry);
        let listed = format!("'{}'", bad.address());
        let document = document
            .to_string()
            .replace(&listed, &format!("{listed}, weight: 1000000"));
        let proxy = Proxy::start(document).await;
        let response = Client::connect(proxy.address()).await.fetch("/", "").await;
        let expected = if avoids { (200, 1) } else { (503, 2) };
        assert_eq!((response.status(), bad.request_count()), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_sent_again_up_to_64_kib_and_larger_ones_once() {
    for (bytes, status) in [(3, 200), (60 * 1024, 200), (100 * 1024, 503)] {
        let upstream = failing(1, &answer(503, "")).await;
        let proxy = Proxy::start(document(&upstream, &format!("retry_on: [5xx], {QUICK}"))).await;
        let body = "0123456789abcdef".repeat(bytes / 16 + 1);
        let request = format!(
            "PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let response = Client::connect(proxy.address()).await.exchange(request).await;
        assert_eq!(response.status(), status, "{bytes}");
        let requests = upstream.requests();
        assert_eq!(requests.len(), if status == 200 { 2 } else { 1 }, "{bytes}");
        assert!(
            requests
                .iter()
                .all(|request| request.body.bytes == body.as_bytes()),
            "{bytes}"
        );
    }
}

/// What a proxy in front would believe: the last attempt's refusal says nothing of the attempts before it.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_not_passed_on_once_an_attempt_may_have_run() {
    for (first, shown) in [
        (answer(500, ""), None),
        (answer(503, "x-envoy-overloaded: true\r\n"), Some("true")),
    ] {
        let count = Arc::new(AtomicUsize::new(0));
        let first: Arc<str> = first.into();
        let upstream = Scripted::start(move |mut script| {
            let (count, first) = (Arc::clone(&count), Arc::clone(&first));
            async move {
                while script.request().await?.is_some() {
                    if count.fetch_add(1, Ordering::SeqCst) == 0 {
                        script.send(&first[..]).await?;
                    } else {
                        script.send(answer(503, "x-envoy-overloaded: true\r\n")).await?;
                    }
                }
                Ok(())
            }
        })
        .await;
        let proxy = Proxy::start(document(&upstream, &format!("retry_on: [5xx], {QUICK}"))).await;
        let response = Client::connect(proxy.address()).await.fetch("/", "").await;
        assert_eq!(upstream.request_count(), 2);
        assert_eq!(
            (response.status(), response.field("x-envoy-overloaded")),
            (503, shown)
        );
    }
}
