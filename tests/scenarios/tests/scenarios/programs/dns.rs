//! A DNS server that others wrote: its answers, its negative answers, and a change of its zone.

use super::*;
use outrigger_fixtures::Scripted;
use outrigger_harness::{Client, Document, Proxy, wait_until};
use std::net::{TcpListener, UdpSocket};
use std::path::Path;

/// A port that is free for UDP and TCP: dnsmasq takes 0 for none.
fn free_port() -> u16 {
    loop {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = tcp.local_addr().unwrap();
        if UdpSocket::bind(address).is_ok() {
            return address.port();
        }
    }
}

fn dnsmasq(port: u16, hosts: &Path) -> Beside {
    let mut command = Command::new("dnsmasq");
    command.env("PATH", path_with_sbin()).args([
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--pid-file=",
        "--user=",
        "--group=",
        "--bind-interfaces",
        "--listen-address=127.0.0.1",
        "--no-resolv",
        "--no-hosts",
        "--local=/example/",
        "--local-ttl=1",
        "--srv-host=_http._tcp.a.example,a.example,8080",
    ]);
    command.arg(format!("--port={port}"));
    command.arg(format!("--addn-hosts={}", hosts.display()));
    Beside::start(command)
}

fn path_with_sbin() -> std::ffi::OsString {
    let mut folders: Vec<PathBuf> =
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    folders.push("/usr/sbin".into());
    std::env::join_paths(folders).unwrap()
}

async fn addresses(proxy: &Proxy, cluster: &str) -> Vec<String> {
    let clusters = proxy.admin().json("/clusters").await;
    let mut all = clusters["clusters"].as_array().unwrap().iter();
    let found = all.find(|other| other["name"] == cluster).unwrap();
    let endpoints = found["endpoints"].as_array().unwrap().iter();
    endpoints
        .map(|endpoint| endpoint["address"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn dnsmasq_is_asked_and_its_changes_are_followed() {
    if !installed(&["dnsmasq"]) {
        return;
    }
    let upstream = Scripted::ok().await;
    let folder = tempfile::tempdir().unwrap();
    let hosts = folder.path().join("hosts");
    std::fs::write(&hosts, "127.0.0.1 a.example\n::1 a.example\n").unwrap();
    let port = free_port();
    let server = dnsmasq(port, &hosts);
    let discovery = |names: &str| {
        format!("discovery: {{ type: strict_dns, names: [{names}], resolvers: ['127.0.0.1:{port}'] }}")
    };
    let upstream_port = upstream.address().port();
    let document = Document::to(&[])
        .cluster(&discovery(&format!(
            "{{ host: a.example, port: {upstream_port} }}"
        )))
        .with_cluster(
            "service",
            &[],
            &discovery("{ host: _http._tcp.a.example, srv: true }"),
        )
        .with_cluster("nobody", &[], &discovery("{ host: nobody.example, port: 1 }"));
    let proxy = Proxy::start(document).await;
    // It may have been asked before it listened.
    wait_until("the service to be resolved", async || {
        let found = addresses(&proxy, "service").await;
        (found == ["127.0.0.1:8080", "[::1]:8080"]).then_some(())
    })
    .await;
    let both = [
        format!("127.0.0.1:{upstream_port}"),
        format!("[::1]:{upstream_port}"),
    ];
    wait_until("both families", async || {
        (addresses(&proxy, "upstream").await == both).then_some(())
    })
    .await;
    assert!(addresses(&proxy, "nobody").await.is_empty());

    std::fs::write(&hosts, "127.0.0.1 a.example\n").unwrap();
    let id = rustix::process::Pid::from_raw(server.child.id() as i32).unwrap();
    rustix::process::kill_process(id, rustix::process::Signal::HUP).unwrap();
    wait_until("IPv6 to go", async || {
        (addresses(&proxy, "upstream").await == both[..1]).then_some(())
    })
    .await;
    let response = Client::connect(proxy.address()).await.fetch("/", "").await;
    assert_eq!(response.status(), 200);

    drop(server);
    let stale = "outrigger_cluster_dns_stale{cluster=\"upstream\"}";
    proxy.admin().wait_for_metric(stale, 1.0).await;
    let response = Client::connect(proxy.address()).await.fetch("/", "").await;
    assert_eq!(response.status(), 200, "the last answer stays");
}
