//! Calls of gRPC, whose errors are no statuses of HTTP.

use super::{PATH, fetched, recorded, told};
use outrigger_fixtures::Scripted;
use outrigger_harness::{Document, Proxy, client};
use serde_json::Value;

/// Fields of a call.
pub(super) const GRPC: &str = "content-type: application/grpc\r\nte: trailers\r\n";

/// The record of a call through this document.
async fn called(document: Document) -> Value {
    let proxy = Proxy::start(document).await;
    client::fetch(proxy.address(), PATH, GRPC).await;
    told(&proxy).await
}

/// The end of a call whose head tells its status.
fn ended(status: u16) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ngrpc-status: {status}\r\ncontent-length: 0\r\n\r\n"
    )
}

pub(super) async fn in_head() -> Value {
    let upstream = Scripted::answering(ended(14)).await;
    called(Document::to(&[upstream.address()])).await
}

pub(super) async fn in_trailers() -> Value {
    let upstream = Scripted::answering(
        "HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ntransfer-encoding: chunked\r\n\r\n\
         3\r\nabc\r\n0\r\ngrpc-status: 13\r\n\r\n",
    )
    .await;
    called(Document::to(&[upstream.address()])).await
}

pub(super) async fn denied() -> Value {
    let policy =
        "authorization_policies: [{ name: nobody, action: deny, rules: [{ paths: [{ prefix: / }] }] }]";
    called(Document::to(&[]).chain("authorization: [nobody]").with(policy)).await
}

pub(super) async fn maintenance() -> Value {
    let host = "{ name: all, domains: ['*'], maintenance: { page: { body: soon } }, \
                routes: [{ match: { prefix: / }, forward: { cluster: upstream } }] }";
    called(Document::to(&[]).virtual_hosts(host)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_of_grpc_are_the_last_error_and_found_by_their_status() {
    let upstream = Scripted::start(|mut script| async move {
        while let Some(request) = script.request().await? {
            let status = match request.head.target() {
                "/shop/Missing" => 5,
                "/shop/Lost" => 15,
                _ => 0,
            };
            script.send(ended(status)).await?;
        }
        Ok(())
    })
    .await;
    let policy = "authorization_policies: [{ name: nobody, action: deny, rules: [{ paths: [{ prefix: /shop/Closed }] }] }]";
    let document = Document::to(&[upstream.address()])
        .chain("authorization: [nobody]")
        .with(policy)
        .workers(1);
    let proxy = Proxy::start(document).await;
    let path = async |query: &str| recorded(&proxy, query).await[0]["path"].clone();
    for (call, last_error) in [
        ("/shop/Lost", "/shop/Lost"),
        ("/shop/Missing", "/shop/Lost"),
        ("/shop/Fine", "/shop/Lost"),
        ("/shop/Closed", "/shop/Closed"),
        ("/shop/Fine", "/shop/Closed"),
    ] {
        client::fetch(proxy.address(), call, GRPC).await;
        assert_eq!(path("limit=1").await, call);
        assert_eq!(path("last-error").await, last_error, "after {call}");
    }
    for (status, call) in [
        ("DATA_LOSS", "/shop/Lost"),
        ("5", "/shop/Missing"),
        ("permission_denied", "/shop/Closed"),
        ("0", "/shop/Fine"),
    ] {
        assert_eq!(path(&format!("grpc-status={status}")).await, call);
    }
    let record = fetched(Document::to(&[upstream.address()])).await;
    assert_eq!(record["grpc_status"], Value::Null, "it is no call");
}
