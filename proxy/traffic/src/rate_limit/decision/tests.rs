use super::*;
use crate::pace::Pace;
use outrigger_config::model::{DescriptorPart, DescriptorSource};

const NOW: Duration = Duration::from_secs(3);

const NOBODY: DescriptorFacts<'static> = DescriptorFacts {
    remote: None,
    identity: None,
    request: None,
    route: None,
};

fn limit(burst: u32) -> LocalLimit {
    keyed(Vec::new(), burst)
}

fn keyed(descriptor: Vec<DescriptorPart>, burst: u32) -> LocalLimit {
    let pace = Pace::new(1, Duration::from_secs(1 << 20), burst);
    LocalLimit::of(descriptor, [pace].into(), Box::default(), 10, None, NOW)
}

fn constant() -> Vec<DescriptorPart> {
    vec![DescriptorPart::new(
        "all".into(),
        DescriptorSource::Constant("x".into()),
    )]
}

fn is_allowed(decision: &Decision) -> bool {
    matches!(decision, Decision::Allowed(_))
}

#[test]
fn what_one_refuses_is_taken_of_none() {
    let (wide, narrow, late) = (limit(10), keyed(constant(), 2), limit(10));
    let limits = [(&wide, false), (&narrow, false), (&late, false)];
    let allowed = (0..7)
        .filter(|_| is_allowed(&decide(&limits, &NOBODY, NOW)))
        .count();
    assert_eq!(allowed, 2);
    assert_eq!((wide.left(NOW), late.left(NOW)), (Some(8), Some(8)));
    assert!(matches!(
        decide(&limits, &NOBODY, NOW),
        Decision::Refused(
            1,
            Reading {
                limit: 2,
                left: 0,
                ..
            }
        )
    ));
}

#[test]
fn a_shadow_counts_what_goes_on_and_refuses_nothing() {
    let (shadow, narrow) = (limit(1), limit(3));
    let limits = [(&shadow, true), (&narrow, false)];
    let shadows: Vec<bool> = (0..3)
        .map(|_| match decide(&limits, &NOBODY, NOW) {
            Decision::Allowed(outcomes) => matches!(outcomes[0], Outcome::ShadowRefused(_)),
            refused => panic!("{refused:?}"),
        })
        .collect();
    assert_eq!(shadows, [false, true, true]);
    assert!(!is_allowed(&decide(&limits, &NOBODY, NOW)));
    // What another limit refuses is not the shadow's.
    let (watched, none) = (limit(5), limit(1));
    let limits = [(&watched, true), (&none, false)];
    (0..4).for_each(|_| drop(decide(&limits, &NOBODY, NOW)));
    assert_eq!(watched.left(NOW), Some(4));
}

#[test]
fn a_limit_whose_descriptor_is_lacking_does_not_count() {
    let source = DescriptorSource::RemoteAddress {
        v4_prefix: 32,
        v6_prefix: 128,
    };
    let lacking = keyed(vec![DescriptorPart::new("client".into(), source)], 1);
    for _ in 0..3 {
        let decision = decide(&[(&lacking, false)], &NOBODY, NOW);
        assert_eq!(
            decision,
            Decision::Allowed(SmallVec::from_slice(&[Outcome::NotCounted]))
        );
    }
}

#[test]
fn in_a_race_as_many_pass_as_the_narrowest_allows_and_no_limit_is_exceeded() {
    let (wide, narrow) = (limit(5_000), limit(300));
    let sum: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    (0..500)
                        .filter(|_| is_allowed(&decide(&[(&wide, false), (&narrow, false)], &NOBODY, NOW)))
                        .count()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(sum, 300);
    // A token that was taken in the very moment in which the other limit ran out may be lost; never is one made.
    let left = wide.left(NOW).unwrap();
    assert!((4_690..=4_700).contains(&left), "{left}");
}
