//! A proxy and its control planes in different places, and a network between them that loses everything without a word.

use super::mesh::{Mesh, Namespace, possible};
use crate::control_plane::ads::find;
use outrigger_fixtures::Ads;
use outrigger_harness::{Process, policy, wait_until};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::time::Duration;

/// Pings go out every 30 s and are waited for 10 s, and a connection that is tried meanwhile fails after 5 s.
const NOTICE_TIMEOUT: Duration = Duration::from_secs(120);

/// A gateway that answers everything by itself with these words.
fn says(words: &str, version: &str) -> Vec<envoy_types::pb::envoy::service::discovery::v3::Resource> {
    let document = format!(
        "\
listeners: [{{name: edge, address: '127.0.0.1:8080', filter_chains: [{{http: {{route_configuration: all}}}}]}}]
route_configurations:
  - {{name: all, virtual_hosts: [{{name: all, domains: ['*'], routes: [{{match: {{prefix: /}}, direct_response: {{status: 200, \
body: '{words}'}}}}]}}]}}
"
    );
    policy::resources(&document, version)
}

/// A control plane in this place.
async fn server(space: &Namespace, address: IpAddr, words: &str) -> (Ads, String) {
    let listener = space.within(|| TcpListener::bind(SocketAddr::new(address, 0)).unwrap());
    let ads = Ads::start_on(listener, says(words, "1")).await;
    let url = ads.url();
    (ads, url)
}

struct Site {
    mesh: Mesh,
    proxy: Process,
}

impl Site {
    /// What the proxy answers.
    async fn answer(&self) -> String {
        self.mesh
            .a
            .space
            .curl("http://127.0.0.1:8080/")
            .await
            .expect("an answer")
    }

    async fn connected_to(&self) -> serde_json::Value {
        let dump = self
            .mesh
            .a
            .space
            .says("curl -sS --noproxy * http://127.0.0.1:9901/config_dump");
        let dump: serde_json::Value = serde_json::from_str(&dump).unwrap();
        dump["control"]["connected_to"].clone()
    }

    /// Waits until this server is followed and what it says is in force; every request is answered meanwhile.
    async fn follows(&self, url: &str, words: &str) {
        let following = async {
            while self.answer().await != words || self.connected_to().await != url {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let followed = tokio::time::timeout(NOTICE_TIMEOUT, following).await;
        followed.unwrap_or_else(|_| panic!("{url} is not followed:\n{}", self.proxy.stderr()));
    }
}

#[tokio::test]
async fn a_network_that_loses_everything_is_noticed_and_the_second_server_takes_over_until_it_heals() {
    if !possible(&[]) {
        return;
    }
    let mesh = Mesh::new();
    let (first, first_url) = server(&mesh.b.space, mesh.b.v4, "first").await;
    let (_second, second_url) = server(&mesh.node, "10.77.0.1".parse().unwrap(), "second").await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.yaml");
    let document = format!(
        "admin: {{address: '127.0.0.1:9901'}}\ncontrol: {{servers: ['{first_url}', '{second_url}'], node: a, \
         return_interval: 1s}}\n"
    );
    std::fs::write(&file, document).unwrap();
    let proxy = mesh.a.space.proxy(&file).await;
    let site = Site { mesh, proxy };
    site.follows(&first_url, "first").await;
    let streams = first.streams();
    // Not a reset, not an end: nothing at all comes through any more.
    let pod = &site.mesh.b.space;
    pod.says("nft add table inet hole");
    for hook in ["input", "output"] {
        pod.says(&format!(
            "nft add chain inet hole {hook} {{ type filter hook {hook} priority 0 ; policy drop ; }}"
        ));
    }
    // What is told into the hole is lost, and nothing is made of it.
    first.put(find(&says("lost", "2"), "RouteConfiguration", "all"));
    assert_eq!(site.answer().await, "first", "it goes on with what it has");
    site.follows(&second_url, "second").await;
    assert_eq!(first.streams(), streams, "nothing came through");
    let ended = |reason: &str| {
        let labels = format!("reason=\"{reason}\"");
        site.mesh
            .a
            .space
            .metric("outrigger_control_streams_ended_total", &labels)
    };
    assert!(ended("status") >= 1.0, "the stream was given up for its silence");
    assert_eq!(ended("returned"), 0.0);
    pod.says("nft delete table inet hole");
    site.follows(&first_url, "lost").await;
    assert_eq!(ended("returned"), 1.0);
    wait_until("nothing is refused", async || {
        (site
            .mesh
            .a
            .space
            .metric("outrigger_control_resources_refused", "")
            == 0.0)
            .then_some(())
    })
    .await;
}
