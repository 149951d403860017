//! The default retry, proven by an upstream that counts what ran: no request that is not idempotent runs twice,
//! whatever dies when.

use outrigger_fixtures::scripted::{Script, Scripted};
use outrigger_harness::{Client, Document, Proxy, wait_until};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// How an upstream fails a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    /// It takes the request and closes.
    Close,
    /// It takes the request and resets.
    Reset,
    /// It takes the head, not the body, and closes.
    CloseInBody,
    /// It starts an answer and closes.
    HalfHead,
    /// It sends the answer's head and half of its body, and closes.
    HalfBody,
    /// It sends the answer's head and half of its body, and resets.
    HalfBodyReset,
    /// It sends something that is no HTTP.
    Garbage,
}

/// Answers requests, and fails those whose path begins with `/fail`; all others are answered.
async fn serve(mut script: Script, failure: Failure) -> io::Result<()> {
    loop {
        let Some(head) = script.head().await? else {
            return Ok(());
        };
        let fails = head.target().starts_with("/fail");
        if fails && failure == Failure::CloseInBody {
            return Ok(());
        }
        let body = script.body(&head).await?;
        script.ran(head, body);
        if !fails {
            script.send(OK).await?;
            continue;
        }
        match failure {
            Failure::Close | Failure::CloseInBody => return Ok(()),
            Failure::Reset => return script.reset(),
            Failure::HalfHead => return script.send("HTTP/1.1 200 OK\r\nconte").await,
            Failure::HalfBody => return script.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no").await,
            Failure::HalfBodyReset => {
                script
                    .send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no")
                    .await?;
                return script.reset();
            }
            Failure::Garbage => {
                script.send("garbage\r\n\r\n").await?;
                return script.until_closed().await;
            }
        }
    }
}

const FAILURES: [Failure; 7] = [
    Failure::Close,
    Failure::Reset,
    Failure::CloseInBody,
    Failure::HalfHead,
    Failure::HalfBody,
    Failure::HalfBodyReset,
    Failure::Garbage,
];

