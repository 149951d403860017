use super::*;
use outrigger_config::model::DescriptorSource;
use std::net::IpAddr;

const NOW: Duration = Duration::from_secs(7);

fn by_address() -> Vec<DescriptorPart> {
    vec![
        DescriptorPart::new("plan".into(), DescriptorSource::Constant("free".into())),
        DescriptorPart::new(
            "client".into(),
            DescriptorSource::RemoteAddress {
                v4_prefix: 32,
                v6_prefix: 64,
            },
        ),
    ]
}

fn slow(burst: u32) -> Pace {
    Pace::new(1, Duration::from_secs(1 << 20), burst)
}

fn facts(address: Option<&str>) -> DescriptorFacts<'static> {
    DescriptorFacts {
        remote: address.map(|address| address.parse::<IpAddr>().unwrap()),
        identity: None,
        request: None,
        route: None,
    }
}

fn limit(
    descriptor: Vec<DescriptorPart>,
    bursts: &[u32],
    overrides: &[&[(usize, &str)]],
    before: Option<&LocalLimit>,
) -> LocalLimit {
    let overrides = overrides.iter().map(|values| {
        let part = |(index, value): &(usize, &str)| {
            let mut key = Key::default();
            key.push(value.as_bytes());
            (*index, key)
        };
        values.iter().map(part).collect()
    });
    let paces = bursts.iter().map(|burst| slow(*burst)).collect();
    LocalLimit::of(descriptor, paces, overrides.collect(), 100, before, NOW)
}

/// How many tokens a client gets.
fn gets(limit: &LocalLimit, address: &str) -> usize {
    let whose = limit.whose(&facts(Some(address))).unwrap();
    (0..100).filter(|_| limit.take(&whose, NOW).is_ok()).count()
}

#[test]
fn without_a_descriptor_all_count_together() {
    let limit = limit(Vec::new(), &[3], &[], None);
    assert_eq!(gets(&limit, "192.0.2.1") + gets(&limit, "192.0.2.2"), 3);
    assert_eq!((limit.keys(), limit.left(NOW)), (0, Some(0)));
}

#[test]
fn with_one_each_value_counts_and_what_lacks_a_part_does_not() {
    let limit = limit(by_address(), &[3], &[], None);
    assert_eq!((gets(&limit, "192.0.2.1"), gets(&limit, "192.0.2.2")), (3, 3));
    assert_eq!(gets(&limit, "2001:db8::1") + gets(&limit, "2001:db8::2"), 3);
    assert_eq!(limit.whose(&facts(None)), None);
    assert_eq!(limit.keys(), 3);
}

#[test]
fn the_first_override_all_of_whose_values_match_is_taken() {
    let overrides: [&[(usize, &str)]; 3] = [
        &[(0, "paid"), (1, "192.0.2.1")],
        &[(1, "192.0.2.1")],
        &[(0, "free")],
    ];
    let limit = limit(by_address(), &[1, 2, 3, 4], &overrides, None);
    assert_eq!(gets(&limit, "192.0.2.1"), 3);
    assert_eq!(gets(&limit, "192.0.2.2"), 4);
    let unknown = super::tests::limit(by_address(), &[1, 9], &[&[(usize::MAX, "x")]], None);
    assert_eq!(gets(&unknown, "192.0.2.1"), 1, "of a key that is not there");
}

#[test]
fn counts_outlive_their_configuration_while_the_descriptor_stays() {
    let first = limit(by_address(), &[3], &[], None);
    assert_eq!(gets(&first, "192.0.2.1"), 3);
    let same = limit(by_address(), &[3], &[], Some(&first));
    assert_eq!(gets(&same, "192.0.2.1"), 0);
    // They are one and the same while both are there.
    assert_eq!(gets(&same, "192.0.2.2"), 3);
    assert_eq!(gets(&first, "192.0.2.2"), 0);
    let grown = limit(by_address(), &[5], &[], Some(&same));
    assert_eq!(gets(&grown, "192.0.2.1"), 2, "what was taken stays taken");
    let overridden = limit(by_address(), &[3, 7], &[&[(1, "192.0.2.1")]], Some(&first));
    assert_eq!(
        (gets(&overridden, "192.0.2.1"), gets(&overridden, "192.0.2.2")),
        (4, 0)
    );
    let other = limit(by_address()[1..].to_vec(), &[3], &[], Some(&same));
    assert_eq!(gets(&other, "192.0.2.1"), 3, "what it counts is something else");
    let all = limit(Vec::new(), &[4], &[], Some(&same));
    assert_eq!(gets(&all, "192.0.2.1"), 4);
    let more = limit(Vec::new(), &[6], &[], Some(&all));
    assert_eq!(gets(&more, "192.0.2.1"), 2);
}

#[test]
fn a_reading_tells_size_rest_and_wait() {
    let limit = limit(Vec::new(), &[2], &[], None);
    let take = || limit.take(&Whose::All, NOW);
    assert_eq!(
        take().unwrap().reading,
        Reading {
            limit: 2,
            left: 1,
            wait: Duration::ZERO
        }
    );
    let second = take().unwrap().reading;
    assert_eq!((second.left, second.wait), (0, Duration::from_secs(1 << 20)));
    assert_eq!(take().unwrap_err(), second);
}
