//! Real servers as upstreams: nginx, and Python's own.

use super::{Beside, installed, output, peer, python};
use outrigger_harness::client::fetch;
use outrigger_harness::{Client, Document, Proxy, wait_until};
use std::net::{SocketAddr, TcpListener};
use std::process::Command;

/// Starts nginx with these directives of its server.
pub(super) async fn nginx(folder: &std::path::Path, server: &str) -> (Beside, SocketAddr) {
    // nginx cannot tell which port it got: one that was free a moment ago is tried.
    for _ in 0..10 {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let configuration = folder.join("nginx.conf");
        let root = folder.display();
        let text = format!(
            "daemon off; master_process off; worker_processes 1; pid {root}/pid; error_log {root}/error.log;\n\
             events {{ worker_connections 1024; }}\n\
             http {{ access_log off; client_body_temp_path {root}/body; proxy_temp_path {root}/proxy;\n\
             fastcgi_temp_path {root}/fastcgi; uwsgi_temp_path {root}/uwsgi; scgi_temp_path {root}/scgi;\n\
             server {{ listen {address}{server} }} }}\n"
        );
        std::fs::write(&configuration, text).unwrap();
        let mut command = Command::new("/usr/sbin/nginx");
        command
            .arg("-c")
            .arg(&configuration)
            .arg("-p")
            .arg(folder)
            .arg("-e")
            .arg(folder.join("error.log"));
        let beside = Beside::start(command);
        let up = tokio::time::timeout(std::time::Duration::from_secs(10), async {
            while tokio::net::TcpStream::connect(address).await.is_err() {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        });
        if up.await.is_ok() {
            return (beside, address);
        }
    }
    panic!(
        "nginx does not start: {:?}",
        std::fs::read_to_string(folder.join("error.log"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_serves_files_over_either_version() {
    if !installed(&["nginx"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let page: String = (0..200_000)
        .map(|index| char::from(b'a' + (index % 26) as u8))
        .collect();
    std::fs::write(folder.path().join("page"), &page).unwrap();
    let root = format!("root {};", folder.path().display());
    for (listen, protocol) in [("; ", "http1"), (" http2; ", "http2")] {
        let (_nginx, address) = nginx(folder.path(), &format!("{listen}{root}")).await;
        let proxy = Proxy::start(Document::to(&[address]).cluster(&format!("protocol: {protocol}"))).await;
        for _ in 0..20 {
            let response = fetch(proxy.address(), "/page", "").await;
            assert_eq!(
                (response.status(), response.text() == page),
                (200, true),
                "{protocol}"
            );
        }
        let missing = fetch(proxy.address(), "/missing", "").await;
        assert_eq!(missing.status(), 404, "{protocol}");
        let mut client = Client::connect(proxy.address()).await;
        let response = client.exchange("HEAD /page HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!(
            (response.status(), response.field("content-length")),
            (200, Some("200000")),
            "{protocol}"
        );
        let range = client.fetch("/page", "range: bytes=10-19\r\n").await;
        assert_eq!(
            (range.status(), range.text()),
            (206, page[10..20].to_owned()),
            "{protocol}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_nginx_that_closes_after_each_request_loses_none() {
    if !installed(&["nginx"]) {
        return;
    }
    // Requests that find their pooled connection closed go to another; with a limit of three, a third of them do.
    let folder = tempfile::tempdir().unwrap();
    let (_nginx, address) = nginx(
        folder.path(),
        "; keepalive_requests 3; location / { return 200 ok; }",
    )
    .await;
    let proxy = Proxy::start(Document::to(&[address])).await;
    let mut client = Client::connect(proxy.address()).await;
    for _ in 0..300 {
        let response = client.fetch("/", "").await;
        assert_eq!((response.status(), response.text().as_str()), (200, "ok"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_s_goaway_loses_no_request() {
    if !installed(&["nginx", "h2load"]) {
        return;
    }
    // Each connection of nginx takes 50 requests and then says GOAWAY, in the middle of the load.
    let folder = tempfile::tempdir().unwrap();
    let server = " http2; keepalive_requests 50; location / { return 200 ok; }";
    let (_nginx, address) = nginx(folder.path(), server).await;
    let proxy = Proxy::start(Document::to(&[address]).cluster("protocol: http2")).await;
    let mut command = Command::new("h2load");
    command
        .args(["-n", "3000", "-c", "4", "-m", "20", "-t", "1"])
        .arg(format!("http://{}/", proxy.address()));
    let said = output(command).await;
    assert!(
        said.contains("status codes: 3000 2xx, 0 3xx, 0 4xx, 0 5xx"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn python_s_server_answers() {
    let Some(python) = python() else { return };
    let mut command = Command::new(python);
    command.arg(peer("http_server.py"));
    let (_server, address) = Beside::listening(command);
    let proxy = Proxy::start(Document::to(&[address])).await;
    let mut client = Client::connect(proxy.address()).await;
    for size in [0, 1, 100_000, 3_000_000] {
        let response = client.fetch(&format!("/bytes/{size}"), "").await;
        assert_eq!((response.status(), response.body.bytes.len()), (200, size));
        let request = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {size}\r\n\r\n");
        let mut request = request.into_bytes();
        request.resize(request.len() + size, b'p');
        let response = client.exchange(request).await;
        assert_eq!(
            (response.status(), response.body.bytes == vec![b'p'; size]),
            (200, true)
        );
    }
    wait_until("requests are counted", || async {
        (proxy
            .admin()
            .metric("outrigger_route_requests_total{code_class=\"2xx\"}")
            .await
            == 8.0)
            .then_some(())
    })
    .await;
}
