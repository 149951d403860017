use super::*;
use crate::HealthMark;

const KIND: EjectionKind = EjectionKind::Consecutive5xx;

fn cross(
    detector: &mut OutlierDetector,
    place: usize,
    fellows: &[Fellow],
    settings: &OutlierSettings,
    now: u64,
) -> Verdict {
    let found = detector.crossed(
        address(place),
        KIND,
        fellows,
        settings,
        seconds(now),
        &mut always(),
    );
    found.expect("it is not ejected").verdict
}

#[test]
fn an_ejection_lasts_the_base_time_as_often_as_there_were_ejections_at_most_the_maximum() {
    let (fellows, settings) = (fellows(2), settings());
    let mut detector = OutlierDetector::default();
    let mut now = 0;
    // 30 s base, 300 s at most; the multiplier grows to where another step makes no difference.
    let expected = [30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 300, 300];
    for (times, expected) in expected.into_iter().enumerate() {
        assert_eq!(
            cross(&mut detector, 0, &fellows, &settings, now),
            Verdict::Ejected(seconds(expected))
        );
        let (back, _) = detector.tick(&fellows, &settings, seconds(now + expected - 1), &mut always());
        assert_eq!(back, [], "{times}");
        now += expected;
        let (back, _) = detector.tick(&fellows, &settings, seconds(now), &mut always());
        assert_eq!(back, [Unejected(address(0))]);
        let standing = detector.standing(address(0), &settings, seconds(now));
        assert_eq!(
            (standing.ejected, standing.times_ejected),
            (None, times as u64 + 1)
        );
        assert_eq!(standing.multiplier, (times as u32 + 1).min(11));
    }
}

#[test]
fn each_good_interval_takes_one_from_the_multiplier() {
    let (fellows, settings) = (fellows(2), settings());
    let mut detector = OutlierDetector::default();
    for now in [0, 100, 200] {
        cross(&mut detector, 0, &fellows, &settings, now);
        // The look that brings it back is none of a good interval.
        detector.tick(&fellows, &settings, seconds(now + 99), &mut always());
    }
    let multiplier =
        |detector: &OutlierDetector| detector.standing(address(0), &settings, seconds(0)).multiplier;
    assert_eq!(multiplier(&detector), 3);
    for expected in [2, 1, 0, 0] {
        detector.tick(&fellows, &settings, seconds(300), &mut always());
        assert_eq!(multiplier(&detector), expected);
    }
    assert_eq!(
        cross(&mut detector, 0, &fellows, &settings, 400),
        Verdict::Ejected(seconds(30))
    );
}

#[test]
fn at_most_the_percentage_is_ejected_but_the_first_always() {
    // Endpoints, percent at most, always one: how many of all can be ejected.
    let table = [
        (10, 10, true, 1),
        (10, 19, true, 1),
        (10, 20, true, 2),
        (10, 50, true, 5),
        (9, 10, true, 1),
        (9, 10, false, 0),
        (3, 0, true, 1),
        (3, 0, false, 0),
        (4, 100, true, 3),
        (1, 100, true, 0),
        (2, 10, true, 1),
        (3, 250, false, 2),
    ];
    for (count, percent, always_one, expected) in table {
        let fellows = fellows(count);
        let mut settings = settings();
        settings.max_ejection_percent = percent;
        settings.always_eject_one = always_one;
        let mut detector = OutlierDetector::default();
        let verdicts: Vec<_> = (0..count)
            .map(|place| cross(&mut detector, place, &fellows, &settings, 0))
            .collect();
        let ejected = verdicts
            .iter()
            .filter(|verdict| matches!(verdict, Verdict::Ejected(_)));
        assert_eq!(
            ejected.count(),
            expected,
            "{count} endpoints, {percent} %, {always_one}: {verdicts:?}"
        );
        assert_eq!(detector.ejected().count(), expected);
    }
}

#[test]
fn the_last_endpoint_that_serves_is_never_ejected() {
    let mut fellows = fellows(3);
    let mut settings = settings();
    settings.max_ejection_percent = 100;
    let mut detector = OutlierDetector::default();
    // The third fails its checks: it does not count.
    fellows[2].serves = false;
    assert!(matches!(
        cross(&mut detector, 0, &fellows, &settings, 0),
        Verdict::Ejected(_)
    ));
    assert_eq!(cross(&mut detector, 1, &fellows, &settings, 0), Verdict::TooMany);
    fellows[2].serves = true;
    assert!(matches!(
        cross(&mut detector, 1, &fellows, &settings, 0),
        Verdict::Ejected(_)
    ));
}

