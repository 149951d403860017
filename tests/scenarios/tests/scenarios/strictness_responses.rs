//! Responses that an upstream must not send: the client gets 502, or a connection cut in the middle where the head is
//! out already; the access log says why; and the upstream's connection is never used again.

mod table;

use outrigger_fixtures::scripted::{Script, Scripted};
use outrigger_harness::{Client, Document, Proxy, wait_until, within};
use serde_json::Value;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use table::{Case, Outcome, cases};

/// How an upstream sends its response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pieces {
    One,
    Bytes,
}

/// Sends, to the request for `/N`, the response of case N, and waits for the proxy to close or closes itself.
async fn play(mut script: Script, cases: Arc<Vec<Case>>, pieces: Pieces) -> std::io::Result<()> {
    let Some(request) = script.request().await? else {
        return Ok(());
    };
    let index: usize = request.head.target().trim_start_matches('/').parse().unwrap();
    let case = &cases[index];
    match pieces {
        Pieces::One => script.send(&case.response).await?,
        Pieces::Bytes => script.send_bytewise(&case.response).await?,
    }
    if case.closes {
        Ok(())
    } else {
        script.until_closed().await
    }
}

/// The access log's lines, by path.
async fn log_lines(file: &Path, count: usize) -> HashMap<String, Value> {
    wait_until("the access log", || async {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let lines: HashMap<String, Value> = text
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .map(|line| (line["path"].as_str().unwrap_or_default().to_owned(), line))
            .collect();
        (lines.len() >= count).then_some(lines)
    })
    .await
}

fn access_log(file: &Path) -> String {
    format!(
        "access_logs: [{{ path: '{}', format: {{ json: {{ path: '%REQ(:PATH)%', status: '%RESPONSE_CODE%', \
         flags: '%RESPONSE_FLAGS%', details: '%RESPONSE_CODE_DETAILS%' }} }} }}]",
        file.display()
    )
}

