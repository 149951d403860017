//! From start to exit: readiness, signals, the drain, exit codes, and the admin calls that change something.

use outrigger_fixtures::Scripted;
use outrigger_harness::{Client, Document, Process, Proxy, wait_until, within};
use rustix::process::Signal;
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::watch;

/// A document in a directory of its own.
fn file(document: &Document) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("outrigger.yaml");
    std::fs::write(&file, document.to_string()).unwrap();
    (directory, file)
}

/// An upstream that sends half of its answer, and the rest when it is told to.
async fn halting(go: watch::Receiver<bool>) -> Scripted {
    Scripted::start(move |mut script| {
        let mut go = go.clone();
        async move {
            script.request().await?;
            script
                .send("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf")
                .await?;
            let _ = go.wait_for(|go| *go).await;
            script.send("half").await
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_lets_what_has_begun_end_whole() {
    let (go, gone) = watch::channel(false);
    let upstream = halting(gone).await;
    let (_directory, file) = file(&Document::to(&[upstream.address()]));
    let mut process = Process::run(&file).await;
    let address = process.address();
    let admin = process.admin();
    assert_eq!(admin.fetch("/ready").await.status(), 200);

    let mut streams = Vec::new();
    for _ in 0..5 {
        let mut client = Client::connect(address).await;
        client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!(client.head().await.status(), 200);
        streams.push(client);
    }
    let mut idle = Client::connect(address).await;
    process.signal(Signal::TERM);
    wait_until("unreadiness", async || {
        (admin.fetch("/ready").await.status() == 503).then_some(())
    })
    .await;
    assert_eq!(admin.fetch("/live").await.status(), 200);
    assert!(idle.is_closed().await, "an idle connection is not waited for");
    wait_until("the listener to close", async || {
        tokio::net::TcpStream::connect(address)
            .await
            .is_err()
            .then_some(())
    })
    .await;
    assert!(process.is_running(), "streams are still open");
    go.send(true).unwrap();
    for mut client in streams {
        assert_eq!(client.take(8).await, b"halfhalf");
        assert!(
            client.is_closed().await,
            "the connection has served its last request"
        );
    }
    assert_eq!(process.exit_code().await, 0, "{}", process.stderr());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_proxy_ends_at_once_and_by_sigint_too() {
    for signal in [Signal::TERM, Signal::INT] {
        let (_directory, file) = file(&Document::to(&[]));
        let mut process = Process::run(&file).await;
        process.signal(signal);
        assert_eq!(process.exit_code().await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn during_the_grace_requests_are_still_accepted() {
    let upstream = Scripted::ok().await;
    let (_directory, file) = file(&Document::to(&[upstream.address()]).with("drain: { grace: 1h }"));
    let mut process = Process::run(&file).await;
    process.signal(Signal::TERM);
    let admin = process.admin();
    wait_until("unreadiness", async || {
        (admin.fetch("/ready").await.status() == 503).then_some(())
    })
    .await;
    assert_eq!(admin.json("/server_info").await["phase"], "draining");
    let mut client = Client::connect(process.address()).await;
    assert_eq!(client.fetch("/", "").await.status(), 200);
    // A second signal ends the patience.
    process.signal(Signal::TERM);
    assert_eq!(process.exit_code().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_drain_timeout_cuts_what_does_not_end() {
    let (_go, gone) = watch::channel(false);
    let upstream = halting(gone).await;
    let (_directory, file) = file(&Document::to(&[upstream.address()]).with("drain: { timeout: 100ms }"));
    let mut process = Process::run(&file).await;
    let mut client = Client::connect(process.address()).await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let head = client.head().await;
    process.signal(Signal::TERM);
    assert!(
        client.body(&head).await.is_err(),
        "half a body must not look whole"
    );
    assert_eq!(process.exit_code().await, 0);
    assert!(process.stderr().contains("drain_timeout"), "{}", process.stderr());
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_race_with_the_drain_are_answered() {
    // Requests keep coming on every connection until the proxy says that it closes: none is dropped.
    let upstream = Scripted::ok().await;
    let proxy = Proxy::start(Document::to(&[upstream.address()])).await;
    let address = proxy.address();
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..8 {
        clients.spawn(async move {
            let mut client = Client::connect(address).await;
            for count in 0_usize.. {
                client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
                let response = client
                    .try_response_within()
                    .await
                    .map_err(|error| format!("request {count}: {error}"))?;
                assert_eq!(response.status(), 200);
                if response.field("connection") == Some("close") {
                    return Ok(count);
                }
            }
            Err("it never ended".to_owned())
        });
    }
    wait_until("load", async || (upstream.request_count() > 50).then_some(())).await;
    let whole = proxy.drain(Duration::ZERO, Duration::from_secs(60));
    while let Some(ended) = clients.join_next().await {
        let ended: Result<usize, String> = ended.unwrap();
        assert!(ended.is_ok(), "{ended:?}");
    }
    assert!(within("the drain", whole).await.unwrap(), "nothing was cut");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_configurations_and_bad_usage_exit_with_2() {
    let (_directory, bad) = file(&Document::to(&[]).http("no_such_field: 1"));
    let bad = bad.to_str().unwrap();
    for arguments in [
        &["run", "-c", bad][..],
        &["check", "-c", bad],
        &["run", "-c", "/no/such/file.yaml"],
        &["run"],
        &["run", "--no-such-flag"],
        &["no-such-command"],
        &[],
        &["--log", "=[", "check", "-c", bad],
    ] {
        let mut process = Process::spawn(arguments);
        assert_eq!(
            process.exit_code().await,
            2,
            "{arguments:?}: {}",
            process.stderr()
        );
        wait_until("an explanation", async || {
            (!process.stderr().is_empty()).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_exits_with_1() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let (_directory, file) = file(&Document::to(&[]).listener(&format!("address: '{address}'")));
    let mut process = Process::spawn(&["run", "-c", file.to_str().unwrap()]);
    assert_eq!(process.exit_code().await, 1, "{}", process.stderr());
    wait_until("an explanation", async || {
        process.stderr().contains(&address.to_string()).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_change_something_need_post() {
    let (_directory, file) = file(&Document::to(&[]));
    let mut process = Process::run(&file).await;
    let admin = process.admin();
    for path in ["/drain", "/quitquitquit"] {
        assert_eq!(admin.fetch(path).await.status(), 405, "{path}");
    }
    assert!(process.is_running() && admin.fetch("/ready").await.status() == 200);
    assert_eq!(admin.post("/logging?filter=debug").await.status(), 200);
    assert_eq!(admin.fetch("/logging").await.text(), "debug\n");
    assert_eq!(admin.post("/drain").await.status(), 200);
    assert_eq!(process.exit_code().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn quitquitquit_waits_for_nobody() {
    let (_go, gone) = watch::channel(false);
    let upstream = halting(gone).await;
    let (_directory, file) = file(&Document::to(&[upstream.address()]));
    let mut process = Process::run(&file).await;
    let mut client = Client::connect(process.address()).await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let head = client.head().await;
    assert_eq!(process.admin().post("/quitquitquit").await.status(), 200);
    assert_eq!(process.exit_code().await, 0);
    assert!(client.body(&head).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_endpoint_tells_what_is() {
    let upstream = Scripted::ok().await;
    let proxy = Proxy::start(Document::to(&[upstream.address()])).await;
    let admin = proxy.admin();
    assert_eq!(
        Client::connect(proxy.address())
            .await
            .fetch("/", "")
            .await
            .status(),
        200
    );
    let clusters = admin.json("/clusters").await;
    assert_eq!(clusters["clusters"][0]["name"], "upstream");
    assert_eq!(
        clusters["clusters"][0]["endpoints"][0]["address"],
        upstream.address().to_string()
    );
    let listeners = admin.json("/listeners").await;
    assert_eq!(listeners["listeners"][0]["address"], proxy.address().to_string());
    let dump = admin.config_dump().await;
    assert_eq!(
        dump["configuration"]["clusters"][0]["connect_timeout"], "5s",
        "defaults are written out: {dump}"
    );
    assert_eq!(admin.json("/server_info").await["phase"], "ready");
    let stats = admin
        .fetch("/stats?usedonly&filter=^outrigger_cluster_(requests|attempt_time_to_answer)")
        .await;
    let stats = stats.text();
    assert_eq!(stats.lines().count(), 2, "{stats}");
    assert!(
        stats.contains("outrigger_cluster_requests_total{cluster=\"upstream\",code_class=\"2xx\"}: 1\n"),
        "{stats}"
    );
    assert!(
        stats.contains(
            "outrigger_cluster_attempt_time_to_answer_seconds{cluster=\"upstream\"}: count 1, mean "
        ),
        "{stats}"
    );
    assert_eq!(admin.fetch("/stats?filter=(").await.status(), 400);
    assert_eq!(admin.fetch("/stats?filters=a").await.status(), 400);
    assert_eq!(admin.fetch("/no-such-path").await.status(), 404);
    proxy.begin_drain().await;
    assert_eq!(admin.fetch("/ready").await.status(), 503);
}
