//! "ACK/NACK and resource type instance version", "Resource updates".

use std::collections::BTreeSet;

use super::*;

/// At most one response of a type is unanswered; what changes meanwhile is told once, in its last state.
#[test]
fn one_response_of_a_type_at_a_time() {
    for variant in [Variant::StateOfTheWorld, Variant::Delta] {
        let mut hands = Hands::new(variant, [resource(Secret, "a", "1"), resource(Secret, "b", "1")]);
        hands.ask(Secret, &["a", "b"]);
        let told = hands.next();
        for content in ["2", "3", "4"] {
            hands.put([resource(Secret, "a", content)]);
            assert_eq!(hands.told(), None);
        }
        hands.take(&told, &["a", "b"]);
        let told = hands.next();
        assert_eq!(told.resources, pairs(&[("a", "4")]));
    }
}

#[test]
fn nonces_are_never_used_twice() {
    let mut hands = Hands::new(Variant::Delta, [resource(Secret, "a", "0")]);
    hands.ask(Secret, &["a"]);
    hands.ask(Cluster, &[]);
    let mut nonces = BTreeSet::new();
    for content in 0..20 {
        hands.put([
            resource(Secret, "a", &content.to_string()),
            resource(Cluster, "a", &content.to_string()),
        ]);
        for told in hands.settle() {
            assert!(nonces.insert(told.nonce));
        }
    }
    assert_eq!(nonces.len(), 40);
}

/// Versions change with the content and come back with it.
#[test]
fn a_version_stands_for_the_whole_state() {
    let mut hands = Hands::new(Variant::StateOfTheWorld, [resource(Cluster, "a", "1")]);
    hands.ask(Cluster, &[]);
    let first = hands.next();
    hands.take(&first, &[]);
    hands.put([resource(Cluster, "b", "1")]);
    let second = hands.next();
    assert_ne!(first.version, second.version);
    hands.take(&second, &[]);
    hands.remove(Cluster, &["b"]);
    hands.pass(15);
    assert_eq!(hands.next().version, first.version);
}

/// "The management server should not send a DiscoveryResponse for any DiscoveryRequest that has a stale nonce."
#[test]
fn a_stale_request_of_the_state_of_the_world_is_passed_over() {
    let all = ["a", "b", "c"].map(|name| resource(ClusterLoadAssignment, name, "1"));
    let mut hands = Hands::new(Variant::StateOfTheWorld, all);
    hands.ask(ClusterLoadAssignment, &["a"]);
    let first = hands.next();
    // Before it has seen the first response the client adds a name, with no nonce: the answer tells it again.
    let heard = hands.receive(state(ClusterLoadAssignment, "", "", &["a", "b"]));
    assert!(heard.is_stale && heard.asked == 0);
    hands.take(&first, &["a", "b"]);
    let second = hands.next();
    assert_eq!(second.resources, pairs(&[("b", "1")]));
    let heard = hands.take(&first, &["a", "b", "c"]);
    assert!(heard.is_stale && heard.acknowledged == 0);
    assert_eq!(hands.told(), None);
    assert_eq!(hands.status_of(ClusterLoadAssignment, "b").acknowledged, None);
    hands.take(&second, &["a", "b", "c"]);
    assert_eq!(hands.next().resources, pairs(&[("c", "1")]));
}

/// "The server must honor changes to the subscription state even if the nonce is stale."
#[test]
fn a_stale_request_of_delta_changes_the_subscription_and_answers_nothing() {
    let all = ["a", "b"].map(|name| resource(ClusterLoadAssignment, name, "1"));
    let mut hands = Hands::new(Variant::Delta, all);
    hands.ask(ClusterLoadAssignment, &["a"]);
    let first = hands.next();
    let Request::Delta(request) = delta(ClusterLoadAssignment, &["b"], &[]) else {
        unreachable!()
    };
    let stale = discovery::DeltaDiscoveryRequest {
        response_nonce: "stale".into(),
        ..request
    };
    let heard = hands.receive(Request::Delta(stale));
    assert!(heard.is_stale && heard.asked == 1 && heard.acknowledged == 0);
    assert_eq!(hands.told(), None, "the first is still unanswered");
    hands.take(&first, &[]);
    assert_eq!(hands.next().resources, pairs(&[("b", "1")]));
}

/// Spontaneous requests of delta have no nonce and answer nothing.
#[test]
fn a_request_without_a_nonce_is_no_answer() {
    let mut hands = Hands::new(Variant::Delta, [resource(Secret, "a", "1")]);
    hands.ask(Secret, &["a"]);
    let told = hands.next();
    assert_eq!(hands.receive(delta(Secret, &["b"], &[])).acknowledged, 0);
    assert_eq!(hands.told(), None);
    let heard = hands.take(&told, &[]);
    assert_eq!((heard.acknowledged, heard.is_stale), (1, false));
    let again = hands.take(&told, &[]);
    assert_eq!(again.acknowledged, 0);
}

