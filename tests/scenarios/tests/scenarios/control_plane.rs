//! A fleet driven from one place: policy is pushed, acknowledged, survives who pushed it, and loses no request.

pub(crate) mod ads;
mod chaos;
mod misbehaving;
mod pushes;
mod refused;
mod replicas;
mod reports;
mod rollouts;
mod warming;

use outrigger_fixtures::Echo;
use outrigger_harness::{Control, Process};

/// The gateway's id.
const GATEWAY: &str = "spiffe://example.org/ns/edge/sa/public";

/// A mesh whose gateway, at any port, sends everything to one service without a sidecar.
fn mesh(upstreams: &[&Echo], route: &str) -> String {
    let endpoints: Vec<String> = upstreams
        .iter()
        .map(|upstream| format!("{{address: '{}'}}", upstream.address()))
        .collect();
    format!(
        "\
defaults: {{trust_domain: example.org}}
services:
  - name: shop/web
    ports: [{{port: 80, protocol: http}}]
    endpoints: [{}]
gateways:
  - name: edge/public
    listeners: [{{name: edge, address: '127.0.0.1:0'}}]
    virtual_hosts: [{{name: all, domains: ['*'], routes: [{{match: {{prefix: /}}, forward: {{service: shop/web{route}}}}}]}}]
",
        endpoints.join(", ")
    )
}

async fn gateway(control: &Control) -> Process {
    control.node("gateway", "edge/public", GATEWAY).await
}
