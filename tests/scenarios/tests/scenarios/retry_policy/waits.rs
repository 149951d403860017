//! Waits before retries, and the limits of attempts.

use super::*;
use outrigger_fixtures::Blackhole;
use outrigger_harness::wait_until;

/// `retry-after` and `x-ratelimit-reset` up to the longest that is obeyed, as seconds and as dates.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_says_how_long_is_waited() {
    let soon = "retry-after: 1\r\n";
    let past = "retry-after: Fri, 31 Dec 1999 23:59:59 GMT\r\n";
    for (max, fields, by) in [
        ("retry_after_max: 5s", soon, "answer"),
        ("retry_after_max: 5s", "x-ratelimit-reset: 1\r\n", "answer"),
        ("retry_after_max: 5s", "retry-after: 100\r\n", "backoff"),
        ("retry_after_max: 5s", past, "backoff"),
        ("retry_after_max: 5s", "retry-after: soon\r\n", "backoff"),
        ("retry_after_max: off", soon, "backoff"),
    ] {
        let upstream = failing(1, &answer(429, fields)).await;
        let retry =
            format!("retry_on: [retriable-status-codes], retriable_status_codes: [429], {max}, {QUICK}");
        let proxy = Proxy::start(document(&upstream, &retry)).await;
        let response = Client::connect(proxy.address()).await.fetch("/", "").await;
        assert_eq!(response.text(), "ok", "{fields:?}");
        let series = format!("outrigger_cluster_retry_waits_total{{by=\"{by}\"}}");
        assert_eq!(proxy.admin().metric(&series).await, 1.0, "{max}, {fields:?}");
    }
}

/// A client that goes away while its request waits for a retry, its body sent or not: nothing more is sent for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_ends_the_wait() {
    for request in [
        "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
        "PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhalf",
    ] {
        // Answers at the head, so that a body need not be whole.
        let upstream = Scripted::start(|mut script| async move {
            while let Some(head) = script.head().await? {
                script.ran(head, Default::default());
                script.send(answer(503, "retry-after: 1000\r\n")).await?;
            }
            Ok(())
        })
        .await;
        let proxy = Proxy::start(document(&upstream, "retry_on: [5xx], retry_after_max: 1h")).await;
        let admin = proxy.admin();
        let mut client = Client::connect(proxy.address()).await;
        client.send(request).await;
        admin
            .wait_for_metric("outrigger_cluster_retry_waits_total", 1.0)
            .await;
        drop(client);
        wait_until("the request's end", async || {
            (admin.metric("outrigger_cluster_requests_active").await == 0.0).then_some(())
        })
        .await;
        assert_eq!(upstream.request_count(), 1, "{request:?}");
        admin
            .wait_for_metric("outrigger_route_response_flags_total{flag=\"DC\"}", 1.0)
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_request_s_own_time_ends_the_wait() {
    let upstream = failing(usize::MAX, &answer(503, "retry-after: 1000\r\n")).await;
    let document = document(&upstream, "retry_on: [5xx], retry_after_max: 1h").forward("timeout: 100ms");
    let proxy = Proxy::start(document).await;
    let response = Client::connect(proxy.address()).await.fetch("/", "").await;
    assert_eq!((response.status(), upstream.request_count()), (504, 1));
    proxy
        .admin()
        .wait_for_metric("outrigger_route_response_flags_total{flag=\"UT\"}", 1.0)
        .await;
}

/// What the client sends while its request waits is kept and sent with the next attempt.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_comes_during_the_wait_is_sent_whole() {
    let upstream = Scripted::start(|mut script| async move {
        let Some(head) = script.head().await? else {
            return Ok(());
        };
        if script.index() == 0 {
            script.send(answer(503, "retry-after: 1\r\n")).await?;
            return script.until_closed().await;
        }
        let body = script.body(&head).await?;
        script.ran(head, body);
        script.send(OK).await
    })
    .await;
    let proxy = Proxy::start(document(&upstream, "retry_on: [5xx], retry_after_max: 1h")).await;
    let mut client = Client::connect(proxy.address()).await;
    client
        .send("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 8\r\n\r\nhalf")
        .await;
    proxy
        .admin()
        .wait_for_metric("outrigger_cluster_retry_waits_total", 1.0)
        .await;
    client.send("rest").await;
    assert_eq!(client.response("PUT").await.text(), "ok");
    assert_eq!(upstream.last_request().body.bytes, b"halfrest");
}

/// An upstream that accepts and never answers, on its first connection.
async fn silent_at_first() -> Scripted {
    Scripted::start(|mut script| async move {
        let first = script.index() == 0;
        while script.request().await?.is_some() {
            if first {
                return script.until_closed().await;
            }
            script.send(OK).await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_has_a_time_of_its_own() {
    for limit in ["per_try_timeout: 100ms", "per_try_idle_timeout: 100ms"] {
        let upstream = silent_at_first().await;
        let proxy = Proxy::start(document(&upstream, &format!("retry_on: [5xx], {limit}, {QUICK}"))).await;
        let response = Client::connect(proxy.address()).await.fetch("/", "").await;
        assert_eq!(response.text(), "ok", "{limit}");
        let series = "outrigger_cluster_retries_total{reason=\"per_try_timeout\"}";
        assert_eq!(proxy.admin().metric(series).await, 1.0, "{limit}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_whose_time_is_up_and_that_is_not_repeated_is_504() {
    for (limit, details) in [
        ("per_try_timeout: 50ms", "upstream_per_try_timeout"),
        ("per_try_idle_timeout: 50ms", "upstream_per_try_idle_timeout"),
    ] {
        let upstream = silent_at_first().await;
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("access.log");
        let document = document(&upstream, &format!("retry_on: [5xx], {limit}, {QUICK}")).http(&format!(
            "access_logs: [{{ path: '{}', format: {{ text: \"%RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %UPSTREAM_REQUEST_ATTEMPT_COUNT%\\n\" }} }}]",
            log.display()
        ));
        let proxy = Proxy::start(document).await;
        let request = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n";
        let response = Client::connect(proxy.address()).await.exchange(request).await;
        assert_eq!((response.status(), upstream.request_count()), (504, 1), "{limit}");
        let line = wait_until("the line", async || {
            let text = std::fs::read_to_string(&log).ok()?;
            text.ends_with('\n').then_some(text)
        })
        .await;
        assert_eq!(line.trim_end(), format!("UT {details} 1"));
    }
}

/// An attempt that was given up while it waited for a connection never ran: it goes elsewhere whatever its method.
#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_never_got_a_connection_is_repeated_whatever_the_method() {
    let upstream = Scripted::ok().await;
    let address = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let _blackhole = Blackhole::at(address).unwrap();
    let retry = format!("retry_on: [reset-before-request], per_try_timeout: 200ms, {QUICK}");
    let document = Document::to(&[address, upstream.address()])
        .workers(1)
        .forward(&format!("retry: {{ {retry} }}"));
    let proxy = Proxy::start(document).await;
    for _ in 0..2 {
        let request = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n";
        let response = Client::connect(proxy.address()).await.exchange(request).await;
        assert_eq!(response.status(), 200);
    }
    let series = "outrigger_cluster_retries_total{reason=\"per_try_timeout\"}";
    assert!(
        proxy.admin().metric(series).await >= 1.0,
        "one of two met it first"
    );
}
