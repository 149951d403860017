//! Every state, with everything that can be seen in it and told to it.

use crate::rollout::*;
use State::{Advancing, Done, Held, RolledBack, Staged};
use std::time::Duration;

const BEGIN: Moment = Moment(1_000_000);

fn terms(pause: Pause) -> Terms {
    Terms::read(["10%", "100%"], pause, SETTLE_TIMEOUT).unwrap()
}

fn at(state: State, stage: usize, pause: Pause) -> Rollout {
    Rollout {
        state,
        stage,
        ..Rollout::begin(8, 7, terms(pause), BEGIN)
    }
}

fn seen(settled: usize, waiting: usize) -> Observation {
    let tally = |count| Tally {
        count,
        names: Vec::new(),
    };
    Observation {
        settled: tally(settled),
        waiting: tally(waiting),
        refusals: Vec::new(),
        is_complete: true,
    }
}

fn refused() -> Observation {
    Observation {
        refusals: vec![NodeRefused {
            node: "n".into(),
            resource_type: "Cluster".into(),
            name: "c".into(),
            reason: "because".into(),
        }],
        ..seen(1, 1)
    }
}

/// What follows after so many seconds: the state, and the stage.
fn after(rollout: &Rollout, seen: &Observation, seconds: u64) -> Option<(State, usize)> {
    let now = BEGIN.after(Duration::from_secs(seconds));
    let step = rollout.observe(seen, &Settling, now)?;
    assert_eq!((step.next.since, step.next.by.as_str()), (now, BY_ITSELF));
    Some((step.next.state, step.next.stage))
}

#[test]
fn what_is_seen_leads_where_the_table_says() {
    let pause = Pause::For(Duration::from_secs(30));
    let incomplete = Observation {
        is_complete: false,
        ..seen(3, 0)
    };
    let late_and_incomplete = Observation {
        is_complete: false,
        ..seen(3, 1)
    };
    for (state, stage, seen, seconds, expected) in [
        (Advancing, 0, seen(3, 0), 0, Some((Staged, 0))),
        (Advancing, 0, seen(0, 0), 0, Some((Staged, 0))),
        (Advancing, 0, seen(2, 1), 59, None),
        (Advancing, 0, seen(2, 1), 60, Some((Held, 0))),
        (Advancing, 0, incomplete.clone(), 1_000, None),
        (Advancing, 0, late_and_incomplete, 1_000, None),
        (Advancing, 1, seen(3, 0), 0, Some((Staged, 1))),
        (Advancing, 1, refused(), 0, Some((RolledBack, 1))),
        (Advancing, 0, refused(), 0, Some((RolledBack, 0))),
        (Staged, 0, seen(3, 0), 29, None),
        (Staged, 0, seen(3, 0), 30, Some((Advancing, 1))),
        (Staged, 0, incomplete, 30, None),
        (Staged, 0, seen(3, 1), 1_000, Some((Advancing, 0))),
        (Staged, 0, refused(), 1_000, Some((RolledBack, 0))),
        (Staged, 1, seen(3, 0), 30, Some((Done, 1))),
        (Staged, 1, refused(), 30, Some((RolledBack, 1))),
        (Held, 0, seen(3, 0), 1_000, None),
        (Held, 0, seen(2, 1), 1_000, None),
        (Held, 0, refused(), 0, Some((RolledBack, 0))),
        (Done, 1, refused(), 0, None),
        (Done, 1, seen(3, 0), 1_000, None),
        (RolledBack, 0, refused(), 0, None),
        (RolledBack, 0, seen(3, 0), 1_000, None),
    ] {
        let found = after(&at(state, stage, pause), &seen, seconds);
        assert_eq!(found, expected, "{state:?} {stage} {seen:?} {seconds} s");
    }
}

#[test]
fn a_pause_by_hand_does_not_end_by_itself() {
    assert_eq!(after(&at(Staged, 0, Pause::ByHand), &seen(3, 0), 1_000_000), None);
    // The last stage has none.
    assert_eq!(
        after(&at(Staged, 1, Pause::ByHand), &seen(3, 0), 0),
        Some((Done, 1))
    );
}

