use super::*;
use outrigger_config::model::SpiffeId;
use outrigger_config::{Environment, Source, load};
use std::time::UNIX_EPOCH;

/// A request of nothing but headers.
struct Headers<'h>(&'h [(&'h str, &'h str)]);

impl RequestView for Headers<'_> {
    fn is_connect(&self) -> bool {
        false
    }
    fn method(&self) -> &str {
        "GET"
    }
    fn source_identity(&self) -> Option<&SpiffeId> {
        None
    }
    fn host(&self) -> &str {
        "test"
    }
    fn path(&self) -> &str {
        "/"
    }
    fn query(&self) -> Option<&str> {
        None
    }
    fn header<'a>(&'a self, name: &str, _: &'a mut Vec<u8>) -> Option<&'a [u8]> {
        let mut headers = self.0.iter();
        headers
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value.as_bytes())
    }
}

/// A fault as a configuration has it.
fn fault(fields: &str) -> Arc<Fault> {
    let text = format!(
        "listeners: [{{ name: l, address: '127.0.0.1:0', filter_chains: [{{ http: {{ route_configuration: r, fault: {{ {fields} }} }} }}] }}]\n\
         route_configurations: [{{ name: r, virtual_hosts: [{{ name: v, domains: ['*'], routes: [{{ match: {{ prefix: / }}, redirect: {{ path: /a }} }}] }}] }}]\n"
    );
    let name = "test".into();
    let loaded = load(&Source { name, text }, &Environment::empty());
    let config = loaded.unwrap_or_else(|faults| panic!("{faults}")).config;
    let options = config.listeners()[0].filter_chains()[0].mode().http().unwrap();
    options.fault().clone().unwrap()
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

/// The decision at the beginning of 1970, with these random numbers one after the other.
fn decided(fault: &Fault, state: &FaultState, asked: Option<&AskedFaults>, random: &[u64]) -> Decision {
    let mut random = random.iter().copied();
    let next = || random.next().expect("no more random numbers than parts");
    decide(fault, state, &Headers(&[]), asked, next, at(0))
}

fn injected(decision: &Decision) -> Option<(Option<u64>, Option<FaultAbortKind>, Option<u64>)> {
    match decision {
        Decision::Inject(injection) => Some((
            injection.delay.map(|delay| delay.as_secs()),
            injection.abort,
            injection.response_bytes_per_second,
        )),
        _ => None,
    }
}

fn asked(headers: &[(&str, &str)]) -> AskedFaults {
    let mut asked = AskedFaults::default();
    for (name, value) in headers {
        asked.note(name.as_bytes(), value.as_bytes());
    }
    asked
}

/// The headers and ranges of Envoy's documentation ("Controlling fault injection via HTTP headers").
#[test]
fn headers_ask_as_in_envoy() {
    for (value, expected) in [
        ("200", Some(FaultAbortKind::Status(200))),
        ("503", Some(FaultAbortKind::Status(503))),
        ("599", Some(FaultAbortKind::Status(599))),
        ("600", None),
        ("199", None),
        ("", None),
        ("-503", None),
        ("+503", None),
        ("5O3", None),
        ("66039", None),
        ("99999999999999999999999", None),
    ] {
        let abort = asked(&[("x-envoy-fault-abort-request", value)]).abort();
        assert_eq!(abort, expected, "{value:?}");
    }
    let all = asked(&[
        ("x-envoy-fault-abort-grpc-request", "14"),
        ("x-envoy-fault-delay-request", "1500"),
        ("x-envoy-fault-delay-request-percentage", "30"),
        ("x-envoy-fault-abort-request-percentage", "101"),
        ("x-envoy-fault-throughput-response", "2"),
        ("x-envoy-fault-throughput-response-percentage", "100"),
        ("x-envoy-fault-other", "1"),
    ]);
    assert_eq!(all.delay, Some(Duration::from_millis(1500)));
    assert_eq!(
        (all.delay_percent, all.abort_percent, all.response_percent),
        (Some(30), None, Some(100))
    );
    assert_eq!(all.abort(), Some(FaultAbortKind::Grpc(14)));
    assert_eq!(all.response_bytes_per_second, Some(2048));
    let both = asked(&[
        ("x-envoy-fault-abort-grpc-request", "14"),
        ("x-envoy-fault-abort-request", "404"),
    ]);
    assert_eq!(both.abort(), Some(FaultAbortKind::Status(404)));
    let odd = asked(&[
        ("x-envoy-fault-abort-grpc-request", "17"),
        ("x-envoy-fault-delay-request", "18446744073709551615"),
        ("x-envoy-fault-throughput-response", "0"),
    ]);
    assert_eq!((odd.abort(), odd.response_bytes_per_second), (None, None));
    assert_eq!(odd.delay, Some(asked::ASKED_DELAY_MAX));
}

/// Each part has a random number of its own: 0 falls within every share but nothing, the highest within all only.
#[test]
fn parts_fall_independently() {
    let fault = fault(
        "delay: { percent: 50, duration: 2s }, abort: { percent: 50, status: 503 }, \
         response_rate: { percent: 50, bytes_per_second: 4KiB }, expires: never",
    );
    let state = FaultState::default();
    let (low, high) = (0, u64::MAX);
    let (delay, abort, rate) = (Some(2), Some(FaultAbortKind::Status(503)), Some(4096));
    for (random, expected) in [
        ([low, low, low], Some((delay, abort, rate))),
        ([low, high, high], Some((delay, None, None))),
        ([high, low, high], Some((None, abort, None))),
        ([high, high, low], Some((None, None, rate))),
        ([high, high, high], None),
    ] {
        let decision = decided(&fault, &state, None, &random);
        assert_eq!(injected(&decision), expected, "{random:?}");
    }
    assert_eq!(state.active(), 0, "places are given back with the decisions");
}

#[test]
fn what_is_asked_for_takes_the_place_of_what_is_configured() {
    let fault = fault("delay: { percent: 50, duration: 2s }, by_header: true, expires: never");
    let state = FaultState::default();
    let quarter = u64::MAX / 4;
    let ask = asked(&[
        ("x-envoy-fault-delay-request", "5000"),
        ("x-envoy-fault-delay-request-percentage", "10"),
        ("x-envoy-fault-abort-request", "500"),
    ]);
    // Of the two shares of the delay the smaller holds; the abort has none, and falls on all.
    let abort = Some(FaultAbortKind::Status(500));
    let decision = decided(&fault, &state, Some(&ask), &[quarter, u64::MAX]);
    assert_eq!(injected(&decision), Some((None, abort, None)));
    let decision = decided(&fault, &state, Some(&ask), &[0, 0]);
    assert_eq!(injected(&decision), Some((Some(5), abort, None)));
    // Nobody is heard where the fault does not say so.
    let deaf = super::tests::fault("delay: { percent: 50, duration: 2s }, expires: never");
    let decision = decided(&deaf, &state, Some(&ask), &[quarter]);
    assert_eq!(injected(&decision), Some((Some(2), None, None)));
}

#[test]
fn a_fault_ends_at_its_moment() {
    let fault = fault("abort: { status: 503 }, expires: '1970-01-01T00:01:00Z'");
    let state = FaultState::default();
    let mut seen = Vec::new();
    for second in [0, 59, 60, 61] {
        let decision = decide(&fault, &state, &Headers(&[]), None, || 0, at(second));
        seen.push(match decision {
            Decision::Inject(_) => "injected",
            Decision::Skipped(Skip::Expired) => "expired",
            _ => "else",
        });
    }
    assert_eq!(seen, ["injected", "injected", "expired", "expired"]);
}

#[test]
fn active_requests_and_the_share_are_limited() {
    let fault = fault("abort: { status: 503 }, active_max: 2, affected_max: 50, expires: never");
    let state = FaultState::default();
    let mut held = Vec::new();
    let mut seen = Vec::new();
    for _ in 0..6 {
        match decided(&fault, &state, None, &[0]) {
            Decision::Inject(injection) => {
                held.push(injection);
                seen.push("injected");
            }
            Decision::Skipped(Skip::Share) => seen.push("share"),
            Decision::Skipped(Skip::Active) => seen.push("active"),
            _ => seen.push("else"),
        }
    }
    assert_eq!(
        seen,
        ["share", "injected", "share", "injected", "active", "active"]
    );
    assert_eq!(state.active(), 2);
    held.clear();
    assert!(injected(&decided(&fault, &state, None, &[0])).is_some());
}

#[test]
fn only_requests_with_all_the_headers_are_concerned() {
    let fault = fault(
        "headers: [{ name: x-a, exact: '1' }, { name: x-b, present: true }], abort: { status: 503 }, expires: never",
    );
    let state = FaultState::default();
    for (headers, concerned) in [
        (&[][..], false),
        (&[("x-a", "1")][..], false),
        (&[("x-a", "2"), ("x-b", "")][..], false),
        (&[("x-a", "1"), ("x-b", "")][..], true),
    ] {
        let decision = decide(&fault, &state, &Headers(headers), None, || 0, at(0));
        assert_eq!(injected(&decision).is_some(), concerned, "{headers:?}");
    }
}

/// Requests that are not concerned count all the same: the share is one of all.
#[test]
fn the_share_is_of_all_requests() {
    let fault = fault(
        "headers: [{ name: x-a, exact: '1' }], abort: { status: 503 }, affected_max: 10, expires: never",
    );
    let state = FaultState::default();
    for _ in 0..19 {
        let decision = decide(&fault, &state, &Headers(&[]), None, || 0, at(0));
        assert!(matches!(decision, Decision::Untouched));
    }
    let mut injections = 0;
    for _ in 0..5 {
        let decision = decide(&fault, &state, &Headers(&[("x-a", "1")]), None, || 0, at(0));
        injections += usize::from(injected(&decision).is_some());
    }
    assert_eq!(injections, 2, "of 24 requests two are a tenth");
}
