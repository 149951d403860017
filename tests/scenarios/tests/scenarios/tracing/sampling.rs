//! What is kept: by whoever sent the request, by a believed peer's wish, by a share, by a route, and by how it ended.

use super::{CLIENT, ERROR, SERVER, collector, of_kind, one, spans, traced, traceparent};
use outrigger_fixtures::Scripted;
use outrigger_harness::{Client, Document, Proxy};

const NOTHING: &str = "sampling: { percent: 0 }, ";
const TRACE: &str = "12345678901234567890123456789012";

fn decided(decision: &str) -> String {
    format!("outrigger_listener_traces_total{{decision=\"{decision}\"}}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_traced_when_a_believed_peer_asks_and_no_other() {
    let (upstream, collector) = (Scripted::ok().await, collector().await);
    let document = |fields: &str, peers: &str| {
        let tracing = format!("{NOTHING}{fields}");
        traced(Document::to(&[upstream.address()]), &collector, &tracing).http(peers)
    };
    for (fields, header) in [
        ("", "x-envoy-force-trace"),
        ("force_header: X-Trace-Me, ", "x-trace-me"),
    ] {
        let untrusting = Proxy::start(document(fields, "")).await;
        let mut client = Client::connect(untrusting.address()).await;
        client.fetch("/", &format!("{header}: 1\r\n")).await;
        let head = upstream.last_request().head;
        assert_eq!(head.field(header), None);
        assert_eq!(traceparent(&head).2, "02");
        assert_eq!(untrusting.admin().metric(&decided("share_dropped")).await, 1.0);

        let before = collector.spans().len();
        let believing = Proxy::start(document(fields, "hint_peers: { addresses: [127.0.0.0/8] }")).await;
        let mut client = Client::connect(believing.address()).await;
        client.fetch("/plain", "").await;
        assert_eq!(traceparent(&upstream.last_request().head).2, "02");
        client.fetch("/forced", &format!("{header}: 1\r\n")).await;
        let head = upstream.last_request().head;
        assert_eq!(head.field(header), None);
        assert_eq!(traceparent(&head).2, "03");
        let kept = spans(&collector, before + 2).await.split_off(before);
        assert_eq!(
            one(of_kind(&kept, SERVER)[0], "url.path").as_deref(),
            Some("/forced")
        );
        assert_eq!(believing.admin().metric(&decided("forced")).await, 1.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sender_s_decision_counts_where_it_is_to() {
    let (upstream, collector) = (Scripted::ok().await, collector().await);
    let sampled = format!("traceparent: 00-{TRACE}-1234567890123456-01\r\n");
    let dropped = format!("traceparent: 00-{TRACE}-1234567890123456-00\r\n");
    for (parent, percent, peers, sent, flags) in [
        ("follow", 0, "", &sampled, "01"),
        ("follow", 100, "", &dropped, "00"),
        ("ignore", 0, "", &sampled, "00"),
        ("ignore", 100, "", &dropped, "01"),
        ("follow_believed", 0, "", &sampled, "00"),
        (
            "follow_believed",
            0,
            "hint_peers: { addresses: [127.0.0.1/32] }",
            &sampled,
            "01",
        ),
    ] {
        let tracing = format!("sampling: {{ parent: {parent}, percent: {percent} }}, ");
        let document = traced(Document::to(&[upstream.address()]), &collector, &tracing).http(peers);
        let proxy = Proxy::start(document).await;
        Client::connect(proxy.address()).await.fetch("/", sent).await;
        let told = traceparent(&upstream.last_request().head);
        assert_eq!(
            (told.0.as_str(), told.2.as_str()),
            (TRACE, flags),
            "{parent} {percent} {peers}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn proxies_agree_on_a_share_and_a_rate_bounds_it() {
    let upstream = Scripted::ok().await;
    let collector = collector().await;
    let flags = async |tracing: &str, sent: &[String]| {
        let document = traced(Document::to(&[upstream.address()]), &collector, tracing);
        let proxy = Proxy::start(document).await;
        let mut client = Client::connect(proxy.address()).await;
        let mut flags = Vec::new();
        for fields in sent {
            client.fetch("/", fields).await;
            flags.push(traceparent(&upstream.last_request().head).2);
        }
        (flags, proxy)
    };
    // A context that leaves the decision open: which traces are kept follows from their ids.
    let sent: Vec<String> = (0..40u64)
        .map(|number| format!("b3: {:032x}-00000000000000ff\r\n", (number + 1) * (u64::MAX / 41)))
        .collect();
    let half = "extract: [b3], sampling: { percent: 50 }, ";
    let (first, one) = flags(half, &sent).await;
    let (second, _other) = flags(half, &sent).await;
    assert_eq!(first, second);
    let kept = first.iter().filter(|flags| *flags == "01").count();
    assert!((1..40).contains(&kept), "{first:?}");
    assert_eq!(one.admin().metric(&decided("share")).await, kept as f64);
    // One an hour at most would be one; more than one a second never comes out of one bucket at once.
    let (_, limited) = flags("sampling: { traces_per_second: 1 }, ", &vec![String::new(); 20]).await;
    let admin = limited.admin();
    let (kept, refused) = (
        admin.metric(&decided("share")).await,
        admin.metric(&decided("rate_limited")).await,
    );
    assert_eq!(kept + refused, 20.0);
    assert!(refused > 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_say_otherwise() {
    let (upstream, collector) = (Scripted::ok().await, collector().await);
    let routes = "{ match: { prefix: /off }, forward: { cluster: upstream }, tracing: off }, \
                  { match: { prefix: /all }, forward: { cluster: upstream }, \
                    tracing: { sampling: { percent: 100 }, span_name: 'all of %REQ(x-who)%' } }, \
                  { match: { prefix: / }, forward: { cluster: upstream } }";
    let document = traced(Document::to(&[upstream.address()]), &collector, NOTHING).routes(routes);
    let proxy = Proxy::start(document).await;
    let mut client = Client::connect(proxy.address()).await;
    client.fetch("/off", "traceparent: x\r\n").await;
    assert_eq!(upstream.last_request().head.field("traceparent"), Some("x"));
    client.fetch("/", "").await;
    assert_eq!(traceparent(&upstream.last_request().head).2, "02");
    client.fetch("/all", "x-who: them\r\n").await;
    assert_eq!(traceparent(&upstream.last_request().head).2, "03");
    let kept = spans(&collector, 2).await;
    assert_eq!(
        (kept.len(), of_kind(&kept, SERVER)[0].name.as_str()),
        (2, "all of them")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn virtual_hosts_say_otherwise_and_their_routes_once_more() {
    let (upstream, collector) = (Scripted::ok().await, collector().await);
    let to = "forward: { cluster: upstream }";
    let hosts = format!(
        "{{ name: off, domains: [off.example], tracing: off, routes: [\
           {{ match: {{ prefix: /on }}, {to}, tracing: {{ span_name: on }} }}, {{ match: {{ prefix: /a }}, {to} }}] }}, \
         {{ name: all, domains: [all.example], tracing: {{ sampling: {{ percent: 100 }}, span_name: host }}, routes: [\
           {{ match: {{ prefix: /named }}, {to}, tracing: {{ span_name: route }} }}, \
           {{ match: {{ prefix: /a }}, {to} }}] }}, \
         {{ name: rest, domains: ['*'], routes: [{{ match: {{ prefix: / }}, {to} }}] }}"
    );
    let document = traced(Document::to(&[upstream.address()]), &collector, NOTHING).virtual_hosts(&hosts);
    let proxy = Proxy::start(document.workers(1)).await;
    let mut client = Client::connect(proxy.address()).await;
    let get =
        |host: &str, path: &str, more: &str| format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n{more}\r\n");
    client
        .exchange(get("off.example", "/a", "traceparent: x\r\n"))
        .await;
    assert_eq!(upstream.last_request().head.field("traceparent"), Some("x"));
    // By the chain's share, which keeps nothing.
    for (host, path) in [("off.example", "/on"), ("test", "/a")] {
        client.exchange(get(host, path, "")).await;
        assert_eq!(traceparent(&upstream.last_request().head).2, "02", "{host}");
    }
    for path in ["/a", "/named"] {
        client.exchange(get("all.example", path, "")).await;
        assert_eq!(traceparent(&upstream.last_request().head).2, "03", "{path}");
    }
    // No route takes these.
    for (host, status) in [("all.example", 404), ("off.example", 404)] {
        assert_eq!(client.exchange(get(host, "/no", "")).await.status(), status);
    }
    client.exchange(get("all.example", "/a/last", "")).await;
    let kept = spans(&collector, 7).await;
    let names: Vec<_> = of_kind(&kept, SERVER)
        .iter()
        .map(|span| span.name.as_str())
        .collect();
    assert_eq!(names, ["host", "route", "host", "host"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_are_kept_by_their_end() {
    let upstream = Scripted::start(|mut script| async move {
        while let Some(request) = script.request().await? {
            let status = match request.head.target() {
                "/bad" => "503 X",
                _ => "200 OK",
            };
            script
                .send(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n"))
                .await?;
        }
        Ok(())
    })
    .await;
    let collector = collector().await;
    let tracing = format!("{NOTHING}keep_errors: true, attributes: {{ who: '%REQ(x-who)%' }}, ");
    let proxy = Proxy::start(traced(Document::to(&[upstream.address()]), &collector, &tracing)).await;
    let mut client = Client::connect(proxy.address()).await;
    client.fetch("/good", "").await;
    client.fetch("/bad", "x-who: me\r\n").await;
    let (trace, parent, flags) = traceparent(&upstream.last_request().head);
    // Others were told that it is not kept.
    assert_eq!(flags, "02");
    let kept = spans(&collector, 2).await;
    let (servers, clients) = (of_kind(&kept, SERVER), of_kind(&kept, CLIENT));
    assert_eq!((servers.len(), clients.len()), (1, 1));
    assert_eq!(one(servers[0], "url.path").as_deref(), Some("/bad"));
    assert_eq!(one(servers[0], "who").as_deref(), Some("me"));
    assert_eq!(servers[0].status.as_ref().map(|status| status.code), Some(ERROR));
    assert_eq!(
        (super::hex(&servers[0].trace_id), super::hex(&clients[0].span_id)),
        (trace, parent)
    );
    let metric = "outrigger_listener_traces_kept_at_end_total{reason=\"error\"}";
    assert_eq!(proxy.admin().metric(metric).await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_requests_are_kept_by_their_end() {
    let (upstream, collector) = (Scripted::ok().await, collector().await);
    // Everything takes longer than nothing.
    let tracing = format!("{NOTHING}keep_slow: 1ns, ");
    let proxy = Proxy::start(traced(Document::to(&[upstream.address()]), &collector, &tracing)).await;
    Client::connect(proxy.address()).await.fetch("/", "").await;
    assert_eq!(spans(&collector, 2).await.len(), 2);
    let metric = "outrigger_listener_traces_kept_at_end_total{reason=\"slow\"}";
    assert_eq!(proxy.admin().metric(metric).await, 1.0);
}
