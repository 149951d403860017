//! curl: HTTP/1, HTTP/2 by prior knowledge, HTTP/2 over TLS, trailers, `Expect`.

use super::{installed, output};
use outrigger_fixtures::{Authority, Echo, Scripted};
use outrigger_harness::{Document, Proxy};
use std::process::Command;

fn curl(arguments: &[&str]) -> Command {
    let mut command = Command::new("curl");
    command
        .args(["--silent", "--show-error", "--fail", "--max-time", "60"])
        .args(arguments);
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_speaks_http1_and_http2() {
    if !installed(&["curl"]) {
        return;
    }
    let upstream = Echo::start().await;
    for to in ["http1", "http2"] {
        let proxy =
            Proxy::start(Document::to(&[upstream.address()]).cluster(&format!("protocol: {to}"))).await;
        let url = format!("http://{}/path?query", proxy.address());
        for (option, version) in [("--http1.1", "1.1"), ("--http2-prior-knowledge", "2")] {
            let format = "%{http_version} %{http_code} %header{x-path} %header{x-method}\n";
            let said = output(curl(&[option, "--write-out", format, "--data", "hello", &url])).await;
            assert_eq!(
                said,
                format!("hello{version} 200 /path?query POST\n"),
                "{option} to {to}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_speaks_http2_over_tls() {
    if !installed(&["curl"]) {
        return;
    }
    let upstream = Echo::start().await;
    let authority = Authority::new("curl");
    let server = authority.issue("server", &["localhost"]);
    let tls = format!("tls: {{ certificates: [{}] }}", server.yaml());
    let proxy = Proxy::start(Document::to(&[upstream.address()]).chain(&tls)).await;
    let (port, ca) = (proxy.address().port(), authority.root().display().to_string());
    let url = format!("https://localhost:{port}/tls");
    let resolve = format!("localhost:{port}:127.0.0.1");
    let fixed = [
        "--cacert",
        &ca,
        "--resolve",
        &resolve,
        "--write-out",
        "%{http_version} %header{x-path}",
        &url,
    ];
    for (option, expected) in [("--http2", "2 /tls"), ("--http1.1", "1.1 /tls")] {
        assert_eq!(output(curl(&[&[option], &fixed[..]].concat())).await, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_waits_for_continue_and_uploads() {
    if !installed(&["curl"]) {
        return;
    }
    let upstream = Echo::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (sent, received) = (folder.path().join("sent"), folder.path().join("received"));
    let body: Vec<u8> = (0..2u32 << 20).map(|index| (index % 253) as u8).collect();
    std::fs::write(&sent, &body).unwrap();
    for to in ["http1", "http2"] {
        let proxy =
            Proxy::start(Document::to(&[upstream.address()]).cluster(&format!("protocol: {to}"))).await;
        let (url, data) = (
            format!("http://{}/", proxy.address()),
            format!("@{}", sent.display()),
        );
        for version in ["--http1.1", "--http2-prior-knowledge"] {
            let file = received.display().to_string();
            // Without 100 (Continue) it would wait for a minute, and be cut off.
            let patience = ["--header", "Expect: 100-continue", "--expect100-timeout", "60"];
            let rest = [
                version,
                "--output",
                &file,
                "--data-binary",
                &data,
                "--verbose",
                &url,
            ];
            let output = super::run(curl(&[&patience[..], &rest[..]].concat())).await;
            let told = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{version} to {to}: {told}");
            if version == "--http1.1" {
                assert!(
                    told.contains("HTTP/1.1 100 Continue"),
                    "{version} to {to}: {told}"
                );
            }
            assert!(
                std::fs::read(&received).unwrap() == body,
                "{version} to {to}: another body"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_sees_trailers() {
    if !installed(&["curl"]) {
        return;
    }
    let answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n4\r\nbody\r\n0\r\nx-sum: 42\r\n\r\n";
    let upstream = outrigger_fixtures::Scripted::answering(answer).await;
    let proxy = Proxy::start(Document::to(&[upstream.address()])).await;
    let url = format!("http://{}/", proxy.address());
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        // curl writes trailers with the headers, after the body.
        let said = output(curl(&[version, "--header", "te: trailers", "--include", &url])).await;
        let (_, trailers) = said.split_once("body").expect("the body came");
        assert!(trailers.contains("x-sum: 42"), "{version}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_decodes_what_is_compressed() {
    if !installed(&["curl"]) {
        return;
    }
    let body: String = (0..40_000u32)
        .map(|number| format!("{} ", number.wrapping_mul(7919)))
        .collect();
    let length = body.len();
    let answer =
        format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\n\r\n{body}");
    let upstream = Scripted::answering(answer).await;
    let features = output(curl(&["--version"])).await;
    for (coding, feature) in [("gzip", "libz"), ("br", "brotli"), ("zstd", "zstd")] {
        if !features.contains(feature) {
            eprintln!("skipped: this curl does not decode {coding}");
            continue;
        }
        let http = format!("compression: {{ algorithms: [{coding}] }}");
        let proxy = Proxy::start(Document::to(&[upstream.address()]).http(&http)).await;
        let url = format!("http://{}/", proxy.address());
        for version in ["--http1.1", "--http2-prior-knowledge"] {
            let format = "\n%header{content-encoding} %{size_download}";
            let said = output(curl(&["--compressed", version, "--write-out", format, &url])).await;
            let (decoded, facts) = said.rsplit_once('\n').unwrap();
            assert!(decoded == body, "{coding} {version}");
            let (used, size) = facts.split_once(' ').unwrap();
            assert_eq!(used, coding, "{version}");
            assert!(
                size.parse::<usize>().unwrap() < length,
                "{coding} {version}: {size}"
            );
        }
    }
}
