//! One of five endpoints fails one request in three.

use super::{Simulation, good, milliseconds, seconds, simulate};
use outrigger_simulations::{Behaviour, Hop, Line, Server, load};
use std::rc::Rc;
use std::sync::LazyLock;

fn fails_often(policy: &'static str, route: &'static str, cluster: &'static str) -> Line {
    simulate(async {
        let well = Behaviour::Serves(milliseconds(5));
        let servers: Vec<_> = (0..5)
            .map(|place| {
                let behaviour = if place == 2 {
                    Behaviour::FailsOneIn(3, milliseconds(5))
                } else {
                    well
                };
                Server::new(behaviour, 50)
            })
            .collect();
        let hop = Hop::new(route, cluster, servers.clone(), 21);
        let outcome = load(200, seconds(60), seconds(2), move || Rc::clone(&hop).ask()).await;
        Line {
            policy,
            received: servers.iter().map(|server| server.received()).sum(),
            outcome,
            mended: None,
        }
    })
}

pub(super) fn simulation() -> Simulation {
    Simulation {
        title: "An endpoint that fails one request in three",
        says: "Five servers answer after 5 ms; one of them answers every third request with 503. 200 requests a second for a minute.",
        lines: &LINES,
    }
}

static LINES: LazyLock<Vec<Line>> = LazyLock::new(lines);

fn lines() -> Vec<Line> {
    vec![
        fails_often("none", "", ""),
        fails_often("one retry", "retry: {retry_on: [5xx]}", ""),
        fails_often(
            "ejection by success rate",
            "",
            "outlier_detection: {success_rate_stdev_factor: 1500, max_ejection_percent: 20}",
        ),
        fails_often(
            "one retry, ejection by success rate",
            "retry: {retry_on: [5xx]}",
            "outlier_detection: {success_rate_stdev_factor: 1500, max_ejection_percent: 20}",
        ),
    ]
}

#[test]
fn a_retry_hides_it_and_ejection_ends_it() {
    let [none, retry, ejection, both] = LINES.as_slice() else {
        panic!("four lines")
    };
    assert!((93.0..94.0).contains(&good(none)), "{}", good(none));
    assert!(good(retry) > 99.9 && retry.extra() < 1.08);
    assert!(good(ejection) > 97.0 && ejection.extra() <= 1.0);
    assert!(good(both) > 99.9 && both.extra() < retry.extra());
}
