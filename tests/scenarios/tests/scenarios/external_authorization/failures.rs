//! A service that does not answer, or not so that it can be followed.

use super::{FAULTS, OUTCOMES, Scene, allow_with, asking_grpc, asking_http, header};
use envoy_types::pb::envoy::service::auth::v3::OkHttpResponse;
use outrigger_fixtures::Scripted;
use outrigger_fixtures::authorization::{Authorization, Said};
use outrigger_harness::{Document, Proxy, client};
use std::net::{SocketAddr, TcpListener};

const ALLOWED: &str = ", failure_allowed: true";
const MARK: &str = "x-envoy-auth-failure-mode-allowed";

fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// The request is refused with 403, or let through with a mark if failures are allowed; both are counted.
async fn fails(document: impl Fn(SocketAddr, &str) -> Document, reason: &str) {
    for allowed in ["", ALLOWED] {
        let upstream = Scripted::ok().await;
        let proxy = Proxy::start(document(upstream.address(), allowed)).await;
        let response = client::fetch(proxy.address(), "/", "x-envoy-auth-failure-mode-allowed: no\r\n").await;
        let admin = proxy.admin();
        let fault = format!("{FAULTS}{{reason=\"{reason}\"}}");
        assert_eq!(admin.metric(&fault).await, 1.0, "{reason}");
        let outcome = if allowed.is_empty() {
            "failed"
        } else {
            "failure_allowed"
        };
        let outcome = format!("{OUTCOMES}{{outcome=\"{outcome}\"}}");
        assert_eq!(admin.metric(&outcome).await, 1.0, "{reason}");
        if matches!(reason, "connect" | "no_endpoint") {
            // Its cluster fails its objective by it, as it does by the requests of clients.
            let failed = "outrigger_cluster_requests_total{cluster=\"authz\",code_class=\"5xx\"}";
            assert_eq!(admin.metric(failed).await, 1.0, "{reason}");
        }
        if allowed.is_empty() {
            assert_eq!(response.status(), 403, "{reason}");
            assert_eq!(upstream.head_count(), 0, "{reason}");
        } else {
            assert_eq!(response.status(), 200, "{reason}");
            let head = upstream.last_request().head;
            assert_eq!(head.all(MARK).collect::<Vec<_>>(), ["true"], "{reason}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_cannot_be_reached() {
    fails(
        |upstream, fields| asking_grpc(upstream, &[], fields),
        "no_endpoint",
    )
    .await;
    let nobody = nobody();
    fails(
        move |upstream, fields| asking_grpc(upstream, &[nobody], fields),
        "connect",
    )
    .await;
    fails(
        move |upstream, fields| asking_http(upstream, &[nobody], "", fields),
        "connect",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_over_grpc_that_says_nothing_that_could_be_read() {
    let table = [
        (Said::Status("14"), "status"),
        (Said::Message(b"\xff\xff\xff".to_vec()), "unreadable"),
        (Said::Message(Vec::new()), "unreadable"),
        (Said::Body(b"\0\0\0\0\x09abc".to_vec()), "unreadable"),
        (Said::Body(b"\x01\0\0\0\0".to_vec()), "unreadable"),
        (Said::Body(Vec::new()), "unreadable"),
        (Said::Body(vec![0; 100_000]), "too_long"),
    ];
    for (said, reason) in table {
        let service = Authorization::start(move |_| said.clone()).await;
        let address = service.address();
        fails(
            move |upstream, fields| asking_grpc(upstream, &[address], fields),
            reason,
        )
        .await;
    }
    let silent = Authorization::start(|_| Said::Nothing).await;
    let address = silent.address();
    let late =
        move |upstream, fields: &str| asking_grpc(upstream, &[address], &format!(", timeout: 50ms{fields}"));
    fails(late, "timeout").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_over_http_that_fails() {
    let broken = Scripted::start(async |mut script| {
        script.request().await?;
        script
            .send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf")
            .await
    })
    .await;
    let long = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n{}",
        "x".repeat(100_000)
    );
    let table = [
        (
            Scripted::answering("HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n").await,
            "status",
        ),
        (Scripted::answering("what?\r\n\r\n").await, "unreadable"),
        (Scripted::answering(long).await, "too_long"),
        (broken, "broken"),
    ];
    for (service, reason) in table {
        let address = service.address();
        fails(
            move |upstream, fields| asking_http(upstream, &[address], "", fields),
            reason,
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_yes_that_cannot_be_followed_is_never_let_through() {
    for (name, value) in [
        (":path", "/admin"),
        ("host", "b"),
        ("connection", "x"),
        ("x y", "1"),
        ("x", "a\r\nb: c"),
    ] {
        let scene = Scene::new(&format!("{ALLOWED}, error_status: 500"), move |_| {
            allow_with(OkHttpResponse {
                headers: vec![header("x-good", "1", false), header(name, value, false)],
                ..OkHttpResponse::default()
            })
        })
        .await;
        assert_eq!(
            client::fetch(scene.proxy.address(), "/", "").await.status(),
            500,
            "{name:?}"
        );
        assert_eq!(scene.upstream.head_count(), 0);
        assert_eq!(scene.outcome("failed").await, 1.0);
        let fault = format!("{FAULTS}{{reason=\"invalid_change\"}}");
        assert_eq!(scene.proxy.admin().metric(&fault).await, 1.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_provably_never_ran_is_asked_again() {
    // One endpoint refuses connections: round robin meets it at once or at the next request.
    let upstream = Scripted::ok().await;
    let service = Authorization::start(|_| super::allow()).await;
    let document = asking_grpc(upstream.address(), &[nobody(), service.address()], "");
    let proxy = Proxy::start(document.workers(1)).await;
    for _ in 0..4 {
        assert_eq!(client::fetch(proxy.address(), "/", "").await.status(), 200);
    }
    let retries = "outrigger_cluster_retries_total{cluster=\"authz\",reason=\"connect_failure\"}";
    assert!(proxy.admin().metric(retries).await >= 1.0);
    assert_eq!(service.checks().len(), 4);
}