/// How often a request of this method ran, on a connection that had served before or not.
async fn runs(failure: Failure, method: &str, reused: bool) -> usize {
    let upstream = Scripted::start(move |script| serve(script, failure)).await;
    let document = Document::to(&[upstream.address()])
        .workers(1)
        .cluster("pool: { idle_timeout: 1h }");
    let proxy = Proxy::start(document).await;
    let mut client = Client::connect(proxy.address()).await;
    if reused {
        assert_eq!(client.fetch("/warm", "").await.status(), 200);
    }
    let mut client = Client::connect(proxy.address()).await;
    let body = if method == "GET" {
        ""
    } else {
        "content-length: 3\r\n"
    };
    let content = if method == "GET" { "" } else { "abc" };
    let request = format!(
        "{method} /fail HTTP/1.1\r\nhost: a\r\nx-id: once\r\nconnection: close\r\n{body}\r\n{content}"
    );
    client.send(request).await;
    let answer = client.to_close().await;
    assert!(
        !answer.starts_with(b"HTTP/1.1 200") || !answer.ends_with(b"ok"),
        "a failure cannot succeed"
    );
    upstream.runs_of("once")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_have_run_is_not_run_again() {
    for failure in FAILURES {
        for reused in [false, true] {
            for method in ["POST", "PATCH", "UNKNOWN"] {
                let runs = runs(failure, method, reused).await;
                assert!(
                    runs <= 1,
                    "{method} ran {runs} times ({failure:?}, reused: {reused})"
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn idempotent_requests_run_again_only_on_a_reused_connection_that_died_before_an_answer() {
    for failure in FAILURES {
        for reused in [false, true] {
            for method in ["GET", "PUT", "DELETE"] {
                let expected = match failure {
                    Failure::CloseInBody => 0,
                    Failure::Close | Failure::Reset if reused => 2,
                    _ => 1,
                };
                let runs = runs(failure, method, reused).await;
                assert_eq!(runs, expected, "{method} ({failure:?}, reused: {reused})");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reused_connection_that_died_is_replaced_for_idempotent_requests() {
    // The second request of the first connection is taken and dropped, as by a server that closes idle connections.
    let upstream = Scripted::start(|mut script| async move {
        let mut served = 0;
        while script.request().await?.is_some() {
            if script.index() == 0 && served == 1 {
                return Ok(());
            }
            script.send(OK).await?;
            served += 1;
        }
        Ok(())
    })
    .await;
    let proxy = Proxy::start(Document::to(&[upstream.address()]).workers(1)).await;
    let mut client = Client::connect(proxy.address()).await;
    assert_eq!(client.fetch("/", "").await.text(), "ok");
    assert_eq!(client.fetch("/", "").await.text(), "ok", "it was tried again");
    assert_eq!((upstream.request_count(), upstream.connections()), (3, 2));
    let retries = "outrigger_cluster_retries_total{reason=\"died_before_answer\"}";
    proxy.admin().wait_for_metric(retries, 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_found_closed_costs_nobody_an_answer() {
    let closed = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&closed);
    let upstream = Scripted::start(move |mut script| {
        let count = Arc::clone(&count);
        async move {
            script.request().await?;
            script.send(OK).await?;
            script.half_close().await?;
            count.fetch_add(1, Ordering::SeqCst);
            script.until_closed().await
        }
    })
    .await;
    let proxy = Proxy::start(Document::to(&[upstream.address()]).workers(1)).await;
    let mut client = Client::connect(proxy.address()).await;
    for index in 1..=5 {
        let request = format!("POST / HTTP/1.1\r\nhost: a\r\nx-id: {index}\r\ncontent-length: 3\r\n\r\nabc");
        let response = client.exchange(request).await;
        assert_eq!((response.status(), response.text().as_str()), (200, "ok"));
        wait_until("the upstream's close", async || {
            (closed.load(Ordering::SeqCst) == index).then_some(())
        })
        .await;
    }
    assert!((1..=5).all(|id| upstream.runs_of(&id.to_string()) == 1));
}

/// An address that refuses connections.
async fn refusing() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_connection_is_tried_at_another_endpoint_whatever_the_method() {
    let upstream = Scripted::ok().await;
    let proxy = Proxy::start(Document::to(&[refusing().await, upstream.address()]).workers(1)).await;
    let mut client = Client::connect(proxy.address()).await;
    for index in 0..10 {
        let request = format!("POST / HTTP/1.1\r\nhost: a\r\nx-id: {index}\r\ncontent-length: 3\r\n\r\nabc");
        let response = client.exchange(request).await;
        assert_eq!((response.status(), response.text().as_str()), (200, "ok\n"));
        assert_eq!(upstream.runs_of(&index.to_string()), 1);
        assert_eq!(upstream.last_request().body.bytes, b"abc");
    }
    let retries = proxy
        .admin()
        .metric("outrigger_cluster_retries_total{reason=\"connect_failure\"}")
        .await;
    assert!(
        retries >= 4.0,
        "{retries}: every other request met the refusing endpoint"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_refusals_are_one_answer() {
    let document = Document::to(&[refusing().await, refusing().await, refusing().await]);
    let proxy = Proxy::start(document).await;
    let response = Client::connect(proxy.address()).await.fetch("/", "").await;
    assert_eq!(
        (response.status(), response.text().as_str()),
        (503, "upstream connect error\n")
    );
    proxy
        .admin()
        .wait_for_metric("outrigger_cluster_attempts_total", 2.0)
        .await;
    proxy
        .admin()
        .wait_for_metric("outrigger_route_response_flags_total{flag=\"UF\"}", 1.0)
        .await;
    proxy
        .admin()
        .wait_for_metric("outrigger_route_response_flags_total{flag=\"URX\"}", 1.0)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_replayed_up_to_64_kib_and_not_beyond() {
    // The connection closes under the second request, once its body has begun to come.
    for (bytes, status) in [(60 * 1024, 200), (100 * 1024, 503)] {
        let upstream = Scripted::start(|mut script| async move {
            script.request().await?;
            script.send(OK).await?;
            if script.index() == 0 {
                script.head().await?;
                // All of the smaller body, and more of the larger than is kept.
                script.wire().take(60 * 1024).await?;
                return Ok(());
            }
            script.until_closed().await
        })
        .await;
        let proxy = Proxy::start(Document::to(&[upstream.address()]).workers(1)).await;
        let mut client = Client::connect(proxy.address()).await;
        assert_eq!(client.fetch("/", "").await.text(), "ok");
        let body = "0123456789abcdef".repeat(bytes / 16);
        let request =
            format!("PUT / HTTP/1.1\r\nhost: a\r\nx-id: put\r\ncontent-length: {bytes}\r\n\r\n{body}");
        let response = client.exchange(request).await;
        assert_eq!(response.status(), status, "{bytes} bytes");
        assert_eq!(upstream.runs_of("put"), usize::from(status == 200));
        if status == 200 {
            assert!(
                upstream.last_request().body.bytes == body.as_bytes(),
                "the replayed body is another"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_have_a_budget() {
    // Requests are held at the first endpoint's connect; every one fails there and wants another try at once.
    const REQUESTS: usize = 40;
    let refused = refusing().await;
    let (go, gone) = tokio::sync::watch::channel(false);
    let upstream = Scripted::start(move |mut script| {
        let mut gone = gone.clone();
        async move {
            script.request().await?;
            let _ = gone.wait_for(|go| *go).await;
            script.send(OK).await
        }
    })
    .await;
    let proxy = Proxy::start(Document::to(&[refused, upstream.address()]).forward("timeout: off")).await;
    let mut clients = Vec::new();
    for _ in 0..REQUESTS {
        let mut client = Client::connect(proxy.address()).await;
        client
            .send("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
            .await;
        clients.push(client);
    }
    let admin = proxy.admin();
    let denied = admin
        .wait_for("outrigger_cluster_retries_denied_total", |denied| denied > 0.0)
        .await;
    wait_until("all requests to be held or answered", async || {
        let held = upstream.request_count() as f64;
        let denied = admin.metric("outrigger_cluster_retries_denied_total").await;
        (held + denied == REQUESTS as f64).then_some(())
    })
    .await;
    let retried = admin.metric("outrigger_cluster_retries_total").await;
    // 20 % of 40, which is never reached all at once.
    assert!(
        (3.0..=8.0).contains(&retried),
        "{retried} retries in flight, {denied} denied"
    );
    go.send(true).unwrap();
    let mut answered = [0; 2];
    for client in &mut clients {
        let response = client.response("GET").await;
        answered[usize::from(response.status() == 503)] += 1;
    }
    assert_eq!(answered[0] + answered[1], REQUESTS);
    admin
        .wait_for_metric(
            "outrigger_route_response_flags_total{flag=\"UO\"}",
            answered[1] as f64,
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_replaced_under_load_loses_and_repeats_nothing() {
    const REQUESTS: usize = 400;
    let first = Scripted::ok().await;
    let address = first.address();
    let proxy = Proxy::start(Document::to(&[address])).await;
    let mut client = Client::connect(proxy.address()).await;
    let mut first = Some(first);
    let mut second = None;
    let mut failed_posts = 0;
    let mut ran_before = [0; REQUESTS];
    for index in 0..REQUESTS {
        if index == REQUESTS / 2 {
            let old = first.take().unwrap();
            for (id, ran) in ran_before.iter_mut().enumerate() {
                *ran = old.runs_of(&id.to_string());
            }
            drop(old);
            // Until the new one listens, a connection is refused: replacing is not without a gap here.
            second = Some(wait_for_port(address).await);
        }
        let (method, body) = if index % 2 == 0 {
            ("GET", "")
        } else {
            ("POST", "content-length: 0\r\n")
        };
        let response = client
            .exchange(format!(
                "{method} / HTTP/1.1\r\nhost: a\r\nx-id: {index}\r\n{body}\r\n"
            ))
            .await;
        if method == "GET" {
            assert_eq!(response.status(), 200, "request {index}");
        } else if response.status() != 200 {
            failed_posts += 1;
        }
    }
    let second = second.unwrap();
    for (index, before) in ran_before.iter().enumerate().filter(|(index, _)| index % 2 == 1) {
        let runs = before + second.runs_of(&index.to_string());
        assert!(runs <= 1, "POST {index} ran {runs} times");
    }
    assert!(
        failed_posts <= 1,
        "{failed_posts} failed: at most the one on the connection that died"
    );
}

/// An upstream on a port that another has just left.
async fn wait_for_port(address: SocketAddr) -> Scripted {
    wait_until("the port", async || std::net::TcpListener::bind(address).ok()).await;
    Scripted::start_at(address, |mut script| async move {
        while script.request().await?.is_some() {
            script.send(OK).await?;
        }
        Ok(())
    })
    .await
}
