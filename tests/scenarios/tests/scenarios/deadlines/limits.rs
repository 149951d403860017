//! The age of a stream, and the time in which a request must have come.

use outrigger_fixtures::Scripted;
use outrigger_harness::{Client, Document, Proxy, within};
use std::sync::Arc;
use tokio::sync::Notify;

/// Answers with a head, or not at all, and then keeps silent.
async fn silent(head: &'static str) -> Scripted {
    Scripted::start(move |mut script| async move {
        script.head().await?;
        script.send(head).await?;
        script.until_closed().await
    })
    .await
}

const AGED: &str = "outrigger_route_response_flags_total{flag=\"DT\"}";

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_at_its_greatest_age_whatever_it_waits_for() {
    let endless = "timeout: off, stream_idle_timeout: off, stream_duration_max: 200ms";
    let upstream = silent("").await;
    let document = Document::to(&[upstream.address()]).workers(1).forward(endless);
    let proxy = Proxy::start(document).await;
    let response = Client::connect(proxy.address()).await.fetch("/", "").await;
    assert_eq!(response.status(), 504);
    proxy.admin().wait_for_metric(AGED, 1.0).await;
    // Its request is not over: it is the client's time.
    let half = "PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhalf";
    let response = Client::connect(proxy.address()).await.exchange(half).await;
    assert_eq!(response.status(), 408);
    let upstream = silent("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").await;
    let document = Document::to(&[upstream.address()]).workers(1).forward(endless);
    let proxy = Proxy::start(document).await;
    let mut client = Client::connect(proxy.address()).await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let seen = String::from_utf8(client.to_close().await).unwrap();
    assert!(
        seen.starts_with("HTTP/1.1 200") && seen.ends_with("half"),
        "{seen}"
    );
    proxy.admin().wait_for_metric(AGED, 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_ends_at_its_greatest_age() {
    let upstream = silent("HTTP/1.1 101 X\r\nupgrade: chat\r\nconnection: upgrade\r\n\r\n").await;
    let document = Document::to(&[upstream.address()])
        .workers(1)
        .forward("upgrades: [chat], upgrade_idle_timeout: off, stream_duration_max: 200ms");
    let proxy = Proxy::start(document).await;
    let mut client = Client::connect(proxy.address()).await;
    client
        .send("GET / HTTP/1.1\r\nhost: a\r\nupgrade: chat\r\nconnection: upgrade\r\n\r\n")
        .await;
    let seen = String::from_utf8(client.to_close().await).unwrap();
    assert!(seen.starts_with("HTTP/1.1 101"), "{seen}");
    let ended = "outrigger_listener_tunnels_ended_total{reason=\"age\"}";
    proxy.admin().wait_for_metric(ended, 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_does_not_come_to_its_end_is_408() {
    let upstream = silent("").await;
    let document = Document::to(&[upstream.address()])
        .workers(1)
        .http("request_timeout: 200ms")
        .forward("timeout: off");
    let proxy = Proxy::start(document).await;
    let half = "PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhalf";
    let response = Client::connect(proxy.address()).await.exchange(half).await;
    assert_eq!(response.status(), 408);
    let refused = "outrigger_listener_requests_refused_total{reason=\"request_overall_timeout\"}";
    proxy.admin().wait_for_metric(refused, 1.0).await;
}

/// An answer that has begun ends the wait for the request, and so does the request's end.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_has_come_may_be_served_for_longer() {
    let (came, answers) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (there, may_answer) = (Arc::clone(&came), Arc::clone(&answers));
    let upstream = Scripted::start(move |mut script| {
        let (there, may_answer) = (Arc::clone(&there), Arc::clone(&may_answer));
        async move {
            script.request().await?;
            there.notify_one();
            may_answer.notified().await;
            script
                .send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                .await?;
            script.until_closed().await
        }
    })
    .await;
    let document = Document::to(&[upstream.address()])
        .workers(1)
        .http("request_timeout: 200ms");
    let proxy = Proxy::start(document).await;
    let mut client = Client::connect(proxy.address()).await;
    client
        .send("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nbody")
        .await;
    within("the request at its upstream", came.notified()).await;
    // One that begins later, and does not come to its end, has had its time: so has this one, if it were to have any.
    let half = "PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhalf";
    let response = Client::connect(proxy.address()).await.exchange(half).await;
    assert_eq!(response.status(), 408);
    answers.notify_one();
    assert_eq!(client.response("PUT").await.text(), "ok");
}
