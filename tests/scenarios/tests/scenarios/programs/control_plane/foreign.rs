//! A control plane by grpcio and Envoy's own types drives the proxy: what it pushes comes into force, and what is wrong
//! is refused by its name and its field, while the rest goes on.

use super::super::{Beside, peer, python};
use outrigger_fixtures::Echo;
use outrigger_harness::client::fetch;
use outrigger_harness::{Process, wait_until};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::process::Command;

const TYPES: &str = "type.googleapis.com/envoy";

/// The control plane, and what it has been told.
struct Plane {
    program: Beside,
    address: SocketAddr,
}

impl Plane {
    fn start() -> Option<Plane> {
        let mut command = Command::new(python()?);
        command.arg(peer("ads_server.py"));
        let (program, address) = Beside::listening(command);
        Some(Plane { program, address })
    }

    fn put(&mut self, resources: &[Value]) {
        self.program.tell(&json!({ "put": resources }).to_string());
    }

    fn remove(&mut self, resource_type: &str, name: &str) {
        let change = json!({ "remove": [[resource_type, name]] });
        self.program.tell(&change.to_string());
    }

    /// Waits for an answer of this kind to resources of a type, and gives what it says. Nothing else is refused before.
    fn answer(&self, resource_type: &str, kind: &str) -> String {
        loop {
            let told: Value = serde_json::from_str(&self.program.line()).expect("an answer is JSON");
            if let (Some(said), true) = (told[kind].as_str(), told["type"] == resource_type) {
                return said.to_owned();
            }
            assert!(told["nack"].is_null(), "{told}");
        }
    }
}

fn ads() -> Value {
    json!({ "ads": {}, "resource_api_version": "V3" })
}

fn listener() -> Value {
    let router = json!({ "@type": format!("{TYPES}.extensions.filters.http.router.v3.Router") });
    let manager = json!({
        "@type": format!("{TYPES}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "edge",
        "rds": { "route_config_name": "routes", "config_source": ads() },
        "http_filters": [{ "name": "router", "typed_config": router }],
    });
    json!({
        "@type": format!("{TYPES}.config.listener.v3.Listener"),
        "name": "edge",
        "address": { "socket_address": { "address": "127.0.0.1", "port_value": 0 } },
        "filter_chains": [{ "filters": [{ "name": "http", "typed_config": manager }] }],
    })
}

fn routes(cluster: &str) -> Value {
    let told = json!({ "status": 418, "body": { "inline_string": "told" } });
    json!({
        "@type": format!("{TYPES}.config.route.v3.RouteConfiguration"),
        "name": "routes",
        "virtual_hosts": [{ "name": "all", "domains": ["*"], "routes": [
            { "match": { "path": "/told" }, "direct_response": told },
            { "match": { "prefix": "/" }, "route": { "cluster": cluster } },
        ] }],
    })
}

/// A cluster, with further fields.
fn cluster(name: &str, more: &Value) -> Value {
    let mut made = json!({
        "@type": format!("{TYPES}.config.cluster.v3.Cluster"),
        "name": name,
        "type": "EDS",
        "connect_timeout": "5s",
        "eds_cluster_config": { "eds_config": ads() },
    });
    let fields = more.as_object().expect("further fields are an object").clone();
    made.as_object_mut().expect("a cluster is one").extend(fields);
    made
}

fn endpoints(cluster: &str, address: SocketAddr) -> Value {
    let socket = json!({ "address": address.ip().to_string(), "port_value": address.port() });
    let endpoint = json!({ "endpoint": { "address": { "socket_address": socket } } });
    json!({
        "@type": format!("{TYPES}.config.endpoint.v3.ClusterLoadAssignment"),
        "cluster_name": cluster,
        "endpoints": [{ "lb_endpoints": [endpoint] }],
    })
}

/// Waits until a request is answered by this upstream. None fails meanwhile.
async fn led_to(address: SocketAddr, upstream: &Echo) {
    wait_until("requests go there", async || {
        assert_eq!(fetch(address, "/", "").await.status(), 200);
        (upstream.requests() > 0).then_some(())
    })
    .await;
}

async fn drives(transport: &str) {
    let Some(mut plane) = Plane::start() else { return };
    let (one, two, three) = (Echo::start().await, Echo::start().await, Echo::start().await);
    let none = json!({});
    plane.put(&[
        listener(),
        routes("web"),
        cluster("web", &none),
        endpoints("web", one.address()),
    ]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("node.yaml");
    let document = format!(
        "\
admin: {{address: '127.0.0.1:0'}}
control: {{servers: ['http://{}'], node: foreign, service: edge, transport: {transport}}}
drain: {{grace: 1ms, timeout: 5s}}
",
        plane.address
    );
    std::fs::write(&file, document).unwrap();
    let proxy = Process::run(&file).await;
    let address = proxy.address();
    led_to(address, &one).await;
    assert_eq!(fetch(address, "/told", "").await.status(), 418);

    plane.put(&[endpoints("web", two.address())]);
    led_to(address, &two).await;

    // One is wrong among good ones: it is refused by name and field, and the good ones come into force.
    let wrong = json!({ "track_cluster_stats": { "timeout_budgets": true } });
    plane.put(&[
        cluster("broken", &wrong),
        cluster("good", &none),
        endpoints("good", three.address()),
        routes("good"),
    ]);
    let reason = plane.answer("Cluster", "nack");
    assert_eq!(
        reason,
        "broken: track_cluster_stats: this field is not implemented"
    );
    led_to(address, &three).await;
    let refused = "outrigger_control_resources_refused";
    proxy.admin().wait_for_metric(refused, 1.0).await;

    plane.put(&[cluster("broken", &none), endpoints("broken", one.address())]);
    plane.answer("Cluster", "ack");
    proxy.admin().wait_for_metric(refused, 0.0).await;

    plane.remove("Cluster", "broken");
    plane.remove("ClusterLoadAssignment", "broken");
    wait_until("the cluster is gone", async || {
        let dump = proxy.admin().config_dump().await;
        let is_broken = |one: &Value| one["type"] == "Cluster" && one["name"] == "broken";
        let held = dump["control"]["resources"].as_array()?;
        (!held.is_empty() && !held.iter().any(is_broken)).then_some(())
    })
    .await;
    assert_eq!(fetch(address, "/", "").await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_control_plane_drives_the_proxy_by_the_state_of_the_world() {
    drives("state_of_the_world").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_control_plane_drives_the_proxy_by_delta() {
    drives("delta").await;
}
