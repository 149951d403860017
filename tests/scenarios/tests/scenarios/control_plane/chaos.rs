//! The control API is killed, restarted, and away while proxies start.

use super::{GATEWAY, gateway, mesh};
use outrigger_fixtures::{Echo, Relay};
use outrigger_harness::client::fetch;
use outrigger_harness::{Control, Process, wait_for, wait_until};
use std::time::Duration;

/// The longest wait between two attempts of a proxy to reach its control plane: `MAX` of `proxy/src/backoff.rs`.
const RECONNECT_WAIT_MAX: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_proxy_goes_on_without_the_control_api_and_hears_of_changes_when_it_is_back() {
    let (one, two) = (Echo::start_named("one").await, Echo::start_named("two").await);
    let mut control = Control::start(&[("mesh.yaml", &mesh(&[&one], ""))]).await;
    let gateway = gateway(&control).await;
    control.settled("gateway").await;
    control.kill().await;
    gateway
        .admin()
        .wait_for_metric("outrigger_control_connected", 0.0)
        .await;
    assert_eq!(fetch(gateway.address(), "/", "").await.status(), 200);
    assert_eq!(gateway.admin().fetch("/ready").await.status(), 200, "it goes on");
    control.write("mesh.yaml", &mesh(&[&two], ""));
    control.restart().await;
    wait_until("the change", || async {
        assert_eq!(fetch(gateway.address(), "/", "").await.status(), 200);
        (two.requests() > 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_proxy_that_starts_without_the_control_api_begins_with_the_last_good_configuration() {
    let echo = Echo::start().await;
    let mut control = Control::start(&[("mesh.yaml", &mesh(&[&echo], ""))]).await;
    let state = control.path("state");
    let file = control.path("gateway.yaml");
    let more = format!(", first_wait: 500ms, last_good: '{}'", state.display());
    std::fs::write(
        &file,
        control.node_document("gateway", "edge/public", GATEWAY, &more),
    )
    .unwrap();
    let mut process = Process::run(&file).await;
    control.settled("gateway").await;
    wait_until("the last good configuration", || async {
        state.join("last-good.xds").exists().then_some(())
    })
    .await;
    process.signal(rustix::process::Signal::TERM);
    assert_eq!(process.exit_code().await, 0);
    control.kill().await;

    let process = Process::run(&file).await;
    let admin = process.admin();
    admin.wait_for_metric("outrigger_control_from_disk", 1.0).await;
    let address = wait_until("the listener", || {
        let listeners = admin.json("/listeners");
        async move {
            let listeners = listeners.await;
            listeners["listeners"][0]["address"].as_str()?.parse().ok()
        }
    })
    .await;
    assert_eq!(fetch(address, "/", "").await.status(), 200);
    let dump = admin.config_dump().await;
    assert_eq!(dump["control"]["source"], "disk");

    control.restart().await;
    // A proxy that has asked in vain for some time waits for up to half a minute before it asks again.
    wait_for(2 * RECONNECT_WAIT_MAX, "the control plane's return", async || {
        (admin.metric("outrigger_control_connected").await == 1.0).then_some(())
    })
    .await;
    admin.wait_for_metric("outrigger_control_from_disk", 0.0).await;
    assert_eq!(fetch(address, "/", "").await.status(), 200);
    wait_until("readiness", || {
        let ready = admin.fetch("/ready");
        async move { (ready.await.status() == 200).then_some(()) }
    })
    .await;
}

#[tokio::test]
async fn a_partition_stops_changes_and_no_request_and_ends_without_a_trace() {
    let (one, two) = (Echo::start_named("one").await, Echo::start_named("two").await);
    let control = Control::start(&[("mesh.yaml", &mesh(&[&one], ""))]).await;
    let relay = Relay::start(control.grpc()).await;
    let document = control.node_document("gateway", "edge/public", GATEWAY, "");
    let (direct, through) = (control.grpc().port(), relay.address().port());
    let document = document.replace(&format!("localhost:{direct}"), &format!("localhost:{through}"));
    let file = control.path("gateway.yaml");
    std::fs::write(&file, document).unwrap();
    let gateway = Process::run(&file).await;
    control.settled("gateway").await;
    relay.hold();
    control.write("mesh.yaml", &mesh(&[&two], ""));
    wait_until("the control plane's new revision", || async {
        assert_eq!(fetch(gateway.address(), "/", "").await.status(), 200);
        (control.parts().store.watch().borrow().revision > 1).then_some(())
    })
    .await;
    for _ in 0..50 {
        assert_eq!(fetch(gateway.address(), "/", "").await.status(), 200);
    }
    assert_eq!(two.requests(), 0, "nothing comes through");
    assert_eq!(gateway.admin().fetch("/ready").await.status(), 200);
    relay.release();
    wait_until("the change", || async {
        assert_eq!(fetch(gateway.address(), "/", "").await.status(), 200);
        (two.requests() > 0).then_some(())
    })
    .await;
}
