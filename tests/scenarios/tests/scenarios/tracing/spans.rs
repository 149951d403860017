//! Spans as a collector gets them, field by field, and who is whose parent.

use super::{CLIENT, ERROR, SERVER, collector, hex, of_kind, one, spans, traced, traceparent};
use outrigger_fixtures::Scripted;
use outrigger_fixtures::otlp::{Span, attribute};
use outrigger_harness::{Client, Document, Proxy};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const TRACE: &str = "12345678901234567890123456789012";
const PARENT: &str = "1234567890123456";
/// OTLP: the parent is known to be local, or remote.
const LOCAL: u32 = 0x100;
const REMOTE: u32 = 0x300;

fn told(span: &Span, keys: &[&str]) -> Vec<Option<String>> {
    keys.iter().map(|key| one(span, key)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_told_field_by_field() {
    let (upstream, collector) = (Scripted::ok().await, collector().await);
    let document = traced(Document::to(&[upstream.address()]), &collector, "").routes(
        "{ name: carts, match: { prefix: /cart }, forward: { cluster: upstream, prefix_rewrite: /basket } }",
    );
    let proxy = Proxy::start(document).await;
    let mut client = Client::connect(proxy.address()).await;
    let fields =
        format!("traceparent: 00-{TRACE}-{PARENT}-01\r\ntracestate: foo=1\r\nuser-agent: tester\r\n");
    client.fetch("/cart/7?token=secret&x", &fields).await;
    let head = upstream.last_request().head;
    let all = spans(&collector, 2).await;
    let (server, attempt) = (of_kind(&all, SERVER)[0], of_kind(&all, CLIENT)[0]);

    assert_eq!(server.name, "GET /cart/*");
    assert_eq!(
        (
            hex(&server.trace_id).as_str(),
            hex(&server.parent_span_id).as_str()
        ),
        (TRACE, PARENT)
    );
    assert_eq!((server.flags, server.trace_state.as_str()), (REMOTE | 1, "foo=1"));
    assert!(server.start_time_unix_nano <= attempt.start_time_unix_nano);
    assert!(attempt.start_time_unix_nano <= attempt.end_time_unix_nano);
    assert!(attempt.end_time_unix_nano <= server.end_time_unix_nano);
    assert_eq!(server.status.as_ref().map_or(0, |status| status.code), 0);
    let keys = [
        "http.request.method",
        "http.response.status_code",
        "url.path",
        "url.query",
        "url.scheme",
        "server.address",
        "server.port",
        "client.address",
        "network.peer.address",
        "network.peer.port",
        "network.protocol.version",
        "http.route",
        "user_agent.original",
        "outrigger.route",
        "outrigger.virtual_host",
        "outrigger.cluster",
        "outrigger.request_id",
        "error.type",
    ];
    let port = client.local_address().port().to_string();
    let expected = [
        Some("GET"),
        Some("200"),
        Some("/cart/7"),
        Some("token=REDACTED&REDACTED"),
        Some("http"),
        Some("test"),
        Some("80"),
        Some("127.0.0.1"),
        Some("127.0.0.1"),
        Some(&*port),
        Some("1.1"),
        Some("/cart/*"),
        Some("tester"),
        Some("carts"),
        Some("all"),
        Some("upstream"),
        head.field("x-request-id"),
        None,
    ];
    assert_eq!(
        told(server, &keys),
        expected.map(|value| value.map(str::to_owned))
    );

    assert_eq!(attempt.name, "GET");
    assert_eq!(attempt.parent_span_id, server.span_id);
    assert_eq!((attempt.flags, &attempt.trace_id), (LOCAL | 1, &server.trace_id));
    assert_eq!(
        traceparent(&head),
        (TRACE.to_owned(), hex(&attempt.span_id), "01".to_owned())
    );
    let keys = [
        "http.request.method",
        "url.full",
        "server.address",
        "network.peer.address",
        "network.peer.port",
        "http.response.status_code",
        "http.request.resend_count",
    ];
    let port = upstream.address().port().to_string();
    let expected = [
        Some("GET"),
        Some("http://test/basket/7?token=REDACTED&REDACTED"),
        Some("test"),
        Some("127.0.0.1"),
        Some(&*port),
        Some("200"),
        None,
    ];
    assert_eq!(
        told(attempt, &keys),
        expected.map(|value| value.map(str::to_owned))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_configuration_says_is_of_the_request_as_it_came() {
    let (upstream, collector) = (Scripted::ok().await, collector().await);
    let fields = "keep_errors: true, sampling: { percent: 0 }, span_name: '%REQ(x-who)% at %REQ(host)%', \
                  attributes: { tenant: '%REQ(x-tenant)%', to: '%UPSTREAM_HOST%', token: '%REQ(authorization)%', \
                                none: '%REQ(x-absent)%', url.path: hidden }, ";
    let routes = "{ match: { prefix: /away }, forward: { cluster: nobody, host_rewrite: other } }, \
                  { match: { prefix: / }, forward: { cluster: upstream, host_rewrite: other }, \
                    tracing: { sampling: { percent: 100 } }, \
                    request_headers: { remove: [x-who], set: { x-tenant: edited } } }";
    let document = traced(Document::to(&[upstream.address()]), &collector, fields).routes(routes);
    let proxy = Proxy::start(document.with_cluster("nobody", &[], "").workers(1)).await;
    let mut client = Client::connect(proxy.address()).await;
    let sent = "x-who: them\r\nx-tenant: a\r\nauthorization: Bearer secret\r\n";
    assert_eq!(client.fetch("/a", sent).await.status(), 200);
    let head = upstream.last_request().head;
    assert_eq!(
        (head.field("x-who"), head.field("x-tenant"), head.field("host")),
        (None, Some("edited"), Some("other"))
    );
    // Its trace is not kept, and its end is one that is.
    assert_eq!(client.fetch("/away", sent).await.status(), 503);
    let all = spans(&collector, 3).await;
    let servers = of_kind(&all, SERVER);
    let address = upstream.address().to_string();
    for (server, to) in servers.iter().zip([Some(address), None]) {
        assert_eq!(server.name, "them at test");
        let keys = ["tenant", "to", "token", "none", "url.path"];
        let of = |value: &str| Some(value.to_owned());
        assert_eq!(
            told(server, &keys),
            [of("a"), to, of("[redacted]"), None, of("hidden")]
        );
    }
    assert_eq!(servers.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_sidecars_and_a_retry_are_one_trace() {
    let count = Arc::new(AtomicUsize::new(0));
    let upstream = Scripted::start(move |mut script| {
        let count = Arc::clone(&count);
        async move {
            while script.request().await?.is_some() {
                let status = match count.fetch_add(1, Ordering::SeqCst) {
                    0 => "503 X",
                    _ => "200 OK",
                };
                script
                    .send(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n"))
                    .await?;
            }
            Ok(())
        }
    })
    .await;
    let collector = collector().await;
    let inbound = traced(Document::to(&[upstream.address()]), &collector, "")
        .forward("retry: { retry_on: [5xx], backoff: { base: 1ms } }");
    let inbound = Proxy::start(inbound).await;
    let outbound = Proxy::start(traced(Document::to(&[inbound.address()]), &collector, "")).await;
    assert_eq!(
        Client::connect(outbound.address())
            .await
            .fetch("/", "")
            .await
            .status(),
        200
    );
    let all = spans(&collector, 5).await;
    assert_eq!(all.len(), 5);
    assert!(all.iter().all(|span| span.trace_id == all[0].trace_id));
    let (servers, clients) = (of_kind(&all, SERVER), of_kind(&all, CLIENT));
    let begins = servers
        .iter()
        .find(|span| span.parent_span_id.is_empty())
        .expect("one begins the trace");
    let child = |parent: &Span, of: &[&Span]| -> Vec<Span> {
        let children = of.iter().filter(|span| span.parent_span_id == parent.span_id);
        children.map(|span| (*span).clone()).collect()
    };
    let sent = child(begins, &clients);
    assert_eq!(sent.len(), 1);
    let received = child(&sent[0], &servers);
    assert_eq!(received.len(), 1);
    let attempts = child(&received[0], &clients);
    assert_eq!(attempts.len(), 2);
    let codes = attempts
        .iter()
        .map(|span| one(span, "http.response.status_code").unwrap());
    assert_eq!(codes.collect::<Vec<_>>(), ["503", "200"]);
    let resent = attempts.iter().map(|span| one(span, "http.request.resend_count"));
    assert_eq!(resent.collect::<Vec<_>>(), [None, Some("1".to_owned())]);
    assert_eq!(attempts[0].status.as_ref().map(|status| status.code), Some(ERROR));
    assert_eq!(one(&attempts[0], "error.type").as_deref(), Some("503"));
    // Each attempt told the upstream of its own span.
    let told = upstream
        .requests()
        .into_iter()
        .map(|request| traceparent(&request.head).1);
    assert_eq!(
        told.collect::<Vec<_>>(),
        [hex(&attempts[0].span_id), hex(&attempts[1].span_id)]
    );
    let events: Vec<&str> = received[0]
        .events
        .iter()
        .map(|event| event.name.as_str())
        .collect();
    assert_eq!(events, ["retry"]);
    assert!(sent[0].events.iter().all(|event| event.name == "answered"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_here_says_why() {
    let (upstream, collector) = (Scripted::ok().await, collector().await);
    let routes = "{ match: { prefix: /fault }, forward: { cluster: upstream }, \
                    fault: { abort: { status: 555 }, expires: never } }, \
                  { match: { prefix: /limit }, forward: { cluster: upstream }, rate_limits: [few] }";
    let document = traced(Document::to(&[upstream.address()]), &collector, "")
        .routes(routes)
        .with("rate_limits: [{ name: few, local: { limit: { requests: 1, per: 1h } } }]");
    let proxy = Proxy::start(document).await;
    let mut client = Client::connect(proxy.address()).await;
    assert_eq!(client.fetch("/fault", "").await.status(), 555);
    assert_eq!(client.fetch("/limit", "").await.status(), 200);
    assert_eq!(client.fetch("/limit", "").await.status(), 429);
    assert_eq!(client.fetch("/nowhere", "").await.status(), 404);
    let all = spans(&collector, 5).await;
    let servers = of_kind(&all, SERVER);
    let event = |span: &Span| {
        span.events.first().map(|event| {
            (
                event.name.clone(),
                attribute(&event.attributes, "outrigger.subject"),
            )
        })
    };
    assert_eq!(servers.len(), 4);
    assert_eq!(event(servers[0]).unwrap().0, "fault_abort");
    assert_eq!(one(servers[0], "error.type").as_deref(), Some("555"));
    assert_eq!(one(servers[0], "outrigger.response_flags").as_deref(), Some("FI"));
    assert_eq!(event(servers[1]), None);
    assert_eq!(
        event(servers[2]),
        Some(("rate_limited".to_owned(), Some("few".to_owned())))
    );
    assert_eq!(one(servers[2], "error.type"), None);
    assert_eq!(
        (servers[3].name.as_str(), one(servers[3], "http.route")),
        ("GET", None)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_is_told_by_its_own_conventions() {
    let upstream = Scripted::start(|mut script| async move {
        while let Some(request) = script.request().await? {
            let answer = match request.head.target() {
                // The status stands in the trailers of one, and in the head of the other.
                "/shop.v1.Cart/Add" => {
                    "HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ntransfer-encoding: chunked\r\n\
                     trailer: grpc-status\r\n\r\n5\r\n\0\0\0\0\0\r\n0\r\ngrpc-status: 0\r\n\r\n"
                }
                _ => {
                    "HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ngrpc-status: 14\r\ncontent-length: 0\r\n\r\n"
                }
            };
            script.send(answer).await?;
        }
        Ok(())
    })
    .await;
    let collector = collector().await;
    let proxy = Proxy::start(traced(Document::to(&[upstream.address()]), &collector, "")).await;
    let mut client = Client::connect(proxy.address()).await;
    for path in ["/shop.v1.Cart/Add", "/shop.v1.Cart/Pay"] {
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: test\r\ncontent-type: application/grpc\r\nte: trailers\r\ncontent-length: 5\r\n\r\n\0\0\0\0\0"
        );
        assert_eq!(client.exchange(request).await.status(), 200);
    }
    let all = spans(&collector, 4).await;
    let keys = [
        "rpc.system",
        "rpc.service",
        "rpc.method",
        "rpc.grpc.status_code",
        "error.type",
    ];
    for kind in [SERVER, CLIENT] {
        let of_kind = of_kind(&all, kind);
        let expected = |method: &str, code: &str, error: Option<&str>| {
            [
                Some("grpc"),
                Some("shop.v1.Cart"),
                Some(method),
                Some(code),
                error,
            ]
            .map(|value| value.map(str::to_owned))
        };
        assert_eq!(told(of_kind[0], &keys), expected("Add", "0", None));
        assert_eq!(
            told(of_kind[1], &keys),
            expected("Pay", "14", Some("UNAVAILABLE"))
        );
        assert_eq!(of_kind[0].name, "shop.v1.Cart/Add");
        assert_eq!(of_kind[1].status.as_ref().map(|status| status.code), Some(ERROR));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_s_spans_end_with_it() {
    let upstream = Scripted::start(|mut script| async move {
        if let Some(head) = script.head().await? {
            script.ran(head, Default::default());
            script
                .send(
                    "HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                       sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
                )
                .await?;
            script.until_closed().await?;
        }
        Ok(())
    })
    .await;
    let collector = collector().await;
    let fields = "span_name: chat, attributes: { tenant: '%REQ(x-tenant)%' }, ";
    let document = traced(Document::to(&[upstream.address()]), &collector, fields);
    let proxy = Proxy::start(document.route("tracing: { span_name: 'ws %REQ(x-tenant)%' }")).await;
    let mut client = Client::connect(proxy.address()).await;
    client
        .send(
            "GET /chat HTTP/1.1\r\nhost: test\r\nx-tenant: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n",
        )
        .await;
    assert_eq!(client.head().await.status(), 101);
    let admin = proxy.admin();
    admin
        .wait_for_metric("outrigger_listener_tunnels_active", 1.0)
        .await;
    // Another request's spans arrive, and none of the tunnel's.
    Client::connect(proxy.address()).await.fetch("/", "").await;
    let before = spans(&collector, 1).await;
    assert!(
        before
            .iter()
            .all(|span| one(span, "url.path").as_deref() != Some("/chat"))
    );
    let (trace, parent, _) = traceparent(&upstream.requests()[0].head);
    drop(client);
    admin
        .wait_for_metric("outrigger_listener_tunnels_active", 0.0)
        .await;
    let all = spans(&collector, before.len() + 2).await;
    let tunnel: Vec<Span> = all
        .into_iter()
        .filter(|span| hex(&span.trace_id) == trace)
        .collect();
    let (server, attempt) = (of_kind(&tunnel, SERVER)[0], of_kind(&tunnel, CLIENT)[0]);
    assert_eq!(
        told(server, &["url.path", "http.response.status_code", "tenant"]),
        ["/chat", "101", "a"].map(|value| Some(value.to_owned()))
    );
    assert_eq!(server.name, "ws a");
    assert_eq!(hex(&attempt.span_id), parent);
    assert_eq!(attempt.parent_span_id, server.span_id);
}