async fn faulty_responses_are_refused(pieces: Pieces) {
    let cases = Arc::new(cases());
    let shared = Arc::clone(&cases);
    let upstream = Scripted::start(move |script| play(script, Arc::clone(&shared), pieces)).await;
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("access.log");
    let proxy = Proxy::start(Document::to(&[upstream.address()]).http(&access_log(&log))).await;
    for (index, case) in cases.iter().enumerate() {
        let shown = format!(
            "{pieces:?} {}",
            case.response[..case.response.len().min(200)].escape_ascii()
        );
        let mut client = Client::connect(proxy.address()).await;
        client
            .send(format!("{} /{index} HTTP/1.1\r\nhost: a\r\n\r\n", case.method))
            .await;
        match case.outcome {
            Outcome::Refused(_) | Outcome::Died => {
                let status = if case.outcome == Outcome::Died { 503 } else { 502 };
                let response = client
                    .try_response_within()
                    .await
                    .unwrap_or_else(|error| panic!("{shown}: {error}"));
                assert_eq!(response.status(), status, "{shown}: {}", response.text());
                assert!(!response.body.bytes.is_empty(), "{shown}: no body");
                assert!(
                    !response.text().contains("secret"),
                    "{shown}: the upstream's bytes pass"
                );
            }
            Outcome::Cut(_) => {
                let response = client.try_response_within().await;
                assert!(response.is_err(), "{shown}: looks whole: {response:?}");
            }
        }
        wait_until(
            &format!("{shown}: the upstream's connection to be closed"),
            || async { (upstream.open_connections() == 0).then_some(()) },
        )
        .await;
        assert_eq!(
            upstream.connections(),
            index + 1,
            "{shown}: no connection is used twice, nothing is retried"
        );
    }
    let lines = log_lines(&log, cases.len()).await;
    for (index, case) in cases.iter().enumerate() {
        let line = &lines[&format!("/{index}")];
        let (flags, details) = match case.outcome {
            Outcome::Refused(reason) | Outcome::Cut(Some(reason)) => ("UPE", reason),
            Outcome::Died | Outcome::Cut(None) => ("UC", "upstream_connection_closed"),
        };
        let shown = case.response.escape_ascii();
        assert_eq!(
            (line["flags"].as_str(), line["details"].as_str()),
            (Some(flags), Some(details)),
            "{shown}: {line}"
        );
    }
    let refused = cases
        .iter()
        .filter(|case| matches!(case.outcome, Outcome::Refused(_) | Outcome::Cut(Some(_))))
        .count();
    proxy
        .admin()
        .wait_for_metric("outrigger_cluster_protocol_errors_total", refused as f64)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn faulty_responses_in_one_piece_are_refused() {
    faulty_responses_are_refused(Pieces::One).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn faulty_responses_byte_by_byte_are_refused() {
    faulty_responses_are_refused(Pieces::Bytes).await;
}

#[test]
fn the_table_is_as_long_as_promised() {
    assert!(cases().len() >= 60, "{}", cases().len());
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test(flavor = "multi_thread")]
async fn bytes_behind_a_response_end_its_connection() {
    for behind in ["x", "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsecret", "\r\n"] {
        let upstream = Scripted::start(move |mut script| async move {
            while script.request().await?.is_some() {
                script.send(format!("{OK}{behind}")).await?;
            }
            Ok(())
        })
        .await;
        let proxy = Proxy::start(Document::to(&[upstream.address()])).await;
        let mut client = Client::connect(proxy.address()).await;
        for count in 1..=3 {
            let response = client.fetch("/", "").await;
            assert_eq!(
                (response.status(), response.text().as_str()),
                (200, "ok"),
                "{behind:?}"
            );
            assert_eq!(upstream.connections(), count, "{behind:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_nobody_asked_for_on_an_idle_connection_end_it() {
    for unasked in [
        "x",
        "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsecret",
        "HTTP/1.1 408 Request Timeout\r\n\r\n",
    ] {
        let (ask, asked) = tokio::sync::watch::channel(false);
        let sent = Arc::new(tokio::sync::Notify::new());
        let notify = Arc::clone(&sent);
        let upstream = Scripted::start(move |mut script| {
            let (mut asked, sent) = (asked.clone(), Arc::clone(&notify));
            async move {
                script.request().await?;
                script.send(OK).await?;
                if script.index() == 0 {
                    let _ = asked.wait_for(|now| *now).await;
                    script.send(unasked).await?;
                    sent.notify_one();
                }
                script.request().await.map(drop)
            }
        })
        .await;
        let document = Document::to(&[upstream.address()])
            .cluster("pool: { idle_timeout: 1h }")
            .workers(1);
        let proxy = Proxy::start(document).await;
        let mut client = Client::connect(proxy.address()).await;
        assert_eq!(client.fetch("/", "").await.text(), "ok");
        ask.send(true).unwrap();
        // Once they are sent they lie in the proxy's socket, and it looks there before it uses the connection.
        within("the bytes to be sent", sent.notified()).await;
        let response = client.fetch("/", "").await;
        assert_eq!(
            (response.status(), response.text().as_str()),
            (200, "ok"),
            "{unasked:?}"
        );
        assert_eq!(
            (upstream.connections(), upstream.request_count()),
            (2, 2),
            "{unasked:?}"
        );
        let closed = "outrigger_cluster_connections_closed_total{reason=\"unsolicited_bytes\"}";
        proxy.admin().wait_for_metric(closed, 1.0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn interim_responses_pass_up_to_their_limit() {
    for (count, status) in [(8, 200), (9, 502)] {
        let response = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".repeat(count) + OK;
        let upstream = Scripted::answering(response).await;
        let proxy = Proxy::start(Document::to(&[upstream.address()])).await;
        let response = Client::connect(proxy.address()).await.fetch("/", "").await;
        assert_eq!((response.status(), response.interim.len()), (status, 8));
        assert!(
            response
                .interim
                .iter()
                .all(|head| head.status() == 103 && head.field("link") == Some("</a>"))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_of_a_response_head_are_exact() {
    let upstream = Scripted::start(|mut script| async move {
        while let Some(request) = script.request().await? {
            let (count, bytes) = request.head.target()[1..].split_once('/').unwrap();
            let head = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n";
            let mut response = head.to_owned() + &"x: y\r\n".repeat(count.parse::<usize>().unwrap() - 2);
            // The last field fills the head up to its length.
            let fill = bytes.parse::<usize>().unwrap() - response.len() - "z: \r\n\r\n".len();
            response.push_str(&format!("z: {}\r\n\r\n", "a".repeat(fill)));
            script.send(response).await?;
        }
        Ok(())
    })
    .await;
    let limits = "response_headers_bytes_max: 2KiB, response_headers_count_max: 20";
    let proxy = Proxy::start(Document::to(&[upstream.address()]).cluster(limits)).await;
    let mut client = Client::connect(proxy.address()).await;
    for (path, status) in [("/20/2048", 200), ("/21/2048", 502), ("/20/2049", 502)] {
        assert_eq!(client.fetch(path, "").await.status(), status, "{path}");
    }
}
