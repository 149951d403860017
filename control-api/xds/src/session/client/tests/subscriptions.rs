//! "How the client specifies what resources to return", "Unsubscribing From Resources", "Subscribing to Resources".

use super::*;

#[test]
fn nothing_is_asked_for_that_is_not_wanted() {
    for variant in [Variant::StateOfTheWorld, Variant::Delta] {
        let mut hands = Hands::new(variant);
        assert_eq!(hands.sent(), []);
        hands.connect();
        assert_eq!(hands.sent(), []);
    }
}

/// "Only the first request on a stream is guaranteed to carry the node identifier."
#[test]
fn only_the_first_request_of_a_stream_tells_the_node() {
    let mut hands = Hands::new(Variant::Delta);
    hands.client.subscribe_all(Cluster);
    hands.client.subscribe_all(Listener);
    for _ in 0..2 {
        hands.reconnect(Versions::Known);
        let nodes: Vec<bool> = hands
            .sent()
            .into_iter()
            .map(|request| match request {
                Request::Delta(request) => request.node.is_some_and(|node| node.client_features.len() == 2),
                Request::StateOfTheWorld(_) => false,
            })
            .collect();
        assert_eq!(nodes, [true, false]);
    }
}

/// An empty first request means everything (the legacy form, which every server knows).
#[test]
fn everything_is_asked_for_by_an_empty_list() {
    let mut hands = Hands::new(Variant::StateOfTheWorld);
    hands.client.subscribe_all(Cluster);
    hands.connect();
    let request = hands.state();
    assert_eq!(
        (request.type_url.as_str(), request.resource_names.len()),
        (Cluster.type_url(), 0)
    );

    let mut hands = Hands::new(Variant::Delta);
    hands.client.subscribe_all(Cluster);
    hands.connect();
    let request = hands.delta();
    assert!(request.resource_names_subscribe.is_empty() && request.resource_names_unsubscribe.is_empty());
}

/// The legacy form is one of listeners and clusters alone.
#[test]
fn everything_of_another_type_is_asked_for_by_name() {
    let mut hands = Hands::new(Variant::StateOfTheWorld);
    hands.client.subscribe_all(Secret);
    hands.connect();
    assert_eq!(hands.state().resource_names, ["*"]);

    let mut hands = Hands::new(Variant::Delta);
    hands.client.subscribe_all(Secret);
    hands.connect();
    assert_eq!(hands.delta().resource_names_subscribe, ["*"]);
}

/// The example of the section, in the state of the world: nothing, `*` and A, A, nothing.
#[test]
fn a_wildcard_and_names_go_together_in_the_state_of_the_world() {
    let mut hands = Hands::wildcard(Variant::StateOfTheWorld, Listener);
    hands.subscribe(Listener, &["A"]);
    assert_eq!(hands.state().resource_names, ["A", "*"]);
    hands.client.unsubscribe_all(Listener);
    assert_eq!(hands.state().resource_names, ["A"]);
    hands.unsubscribe(Listener, &["A"]);
    assert!(hands.state().resource_names.is_empty());
    hands.client.subscribe_all(Listener);
    assert_eq!(hands.state().resource_names, ["*"]);
}

/// The same in delta.
#[test]
fn a_wildcard_and_names_go_together_in_delta() {
    let mut hands = Hands::wildcard(Variant::Delta, Listener);
    hands.subscribe(Listener, &["A"]);
    assert_eq!(hands.delta().resource_names_subscribe, ["A"]);
    hands.client.unsubscribe_all(Listener);
    assert_eq!(hands.delta().resource_names_unsubscribe, ["*"]);
    hands.unsubscribe(Listener, &["A"]);
    assert_eq!(hands.delta().resource_names_unsubscribe, ["A"]);
}

/// As long as nothing was named an empty list still means everything, so everything is named before it is given up.
#[test]
fn a_legacy_wildcard_is_given_up_in_two_steps() {
    let mut hands = Hands::wildcard(Variant::StateOfTheWorld, Listener);
    hands.client.unsubscribe_all(Listener);
    let lists: Vec<Vec<String>> = hands
        .sent()
        .into_iter()
        .map(|request| match request {
            Request::StateOfTheWorld(request) => request.resource_names,
            Request::Delta(_) => Vec::new(),
        })
        .collect();
    assert_eq!(lists, [vec!["*".to_owned()], Vec::new()]);
}

