use super::*;

const HOUR: Duration = Duration::from_secs(3600);
const WAITS: Waits = Waits {
    distribution: Duration::from_secs(24 * 3600),
    retirement: Duration::from_secs(25 * 3600),
};

fn start() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_000_000)
}

fn signer(name: &str) -> SignerPem {
    SignerPem {
        chain: format!("chain of {name}"),
        private_key: Zeroizing::new(format!("key of {name}")),
    }
}

fn phases(ring: &KeyRing) -> Vec<(Phase, String)> {
    ring.roots()
        .map(|root| (root.phase, root.chain.replace("chain of ", "")))
        .collect()
}

#[test]
fn a_rollover_goes_step_by_step_and_waits_for_each() {
    use Phase::*;
    let phase = |phase, name: &str| (phase, name.to_owned());
    let ring = KeyRing::new(signer("old"), start());
    let ring = ring.prepare(signer("new"), start()).unwrap();
    assert_eq!(phases(&ring), [phase(Signing, "old"), phase(Prepared, "new")]);
    let ring = ring
        .advance(Step::Distribute, Evidence::Time, WAITS, start())
        .unwrap();
    assert_eq!(phases(&ring), [phase(Signing, "old"), phase(Distributed, "new")]);
    assert_eq!(*ring.signer().private_key, "key of old");
    let early = ring.advance(Step::Sign, Evidence::Time, WAITS, start() + HOUR * 23);
    assert_eq!(early, Err(RolloverRefusal::TooEarly { left: HOUR }));
    let back = ring.advance(Step::Sign, Evidence::Time, WAITS, start() - HOUR * 48);
    assert_eq!(back, Err(RolloverRefusal::TooEarly { left: HOUR * 24 }));
    let at = start() + HOUR * 24;
    let ring = ring.advance(Step::Sign, Evidence::Time, WAITS, at).unwrap();
    assert_eq!(phases(&ring), [phase(Superseded, "old"), phase(Signing, "new")]);
    assert_eq!(*ring.signer().private_key, "key of new");
    let text = String::from_utf8(ring.to_text().to_vec()).unwrap();
    assert!(!text.contains("key of old"), "what signs no more is gone");
    let early = ring.advance(Step::Retire, Evidence::Time, WAITS, at + HOUR);
    assert_eq!(early, Err(RolloverRefusal::TooEarly { left: HOUR * 24 }));
    let cancelled = ring.advance(Step::Cancel, Evidence::Time, WAITS, at);
    assert_eq!(cancelled, Err(RolloverRefusal::HasSigned));
    let ring = ring
        .advance(Step::Retire, Evidence::Time, WAITS, at + HOUR * 25)
        .unwrap();
    assert_eq!(phases(&ring), [phase(Signing, "new")]);
}

/// Every sequence of steps, with any evidence and either much or no time between: whatever is refused or taken, who
/// checks by what the bundle was at any step before never meets what it does not know.
#[test]
fn no_order_of_steps_leaves_a_certificate_without_its_root() {
    let steps = [
        Step::Prepare,
        Step::Distribute,
        Step::Sign,
        Step::Retire,
        Step::Cancel,
    ];
    let mut reached = std::collections::HashSet::new();
    let mut open = vec![(KeyRing::new(signer("0"), start()), start(), 0)];
    while let Some((ring, now, depth)) = open.pop() {
        let signing = ring.roots().filter(|root| root.phase == Phase::Signing).count();
        assert_eq!(signing, 1);
        assert_eq!(KeyRing::parse(&ring.to_text()).as_ref(), Some(&ring));
        reached.insert(ring.roots().map(|root| root.phase).collect::<Vec<_>>());
        if depth == 8 {
            continue;
        }
        for step in steps {
            for wait in [Duration::ZERO, HOUR * 25] {
                for evidence in [Evidence::Time, Evidence::Nodes, Evidence::Acknowledged] {
                    let now = now + wait;
                    let next = match step {
                        Step::Prepare => ring.prepare(signer(&depth.to_string()), now),
                        _ => ring.advance(step, evidence, WAITS, now),
                    };
                    let Ok(next) = next else { continue };
                    check_step(&ring, &next, step, evidence, now);
                    // What nodes say leads nowhere that time or a word does not.
                    let is_new = evidence == Evidence::Time || wait.is_zero();
                    if is_new && evidence != Evidence::Nodes {
                        open.push((next, now, depth + 1));
                    }
                }
            }
        }
    }
    use Phase::*;
    for found in [
        vec![Signing],
        vec![Signing, Prepared],
        vec![Signing, Distributed],
        vec![Superseded, Signing],
    ] {
        assert!(reached.remove(&found), "{found:?}");
    }
    assert!(reached.is_empty(), "{reached:?}");
}