#[test]
fn enforcing_is_by_chance() {
    let (fellows, mut settings) = (fellows(2), settings());
    settings.enforcing[KIND as usize] = 30;
    for chance in [0, 29, 30, 99] {
        let mut detector = OutlierDetector::default();
        let found = detector.crossed(address(0), KIND, &fellows, &settings, seconds(0), &mut || chance);
        let verdict = found.unwrap().verdict;
        assert_eq!(verdict == Verdict::NotEnforced, chance >= 30, "{chance}");
    }
    // Gateway failures are told of and not ejected for, unless that is asked for.
    let defaults = EjectionKind::ALL.map(|kind| (kind.as_str(), settings.enforcing[kind as usize]));
    let expected = [
        ("consecutive_5xx", 30),
        ("consecutive_gateway_failure", 0),
        ("consecutive_local_origin_failure", 100),
        ("success_rate", 100),
        ("local_origin_success_rate", 100),
        ("failure_percentage", 0),
        ("local_origin_failure_percentage", 0),
    ];
    assert_eq!(defaults, expected);
}

#[test]
fn jitter_lengthens_an_ejection() {
    let (fellows, mut settings) = (fellows(2), settings());
    settings.max_ejection_time_jitter = seconds(5);
    let mut detector = OutlierDetector::default();
    let mut chance = [0, 3_000].into_iter();
    let mut random = || chance.next().unwrap();
    let found = detector.crossed(address(0), KIND, &fellows, &settings, seconds(0), &mut random);
    assert_eq!(found.unwrap().verdict, Verdict::Ejected(seconds(33)));
}

#[test]
fn a_passing_check_brings_back_and_forgets_the_run() {
    let (fellows, settings) = (fellows(2), settings());
    let rules = rules();
    let mut detector = OutlierDetector::default();
    for _ in 0..4 {
        fellows[0]
            .health
            .outlier_counts()
            .record(Outcome::Answered(500), &rules);
    }
    assert_eq!(detector.passed_check(address(0), &fellows), None);
    cross(&mut detector, 0, &fellows, &settings, 0);
    for _ in 0..4 {
        fellows[0]
            .health
            .outlier_counts()
            .record(Outcome::Answered(500), &rules);
    }
    assert_eq!(
        detector.passed_check(address(0), &fellows),
        Some(Unejected(address(0)))
    );
    // Four more are no run of five.
    let crossed = (0..4).filter_map(|_| {
        fellows[0]
            .health
            .outlier_counts()
            .record(Outcome::Answered(500), &rules)
    });
    assert_eq!(crossed.count(), 0);
}

#[test]
fn whoever_has_left_is_forgotten_and_who_stays_stays_ejected() {
    let (all, settings) = (fellows(3), settings());
    let mut detector = OutlierDetector::default();
    cross(&mut detector, 0, &all, &settings, 0);
    all[0].health.mark(HealthMark::Ejected);
    detector.retain(&all[..2]);
    assert_eq!(detector.ejected().collect::<Vec<_>>(), [address(0)]);
    detector.retain(&all[1..]);
    assert_eq!(detector.ejected().count(), 0);
    let gone = detector.crossed(address(0), KIND, &all[1..], &settings, seconds(0), &mut always());
    assert_eq!(gone, None);
}

#[test]
fn whoever_has_left_and_come_back_is_another() {
    let (mut all, settings) = (fellows(3), settings());
    let mut detector = OutlierDetector::default();
    cross(&mut detector, 0, &all, &settings, 0);
    all[0].health.mark(HealthMark::Ejected);
    all[0].health = Arc::default();
    detector.retain(&all);
    assert_eq!(detector.ejected().count(), 0);
    let standing = detector.standing(address(0), &settings, seconds(0));
    assert_eq!((standing.ejected, standing.times_ejected), (None, 0));
    let verdict = cross(&mut detector, 0, &all, &settings, 1);
    assert_eq!(verdict, Verdict::Ejected(seconds(30)));
}

#[test]
fn one_that_is_ejected_is_not_ejected_again() {
    let (fellows, settings) = (fellows(3), settings());
    let mut detector = OutlierDetector::default();
    cross(&mut detector, 0, &fellows, &settings, 0);
    let again = detector.crossed(address(0), KIND, &fellows, &settings, seconds(1), &mut always());
    assert_eq!(again, None);
    assert_eq!(detector.clear(&fellows), [Unejected(address(0))]);
}
