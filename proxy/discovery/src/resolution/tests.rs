use super::*;
use crate::question::Failure;
use outrigger_config::{Environment, Source, load};
use std::collections::HashMap;
use std::time::Duration;

mod services;
mod simulated;

/// The settings that YAML gives: fields of `discovery` beside its type.
fn settings(fields: &str) -> DnsDiscovery {
    let text = format!("clusters:\n- {{ name: c, discovery: {{ type: strict_dns, {fields} }} }}\n");
    let source = Source {
        name: "test".into(),
        text,
    };
    let loaded = load(&source, &Environment::empty()).unwrap_or_else(|faults| panic!("{faults}"));
    loaded.config.clusters()[0].discovery().dns().unwrap().clone()
}

/// A resolution in simulated time, and the names that there are.
struct Simulation {
    resolution: Resolution,
    start: Instant,
    now: Instant,
    /// What backoff draws.
    random: u64,
    zone: HashMap<(String, RecordKind), Answer>,
    /// Seconds since the start, and the question.
    asked: Vec<(f64, String)>,
}

impl Simulation {
    fn new(fields: &str) -> Simulation {
        let start = Instant::now();
        Simulation {
            resolution: Resolution::new(settings(fields), start),
            start,
            now: start,
            random: 0,
            zone: HashMap::new(),
            asked: Vec::new(),
        }
    }

    fn set(&mut self, host: &str, kind: RecordKind, answer: Answer) {
        self.zone.insert((host.to_owned(), kind), answer);
    }

    /// A question's answer now: what the zone says, else that there are none, for a minute.
    fn answer(&self, question: &Question) -> Answer {
        let key = (question.host.clone(), question.kind);
        self.zone.get(&key).cloned().unwrap_or_else(|| empty(Some(60)))
    }

    /// Lets time pass until so many seconds since the start. Every question is answered at once.
    fn run_until(&mut self, seconds: u64) {
        let end = self.start + Duration::from_secs(seconds);
        loop {
            let questions = self.resolution.poll(self.now);
            for question in &questions {
                let since = self.now.duration_since(self.start).as_secs_f64();
                self.asked.push((since, question.to_string()));
                let answer = self.answer(question);
                self.resolution.answer(question, answer, self.now, self.random);
            }
            if !questions.is_empty() {
                continue;
            }
            let wake_at = self.resolution.wake_at().expect("nothing is being asked");
            assert!(wake_at > self.now, "a busy loop");
            if wake_at > end {
                self.now = end;
                return;
            }
            self.now = wake_at;
        }
    }

    fn endpoints(&self) -> Vec<String> {
        let endpoints = self.resolution.endpoints().iter();
        endpoints.map(|endpoint| endpoint.address.to_string()).collect()
    }

    /// When a question was asked, in seconds.
    fn times(&self, question: &str) -> Vec<f64> {
        let asked = self.asked.iter();
        asked
            .filter(|(_, about)| about == question)
            .map(|(at, _)| *at)
            .collect()
    }

    fn is_stale(&self) -> bool {
        self.resolution.is_stale(self.now)
    }
}

fn addresses(texts: &[&str], ttl: u64) -> Answer {
    Answer::Found {
        records: Records::Addresses(texts.iter().map(|text| text.parse().unwrap()).collect()),
        ttl: Duration::from_secs(ttl),
    }
}

fn services(records: &[(u16, u16, u16, &str)], ttl: u64) -> Answer {
    let services = records.iter().map(|&(priority, weight, port, target)| Service {
        priority,
        weight,
        port,
        target: target.to_owned(),
    });
    Answer::Found {
        records: Records::Services(services.collect()),
        ttl: Duration::from_secs(ttl),
    }
}

fn empty(ttl: Option<u64>) -> Answer {
    Answer::Empty {
        ttl: ttl.map(Duration::from_secs),
    }
}

fn failed() -> Answer {
    Answer::Failed {
        failure: Failure::ServerFailure,
        detail: "it says so".to_owned(),
    }
}

const ONE_NAME: &str = "names: [{ host: a.example, port: 80 }], family: v4";

