//! Requests that are answered before anything is asked about them have spans as others have.

use super::*;
use outrigger_fixtures::Scripted;
use outrigger_fixtures::frames::{Frame, FrameConnection};
use outrigger_harness::client::fetch;
use outrigger_harness::{Client, Proxy};
use tokio::sync::watch;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// The field of a request whose sender has decided to keep its trace.
fn kept() -> String {
    format!("traceparent: 00-{TRACE}-{PARENT}-01\r\n")
}

/// Why it was answered as it was, in what status, and below which span.
fn outcome(span: &Span) -> (String, String, String) {
    (
        one(span, "outrigger.response_code_details").unwrap_or_default(),
        one(span, "http.response.status_code").unwrap_or_default(),
        hex(&span.parent_span_id),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_much_has_a_span() {
    let (go, gone) = watch::channel(false);
    let upstream = Scripted::start(move |mut script| {
        let mut go = gone.clone();
        async move {
            while script.request().await?.is_some() {
                let _ = go.wait_for(|go| *go).await;
                script
                    .send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                    .await?;
            }
            Ok(())
        }
    })
    .await;
    let collector = collector().await;
    let document = traced(Document::to(&[upstream.address()]), &collector, "");
    let proxy = Proxy::start(document.with("overload: { requests_max: 1, interval: 1h }")).await;
    let mut held = Client::connect(proxy.address()).await;
    held.send("GET /held HTTP/1.1\r\nhost: test\r\n\r\n").await;
    wait_until("the only place is taken", async || {
        (upstream.request_count() == 1).then_some(())
    })
    .await;
    assert_eq!(fetch(proxy.address(), "/more?a=b", &kept()).await.status(), 503);
    let refused = spans(&collector, 1).await;
    let [span] = &refused[..] else {
        panic!("no attempt was made: {refused:#?}")
    };
    assert_eq!(
        outcome(span),
        ("overload".to_owned(), "503".to_owned(), PARENT.to_owned())
    );
    assert_eq!(hex(&span.trace_id), TRACE);
    assert_eq!(one(span, "url.path").as_deref(), Some("/more"));
    assert_eq!(span.events[0].name, "overloaded");
    go.send_replace(true);
    assert_eq!(held.response("GET").await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_has_a_span_if_its_head_is_whole() {
    let (upstream, collector) = (Scripted::ok().await, collector().await);
    let document = traced(Document::to(&[upstream.address()]), &collector, "");
    let proxy = Proxy::start(document.workers(1)).await;
    let kept = kept();
    for (request, status) in [
        // Where a head ends nobody knows.
        (
            format!("GET /line HTTP/1.1\r\n{kept}host: a\r\nno field\r\n\r\n"),
            400,
        ),
        (format!("GET /host HTTP/1.1\r\n{kept}\r\n"), 400),
        (
            format!("PUT /coding HTTP/1.1\r\n{kept}host: a\r\ntransfer-encoding: br\r\n\r\n"),
            501,
        ),
        (format!("GET /%00 HTTP/1.1\r\n{kept}host: a\r\n\r\n"), 400),
    ] {
        let mut client = Client::connect(proxy.address()).await;
        assert_eq!(client.exchange(request).await.status(), status);
    }
    let mut connection = FrameConnection::connect(proxy.address(), &[]).await.unwrap();
    let context = format!("00-{TRACE}-{PARENT}-01");
    let fields = [("host", "another"), ("traceparent", context.as_str())];
    let request = Frame::request(1, "GET", "/two", &fields, true);
    connection.send(request).await.unwrap();
    let head = connection.next_headers().await.unwrap();
    assert_eq!(head.field(":status"), Some("400"));
    assert_eq!(fetch(proxy.address(), "/last", &kept).await.status(), 200);
    let all = spans(&collector, 6).await;
    let servers: Vec<_> = of_kind(&all, SERVER).into_iter().map(outcome).collect();
    let of = |details: &str, status: &str| (details.to_owned(), status.to_owned(), PARENT.to_owned());
    assert_eq!(
        servers,
        [
            of("missing_host", "400"),
            of("unknown_transfer_coding", "501"),
            of("path_escaped_nul", "400"),
            of("http2_authority_mismatch", "400"),
            of("via_upstream", "200"),
        ]
    );
    assert_eq!(
        one(of_kind(&all, SERVER)[0], "url.path").as_deref(),
        Some("/host")
    );
}
