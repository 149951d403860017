//! openssl, curl and Python as clients with certificates.

use super::super::{installed, output, peer, python, run};
use super::{CLIENT_ID, Mesh, SERVER_ID, file};
use outrigger_fixtures::Scripted;
use outrigger_fixtures::authority::Issued;
use outrigger_harness::{Document, Proxy};
use serde_json::Value;
use std::process::{Command, Output};

fn curl(mesh: &Mesh, proxy: &Proxy, certificate: Option<&Issued>, options: &[&str]) -> Command {
    let port = proxy.address().port();
    let mut command = Command::new("curl");
    command
        .args(["--silent", "--show-error", "--fail", "--max-time", "60"])
        .args(["--cacert", &mesh.root()])
        .args(["--resolve", &format!("server.example:{port}:127.0.0.1")])
        .args(options);
    if let Some(issued) = certificate {
        command.args(["--cert", &file(&issued.certificate), "--key", &file(&issued.key)]);
    }
    command.arg(format!("https://server.example:{port}/"));
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_is_served_by_its_certificate_alone() {
    if !installed(&["curl"]) {
        return;
    }
    let mesh = Mesh::new();
    let upstream = Scripted::ok().await;
    let proxy = Proxy::start(Document::to(&[upstream.address()]).chain(&mesh.downstream())).await;
    for version in [&["--tls-max", "1.2"][..], &["--tlsv1.3"]] {
        for (option, protocol) in [("--http2", "2"), ("--http1.1", "1.1")] {
            let write = ["--write-out", " %{http_version} %{http_code}"];
            let options = [version, &[option], &write].concat();
            let said = output(curl(&mesh, &proxy, Some(&mesh.client), &options)).await;
            assert_eq!(said, format!("ok\n {protocol} 200"), "{options:?}");
        }
        for stranger in [None, Some(&mesh.other)] {
            let refused = run(curl(&mesh, &proxy, stranger, version)).await;
            assert!(!refused.status.success(), "{stranger:?} {version:?}");
        }
    }
    let requests = upstream.requests().len();
    assert_eq!(requests, 4, "what strangers sent never left the proxy");
}

async fn s_client(mesh: &Mesh, proxy: &Proxy, options: &[&str], said: &str) -> Output {
    let mut command = Command::new("timeout");
    command
        .args(["60", "sh", "-c"])
        .arg(format!("printf '{said}' | exec openssl s_client \"$@\""))
        .arg("openssl")
        .args([
            "-connect",
            &proxy.address().to_string(),
            "-servername",
            "server.example",
        ])
        .args(["-CAfile", &mesh.root(), "-verify_return_error"])
        .args([
            "-cert",
            &file(&mesh.client.certificate),
            "-key",
            &file(&mesh.client.key),
        ])
        .args(options);
    run(command).await
}

const REQUEST: &str = r"GET / HTTP/1.1\r\nhost: server.example\r\nconnection: close\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn openssl_verifies_us_and_we_verify_it() {
    if !installed(&["openssl", "timeout"]) {
        return;
    }
    let mesh = Mesh::new();
    let upstream = Scripted::ok().await;
    let proxy = Proxy::start(Document::to(&[upstream.address()]).chain(&mesh.downstream())).await;
    for (version, name) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let session = mesh.authority.path(&format!("session{version}"));
        let session = file(&session);
        for (option, kind) in [("-sess_out", "New"), ("-sess_in", "Reused")] {
            let options = [version, "-ign_eof", "-alpn", "http/1.1", option, &session];
            let output = s_client(&mesh, &proxy, &options, REQUEST).await;
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(text.contains("HTTP/1.1 200 OK"), "{text}");
            assert!(
                text.contains(&format!("{kind}, {name}, Cipher is ")),
                "{option}: {text}"
            );
            assert!(text.contains("ALPN protocol: http/1.1"), "{text}");
            assert!(text.contains("Verify return code: 0 (ok)"), "{text}");
        }
    }
    assert_eq!(upstream.requests().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn openssl_gets_no_old_version_and_no_weak_suite() {
    if !installed(&["openssl", "timeout"]) {
        return;
    }
    let mesh = Mesh::new();
    let upstream = Scripted::ok().await;
    let proxy = Proxy::start(Document::to(&[upstream.address()]).chain(&mesh.downstream())).await;
    for options in [
        &["-tls1", "-cipher", "ALL:@SECLEVEL=0"][..],
        &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "AES128-GCM-SHA256"],
        &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256"],
        &["-tls1_2", "-cipher", "NULL:@SECLEVEL=0"],
    ] {
        let output = s_client(&mesh, &proxy, options, REQUEST).await;
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            !output.status.success() && !text.contains("HTTP/1.1"),
            "{options:?}: {text}"
        );
    }
    assert_eq!(upstream.requests().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn python_resumes_its_session_with_its_certificate() {
    let Some(python) = python() else { return };
    let mesh = Mesh::new();
    let upstream = Scripted::ok().await;
    let proxy = Proxy::start(Document::to(&[upstream.address()]).chain(&mesh.downstream())).await;
    let address = proxy.address();
    let client = |version: &str, issued: &Issued| {
        let mut command = Command::new(&python);
        command
            .arg(peer("tls_client.py"))
            .args([
                &address.ip().to_string(),
                &address.port().to_string(),
                "server.example",
                version,
            ])
            .arg(mesh.root())
            .args([&issued.certificate, &issued.key]);
        command
    };
    for (version, name) in [("1.2", "TLSv1.2"), ("1.3", "TLSv1.3")] {
        let said: Value = serde_json::from_str(&output(client(version, &mesh.client)).await).unwrap();
        for (index, reused) in [(0, false), (1, true)] {
            let one = &said[index];
            assert_eq!(one["version"], name);
            assert_eq!(one["protocol"], "http/1.1");
            assert_eq!(one["reused"], reused, "{version}");
            assert!(one["answer"].as_str().unwrap().starts_with("HTTP/1.1 200 OK\r\n"));
            assert_eq!(one["names"], serde_json::json!(["server.example", SERVER_ID]));
        }
        let refused = run(client(version, &mesh.other)).await;
        assert!(!refused.status.success(), "{version}");
    }
    assert_eq!(upstream.requests().len(), 4, "of {CLIENT_ID} alone");
}