#[test]
fn a_question_is_asked_again_when_its_ttl_is_over_within_bounds() {
    // The TTL of each answer, and when it is asked.
    let table = [
        (10, vec![0.0, 10.0, 20.0]),
        (0, vec![0.0, 2.0, 4.0]),
        (86_400, vec![0.0, 15.0, 30.0]),
    ];
    for (ttl, expected) in table {
        let mut simulation = Simulation::new(&format!("{ONE_NAME}, ttl_min: 2s, ttl_max: 15s"));
        simulation.set("a.example", RecordKind::A, addresses(&["10.0.0.1"], ttl));
        simulation.run_until(expected[2] as u64);
        assert_eq!(simulation.times("a.example A"), expected, "TTL {ttl}");
        assert_eq!(simulation.endpoints(), ["10.0.0.1:80"]);
    }
}

#[test]
fn an_answer_in_another_order_changes_nothing() {
    let mut simulation = Simulation::new(ONE_NAME);
    let mut texts = vec!["10.0.0.3", "10.0.0.1", "10.0.0.2", "10.0.0.1"];
    simulation.set("a.example", RecordKind::A, addresses(&texts, 10));
    simulation.run_until(1);
    let before = Arc::clone(simulation.resolution.endpoints());
    assert_eq!(
        simulation.endpoints(),
        ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"]
    );
    for round in 1..5 {
        texts.rotate_left(1);
        simulation.set("a.example", RecordKind::A, addresses(&texts, 10));
        simulation.run_until(round * 10 + 1);
        assert!(
            Arc::ptr_eq(&before, simulation.resolution.endpoints()),
            "{texts:?}"
        );
    }
}

#[test]
fn endpoints_come_and_go_with_answers_and_an_empty_answer_takes_all() {
    let mut simulation = Simulation::new(ONE_NAME);
    simulation.set("a.example", RecordKind::A, addresses(&["10.0.0.1"], 10));
    simulation.run_until(5);
    simulation.set(
        "a.example",
        RecordKind::A,
        addresses(&["10.0.0.2", "10.0.0.3"], 10),
    );
    simulation.run_until(9);
    assert_eq!(simulation.endpoints(), ["10.0.0.1:80"], "the TTL is not over");
    simulation.run_until(10);
    assert_eq!(simulation.endpoints(), ["10.0.0.2:80", "10.0.0.3:80"]);
    simulation.set("a.example", RecordKind::A, empty(Some(7)));
    simulation.run_until(20);
    assert_eq!((simulation.endpoints().len(), simulation.is_stale()), (0, false));
    // It is asked again when the negative TTL is over; without one, after five seconds.
    simulation.set("a.example", RecordKind::A, empty(None));
    simulation.run_until(33);
    assert_eq!(simulation.times("a.example A"), [0.0, 10.0, 20.0, 27.0, 32.0]);
}

#[test]
fn failures_keep_the_last_answer_for_a_bounded_time_and_say_so() {
    let mut simulation = Simulation::new(&format!("{ONE_NAME}, stale_max: 60s"));
    simulation.set("a.example", RecordKind::A, addresses(&["10.0.0.1"], 10));
    simulation.run_until(5);
    simulation.set("a.example", RecordKind::A, failed());
    simulation.run_until(9);
    assert!(!simulation.is_stale());
    simulation.run_until(69);
    assert_eq!(simulation.endpoints(), ["10.0.0.1:80"]);
    assert!(simulation.is_stale());
    assert_eq!(
        simulation.resolution.last_error().as_deref(),
        Some("a.example A: server_failure: it says so")
    );
    let report = &simulation.resolution.report(simulation.now)[0];
    assert!(report.stale && report.failures > 3, "{report:?}");
    assert_eq!(
        (report.age, report.ttl_left),
        (Some(Duration::from_secs(69)), Some(Duration::ZERO))
    );
    // Failures are repeated after 1, 2, 4, 8 and then 15 s where the jitter is least.
    assert_eq!(
        simulation.times("a.example A"),
        [0.0, 10.0, 11.0, 13.0, 17.0, 25.0, 40.0, 55.0]
    );
    simulation.run_until(70);
    assert_eq!((simulation.endpoints().len(), simulation.is_stale()), (0, false));
    assert_eq!(simulation.resolution.answers_expired(), 1);
    simulation.set("a.example", RecordKind::A, addresses(&["10.0.0.1"], 10));
    simulation.run_until(85);
    assert_eq!(simulation.endpoints(), ["10.0.0.1:80"]);
    assert_eq!(simulation.resolution.last_error(), None);
}

