//! A proxy under a control plane that can misbehave.

use envoy_types::pb::envoy::service::discovery::v3::Resource;
use outrigger_fixtures::ads::Ads;
use outrigger_fixtures::{Authority, Echo};
use outrigger_harness::client::fetch;
use outrigger_harness::{Process, policy, wait_until};
use std::net::SocketAddr;

/// What all these tests begin with: a plain listener `edge` to an upstream, and a listener `secure` with a certificate
/// that comes by SDS.
pub(crate) fn good(upstream: &Echo, identity: &str, version: &str) -> Vec<Resource> {
    let document = format!(
        "\
listeners:
  - {{name: edge, address: '127.0.0.1:0', filter_chains: [{{http: {{route_configuration: shop}}}}]}}
  - {{name: secure, address: '127.0.0.1:0', filter_chains: [{{tls: {{certificates: [{{identity: own}}]}}, http: \
{{route_configuration: shop}}}}]}}
route_configurations:
  - {{name: shop, virtual_hosts: [{{name: all, domains: ['*'], routes: [{{match: {{prefix: /}}, forward: {{cluster: web, \
timeout: 5s}}}}]}}]}}
clusters: [{{name: web, endpoints: [{{address: '{}'}}]}}]
identities: [{{name: own, inline: {identity}}}]
",
        upstream.address()
    );
    policy::resources(&document, version)
}

/// An identity in a document.
pub(crate) fn identity() -> String {
    inline(&Authority::new("ca"), "own", "own")
}

/// A chain and a key, which may not fit.
pub(crate) fn inline(authority: &Authority, chain: &str, key: &str) -> String {
    for name in [chain, key] {
        authority.issue(name, &["shop.example"]);
    }
    let read = |file: String| std::fs::read_to_string(authority.path(&file)).expect("it was issued");
    let (chain, key) = (read(format!("{chain}.pem")), read(format!("{key}.key")));
    format!(
        "{{certificate_chain: {}, private_key: {}}}",
        serde_json::json!(chain),
        serde_json::json!(key)
    )
}

/// The resource of this name whose type ends so.
pub(crate) fn find(resources: &[Resource], kind: &str, name: &str) -> Resource {
    let is_it = |one: &&Resource| {
        one.name == name
            && one
                .resource
                .as_ref()
                .is_some_and(|any| any.type_url.ends_with(kind))
    };
    resources
        .iter()
        .find(is_it)
        .unwrap_or_else(|| panic!("{kind} {name}"))
        .clone()
}

/// A proxy that follows these servers.
pub(super) struct Follower {
    pub(super) process: Process,
    pub(super) address: SocketAddr,
    _directory: tempfile::TempDir,
}

impl Follower {
    /// Waits until it has what they send.
    pub(super) async fn start(servers: &[String], more: &str) -> Follower {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("node.yaml");
        let servers = servers.join("', '");
        let document = format!(
            "admin: {{address: '127.0.0.1:0'}}\ncontrol: {{servers: ['{servers}'], node: a, first_wait: 100ms{more}}}\n"
        );
        std::fs::write(&file, document).unwrap();
        let process = Process::run(&file).await;
        let admin = process.admin();
        let address = wait_until("the listener", || async {
            let listeners = admin.json("/listeners").await;
            let listeners = listeners["listeners"].as_array()?.clone();
            let edge = listeners.iter().find(|one| one["name"] == "edge")?;
            edge["address"].as_str()?.parse().ok()
        })
        .await;
        wait_until("readiness", || async {
            (admin.fetch("/ready").await.status() == 200).then_some(())
        })
        .await;
        Follower {
            process,
            address,
            _directory: directory,
        }
    }

    /// A request, which succeeds.
    pub(super) async fn serves(&self) {
        assert_eq!(fetch(self.address, "/", "").await.status(), 200);
    }

    /// Waits for something, and has requests succeed meanwhile.
    pub(super) async fn serves_until<T>(
        &self,
        what: &str,
        mut condition: impl AsyncFnMut() -> Option<T>,
    ) -> T {
        wait_until(what, async || {
            self.serves().await;
            condition().await
        })
        .await
    }

    /// Waits until requests reach this upstream, and all succeed.
    pub(super) async fn reaches(&self, upstream: &Echo) {
        let before = upstream.requests();
        self.serves_until("requests reach the upstream", async || {
            (upstream.requests() > before).then_some(())
        })
        .await;
    }

    /// The control plane as `/config_dump` shows it.
    pub(super) async fn control(&self) -> serde_json::Value {
        self.process.admin().config_dump().await["control"].clone()
    }

    /// Waits until this server is followed.
    pub(super) async fn follows(&self, server: &Ads) {
        self.serves_until("the server is followed", async || {
            (self.control().await["connected_to"] == server.url()).then_some(())
        })
        .await;
    }
}
