//! Tokens: who gets through with which, and what upstreams are told.

use outrigger_fixtures::Issuer;
use outrigger_fixtures::issuer::{ISSUER, jwks};
use outrigger_harness::{Client, Document, Proxy, Response};
use std::net::SocketAddr;

mod attacks;
mod clients;
mod files;
mod requirements;
mod told;
mod urls;

/// A provider `main` of these issuers' keys, for the audience `shop`; `more` are fields of it.
fn provider(issuers: &[&Issuer], more: &str) -> String {
    named_provider("main", ISSUER, &format!("inline: '{}'", jwks(issuers)), more)
}

/// A provider of this name whose keys are where `keys` says.
fn named_provider(name: &str, issuer: &str, keys: &str, more: &str) -> String {
    format!("{{ name: {name}, issuer: '{issuer}', audiences: [shop], keys: {{ {keys} }}, {more} }}")
}

/// Everything goes to these endpoints, with a token of `main`.
fn guarded(endpoints: &[SocketAddr], providers: &[String]) -> Document {
    Document::to(endpoints)
        .http("jwt: { provider: main }")
        .with(&format!("jwt_providers: [{}]", providers.join(", ")))
}

fn bearer(token: &str) -> String {
    format!("authorization: Bearer {token}\r\n")
}

async fn fetch(proxy: &Proxy, fields: &str) -> Response {
    fetch_path(proxy, "/", fields).await
}

async fn fetch_path(proxy: &Proxy, path: &str, fields: &str) -> Response {
    Client::connect(proxy.address()).await.fetch(path, fields).await
}

/// Counts tokens of the provider `main` that were refused for this reason.
async fn wait_for_refusals(proxy: &Proxy, reason: &str, count: f64) {
    let series = format!("outrigger_jwt_tokens_refused_total{{provider=\"main\",reason=\"{reason}\"}}");
    proxy.admin().wait_for_metric(&series, count).await;
}
