//! Access logs: who has a line, what is in it, and where it goes when files are renamed or cannot be written.

mod collector;
mod rotation;

use outrigger_fixtures::Scripted;
use outrigger_harness::{Client, Document, Proxy, Response, wait_until};
use serde_json::Value;
use std::net::SocketAddr;
use std::path::Path;

/// A GET over a connection of its own.
async fn fetch(address: SocketAddr, path: &str, fields: &str) -> Response {
    Client::connect(address).await.fetch(path, fields).await
}

/// The lines of a log once there are so many.
async fn lines(file: &Path, count: usize) -> Vec<Value> {
    wait_until("the access log", || async {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let lines: Vec<Value> = text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        (lines.len() >= count).then_some(lines)
    })
    .await
}

/// A log of paths, with a filter, which also takes what ends a test.
fn paths(file: &Path, filter: &str) -> String {
    format!(
        "{{ path: '{}', format: {{ json: {{ path: '%REQ(:PATH)%' }} }}, \
         filter: {{ any_of: [{{ headers: [{{ name: ':path', exact: /last }}] }}, {filter}] }} }}",
        file.display()
    )
}

/// The paths that are in a log, once the last is.
async fn logged(file: &Path) -> Vec<String> {
    wait_until("the last line", || async {
        let lines = lines(file, 1).await;
        let paths: Vec<String> = lines
            .iter()
            .map(|line| line["path"].as_str().unwrap_or_default().to_owned())
            .collect();
        (paths.last().map(String::as_str) == Some("/last")).then(|| paths[..paths.len() - 1].to_vec())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_says_who_has_a_line() {
    let directory = tempfile::tempdir().unwrap();
    let upstream = Scripted::ok().await;
    let table = [
        ("{ status: { at_least: 500 } }", vec!["/503"]),
        ("{ status: { at_least: 400, at_most: 499 } }", vec!["/404"]),
        ("{ response_flags: [NR] }", vec!["/404"]),
        ("{ response_flags: any }", vec!["/404"]),
        ("{ routes: [named] }", vec!["/named"]),
        (
            "{ not_health_check: true, not: { status: { equals: 200 } } }",
            vec!["/503", "/404"],
        ),
        ("{ headers: [{ name: x-a, exact: 'b,c' }] }", vec!["/twice"]),
        ("{ sampled: 0 }", vec![]),
        (
            "{ sampled: { percent: 100, by: random }, status: { at_most: 299 } }",
            vec!["/named", "/probe", "/twice"],
        ),
        ("{ duration: { at_least: 1h } }", vec![]),
        // Not the ones that fail, nor those that do what probes do not.
        ("{ not: { not_health_check: true } }", vec!["/probe"]),
    ];
    let logs: Vec<String> = table
        .iter()
        .enumerate()
        .map(|(number, (filter, _))| paths(&directory.path().join(number.to_string()), filter))
        .collect();
    let document = Document::to(&[upstream.address()])
        .http(&format!("access_logs: [{}]", logs.join(", ")))
        .routes(
            "{ match: { path: /503 }, direct_response: { status: 503 } }, \
             { name: named, match: { path: /named }, forward: { cluster: upstream } }, \
             { match: { path: /probe }, forward: { cluster: upstream } }, \
             { match: { path: /twice }, forward: { cluster: upstream } }, \
             { match: { path: /last }, forward: { cluster: upstream } }",
        )
        .workers(1);
    let proxy = Proxy::start(document).await;
    for (path, fields) in [
        ("/named", ""),
        ("/503", "user-agent: kube-probe/1.31\r\n"),
        ("/404", ""),
        ("/probe", "user-agent: kube-probe/1.31\r\n"),
        ("/twice", "x-a: b\r\nx-a: c\r\n"),
        ("/last", ""),
    ] {
        fetch(proxy.address(), path, fields).await;
    }
    for (number, (filter, expected)) in table.iter().enumerate() {
        let found = logged(&directory.path().join(number.to_string())).await;
        assert_eq!(&found, expected, "{filter}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_tell_what_happened_and_credentials_are_not_told() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("log");
    let upstream = Scripted::ok().await;
    let format = "{ id: '%STREAM_ID%', page: '%QUERY_PARAM(page)%', token: '%QUERY_PARAM(token)%', path: '%PATH(NQ)%', \
         to: { protocol: '%UPSTREAM_PROTOCOL%', why: '%UPSTREAM_TRANSPORT_FAILURE_REASON%', \
               where: ['%UPSTREAM_CLUSTER%', '%UPSTREAM_REMOTE_ADDRESS%'] }, \
         bytes: '%REQUEST_HEADERS_BYTES%', flags: '%RESPONSE_FLAGS_LONG%', tx: '%RESPONSE_TX_DURATION%', \
         grpc: '%GRPC_STATUS%', user: '%REQ(AUTHORIZATION)%', key: '%REQ(X-API-KEY)%', cookie: '%RESP(SET-COOKIE)%' }";
    let log = format!(
        "access_logs: [{{ path: '{}', format: {{ json: {format} }}, headers_allowed: [x-api-key] }}]",
        file.display()
    );
    let nowhere = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let document = Document::to(&[upstream.address()])
        .http(&log)
        .with_cluster("gone", &[nowhere], "")
        .routes(
            "{ match: { prefix: /gone }, forward: { cluster: gone } }, \
             { match: { prefix: / }, forward: { cluster: upstream } }",
        )
        .workers(1);
    let proxy = Proxy::start(document).await;
    let credentials = "authorization: Bearer secret\r\nx-api-key: allowed\r\n";
    fetch(proxy.address(), "/a?page=2&token=secret", credentials).await;
    fetch(proxy.address(), "/gone", "content-type: application/grpc\r\n").await;
    let found = lines(&file, 2).await;
    let id = upstream
        .last_request()
        .head
        .field("x-request-id")
        .map(str::to_owned);
    assert_eq!(found[0]["id"].as_str(), id.as_deref());
    let [page, token, path] = ["page", "token", "path"].map(|key| found[0][key].as_str().unwrap());
    assert_eq!([page, token, path], ["2", "[redacted]", "/a"]);
    assert_eq!(found[0]["to"]["protocol"], "HTTP/1.1");
    assert_eq!(found[0]["to"]["why"], Value::Null);
    assert_eq!(found[0]["to"]["where"][1], upstream.address().to_string());
    assert!(found[0]["bytes"].as_u64().unwrap() > 100 && found[0]["tx"].is_u64());
    assert_eq!(found[0]["user"], "[redacted]");
    assert_eq!(found[0]["key"], "allowed");
    assert_eq!(found[0]["cookie"], Value::Null);
    assert_eq!(found[1]["to"]["why"], "connection_refused", "{}", found[1]);
    assert_eq!(
        found[1]["flags"],
        "UpstreamConnectionFailure,UpstreamRetryLimitExceeded"
    );
    assert_eq!(found[1]["grpc"], "Unavailable");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(!text.contains("secret"), "{text}");
}