#[test]
fn without_a_time_to_be_stale_a_failure_takes_the_endpoints_when_the_ttl_is_over() {
    let mut simulation = Simulation::new(&format!("{ONE_NAME}, stale_max: 0s"));
    simulation.set("a.example", RecordKind::A, addresses(&["10.0.0.1"], 10));
    simulation.run_until(5);
    simulation.set("a.example", RecordKind::A, failed());
    simulation.run_until(9);
    assert_eq!(simulation.endpoints().len(), 1);
    simulation.run_until(10);
    assert_eq!(simulation.endpoints().len(), 0);
}

#[test]
fn a_first_failure_is_an_outcome() {
    let mut simulation = Simulation::new(ONE_NAME);
    assert!(!simulation.resolution.is_warm());
    simulation.set("a.example", RecordKind::A, failed());
    simulation.run_until(0);
    assert!(simulation.resolution.is_warm());
    assert_eq!((simulation.endpoints().len(), simulation.is_stale()), (0, false));
    simulation.set("a.example", RecordKind::A, addresses(&["10.0.0.1"], 10));
    simulation.run_until(2);
    assert_eq!(simulation.endpoints().len(), 1);
}

#[test]
fn nothing_is_in_force_before_every_question_had_an_outcome() {
    let now = Instant::now();
    let mut resolution = Resolution::new(settings("names: [{ host: a.example, port: 80 }]"), now);
    let questions = resolution.poll(now);
    assert_eq!(questions.len(), 2);
    assert_eq!(resolution.wake_at(), None, "both are being asked");
    resolution.answer(&questions[0], addresses(&["10.0.0.1"], 10), now, 0);
    assert!(resolution.poll(now).is_empty());
    assert!(!resolution.is_warm() && resolution.endpoints().is_empty());
    resolution.answer(&questions[1], failed(), now, 0);
    resolution.poll(now);
    assert!(resolution.is_warm());
    assert_eq!(resolution.endpoints().len(), 1);
}

#[test]
fn a_family_that_fails_keeps_its_own_answer() {
    let mut simulation = Simulation::new("names: [{ host: a.example, port: 80 }]");
    simulation.set("a.example", RecordKind::A, addresses(&["10.0.0.1"], 10));
    simulation.set("a.example", RecordKind::Aaaa, addresses(&["fd00::1"], 10));
    simulation.run_until(5);
    simulation.set("a.example", RecordKind::A, addresses(&["10.0.0.2"], 10));
    simulation.set("a.example", RecordKind::Aaaa, failed());
    simulation.run_until(15);
    assert_eq!(simulation.endpoints(), ["10.0.0.2:80", "[fd00::1]:80"]);
    assert!(simulation.is_stale());
}

