//! What is kept, for how long, and how it is asked for.

use super::{PATH, fetched, nowhere, recorded, told};
use outrigger_fixtures::Scripted;
use outrigger_harness::{Client, Document, Proxy, client, process, wait_until};
use serde_json::Value;
use std::process::Command;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// What `outrigger why` says to these arguments: its exit code, and both its outputs.
async fn why(proxy: &Proxy, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(process::binary());
    command.arg("why").args(arguments);
    command.args(["--admin", &proxy.admin().0.to_string()]);
    let run = tokio::task::spawn_blocking(move || command.output());
    let output = run.await.unwrap().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_found_by_what_is_known_of_it() {
    let upstream = Scripted::ok().await;
    let document = Document::to(&[upstream.address()])
        .http("xff_num_trusted_hops: 1")
        .routes(
            "{ name: dead, match: { prefix: /dead }, forward: { cluster: dead } }, \
             { name: live, match: { prefix: / }, forward: { cluster: upstream } }",
        )
        .with_cluster("dead", &[nowhere().await], "");
    let proxy = Proxy::start(document).await;
    let fields = format!("x-request-id: order-17\r\ntraceparent: 00-{TRACE}-b7ad6b7169203331-01\r\n");
    assert_eq!(
        client::fetch(proxy.address(), "/dead/end", &fields)
            .await
            .status(),
        503
    );
    assert_eq!(client::fetch(proxy.address(), "/live", "").await.status(), 200);
    for arguments in [
        &["order-17"][..],
        &["--trace-id", TRACE],
        &["--last-error"],
        &["--route", "dead", "--status", "503"],
        &["--cluster", "dead"],
        &["--flag", "UF"],
    ] {
        let query = match arguments {
            ["order-17"] => "request-id=order-17",
            _ => "last-error",
        };
        recorded(&proxy, query).await;
        let (code, said, _) = why(&proxy, arguments).await;
        assert_eq!(code, 0, "{arguments:?}");
        for part in [
            "Why: endpoint ",
            "cluster `dead` (test.yaml:",
            "Route `dead` (test.yaml:",
            "`order-17`",
            TRACE,
        ] {
            assert!(said.contains(part), "{arguments:?}: no {part} in:\n{said}");
        }
        assert!(!said.contains("/live"), "{arguments:?}:\n{said}");
    }
    let (code, said, wrong) = why(&proxy, &["order-18"]).await;
    assert_eq!((code, said.as_str()), (1, ""));
    assert!(wrong.contains("nothing is recorded of it"), "{wrong}");
    let (code, _, wrong) = why(&proxy, &["--flag", "XX"]).await;
    assert!(code == 2 && wrong.contains("expected one of UH, UF"), "{wrong}");
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_that_were_passed_over_are_told_with_their_reasons() {
    let upstream = Scripted::ok().await;
    let document = Document::to(&[upstream.address()]).routes(
        "{ name: posts, match: { prefix: /case, methods: [POST] }, forward: { cluster: upstream } }, \
         { name: canary, match: { prefix: /case, headers: [{ name: x-canary, exact: 'yes' }] }, forward: { cluster: upstream } }, \
         { name: other, match: { prefix: /other }, forward: { cluster: upstream } }, \
         { name: all, match: { prefix: / }, forward: { cluster: upstream, prefix_rewrite: /moved, host_rewrite: inside } }",
    );
    let record = fetched(document).await;
    assert_eq!(
        (&record["path"], &record["authority"]),
        (&PATH.into(), &"test".into())
    );
    let said = record["explanation"].to_string();
    for part in [
        "Route `all` (test.yaml:",
        "Route `posts` (test.yaml:",
        "method must be POST, it is `GET`",
        "Route `canary` (test.yaml:",
        "what came is not kept: header `x-canary` must be `yes`",
        "Route `other` (test.yaml:",
        "does not match `/case`",
    ] {
        assert!(said.contains(part), "no {part} in {record:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_header_values_and_control_characters_are_never_told() {
    let upstream = Scripted::ok().await;
    let proxy = Proxy::start(Document::to(&[upstream.address()])).await;
    let fields = "authorization: Bearer hidden\r\ncookie: hidden\r\nx-request-id: hidden\r\n";
    client::fetch(proxy.address(), "/case?token=hidden", fields).await;
    let record = told(&proxy).await;
    assert!(!record.to_string().contains("hidden"), "{record:#}");
    let id = record["request_id"].as_str().unwrap();
    assert_eq!(id.len(), 36, "an untrusted client's id is replaced");
    let seen = upstream.last_request();
    assert_eq!(seen.head.field("x-request-id"), Some(id));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_told_by_the_configuration_that_served_it() {
    let upstream = Scripted::ok().await;
    let named = |name: &str| {
        Document::to(&[upstream.address()]).routes(&format!(
            "{{ name: {name}, match: {{ prefix: / }}, forward: {{ cluster: upstream }} }}"
        ))
    };
    let proxy = Proxy::start(named("before")).await;
    client::fetch(proxy.address(), PATH, "").await;
    let before = told(&proxy).await;
    let id = before["request_id"].as_str().unwrap();
    for _ in 0..3 {
        proxy.reload(named("after")).await.unwrap();
        proxy.reload(named("between")).await.unwrap();
    }
    let after = &recorded(&proxy, &format!("request-id={id}")).await[0];
    assert_eq!(
        (&after["route"], &after["generation"]),
        (&"before".into(), &1.into())
    );
    for _ in 0..16 {
        proxy.reload(named("after")).await.unwrap();
        proxy.reload(named("between")).await.unwrap();
    }
    let gone = &recorded(&proxy, &format!("request-id={id}")).await[0];
    assert_eq!(gone["route"], Value::Null);
    let said = gone["explanation"].to_string();
    assert!(
        said.contains("which is not kept any more (the last 32 that differ"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn other_settings_begin_anew_and_off_keeps_nothing() {
    let upstream = Scripted::ok().await;
    let document = |recorder: &str| {
        Document::to(&[upstream.address()]).with(&format!("telemetry: {{ recorder: {recorder} }}"))
    };
    let proxy = Proxy::start(document("{ memory: 1MiB }")).await;
    client::fetch(proxy.address(), PATH, "").await;
    told(&proxy).await;
    proxy.reload(document("{ memory: 2MiB }")).await.unwrap();
    let reason = |answer: &Value| answer["reason"].as_str().unwrap_or_default().to_owned();
    let nothing = async || -> Value {
        let response = proxy.admin().fetch("/explain?format=json").await;
        assert_eq!(response.status(), 404);
        serde_json::from_slice(&response.body.bytes).unwrap()
    };
    assert!(reason(&nothing().await).contains("what is oldest is overwritten"));
    proxy.reload(document("off")).await.unwrap();
    client::fetch(proxy.address(), PATH, "").await;
    assert!(reason(&nothing().await).contains("the flight recorder is off"));
    proxy.reload(document("{ slow: 0s }")).await.unwrap();
    client::fetch(proxy.address(), PATH, "").await;
    told(&proxy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_is_found_after_many_plain_requests() {
    let upstream = Scripted::ok().await;
    let document = Document::to(&[upstream.address()])
        .workers(1)
        .routes(
            "{ match: { prefix: /case }, forward: { cluster: dead } }, \
             { match: { prefix: / }, forward: { cluster: upstream } }",
        )
        .with_cluster("dead", &[], "")
        .with("telemetry: { recorder: { memory: 256KiB } }");
    let proxy = Proxy::start(document).await;
    client::fetch(proxy.address(), "/first", "").await;
    client::fetch(proxy.address(), PATH, "").await;
    let mut client = Client::connect(proxy.address()).await;
    for _ in 0..1500 {
        assert_eq!(client.fetch("/plain", "").await.status(), 200);
    }
    assert_eq!(told(&proxy).await["status"], 503);
    let all = recorded(&proxy, "limit=1000").await.to_string();
    assert!(!all.contains("/first"), "a plain request of as long ago is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_request_is_found_after_many_plain_ones() {
    const SLOW: Duration = Duration::from_millis(300);
    let (go, gone) = tokio::sync::watch::channel(false);
    let upstream = Scripted::start(move |mut script| {
        let mut go = gone.clone();
        async move {
            while let Some(request) = script.request().await? {
                if request.head.target() == PATH {
                    let _ = go.wait_for(|go| *go).await;
                }
                let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                script.send(answer).await?;
            }
            Ok(())
        }
    })
    .await;
    let document = Document::to(&[upstream.address()])
        .workers(1)
        .with("telemetry: { recorder: { memory: 256KiB, slow: 300ms } }");
    let proxy = Proxy::start(document).await;
    client::fetch(proxy.address(), "/first", "").await;
    let mut slow = Client::connect(proxy.address()).await;
    slow.send(format!("GET {PATH} HTTP/1.1\r\nhost: test\r\n\r\n"))
        .await;
    wait_until("the request is at its upstream", async || {
        (upstream.request_count() == 2).then_some(Instant::now())
    })
    .await;
    let held = Instant::now();
    wait_until("it is slow", async || (held.elapsed() > SLOW).then_some(())).await;
    go.send_replace(true);
    assert_eq!(slow.response("GET").await.status(), 200);
    let mut client = Client::connect(proxy.address()).await;
    for _ in 0..1500 {
        assert_eq!(client.fetch("/plain", "").await.status(), 200);
    }
    assert_eq!(told(&proxy).await["status"], 200);
    let all = recorded(&proxy, "limit=1000").await.to_string();
    assert!(!all.contains("/first"), "a plain request of as long ago is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_whose_bytes_are_passed_on_are_told_of() {
    let passing = |endpoints: &str| {
        format!(
            "admin: {{ address: 127.0.0.1:0 }}\n\
             runtime: {{ workers: 1 }}\n\
             listeners:\n\
             - {{ name: edge, address: 127.0.0.1:0, filter_chains: [{{ name: bytes, tcp: {{ cluster: upstream }} }}] }}\n\
             clusters:\n\
             - {{ name: upstream, endpoints: [{endpoints}] }}\n"
        )
    };
    let upstream = Scripted::ok().await;
    let proxy = Proxy::start(passing(&format!("{{ address: '{}' }}", upstream.address()))).await;
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(
        proxy.admin().fetch("/explain").await.status(),
        404,
        "it is still open"
    );
    drop(stream);
    let record = recorded(&proxy, "cluster=upstream").await[0].clone();
    assert_eq!(
        (&record["kind"], &record["filter_chain"]),
        (&"connection".into(), &"bytes".into())
    );
    assert!(record["bytes_received"].as_u64().unwrap() > 20, "{record:#}");
    let gone = nowhere().await;
    let proxy = Proxy::start(passing(&format!("{{ address: '{gone}' }}"))).await;
    // The reset may come before the client knows that it is connected.
    let _ = TcpStream::connect(proxy.address()).await;
    let record = recorded(&proxy, "last-error").await[0].clone();
    let cause = record["cause"].as_str().unwrap();
    let wanted = format!("endpoint {gone} of cluster `upstream` (test.yaml:");
    assert!(
        cause.starts_with(&wanted) && cause.contains("nothing listens there"),
        "{cause}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_is_told_of_when_it_has_ended() {
    let upstream = Scripted::start(|mut script| async move {
        script.head().await?;
        script
            .send("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: chat\r\n\r\n")
            .await?;
        script.until_closed().await
    })
    .await;
    let document = Document::to(&[upstream.address()]).http("upgrades: [chat]");
    let proxy = Proxy::start(document).await;
    let mut client = Client::connect(proxy.address()).await;
    client
        .send(format!(
            "GET {PATH} HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: chat\r\n\r\n"
        ))
        .await;
    assert_eq!(client.head().await.status(), 101);
    assert_eq!(
        proxy.admin().fetch("/explain").await.status(),
        404,
        "it is still open"
    );
    drop(client);
    let record = told(&proxy).await;
    assert_eq!(
        (&record["status"], &record["method"]),
        (&101.into(), &"GET".into())
    );
    wait_until("the upstream's end", async || {
        (upstream.open_connections() == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_that_a_trusted_proxy_tells_of_is_told() {
    let upstream = Scripted::ok().await;
    let dead = "{ match: { prefix: /dead }, forward: { cluster: dead } }, \
                { match: { prefix: / }, forward: { cluster: upstream } }";
    let document = Document::to(&[upstream.address()])
        .http("xff_num_trusted_hops: 1")
        .routes(dead)
        .with_cluster("dead", &[nowhere().await], "");
    let proxy = Proxy::start(document).await;
    for (path, client) in [("/dead", "192.0.2.7"), ("/live", "192.0.2.8")] {
        let fields = format!("x-request-id: for-{client}\r\nx-forwarded-for: {client}\r\n");
        client::fetch(proxy.address(), path, &fields).await;
        let record = &recorded(&proxy, &format!("request-id=for-{client}")).await[0];
        assert_eq!(record["peer"], format!("{client}:0"), "{record:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_was_cut_in_a_character_is_found() {
    let upstream = Scripted::ok().await;
    let document = Document::to(&[upstream.address()]).http("xff_num_trusted_hops: 1");
    let proxy = Proxy::start(document).await;
    let id = format!("a{}", "\u{e4}".repeat(40));
    client::fetch(proxy.address(), PATH, &format!("x-request-id: {id}\r\n")).await;
    told(&proxy).await;
    let (code, said, wrong) = why(&proxy, &[&id]).await;
    assert_eq!(code, 0, "{said}{wrong}");
}
