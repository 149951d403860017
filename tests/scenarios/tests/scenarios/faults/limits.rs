//! Whom a fault touches, how many, and until when.

use super::*;
use outrigger_fixtures::Authority;
use outrigger_fixtures::authority::uri;
use outrigger_harness::client::fetch;
use outrigger_harness::{Client, Process, Timestamp};
use std::time::{Duration, SystemTime};

#[tokio::test(flavor = "multi_thread")]
async fn of_a_thousand_requests_exactly_the_share_is_touched() {
    let scene = Scene::with("{ abort: { status: 503 }, affected_max: 10 }").await;
    let address = scene.proxy.address();
    // Over several connections, and so several workers.
    let clients = (0..4).map(|_| {
        tokio::spawn(async move {
            let mut client = Client::connect(address).await;
            let mut aborted = 0;
            for _ in 0..250 {
                aborted += usize::from(client.fetch("/", "").await.status() == 503);
            }
            aborted
        })
    });
    let mut aborted = 0;
    for client in clients.collect::<Vec<_>>() {
        aborted += client.await.unwrap();
    }
    assert_eq!((aborted, scene.upstream.request_count()), (100, 900));
    let skipped = format!("{SKIPPED}{{reason=\"affected_max\"}}");
    assert_eq!(scene.metric(&skipped).await, 900.0);
}

