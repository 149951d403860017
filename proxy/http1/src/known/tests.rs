use super::*;

#[test]
fn every_name_is_found_in_any_case_and_only_whole() {
    for &known in KnownName::ALL {
        let name = known.as_str();
        assert_eq!(KnownName::ALL[known as usize], known);
        assert_eq!(KnownName::from_lowercase(name.as_bytes()), Some(known));
        assert_eq!(
            KnownName::from_lowercase(&name.as_bytes()[1..]),
            None,
            "{name} without its first byte"
        );
        assert_eq!(KnownName::from_lowercase(format!("{name}x").as_bytes()), None);
        for line in [format!("{name}: v"), format!("{}: v", name.to_ascii_uppercase())] {
            let spotted = spot(line.as_bytes()).expect("it is known");
            assert_eq!((spotted.known, spotted.length as usize), (known, name.len()));
            assert_eq!(spotted.is_lowercase, line.starts_with(name) && name.len() <= 16);
        }
    }
}

#[test]
fn a_byte_that_differs_in_one_bit_is_another_name() {
    for &known in KnownName::ALL {
        let line = format!("{known}: v");
        for at in 0..known.as_str().len() {
            for bit in 0..8 {
                let mut changed = line.clone().into_bytes();
                changed[at] ^= 1 << bit;
                if !changed[at].eq_ignore_ascii_case(&line.as_bytes()[at]) {
                    let spotted = spot(&changed).map(|spotted| spotted.known);
                    assert_ne!(spotted, Some(known), "bit {bit} of byte {at} of {known}");
                }
            }
        }
    }
}

#[test]
fn a_name_is_not_known_with_nuls_at_its_end() {
    for &known in KnownName::ALL {
        assert_eq!(KnownName::from_lowercase(format!("{known}\0").as_bytes()), None);
        assert!(spot(format!("{known}\0:").as_bytes()).is_none(), "{known}");
    }
}

#[test]
fn names_are_not_spotted_without_their_colon() {
    assert!(spot(b"host : a").is_none());
    assert!(spot(b"host").is_none());
    assert!(spot(b":").is_none());
    assert!(spot(&[b'a'; WINDOW]).is_none());
}

#[test]
fn sets_hold_what_was_put_in() {
    let mut set = KnownSet::of(&[KnownName::Host, KnownName::XRequestId]);
    assert!(set.contains(KnownName::Host) && set.contains(KnownName::XRequestId));
    assert!(!set.contains(KnownName::Via));
    set.remove(KnownName::Host);
    assert!(!set.contains(KnownName::Host));
    let both = set.union(KnownSet::of(&[KnownName::Via]));
    assert!(both.contains(KnownName::Via) && both.intersects(set) && !both.without(set).intersects(set));
    for &known in KnownName::ALL {
        let one = KnownSet::of(&[known]);
        assert!(
            KnownName::ALL
                .iter()
                .all(|&other| one.contains(other) == (other == known))
        );
    }
}
