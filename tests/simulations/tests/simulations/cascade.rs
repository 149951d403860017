//! A service at the end of a chain becomes slow, and with it everybody who waits for it.

use super::{Simulation, good, milliseconds, seconds, simulate};
use outrigger_simulations::{Behaviour, Hop, Line, Server, load};
use std::rc::Rc;
use std::sync::LazyLock;

const QUICK: Behaviour = Behaviour::Serves(std::time::Duration::from_millis(5));
/// Requests that a service works on at once.
const SLOTS: usize = 50;

/// `front` asks `middle` for half of its requests, `middle` asks `back` for all; `back` is slow from second 10 to 40. The line
/// is of the requests of `front` that do not need `middle`: they are nobody's business but its own.
fn unrelated(policy: &'static str, route: &'static str, cluster: &'static str) -> Line {
    simulate(async {
        let back = Server::new(QUICK, SLOTS);
        let to_back = Hop::new(route, cluster, vec![Rc::clone(&back)], 1);
        let middle = Server::depending(
            QUICK,
            SLOTS,
            Box::new(move || Box::pin(Rc::clone(&to_back).ask())),
        );
        let to_middle = Hop::new(route, cluster, vec![middle], 2);
        // Every second request needs `middle`.
        let turn = std::cell::Cell::new(false);
        let front = Server::depending(
            QUICK,
            SLOTS,
            Box::new(move || {
                turn.set(!turn.get());
                let needs = turn.get();
                let to_middle = Rc::clone(&to_middle);
                Box::pin(async move { if needs { to_middle.ask().await } else { 200 } })
            }),
        );
        let to_front = Hop::new("timeout: 5s", "", vec![Rc::clone(&front)], 3);
        let slow = Rc::clone(&back);
        tokio::task::spawn_local(async move {
            tokio::time::sleep(seconds(10)).await;
            slow.behave(Behaviour::Serves(seconds(4)));
            tokio::time::sleep(seconds(30)).await;
            slow.behave(QUICK);
        });
        let outcome = load(200, seconds(60), seconds(2), move || Rc::clone(&to_front).ask()).await;
        Line {
            policy,
            received: front.received(),
            outcome,
            mended: Some(seconds(40)),
        }
    })
}

pub(super) fn simulation() -> Simulation {
    Simulation {
        title: "Cascading latency",
        says: "`front` serves 200 requests a second; every second one needs `middle`, which needs `back`. Each works on 50 at once. From second 10\n\
               to 40 `back` takes 4 s instead of 5 ms. Clients of `front` wait 2 s. Half of the requests need nobody else: whatever is\n\
               lost below 50 % is lost because everything waits.",
        lines: &LINES,
    }
}

static LINES: LazyLock<Vec<Line>> = LazyLock::new(lines);

fn lines() -> Vec<Line> {
    vec![
        unrelated("timeouts of 15 s (the default)", "", ""),
        unrelated("timeouts of 1 s", "timeout: 1s", ""),
        unrelated(
            "timeouts of 1 s, at most 20 requests at once",
            "timeout: 1s",
            "circuit_breakers: {default: {requests_max: 20}}",
        ),
        unrelated(
            "timeouts of 1 s, adaptive concurrency",
            "timeout: 1s",
            "adaptive_concurrency: {min_rtt_interval: 30s}",
        ),
    ]
}

#[test]
fn a_bound_on_what_waits_keeps_neighbours_alive() {
    let lines = &*LINES;
    let lasting = |line: &Line| line.outcome.good_between(seconds(15), seconds(40));
    let timeouts_alone = &lines[1];
    for bounded in &lines[2..] {
        assert!(
            good(bounded) > 70.0 && good(bounded) > good(timeouts_alone) + 10.0,
            "{}: {:.1} %, by timeouts alone {:.1} %",
            bounded.policy,
            good(bounded),
            good(timeouts_alone)
        );
        assert!(bounded.outcome.recovered_after(seconds(40)) <= Some(seconds(5)));
        // While it lasts, what needs nobody else is served.
        assert!(
            lasting(bounded) > 0.49,
            "{}: {:.2}",
            bounded.policy,
            lasting(bounded)
        );
    }
    // Without a bound it waits behind what does not come.
    for unbounded in &lines[..2] {
        assert!(
            lasting(unbounded) < 0.45,
            "{}: {:.2}",
            unbounded.policy,
            lasting(unbounded)
        );
    }
    assert!(lines[0].outcome.latency(0.5) >= milliseconds(5));
}
