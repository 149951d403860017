//! Receipts: what in a configuration is idle, as the proxy tells it once the configuration is in force.

use outrigger_fixtures::Echo;
use outrigger_harness::{Admin, Control, Process, wait_until};
use serde_json::Value;
use std::fs;

fn idle(before: &str, clusters: &str) -> String {
    format!(
        "{before}admin: {{address: '127.0.0.1:0'}}
listeners: [{{name: l, address: '127.0.0.1:0', filter_chains: [{{http: {{route_configuration: r}}}}]}}]
route_configurations:
- {{name: r, virtual_hosts: [{{name: v, domains: ['*'], routes: [{{match: {{prefix: /}}, direct_response: {{status: 200}}}}]}}]}}
clusters:
{clusters}"
    )
}

/// Waits for a receipt with so many remarks.
async fn receipt(admin: Admin, count: u64) -> Value {
    wait_until(&format!("a receipt of {count} remarks"), async || {
        let dump = admin.json("/config_dump").await;
        let receipt = &dump["receipt"];
        let is_it = receipt["generation"] == dump["generation"] && receipt["count"] == count;
        is_it.then(|| receipt.clone())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_is_shown_counted_and_logged_and_points_into_the_document_as_it_is_now() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("outrigger.yaml");
    fs::write(&file, idle("", "- {name: nobodys}\n")).unwrap();
    let process = Process::run(&file).await;
    let one = receipt(process.admin(), 1).await;
    let remark = &one["remarks"][0];
    assert_eq!(remark["code"], "part-unused");
    assert_eq!(remark["part"], "cluster `nobodys`");
    assert_eq!(remark["line"], 6);
    let series = "outrigger_configuration_remarks{code=\"part-unused\"}";
    process.admin().wait_for_metric(series, 1.0).await;
    let logged = wait_until("the log", async || {
        let stderr = process.stderr();
        stderr
            .contains("[part-unused] cluster `nobodys`")
            .then_some(stderr)
    })
    .await;
    assert_eq!(logged.matches("[part-unused]").count(), 1, "{logged}");

    // Nothing changes but where things stand.
    fs::write(
        &file,
        idle("# A line more.\n", "- {name: nobodys}\n- {name: others}\n"),
    )
    .unwrap();
    let two = receipt(process.admin(), 2).await;
    assert_eq!(two["remarks"][0]["line"], 7, "{two}");
    process.admin().wait_for_metric(series, 2.0).await;

    fs::write(&file, idle("", " []\n")).unwrap();
    receipt(process.admin(), 0).await;
    wait_until("the series to go", async || {
        let text = process.admin().metrics().await.0;
        (!text.contains("outrigger_configuration_remarks{")).then_some(())
    })
    .await;
}

const GATEWAY: &str = "spiffe://example.org/ns/edge/sa/public";

#[tokio::test(flavor = "multi_thread")]
async fn the_control_plane_is_told() {
    let echo = Echo::start().await;
    let mesh = format!(
        "\
defaults: {{trust_domain: example.org}}
services:
  - name: shop/web
    ports: [{{port: 80, protocol: http}}]
    endpoints: [{{address: '{}'}}]
    cluster: {{circuit_breakers: {{endpoint: {{requests_max: 4000}}}}}}
gateways:
  - name: edge/public
    listeners: [{{name: edge, address: '127.0.0.1:0'}}]
    virtual_hosts: [{{name: all, domains: ['*'], routes: [{{match: {{prefix: /}}, forward: {{service: shop/web}}}}]}}]
",
        echo.address()
    );
    let control = Control::start(&[("mesh.yaml", &mesh)]).await;
    let _gateway = control.node("gateway", "edge/public", GATEWAY).await;
    control.settled("gateway").await;
    let told = wait_until("the receipt", async || control.receipt("gateway")).await;
    assert_eq!(
        told,
        ["endpoint-limit-never-reached cluster `web.shop:80` circuit_breakers.endpoint.requests_max"]
    );
}
