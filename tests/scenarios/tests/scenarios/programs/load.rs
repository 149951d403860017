//! Load generators: not one request may fail.

use super::{installed, output};
use outrigger_fixtures::Echo;
use outrigger_harness::{Document, Proxy};
use std::process::Command;

async fn proxy(upstream: &Echo, protocol: &str) -> Proxy {
    Proxy::start(Document::to(&[upstream.address()]).cluster(&format!("protocol: {protocol}"))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn h2load_has_no_failure() {
    if !installed(&["h2load"]) {
        return;
    }
    let upstream = Echo::start().await;
    for protocol in ["http1", "http2"] {
        let proxy = proxy(&upstream, protocol).await;
        for http1 in [false, true] {
            let mut command = Command::new("h2load");
            command.args([
                "-n",
                "4000",
                "-c",
                "20",
                "-m",
                "10",
                "-t",
                "1",
                "-H",
                "x-want-bytes: 1000",
            ]);
            if http1 {
                command.arg("--h1");
            }
            let said = output({
                command.arg(format!("http://{}/", proxy.address()));
                command
            })
            .await;
            let expected = "requests: 4000 total, 4000 started, 4000 done, 4000 succeeded, 0 failed, 0 errored, 0 timeout";
            assert!(said.contains(expected), "http1 {http1}, to {protocol}:\n{said}");
            assert!(
                said.contains("status codes: 4000 2xx, 0 3xx, 0 4xx, 0 5xx"),
                "{said}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrk_has_no_failure() {
    if !installed(&["wrk"]) {
        return;
    }
    let upstream = Echo::start().await;
    for protocol in ["http1", "http2"] {
        let proxy = proxy(&upstream, protocol).await;
        let mut command = Command::new("wrk");
        command.args([
            "--threads",
            "1",
            "--connections",
            "50",
            "--duration",
            "2s",
            "--timeout",
            "10s",
        ]);
        command
            .args(["--header", "x-want-bytes: 1000"])
            .arg(format!("http://{}/", proxy.address()));
        let said = output(command).await;
        // wrk speaks of these only if there were any.
        assert!(
            !said.contains("Non-2xx") && !said.contains("Socket errors"),
            "to {protocol}:\n{said}"
        );
        let requests = said
            .lines()
            .find_map(|line| line.trim().split_once(" requests in "));
        let requests: u64 = requests.expect("wrk counts its requests").0.parse().unwrap();
        assert!(requests > 100, "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nghttp_downloads_and_uploads() {
    if !installed(&["nghttp"]) {
        return;
    }
    let upstream = Echo::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("body");
    std::fs::write(&file, "0123456789".repeat(100_000)).unwrap();
    for protocol in ["http1", "http2"] {
        let proxy = proxy(&upstream, protocol).await;
        let url = format!("http://{}/", proxy.address());
        let mut command = Command::new("nghttp");
        command.args(["--header", "x-want-bytes: 3000000", &url]);
        assert_eq!(output(command).await.len(), 3_000_000, "to {protocol}");
        let mut command = Command::new("nghttp");
        command.args([
            "--data",
            &file.display().to_string(),
            "--header",
            ":method: POST",
            &url,
        ]);
        assert!(
            output(command).await == "0123456789".repeat(100_000),
            "to {protocol}: another body"
        );
        // A small window, and padding.
        let mut command = Command::new("nghttp");
        command.args([
            "--window-bits",
            "10",
            "--padding",
            "64",
            "--header",
            "x-want-bytes: 100000",
            &url,
        ]);
        assert_eq!(
            output(command).await.len(),
            100_000,
            "to {protocol}, small windows"
        );
    }
}
