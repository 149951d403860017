use super::*;
use std::time::Duration;

fn usage(resource: Resource, used: u64, limit: Option<u64>) -> Usage {
    Usage {
        resource,
        used,
        limit,
    }
}

/// Thresholds 85, 90, 95, 98.
fn limits() -> Overload {
    let limits = Overload::default();
    assert_eq!(
        (
            limits.stop_keepalive(),
            limits.refuse_requests(),
            limits.refuse_all(),
            limits.refuse_connections()
        ),
        (85, 90, 95, 98)
    );
    assert_eq!(limits.interval(), Duration::from_millis(250));
    limits
}

fn at(hundredths_of_a_percent: u64) -> Vec<Usage> {
    vec![usage(Resource::Requests, hundredths_of_a_percent, Some(10_000))]
}

#[test]
fn a_pressure_is_use_in_proportion_to_the_limit() {
    for (used, limit, percent) in [
        (0, 10, 0),
        (5, 10, 50),
        (10, 10, 100),
        (25, 10, 250),
        (0, 0, 100),
        (3, 0, 3_000_000),
        (u64::MAX, 1, u32::MAX / 100),
        (u64::MAX, u64::MAX, 100),
    ] {
        let pressure = Pressure::of(used, limit).percent();
        if limit == 0 && used > 0 {
            assert!(pressure >= 100, "{used}/{limit}");
        } else {
            assert_eq!(pressure, percent, "{used}/{limit}");
        }
    }
    assert_eq!(usage(Resource::Memory, 5, None).pressure(), None);
}

#[test]
fn the_highest_pressure_counts_and_what_has_no_limit_has_none() {
    let held = Held::default().note(&[
        usage(Resource::Connections, 50, Some(100)),
        usage(Resource::Requests, 9, Some(10)),
        usage(Resource::BufferedBytes, u64::MAX, None),
        usage(Resource::Memory, 1, Some(10)),
    ]);
    assert_eq!(held.pressure().percent(), 90);
    assert_eq!(Held::default().note(&[]).actions(&limits()), Actions::default());
}

#[test]
fn what_is_done_says_by_which_resource_as_long_as_it_is() {
    let (limits, by) = (limits(), Resource::Memory);
    let usages = |memory| {
        [
            usage(Resource::Requests, 50, Some(100)),
            usage(by, memory, Some(100)),
        ]
    };
    let held = Held::default().note(&usages(60));
    assert_eq!(held.actions(&limits), Actions::default(), "nothing is done");
    let held = held.note(&usages(92));
    assert_eq!(held.actions(&limits).by, Some(by));
    let wavers = held.note(&usages(91)).actions(&limits);
    assert_eq!(
        (wavers.by, wavers.refuse_requests > Share::NONE),
        (Some(by), true)
    );
}

/// Each grade in its order, as pressure rises. The share of refused requests between its two thresholds is the scaled
/// trigger of Envoy's overload manager: (pressure - scaling threshold) / (saturation threshold - scaling threshold).
#[test]
fn actions_come_one_after_the_other() {
    let limits = limits();
    for (pressure, keepalive, percent, connections) in [
        (0, false, 0, false),
        (8_499, false, 0, false),
        (8_500, true, 0, false),
        (8_999, true, 0, false),
        (9_000, true, 5, false),
        (9_050, true, 10, false),
        (9_250, true, 50, false),
        (9_499, true, 100, false),
        (9_500, true, 100, false),
        (9_799, true, 100, false),
        (9_800, true, 100, true),
        (20_000, true, 100, true),
    ] {
        let actions = Held::default().note(&at(pressure)).actions(&limits);
        assert_eq!(
            (
                actions.stop_keepalive,
                actions.refuse_requests.percent(),
                actions.refuse_connections
            ),
            (keepalive, percent, connections),
            "{pressure}"
        );
        assert_eq!(actions.any(), pressure >= 8_500);
    }
    let most = Held::default().note(&at(9_499)).actions(&limits);
    assert!(most.refuse_requests < Share::ALL);
}

#[test]
fn a_pressure_that_wavers_changes_nothing() {
    let limits = limits();
    let mut held = Held::default().note(&at(9_800));
    let before = held.actions(&limits);
    for pressure in [9_790, 9_800, 9_700, 9_600, 9_510, 9_780] {
        held = held.note(&at(pressure));
        assert_eq!(held.actions(&limits), before, "{pressure}");
    }
    held = held.note(&at(9_500));
    assert!(!held.actions(&limits).refuse_connections);
    assert_eq!(held.actions(&limits).refuse_requests, Share::ALL);
}

#[test]
fn everything_ends_when_the_pressure_does() {
    let limits = limits();
    let mut held = Held::default().note(&at(20_000));
    let mut seen = Vec::new();
    for pressure in (0..=200).rev().map(|step| step * 100) {
        held = held.note(&at(pressure));
        let actions = held.actions(&limits);
        let grade = u8::from(actions.stop_keepalive)
            + u8::from(actions.refuse_requests > Share::NONE)
            + u8::from(actions.refuse_requests == Share::ALL)
            + u8::from(actions.refuse_connections);
        if seen.last() != Some(&grade) {
            seen.push(grade);
        }
    }
    // Backwards through the grades, none twice.
    assert_eq!(seen, [4, 3, 2, 1, 0]);
    assert_eq!(held.pressure(), Pressure::NONE);
}

#[test]
fn a_threshold_near_zero_is_left_too() {
    let held = Held::default().note(&at(1_000));
    assert_eq!(held.note(&at(50)).pressure(), Pressure(51));
    assert_eq!(held.note(&at(0)).pressure(), Pressure::NONE);
}

#[test]
fn a_share_takes_as_many_as_it_says() {
    let count = |share: Share| (0..65_536u64).filter(|low| share.takes(low << 40)).count();
    assert_eq!(count(Share::NONE), 0);
    assert_eq!(count(Share::ALL), 65_536);
    assert_eq!(count(Share(1 << 15)), 32_768);
    assert!(!Share::NONE.takes(0) && Share::ALL.takes(u64::MAX));
}