#[test]
fn a_list_of_the_state_of_the_world_is_whole_and_delta_tells_the_difference() {
    let mut hands = Hands::named(Variant::StateOfTheWorld, ClusterLoadAssignment, &["a"]);
    hands.subscribe(ClusterLoadAssignment, &["b"]);
    assert_eq!(hands.state().resource_names, ["a", "b"]);

    let mut hands = Hands::named(Variant::Delta, ClusterLoadAssignment, &["a"]);
    hands.subscribe(ClusterLoadAssignment, &["a", "b", "c"]);
    hands.unsubscribe(ClusterLoadAssignment, &["a", "c", "phantom"]);
    let request = hands.delta();
    assert_eq!(request.resource_names_subscribe, ["b"]);
    assert_eq!(request.resource_names_unsubscribe, ["a", "c"]);
    assert!(request.response_nonce.is_empty());
    assert_eq!(hands.sent(), []);
}

#[test]
fn names_that_cannot_be_are_returned() {
    let mut hands = Hands::new(Variant::Delta);
    let long = "x".repeat(crate::resource::RESOURCE_NAME_BYTES_MAX + 1);
    let names = ["*", "", long.as_str(), "good"];
    assert_eq!(
        hands.client.subscribe(Cluster, names, hands.now),
        ["*", "", long.as_str()]
    );
    assert_eq!(hands.client.type_state(Cluster, hands.now).named, 1);
}

#[test]
fn names_are_bounded() {
    let mut hands = Hands::new(Variant::Delta);
    let many: Vec<String> = (0..=RESOURCES_MAX).map(|number| number.to_string()).collect();
    let refused = hands
        .client
        .subscribe(Cluster, many.iter().map(String::as_str), hands.now);
    assert_eq!(refused, [many[RESOURCES_MAX].as_str()]);
    // One that is there already is no new one.
    assert!(hands.client.subscribe(Cluster, ["0"], hands.now).is_empty());
}

/// What is no longer wanted is no longer held.
#[test]
fn unsubscribing_forgets() {
    let mut hands = Hands::named(Variant::Delta, Secret, &["a", "b"]);
    hands.take(delta(Secret, "1", &[("a", "1"), ("b", "1")], &[]));
    hands.unsubscribe(Secret, &["a"]);
    assert_eq!(hands.client.accepted(Secret).count(), 1);
    assert!(hands.client.state(Secret, "a", hands.now).is_none());
    // And it is new when it is wanted again.
    hands.subscribe(Secret, &["a"]);
    let received = hands.receive(delta(Secret, "2", &[("a", "1")], &[]));
    assert_eq!(received.upserts.len(), 1);
}

/// "When a client has a wildcard subscription and a subscription to another specific resource name": the server says
/// whether the wildcard still holds it, so it is kept until then.
#[test]
fn unsubscribing_beside_a_wildcard_keeps_what_is_held() {
    let mut hands = Hands::wildcard(Variant::Delta, Listener);
    hands.subscribe(Listener, &["a"]);
    hands.sent();
    hands.take(delta(Listener, "1", &[("a", "1")], &[]));
    hands.unsubscribe(Listener, &["a"]);
    assert_eq!(hands.version(Listener, "a").as_deref(), Some("v1"));
    let received = hands.receive(delta(Listener, "2", &[], &["a"]));
    assert_eq!(received.removed, ["a".into()]);
    hands.settle(received);
    assert!(hands.client.state(Listener, "a", hands.now).is_none());
}

/// A request of the state of the world with the nonce of an undecided response would be taken for its acknowledgement.
#[test]
fn an_undecided_response_holds_up_a_changed_list_of_the_state_of_the_world() {
    let mut hands = Hands::named(Variant::StateOfTheWorld, ClusterLoadAssignment, &["a"]);
    let received = hands.receive(state(ClusterLoadAssignment, "1", "n1", &[("a", "1")]));
    hands.subscribe(ClusterLoadAssignment, &["b"]);
    assert_eq!(hands.sent(), []);
    hands.settle(received);
    let request = hands.state();
    assert_eq!(
        (request.response_nonce.as_str(), request.resource_names.len()),
        ("n1", 2)
    );
    assert_eq!(hands.sent(), []);
}

/// Delta's subscriptions and acknowledgements are two roles of one message, each good without the other.
#[test]
fn an_undecided_response_does_not_hold_up_delta() {
    let mut hands = Hands::named(Variant::Delta, ClusterLoadAssignment, &["a"]);
    let received = hands.receive(delta(ClusterLoadAssignment, "n1", &[("a", "1")], &[]));
    hands.subscribe(ClusterLoadAssignment, &["b"]);
    let request = hands.delta();
    assert_eq!(
        (
            request.response_nonce.as_str(),
            request.resource_names_subscribe.len()
        ),
        ("", 1)
    );
    hands.subscribe(ClusterLoadAssignment, &["c"]);
    hands.settle(received);
    let request = hands.delta();
    assert_eq!(request.response_nonce, "n1");
    assert_eq!(request.resource_names_subscribe, ["c"]);
}

