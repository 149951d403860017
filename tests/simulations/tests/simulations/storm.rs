//! A service comes back, and retries keep it down.

use super::{Simulation, seconds, simulate};
use outrigger_simulations::{Behaviour, Hop, Line, Server, load};
use std::rc::Rc;
use std::sync::LazyLock;

/// What each of the two servers can do: ten at once, 20 ms each, 500 a second.
const WELL: Behaviour = Behaviour::Serves(std::time::Duration::from_millis(20));

fn recovering(policy: &'static str, route: &'static str, cluster: &'static str) -> Line {
    simulate(async {
        let servers = vec![Server::new(WELL, 10), Server::new(WELL, 10)];
        let hop = Hop::new(route, cluster, servers.clone(), 11);
        let failing = servers.clone();
        tokio::task::spawn_local(async move {
            tokio::time::sleep(seconds(10)).await;
            for server in &failing {
                server.behave(Behaviour::Serves(seconds(2)));
            }
            tokio::time::sleep(seconds(10)).await;
            for server in &failing {
                server.behave(WELL);
            }
        });
        let outcome = load(800, seconds(60), seconds(2), move || Rc::clone(&hop).ask()).await;
        Line {
            policy,
            received: servers.iter().map(|server| server.received()).sum(),
            outcome,
            mended: Some(seconds(20)),
        }
    })
}

pub(super) fn simulation() -> Simulation {
    Simulation {
        title: "A retry storm against a recovering service",
        says: "Two servers can do 500 requests a second each and are asked for 800. From second 10 to 20 they take 2 s instead of 20 ms for\n\
               a request, and their queues have no end. Clients wait 2 s; a try may take 500 ms. A budget of 100 %, and of a million at least, stands for none.",
        lines: &LINES,
    }
}

static LINES: LazyLock<Vec<Line>> = LazyLock::new(lines);

fn lines() -> Vec<Line> {
    const RETRIES: &str = "timeout: 2s, retry: {retry_on: [5xx], retries_max: 3, per_try_timeout: 500ms}";
    vec![
        recovering("no retries", "timeout: 2s", ""),
        recovering(
            "three retries, no budget",
            RETRIES,
            "retry_budget: {percent: 100, concurrency_min: 1000000}, circuit_breakers: {default: {requests_max: 1000000}}",
        ),
        recovering(
            "three retries, the budget of 20 %",
            RETRIES,
            "circuit_breakers: {default: {requests_max: 1000000}}",
        ),
        recovering(
            "the same, at most 60 requests at once",
            RETRIES,
            "circuit_breakers: {default: {requests_max: 60}}",
        ),
    ]
}

#[test]
fn the_budget_bounds_what_a_storm_adds_and_a_breaker_lets_the_service_come_back() {
    let [_, unbounded, budget, breaker] = LINES.as_slice() else {
        panic!("four lines")
    };
    assert!(unbounded.extra() > 1.8, "{}", unbounded.extra());
    assert!(budget.extra() <= 1.2, "{}", budget.extra());
    assert!(breaker.extra() <= 1.0, "{}", breaker.extra());
    assert_eq!(unbounded.outcome.recovered_after(seconds(20)), None);
    assert!(breaker.outcome.recovered_after(seconds(20)) <= Some(seconds(2)));
}
