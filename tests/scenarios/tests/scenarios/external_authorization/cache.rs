//! Decisions that are kept: for what looks the same to the service, and for nothing else.

use super::{Scene, allow, allow_with, asking_grpc, header, response};
use envoy_types::pb::envoy::service::auth::v3::OkHttpResponse;
use outrigger_fixtures::Scripted;
use outrigger_fixtures::authorization::{Authorization, Said};
use outrigger_harness::{Client, Proxy};

const KEPT: &str = ", cache: { time_to_live: 1h, headers: [x-tenant] }";
const CACHE: &str = "outrigger_listener_external_authorization_cache_total";

#[tokio::test(flavor = "multi_thread")]
async fn only_what_differs_in_what_is_told_is_asked_about() {
    let scene = Scene::edited(KEPT, |_| allow(), |document| document.workers(1)).await;
    let mut client = Client::connect(scene.proxy.address()).await;
    let mut asked = 0;
    for (path, fields, is_new) in [
        ("/a", "", true),
        ("/a", "", false),
        ("/a", "x-other: 1\r\n", false),
        ("/a", "user-agent: other\r\n", false),
        ("/b", "", true),
        ("/a?b", "", true),
        ("/a", "authorization: one\r\n", true),
        ("/a", "authorization: two\r\n", true),
        ("/a", "authorization: one\r\n", false),
        ("/a", "cookie: one\r\n", true),
        ("/a", "x-tenant: one\r\n", true),
        ("/a", "x-tenant: two\r\n", true),
        ("/a", "x-tenant: one\r\nx-tenant: two\r\n", true),
        ("/a", "x-tenant: one\r\n", false),
    ] {
        assert_eq!(client.fetch(path, fields).await.status(), 200);
        asked += usize::from(is_new);
        assert_eq!(scene.service.checks().len(), asked, "{path} {fields:?}");
    }
    for request in [
        "DELETE /a HTTP/1.1\r\nhost: test\r\n\r\n",
        "GET /a HTTP/1.1\r\nhost: other\r\n\r\n",
    ] {
        assert_eq!(client.exchange(request).await.status(), 200);
        asked += 1;
        assert_eq!(scene.service.checks().len(), asked, "{request:?}");
    }
    // What tells nothing apart is not told: no decision can have been made by it.
    client.fetch("/new", "x-other: 1\r\nx-tenant: t\r\n").await;
    let check = scene.service.last_check();
    assert_eq!(check.http().headers["x-tenant"], "t");
    for absent in ["x-other", "x-request-id", "x-forwarded-for"] {
        assert!(!check.http().headers.contains_key(absent), "{absent}");
    }
    let admin = scene.proxy.admin();
    assert_eq!(admin.metric(&format!("{CACHE}{{result=\"hit\"}}")).await, 5.0);
    assert_eq!(
        admin.metric(&format!("{CACHE}{{result=\"miss\"}}")).await,
        scene.service.checks().len() as f64
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn both_kinds_of_decision_are_kept_and_failures_are_not() {
    let scene = Scene::edited(
        KEPT,
        |check| match check.http().path.as_str() {
            "/yes" => allow_with(OkHttpResponse {
                headers: vec![header("x-user", "alice", false)],
                response_headers_to_add: vec![header("x-checked", "yes", false)],
                ..OkHttpResponse::default()
            }),
            "/no" => response(7, None),
            _ => Said::Status("14"),
        },
        |document| document.workers(1),
    )
    .await;
    let mut client = Client::connect(scene.proxy.address()).await;
    for _ in 0..3 {
        let yes = client.fetch("/yes", "x-user: mallory\r\n").await;
        assert_eq!((yes.status(), yes.field("x-checked")), (200, Some("yes")));
        let user = scene.upstream.last_request().head;
        assert_eq!(user.all("x-user").collect::<Vec<_>>(), ["alice"]);
        assert_eq!(client.fetch("/no", "").await.status(), 403);
        assert_eq!(client.fetch("/down", "").await.status(), 403);
    }
    assert_eq!(scene.service.checks().len(), 2 + 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_told_is_asked_about_each_time() {
    let fields = format!("{KEPT}, body: {{ bytes_max: 8 }}");
    let scene = Scene::edited(&fields, |_| allow(), |document| document.workers(1)).await;
    let mut client = Client::connect(scene.proxy.address()).await;
    for _ in 0..2 {
        let request = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\nx";
        assert_eq!(client.exchange(request).await.status(), 200);
    }
    assert_eq!(scene.service.checks().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_configuration_keeps_none_and_time_ends_them() {
    let (upstream, service) = (Scripted::ok().await, Authorization::start(|_| allow()).await);
    let document = |more: &str, time: &str| {
        let cache = format!(", cache: {{ time_to_live: {time} }}");
        asking_grpc(upstream.address(), &[service.address()], &cache)
            .workers(1)
            .route(more)
    };
    let proxy = Proxy::start(document("", "1h")).await;
    let mut client = Client::connect(proxy.address()).await;
    for _ in 0..2 {
        client.fetch("/", "").await;
    }
    assert_eq!(service.checks().len(), 1);
    proxy
        .reload(document("request_body_max: 1KiB", "1h"))
        .await
        .unwrap();
    for _ in 0..2 {
        client.fetch("/", "").await;
    }
    assert_eq!(service.checks().len(), 2);
    proxy.reload(document("", "1ns")).await.unwrap();
    for _ in 0..2 {
        client.fetch("/", "").await;
    }
    assert_eq!(service.checks().len(), 4);
}
