//! B3 and Datadog: read, written, and turned into one another.

use super::{CLIENT, SERVER, collector, hex, of_kind, spans, traced, traceparent};
use outrigger_fixtures::Scripted;
use outrigger_fixtures::otlp::OtlpCollector;
use outrigger_fixtures::wire::Head;
use outrigger_harness::{Client, Document, Proxy};

const TRACE: &str = "640cfd8d0000000064fe8b2a57d3eff7";
/// The low half, in decimal.
const LOW: &str = "7277407061855694839";
const PARENT: &str = "00000000000000ff";

struct Mesh {
    upstream: Scripted,
    collector: OtlpCollector,
    client: Client,
    _proxy: Proxy,
}

async fn mesh(tracing: &str) -> Mesh {
    let (upstream, collector) = (Scripted::ok().await, collector().await);
    let document = traced(Document::to(&[upstream.address()]), &collector, tracing);
    let proxy = Proxy::start(document).await;
    Mesh {
        client: Client::connect(proxy.address()).await,
        upstream,
        collector,
        _proxy: proxy,
    }
}

impl Mesh {
    /// The head that arrives, and the ids of trace, server span, its parent, and client span.
    async fn send(&mut self, fields: &str) -> (Head, [String; 4]) {
        assert_eq!(self.client.fetch("/", fields).await.status(), 200);
        let head = self.upstream.last_request().head;
        let count = 2 * self.upstream.request_count();
        let all = spans(&self.collector, count).await;
        let (server, client) = (
            *of_kind(&all, SERVER).last().unwrap(),
            *of_kind(&all, CLIENT).last().unwrap(),
        );
        assert_eq!(client.parent_span_id, server.span_id);
        assert_eq!(client.trace_id, server.trace_id);
        let ids = [
            &server.trace_id,
            &server.span_id,
            &server.parent_span_id,
            &client.span_id,
        ];
        (head, ids.map(|id| hex(id)))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn b3_in_one_header_goes_round() {
    let mut mesh = mesh("extract: [b3], inject: [b3], ").await;
    let (head, [trace, server, parent, client]) = mesh.send(&format!("b3: {TRACE}-{PARENT}-1\r\n")).await;
    assert_eq!((trace.as_str(), parent.as_str()), (TRACE, PARENT));
    assert_eq!(head.field("b3"), Some(&*format!("{TRACE}-{client}-1-{server}")));
    assert_eq!(
        (head.field("traceparent"), head.field("x-b3-traceid")),
        (None, None)
    );
    // An id of 64 bits stays one, and a debug trace too.
    let narrow = &TRACE[16..];
    let (head, [trace, server, _, client]) =
        mesh.send(&format!("b3: {narrow}-{PARENT}-d-{PARENT}\r\n")).await;
    assert_eq!(trace, format!("{:0>32}", narrow));
    assert_eq!(head.field("b3"), Some(&*format!("{narrow}-{client}-d-{server}")));
}

#[tokio::test(flavor = "multi_thread")]
async fn b3_in_several_headers_goes_round() {
    let mut mesh = mesh("extract: [b3], inject: [b3_multi], ").await;
    let fields = format!("X-B3-TraceId: {TRACE}\r\nX-B3-SpanId: {PARENT}\r\nX-B3-Sampled: 1\r\n");
    let (head, [trace, server, parent, client]) = mesh.send(&fields).await;
    assert_eq!((trace.as_str(), parent.as_str()), (TRACE, PARENT));
    let told =
        ["x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled"].map(|name| head.field(name));
    assert_eq!(told, [Some(TRACE), Some(&*client), Some(&*server), Some("1")]);
    let fields = format!("X-B3-TraceId: {TRACE}\r\nX-B3-SpanId: {PARENT}\r\nX-B3-Flags: 1\r\n");
    let (head, _) = mesh.send(&fields).await;
    assert_eq!(
        (head.field("x-b3-flags"), head.field("x-b3-sampled")),
        (Some("1"), None)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn datadog_goes_round() {
    let mut mesh = mesh("extract: [datadog], inject: [datadog], ").await;
    let fields = format!(
        "x-datadog-trace-id: {LOW}\r\nx-datadog-parent-id: 255\r\nx-datadog-sampling-priority: 2\r\n\
         x-datadog-tags: _dd.p.dm=-4,_dd.p.tid=640cfd8d00000000\r\nx-datadog-origin: rum\r\n"
    );
    let (head, [trace, _, parent, client]) = mesh.send(&fields).await;
    assert_eq!((trace.as_str(), parent.as_str()), (TRACE, PARENT));
    let client = u64::from_str_radix(&client, 16).unwrap().to_string();
    let told = [
        "x-datadog-trace-id",
        "x-datadog-parent-id",
        "x-datadog-sampling-priority",
        "x-datadog-tags",
        "x-datadog-origin",
    ]
    .map(|name| head.field(name));
    assert_eq!(
        told,
        [
            Some(LOW),
            Some(&*client),
            Some("2"),
            Some("_dd.p.dm=-4,_dd.p.tid=640cfd8d00000000"),
            Some("rum")
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn contexts_are_translated_and_nothing_stale_is_left() {
    let mut mesh = mesh("extract: [w3c, b3, datadog], inject: [w3c, datadog], ").await;
    let (head, [trace, _, parent, client]) = mesh
        .send(&format!(
            "b3: {TRACE}-{PARENT}-1\r\ntracestate: foo=1\r\nx-b3-sampled: 0\r\n"
        ))
        .await;
    assert_eq!((trace.as_str(), parent.as_str()), (TRACE, PARENT));
    assert_eq!(traceparent(&head), (TRACE.to_owned(), client, "01".to_owned()));
    assert_eq!(head.field("x-datadog-trace-id"), Some(LOW));
    assert_eq!(head.field("x-datadog-tags"), Some("_dd.p.tid=640cfd8d00000000"));
    for gone in ["b3", "x-b3-sampled", "tracestate"] {
        assert_eq!(head.field(gone), None, "{gone}");
    }
    // The first of the formats in which there is one.
    let other = "0".repeat(31) + "7";
    let (_, [trace, ..]) = mesh
        .send(&format!(
            "b3: {TRACE}-{PARENT}-1\r\ntraceparent: 00-{other}-{PARENT}-01\r\n"
        ))
        .await;
    assert_eq!(trace, other);
}
