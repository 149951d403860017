use super::Outcome::{Answered, Connected, Failed, TimedOut};
use super::*;

fn kinds(crossed: Option<Crossings>) -> Vec<EjectionKind> {
    crossed.into_iter().flat_map(Crossings::kinds).collect()
}

/// The place, from 1, of the outcome that crosses each threshold.
fn crossings(outcomes: &[Outcome], rules: &OutlierRules) -> Vec<(usize, EjectionKind)> {
    let counts = OutlierCounts::default();
    let mut found = Vec::new();
    for (place, outcome) in outcomes.iter().enumerate() {
        for kind in kinds(counts.record(*outcome, rules)) {
            found.push((place + 1, kind));
            counts.heard(kind);
        }
    }
    found
}

#[test]
fn five_in_a_row() {
    use EjectionKind::*;
    let rules = rules();
    assert_eq!(crossings(&[Answered(500); 5], &rules), [(5, Consecutive5xx)]);
    assert_eq!(crossings(&[Answered(500); 4], &rules), []);
    // Heard, a run begins anew.
    assert_eq!(
        crossings(&[Answered(599); 11], &rules),
        [(5, Consecutive5xx), (10, Consecutive5xx)]
    );
    // 502, 503 and 504 are both, the gateway's first.
    for status in [502, 503, 504] {
        assert_eq!(
            crossings(&[Answered(status); 5], &rules),
            [(5, ConsecutiveGatewayFailure), (5, Consecutive5xx)]
        );
    }
    // Another 5xx ends a gateway's run, and no other.
    let mixed = [
        Answered(503),
        Answered(503),
        Answered(500),
        Answered(503),
        Answered(503),
    ];
    assert_eq!(crossings(&mixed, &rules), [(5, Consecutive5xx)]);
}

#[test]
fn anything_else_ends_a_run() {
    let rules = rules();
    for status in [100, 200, 302, 404, 429, 499, 600] {
        let mut outcomes = vec![Answered(500); 4];
        outcomes.push(Answered(status));
        outcomes.extend([Answered(500); 4]);
        assert_eq!(crossings(&outcomes, &rules), [], "{status}");
    }
    let connections = [
        Failed, Failed, Failed, Failed, Connected, Failed, Failed, Failed, Failed,
    ];
    assert_eq!(crossings(&connections, &rules), []);
}

#[test]
fn failures_seen_here_are_gateway_failures_unless_they_are_told_apart() {
    use EjectionKind::*;
    let mut rules = rules();
    for failure in [Failed, TimedOut] {
        rules.splits_local_origin = false;
        assert_eq!(
            crossings(&[failure; 5], &rules),
            [(5, ConsecutiveGatewayFailure), (5, Consecutive5xx)]
        );
        rules.splits_local_origin = true;
        assert_eq!(
            crossings(&[failure; 5], &rules),
            [(5, ConsecutiveLocalOriginFailure)]
        );
    }
    // Told apart, an answer, whatever it says, is a success here, and a failure here says nothing of answers.
    let mixed = [
        Failed,
        Failed,
        Failed,
        Failed,
        Answered(500),
        Failed,
        Failed,
        Failed,
        Failed,
    ];
    assert_eq!(crossings(&mixed, &rules), []);
    let mut answers = vec![Answered(500); 4];
    answers.extend([Failed; 3]);
    answers.push(Answered(500));
    assert_eq!(crossings(&answers, &rules), [(8, Consecutive5xx)]);
}

#[test]
fn what_is_off_never_crosses() {
    let mut rules = rules();
    rules.consecutive_5xx = u32::MAX;
    rules.consecutive_gateway_failure = u32::MAX;
    assert_eq!(crossings(&[Answered(503); 1000], &rules), []);
}

#[test]
fn a_run_is_told_once_until_it_is_heard_and_again_if_nobody_could_be_told() {
    let counts = OutlierCounts::default();
    let rules = rules();
    let told = || counts.record(Answered(500), &rules);
    assert!((0..4).all(|_| told().is_none()));
    let crossed = told().unwrap();
    assert_eq!(kinds(Some(crossed)), [EjectionKind::Consecutive5xx]);
    assert_eq!(told(), None);
    counts.untold(crossed);
    assert_eq!(told(), Some(crossed));
    assert_eq!(told(), None);
}

#[test]
fn many_threads_tell_once() {
    let counts = OutlierCounts::default();
    let rules = rules();
    let told: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let told = (0..1000).map(|_| kinds(counts.record(Answered(500), &rules)).len());
                    told.sum::<usize>()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(told, 1);
}

#[test]
fn a_good_answer_writes_nothing_where_no_statistics_are_kept() {
    let counts = OutlierCounts::default();
    let few = OutlierRules::new(&OutlierDetection::default(), 4);
    assert!(!few.keeps_statistics && rules().keeps_statistics);
    counts.record(Answered(200), &few);
    assert_eq!(counts.take_answers().all, 0);
    counts.record(Answered(200), &rules());
    assert_eq!(counts.take_answers().all, 1);
}

#[test]
fn grpc_statuses_are_what_envoy_takes_them_for() {
    let table = [
        200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401,
    ];
    for (status, http) in table.into_iter().enumerate() {
        assert_eq!(grpc_status_as_http(status as u32), http, "{status}");
    }
    assert_eq!(grpc_status_as_http(17), 500);
}
