//! Limits on connections whose bytes are passed on, and on a listener's.

use super::{DECISIONS, decided, limit, limits};
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_response::Code;
use outrigger_fixtures::Scripted;
use outrigger_fixtures::rate_limit::{RateLimits, Ruling};
use outrigger_harness::{Document, Proxy, wait_until, within};
use std::net::SocketAddr;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// Bytes are passed on to `upstream`, within these limits.
fn passing(upstream: SocketAddr, all: &[String], names: &str, more: &str) -> Document {
    let document = Document::to(&[upstream]).listener(&format!(
        "filter_chains: [{{ name: bytes, tcp: {{ cluster: upstream, rate_limits: [{names}]{more} }} }}]"
    ));
    limits(document, all)
}

async fn greeting() -> Scripted {
    Scripted::start(|mut script| async move {
        script.send("hello").await?;
        script.until_closed().await
    })
    .await
}

/// True if the connection gets through.
async fn passes(proxy: &Proxy) -> bool {
    let mut stream = within("a connection", TcpStream::connect(proxy.address()))
        .await
        .unwrap();
    let mut bytes = [0; 5];
    within("bytes or an end", stream.read_exact(&mut bytes))
        .await
        .is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_connections_pass_as_there_are_tokens_and_nothing_is_dialled_for_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("log");
    let log = format!(
        ", access_logs: [{{ path: '{}', format: {{ text: \"%RESPONSE_FLAGS% %CONNECTION_TERMINATION_DETAILS%\\n\" }} }}]",
        file.display()
    );
    let upstream = greeting().await;
    let each = limit("each", 2, "", "descriptors: [[remote_address]]");
    let proxy = Proxy::start(passing(upstream.address(), &[each], "each", &log)).await;
    let mut passed = 0;
    for _ in 0..5 {
        passed += usize::from(passes(&proxy).await);
    }
    assert_eq!((passed, upstream.connections()), (2, 2));
    assert_eq!(decided(&proxy, "each", "refused").await, 3.0);
    let closed = "outrigger_listener_connections_closed_total{reason=\"rate_limited\"}";
    proxy.admin().wait_for_metric(closed, 3.0).await;
    let lines = wait_until("lines of the log", async || {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        (text.matches("RL local_rate_limited[each]\n").count() == 3).then_some(text)
    })
    .await;
    assert_eq!(lines.lines().filter(|line| !line.starts_with("RL")).count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_requests_have_is_lacking_and_shadows_refuse_nothing() {
    let upstream = greeting().await;
    let all = [
        limit("paths", 1, "", "descriptors: [[path]]"),
        limit("shadow", 1, "", "shadow: true"),
    ];
    let proxy = Proxy::start(passing(upstream.address(), &all, "paths, shadow", "")).await;
    for _ in 0..3 {
        assert!(passes(&proxy).await);
    }
    assert_eq!(decided(&proxy, "paths", "not_counted").await, 3.0);
    assert_eq!(decided(&proxy, "shadow", "shadow_refused").await, 2.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_asked_about_connections_too() {
    let upstream = greeting().await;
    let service = RateLimits::start(|hit| match hit.request.domain.as_str() {
        "open" => Ruling::code(Code::Ok),
        "closed" => Ruling::code(Code::OverLimit),
        _ => Ruling::Status("14"),
    })
    .await;
    let asked = |domain: &str, more: &str| {
        let limit = format!(
            "{{ name: it, descriptors: [[remote_address]], global: {{ cluster: limits, domain: {domain}, timeout: 1h \
             {more} }} }}"
        );
        passing(upstream.address(), &[limit], "it", "").with_cluster(
            "limits",
            &[service.address()],
            "protocol: http2",
        )
    };
    for (domain, more, passed, outcome) in [
        ("open", "", true, "allowed"),
        ("closed", "", false, "refused"),
        ("broken", "", true, "failure_allowed"),
        ("broken", ", failure_denied: true", false, "failure_refused"),
    ] {
        let proxy = Proxy::start(asked(domain, more)).await;
        assert_eq!(passes(&proxy).await, passed, "{domain}{more}");
        let series = format!("{DECISIONS}{{outcome=\"{outcome}\"}}");
        assert_eq!(proxy.admin().metric(&series).await, 1.0, "{domain}{more}");
    }
    assert_eq!(service.hits()[0].descriptors(), ["remote_address=127.0.0.1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_connection_rate_of_a_listener_survives_a_reload() {
    let upstream = Scripted::ok().await;
    let document = |burst: u32| {
        Document::to(&[upstream.address()]).listener(&format!(
            "connection_rate_max: {{ per_second: 1, burst: {burst} }}"
        ))
    };
    let proxy = Proxy::start(document(1_000_000)).await;
    for _ in 0..10 {
        let response = outrigger_harness::client::fetch(proxy.address(), "/", "").await;
        assert_eq!(response.status(), 200);
    }
    // Ten were taken: of five there is none left, and five could only come back in as many seconds.
    proxy.reload(document(5)).await.unwrap();
    for _ in 0..5 {
        TcpStream::connect(proxy.address()).await.unwrap();
    }
    let refused = "outrigger_listener_connections_refused_total{reason=\"rate\"}";
    proxy.admin().wait_for(refused, |refused| refused >= 1.0).await;
}