#[test]
fn what_is_told_leads_where_the_table_says() {
    use Command::{Advance, Hold, Resume, RollBack};
    for (state, command, expected) in [
        (Advancing, Advance, Some((Advancing, 1))),
        (Advancing, Hold, Some((Held, 0))),
        (Advancing, Resume, None),
        (Advancing, RollBack, Some((RolledBack, 0))),
        (Staged, Advance, Some((Advancing, 1))),
        (Staged, Hold, Some((Held, 0))),
        (Staged, Resume, None),
        (Staged, RollBack, Some((RolledBack, 0))),
        (Held, Advance, Some((Advancing, 1))),
        (Held, Hold, None),
        (Held, Resume, Some((Advancing, 0))),
        (Held, RollBack, Some((RolledBack, 0))),
        (Done, Advance, None),
        (Done, Hold, None),
        (Done, Resume, None),
        (Done, RollBack, None),
        (RolledBack, Advance, None),
        (RolledBack, Hold, None),
        (RolledBack, Resume, None),
        (RolledBack, RollBack, None),
    ] {
        let rollout = at(state, 0, Pause::ByHand);
        let step = rollout.obey(command, "token `a`", "I say so", BEGIN);
        let found = step.as_ref().ok().map(|step| (step.next.state, step.next.stage));
        assert_eq!(found, expected, "{state:?} {command}");
        if let Ok(step) = step {
            assert_eq!(
                (step.next.by.as_str(), step.next.why.as_str()),
                ("token `a`", "I say so")
            );
            assert!(step.action.is_some(), "what a person does is entered");
        }
    }
    let last = at(Held, 1, Pause::ByHand).obey(Advance, "a", "b", BEGIN).unwrap();
    assert_eq!(last.next.state, Done);
}

#[test]
fn a_verdict_is_asked_before_each_step_and_cannot_forgive_a_refusal() {
    struct Fixed(Judgement);
    impl Verdict for Fixed {
        fn judge(&self, _: &Rollout, _: &Observation) -> Judgement {
            self.0.clone()
        }
    }
    for stage in [0, 1] {
        let staged = at(Staged, stage, Pause::For(Duration::ZERO));
        let of = |judgement, seen: Observation| {
            let step = staged.observe(&seen, &Fixed(judgement), BEGIN);
            step.map(|step| step.next.state)
        };
        let onward = if stage == 0 { Advancing } else { Done };
        assert_eq!(of(Judgement::Proceed, seen(1, 0)), Some(onward));
        assert_eq!(of(Judgement::Wait, seen(1, 0)), None);
        assert_eq!(of(Judgement::Hold("5xx".into()), seen(1, 0)), Some(Held));
        assert_eq!(
            of(Judgement::RollBack("5xx".into()), seen(1, 0)),
            Some(RolledBack)
        );
        assert_eq!(of(Judgement::Proceed, refused()), Some(RolledBack));
    }
}

#[test]
fn what_is_chosen_grows_by_stages_and_ends_with_the_rollout() {
    let terms = Terms::read(["100% of shop/web", "10%", "100%"], Pause::ByHand, SETTLE_TIMEOUT).unwrap();
    let mut rollout = Rollout::begin(8, 7, terms, BEGIN);
    for expected in 1..=3 {
        assert_eq!(
            rollout.chosen().unwrap().len(),
            expected,
            "no stage takes back those before"
        );
        assert_eq!(rollout.in_force(), 7);
        rollout = rollout.obey(Command::Advance, "a", "b", BEGIN).unwrap().next;
    }
    assert_eq!((rollout.chosen(), rollout.in_force()), (None, 8));
    let back = at(Held, 1, Pause::ByHand)
        .obey(Command::RollBack, "a", "b", BEGIN)
        .unwrap();
    assert_eq!((back.next.chosen(), back.next.in_force()), (None, 7));
}
