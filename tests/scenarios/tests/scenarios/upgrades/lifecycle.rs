//! Tunnels and the life of the proxy: drain, reload, pools, the access log.

use super::peers::{Then, Tunnel, Upstream};
use super::translations::{PAIRS, proxy};
use outrigger_fixtures::frames::FrameKind;
use outrigger_harness::{Client, Document, Proxy, wait_until, within};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_leaves_tunnels_until_they_end() {
    for (downstream, up) in PAIRS {
        let upstream = Upstream::start(up, Then::Echo).await;
        let proxy = proxy(&upstream, up, "").await;
        let (mut tunnel, _, _) = Tunnel::open(proxy.address(), downstream, &[]).await;
        let whole = proxy.drain(Duration::ZERO, Duration::from_secs(60));
        if downstream {
            let is_goaway = |frame: &outrigger_fixtures::frames::Frame| frame.kind == FrameKind::GoAway;
            tunnel.http2().next_where(is_goaway).await.unwrap();
        } else {
            let address = proxy.address();
            wait_until("no more connections", async || {
                tokio::net::TcpStream::connect(address).await.err()
            })
            .await;
        }
        tunnel.say("hello").await;
        tunnel.finish().await;
        assert_eq!(tunnel.rest().await.0, "bye", "{downstream} {up}");
        drop(tunnel);
        assert!(within("the drain", whole).await.unwrap(), "{downstream} {up}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_cuts_tunnels_when_its_time_is_up() {
    for (downstream, up) in PAIRS {
        let upstream = Upstream::start(up, Then::Echo).await;
        let proxy = proxy(&upstream, up, "").await;
        let (mut tunnel, _, _) = Tunnel::open(proxy.address(), downstream, &[]).await;
        tunnel.say("hello").await;
        let whole = proxy.drain(Duration::ZERO, Duration::from_millis(50));
        assert!(!within("the drain", whole).await.unwrap(), "{downstream} {up}");
        let (heard, _) = upstream.heard().await;
        assert_eq!(heard, "hello");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_leaves_tunnels_and_the_removal_of_their_chain_drains_them() {
    for (downstream, up) in PAIRS {
        let upstream = Upstream::start(up, Then::Echo).await;
        let protocol = if up { "http2" } else { "http1" };
        let document = |name: &str, timeout: &str| {
            Document::to(&[upstream.address()])
                .cluster(&format!("protocol: {protocol}"))
                .listener("filter_chains: []")
                .to_string()
                .replace(
                    "filter_chains: []",
                    &format!("filter_chains: [{{ name: {name}, http: {{ route_configuration: main }} }}]"),
                )
                + &format!("drain: {{ timeout: {timeout} }}\n")
        };
        let proxy = Proxy::start(document("one", "300ms")).await;
        let (mut tunnel, _, _) = Tunnel::open(proxy.address(), downstream, &[]).await;
        tunnel.say("before").await;
        // The cluster changes, and so do its routes' timeouts; the tunnel's chain is the same.
        proxy
            .reload(document("one", "300ms").replace("protocol", "connect_timeout: 1s, protocol"))
            .await
            .unwrap();
        tunnel.say("between").await;
        let elsewhere = document("one", "300ms").replace("name: edge", "name: other");
        let elsewhere =
            elsewhere
                .replace("127.0.0.1:0", "127.0.0.2:0")
                .replacen("127.0.0.2:0", "127.0.0.1:0", 1);
        proxy.reload(elsewhere).await.unwrap();
        let (_, _) = tunnel.rest().await;
        let (heard, _) = upstream.heard().await;
        assert_eq!(heard, "beforebetween", "{downstream} {up}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_takes_its_connection_out_of_the_pool() {
    let upstream = Upstream::start(false, Then::Echo).await;
    let proxy = proxy(&upstream, false, "").await;
    let mut tunnels = Vec::new();
    for _ in 0..3 {
        tunnels.push(Tunnel::open(proxy.address(), false, &[]).await.0);
    }
    for tunnel in &mut tunnels {
        tunnel.say("mine").await;
    }
    let admin = proxy.admin();
    assert_eq!(admin.metric("outrigger_cluster_connections_active").await, 3.0);
    assert_eq!(admin.metric("outrigger_cluster_pool_hits_total").await, 0.0);
    admin
        .wait_for_metric("outrigger_listener_tunnels_active", 3.0)
        .await;
    admin
        .wait_for_metric("outrigger_route_requests_active", 3.0)
        .await;
    admin
        .wait_for_metric("outrigger_listener_requests_active", 3.0)
        .await;
    drop(tunnels);
    for gauge in [
        "outrigger_cluster_connections_active",
        "outrigger_cluster_requests_active",
        "outrigger_route_requests_active",
        "outrigger_listener_requests_active",
        "outrigger_listener_connections_active",
    ] {
        admin.wait_for_metric(gauge, 0.0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_are_counted_while_the_tunnel_lasts() {
    for (downstream, up) in PAIRS {
        let upstream = Upstream::start(up, Then::Echo).await;
        let proxy = proxy(&upstream, up, "").await;
        let (mut tunnel, _, _) = Tunnel::open(proxy.address(), downstream, &[]).await;
        tunnel.say(&"x".repeat(10_000)).await;
        let admin = proxy.admin();
        for side in ["listener", "cluster"] {
            for way in ["received", "sent"] {
                let series = format!("outrigger_{side}_{way}_bytes_total");
                admin.wait_for(&series, |bytes| bytes >= 10_000.0).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_line_at_the_end_tells_of_the_tunnel() {
    for (downstream, up) in PAIRS {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let upstream = Upstream::start(up, Then::Echo).await;
        let log = format!(
            "access_logs: [{{ path: '{}', format: {{ text: '%REQ(:METHOD)% %REQ(:PATH)% %REQ(X-MINE)% %RESPONSE_CODE% \
             %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %BYTES_RECEIVED% %BYTES_SENT% %UPSTREAM_CLUSTER% \
             %ROUTE_NAME% %RESP(X-FROM)%' }} }}]",
            path.display()
        );
        let proxy = proxy(&upstream, up, &log).await;
        let (mut tunnel, _, _) = Tunnel::open(proxy.address(), downstream, &[("x-mine", "1")]).await;
        tunnel.say("hello").await;
        assert_eq!(
            std::fs::read_to_string(&path).unwrap_or_default(),
            "",
            "it has not ended"
        );
        tunnel.finish().await;
        tunnel.rest().await;
        drop(tunnel);
        let line = wait_until("the line", async || {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            text.ends_with('\n').then_some(text)
        })
        .await;
        let status = if downstream { 200 } else { 101 };
        assert_eq!(
            line.trim_end(),
            format!("GET /chat?room=1 1 {status} - via_upstream 5 8 upstream all/0 upstream"),
            "{downstream} {up}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http2_connection_carries_tunnels_and_requests_side_by_side() {
    use outrigger_fixtures::frames::{Frame, FrameConnection};
    let upstream = Upstream::start(true, Then::Echo).await;
    let proxy = proxy(&upstream, true, "").await;
    let mut client = FrameConnection::connect(proxy.address(), &[]).await.unwrap();
    let more = [(":protocol", "websocket")];
    for stream in [1, 3, 5] {
        let request = Frame::request(stream, "CONNECT", "/", &more, false);
        client.send(request).await.unwrap();
        let head = client.next_headers().await.unwrap();
        assert_eq!((head.stream, head.field(":status")), (stream, Some("200")));
    }
    for stream in [3, 1, 5] {
        let text = format!("mine {stream}");
        client
            .send(Frame::data(stream, text.clone(), false))
            .await
            .unwrap();
        let frame = client
            .next_where(|frame| frame.kind == FrameKind::Data)
            .await
            .unwrap();
        assert_eq!((frame.stream, &frame.payload[..]), (stream, text.as_bytes()));
    }
    // One of HTTP/1 shares the upstream's connection with them.
    let mut other = Client::connect(proxy.address()).await;
    other.send(super::opening("")).await;
    assert_eq!(other.head().await.status(), 101);
    super::say(&mut other, "hello").await;
    assert_eq!(
        proxy.admin().metric("outrigger_cluster_connections_active").await,
        1.0
    );
}
