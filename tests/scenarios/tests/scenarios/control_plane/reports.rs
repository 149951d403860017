//! Proxies tell the control API what they know: how endpoints stand, whom they believe.

use super::{gateway, mesh};
use outrigger_fixtures::Echo;
use outrigger_harness::client::fetch;
use outrigger_harness::{Control, wait_until};
use std::net::TcpListener;

#[tokio::test]
async fn an_ejected_endpoint_is_known_at_the_control_api_also_after_its_restart() {
    let echo = Echo::start().await;
    // Nobody listens there any more.
    let nowhere = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let text = mesh(&[&echo], ", retry: {retry_on: [connect-failure]}");
    let text = text.replace(
        "    endpoints: [",
        &format!("    cluster: {{outlier_detection: {{consecutive_5xx: 1}}}}\n    endpoints: [{{address: '{nowhere}'}}, "),
    );
    let mut control = Control::start(&[("mesh.yaml", &text)]).await;
    let gateway = gateway(&control).await;
    control.settled("gateway").await;
    wait_until("a first report", async || {
        control
            .impaired("gateway")
            .map(|bad| assert!(bad.is_empty(), "{bad:?}"))
    })
    .await;
    assert!(control.is_believed_by("gateway"));
    let ejected = [format!("{nowhere} unhealthy ejected")];
    wait_until("the ejection", async || {
        assert_eq!(fetch(gateway.address(), "/", "").await.status(), 200);
        (control.impaired("gateway")? == ejected).then_some(())
    })
    .await;
    control.kill().await;
    control.restart().await;
    wait_until("the same, told anew", async || {
        (control.impaired("gateway")? == ejected).then_some(())
    })
    .await;
}
