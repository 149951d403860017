//! Requests that are malformed, or that two readers could take for two things: each gets the exact answer, is counted
//! by its reason, and never runs at the upstream. Valid oddities pass.

mod lines;
mod messages;
mod valid;

use outrigger_fixtures::{Scripted, wire};
use outrigger_harness::{Admin, Client, Document, Proxy};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// A request, and the answer that it gets.
struct Case {
    input: Vec<u8>,
    status: u16,
    /// The label of the counter of refusals.
    reason: &'static str,
    /// What follows cannot be read safely.
    closes: bool,
}

impl Case {
    fn new(input: impl Into<Vec<u8>>, status: u16, reason: &'static str) -> Case {
        Case {
            input: input.into(),
            status,
            reason,
            closes: true,
        }
    }

    fn stays_open(mut self) -> Case {
        self.closes = false;
        self
    }
}

/// How a request is sent.
#[derive(Debug, Clone, Copy)]
enum Pieces {
    One,
    Bytes,
}

/// Inputs longer than this are not sent byte by byte, but in pieces of a length that divides nothing.
const BYTEWISE_MAX: usize = 4096;
const PIECE_BYTES: usize = 997;

async fn send(client: &mut Client, input: &[u8], pieces: Pieces) {
    match pieces {
        Pieces::One => client.send(input).await,
        Pieces::Bytes if input.len() <= BYTEWISE_MAX => client.send_bytewise(input).await,
        Pieces::Bytes => {
            for piece in input.chunks(PIECE_BYTES) {
                client.send(piece).await;
            }
        }
    }
}

/// A proxy with an upstream that would answer anything, and what has been refused so far.
struct Bench {
    upstream: Scripted,
    proxy: Proxy,
    refused: BTreeMap<&'static str, f64>,
}

impl Bench {
    async fn new(http: &str) -> Bench {
        let upstream = Scripted::ok().await;
        let proxy = Proxy::start(Document::to(&[upstream.address()]).http(http)).await;
        Bench {
            upstream,
            proxy,
            refused: BTreeMap::new(),
        }
    }

    async fn refuses_all(&mut self, cases: &[Case]) {
        for pieces in [Pieces::One, Pieces::Bytes] {
            for case in cases {
                self.refuses(case, pieces).await;
            }
        }
        self.upstream_saw_nothing();
    }

    async fn refuses(&mut self, case: &Case, pieces: Pieces) {
        let shown = format!("{pieces:?}: {}", excerpt(&case.input));
        let mut client = Client::connect(self.proxy.address()).await;
        send(&mut client, &case.input, pieces).await;
        let response = client
            .try_response_within()
            .await
            .unwrap_or_else(|error| panic!("{shown}: {error}"));
        assert_eq!(response.status(), case.status, "{shown}: {}", response.text());
        assert!(!response.body.bytes.is_empty(), "{shown}: the answer has no body");
        assert_eq!(
            response.head.framing(),
            Some(wire::Framing::Length(response.body.bytes.len() as u64)),
            "{shown}"
        );
        assert_eq!(
            response.field("connection") == Some("close"),
            case.closes,
            "{shown}: {:?}",
            response.head
        );
        if case.closes {
            let rest = client.to_close().await;
            assert!(rest.is_empty(), "{shown}: a second answer: {}", excerpt(&rest));
        }
        let count = self.refused.entry(case.reason).or_default();
        *count += 1.0;
        let (admin, reason, count) = (self.proxy.admin(), case.reason, *count);
        counted(admin, reason, count, &shown).await;
    }

    fn upstream_saw_nothing(&self) {
        let ran = self.upstream.requests();
        assert!(ran.is_empty(), "ran at the upstream: {ran:?}");
    }

    fn address(&self) -> SocketAddr {
        self.proxy.address()
    }
}

async fn counted(admin: Admin, reason: &str, count: f64, shown: &str) {
    let series = format!("outrigger_listener_requests_refused_total{{reason=\"{reason}\"}}");
    let found = admin.metric(&series).await;
    if found != count {
        let all = admin.metrics().await.0;
        let lines: Vec<&str> = all
            .lines()
            .filter(|line| line.contains("refused_total") && !line.ends_with(" 0"))
            .collect();
        panic!("{shown}: {series} is {found}, not {count}:\n{}", lines.join("\n"));
    }
}

fn excerpt(bytes: &[u8]) -> String {
    bytes[..bytes.len().min(300)].escape_ascii().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_request_lines_are_refused() {
    Bench::new("").await.refuses_all(&lines::request_lines()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_fields_are_refused() {
    Bench::new("").await.refuses_all(&lines::fields()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lengths_that_could_be_read_in_two_ways_are_refused() {
    Bench::new("").await.refuses_all(&messages::lengths()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_chunks_and_trailers_are_refused_and_never_run() {
    Bench::new("").await.refuses_all(&messages::chunks()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_exact_answers() {
    Bench::new("").await.refuses_all(&messages::limits()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_that_cannot_be_normalized_are_refused() {
    Bench::new("escaped_slashes: refuse, repeated_slashes: refuse")
        .await
        .refuses_all(&messages::paths())
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn http_1_0_is_as_strict_where_it_is_accepted() {
    Bench::new("accept_http_10: true")
        .await
        .refuses_all(&messages::http_10())
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_follows_a_refused_request_is_never_read() {
    let mut bench = Bench::new("").await;
    for case in messages::followed() {
        bench.refuses(&case, Pieces::One).await;
    }
    bench.upstream_saw_nothing();
}

#[test]
fn the_tables_are_as_long_as_promised() {
    let refused = [
        lines::request_lines(),
        lines::fields(),
        messages::lengths(),
        messages::chunks(),
        messages::limits(),
        messages::paths(),
        messages::http_10(),
        messages::followed(),
    ];
    let count: usize = refused.iter().map(Vec::len).sum();
    assert!(count >= 150, "{count} refused requests");
    assert!(valid::CASES.len() >= 30, "{} valid ones", valid::CASES.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn valid_oddities_pass() {
    for pieces in [Pieces::One, Pieces::Bytes] {
        let bench = Bench::new("accept_http_10: true").await;
        for case in valid::CASES {
            let shown = format!("{pieces:?}: {:?}", case.input);
            let mut client = Client::connect(bench.address()).await;
            send(&mut client, case.input.as_bytes(), pieces).await;
            let method = case.input.trim_start().split(' ').next().unwrap();
            let response = client.response(method).await;
            assert_eq!(response.status(), 200, "{shown}: {}", response.text());
            let request = bench.upstream.last_request();
            assert_eq!(request.head.start_line, case.start_line, "{shown}");
            assert_eq!(request.body.bytes, case.body.as_bytes(), "{shown}");
            if let Some((name, value)) = case.field {
                assert_eq!(
                    request.head.field(name),
                    Some(value),
                    "{shown}: {:?}",
                    request.head
                );
            }
        }
        assert_eq!(
            bench.upstream.request_count(),
            valid::CASES.len(),
            "each ran once"
        );
    }
}