/// What is refused is not sent again until it changes; the others of the response are taken.
#[test]
fn a_refusal_blames_who_is_named() {
    for variant in [Variant::StateOfTheWorld, Variant::Delta] {
        let mut hands = Hands::new(variant, [resource(Secret, "a", "1"), resource(Secret, "b", "1")]);
        hands.ask(Secret, &["a", "b"]);
        let told = hands.next();
        hands.take(&told, &["a", "b"]);
        hands.put([resource(Secret, "a", "2"), resource(Secret, "b", "2")]);
        let told = hands.next();
        let heard = hands.refuse(&told, &["a", "b"], "secret b: no key");
        assert_eq!(heard.acknowledged, 1);
        assert_eq!(
            heard.refused,
            [Refusal {
                name: "b".into(),
                reason: "secret b: no key".into()
            }]
        );
        assert_eq!(hands.told(), None);
        assert_eq!(hands.server.progress(), Progress::Refused);
        let bad = hands.status_of(Secret, "b");
        assert_eq!(
            bad.acknowledged.as_ref(),
            Some(resource(Secret, "b", "1").version())
        );
        assert_eq!(
            bad.refused.map(|refused| refused.version).as_ref(),
            Some(resource(Secret, "b", "2").version())
        );
        hands.put([resource(Secret, "b", "3")]);
        let told = hands.next();
        assert_eq!(told.resources, pairs(&[("b", "3")]));
        hands.take(&told, &["a", "b"]);
        assert!(hands.server.progress().is_settled());
    }
}

/// Going back to what the client has ends the refusal.
#[test]
fn a_refusal_is_over_when_the_last_good_version_is_taken() {
    let mut hands = Hands::new(Variant::Delta, [resource(Secret, "a", "1")]);
    hands.ask(Secret, &["a"]);
    hands.settle();
    hands.put([resource(Secret, "a", "2")]);
    let told = hands.next();
    hands.refuse(&told, &[], "no");
    hands.put([resource(Secret, "a", "1")]);
    assert_eq!(hands.settle()[0].resources, pairs(&[("a", "1")]));
    assert!(hands.server.progress().is_settled());
    assert_eq!(hands.status_of(Secret, "a").refused, None);
}

#[test]
fn a_refusal_that_names_nobody_blames_everybody() {
    let mut hands = Hands::new(
        Variant::Delta,
        [resource(Secret, "a", "1"), resource(Secret, "b", "1")],
    );
    hands.ask(Secret, &["a", "b"]);
    let told = hands.next();
    assert_eq!(hands.refuse(&told, &[], "out of memory").refused.len(), 2);
}

/// What the client refused and wants no more, or what is no more, is refused no more.
#[test]
fn a_refusal_goes_with_its_resource() {
    let mut hands = Hands::new(
        Variant::Delta,
        [resource(Secret, "a", "1"), resource(Secret, "b", "1")],
    );
    hands.ask(Secret, &["a", "b"]);
    let told = hands.next();
    hands.refuse(&told, &[], "no");
    hands.receive(delta(Secret, &[], &["a"]));
    hands.remove(Secret, &["b"]);
    hands.pass(15);
    assert_eq!(hands.settle()[0].removed, ["b"]);
    assert!(hands.server.progress().is_settled());
}

/// gRPC's clients take 4 MiB: what can be divided is.
#[test]
fn large_states_are_divided_where_they_can_be() {
    let large = |name: &str| resource(ClusterLoadAssignment, name, &"x".repeat(RESPONSE_BYTES_MAX / 2));
    for variant in [Variant::StateOfTheWorld, Variant::Delta] {
        let mut hands = Hands::new(variant, ["a", "b", "c"].map(large));
        hands.ask(ClusterLoadAssignment, &["a", "b", "c"]);
        for name in ["a", "b", "c"] {
            let told = hands.next();
            let sent: Vec<&str> = told.resources.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(sent, [name]);
            assert_eq!(hands.told(), None);
            hands.take(&told, &["a", "b", "c"]);
        }
        assert!(hands.server.progress().is_settled());
    }
    // The full state cannot be.
    let large = |name: &str| resource(Cluster, name, &"x".repeat(RESPONSE_BYTES_MAX / 2));
    let mut hands = Hands::new(Variant::StateOfTheWorld, ["a", "b", "c"].map(large));
    hands.ask(Cluster, &[]);
    assert_eq!(hands.next().resources.len(), 3);
}
