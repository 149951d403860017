//! What becomes of sockets: backlogs, other numbers of workers, addresses that come and go.

use super::{Site, handed_over, said, site};
use outrigger_fixtures::Scripted;
use outrigger_harness::client::fetch;
use outrigger_harness::{Client, Document, Process, wait_until};
use rustix::process::Signal;
use std::net::SocketAddr;
use tokio::sync::watch;

/// How many sockets listen on a port, as the kernel counts them: whoever holds them.
fn listening_sockets(address: SocketAddr) -> usize {
    let port = format!(":{:04X} ", address.port());
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let listens = |line: &&str| {
        let mut columns = line.split_whitespace().skip(1);
        let local = columns
            .next()
            .is_some_and(|local| format!("{local} ").ends_with(&port));
        local && columns.nth(1) == Some("0A")
    };
    table.lines().filter(listens).count()
}

/// A free address. Nobody else listens on or connects from it, so it stays free while it is left.
fn free_address(loopback: &str) -> SocketAddr {
    let listener = std::net::TcpListener::bind((loopback, 0)).unwrap();
    listener.local_addr().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_in_the_backlogs_is_served_by_the_new_process() {
    let (_upstream, _, site) = site(3).await;
    let old = site.process().await;
    let address = old.address();
    // A process that stands still accepts nothing: what connects now waits in the backlogs of all three sockets.
    old.signal(Signal::STOP);
    let mut waiting = Vec::new();
    for _ in 0..60 {
        let mut client = Client::connect(address).await;
        client
            .send("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
            .await;
        waiting.push(client);
    }
    let mut new = site.spawn();
    // It cannot be answered yet: it waits for the other.
    assert!(new.is_running());
    old.signal(Signal::CONT);
    new.started().await;
    for client in &mut waiting {
        assert_eq!(client.response("GET").await.status(), 200);
    }
    handed_over(old).await;
    assert_eq!(fetch(address, "/", "").await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_outlives_the_process_that_bound_it() {
    let (upstream, document, site) = site(2).await;
    let old = site.process().await;
    let address = old.address();
    let new = site.process().await;
    handed_over(old).await;
    // The sockets live on in the new process alone, and it can give them on.
    new.signal(Signal::STOP);
    let mut waiting = Vec::new();
    for _ in 0..40 {
        let mut client = Client::connect(address).await;
        client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        waiting.push(client);
    }
    new.signal(Signal::CONT);
    for client in &mut waiting {
        assert_eq!(client.response("GET").await.status(), 200);
    }
    assert_eq!(upstream.request_count(), 40);
    // A reload keeps what was inherited.
    site.write(document.cluster("connect_timeout: 3s"));
    said(&new, "configuration in force").await;
    assert_eq!(fetch(address, "/", "").await.status(), 200);
    assert_eq!(listening_sockets(address), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_socket_is_accepted_from_whatever_the_number_of_workers() {
    let (_upstream, document, site) = site(1).await;
    let mut old = site.process().await;
    let address = old.address();
    for (workers, sockets) in [(3, 3), (1, 3), (2, 3), (4, 4), (1, 4)] {
        site.write(document.clone().workers(workers));
        let new = site.process().await;
        handed_over(old).await;
        assert_eq!(listening_sockets(address), sockets, "{workers} workers");
        // The kernel spreads connections over all sockets: one that nobody accepts from would leave some waiting.
        for request in 0..40 {
            assert_eq!(
                fetch(address, "/", "").await.status(),
                200,
                "{workers} workers, request {request}"
            );
        }
        old = new;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_request_ends_on_the_old_process() {
    let (go, gone) = watch::channel(false);
    let upstream = Scripted::start(move |mut script| {
        let mut gone = gone.clone();
        async move {
            while let Some(request) = script.request().await? {
                script
                    .send("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf")
                    .await?;
                if request.head.target() == "/long" {
                    let _ = gone.wait_for(|go| *go).await;
                }
                script.send("half").await?;
            }
            Ok(())
        }
    })
    .await;
    let site = Site::new(Document::to(&[upstream.address()]));
    let mut old = site.process().await;
    let mut long = Client::connect(old.address()).await;
    long.send("GET /long HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(long.head().await.status(), 200);
    let mut idle = Client::connect(old.address()).await;
    assert_eq!(idle.fetch("/", "").await.status(), 200);

    let new = site.process().await;
    said(&old, "draining").await;
    assert!(old.is_running(), "a request is still open");
    // The idle connection's next request is answered, as its last.
    wait_until("the last answer", async || {
        let last = idle.fetch("/", "").await;
        assert_eq!(last.status(), 200);
        (last.field("connection") == Some("close")).then_some(())
    })
    .await;
    assert_eq!(new.admin().json("/server_info").await["process"], new.id());
    let before = upstream.request_count();
    assert_eq!(fetch(new.address(), "/", "").await.status(), 200);
    assert_eq!(upstream.request_count(), before + 1);
    new.admin()
        .wait_for_metric("outrigger_listener_connections_accepted_total", 1.0)
        .await;
    go.send(true).unwrap();
    assert_eq!(long.take(8).await, b"halfhalf");
    assert!(long.is_closed().await);
    handed_over(old).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_may_leave_and_come_with_an_upgrade() {
    let (upstream, document, site) = site(2).await;
    let (leaves, comes) = (free_address("127.0.79.1"), free_address("127.0.79.2"));
    let listener = |name: &str, address: SocketAddr| {
        format!(
            "- {{ name: {name}, address: '{address}', filter_chains: [{{ http: {{ route_configuration: main }} }}] }}\n"
        )
    };
    site.write(document.clone().with_listener_text(&listener("leaves", leaves)));
    let old = site.process().await;
    let address = old.address();
    assert_eq!(fetch(leaves, "/", "").await.status(), 200);
    // The running process is not to see the change as a reload.
    let file = site.file.with_file_name("next.yaml");
    std::fs::write(
        &file,
        document.with_listener_text(&listener("comes", comes)).to_string(),
    )
    .unwrap();
    let arguments = ["run", "-c", file.to_str().unwrap(), "--upgrade-socket"];
    let socket = site.socket();
    let mut new = Process::spawn(&[&arguments[..], &[socket.to_str().unwrap()]].concat());
    new.started().await;
    handed_over(old).await;
    assert_eq!(fetch(address, "/", "").await.status(), 200);
    assert_eq!(fetch(comes, "/", "").await.status(), 200);
    assert_eq!(listening_sockets(leaves), 0);
    assert!(tokio::net::TcpStream::connect(leaves).await.is_err());
    assert_eq!(upstream.request_count(), 3);
    let admin = new.admin();
    assert_eq!(
        admin
            .metric("outrigger_upgrades_in_place_total{outcome=\"taken_over\"}")
            .await,
        1.0
    );
    assert_eq!(admin.metric("outrigger_upgrade_epoch").await, 1.0);
    assert_eq!(admin.metric("outrigger_sockets_inherited").await, 2.0);
    wait_until("the file of the last process to be gone", async || {
        new.signal(Signal::TERM);
        (!new.is_running()).then_some(())
    })
    .await;
    assert!(
        !socket.exists(),
        "a process that ends in order leaves no socket file"
    );
}