/// What hangs on a resource is asked for before the resource is acknowledged, so that a server can send it first.
#[test]
fn subscriptions_go_before_acknowledgements() {
    let mut hands = Hands::wildcard(Variant::Delta, Listener);
    hands.client.subscribe_all(Cluster);
    hands.subscribe(Secret, &["s"]);
    hands.sent();
    let received = hands.receive(delta(Cluster, "n1", &[("a", "1")], &[]));
    hands.settle(received);
    hands.subscribe(ClusterLoadAssignment, &["a"]);
    let types: Vec<String> = hands
        .sent()
        .into_iter()
        .map(|request| match request {
            Request::Delta(request) => request.type_url,
            Request::StateOfTheWorld(request) => request.type_url,
        })
        .collect();
    assert_eq!(types, [ClusterLoadAssignment.type_url(), Cluster.type_url()]);
}

/// Separate streams: one type each, whatever else is wanted.
#[test]
fn a_stream_of_one_type_speaks_of_no_other() {
    let mut client = Client::new(Variant::Delta, Scope::Only(Cluster), Node::default());
    client.subscribe_all(Cluster);
    client.subscribe_all(Listener);
    let now = Instant::now();
    client.connected(Versions::Known, now);
    assert_eq!(std::iter::from_fn(|| client.poll()).count(), 1);
    let error = client
        .receive(delta(Listener, "1", &[], &[]).into(), now)
        .expect_err("not of this stream");
    assert_eq!(error, ReceiveError::UnknownType(Listener.type_url().into()));
    // The type need not be told on such a stream.
    let response = discovery::DeltaDiscoveryResponse {
        type_url: String::new(),
        ..delta(Cluster, "1", &[("a", "1")], &[])
    };
    assert_eq!(
        client
            .receive(response.into(), now)
            .expect("its own")
            .upserts
            .len(),
        1
    );
}

/// A list that is overtaken by a response is never looked at, so the server may not know that a name was given up.
#[test]
fn a_name_taken_up_again_in_the_state_of_the_world_is_handed_out_again() {
    let mut hands = Hands::named(Variant::StateOfTheWorld, ClusterLoadAssignment, &["a", "b"]);
    hands.take(state(ClusterLoadAssignment, "X", "1", &[("a", "1"), ("b", "1")]));
    hands.unsubscribe(ClusterLoadAssignment, &["a", "b"]);
    assert_eq!(hands.client.accepted(ClusterLoadAssignment).count(), 0);
    // The server goes on to send it.
    let received = hands.receive(state(ClusterLoadAssignment, "Y", "2", &[("a", "2")]));
    assert_eq!((received.upserts.len(), received.unasked), (0, 1));
    hands.settle(received);
    hands.sent();
    hands.subscribe(ClusterLoadAssignment, &["a"]);
    let again = hands.client.replay().expect("it was held a moment ago");
    assert_eq!(
        again.upserts,
        [Resource::new(
            ClusterLoadAssignment,
            "a",
            "Y",
            resource(ClusterLoadAssignment, "a", "2").body().to_vec()
        )]
    );
    assert_eq!(hands.state().resource_names, ["a"], "nothing is answered");
    hands.settle(again);
    assert_eq!(hands.version(ClusterLoadAssignment, "a").as_deref(), Some("Y"));
    assert_eq!(hands.sent(), []);
    assert!(hands.client.replay().is_none());
    // What is old is not handed out.
    hands.pass(15);
    hands.subscribe(ClusterLoadAssignment, &["b"]);
    assert!(hands.client.replay().is_none());
}

#[test]
fn nothing_is_handed_out_again_in_delta_or_on_a_new_stream() {
    let mut hands = Hands::named(Variant::Delta, Secret, &["a"]);
    hands.take(delta(Secret, "1", &[("a", "1")], &[]));
    hands.unsubscribe(Secret, &["a"]);
    hands.subscribe(Secret, &["a"]);
    assert!(hands.client.replay().is_none());

    let mut hands = Hands::named(Variant::StateOfTheWorld, Secret, &["a"]);
    hands.take(state(Secret, "X", "1", &[("a", "1")]));
    hands.unsubscribe(Secret, &["a"]);
    hands.reconnect(Versions::Known);
    hands.subscribe(Secret, &["a"]);
    assert!(hands.client.replay().is_none());
}

/// So too with what was under way when its name was given up, and with what was refused.
#[test]
fn what_was_under_way_or_refused_is_handed_out_again() {
    let mut hands = Hands::named(Variant::StateOfTheWorld, Secret, &["a", "b"]);
    let received = hands.receive(state(Secret, "X", "1", &[("b", "1")]));
    hands.settle_refusing(received, &["b"]);
    hands.unsubscribe(Secret, &["a", "b"]);
    hands.sent();
    assert_eq!(hands.receive(state(Secret, "Y", "2", &[("a", "1")])).unasked, 1);
    hands.subscribe(Secret, &["a", "b"]);
    let again = hands.client.replay().expect("both");
    assert_eq!(again.upserts.len(), 2);
}