fn check_step(before: &KeyRing, after: &KeyRing, step: Step, evidence: Evidence, now: SystemTime) {
    let bundle = |ring: &KeyRing| -> Vec<String> {
        let shown = ring.roots().filter(|root| root.phase != Phase::Prepared);
        shown.map(|root| root.chain.to_owned()).collect()
    };
    // What signs from now on was in the bundle before, for long enough or by somebody's word.
    let signer = after.signer().chain;
    assert!(bundle(before).contains(&signer), "{step:?}");
    // What signed until now stays in the bundle.
    assert!(bundle(after).contains(&before.signer().chain), "{step:?}");
    if before.signer().chain != signer && evidence == Evidence::Time {
        let since = before.roots().find(|root| root.chain == signer).unwrap().since;
        assert!(now.duration_since(since).unwrap() >= WAITS.distribution);
    }
    // What leaves the bundle has signed nothing for long, or has never signed.
    for root in before.roots().filter(|root| root.phase == Phase::Superseded) {
        // What nodes believe says nothing of what they show.
        if !bundle(after).contains(&root.chain.to_owned()) && evidence != Evidence::Acknowledged {
            assert!(now.duration_since(root.since).unwrap() >= WAITS.retirement);
        }
    }
}

#[test]
fn steps_out_of_turn_are_refused_with_what_would_be_right() {
    let ring = KeyRing::new(signer("old"), start());
    let refused = |ring: &KeyRing, step| {
        let refusal = ring.advance(step, Evidence::Acknowledged, WAITS, start());
        refusal.unwrap_err().to_string()
    };
    for (step, reason) in [
        (
            Step::Distribute,
            "there is no root that is prepared; expected `prepare` before",
        ),
        (
            Step::Sign,
            "there is no root that is distributed; expected `distribute` before",
        ),
        (
            Step::Retire,
            "there is no root that is superseded; expected `sign` before",
        ),
        (
            Step::Cancel,
            "there is no root that is prepared; expected `prepare` before",
        ),
    ] {
        assert_eq!(refused(&ring, step), reason);
    }
    let ring = ring.prepare(signer("new"), start()).unwrap();
    assert_eq!(
        ring.prepare(signer("third"), start()),
        Err(RolloverRefusal::UnderWay)
    );
    assert!(refused(&ring, Step::Sign).contains("distributed"));
    let early = ring
        .advance(Step::Distribute, Evidence::Time, WAITS, start())
        .and_then(|ring| ring.advance(Step::Sign, Evidence::Time, WAITS, start()));
    let reason = early.unwrap_err().to_string();
    assert!(reason.contains("86400 s remain"), "{reason}");
}

#[test]
fn what_is_no_ring_is_not_read_as_one() {
    let ring = KeyRing::new(signer("old"), start());
    let text = String::from_utf8(ring.to_text().to_vec()).unwrap();
    for wrong in [
        String::new(),
        "{}".to_owned(),
        text.replace("\"version\":1", "\"version\":2"),
        text.replace("signing", "superseded"),
        text.replace("signing", "prepared"),
        text.replace("\"key of old\"", "null"),
        text.replace("\"roots\"", "\"keys\""),
        text[..text.len() - 1].to_owned(),
    ] {
        assert_eq!(KeyRing::parse(wrong.as_bytes()), None, "{wrong}");
    }
    assert_eq!(format!("{ring:?}"), "KeyRing { roots: [Signing] }");
}
