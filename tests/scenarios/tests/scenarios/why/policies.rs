//! Requests that policies refuse, hold or answer.

use super::{PATH, fetched, told};
use outrigger_fixtures::Scripted;
use outrigger_fixtures::issuer::{self, Issuer};
use outrigger_harness::{Client, Document, Proxy, client};
use serde_json::Value;

/// A proxy in front of an upstream that says `ok`, with a document that is edited so.
async fn with(edit: impl FnOnce(Document) -> Document) -> Value {
    let upstream = Scripted::ok().await;
    fetched(edit(Document::to(&[upstream.address()]))).await
}

pub(super) async fn rate_limit() -> Value {
    let upstream = Scripted::ok().await;
    let document = Document::to(&[upstream.address()])
        .http("rate_limits: [few]")
        .with("rate_limits: [{ name: few, local: { limit: { requests: 1, per: 1000h } } }]");
    let proxy = Proxy::start(document).await;
    assert_eq!(client::fetch(proxy.address(), "/first", "").await.status(), 200);
    assert_eq!(client::fetch(proxy.address(), PATH, "").await.status(), 429);
    told(&proxy).await
}

pub(super) async fn rate_limit_service() -> Value {
    with(|document| {
        document
            .http("rate_limits: [asked]")
            .with_cluster("counter", &[], "protocol: http2")
            .with(
                "rate_limits: [{ name: asked, descriptors: [[method]], \
                 global: { cluster: counter, domain: shop, failure_denied: true } }]",
            )
    })
    .await
}

/// Asks an authorization service that answers so; none: that is not there.
async fn authorized(answer: Option<&'static str>) -> Value {
    let service = match answer {
        Some(answer) => Some(Scripted::answering(answer).await),
        None => None,
    };
    let endpoints: Vec<_> = service.iter().map(Scripted::address).collect();
    with(|document| {
        document
            .with_cluster("authz", &endpoints, "")
            .http("external_authorization: { http: { cluster: authz } }")
    })
    .await
}

pub(super) async fn externally_denied() -> Value {
    authorized(Some("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")).await
}

pub(super) async fn external_failure() -> Value {
    authorized(None).await
}

pub(super) async fn fault_abort() -> Value {
    with(|document| document.route("fault: { expires: never, abort: { status: 418 } }")).await
}

pub(super) async fn fault_delay() -> Value {
    with(|document| document.http("fault: { expires: never, delay: { duration: 1ms } }")).await
}

pub(super) async fn denied() -> Value {
    with(|document| {
        document.chain("authorization: [nobody]").with(
            "authorization_policies: [{ name: nobody, action: deny, rules: [{ paths: [{ prefix: / }] }] }]",
        )
    })
    .await
}

pub(super) async fn not_allowed() -> Value {
    with(|document| {
        document.route("authorization: [admins]").with(
            "authorization_policies: [{ name: admins, action: allow, rules: [{ paths: [{ prefix: /admin }] }] }]",
        )
    })
    .await
}

pub(super) async fn no_token() -> Value {
    let keys = issuer::jwks(&[&Issuer::p256("k")]);
    with(|document| {
        document.http("jwt: { provider: main }").with(&format!(
            "jwt_providers: [{{ name: main, issuer: '{}', audiences: [shop], keys: {{ inline: '{keys}' }} }}]",
            issuer::ISSUER
        ))
    })
    .await
}

pub(super) async fn maintenance() -> Value {
    with(|document| {
        document.virtual_hosts(
            "{ name: all, domains: ['*'], maintenance: { page: { body: soon } }, \
             routes: [{ match: { prefix: / }, forward: { cluster: upstream } }] }",
        )
    })
    .await
}

pub(super) async fn body_too_long() -> Value {
    let upstream = Scripted::ok().await;
    let document = Document::to(&[upstream.address()]).route("request_body_max: 2");
    let proxy = Proxy::start(document).await;
    let mut client = Client::connect(proxy.address()).await;
    let request = format!("POST {PATH} HTTP/1.1\r\nhost: test\r\ncontent-length: 3\r\n\r\nabc");
    client.send(request).await;
    assert_eq!(client.response("POST").await.status(), 413);
    told(&proxy).await
}
