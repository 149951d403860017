//! What becomes of what is refused.

use super::*;
use crate::session;

#[test]
fn what_could_not_be_read_at_all_is_shown_and_has_its_place_until_the_next_response() {
    let mut world = World::new();
    world.offer(&[(C, "a", "own")]);
    let unread = |name: &str| session::Refusal {
        name: name.to_owned(),
        reason: "it is not a message".to_owned(),
    };
    let version = Arc::from("7");
    world
        .assembly
        .refuse_unread(C, &version, &[unread("a"), unread("b"), unread("#3")], world.now);
    for name in ["a", "b", "#3"] {
        let Standing::Refused { version, refusal, .. } = world.standing(C, name) else {
            panic!("{name}");
        };
        assert_eq!(
            (&*version, refusal.faults[0].message.as_str()),
            ("7", "it is not a message")
        );
    }
    assert_eq!(world.shown(), "local(0) a(0)", "the good version stays");
    world.assembly.refuse_unread(C, &version, &[], world.now);
    assert!(
        world.assembly.standing(C, "#3").is_none(),
        "the next response has its own places"
    );
    assert!(world.assembly.standing(C, "b").is_some());
    world.offer(&[(C, "b", "own")]);
    assert_eq!(world.standing(C, "b"), Standing::InForce);
}

#[test]
fn what_came_only_in_a_bad_version_goes_on_as_it_was_in_an_earlier_life() {
    let mut world = World::new();
    world.offer(&[
        (L, "l", "8080 r"),
        (R, "r", "a bad"),
        (C, "a", "bad"),
        (C, "b", "own"),
    ]);
    assert_eq!(world.shown(), "local(0) b(0)");
    assert_eq!(
        world.assembly.lost(),
        [(C, Arc::from("a")), (R, Arc::from("r"))],
        "what waits is not lost"
    );
    let earlier = [
        (C, "a", "own"),
        (R, "r", "a"),
        (C, "gone", "own"),
        (C, "b", "apart"),
    ]
    .map(|(kind, name, body)| Resource::hashed(kind, name, body.as_bytes().to_vec()));
    assert!(world.assembly.recall(earlier.to_vec(), world.now).is_empty());
    world.settle(&mut Vec::new());
    assert_eq!(
        world.shown(),
        "l r local(0) a(0) b(0)",
        "nothing comes back that is not asked for"
    );
    assert!(
        matches!(world.standing(C, "a"), Standing::Refused { .. }),
        "as the control plane is told"
    );
    assert!(world.assembly.lost().is_empty());
    let kept = world.assembly.keepable();
    assert!(kept.iter().any(|one| &**one.body() == b"own"), "and is kept");
    world.offer(&[(C, "a", "own again")]);
    assert_eq!(world.standing(C, "a"), Standing::InForce);
}

#[test]
fn what_was_refused_for_the_sake_of_another_is_taken_when_that_one_changes() {
    let mut world = World::new();
    world.offer(&[(L, "l", "8080 r"), (R, "r", "local")]);
    // Two listeners cannot have one address.
    assert_eq!(world.offer(&[(L, "m", "8080 s"), (R, "s", "local")]).len(), 1);
    assert!(!world.assembly.reconsider(), "nothing has changed since");
    assert_eq!(
        world.assembly.wanted().route_configurations,
        ["r".to_owned(), "s".to_owned()].into(),
        "what it refers to may make it good"
    );
    world.offer(&[(C, "fine", "own")]);
    assert!(world.assembly.reconsider());
    let mut refused = Vec::new();
    world.settle(&mut refused);
    assert_eq!(refused.len(), 1, "it is no better");
    assert!(!world.assembly.reconsider(), "nor is it asked again");
    assert!(world.offer(&[(L, "l", "8081 r")]).is_empty());
    assert!(world.assembly.reconsider());
    world.settle(&mut refused);
    assert_eq!(refused.len(), 1);
    assert_eq!(world.shown(), "l m r s local(0) fine(0)");
    assert_eq!(world.standing(L, "m"), Standing::InForce);
    assert!(world.assembly.unrefused(L, "m").is_some());
}
