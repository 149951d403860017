//! SRV records: targets, ports, weights, priorities, and targets that change.

use super::*;

const SERVICE: &str = "names: [{ host: _http._tcp.a.example, srv: true, weight: 2 }], family: v4";
const HOST: &str = "_http._tcp.a.example";

fn shares(simulation: &Simulation) -> Vec<(String, u32)> {
    let endpoints = simulation.resolution.endpoints().iter();
    endpoints
        .map(|endpoint| (endpoint.address.to_string(), endpoint.weight))
        .collect()
}

fn simulation(records: &[(u16, u16, u16, &str)]) -> Simulation {
    let mut simulation = Simulation::new(SERVICE);
    simulation.set(HOST, RecordKind::Srv, services(records, 10));
    for (target, address) in [("one", "10.0.0.1"), ("two", "10.0.0.2"), ("three", "10.0.0.3")] {
        simulation.set(target, RecordKind::A, addresses(&[address], 100));
    }
    simulation
}

#[test]
fn targets_have_ports_and_weights_and_the_lowest_priority_with_addresses_counts() {
    // Records, and what is in force.
    type Row = (
        &'static [(u16, u16, u16, &'static str)],
        &'static [(&'static str, u32)],
    );
    let table: &[Row] = &[
        (
            &[(1, 5, 80, "one"), (1, 1, 81, "two")],
            &[("10.0.0.1:80", 10), ("10.0.0.2:81", 2)],
        ),
        // The smallest share there is.
        (
            &[(1, 0, 80, "one"), (1, 3, 80, "two")],
            &[("10.0.0.1:80", 2), ("10.0.0.2:80", 6)],
        ),
        (&[(2, 5, 80, "one"), (1, 1, 81, "two")], &[("10.0.0.2:81", 2)]),
        (
            &[(1, 1, 80, "nowhere"), (2, 1, 80, "one"), (3, 1, 80, "two")],
            &[("10.0.0.1:80", 2)],
        ),
        (
            &[(1, 1, 80, "nowhere"), (1, 1, 80, "one"), (2, 1, 80, "two")],
            &[("10.0.0.1:80", 2)],
        ),
        // One target, two ports; one address, named twice.
        (
            &[(1, 1, 80, "one"), (1, 1, 81, "one")],
            &[("10.0.0.1:80", 2), ("10.0.0.1:81", 2)],
        ),
        (&[(1, 1, 80, "one"), (1, 2, 80, "one")], &[("10.0.0.1:80", 6)]),
        // The service is decidedly not there.
        (&[(0, 0, 0, "")], &[]),
        (&[(1, 1, 80, "nowhere")], &[]),
    ];
    for (records, expected) in table {
        let mut simulation = simulation(records);
        simulation.run_until(1);
        let expected: Vec<(String, u32)> = expected
            .iter()
            .map(|&(address, weight)| (address.to_owned(), weight))
            .collect();
        assert_eq!(shares(&simulation), expected, "{records:?}");
        assert!(simulation.resolution.is_warm());
    }
}

#[test]
fn targets_of_higher_priority_numbers_are_not_asked_for_until_they_are_needed() {
    let mut simulation = simulation(&[(1, 1, 80, "one"), (2, 1, 80, "two")]);
    simulation.run_until(50);
    assert_eq!(simulation.times("two A").len(), 0);
    simulation.set("one", RecordKind::A, empty(Some(20)));
    simulation.run_until(101);
    assert_eq!(simulation.endpoints(), ["10.0.0.2:80"]);
    simulation.set("one", RecordKind::A, addresses(&["10.0.0.1"], 100));
    simulation.run_until(121);
    assert_eq!(simulation.endpoints(), ["10.0.0.1:80"], "back where it was");
}

#[test]
fn a_service_that_moves_keeps_its_targets_until_the_new_ones_are_resolved() {
    let mut simulation = simulation(&[(1, 1, 80, "one")]);
    simulation.run_until(5);
    simulation.now = simulation.start + Duration::from_secs(10);
    let resolution = &mut simulation.resolution;
    let questions = resolution.poll(simulation.now);
    assert_eq!(questions.len(), 1);
    resolution.answer(
        &questions[0],
        services(&[(1, 1, 80, "two")], 10),
        simulation.now,
        0,
    );
    let questions = resolution.poll(simulation.now);
    assert_eq!(questions[0].host, "two");
    assert_eq!(
        simulation.endpoints(),
        ["10.0.0.1:80"],
        "the new target is being asked for"
    );
    let answer = addresses(&["10.0.0.2"], 100);
    simulation
        .resolution
        .answer(&questions[0], answer, simulation.now, 0);
    simulation.resolution.poll(simulation.now);
    assert_eq!(simulation.endpoints(), ["10.0.0.2:80"]);
}

#[test]
fn a_service_that_is_new_with_every_answer_waits_for_its_targets() {
    let mut simulation = simulation(&[(1, 1, 80, "one")]);
    simulation.run_until(5);
    // Its targets take longer than its TTL.
    for round in 1..10_u32 {
        simulation.now += Duration::from_secs(10);
        let questions = simulation.resolution.poll(simulation.now);
        assert_eq!(questions[0].kind, RecordKind::Srv, "round {round}");
        let target = format!("target-{round}");
        let answer = services(&[(1, 1, 80, &target)], 10);
        simulation
            .resolution
            .answer(&questions[0], answer, simulation.now, 0);
        let questions = simulation.resolution.poll(simulation.now);
        assert_eq!(questions[0].host, target);
        simulation.now += Duration::from_secs(30);
        assert!(simulation.resolution.poll(simulation.now).is_empty());
        assert_eq!(simulation.resolution.wake_at(), None);
        let text = format!("10.0.1.{round}");
        let answer = addresses(&[&text], 100);
        simulation
            .resolution
            .answer(&questions[0], answer, simulation.now, 0);
        let due = simulation.resolution.poll(simulation.now);
        assert_eq!(due.len(), 1, "now the service is due");
        assert_eq!(simulation.endpoints(), [format!("{text}:80")]);
        simulation
            .resolution
            .answer(&due[0], services(&[(1, 1, 80, &target)], 10), simulation.now, 0);
        simulation.resolution.poll(simulation.now);
    }
}

#[test]
fn a_service_that_fails_keeps_its_targets() {
    let mut simulation = simulation(&[(1, 1, 80, "one")]);
    simulation.run_until(5);
    simulation.set(HOST, RecordKind::Srv, failed());
    simulation.run_until(60);
    assert_eq!(simulation.endpoints(), ["10.0.0.1:80"]);
    assert!(simulation.is_stale());
    simulation.run_until(4000);
    assert_eq!(simulation.endpoints().len(), 0);
}

#[test]
fn targets_are_bounded() {
    let names: Vec<String> = (0..1000).map(|n| format!("t{n}")).collect();
    let records: Vec<(u16, u16, u16, &str)> = names.iter().map(|name| (1, 1, 80, name.as_str())).collect();
    let mut simulation = simulation(&records);
    simulation.run_until(1);
    let hosts = simulation
        .asked
        .iter()
        .filter(|(_, about)| about.starts_with('t'))
        .count();
    assert_eq!(hosts, SERVICE_TARGETS_MAX);
}
