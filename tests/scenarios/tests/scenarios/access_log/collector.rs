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
