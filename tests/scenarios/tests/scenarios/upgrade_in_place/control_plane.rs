//! Under a control plane: the successor has what it is to do before it accepts.

use super::load::Load;
use super::{Site, handed_over};
use crate::control_plane::ads::good;
use outrigger_fixtures::{Ads, Authority, Echo};
use outrigger_harness::wait_until;

/// Upgrades in a row.
const UPGRADES: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_successor_has_its_policy_before_it_accepts_and_no_request_fails() {
    let echo = Echo::start().await;
    let authority = Authority::new("ca");
    let identity = crate::control_plane::ads::inline(&authority, "own", "own");
    let ads = Ads::start(good(&echo, &identity, "1")).await;
    let site = Site::new(format!(
        "admin: {{address: '127.0.0.1:0'}}\ncontrol: {{servers: ['{}'], node: a}}\ndrain: {{grace: 1ms, timeout: 5s}}\n",
        ads.url()
    ));
    let mut process = site.process().await;
    let address = process.address();
    let load = Load::start(address);
    for epoch in 1..=UPGRADES {
        load.go_on(50).await;
        let next = site.process().await;
        assert_eq!(next.address(), address, "the port stays");
        let info = next.admin().json("/server_info").await;
        assert_eq!(info["upgrade_epoch"], epoch);
        handed_over(std::mem::replace(&mut process, next)).await;
        let dump = process.admin().config_dump().await;
        assert_eq!(dump["control"]["source"], "control");
        assert_eq!(dump["control"]["complete"], true);
    }
    load.go_on(50).await;
    assert!(load.end().await > 0);
    assert_eq!(ads.streams(), UPGRADES + 1, "one of each process");
    // One that nobody sends policy does not take over.
    drop(ads);
    let load = Load::start(address);
    load.go_on(10).await;
    site.write(
        "admin: {address: '127.0.0.1:0'}\ncontrol: {servers: ['http://127.0.0.1:1'], node: a, first_wait: 100ms}\n",
    );
    let mut without = site.spawn();
    assert_ne!(without.exit_code().await, 0);
    wait_until("the refusal", async || {
        without
            .stderr()
            .contains("no configuration has come from the control plane")
            .then_some(())
    })
    .await;
    load.go_on(50).await;
    assert!(load.end().await > 0);
    assert!(process.is_running());
}