/// The count is the fault's place's, not the configuration's: a reload does not begin anew.
#[tokio::test(flavor = "multi_thread")]
async fn a_reload_keeps_the_count() {
    let upstream = Scripted::ok().await;
    let document = |status: u16| {
        Document::to(&[upstream.address()]).route(&format!(
            "fault: {{ expires: never, abort: {{ status: {status} }}, affected_max: 50 }}"
        ))
    };
    let proxy = Proxy::start(document(500)).await;
    let mut client = Client::connect(proxy.address()).await;
    assert_eq!(client.fetch("/", "").await.status(), 200);
    proxy.reload(document(501)).await.unwrap();
    // The second of two.
    assert_eq!(client.fetch("/", "").await.status(), 501);
    proxy.reload(document(502)).await.unwrap();
    assert_eq!(client.fetch("/", "").await.status(), 200);
    assert_eq!(client.fetch("/", "").await.status(), 502);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_than_may_be_are_touched_at_once() {
    let scene = Scene::with("{ delay: { duration: 1h }, active_max: 1 }").await;
    let admin = scene.proxy.admin();
    let mut held = Client::connect(scene.proxy.address()).await;
    held.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n").await;
    admin.wait_for_metric(ACTIVE, 1.0).await;
    let mut other = Client::connect(scene.proxy.address()).await;
    for _ in 0..3 {
        assert_eq!(other.fetch("/", "").await.status(), 200);
    }
    assert_eq!(
        scene.metric(&format!("{SKIPPED}{{reason=\"active_max\"}}")).await,
        3.0
    );
    drop(held);
    admin.wait_for_metric(ACTIVE, 0.0).await;
    other.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n").await;
    admin.wait_for_metric(ACTIVE, 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_that_has_expired_does_nothing() {
    let scene = Scene::with("{ abort: { status: 503 }, expires: '2001-01-01T00:00:00Z' }").await;
    assert_eq!(fetch(scene.proxy.address(), "/", "").await.status(), 200);
    assert_eq!(
        scene.metric(&format!("{SKIPPED}{{reason=\"expired\"}}")).await,
        1.0
    );
    assert_eq!(scene.metric(INJECTED).await, 0.0);
}

/// It is off by itself, without a reload, on a connection that goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_fault_expires_while_the_proxy_runs() {
    for seconds in [2, 5, 10] {
        let expires = Timestamp(SystemTime::now() + Duration::from_secs(seconds));
        let fault = format!("{{ abort: {{ status: 503 }}, expires: '{expires}' }}");
        let scene = Scene::with(&fault).await;
        let mut client = Client::connect(scene.proxy.address()).await;
        if client.fetch("/", "").await.status() == 200 {
            // The machine took as long as that to get here: once more, with more time.
            continue;
        }
        wait_until("the end of the fault", async || {
            (client.fetch("/", "").await.status() == 200).then_some(())
        })
        .await;
        assert!(SystemTime::now() >= expires.0);
        assert_eq!(client.fetch("/", "").await.status(), 200);
        return;
    }
    panic!("no fault was seen before it expired");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_the_headers_and_the_fraction_say_is_touched() {
    let scene = Scene::with(
        "{ headers: [{ name: x-team, exact: blue }, { name: x-no, present: true, invert: true }], \
         abort: { status: 503 } }",
    )
    .await;
    let mut client = Client::connect(scene.proxy.address()).await;
    for (fields, status) in [
        ("", 200),
        ("x-team: red\r\n", 200),
        ("x-team: blue\r\n", 503),
        ("x-team: blue\r\nx-no: 1\r\n", 200),
    ] {
        assert_eq!(client.fetch("/", fields).await.status(), status, "{fields:?}");
    }
    let none = Scene::with("{ abort: { percent: 0, status: 503 } }").await;
    for _ in 0..20 {
        assert_eq!(fetch(none.proxy.address(), "/", "").await.status(), 200);
    }
    assert_eq!(none.metric(INJECTED).await + none.metric(SKIPPED).await, 0.0);
}

/// A verified identity, never a claimed one.
#[tokio::test(flavor = "multi_thread")]
async fn only_certain_identities_are_touched() {
    let authority = Authority::new("root");
    let server = authority.issue_with("server", &["a.example"], |params| {
        params.subject_alt_names.push(uri("spiffe://example.org/server"));
    });
    let scene = Scene::edited(|document| {
        document
            .chain(&format!(
                "tls: {{ certificates: [{}], client: {{ ca_file: {} }} }}",
                server.yaml(),
                authority.root().display()
            ))
            .route(
                "fault: { expires: never, identities: [{ spiffe_id: 'spiffe://example.org/one' }], abort: { status: 503 } }",
            )
    })
    .await;
    for (name, status) in [("one", 503), ("two", 200)] {
        let svid = authority.issue_svid(name, &format!("spiffe://example.org/{name}"));
        let config = authority.client_config(&["http/1.1"], Some(&svid));
        let mut client = Client::connect_tls(scene.proxy.address(), config, "a.example")
            .await
            .unwrap();
        assert_eq!(client.fetch("/", "").await.status(), status, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_has_its_own_fault_or_none() {
    let scene = Scene::edited(|document| {
        document
            .http("fault: { expires: never, abort: { status: 500 } }")
            .routes(
                "{ match: { prefix: /calm }, forward: { cluster: upstream }, fault: off }, \
                 { match: { prefix: /own }, forward: { cluster: upstream }, fault: { expires: never, abort: { status: 501 } } }, \
                 { match: { prefix: / }, forward: { cluster: upstream } }",
            )
    })
    .await;
    let address = scene.proxy.address();
    for (path, status) in [("/calm", 200), ("/own", 501), ("/", 500)] {
        assert_eq!(fetch(address, path, "").await.status(), status, "{path}");
    }
}

/// Nobody breaks requests by saying so.
#[tokio::test(flavor = "multi_thread")]
async fn headers_of_strangers_ask_for_nothing() {
    let scene = Scene::with("{ by_header: true }").await;
    let fields = "x-envoy-fault-abort-request: 503\r\nx-envoy-fault-delay-request: 3600000\r\n";
    assert_eq!(fetch(scene.proxy.address(), "/", fields).await.status(), 200);
    assert_eq!(scene.metric(INJECTED).await, 0.0);
}

/// Peers that are believed break their own requests, and no header of it goes upstream.
#[tokio::test(flavor = "multi_thread")]
async fn believed_peers_ask_for_faults_of_their_requests() {
    let scene = Scene::edited(|document| {
        document
            .http("hint_peers: { addresses: [127.0.0.1/32] }")
            .routes(
                "{ match: { prefix: /deaf }, forward: { cluster: upstream }, fault: { expires: never, delay: { duration: 1ms } } }, \
                 { match: { prefix: / }, forward: { cluster: upstream }, fault: { expires: never, by_header: true } }",
            )
    })
    .await;
    let address = scene.proxy.address();
    for (path, fields, status) in [
        ("/", "x-envoy-fault-abort-request: 418\r\n", 418),
        ("/", "x-envoy-fault-abort-grpc-request: 14\r\n", 503),
        (
            "/",
            "x-envoy-fault-abort-request: 418\r\nx-envoy-fault-abort-request-percentage: 0\r\n",
            200,
        ),
        ("/", "x-envoy-fault-abort-request: 99\r\n", 200),
        ("/", "x-envoy-fault-delay-request: 1\r\n", 200),
        ("/", "", 200),
        ("/deaf", "x-envoy-fault-abort-request: 418\r\n", 200),
    ] {
        assert_eq!(
            fetch(address, path, fields).await.status(),
            status,
            "{path} {fields:?}"
        );
    }
    let delayed = format!("{INJECTED}{{kind=\"delay\"}}");
    assert_eq!(scene.metric(&delayed).await, 2.0);
    for request in scene.upstream.requests() {
        let fields = &request.head.fields;
        assert!(
            fields.iter().all(|(name, _)| !name.starts_with("x-envoy-fault")),
            "{fields:?}"
        );
    }
}

/// Whoever injects them forgets them.
#[tokio::test(flavor = "multi_thread")]
async fn every_start_and_reload_warns_of_faults_in_force() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("outrigger.yaml");
    let document = |expires: &str| {
        let fault = format!("fault: {{ expires: {expires}, abort: {{ percent: 5, status: 503 }} }}");
        Document::to(&["127.0.0.1:9".parse().unwrap()])
            .route(&fault)
            .to_string()
    };
    std::fs::write(&file, document("never")).unwrap();
    let process = Process::run(&file).await;
    let warned = async |text: &str| {
        wait_until(text, async || process.stderr().contains(text).then_some(())).await;
    };
    warned("a fault is injected, with no end: 5 % answered 503").await;
    std::fs::write(&file, document("'2100-01-01T00:00:00Z'")).unwrap();
    warned("a fault is injected until 2100-01-01T00:00:00Z: 5 % answered 503").await;
    std::fs::write(&file, document("'2001-01-01T00:00:00Z'")).unwrap();
    warned("a fault has expired (2001-01-01T00:00:00Z) and does nothing: 5 % answered 503").await;
}
