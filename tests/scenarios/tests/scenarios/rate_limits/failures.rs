//! A service that does not answer, or not so that it can be followed.

use super::global::{asked, header};
use super::{DECISIONS, FAULTS, fetch, limits};
use envoy_types::pb::envoy::service::ratelimit::v3::RateLimitResponse;
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_response::Code;
use outrigger_fixtures::Scripted;
use outrigger_fixtures::frames::{Frame, FrameServer};
use outrigger_fixtures::rate_limit::{RateLimits, Ruling};
use outrigger_harness::{Client, Document, Proxy};
use std::net::{SocketAddr, TcpListener};

/// Everything is asked about at these endpoints; `more` are fields of the service.
fn document(upstream: SocketAddr, service: &[SocketAddr], more: &str) -> Document {
    let document = Document::to(&[upstream])
        .with_cluster("limits", service, "protocol: http2")
        .http("rate_limits: [it]");
    limits(document, &[asked("it", "[method]", more, "")])
}

/// The request is let through, or refused with 500 where failures are denied; both are counted.
async fn fails(service: &[SocketAddr], more: &str, reason: &str) {
    for (mode, status, outcome) in [
        ("", 200, "failure_allowed"),
        (", failure_denied: true", 500, "failure_refused"),
    ] {
        let upstream = Scripted::ok().await;
        let proxy = Proxy::start(document(upstream.address(), service, &format!("{more}{mode}"))).await;
        let response = fetch(&proxy, "/", "").await;
        assert_eq!(response.status(), status, "{reason}");
        assert_eq!(upstream.head_count(), usize::from(status == 200), "{reason}");
        let admin = proxy.admin();
        let fault = format!("{FAULTS}{{reason=\"{reason}\"}}");
        assert_eq!(admin.metric(&fault).await, 1.0, "{reason}");
        let outcome = format!("{DECISIONS}{{outcome=\"{outcome}\"}}");
        assert_eq!(admin.metric(&outcome).await, 1.0, "{reason}");
        let flag = "outrigger_route_response_flags_total{flag=\"RLSE\"}";
        assert_eq!(admin.metric(flag).await, f64::from(u8::from(status == 500)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_cannot_be_reached() {
    fails(&[], "", "no_endpoint").await;
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    fails(&[nobody], "", "connect").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_does_not_answer_in_time() {
    let silent = RateLimits::start(|_| Ruling::Nothing).await;
    fails(&[silent.address()], ", timeout: 50ms", "timeout").await;
    // It is connected to, by the kernel, and says nothing.
    let hole = TcpListener::bind("127.0.0.1:0").unwrap();
    fails(&[hole.local_addr().unwrap()], ", timeout: 50ms", "timeout").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_says_nothing_that_could_be_read_or_followed() {
    let with_header = |header| {
        Ruling::Response(Box::new(RateLimitResponse {
            overall_code: Code::Ok.into(),
            request_headers_to_add: vec![header],
            ..RateLimitResponse::default()
        }))
    };
    let table = [
        (Ruling::Status("14"), "status"),
        (Ruling::Message(b"\xff\xff\xff".to_vec()), "unreadable"),
        (Ruling::Body(b"\0\0\0\0\x09abc".to_vec()), "unreadable"),
        (Ruling::Body(b"\x01\0\0\0\0".to_vec()), "unreadable"),
        (Ruling::Body(Vec::new()), "unreadable"),
        (Ruling::Body(vec![0; 100_000]), "too_long"),
        (Ruling::Message(Vec::new()), "unknown"),
        (Ruling::code(Code::Unknown), "unknown"),
        (with_header(header("host", "b")), "invalid_change"),
        (with_header(header("a b", "c")), "invalid_change"),
        (with_header(header("a", "b\r\nc: d")), "invalid_change"),
    ];
    for (ruling, reason) in table {
        let service = RateLimits::start(move |_| ruling.clone()).await;
        fails(&[service.address()], "", reason).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_is_not_asked_about_any_longer() {
    let upstream = Scripted::ok().await;
    let service = RateLimits::start(|_| Ruling::Nothing).await;
    let proxy = Proxy::start(document(upstream.address(), &[service.address()], "")).await;
    let mut client = Client::connect(proxy.address()).await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let active = "outrigger_cluster_requests_active{cluster=\"limits\"}";
    proxy.admin().wait_for_metric(active, 1.0).await;
    client.reset();
    proxy.admin().wait_for_metric(active, 0.0).await;
    assert_eq!(upstream.request_count(), 0);
}

/// Asks one service that is well and this one, until one is ejected.
async fn one_is_ejected(bad: SocketAddr, more: &str) {
    let good = RateLimits::start(|_| Ruling::code(Code::Ok)).await;
    let upstream = Scripted::ok().await;
    let watched = "protocol: http2, panic_threshold: 0, outlier_detection: { base_ejection_time: 200s, \
                   interval: 30ms, consecutive_5xx: 2 }";
    let document = Document::to(&[upstream.address()])
        .workers(1)
        .with_cluster("limits", &[good.address(), bad], watched)
        .http("rate_limits: [it]");
    let proxy = Proxy::start(limits(document, &[asked("it", "[method]", more, "")])).await;
    for _ in 0..4 {
        assert_eq!(fetch(&proxy, "/", "").await.status(), 200, "{more}");
    }
    let ejected = "outrigger_cluster_outlier_ejections_active{cluster=\"limits\"}";
    proxy.admin().wait_for_metric(ejected, 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_leaves_questions_unanswered_is_ejected() {
    let silent = RateLimits::start(|_| Ruling::Nothing).await;
    one_is_ejected(silent.address(), ", timeout: 20ms").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_answers_with_errors_of_grpc_is_ejected() {
    let unavailable = FrameServer::start(|mut connection, _| async move {
        connection.greet(&[]).await?;
        loop {
            let head = connection.next_headers().await?;
            let fields = [
                (":status", "200"),
                ("content-type", "application/grpc"),
                ("grpc-status", "14"),
            ];
            connection
                .send(Frame::headers(head.stream, &fields, true))
                .await?;
        }
    })
    .await
    .unwrap();
    one_is_ejected(unavailable.address(), "").await;
}