#[test]
fn families_are_asked_for_as_configured() {
    // The family, what there is, the endpoints, and whether each kind is asked for.
    type Row = (&'static str, bool, bool, &'static [&'static str], [bool; 2]);
    const V4: &str = "10.0.0.1:80";
    const V6: &str = "[fd00::1]:80";
    let table: [Row; 9] = [
        ("v4", true, true, &[V4], [true, false]),
        ("v6", true, true, &[V6], [false, true]),
        ("both", true, true, &[V4, V6], [true, true]),
        ("both", true, false, &[V4], [true, true]),
        ("v4_preferred", true, true, &[V4], [true, false]),
        ("v4_preferred", false, true, &[V6], [true, true]),
        ("v6_preferred", true, true, &[V6], [false, true]),
        ("v6_preferred", true, false, &[V4], [true, true]),
        ("v6_preferred", false, false, &[], [true, true]),
    ];
    for (family, has_v4, has_v6, expected, asked) in table {
        let mut simulation = Simulation::new(&format!(
            "names: [{{ host: a.example, port: 80 }}], family: {family}"
        ));
        if has_v4 {
            simulation.set("a.example", RecordKind::A, addresses(&["10.0.0.1"], 10));
        }
        if has_v6 {
            simulation.set("a.example", RecordKind::Aaaa, addresses(&["fd00::1"], 10));
        }
        simulation.run_until(1);
        let what = format!("{family}, v4 {has_v4}, v6 {has_v6}");
        assert_eq!(simulation.endpoints(), expected, "{what}");
        let was_asked = ["a.example A", "a.example AAAA"].map(|about| !simulation.times(about).is_empty());
        assert_eq!(was_asked, asked, "{what}");
    }
}

#[test]
fn names_are_merged_and_shares_of_one_address_add_up() {
    let mut simulation = Simulation::new(
        "family: v4, names: [{ host: a.example, port: 80, weight: 3 }, { host: b.example, port: 80 }, \
         { host: c.example, port: 81, weight: 5 }]",
    );
    simulation.set(
        "a.example",
        RecordKind::A,
        addresses(&["10.0.0.2", "10.0.0.1"], 10),
    );
    simulation.set("b.example", RecordKind::A, addresses(&["10.0.0.2"], 10));
    simulation.set("c.example", RecordKind::A, addresses(&["10.0.0.1"], 10));
    simulation.run_until(1);
    let endpoints = simulation.resolution.endpoints().iter();
    let shares: Vec<(String, u32)> = endpoints
        .map(|endpoint| (endpoint.address.to_string(), endpoint.weight))
        .collect();
    let expected = [("10.0.0.1:80", 3), ("10.0.0.1:81", 5), ("10.0.0.2:80", 4)];
    assert_eq!(
        shares,
        expected.map(|(address, weight)| (address.to_owned(), weight))
    );
}

#[test]
fn endpoints_are_bounded_and_what_is_no_host_is_left_out() {
    let mut simulation = Simulation::new(ONE_NAME);
    let many: Vec<String> = (0..1500)
        .map(|n| format!("10.0.{}.{}", n / 250, n % 250))
        .collect();
    let mut texts: Vec<&str> = many.iter().map(String::as_str).collect();
    texts.extend(["0.0.0.0", "224.0.0.1", "255.255.255.255"]);
    simulation.set("a.example", RecordKind::A, addresses(&texts, 10));
    simulation.run_until(1);
    assert_eq!(simulation.endpoints().len(), ADDRESSES_MAX);
    assert_eq!(simulation.endpoints()[0], "10.0.0.0:80");
    assert_eq!(simulation.resolution.addresses_left_out(), 503);
    simulation.run_until(100);
    assert_eq!(
        simulation.resolution.addresses_left_out(),
        503,
        "counted when endpoints change"
    );
}

#[test]
fn an_answer_of_another_kind_is_none() {
    let now = Instant::now();
    let mut resolution = Resolution::new(settings(ONE_NAME), now);
    let questions = resolution.poll(now);
    resolution.answer(&questions[0], services(&[(1, 1, 1, "x")], 10), now, 0);
    let stranger = Question {
        host: "other.example".into(),
        kind: RecordKind::A,
    };
    resolution.answer(&stranger, addresses(&["10.0.0.9"], 10), now, 0);
    resolution.poll(now);
    assert!(resolution.endpoints().is_empty());
}

#[test]
fn other_settings_keep_the_answers_of_the_same_questions() {
    let mut simulation = Simulation::new(ONE_NAME);
    simulation.set("a.example", RecordKind::A, addresses(&["10.0.0.1"], 100));
    simulation.run_until(5);
    let next = settings(&format!("{ONE_NAME}, stale_max: 7s"));
    simulation.resolution = simulation.resolution.succeed(next, simulation.now);
    assert!(simulation.resolution.is_warm());
    assert_eq!(simulation.endpoints(), ["10.0.0.1:80"]);
    simulation.set("a.example", RecordKind::A, failed());
    simulation.run_until(106);
    assert_eq!(
        simulation.times("a.example A")[..2],
        [0.0, 5.0],
        "it is asked again at once"
    );
    assert!(simulation.is_stale());
    simulation.run_until(107);
    assert!(simulation.endpoints().is_empty(), "the new bound holds");
    let other = settings("names: [{ host: b.example, port: 80 }], family: v4");
    simulation.resolution = simulation.resolution.succeed(other, simulation.now);
    assert!(!simulation.resolution.is_warm());
}
