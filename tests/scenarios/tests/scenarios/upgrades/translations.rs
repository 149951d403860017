//! WebSockets between all pairs of versions: heads, bytes, ends, resets.

use super::peers::{End, RST, Then, Tunnel, Upstream};
use super::{ACCEPT, KEY};
use outrigger_fixtures::frames::code;
use outrigger_harness::{Document, Proxy, wait_until};

/// Downstream and upstream speak HTTP/2.
pub const PAIRS: [(bool, bool); 4] = [(false, false), (false, true), (true, false), (true, true)];

/// A proxy before this upstream, with more fields of `http`.
pub async fn proxy(upstream: &Upstream, http2: bool, http: &str) -> Proxy {
    let protocol = if http2 { "http2" } else { "http1" };
    let document = Document::to(&[upstream.address()])
        .http(http)
        .cluster(&format!("protocol: {protocol}"));
    Proxy::start(document.workers(1)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_say_the_same_in_the_other_version() {
    for (downstream, up) in PAIRS {
        let upstream = Upstream::start(up, Then::Echo).await;
        let proxy = proxy(&upstream, up, "").await;
        let more = [("x-mine", "1"), ("origin", "http://test")];
        let (mut tunnel, status, answer) = Tunnel::open(proxy.address(), downstream, &more).await;
        let sent = upstream.head();
        let field = |name: &str| sent.get(name).map(String::as_str);
        assert_eq!(
            (field("x-mine"), field("origin")),
            (Some("1"), Some("http://test"))
        );
        assert_eq!(
            (field("sec-websocket-version"), field("sec-websocket-protocol")),
            (Some("13"), Some("chat"))
        );
        if up {
            assert_eq!(
                (field(":method"), field(":protocol")),
                (Some("CONNECT"), Some("websocket"))
            );
            assert_eq!(
                (field(":scheme"), field(":authority")),
                (Some("http"), Some("test"))
            );
            assert_eq!(field(":path"), Some("/chat?room=1"));
            for name in [
                "connection",
                "upgrade",
                "sec-websocket-key",
                "host",
                "content-length",
            ] {
                assert_eq!(field(name), None, "{name}");
            }
        } else {
            assert_eq!(field("start"), Some("GET /chat?room=1 HTTP/1.1"));
            assert_eq!(
                (field("host"), field("connection")),
                (Some("test"), Some("upgrade"))
            );
            assert!(field("upgrade").unwrap().eq_ignore_ascii_case("websocket"));
            assert_eq!(
                (field("content-length"), field("transfer-encoding")),
                (None, None)
            );
            assert_eq!(
                field("sec-websocket-key") == Some(KEY),
                !downstream,
                "{downstream}"
            );
        }
        let field = |name: &str| answer.get(name).map(String::as_str);
        assert_eq!(
            (field("sec-websocket-protocol"), field("x-from")),
            (Some("chat"), Some("upstream"))
        );
        if downstream {
            assert_eq!(status, 200);
            for name in ["connection", "upgrade", "sec-websocket-accept", "content-length"] {
                assert_eq!(field(name), None, "{name}");
            }
        } else {
            assert_eq!(status, 101);
            assert_eq!(
                (field("connection"), field("upgrade")),
                (Some("upgrade"), Some("WebSocket"))
            );
            assert_eq!(field("sec-websocket-accept"), Some(ACCEPT));
        }
        tunnel.say("hello").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_pass_both_ways_and_the_clients_end_leaves_the_other_way_open() {
    for (downstream, up) in PAIRS {
        let upstream = Upstream::start(up, Then::Echo).await;
        let proxy = proxy(&upstream, up, "").await;
        let (mut tunnel, _, _) = Tunnel::open(proxy.address(), downstream, &[]).await;
        let mut all = String::new();
        for length in [1, 100, 5_000, 16_000] {
            let text = "x".repeat(length);
            tunnel.say(&text).await;
            all.push_str(&text);
        }
        tunnel.finish().await;
        assert_eq!(
            tunnel.rest().await,
            ("bye".to_owned(), End::Order),
            "{downstream} {up}"
        );
        assert_eq!(upstream.heard().await, (all, End::Order));
        let admin = proxy.admin();
        admin
            .wait_for_metric("outrigger_listener_tunnels_ended_total{reason=\"closed\"}", 1.0)
            .await;
        let class = if downstream { "2xx" } else { "1xx" };
        let series = format!("outrigger_route_requests_total{{code_class=\"{class}\"}}");
        admin.wait_for_metric(&series, 1.0).await;
        admin
            .wait_for_metric("outrigger_cluster_requests_active", 0.0)
            .await;
        admin
            .wait_for_metric("outrigger_route_request_bytes_total", 21_101.0)
            .await;
        admin
            .wait_for_metric("outrigger_route_response_bytes_total", 21_104.0)
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_upstreams_end_leaves_the_other_way_open() {
    for (downstream, up) in PAIRS {
        let upstream = Upstream::start(up, Then::EndFirst).await;
        let proxy = proxy(&upstream, up, "").await;
        let (mut tunnel, _, _) = Tunnel::open(proxy.address(), downstream, &[]).await;
        assert_eq!(
            tunnel.rest().await,
            ("all".to_owned(), End::Order),
            "{downstream} {up}"
        );
        tunnel.send("late").await;
        tunnel.finish().await;
        assert_eq!(
            upstream.heard().await,
            ("late".to_owned(), End::Order),
            "{downstream} {up}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_breaks_off_breaks_the_client_off() {
    for (downstream, up) in PAIRS {
        let upstream = Upstream::start(up, Then::Reset).await;
        let proxy = proxy(&upstream, up, "").await;
        let (mut tunnel, _, _) = Tunnel::open(proxy.address(), downstream, &[]).await;
        tunnel.send("go").await;
        let code = if downstream { code::CANCEL } else { RST };
        assert_eq!(
            tunnel.rest().await,
            (String::new(), End::Reset(code)),
            "{downstream} {up}"
        );
        proxy
            .admin()
            .wait_for_metric(
                "outrigger_listener_tunnels_ended_total{reason=\"upstream_reset\"}",
                1.0,
            )
            .await;
        assert_eq!(upstream.heads(), 1, "an upgrade is not repeated when it is there");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_breaks_off_breaks_the_upstream_off() {
    for (downstream, up) in PAIRS {
        let upstream = Upstream::start(up, Then::Echo).await;
        let proxy = proxy(&upstream, up, "").await;
        let (mut tunnel, _, _) = Tunnel::open(proxy.address(), downstream, &[]).await;
        tunnel.say("hello").await;
        tunnel.reset().await;
        let code = if up { code::CANCEL } else { RST };
        assert_eq!(
            upstream.heard().await,
            ("hello".to_owned(), End::Reset(code)),
            "{downstream} {up}"
        );
        proxy
            .admin()
            .wait_for_metric(
                "outrigger_listener_tunnels_ended_total{reason=\"downstream_reset\"}",
                1.0,
            )
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_on_which_nothing_moves_is_ended() {
    for (downstream, up) in PAIRS {
        let upstream = Upstream::start(up, Then::Echo).await;
        // Neither the stream's nor the route's time counts once the tunnel is there. Until then they do: both are longer than
        // the way there takes, and the log tells which of them was over.
        let logs = tempfile::tempdir().unwrap();
        let log = logs.path().join("access.log");
        let times = "upgrade_idle_timeout: 2500ms, stream_idle_timeout: 2s";
        let format = "{ text: '%RESPONSE_CODE_DETAILS%' }";
        let http = format!(
            "{times}, access_logs: [{{ path: '{}', format: {format} }}]",
            log.display()
        );
        let proxy = proxy(&upstream, up, &http).await;
        let (mut tunnel, _, _) = Tunnel::open(proxy.address(), downstream, &[]).await;
        tunnel.say("hello").await;
        let (rest, end) = tunnel.rest().await;
        assert_eq!(rest, "", "{downstream} {up}");
        if downstream {
            assert_eq!(end, End::Reset(code::CANCEL), "{up}");
        }
        let (heard, _) = upstream.heard().await;
        assert_eq!(heard, "hello");
        let admin = proxy.admin();
        admin
            .wait_for_metric("outrigger_listener_tunnels_ended_total{reason=\"idle\"}", 1.0)
            .await;
        admin
            .wait_for_metric("outrigger_route_response_flags_total{flag=\"SI\"}", 1.0)
            .await;
        let told = wait_until("the log", async || {
            let told = std::fs::read_to_string(&log).unwrap_or_default();
            (!told.is_empty()).then_some(told)
        })
        .await;
        assert!(told.contains("upgrade_idle_timeout"), "{told}");
    }
}
