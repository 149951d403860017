//! Revisions that are released in stages to real proxies, and what the control API's metrics tell of it.

use outrigger_fixtures::Echo;
use outrigger_harness::client::fetch;
use outrigger_harness::{Control, Process, wait_until};
use std::net::{SocketAddr, TcpListener};

const EDGE: &str = "spiffe://example.org/ns/edge/sa/public";
const INNER: &str = "spiffe://example.org/ns/edge/sa/inner";

/// Every change goes to the first gateway, then, when somebody says so, to everybody.
const RELEASE: &str = "release: {stages: ['100% of edge/public by hand', '100%'], pause: 0s}\n";

/// Two gateways that send everything to `upstream`; the listener of the first is at `address`.
fn mesh(upstream: &Echo, address: SocketAddr) -> String {
    let upstream = upstream.address();
    let gateway = |name: &str, address: SocketAddr| {
        format!(
            "  - name: edge/{name}
    listeners: [{{name: edge, address: '{address}'}}]
    virtual_hosts: [{{name: all, domains: ['*'], routes: [{{match: {{prefix: /}}, forward: {{service: shop/web}}}}]}}]
"
        )
    };
    format!(
        "\
defaults: {{trust_domain: example.org}}
services:
  - name: shop/web
    ports: [{{port: 80, protocol: http}}]
    endpoints: [{{address: '{upstream}'}}]
gateways:
{}{}",
        gateway("public", address),
        gateway("inner", anywhere())
    )
}

fn anywhere() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// Two proxies under a control API, with everything in force.
struct Setting {
    control: Control,
    edge: Process,
    inner: Process,
}

impl Setting {
    async fn start(upstream: &Echo) -> Setting {
        let text = mesh(upstream, anywhere());
        let control = Control::start_with(&[("mesh.yaml", &text)], RELEASE).await;
        let edge = control.node("edge", "edge/public", EDGE).await;
        let inner = control.node("inner", "edge/inner", INNER).await;
        for node in ["edge", "inner"] {
            control.settled(node).await;
        }
        Setting { control, edge, inner }
    }

    /// Waits until a series has this value.
    async fn shows(&self, series: &str, value: f64) {
        let line = format!("{series} {value}\n");
        wait_until(&line, async || {
            self.control.metrics().contains(&line).then_some(())
        })
        .await;
    }

    fn in_force(&self, node: &str) -> Option<u64> {
        self.control.parts().fleet.register().find(node)?.in_force
    }
}

/// Whether requests to a proxy reach this upstream.
async fn serves(proxy: &Process, upstream: &Echo) -> bool {
    let before = upstream.requests();
    assert_eq!(fetch(proxy.address(), "/", "").await.status(), 200);
    upstream.requests() > before
}

#[tokio::test]
async fn a_revision_goes_from_stage_to_stage_and_metrics_tell_where_it_is() {
    let (one, two) = (Echo::start_named("one").await, Echo::start_named("two").await);
    let setting = Setting::start(&one).await;
    setting.shows("outrigger_control_rollout_revision", 0.0).await;
    setting.control.write("mesh.yaml", &mesh(&two, anywhere()));
    let staged = "outrigger_control_rollout_state{state=\"staged\"}";
    setting.shows(staged, 1.0).await;
    for (series, value) in [
        ("outrigger_control_rollout_revision", 2.0),
        ("outrigger_control_rollout_stage", 1.0),
        ("outrigger_control_rollout_stages", 2.0),
        ("outrigger_control_rollout_nodes{standing=\"settled\"}", 1.0),
        ("outrigger_control_rollout_nodes{standing=\"waiting\"}", 0.0),
    ] {
        setting.shows(series, value).await;
    }
    assert!(serves(&setting.edge, &two).await, "the first stage has it");
    assert!(serves(&setting.inner, &one).await, "and nobody else");
    assert_eq!(
        (setting.in_force("edge"), setting.in_force("inner")),
        (Some(2), Some(1))
    );

    setting.control.advance_rollout(2).await;
    setting
        .shows("outrigger_control_rollouts_ended_total{outcome=\"done\"}", 1.0)
        .await;
    setting.shows("outrigger_control_rollout_stage", 0.0).await;
    wait_until("the revision everywhere", async || {
        serves(&setting.inner, &two).await.then_some(())
    })
    .await;
    let page = include_str!("../../../../../docs/control/metrics.md");
    let text = setting.control.metrics();
    for family in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let name = family.split(' ').next().unwrap();
        let is_told = page.contains(&format!("`{name}`")) || page.contains(&format!("`{name}{{"));
        assert!(is_told, "docs/control/metrics.md does not tell of {name}");
    }
}

#[tokio::test]
async fn a_revision_that_one_proxy_refuses_goes_back_and_reaches_nobody_else() {
    let (one, two) = (Echo::start_named("one").await, Echo::start_named("two").await);
    let setting = Setting::start(&one).await;
    // Only the proxy itself can find that wrong.
    let taken = TcpListener::bind(anywhere()).unwrap();
    setting
        .control
        .write("mesh.yaml", &mesh(&two, taken.local_addr().unwrap()));
    for (series, value) in [
        (
            "outrigger_control_rollouts_ended_total{outcome=\"rolled_back\"}",
            1.0,
        ),
        ("outrigger_control_rollout_state{state=\"rolled_back\"}", 1.0),
        ("outrigger_control_rollout_stage", 0.0),
        (
            "outrigger_control_resources_refused_total{type=\"Listener\"}",
            1.0,
        ),
    ] {
        setting.shows(series, value).await;
    }
    wait_until("the stable revision", async || {
        serves(&setting.edge, &one).await.then_some(())
    })
    .await;
    assert!(serves(&setting.inner, &one).await);
    assert_eq!(
        setting.in_force("inner"),
        Some(1),
        "it was never told the revision"
    );
}
