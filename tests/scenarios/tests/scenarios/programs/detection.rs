//! Servers and clients that nobody here wrote behind one port that detects: Redis, which waits for its client, a mail
//! server that speaks first, and curl.

use super::{Beside, installed, output, peer};
use outrigger_fixtures::Echo;
use outrigger_harness::{Client, Document, Proxy};
use std::net::SocketAddr;
use std::process::Command;

/// HTTP is echoed; everything else goes to `bytes`.
async fn sharing(web: &Echo, bytes: SocketAddr) -> Proxy {
    let document = Document::to(&[])
        .with_cluster("web", &[web.address()], "")
        .with_cluster("bytes", &[bytes], "")
        .routes("{ match: { prefix: / }, forward: { cluster: web } }")
        .listener(
            "filter_chains: [{ http: { route_configuration: main }, tcp: { cluster: bytes }, detection_timeout: 1h }]",
        );
    Proxy::start(document).await
}

async fn curl_is_answered(proxy: &Proxy) {
    let url = format!("http://{}/path", proxy.address());
    for (option, version) in [("--http1.1", "1.1"), ("--http2-prior-knowledge", "2")] {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--fail", "--max-time", "60", option]);
        command.args(["--write-out", "%{http_version}", "--data", "hello ", &url]);
        assert_eq!(output(command).await, format!("hello {version}"));
    }
}

/// Starts Redis on a port that was free a moment ago, until it gets one.
async fn redis() -> (Beside, SocketAddr) {
    loop {
        let free = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let mut command = Command::new("redis-server");
        command.args([
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
            "--port",
        ]);
        command.arg(free.port().to_string());
        let redis = Beside::start(command);
        while let Some(line) = redis.try_line() {
            if line.contains("Ready to accept connections") {
                return (redis, free);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_and_curl_share_a_port() {
    if !installed(&["redis-server", "redis-cli", "curl"]) {
        return;
    }
    let web = Echo::start().await;
    let (_redis, address) = redis().await;
    let proxy = sharing(&web, address).await;
    let port = proxy.address().port().to_string();
    let ask = async |words: &[&str]| {
        let mut command = Command::new("redis-cli");
        command.args(["-p", &port]).args(words);
        output(command).await
    };
    for _ in 0..2 {
        assert_eq!(ask(&["ping"]).await, "PONG\n");
        assert_eq!(ask(&["set", "key", "GET / HTTP/1.1"]).await, "OK\n");
        assert_eq!(ask(&["get", "key"]).await, "GET / HTTP/1.1\n");
        curl_is_answered(&proxy).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_and_curl_share_a_port() {
    if !installed(&["python3", "curl"]) {
        return;
    }
    let web = Echo::start().await;
    let mut command = Command::new("python3");
    command.arg(peer("mail.py"));
    let (_mail, address) = Beside::listening(command);
    let proxy = sharing(&web, address).await;
    for _ in 0..2 {
        curl_is_answered(&proxy).await;
        let mut command = Command::new("python3");
        command
            .arg(peer("mail.py"))
            .arg(proxy.address().port().to_string());
        assert_eq!(output(command).await, "delivered\n");
    }
    // The banner comes to whoever waits.
    let mut client = Client::connect(proxy.address()).await;
    assert_eq!(client.take(4).await, b"220 ");
}
