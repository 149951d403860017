//! Both ends against each other.

use super::*;

fn endpoint(port: usize, standing: EndpointStanding) -> EndpointReport {
    EndpointReport {
        address: format!("192.0.2.1:{port}"),
        standing: standing as i32,
        failed_check: standing == EndpointStanding::Unhealthy,
        ejected: false,
    }
}

fn bad(ports: std::ops::Range<usize>) -> Vec<EndpointReport> {
    ports
        .map(|port| endpoint(port, EndpointStanding::Unhealthy))
        .collect()
}

const WHO: (&str, &str) = ("web-1", "shop/web");

#[test]
fn only_what_changed_is_told() {
    let mut reporter = Reporter::default();
    let mut first = Observed::default();
    first.add("a", 3, bad(0..1));
    first.add("b", 2, bad(0..2));
    first.add("well", 10, Vec::new());
    first.believe("aa");
    let report = reporter.next(WHO, &first).unwrap();
    assert_eq!((report.number, report.endpoints, report.impaired), (1, 15, 3));
    let names =
        |report: &NodeReport| -> Vec<String> { report.clusters.iter().map(|one| one.name.clone()).collect() };
    assert_eq!(names(&report), ["a", "b"]);
    let held = Reported::take(None, report).unwrap();
    reporter.taken(first.clone());
    assert_eq!(reporter.next(WHO, &first), None, "nothing has changed");

    let mut second = Observed::default();
    second.add("a", 3, bad(0..1));
    second.add("b", 2, Vec::new());
    second.add("c", 1, vec![endpoint(9, EndpointStanding::Degraded)]);
    second.believe("aa");
    second.believe("bb");
    let report = reporter.next(WHO, &second).unwrap();
    assert_eq!(
        (names(&report), report.well.clone()),
        (vec!["c".to_owned()], vec!["b".to_owned()])
    );
    let held = Reported::take(Some(&held), report).unwrap();
    assert_eq!(*held.observed(), second);
    assert!(held.observed().believes("bb") && !held.observed().believes("cc"));
}

#[test]
fn what_is_too_much_is_counted_and_not_named() {
    let mut observed = Observed::default();
    observed.add(&"n".repeat(NAME_BYTES_MAX + 1), 1, bad(0..1));
    observed.add("large", 5_000, bad(0..2_000));
    for number in 0..CLUSTERS_MAX {
        observed.add(&format!("c{number}"), 1, bad(0..1));
    }
    for number in 0..AUTHORITIES_MAX + 1 {
        observed.believe(&number.to_string());
    }
    assert_eq!(observed.clusters().count(), CLUSTERS_MAX);
    let named: usize = observed.clusters().map(|cluster| cluster.named.len()).sum();
    assert_eq!(named, ENDPOINTS_MAX);
    let large = observed
        .clusters()
        .find(|cluster| cluster.name == "large")
        .unwrap();
    assert_eq!((large.impaired, large.named.len()), (2_000, ENDPOINTS_MAX));
    assert_eq!(observed.impaired(), 1 + 2_000 + CLUSTERS_MAX as u64);
    let report = Reporter::default().next(WHO, &observed).unwrap();
    assert!(
        report.encoded_len() < REPORT_BYTES_MAX,
        "{}",
        report.encoded_len()
    );
    let held = Reported::take(None, report).unwrap();
    assert_eq!(*held.observed(), observed);
}

#[test]
fn what_says_too_much_is_refused_and_nothing_has_changed() {
    let mut observed = Observed::default();
    observed.add("a", 1, bad(0..1));
    let report = Reporter::default().next(WHO, &observed).unwrap();
    let held = Reported::take(None, report.clone()).unwrap();
    let cluster = |name: &str, named| ClusterReport {
        name: name.to_owned(),
        endpoints: 1,
        impaired: 1,
        named,
    };
    let many = (0..CLUSTERS_MAX).map(|number| cluster(&format!("c{number}"), Vec::new()));
    let strange = EndpointReport {
        standing: 99,
        ..endpoint(1, EndpointStanding::Unhealthy)
    };
    let long = EndpointReport {
        address: "1".repeat(TEXT_BYTES_MAX + 1),
        ..endpoint(1, EndpointStanding::Unhealthy)
    };
    let second = NodeReport {
        number: 2,
        clusters: Vec::new(),
        ..report
    };
    for clusters in [
        many.collect(),
        vec![cluster("b", bad(0..ENDPOINTS_MAX))],
        vec![cluster(&"n".repeat(NAME_BYTES_MAX + 1), Vec::new())],
        vec![cluster("b", vec![strange])],
        vec![cluster("b", vec![long])],
    ] {
        let report = NodeReport {
            clusters,
            ..second.clone()
        };
        let refused = Reported::take(Some(&held), report);
        assert!(matches!(refused, Err(Unusable::Faulty(_))), "{refused:?}");
    }
    let authorities = vec!["a".to_owned(); AUTHORITIES_MAX + 1];
    let report = NodeReport {
        authorities,
        ..second.clone()
    };
    assert!(matches!(
        Reported::take(Some(&held), report),
        Err(Unusable::Faulty(_))
    ));
    for (number, before) in [(0, Some(&held)), (3, Some(&held)), (2, None)] {
        let report = NodeReport {
            number,
            ..second.clone()
        };
        let refused = Reported::take(before, report);
        assert!(matches!(refused, Err(Unusable::OutOfOrder { .. })), "{number}");
    }
}

/// Whatever is lost, and however often the server forgets: once reports arrive, the server knows what the node sees.
#[test]
fn both_ends_always_come_together() {
    for seed in 0..300 {
        let mut random = fastrand::Rng::with_seed(seed);
        let (mut reporter, mut held) = (Reporter::default(), None);
        let mut now = Observed::default();
        for step in 0..60 {
            let is_quiet = step >= 55;
            if !is_quiet {
                now = Observed::default();
                for cluster in 0..random.usize(0..6) {
                    now.add(&format!("c{cluster}"), 4, bad(0..random.usize(0..4)));
                }
                if random.bool() {
                    now.believe("root");
                }
            }
            if !is_quiet && random.u8(..) < 30 {
                held = None;
            }
            let Some(report) = reporter.next(WHO, &now) else {
                continue;
            };
            let is_lost = |random: &mut fastrand::Rng| !is_quiet && random.u8(..) < 60;
            if is_lost(&mut random) {
                reporter.begin_again();
                continue;
            }
            let taken = Reported::take(held.as_ref(), report);
            let is_taken = taken.is_ok();
            if let Ok(next) = taken {
                held = Some(next);
            }
            match is_taken && !is_lost(&mut random) {
                true => reporter.taken(now.clone()),
                false => reporter.begin_again(),
            }
        }
        // A server that forgets while nothing changes is told with the next change, or a new stream.
        if let Some(held) = &held {
            assert_eq!(*held.observed(), now, "seed {seed}");
        } else {
            reporter.begin_again();
            let held = Reported::take(None, reporter.next(WHO, &now).unwrap()).unwrap();
            assert_eq!(*held.observed(), now);
        }
    }
}
