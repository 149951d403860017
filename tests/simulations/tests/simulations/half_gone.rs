//! Half of the fleet is gone.

use super::{Simulation, good, milliseconds, seconds, simulate};
use outrigger_simulations::{Behaviour, Hop, Line, Server, load};
use std::rc::Rc;
use std::sync::LazyLock;

fn half(policy: &'static str, route: &'static str, cluster: &'static str) -> Line {
    simulate(async {
        let well = Behaviour::Serves(milliseconds(5));
        let servers: Vec<_> = (0..10).map(|_| Server::new(well, 50)).collect();
        let hop = Hop::new(route, cluster, servers.clone(), 41);
        let gone = servers.clone();
        tokio::task::spawn_local(async move {
            tokio::time::sleep(seconds(10)).await;
            for server in gone.iter().step_by(2) {
                server.behave(Behaviour::Refuses);
            }
            tokio::time::sleep(seconds(30)).await;
            for server in gone.iter().step_by(2) {
                server.behave(well);
            }
        });
        let outcome = load(400, seconds(60), seconds(2), move || Rc::clone(&hop).ask()).await;
        Line {
            policy,
            received: servers.iter().map(|server| server.received()).sum(),
            outcome,
            mended: Some(seconds(10)),
        }
    })
}

pub(super) fn simulation() -> Simulation {
    Simulation {
        title: "Half of the fleet gone",
        says: "Ten servers answer after 5 ms; from second 10 to 40 five of them refuse connections. 400 requests a second. *Recovered after*\n\
               counts from second 10.",
        lines: &LINES,
    }
}

static LINES: LazyLock<Vec<Line>> = LazyLock::new(lines);

fn lines() -> Vec<Line> {
    const RETRY: &str = "retry: {retry_on: [connect-failure], retries_max: 4}";
    vec![
        half("none", "", ""),
        half("four retries", RETRY, ""),
        half(
            "four retries, ejection of 10 % (the default)",
            RETRY,
            "outlier_detection: {}",
        ),
        half(
            "four retries, ejection of 50 %",
            RETRY,
            "outlier_detection: {max_ejection_percent: 50}",
        ),
    ]
}

#[test]
fn the_rest_serves_once_those_that_are_gone_are_ejected() {
    let lines = &*LINES;
    assert!((74.0..76.0).contains(&good(&lines[0])), "{}", good(&lines[0]));
    assert!(good(&lines[3]) > 99.0, "{}", good(&lines[3]));
    assert!(lines[3].outcome.recovered_after(seconds(10)) <= Some(seconds(2)));
    for line in lines {
        assert!(line.extra() <= 1.0, "those that refuse see nothing");
    }
}
