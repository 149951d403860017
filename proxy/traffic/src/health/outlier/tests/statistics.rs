use super::super::statistics::{Enough, Tally, below_the_others, failing, threshold};
use super::*;

fn tallies(rates: &[u64], all: u64) -> Vec<Tally> {
    let tally = |rate: &u64| Tally {
        all,
        failed: all - all * rate / 100,
    };
    rates.iter().map(tally).collect()
}

const ENOUGH: Enough = Enough {
    hosts: 5,
    requests: 100,
};

#[test]
fn the_threshold_is_the_mean_less_the_deviations() {
    // Rates, factor in thousandths, mean - factor x deviation of the population, worked by hand.
    let table: [(&[f64], u32, f64); 4] = [
        (&[100.0, 100.0, 100.0, 100.0, 0.0], 1900, 80.0 - 1.9 * 40.0),
        (&[50.0, 100.0, 100.0, 100.0, 100.0], 1900, 90.0 - 1.9 * 20.0),
        (&[90.0, 90.0, 90.0], 1900, 90.0),
        (&[0.0, 100.0], 1000, 0.0),
    ];
    for (rates, factor, expected) in table {
        let rates: Vec<(usize, f64)> = rates.iter().copied().enumerate().collect();
        assert!((threshold(&rates, factor) - expected).abs() < 1e-9, "{rates:?}");
    }
}

#[test]
fn one_below_the_others_is_found() {
    // Five endpoints: one that differs is two deviations away, whatever the difference.
    assert_eq!(
        below_the_others(&tallies(&[100, 100, 100, 100, 0], 100), ENOUGH, 1900),
        [4]
    );
    assert_eq!(
        below_the_others(&tallies(&[98, 100, 100, 100, 100], 100), ENOUGH, 1900),
        [0]
    );
    assert_eq!(
        below_the_others(&tallies(&[98, 100, 100, 100, 100], 100), ENOUGH, 2000),
        [0usize; 0]
    );
    // Two of five are within 1.9 deviations of the mean, as are all where all are the same.
    assert_eq!(
        below_the_others(&tallies(&[0, 0, 100, 100, 100], 100), ENOUGH, 1900),
        [0usize; 0]
    );
    assert_eq!(
        below_the_others(&tallies(&[40; 5], 100), ENOUGH, 1900),
        [0usize; 0]
    );
    // Better than the others is no fault.
    assert_eq!(
        below_the_others(&tallies(&[10, 10, 10, 10, 100], 100), ENOUGH, 1900),
        [0usize; 0]
    );
}

#[test]
fn statistics_need_hosts_and_requests() {
    let none: [usize; 0] = [];
    assert_eq!(
        below_the_others(&tallies(&[100, 100, 100, 0], 100), ENOUGH, 1000),
        none
    );
    assert_eq!(
        below_the_others(&tallies(&[100, 100, 100, 100, 0], 99), ENOUGH, 1000),
        none
    );
    // One with too few requests is not compared, and not counted.
    let mut some = tallies(&[100, 100, 100, 100, 0], 100);
    some[1].all = 50;
    some[1].failed = 0;
    assert_eq!(below_the_others(&some, ENOUGH, 1000), none);
    assert_eq!(failing(&some, ENOUGH, 85), none);
    assert_eq!(failing(&tallies(&[100, 100, 100, 100, 0], 99), ENOUGH, 85), none);
    // Nothing needed is not enough to go by nothing.
    let nothing = Enough {
        hosts: 0,
        requests: 0,
    };
    assert_eq!(below_the_others(&tallies(&[0, 0], 0), nothing, 1000), none);
}

#[test]
fn a_share_of_failures_is_found_by_itself() {
    assert_eq!(
        failing(&tallies(&[15, 16, 14, 0, 100], 100), ENOUGH, 85),
        [0, 2, 3]
    );
    assert_eq!(failing(&tallies(&[0; 5], 100), ENOUGH, 85), [0, 1, 2, 3, 4]);
}

#[test]
fn counts_of_an_interval_become_ejections() {
    let fellows = fellows(5);
    let rules = rules();
    let mut settings = settings();
    for (place, fellow) in fellows.iter().enumerate() {
        for request in 0..100 {
            // Every second answer of the last one is an error: never five in a row.
            let fails = place == 4 && request % 2 == 0;
            let status = if fails { 500 } else { 200 };
            assert_eq!(
                fellow
                    .health
                    .outlier_counts()
                    .record(Outcome::Answered(status), &rules),
                None
            );
        }
    }
    let mut detector = OutlierDetector::default();
    let (back, found) = detector.tick(&fellows, &settings, seconds(10), &mut always());
    assert!(back.is_empty());
    let found: Vec<_> = found
        .iter()
        .map(|found| (found.address, found.kind, found.verdict))
        .collect();
    let ejected = (
        address(4),
        EjectionKind::SuccessRate,
        Verdict::Ejected(seconds(30)),
    );
    assert_eq!(found, [ejected]);
    let standing = detector.standing(address(4), &settings, seconds(10));
    assert_eq!(standing.success_rate, Some(50.0));
    // Counted once: the next interval has none.
    let (_, found) = detector.tick(&fellows, &settings, seconds(20), &mut always());
    assert_eq!(found, []);
    // By the share of failures alone, where that is enforced and the rate is not.
    settings.enforcing[EjectionKind::FailurePercentage as usize] = 100;
    for fellow in &fellows[..1] {
        for _ in 0..100 {
            fellow
                .health
                .outlier_counts()
                .record(Outcome::Answered(500), &rules);
        }
    }
    settings.failure_percentage.hosts = 1;
    settings.max_ejection_percent = 100;
    let (_, found) = detector.tick(&fellows, &settings, seconds(30), &mut always());
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].address, found[0].kind),
        (address(0), EjectionKind::FailurePercentage)
    );
}

#[test]
fn failures_seen_here_have_statistics_of_their_own_where_they_are_told_apart() {
    let fellows = fellows(5);
    let mut rules = rules();
    let mut settings = settings();
    rules.splits_local_origin = true;
    settings.splits_local_origin = true;
    for (place, fellow) in fellows.iter().enumerate() {
        for request in 0..100 {
            let fails = place == 2 && request % 3 == 0;
            let outcome = if fails {
                Outcome::Failed
            } else {
                Outcome::Answered(200)
            };
            fellow.health.outlier_counts().record(outcome, &rules);
        }
    }
    let mut detector = OutlierDetector::default();
    let (_, found) = detector.tick(&fellows, &settings, seconds(10), &mut always());
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].address, found[0].kind),
        (address(2), EjectionKind::LocalOriginSuccessRate)
    );
}
