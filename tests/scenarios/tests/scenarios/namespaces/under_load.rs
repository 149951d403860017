//! What a load loses while a sidecar goes away.

use super::mesh::{Namespace, possible, prints};
use super::{Pair, url};
use rustix::process::Signal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Requests of a load, each on a connection of its own, so that every one meets the listening sockets of the client's
/// sidecar; to the server's, connections are pooled.
const REQUESTS: u64 = 20_000;

/// Enough to see that all is well.
const FEW: u64 = 1000;

/// What `ab` counts of its requests.
#[derive(Debug, Default)]
struct Lost {
    complete: u64,
    failed: u64,
    not_2xx: u64,
}

impl Lost {
    fn read(said: &str) -> Lost {
        let count = |label: &str| {
            let line = said.lines().find_map(|line| line.strip_prefix(label));
            line.map_or(0, |number| number.trim().parse().unwrap())
        };
        Lost {
            complete: count("Complete requests:"),
            failed: count("Failed requests:"),
            not_2xx: count("Non-2xx responses:"),
        }
    }

    fn add(&mut self, other: &Lost) {
        self.complete += other.complete;
        self.failed += other.failed;
        self.not_2xx += other.not_2xx;
    }

    fn total(&self, requests: u64) -> u64 {
        requests - self.complete + self.failed + self.not_2xx
    }
}

fn load(pair: &Pair, requests: u64) -> std::process::Command {
    let mut command = pair.mesh.a.space.application("ab");
    command
        .args(["-q", "-r", "-l", "-s", "20", "-c", "8", "-n"])
        .arg(requests.to_string())
        .arg(url(pair.mesh.b.v4, 8080));
    command
}

/// Requests that a sidecar has passed on.
fn attempts(space: &Namespace) -> f64 {
    space.metric("outrigger_cluster_attempts_total", "destinations")
}

/// A request that is under way in a sidecar that is killed is lost, and so is one that comes before the next sidecar
/// listens; all others are not.
#[tokio::test(flavor = "multi_thread")]
async fn a_sidecar_that_is_killed_loses_what_it_held() {
    if !possible(&["ab"]) {
        return;
    }
    let mut pair = Pair::start("--uid 0").await;
    let undisturbed = Lost::read(&prints(load(&pair, FEW)).await);
    assert_eq!(undisturbed.total(FEW), 0, "{undisturbed:?}");
    let before = attempts(&pair.mesh.b.space);
    let loading = tokio::spawn(prints(load(&pair, REQUESTS)));
    outrigger_harness::wait_until("the load", || async {
        (attempts(&pair.mesh.b.space) > before).then_some(())
    })
    .await;
    pair.b.signal(Signal::KILL);
    assert_eq!(pair.b.exit_code().await, -1);
    pair.b = pair.mesh.b.space.proxy(&pair.config_b).await;
    let killed = Lost::read(&loading.await.unwrap());
    eprintln!("killed and restarted under load of {REQUESTS} requests: {killed:?}");
    assert!(killed.total(REQUESTS) < REQUESTS / 2, "{killed:?}");
    let after = Lost::read(&prints(load(&pair, FEW)).await);
    assert_eq!(after.total(FEW), 0, "{after:?}");
    assert!(pair.a.is_running());
}

/// Upgrades in place of both sidecars together.
const UPGRADES: usize = 20;

#[tokio::test(flavor = "multi_thread")]
async fn sidecars_that_are_upgraded_in_place_lose_nothing() {
    if !possible(&["ab"]) {
        return;
    }
    let mut pair = Pair::start("--uid 0").await;
    let (stop, loads) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut commands: Vec<_> = (0..UPGRADES * 100).map(|_| load(&pair, FEW)).collect();
    let loading = tokio::spawn({
        let (stop, loads) = (Arc::clone(&stop), Arc::clone(&loads));
        async move {
            let mut lost = Lost::default();
            while !stop.load(Ordering::Relaxed) {
                let command = commands.pop().expect("the upgrades are over long before");
                lost.add(&Lost::read(&prints(command).await));
                loads.fetch_add(1, Ordering::Relaxed);
            }
            lost
        }
    });
    for upgrade in 0..UPGRADES {
        let (space, config, process) = if upgrade % 2 == 0 {
            (&pair.mesh.a.space, &pair.config_a, &mut pair.a)
        } else {
            (&pair.mesh.b.space, &pair.config_b, &mut pair.b)
        };
        let successor = space.proxy(config).await;
        let mut predecessor = std::mem::replace(process, successor);
        assert_eq!(predecessor.exit_code().await, 0, "{}", predecessor.stderr());
    }
    stop.store(true, Ordering::Relaxed);
    let lost = loading.await.unwrap();
    let requests = loads.load(Ordering::Relaxed) * FEW;
    eprintln!("{UPGRADES} upgrades in place under load of {requests} requests: {lost:?}");
    assert_eq!(lost.total(requests), 0, "{lost:?}");
}
