//! One of five endpoints accepts and never answers.

use super::{Simulation, good, milliseconds, seconds, simulate};
use outrigger_simulations::{Behaviour, Hop, Line, Server, load};
use std::rc::Rc;
use std::sync::LazyLock;

fn says_nothing(policy: &'static str, route: &'static str, cluster: &'static str) -> Line {
    simulate(async {
        let servers: Vec<_> = (0..5)
            .map(|_| Server::new(Behaviour::Serves(milliseconds(5)), 50))
            .collect();
        let hop = Hop::new(route, cluster, servers.clone(), 31);
        let silent = Rc::clone(&servers[1]);
        tokio::task::spawn_local(async move {
            tokio::time::sleep(seconds(10)).await;
            silent.behave(Behaviour::Silent);
        });
        let outcome = load(200, seconds(60), seconds(2), move || Rc::clone(&hop).ask()).await;
        Line {
            policy,
            received: servers.iter().map(|server| server.received()).sum(),
            outcome,
            // It never speaks again: recovered is who does without it.
            mended: Some(seconds(10)),
        }
    })
}

pub(super) fn simulation() -> Simulation {
    Simulation {
        title: "An endpoint that accepts and never answers",
        says: "Five servers answer after 5 ms; from second 10 on one of them never does. 200 requests a second for a minute; clients wait 2 s.\n\
               *Recovered after* counts from second 10.",
        lines: &LINES,
    }
}

static LINES: LazyLock<Vec<Line>> = LazyLock::new(lines);

fn lines() -> Vec<Line> {
    const RETRY: &str = "timeout: 1s, retry: {retry_on: [5xx], retries_max: 2, per_try_timeout: 200ms}";
    vec![
        says_nothing("none", "", ""),
        says_nothing("200 ms for a try, two retries", RETRY, ""),
        says_nothing(
            "the same, ejection after 5 in a row",
            RETRY,
            "outlier_detection: {}",
        ),
        says_nothing("least request", "timeout: 1s", "load_balancing: least_request"),
        says_nothing("peak EWMA", "timeout: 1s", "load_balancing: peak_ewma"),
    ]
}

#[test]
fn tries_that_end_and_ejection_take_it_out() {
    let lines = &*LINES;
    assert!(good(&lines[0]) < 84.0, "{}", good(&lines[0]));
    assert!(good(&lines[2]) > 99.0, "{}", good(&lines[2]));
    assert!(lines[2].outcome.recovered_after(seconds(10)) <= Some(seconds(5)));
    assert!(good(&lines[3]) > good(&lines[0]) + 10.0);
}
