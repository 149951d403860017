//! What has lost its right, and tunnels, which no status tells of.

use super::{PATH, recorded, told};
use outrigger_fixtures::Scripted;
use outrigger_harness::{Client, Document, Proxy};
use serde_json::Value;

/// An upstream that begins an answer, and goes on for ever.
async fn beginning(head: &'static str) -> Scripted {
    Scripted::start(move |mut script| async move {
        script.head().await?;
        script.send(head).await?;
        script.until_closed().await
    })
    .await
}

const DOWNLOAD: &str = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc";
const TUNNEL: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: chat\r\n\r\n";

/// A client that has the head of its answer.
async fn answered(proxy: &Proxy, fields: &str, status: u16) -> Client {
    let mut client = Client::connect(proxy.address()).await;
    client
        .send(format!("GET {PATH} HTTP/1.1\r\nhost: test\r\n{fields}\r\n"))
        .await;
    assert_eq!(client.head().await.status(), status);
    client
}

const UPGRADE: &str = "connection: upgrade\r\nupgrade: chat\r\n";

fn under(upstream: &Scripted, rules: &str) -> Document {
    Document::to(&[upstream.address()])
        .http("upgrades: [chat]")
        .chain("authorization: [closed]")
        .with(&format!(
            "authorization_policies: [{{ name: closed, action: deny, rules: [{rules}] }}]"
        ))
}

/// The last error after a policy has taken the right from what was begun.
async fn taken(head: &'static str, fields: &str, status: u16) -> Value {
    let upstream = beginning(head).await;
    let proxy = Proxy::start(under(&upstream, "")).await;
    let _client = answered(&proxy, fields, status).await;
    let closed = under(&upstream, "{ paths: [{ prefix: / }] }");
    proxy.reload(closed).await.unwrap();
    recorded(&proxy, "last-error").await[0].clone()
}

pub(super) async fn right_lost() -> Value {
    taken(DOWNLOAD, "", 200).await
}

pub(super) async fn tunnel_lost_its_right() -> Value {
    taken(TUNNEL, UPGRADE, 101).await
}

pub(super) async fn tunnel_idles() -> Value {
    let upstream = beginning(TUNNEL).await;
    let document = Document::to(&[upstream.address()])
        .http("upgrades: [chat], stream_idle_timeout: 1h, upgrade_idle_timeout: 50ms");
    let proxy = Proxy::start(document).await;
    let _client = answered(&proxy, UPGRADE, 101).await;
    told(&proxy).await
}

pub(super) async fn tunnel_drained() -> Value {
    let upstream = beginning(TUNNEL).await;
    let document = |name: &str| {
        format!(
            "admin: {{ address: 127.0.0.1:0 }}\n\
             drain: {{ timeout: 50ms }}\n\
             listeners:\n\
             - {{ name: {name}, address: 127.0.0.1:0, filter_chains: [{{ http: {{ route_configuration: main, upgrades: [chat] }} }}] }}\n\
             route_configurations:\n\
             - {{ name: main, virtual_hosts: [{{ name: all, domains: ['*'], routes: [{{ match: {{ prefix: / }}, forward: {{ cluster: upstream }} }}] }}] }}\n\
             clusters:\n\
             - {{ name: upstream, endpoints: [{{ address: '{}' }}] }}\n",
            upstream.address()
        )
    };
    let proxy = Proxy::start(document("edge")).await;
    let _client = answered(&proxy, UPGRADE, 101).await;
    proxy.reload(document("other")).await.unwrap();
    recorded(&proxy, "last-error").await[0].clone()
}
