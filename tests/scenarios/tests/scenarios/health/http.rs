//! Checks by requests.

use super::*;
use outrigger_fixtures::frames::{Frame, FrameServer};
use outrigger_fixtures::{Authority, Echo};
use outrigger_harness::wait_until;

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_fails_its_first_check_never_gets_a_request() {
    let cases = [
        (How::Status(503), "status 503", "status"),
        (How::Status(204), "status 204", "status"),
        (How::Drip, "no answer in time", "timed_out"),
        (How::Hang, "no answer in time", "timed_out"),
        (How::Close, "the connection ended before the answer did", "closed"),
        (How::Reset, "the connection ended before the answer did", "closed"),
        (How::Garbage, "protocol", "protocol"),
    ];
    for (how, finding, result) in cases {
        let pair: [Backend; 2] = backends().await;
        pair[0].check(how.clone());
        let proxy = Proxy::start(checked(&pair, "unhealthy_threshold: 100")).await;
        // Checked before the configuration was in force: there is nothing to wait for.
        assert_eq!(fetch(&proxy, 10).await, [200; 10], "{how:?}");
        assert_eq!(pair[0].requests_seen(), 0, "{how:?}");
        assert_eq!(pair[1].requests_seen(), 10, "{how:?}");
        let shown = endpoint(&proxy, pair[0].address()).await;
        let check = &shown["health_check"];
        assert_eq!(check["healthy"], false, "{how:?}: {shown}");
        let found = check["last_result"].as_str().unwrap();
        assert!(found.starts_with(finding), "{how:?}: {found}");
        let failures = format!(",result=\"{result}\"");
        assert!(
            count(&proxy, "health_checks_total", &failures).await >= 1.0,
            "{how:?}"
        );
        assert!(count(&proxy, "health_checks_total", ",result=\"passed\"").await >= 1.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_cannot_be_connected_to_gets_nothing() {
    let good = Backend::start().await;
    let refusing = outrigger_fixtures::Refusing::bind().unwrap();
    let gone = refusing.address();
    let proxy = Proxy::start(checking(
        &[gone, good.address()],
        &format!("http: {{ path: {PATH} }}"),
    ))
    .await;
    assert_eq!(fetch(&proxy, 6).await, [200; 6]);
    assert_eq!(
        count(&proxy, "connection_failures_total", ",reason=\"refused\"").await,
        0.0
    );
    assert!(count(&proxy, "health_checks_total", ",result=\"connect_failed\"").await >= 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_healthy_endpoint_is_503() {
    let only: [Backend; 1] = backends().await;
    only[0].check(How::Status(500));
    let proxy = Proxy::start(checked(&only, "")).await;
    assert_eq!(fetch(&proxy, 1).await, [503]);
    only[0].check(How::Status(200));
    wait_for_healthy(&proxy, 1).await;
    assert_eq!(fetch(&proxy, 1).await, [200]);
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_count_in_a_row_and_so_do_successes() {
    let only: [Backend; 1] = backends().await;
    let more = "unhealthy_threshold: 4, healthy_threshold: 3";
    let check = format!("http: {{ path: {PATH}, retriable_statuses: [503] }}, {more}");
    let proxy = Proxy::start(checking(&addresses(&only), &check)).await;
    wait_for_healthy(&proxy, 1).await;
    let before = only[0].checks_seen();
    only[0].check(How::Status(503));
    let transitions = |to: &str| series("health_transitions_total", &format!(",to=\"{to}\""));
    proxy
        .admin()
        .wait_for_metric(&transitions("unhealthy"), 1.0)
        .await;
    let failed = only[0].checks_seen() - before;
    assert!(failed >= 4, "unhealthy after {failed} failures");
    let before = only[0].checks_seen();
    only[0].check(How::Status(200));
    proxy.admin().wait_for_metric(&transitions("healthy"), 2.0).await;
    let passed = only[0].checks_seen() - before;
    assert!(passed >= 3, "healthy after {passed} successes");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unexpected_status_counts_at_once() {
    let only: [Backend; 1] = backends().await;
    let proxy = Proxy::start(checked(&only, "unhealthy_threshold: 1000")).await;
    only[0].check(How::Status(500));
    wait_for_healthy(&proxy, 0).await;
    let shown = endpoint(&proxy, only[0].address()).await;
    assert_eq!(shown["health_check"]["last_result"], "status 500");
}

#[tokio::test(flavor = "multi_thread")]
async fn statuses_and_the_beginning_of_the_body_are_as_expected() {
    let trio: [Backend; 3] = backends().await;
    trio[0].check(How::Status(204));
    trio[1].check(How::Body("status: serving"));
    trio[2].check(How::Body("status: starting"));
    let check = format!("http: {{ path: {PATH}, expected_statuses: [200-299] }}");
    let proxy = Proxy::start(checking(&addresses(&trio), &check)).await;
    wait_for_healthy(&proxy, 3).await;
    let check = format!("http: {{ path: {PATH}, expected_body: {{ prefix: 'status: serving' }} }}");
    let proxy = Proxy::start(checking(&addresses(&trio), &check)).await;
    wait_for_healthy(&proxy, 1).await;
    let shown = endpoint(&proxy, trio[2].address()).await;
    assert_eq!(shown["health_check"]["last_result"], "the body is another");
    assert_eq!(fetch(&proxy, 4).await, [200; 4]);
    assert_eq!(trio[1].requests_seen(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_is_the_request_that_was_asked_for() {
    let upstream = Scripted::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let asked =
        "http: { method: OPTIONS, path: '/a/b?c=d', host: check.example, headers: { x-check: mine } }";
    let _proxy = Proxy::start(checking(&[upstream.address()], asked)).await;
    let head = upstream.last_request().head;
    assert_eq!((head.method(), head.target()), ("OPTIONS", "/a/b?c=d"));
    assert_eq!(head.field("host"), Some("check.example"));
    assert_eq!(head.field("x-check"), Some("mine"));
    assert_eq!(head.field("user-agent"), Some("outrigger-health-check"));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_port_is_asked() {
    let (service, checks) = (Backend::start().await, Backend::start().await);
    service.check(How::Status(500));
    let more = format!("port: {}", checks.address().port());
    let proxy = Proxy::start(checked(std::slice::from_ref(&service), &more)).await;
    assert_eq!(fetch(&proxy, 2).await, [200; 2]);
    assert_eq!((service.requests_seen(), service.checks_seen()), (2, 0));
    assert!(checks.checks_seen() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_kept_unless_that_is_turned_off() {
    let kept: [Backend; 1] = backends().await;
    let proxy = Proxy::start(checked(&kept, "")).await;
    wait_until("five checks", async || (kept[0].checks_seen() >= 5).then_some(())).await;
    assert_eq!(kept[0].server.connections(), 1);
    drop(proxy);
    let fresh: [Backend; 1] = backends().await;
    let _proxy = Proxy::start(checked(&fresh, "reuse_connection: false")).await;
    wait_until("five checks", async || {
        (fresh[0].checks_seen() >= 5).then_some(())
    })
    .await;
    assert!(fresh[0].server.connections() >= 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_connection_that_has_ended_is_no_failure() {
    // Without a word of it: the next check finds out.
    let upstream = Scripted::start(|mut script| async move {
        script.request().await?;
        script
            .send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            .await?;
        // The next request is read, and the connection closed on it.
        script.request().await?;
        Ok(())
    })
    .await;
    let check = format!("http: {{ path: {PATH} }}, unhealthy_threshold: 1");
    let proxy = Proxy::start(checking(&[upstream.address()], &check)).await;
    wait_until("several connections", async || {
        (upstream.connections() >= 4).then_some(())
    })
    .await;
    assert_eq!(
        count(&proxy, "health_transitions_total", ",to=\"unhealthy\"").await,
        0.0
    );
    assert_eq!(
        count(&proxy, "health_checks_total", ",result=\"closed\"").await,
        0.0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_goaway_on_a_kept_connection_is_no_failure() {
    let upstream = FrameServer::start(|mut connection, _| async move {
        connection.greet(&[]).await?;
        let head = connection.next_headers().await?;
        connection.send(Frame::response(head.stream, "200", true)).await?;
        // Before the next check, or while it is on its way: it is not looked at.
        connection.send(Frame::go_away(head.stream, 0)).await?;
        connection.finish().await
    })
    .await
    .unwrap();
    let check = format!("http: {{ path: {PATH} }}, unhealthy_threshold: 1");
    let document = checking(&[upstream.address()], &check).cluster("protocol: http2");
    let proxy = Proxy::start(document).await;
    wait_until("several connections", async || {
        (upstream.connections() >= 4).then_some(())
    })
    .await;
    assert_eq!(
        count(&proxy, "health_transitions_total", ",to=\"unhealthy\"").await,
        0.0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_speak_the_clusters_protocol_and_tls() {
    let authority = Authority::new("root");
    let server = authority.issue("server", &["a.example"]);
    let client = authority.issue("client", &["client.example"]);
    let root = authority.root();
    for protocol in ["http1", "http2", "auto"] {
        let upstream = Echo::start_tls(server.mutual_server_config(&["h2", "http/1.1"], &authority)).await;
        let document = |tls: &str| {
            checking(&[upstream.address()], "http: { path: / }").cluster(&format!(
                "protocol: {protocol}, tls: {{ server_name: a.example, ca_file: '{}'{tls} }}",
                root.display()
            ))
        };
        let with = format!(", certificate: {}", client.yaml());
        let proxy = Proxy::start(document(&with)).await;
        wait_for_healthy(&proxy, 1).await;
        // Without our certificate there is no answer.
        let proxy = Proxy::start(document("")).await;
        wait_for_healthy(&proxy, 0).await;
        assert_eq!(fetch(&proxy, 1).await, [503]);
    }
}
