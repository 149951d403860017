//! What a client brings from an earlier stream.

use super::*;

fn version(resource_type: ResourceType, name: &str, content: &str) -> String {
    resource(resource_type, name, content).version().to_string()
}

/// "To avoid resending them over the network": what is held is not sent, what has changed is, what is gone is removed,
/// what is new is sent.
#[test]
fn delta_sends_the_difference_to_what_is_held() {
    let view = [
        resource(Cluster, "same", "1"),
        resource(Cluster, "changed", "2"),
        resource(Cluster, "new", "1"),
    ];
    let same = version(Cluster, "same", "1");
    let changed = version(Cluster, "changed", "1");
    let held = [
        ("same", same.as_str()),
        ("changed", changed.as_str()),
        ("gone", "1"),
    ];
    for names in [&[][..], &["*"], &["same", "changed", "gone", "new"]] {
        let mut hands = Hands::new(Variant::Delta, view.clone());
        hands.receive(returning(Cluster, names, &held));
        assert_eq!(
            hands.status_of(Cluster, "same").acknowledged.as_deref(),
            Some(same.as_str())
        );
        hands.pass(15);
        let told = hands.next();
        assert_eq!(
            told.resources,
            pairs(&[("changed", "2"), ("new", "1")]),
            "{names:?}"
        );
        assert_eq!(told.removed, ["gone"], "{names:?}");
        hands.take(&told, &[]);
        assert!(hands.server.progress().is_settled());
    }
}

/// A client may hold what it no longer asks for.
#[test]
fn what_is_held_and_not_asked_for_is_passed_over() {
    let mut hands = Hands::new(Variant::Delta, [resource(Secret, "a", "1")]);
    hands.receive(returning(Secret, &["a"], &[("b", "1")]));
    let told = hands.next();
    assert_eq!((told.resources.len(), told.removed.len()), (1, 0));
}

/// With a wildcard a client that holds everything is told so, and need not wait.
#[test]
fn a_client_that_holds_everything_is_answered() {
    let mut hands = Hands::new(Variant::Delta, [resource(Cluster, "a", "1")]);
    hands.receive(returning(Cluster, &[], &[("a", &version(Cluster, "a", "1"))]));
    let told = hands.next();
    assert!(told.resources.is_empty() && told.removed.is_empty());
}

/// Only the first request of a type tells what is held.
#[test]
fn what_is_told_as_held_later_is_passed_over() {
    let mut hands = Hands::new(Variant::Delta, [resource(Secret, "a", "1")]);
    hands.receive(delta(Secret, &["b"], &[]));
    hands.receive(returning(Secret, &["a"], &[("a", &version(Secret, "a", "1"))]));
    assert_eq!(hands.next().resources, pairs(&[("a", "1")]));
}

/// "It is generally safe for servers to do this optimization for LDS and CDS when the only subscription is a wildcard
/// subscription."
#[test]
fn the_state_of_the_world_is_not_sent_to_who_has_it() {
    let view = [resource(Cluster, "a", "1"), resource(Cluster, "b", "1")];
    let mut hands = Hands::new(Variant::StateOfTheWorld, view.clone());
    hands.ask(Cluster, &[]);
    let known = hands.next().version;

    let mut hands = Hands::new(Variant::StateOfTheWorld, view.clone());
    hands.receive(state(Cluster, &known, "", &[]));
    assert_eq!(hands.told(), None);
    assert!(hands.server.progress().is_settled());
    hands.put([resource(Cluster, "a", "2")]);
    assert_eq!(hands.next().resources.len(), 2);

    // Nor to who has another.
    let mut hands = Hands::new(Variant::StateOfTheWorld, view.clone());
    hands.receive(state(Cluster, "another", "", &[]));
    assert_eq!(hands.next().resources.len(), 2);
    // "But only if they know that the client is not subscribing to a new resource."
    let mut hands = Hands::new(Variant::StateOfTheWorld, view);
    hands.receive(state(Cluster, &known, "", &["*", "a"]));
    assert_eq!(hands.next().resources.len(), 2);
}

/// What has a lifetime may have lost most of it.
#[test]
fn what_has_a_lifetime_is_sent_again() {
    let lasting = resource(Secret, "a", "1").with_ttl(Some(Duration::from_secs(60)));
    let mut hands = Hands::new(Variant::Delta, [lasting.clone()]);
    hands.receive(returning(Secret, &["a"], &[("a", lasting.version())]));
    assert_eq!(hands.next().resources, pairs(&[("a", "1")]));
}

/// On a new stream a client says one after the other what it holds: clusters are not removed before it has said which
/// routes it has, or has had the time for it.
#[test]
fn removals_wait_for_a_new_stream_to_be_told() {
    let view = [resource(RouteConfiguration, "r", "new")];
    let mut hands = Hands::new(Variant::Delta, view);
    hands.receive(returning(Cluster, &[], &[("old", "1")]));
    let told = hands.next();
    assert_eq!(told.removed.len(), 0);
    hands.take(&told, &[]);
    hands.receive(returning(Listener, &[], &[]));
    hands.settle();
    hands.receive(returning(RouteConfiguration, &["r"], &[("r", "old")]));
    let told = hands.settle();
    assert_eq!(types(&told), [RouteConfiguration, Cluster]);
    assert_eq!(told[1].removed, ["old"]);

    let mut hands = Hands::new(Variant::Delta, []);
    hands.receive(returning(Cluster, &[], &[("old", "1")]));
    hands.settle();
    assert_eq!(hands.server.next_wake(hands.now), Some(hands.now + ACK_WAIT_MAX));
    hands.pass(15);
    assert_eq!(hands.settle()[0].removed, ["old"]);
    assert_eq!(hands.server.next_wake(hands.now), None);
}
