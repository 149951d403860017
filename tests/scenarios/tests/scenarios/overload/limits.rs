//! The limits on connections and on requests in flight, which are exact.

use super::*;
use outrigger_fixtures::Issuer;
use outrigger_fixtures::frames::{Frame, FrameConnection};
use outrigger_fixtures::issuer::{ISSUER, jwks};
use outrigger_harness::Proxy;
use outrigger_harness::client::fetch;
use tempfile::NamedTempFile;

#[tokio::test(flavor = "multi_thread")]
async fn no_more_connections_than_may_be_are_open() {
    let holding = Holding::start().await;
    let document = overload(
        holding.document().with_listener("more"),
        &format!("connections_max: 3, {BY_HAND}"),
    );
    let proxy = Proxy::start(document).await;
    let (edge, more) = (proxy.address(), proxy.address_of("more"));
    let mut open = Vec::new();
    // Of whatever listener and worker.
    for address in [edge, more, edge] {
        let mut client = Client::connect(address).await;
        assert_eq!(client.fetch("/", "").await.status(), 200);
        open.push(client);
    }
    for address in [edge, more] {
        assert!(Client::connect(address).await.is_closed().await);
    }
    let refused = format!("{CONNECTIONS_REFUSED}{{reason=\"process_limit\"}}");
    proxy.admin().wait_for_metric(&refused, 2.0).await;
    answers(proxy.admin()).await;
    for client in &mut open {
        assert_eq!(
            client.fetch("/", "").await.status(),
            200,
            "those that are open go on"
        );
    }
    drop(open.pop());
    let mut next = wait_until("a place is free again", async || {
        let mut client = Client::connect(more).await;
        client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n").await;
        let response = client.try_response_within().await.ok()?;
        assert_eq!(response.status(), 200);
        Some(client)
    })
    .await;
    assert_eq!(next.fetch("/", "").await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_requests_than_may_be_are_in_flight() {
    let holding = Holding::start().await;
    let log = NamedTempFile::new().unwrap();
    let document = holding.document().http(&format!(
        "access_logs: [{{ path: {}, format: {{ text: '%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%' }} }}]",
        log.path().display()
    ));
    let proxy = Proxy::start(overload(document, &format!("requests_max: 2, {BY_HAND}"))).await;
    let mut held = holding.hold(proxy.address(), 2).await;
    let mut client = Client::connect(proxy.address()).await;
    let refused = client.fetch("/", "").await;
    assert_eq!((refused.status(), refused.text().as_str()), (503, "overloaded\n"));
    assert_eq!(refused.field("x-envoy-local-overloaded"), Some("true"));
    let mut connection = FrameConnection::connect(proxy.address(), &[]).await.unwrap();
    let grpc = [("content-type", "application/grpc"), ("te", "trailers")];
    connection
        .send(Frame::request(1, "POST", "/a.B/C", &grpc, true))
        .await
        .unwrap();
    let head = connection.next_headers().await.unwrap();
    assert_eq!(
        (head.field(":status"), head.field("grpc-status")),
        (Some("200"), Some("14"))
    );
    let lines = wait_until("two lines", async || {
        let text = std::fs::read_to_string(log.path()).unwrap();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        // Two workers wrote them.
        lines.sort();
        (lines.len() == 2).then_some(lines)
    })
    .await;
    assert_eq!(lines, ["200 OM overload", "503 OM overload"]);
    let admin = proxy.admin();
    let by_limit = format!("{REFUSED}{{reason=\"requests_max\"}}");
    assert_eq!(admin.metric(&by_limit).await, 2.0);
    answers(admin).await;
    holding.let_go();
    for client in &mut held {
        assert_eq!(client.response("GET").await.status(), 200);
    }
    // Their places are free: on connections that had theirs refused, too.
    wait_until("a request is served again", async || {
        (client.fetch("/", "").await.status() == 200).then_some(())
    })
    .await;
}

/// However many come at once, over however many workers.
#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_gets_exactly_the_places_that_there_are() {
    let holding = Holding::start().await;
    let document = overload(holding.document(), &format!("requests_max: 7, {BY_HAND}"));
    let proxy = Proxy::start(document.workers(4)).await;
    let address = proxy.address();
    let crowd: Vec<_> = (0..40)
        .map(|_| tokio::spawn(async move { fetch(address, "/held", "").await.status() }))
        .collect();
    proxy.admin().wait_for_metric(REFUSED, 33.0).await;
    // Who has a place may still be on the way to the upstream.
    wait_until("all who have a place", async || {
        (holding.upstream.request_count() == 7).then_some(())
    })
    .await;
    holding.let_go();
    let mut served = 0;
    for request in crowd {
        match request.await.unwrap() {
            200 => served += 1,
            status => assert_eq!(status, 503),
        }
    }
    assert_eq!((served, holding.upstream.request_count()), (7, 7));
}

/// A client that goes away gives its place back: each has the only one after another.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_given_up_gives_its_place_back() {
    let holding = Holding::start().await;
    let proxy = Proxy::start(overload(
        holding.document(),
        &format!("requests_max: 1, {BY_HAND}"),
    ))
    .await;
    for round in 1..=3 {
        let held = wait_until("the place is free", async || {
            let mut client = Client::connect(proxy.address()).await;
            client.send("GET /held HTTP/1.1\r\nhost: test\r\n\r\n").await;
            let is_held = wait_until("it is held", async || {
                (holding.upstream.request_count() == round).then_some(())
            });
            tokio::select! {
                () = is_held => Some(client),
                refused = client.response("GET") => {
                    assert_eq!(refused.status(), 503);
                    None
                }
            }
        });
        let held = held.await;
        assert_eq!(fetch(proxy.address(), "/", "").await.status(), 503);
        drop(held);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_changes_limits_at_once() {
    let holding = Holding::start().await;
    let with = |limit: &str| overload(holding.document(), &format!("{limit}, {BY_HAND}"));
    let proxy = Proxy::start(with("requests_max: 1, connections_max: 5")).await;
    let _held = holding.hold(proxy.address(), 1).await;
    let mut client = Client::connect(proxy.address()).await;
    assert_eq!(client.fetch("/", "").await.status(), 503);
    proxy.reload(with("requests_max: 1000")).await.unwrap();
    assert_eq!(client.fetch("/", "").await.status(), 200);
    proxy.reload(with("connections_max: 2")).await.unwrap();
    assert!(Client::connect(proxy.address()).await.is_closed().await);
    proxy.reload(holding.document()).await.unwrap();
    assert_eq!(fetch(proxy.address(), "/", "").await.status(), 200);
}

/// What a reload begins and ends, it has begun and ended on every worker when it is done.
#[tokio::test(flavor = "multi_thread")]
async fn what_follows_from_a_reload_holds_on_every_worker() {
    let holding = Holding::start().await;
    let document = |memory_max: &str| {
        let fields = format!("memory_max: {memory_max}, {BY_HAND}");
        overload(holding.document().workers(16), &fields)
    };
    let proxy = Proxy::start(document("1MiB")).await;
    for _ in 0..20 {
        assert!(Client::connect(proxy.address()).await.is_closed().await);
        proxy.reload(document("off")).await.unwrap();
        assert_eq!(fetch(proxy.address(), "/", "").await.status(), 200);
        proxy.reload(document("1MiB")).await.unwrap();
    }
}

/// Which parameters hold tokens is not known yet when a request is refused at its start: none is logged.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_refused_leaves_no_token_in_the_log() {
    let holding = Holding::start().await;
    let log = NamedTempFile::new().unwrap();
    let keys = jwks(&[&Issuer::p256("one")]);
    let document = |fields: &str| {
        let provider = format!(
            "jwt_providers: [{{ name: main, issuer: '{ISSUER}', audiences: [shop], keys: {{ inline: '{keys}' }}, \
             locations: [{{ query: access_token }}] }}]"
        );
        let document = holding.document().workers(1).with(&provider).http(&format!(
            "jwt: {{ provider: main }}, access_logs: [{{ path: {}, format: {{ text: '%RESPONSE_CODE% %REQ(:PATH)%' }} }}]",
            log.path().display()
        ));
        overload(document, &format!("{fields}, {BY_HAND}"))
    };
    let proxy = Proxy::start(document("memory_max: off")).await;
    // Several, since the first of them is ended at the next look.
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = Client::connect(proxy.address()).await;
        assert_eq!(client.fetch("/a", "").await.status(), 401);
        clients.push(client);
    }
    proxy.reload(document("memory_max: 1MiB")).await.unwrap();
    assert_eq!(clients[2].fetch("/a?access_token=secret", "").await.status(), 503);
    let lines = wait_until("four lines", async || {
        let text = std::fs::read_to_string(log.path()).unwrap();
        (text.lines().count() == 4).then_some(text)
    })
    .await;
    assert!(lines.ends_with("503 /a\n"), "{lines}");
}
