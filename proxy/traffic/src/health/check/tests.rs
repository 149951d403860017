use super::CheckResult::{Failed, Passed, Refused};
use super::*;

fn settings() -> CheckSchedule {
    CheckSchedule {
        interval: Duration::from_secs(10),
        unhealthy_interval: None,
        no_traffic_interval: None,
        jitter_percent: 0,
        unhealthy_threshold: 3,
        healthy_threshold: 2,
    }
}

/// What each result changes: `+` to healthy, `-` to unhealthy, `.` nothing.
fn changes(mut state: CheckState, results: &[CheckResult]) -> String {
    let change = |result: &CheckResult| match state.apply(*result, &settings(), true, 0).change {
        Some(CheckChange::Healthy) => '+',
        Some(CheckChange::Unhealthy) => '-',
        None => '.',
    };
    results.iter().map(change).collect()
}

#[test]
fn the_first_check_decides_by_itself() {
    assert_eq!(changes(CheckState::unknown(), &[Passed]), "+");
    // Unhealthy already: nothing changes, and then it takes the threshold of passes.
    assert_eq!(changes(CheckState::unknown(), &[Failed, Passed, Passed]), "..+");
    assert_eq!(changes(CheckState::serving(), &[Failed]), "-");
    assert_eq!(changes(CheckState::serving(), &[Passed, Failed]), "..");
}

#[test]
fn thresholds_count_results_in_a_row() {
    let serving = [
        Passed, Failed, Failed, Passed, Failed, Failed, Failed, Failed, Passed, Failed, Passed, Passed,
        Passed,
    ];
    assert_eq!(changes(CheckState::serving(), &serving), "......-....+.");
}

#[test]
fn an_answer_that_says_no_counts_at_once() {
    assert_eq!(changes(CheckState::unknown(), &[Passed, Refused]), "+-");
    assert_eq!(
        changes(CheckState::unknown(), &[Passed, Failed, Refused, Passed, Passed]),
        "+.-.+"
    );
}

#[test]
fn health_stays_under_other_settings_and_counts_begin_anew() {
    let mut state = CheckState::unknown();
    for result in [Passed, Failed, Failed] {
        state.apply(result, &settings(), true, 0);
    }
    assert_eq!(state.failed_in_row(), 2);
    let restarted = state.restarted();
    assert!(restarted.is_healthy() && restarted.is_checked());
    assert_eq!(changes(restarted, &[Failed, Failed, Failed]), "..-");
    // One that was found unhealthy needs its passes under the new settings too.
    assert_eq!(changes(restarted.restarted(), &[Refused, Passed, Passed]), "-.+");
}

#[test]
fn intervals_by_health_and_by_traffic() {
    let mut settings = settings();
    settings.unhealthy_interval = Some(Duration::from_secs(3));
    settings.no_traffic_interval = Some(Duration::from_secs(60));
    let delay = |result, has_traffic| {
        let mut state = CheckState::unknown();
        state.apply(result, &settings, has_traffic, 0).delay.as_secs()
    };
    assert_eq!(delay(Passed, true), 10);
    assert_eq!(delay(Failed, true), 3);
    assert_eq!(delay(Passed, false), 60);
    assert_eq!(delay(Failed, false), 60);
    settings.no_traffic_interval = None;
    let mut state = CheckState::unknown();
    assert_eq!(state.apply(Passed, &settings, false, 0).delay.as_secs(), 10);
}

#[test]
fn jitter_lengthens_an_interval_by_a_part_of_it() {
    let mut settings = settings();
    settings.jitter_percent = 20;
    let delay = |random| {
        let mut state = CheckState::unknown();
        state.apply(Passed, &settings, true, random).delay
    };
    assert_eq!(delay(0), Duration::from_secs(10));
    assert_eq!(delay(1 << 63).as_millis(), 11_000);
    assert_eq!(delay(u64::MAX), Duration::from_secs(12));
}

#[test]
fn first_checks_are_spread_within_bounds() {
    let mut settings = settings();
    assert_eq!(settings.first_delay(u64::MAX), Duration::ZERO);
    settings.jitter_percent = 1;
    assert_eq!(settings.first_delay(u64::MAX), Duration::from_millis(100));
    assert_eq!(settings.first_delay(0), Duration::ZERO);
    settings.jitter_percent = 100;
    assert_eq!(settings.first_delay(u64::MAX), FIRST_SPREAD_MAX);
}
