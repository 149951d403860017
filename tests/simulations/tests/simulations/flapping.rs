//! Discovery forgets endpoints and finds them again.

use super::{Simulation, good, milliseconds, seconds, simulate};
use outrigger_simulations::{Behaviour, Hop, Line, Server, load};
use std::rc::Rc;
use std::sync::LazyLock;

/// One server fails always. Each second discovery forgets it, or others, and finds them again: what is known of an
/// endpoint that stays must stay too.
fn flaps(policy: &'static str, route: &'static str, cluster: &'static str) -> Line {
    simulate(async {
        let servers: Vec<_> = (0..6)
            .map(|place| {
                let behaviour = if place == 0 {
                    Behaviour::Fails
                } else {
                    Behaviour::Serves(milliseconds(5))
                };
                Server::new(behaviour, 50)
            })
            .collect();
        let hop = Hop::new(route, cluster, servers.clone(), 51);
        let flapping = Rc::clone(&hop);
        tokio::task::spawn_local(async move {
            for turn in 0.. {
                tokio::time::sleep(seconds(1)).await;
                // Of the last three, others each time; the first three are always there.
                flapping.discover(|place| place < 3 || !(place + turn).is_multiple_of(2));
            }
        });
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
        title: "Discovery that flaps",
        says: "Six servers answer after 5 ms, but one answers 503 at once. Each second DNS tells of other endpoints than before: three are always\n\
               there, the failing one among them, of the other three some come and go. 200 requests a second for a minute.",
        lines: &LINES,
    }
}

static LINES: LazyLock<Vec<Line>> = LazyLock::new(lines);

fn lines() -> Vec<Line> {
    vec![
        flaps("none", "", ""),
        flaps("ejection after 5 in a row", "", "outlier_detection: {}"),
        flaps(
            "one retry, ejection after 5 in a row",
            "retry: {retry_on: [5xx]}",
            "outlier_detection: {}",
        ),
    ]
}

#[test]
fn what_is_known_of_an_endpoint_outlives_what_discovery_says_of_others() {
    let lines = &*LINES;
    assert!(good(&lines[0]) < 82.0, "{}", good(&lines[0]));
    // Ejected for 30 s, and again for 60 s: a handful of requests each time.
    assert!(good(&lines[1]) > 99.8, "{}", good(&lines[1]));
    assert!(good(&lines[2]) > 99.9 && lines[2].extra() < 1.01);
}
