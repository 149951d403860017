//! Why requests ended as they did, told after the fact: each response flag and each kind of refusal is produced, and the
//! policy, endpoint or peer that it comes down to is named.

mod calls;
mod causes;
mod cuts;
mod decisions;
mod endings;
mod limits;
mod policies;
mod records;
mod times;

use outrigger_fixtures::Scripted;
use outrigger_harness::{Client, Document, Proxy, client, wait_until};
use serde_json::Value;
use std::net::SocketAddr;

/// Where requests go that are looked for.
const PATH: &str = "/case";

/// What is recorded, once something is that is asked for.
async fn recorded(proxy: &Proxy, query: &str) -> Value {
    let path = format!("/explain?format=json&{query}");
    let answer = wait_until("a record", async || {
        let response = proxy.admin().fetch(&path).await;
        (response.status() == 200).then_some(response)
    })
    .await;
    let answer: Value = serde_json::from_slice(&answer.body.bytes).unwrap();
    answer["found"].clone()
}

/// The record of the request to [`PATH`].
async fn told(proxy: &Proxy) -> Value {
    wait_until("the record of the request", async || {
        let response = proxy.admin().fetch("/explain?format=json&limit=1000").await;
        let answer: Value = serde_json::from_slice(&response.body.bytes).unwrap();
        let found = answer["found"].as_array().unwrap();
        found.iter().find(|record| record["path"] == PATH).cloned()
    })
    .await
}

/// The record of a request to a proxy with this document.
async fn fetched(document: impl ToString) -> Value {
    let proxy = Proxy::start(document).await;
    let _ = client::fetch(proxy.address(), PATH, "").await;
    told(&proxy).await
}

/// The record of a request that is cut off, or whose answer is.
async fn cut(document: impl ToString) -> Value {
    let proxy = Proxy::start(document).await;
    let mut client = Client::connect(proxy.address()).await;
    client
        .send(format!("GET {PATH} HTTP/1.1\r\nhost: test\r\n\r\n"))
        .await;
    let _ = client.try_response("GET").await;
    told(&proxy).await
}

/// The flags of a record, and what it comes down to.
fn gist(record: &Value) -> (Vec<&str>, &str) {
    let flags = record["flags"].as_array().unwrap().iter();
    let flags = flags.map(|flag| flag.as_str().unwrap()).collect();
    (flags, record["cause"].as_str().unwrap())
}

/// An address at which nobody listens.
async fn nowhere() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

/// An upstream that reads requests and never answers.
async fn silent() -> Scripted {
    Scripted::start(|mut script| async move {
        while script.request().await?.is_some() {}
        Ok(())
    })
    .await
}

/// Sends a request that the upstream has when this returns, and that it never answers.
async fn hold(proxy: &Proxy, upstream: &Scripted) -> Client {
    let before = upstream.request_count();
    let mut client = Client::connect(proxy.address()).await;
    client.send("GET /held HTTP/1.1\r\nhost: test\r\n\r\n").await;
    wait_until("a request that is held", async || {
        (upstream.request_count() > before).then_some(())
    })
    .await;
    client
}

/// The record of a request beside one that is held.
async fn beside(document: Document, upstream: &Scripted) -> Value {
    let proxy = Proxy::start(document.workers(1)).await;
    let _held = hold(&proxy, upstream).await;
    let _ = client::fetch(proxy.address(), PATH, "").await;
    told(&proxy).await
}
