//! Plain text and TLS on one port.

use super::*;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn permissive(mesh: &Mesh, more: &str) -> String {
    format!("tls: {{ mode: permissive, {}{more} }}", mesh.mutual())
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_text_is_served_as_nobodys_and_tls_as_who_it_is() {
    let mesh = Mesh::new();
    let upstream = Scripted::ok().await;
    let document = Document::to(&[upstream.address()]).chain(&permissive(&mesh, ""));
    let proxy = Proxy::start(document).await;
    let proto = || {
        upstream
            .last_request()
            .head
            .field("x-forwarded-proto")
            .map(str::to_owned)
    };

    let mut plain = Client::connect(proxy.address()).await;
    for _ in 0..2 {
        assert_eq!(plain.fetch("/", "").await.status(), 200);
    }
    assert_eq!(proto().as_deref(), Some("http"));
    let mut slow = Client::connect(proxy.address()).await;
    slow.send_bytewise("GET / HTTP/1.1\r\nhost: a.example\r\n\r\n")
        .await;
    assert_eq!(slow.response("GET").await.status(), 200);

    let answer = fetch_by(proxy.address(), mesh.known()).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(proto().as_deref(), Some("https"));
    // TLS is as strict as it would be without.
    let unknown = mesh.authority.client_config(&["http/1.1"], None);
    assert!(fetch_by(proxy.address(), unknown).await.is_none());

    let admin = proxy.admin();
    admin
        .wait_for_metric(&failures("listener", "certificate_missing"), 1.0)
        .await;
    let by_tls = "outrigger_listener_tls_connections_total{version=\"1.3\"}";
    admin.wait_for_metric(by_tls, 1.0).await;
    let known = format!("outrigger_downstream_identity_requests_total{{source_identity=\"{CLIENT}\"}}");
    admin.wait_for_metric(&known, 1.0).await;
    assert_eq!(
        admin.metric("outrigger_downstream_identity_requests_total").await,
        1.0,
        "plain text is nobody's"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_for_plain_text_alone_comes_first_where_it_asks_for_it() {
    let mesh = Mesh::new();
    let chain = |name: &str, fields: &str| {
        format!(
            "{{ name: {name}, {fields}, http: {{ route_configuration: main, server_header: {{ set: {name} }} }} }}"
        )
    };
    let chains = [
        chain("both", &permissive(&mesh, "")),
        chain("plain", "match: { transport: raw }"),
    ];
    let document = Document::to(&[])
        .routes("{ match: { prefix: / }, direct_response: { status: 200 } }")
        .listener(&format!("filter_chains: [{}]", chains.join(", ")));
    let proxy = Proxy::start(document).await;
    let plain = Client::connect(proxy.address()).await.fetch("/", "").await;
    assert_eq!(plain.field("server"), Some("plain"));
    let tls = fetch_by(proxy.address(), mesh.known()).await.unwrap();
    assert_eq!(tls.field("server"), Some("both"));
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_and_what_begins_as_tls_and_stops_are_ended_in_time() {
    let mesh = Mesh::new();
    let document = Document::to(&[])
        .routes("{ match: { prefix: / }, direct_response: { status: 200 } }")
        .chain(&permissive(&mesh, ", handshake_timeout: 200ms"));
    let proxy = Proxy::start(document).await;
    let admin = proxy.admin();
    let mut silent = Client::connect(proxy.address()).await;
    assert!(silent.is_closed().await);
    let silence = "outrigger_listener_connections_refused_total{reason=\"detection_timeout\"}";
    admin.wait_for_metric(silence, 1.0).await;
    let mut half = Client::connect(proxy.address()).await;
    half.send(b"\x16\x03\x01\x02\x00\x01").await;
    assert!(half.is_closed().await);
    admin.wait_for_metric(&failures("listener", "timeout"), 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_speaks_first_is_heard_by_a_client_that_waits() {
    let mesh = Mesh::new();
    let upstream = Scripted::start(|mut script| async move {
        script.send("220 ready\r\n").await?;
        script.until_closed().await
    })
    .await;
    let tls = permissive(&mesh, "");
    for mode in [
        format!(
            "{tls}, mode: auto, detection_timeout: 200ms, http: {{ route_configuration: main }}, tcp: {{ cluster: upstream }}"
        ),
        format!(
            "{}, tcp: {{ cluster: upstream }}",
            permissive(&mesh, ", handshake_timeout: 200ms")
        ),
    ] {
        let document =
            Document::to(&[upstream.address()]).listener(&format!("filter_chains: [{{ {mode} }}]"));
        let proxy = Proxy::start(document).await;
        let mut client = Client::connect(proxy.address()).await;
        assert_eq!(client.take(11).await, b"220 ready\r\n", "{mode}");
        // By TLS it is not waited for: the ClientHello has spoken.
        let config = mesh.authority.client_config(&[], Some(&mesh.client));
        let mut client = Client::connect_tls(proxy.address(), config, NAME).await.unwrap();
        assert_eq!(client.take(11).await, b"220 ready\r\n", "{mode}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_becomes_strict_lets_plain_connections_go() {
    let mesh = Mesh::new();
    let document = |mode: &str| {
        Document::to(&[])
            .routes("{ match: { prefix: / }, direct_response: { status: 200 } }")
            .chain(&format!("tls: {{ mode: {mode}, {} }}", mesh.mutual()))
    };
    let proxy = Proxy::start(document("permissive")).await;
    let mut plain = Client::connect(proxy.address()).await;
    assert_eq!(plain.fetch("/", "").await.status(), 200);
    let known = mesh.known();
    let mut tls = Client::connect_tls(proxy.address(), known, NAME).await.unwrap();
    assert_eq!(tls.fetch("/", "").await.status(), 200);
    proxy.reload(document("strict")).await.unwrap();
    // It is told, or closed; it is not served on and on.
    plain.send("GET / HTTP/1.1\r\nhost: a.example\r\n\r\n").await;
    let last = plain.try_response_within().await.ok();
    assert!(last.is_none_or(|last| last.field("connection") == Some("close")));
    assert!(plain.is_closed().await);
    let mut refused = TcpStream::connect(proxy.address()).await.unwrap();
    refused
        .write_all(b"GET / HTTP/1.1\r\nhost: a.example\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    tokio::time::timeout(Duration::from_secs(20), refused.read_to_string(&mut answer))
        .await
        .unwrap()
        .unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert_eq!(
        fetch_by(proxy.address(), mesh.known()).await.unwrap().status(),
        200
    );
}
