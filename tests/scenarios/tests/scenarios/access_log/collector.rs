//! Lines that go to a collector.

use super::*;
use outrigger_fixtures::otlp::{OtlpCollector, Wire, attribute};

#[tokio::test(flavor = "multi_thread")]
async fn a_line_is_a_record_with_the_members_of_its_format() {
    let upstream = Scripted::ok().await;
    let collector = OtlpCollector::start(Wire::Grpc).await;
    let format = "{ status: '%RESPONSE_CODE%', to: { cluster: '%UPSTREAM_CLUSTER%', gone: '%REQ(ABSENT)%' }, \
         token: '%REQ(AUTHORIZATION)%' }";
    let document = Document::to(&[upstream.address()])
        .http(&format!(
            "access_logs: [{{ collector: c, format: {{ json: {format} }} }}]"
        ))
        .routes(
            "{ match: { prefix: /503 }, direct_response: { status: 503 } }, \
             { match: { prefix: / }, forward: { cluster: upstream } }",
        )
        .with(&format!(
            "telemetry: {{ collectors: [{{ name: c, endpoint: 'http://{}', batch_delay: 1ms }}] }}",
            collector.address()
        ))
        .workers(1);
    let proxy = Proxy::start(document).await;
    fetch(proxy.address(), "/a", "authorization: Bearer secret\r\n").await;
    fetch(proxy.address(), "/503", "").await;
    let records = wait_until("both records", || async {
        let records = collector.logs();
        (records.len() == 2).then_some(records)
    })
    .await;
    let of = |number: usize, key: &str| attribute(&records[number].attributes, key);
    assert_eq!(of(0, "status").as_deref(), Some("200"));
    assert_eq!(of(0, "to.cluster").as_deref(), Some("upstream"));
    assert_eq!(of(0, "to.gone"), None, "what is missing has no attribute");
    assert_eq!(of(0, "token").as_deref(), Some("[redacted]"));
    assert_eq!(of(1, "status").as_deref(), Some("503"));
    assert_eq!([records[0].severity_number, records[1].severity_number], [9, 17]);
    assert!(records.iter().all(|record| record.time_unix_nano > 0));
    let body = format!("{:?}", records[0].body);
    assert!(
        body.contains("\\\"status\\\":200") && !body.contains("secret"),
        "{body}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_says_what_its_trace_s_context_says() {
    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    let upstream = Scripted::ok().await;
    let collector = OtlpCollector::start(Wire::Http).await;
    let document = Document::to(&[upstream.address()])
        .http("access_logs: [{ collector: c }], tracing: { collector: c }")
        .with(&format!(
            "telemetry: {{ collectors: [{{ name: c, endpoint: 'http://{}', protocol: http, batch_delay: 1ms }}] }}",
            collector.address()
        ))
        .workers(1);
    let proxy = Proxy::start(document).await;
    let traced = |flags: &str| format!("traceparent: 00-{TRACE}-00f067aa0ba902b7-{flags}\r\n");
    // Kept; kept, with an id that is random, as level 2 says it; neither; and a trace that begins here.
    for head in [
        traced("01"),
        traced("03"),
        traced("00"),
        traced("02"),
        String::new(),
    ] {
        fetch(proxy.address(), "/", &head).await;
    }
    let records = wait_until("all records", || async {
        let records = collector.logs();
        (records.len() == 5).then_some(records)
    })
    .await;
    let flags: Vec<u32> = records.iter().map(|record| record.flags).collect();
    assert_eq!(flags, [1, 3, 0, 2, 3]);
    // They name the server spans of the three that are kept.
    let spans = wait_until("their spans", || async {
        let mut spans = collector.spans();
        spans.retain(|span| span.kind == 2);
        (spans.len() == 3).then_some(spans)
    })
    .await;
    for (record, span) in [&records[0], &records[1], &records[4]].into_iter().zip(&spans) {
        assert_eq!(
            (&record.trace_id, &record.span_id),
            (&span.trace_id, &span.span_id)
        );
        assert_eq!(record.flags, span.flags & 0xff);
    }
}
