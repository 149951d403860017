//! What is pushed comes into force, and what is wrong does not.

use super::{gateway, mesh};
use outrigger_fixtures::Echo;
use outrigger_harness::client::fetch;
use outrigger_harness::{Control, wait_until};

#[tokio::test]
async fn changes_come_into_force_and_no_request_fails() {
    let (one, two) = (Echo::start_named("one").await, Echo::start_named("two").await);
    let control = Control::start(&[("mesh.yaml", &mesh(&[&one], ""))]).await;
    let gateway = gateway(&control).await;
    let address = gateway.address();
    assert_eq!(fetch(address, "/", "").await.status(), 200);
    for turn in 0..20 {
        let upstream = if turn % 2 == 0 { &two } else { &one };
        let before = control.settled("gateway").await;
        control.write(
            "mesh.yaml",
            &mesh(&[upstream], &format!(", timeout: {}s", turn + 1)),
        );
        // Requests while the change is on its way: each is answered by the one or by the other.
        let changed = wait_until("the change", || {
            let current = control.parts().fleet.plan().stable.number();
            let status = control.parts().fleet.register().find("gateway");
            async move {
                assert_eq!(fetch(address, "/", "").await.status(), 200);
                (current > before && status?.in_force == Some(current)).then_some(current)
            }
        })
        .await;
        assert_eq!(changed, before + 1);
        let asked = upstream.requests();
        assert_eq!(fetch(address, "/", "").await.status(), 200);
        assert_eq!(upstream.requests(), asked + 1, "the answer is the new upstream's");
    }
    let admin = gateway.admin();
    assert_eq!(
        admin
            .metric("outrigger_control_updates_total{outcome=\"refused\"}")
            .await,
        0.0
    );
    assert_eq!(admin.metric("outrigger_control_connected").await, 1.0);
}

#[tokio::test]
async fn a_document_that_is_wrong_changes_nothing_and_says_where() {
    let echo = Echo::start().await;
    let control = Control::start(&[("mesh.yaml", &mesh(&[&echo], ""))]).await;
    let gateway = gateway(&control).await;
    let before = control.settled("gateway").await;
    control.write("mesh.yaml", &mesh(&[&echo], ", timeout: soon"));
    let fault = wait_until("the fault", || {
        let fault = control.parts().store.condition().fault;
        async move { fault }
    })
    .await;
    assert!(fault.contains("mesh.yaml:9:"), "{fault}");
    assert_eq!(control.parts().fleet.plan().stable.number(), before);
    assert_eq!(fetch(gateway.address(), "/", "").await.status(), 200);
}

#[tokio::test]
async fn a_node_is_told_only_what_its_identity_may_know() {
    let echo = Echo::start().await;
    let control = Control::start(&[("mesh.yaml", &mesh(&[&echo], ""))]).await;
    let file = control.path("stranger.yaml");
    let stranger = "spiffe://example.org/ns/shop/sa/stranger";
    let document = control.node_document("stranger", "edge/public", stranger, ", first_wait: 100ms");
    std::fs::write(&file, document).unwrap();
    let process = outrigger_harness::Process::run(&file).await;
    let refused = wait_until("the refusal", || {
        let dump = process.admin();
        async move {
            let dump = dump.config_dump().await;
            let error = dump["control"]["last_error"].as_str()?.to_owned();
            error.contains("is not the identity of").then_some(error)
        }
    })
    .await;
    assert!(refused.contains("edge/public"), "{refused}");
    assert_eq!(process.admin().fetch("/ready").await.status(), 503);
    assert!(control.parts().fleet.register().find("stranger").is_none());
}
