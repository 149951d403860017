//! The PROXY protocol as curl, HAProxy and nginx speak it.

use super::upstreams::nginx;
use super::{Beside, installed, output};
use outrigger_fixtures::Scripted;
use outrigger_harness::{Document, Proxy, wait_until};
use std::net::TcpListener;
use std::process::Command;

#[tokio::test(flavor = "multi_thread")]
async fn curl_says_who_it_is_and_nginx_hears_it() {
    if !installed(&["curl", "nginx"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let server = " proxy_protocol; location / { return 200 $proxy_protocol_addr,$proxy_protocol_port; }";
    let (_nginx, address) = nginx(folder.path(), server).await;
    for version in ["v1", "v2"] {
        let document = Document::to(&[address])
            .listener("proxy_protocol: required")
            .cluster(&format!("proxy_protocol: {version}"));
        let proxy = Proxy::start(document).await;
        let mut curl = Command::new("curl");
        curl.args([
            "--silent",
            "--show-error",
            "--fail",
            "--max-time",
            "60",
            "--haproxy-protocol",
        ])
        .args(["--write-out", " %{local_port}"])
        .arg(format!("http://{}/", proxy.address()));
        let said = output(curl).await;
        let (heard, port) = said.split_once(' ').unwrap();
        assert_eq!(heard, format!("127.0.0.1,{port}"), "{version}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn haproxy_in_front_is_understood_in_both_versions() {
    if !installed(&["haproxy", "curl"]) {
        return;
    }
    let upstream = Scripted::ok().await;
    let proxy = Proxy::start(Document::to(&[upstream.address()]).listener("proxy_protocol: required")).await;
    for option in [
        "send-proxy",
        "send-proxy-v2",
        "send-proxy-v2 proxy-v2-options crc32c,unique-id",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let listen = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let text = format!(
            "global\n nbthread 1\ndefaults\n mode tcp\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n\
             listen front\n bind {listen}\n unique-id-format id-1\n server s {} {option}\n",
            proxy.address()
        );
        let file = folder.path().join("haproxy.cfg");
        std::fs::write(&file, text).unwrap();
        let mut haproxy = Command::new("/usr/sbin/haproxy");
        haproxy.arg("-db").arg("-f").arg(&file);
        let _haproxy = Beside::start(haproxy);
        wait_until("haproxy listens", async || {
            tokio::net::TcpStream::connect(listen).await.ok().map(drop)
        })
        .await;
        let mut curl = Command::new("curl");
        curl.args([
            "--silent",
            "--show-error",
            "--fail",
            "--max-time",
            "60",
            "--interface",
            "127.0.0.1",
        ])
        .arg(format!("http://{listen}/{}", option.len()));
        output(curl).await;
        let seen = upstream.last_request();
        assert_eq!(seen.head.target(), format!("/{}", option.len()));
        assert_eq!(seen.head.field("x-forwarded-for"), Some("127.0.0.1"), "{option}");
    }
}
