//! Valid requests mean the same to this codec and to hyper's HTTP/1 server.

use std::collections::BTreeMap;
use std::convert::Infallible;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

use crate::drive::{self, Seen};

/// What both must agree on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Meaning {
    method: String,
    target: String,
    version: String,
    fields: BTreeMap<String, Vec<Vec<u8>>>,
    body: Vec<u8>,
}

/// A request as text, in many spellings.
fn request() -> impl Strategy<Value = Vec<u8>> {
    let method = prop::sample::select(
        &[
            "GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PROPFIND", "x!y",
        ][..],
    );
    let target = "/[a-zA-Z0-9/._~%!$&'()*+,;=:@-]{0,30}(\\?[a-zA-Z0-9/._~!$&'()*+,;=:@-]{0,30})?";
    let name = "[xX]-[a-zA-Z0-9!$&'*+.^_`|~-]{1,40}|[aA]ccept|User-Agent|USER-AGENT|cookie|X-Request-ID";
    let blank = "[ \t]{0,3}";
    let value = "|[!-~]([ -~\t]{0,40}[!-~])?";
    let field = (name, blank, value, blank)
        .prop_map(|(name, before, value, after)| format!("{name}:{before}{value}{after}\r\n"));
    let fields = prop::collection::vec(field, 0..12);
    let body = prop::collection::vec(prop::collection::vec(any::<u8>(), 1..50), 0..4);
    let framing = prop::sample::select(&["none", "length", "chunked"][..]);
    (
        method,
        target,
        fields,
        any::<prop::sample::Index>(),
        framing,
        body,
    )
        .prop_map(|(method, target, mut fields, host_at, framing, body)| {
            fields.insert(
                host_at.index(fields.len() + 1),
                "Host: example.com:8080\r\n".to_owned(),
            );
            let mut bytes = format!("{method} {target} HTTP/1.1\r\n{}", fields.concat()).into_bytes();
            match framing {
                "none" => bytes.extend_from_slice(b"\r\n"),
                "length" => {
                    let body = body.concat();
                    bytes.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
                    bytes.extend_from_slice(&body);
                }
                _ => {
                    bytes.extend_from_slice(b"Transfer-Encoding: Chunked\r\n\r\n");
                    for (index, part) in body.iter().enumerate() {
                        let extension = if index % 2 == 0 { ";a=b" } else { "" };
                        bytes.extend_from_slice(format!("{:X}{extension}\r\n", part.len()).as_bytes());
                        bytes.extend_from_slice(part);
                        bytes.extend_from_slice(b"\r\n");
                    }
                    bytes.extend_from_slice(b"0\r\n\r\n");
                }
            }
            bytes
        })
}

fn ours(input: &[u8]) -> Vec<Meaning> {
    let mut list: Vec<Meaning> = Vec::new();
    for seen in drive::requests(input, &[], &drive::limits()).seen {
        match seen {
            Seen::Head(head, _) => {
                let mut fields: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
                for field in head.fields.iter() {
                    let name = String::from_utf8(field.name.to_vec()).expect("a token");
                    fields.entry(name).or_default().push(field.value.to_vec());
                }
                fields.insert("host".to_owned(), vec![head.authority().as_bytes().to_vec()]);
                list.push(Meaning {
                    method: head.method.to_string(),
                    target: head.path_and_query().to_owned(),
                    version: head.version.to_string(),
                    fields,
                    body: Vec::new(),
                });
            }
            Seen::Data(data) => list.last_mut().expect("a head comes first").body = data,
            Seen::End => {}
            other => panic!("{} gave {other:?}", input.escape_ascii()),
        }
    }
    list
}

async fn meaning_of(request: Request<Incoming>) -> Meaning {
    let (parts, body) = request.into_parts();
    let mut fields: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
    for (name, value) in &parts.headers {
        fields
            .entry(name.to_string())
            .or_default()
            .push(value.as_bytes().to_vec());
    }
    Meaning {
        method: parts.method.to_string(),
        target: parts.uri.to_string(),
        version: format!("{:?}", parts.version),
        fields,
        body: body
            .collect()
            .await
            .expect("the body is whole")
            .to_bytes()
            .to_vec(),
    }
}

/// What hyper's server makes of `input`, which holds `count` requests.
async fn hypers(input: &[u8], count: usize) -> Vec<Meaning> {
    let (mut client, server) = tokio::io::duplex(64 * 1024);
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let service = service_fn(move |request| {
        let sender = sender.clone();
        async move {
            sender.send(meaning_of(request).await).expect("the test listens");
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        }
    });
    let connection =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(server), service);
    let exchange = async {
        client.write_all(input).await.expect("the pipe is open");
        let mut list = Vec::new();
        while list.len() < count {
            list.push(receiver.recv().await.expect("hyper serves on"));
        }
        list
    };
    tokio::select! {
        biased;
        list = exchange => list,
        result = connection => panic!("hyper ends with {result:?} on {}", input.escape_ascii()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn valid_requests_mean_the_same_to_hyper(requests in prop::collection::vec(request(), 1..3)) {
        let input = requests.concat();
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let theirs = runtime.block_on(hypers(&input, requests.len()));
        prop_assert_eq!(ours(&input), theirs);
    }
}
