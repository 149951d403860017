//! Files that are renamed, and sinks that take nothing.

use super::*;
use outrigger_harness::Process;
use rustix::process::Signal;

fn logging(upstream: &Scripted, sink: &str) -> Document {
    let log = format!("access_logs: [{{ path: '{sink}', format: {{ json: {{ path: '%REQ(:PATH)%' }} }} }}]");
    Document::to(&[upstream.address()]).http(&log).workers(1)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_file_is_left_by_a_call_of_the_admin_endpoint() {
    let directory = tempfile::tempdir().unwrap();
    let [file, old] = ["log", "log.1"].map(|name| directory.path().join(name));
    let upstream = Scripted::ok().await;
    let proxy = Proxy::start(logging(&upstream, &file.display().to_string())).await;
    fetch(proxy.address(), "/one", "").await;
    assert_eq!(lines(&file, 1).await.len(), 1);
    std::fs::rename(&file, &old).unwrap();
    let response = proxy.admin().post("/reopen_logs").await;
    assert_eq!(
        (response.status(), response.text().as_str()),
        (200, "1 files opened anew\n")
    );
    fetch(proxy.address(), "/two", "").await;
    assert_eq!(lines(&file, 1).await[0]["path"], "/two");
    assert_eq!(lines(&old, 1).await.len(), 1);
    // A reload goes on with the file that it finds open.
    std::fs::remove_dir_all(directory.path()).unwrap();
    let response = proxy.admin().post("/reopen_logs").await;
    assert_eq!(response.status(), 500);
    assert!(response.text().contains("No such file"), "{}", response.text());
    assert_eq!(fetch(proxy.address(), "/three", "").await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_file_is_left_on_sigusr1() {
    let directory = tempfile::tempdir().unwrap();
    let [file, old] = ["log", "log.1"].map(|name| directory.path().join(name));
    let upstream = Scripted::ok().await;
    let config = directory.path().join("outrigger.yaml");
    std::fs::write(
        &config,
        logging(&upstream, &file.display().to_string()).to_string(),
    )
    .unwrap();
    let process = Process::run(&config).await;
    fetch(process.address(), "/one", "").await;
    assert_eq!(lines(&file, 1).await.len(), 1);
    std::fs::rename(&file, &old).unwrap();
    process.signal(Signal::USR1);
    wait_until("the file is made anew", || async { file.exists().then_some(()) }).await;
    fetch(process.address(), "/two", "").await;
    assert_eq!(lines(&file, 1).await[0]["path"], "/two");
    assert_eq!(lines(&old, 1).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_that_takes_nothing_holds_up_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let fifo = directory.path().join("fifo");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status().unwrap();
    assert!(made.success());
    let upstream = Scripted::ok().await;
    let proxy = Proxy::start(logging(&upstream, &fifo.display().to_string())).await;
    assert_eq!(fetch(proxy.address(), "/", "").await.status(), 200);

    let proxy = Proxy::start(logging(&upstream, "/dev/full")).await;
    for _ in 0..3 {
        assert_eq!(fetch(proxy.address(), "/", "").await.status(), 200);
    }
    let dropped = "outrigger_access_log_lines_dropped_total";
    proxy.admin().wait_for_metric(dropped, 3.0).await;
    assert_eq!(
        proxy
            .admin()
            .metric("outrigger_access_log_lines_written_total")
            .await,
        0.0
    );
}
