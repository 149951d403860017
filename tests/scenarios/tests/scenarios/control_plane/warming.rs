//! What is put in force waits for what it adds to be ready; what comes meanwhile does not wait behind it.

use super::ads::{Follower, find, good, identity};
use outrigger_fixtures::{Ads, Echo};
use outrigger_harness::{policy, within};

#[tokio::test]
async fn endpoints_do_not_wait_behind_a_cluster_that_is_being_checked() {
    let (one, two) = (Echo::start().await, Echo::start().await);
    let identity = identity();
    let ads = Ads::start(good(&one, &identity, "1")).await;
    let proxy = Follower::start(&[ads.url()], "").await;
    let admin = proxy.process.admin();
    // Its checks are taken, and never answered.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let document = format!(
        "clusters: [{{name: slow, endpoints: [{{address: '{}'}}], health_check: {{http: {{path: /}}, timeout: 60s, interval: 60s}}}}]",
        silent.local_addr().unwrap()
    );
    for resource in policy::resources(&document, "1") {
        ads.put(resource);
    }
    let (_check, _) = within("a check", silent.accept()).await.unwrap();
    ads.put(find(&good(&two, &identity, "2"), "ClusterLoadAssignment", "web"));
    proxy.reaches(&two).await;
    assert_eq!(
        admin.metric("outrigger_control_pushes_superseded_total").await,
        1.0
    );
    proxy
        .serves_until("the cluster, though it is not checked", async || {
            let dump = proxy.control().await;
            let resources = dump["resources"].as_array()?;
            let slow = resources
                .iter()
                .find(|one| one["type"] == "Cluster" && one["name"] == "slow")?;
            (slow["standing"] == "in_force").then_some(())
        })
        .await;
    assert!(ads.refusals().is_empty(), "nothing is wrong with either");
    assert_eq!(ads.streams(), 1);
}
