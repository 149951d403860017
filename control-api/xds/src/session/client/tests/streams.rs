//! What outlives a stream: "ACK/NACK and resource type instance version", and reconnecting in "Incremental xDS".

use super::*;

/// "The reconnecting client must provide the server with all resource names it is interested in" and may tell "its
/// known resources ... by sending them in initial_resource_versions".
#[test]
fn delta_tells_everything_again_and_the_versions_held() {
    let mut hands = Hands::named(Variant::Delta, Secret, &["a", "b", "c"]);
    assert!(
        hands.delta_first_versions().is_empty(),
        "nothing is held on the first stream"
    );
    hands.take(delta(Secret, "1", &[("a", "1"), ("b", "1")], &["c"]));
    hands.reconnect(Versions::Known);
    let request = hands.delta();
    assert_eq!(request.resource_names_subscribe, ["a", "b", "c"]);
    assert!(
        request.response_nonce.is_empty(),
        "a nonce does not survive its stream"
    );
    assert_eq!(sorted(&request), [("a", "v1"), ("b", "v1")]);
    // Only the first request of a stream tells them.
    hands.subscribe(Secret, &["d"]);
    assert!(hands.delta().initial_resource_versions.is_empty());
}

impl Hands {
    /// The versions told by the first request of a stream begun anew.
    fn delta_first_versions(&mut self) -> std::collections::HashMap<String, String> {
        self.reconnect(Versions::Known);
        self.delta().initial_resource_versions
    }
}

fn sorted(request: &discovery::DeltaDiscoveryRequest) -> Vec<(&str, &str)> {
    let versions = request.initial_resource_versions.iter();
    let mut versions: Vec<(&str, &str)> = versions
        .map(|(name, version)| (name.as_str(), version.as_str()))
        .collect();
    versions.sort_unstable();
    versions
}

/// What was refused is to be sent again. By name it is left out; what only the wildcard holds is told without a
/// version, or its removal would never be told.
#[test]
fn what_was_refused_is_not_told_as_held() {
    let mut hands = Hands::named(Variant::Delta, Secret, &["a", "b"]);
    hands.take(delta(Secret, "1", &[("a", "1"), ("b", "1")], &[]));
    let received = hands.receive(delta(Secret, "2", &[("b", "2")], &[]));
    hands.settle_refusing(received, &["b"]);
    hands.reconnect(Versions::Known);
    assert_eq!(sorted(&hands.delta()), [("a", "v1")]);

    let mut hands = Hands::wildcard(Variant::Delta, Cluster);
    hands.take(delta(Cluster, "1", &[("a", "1"), ("b", "1")], &[]));
    let received = hands.receive(delta(Cluster, "2", &[("b", "2"), ("c", "1")], &[]));
    hands.settle_refusing(received, &["b", "c"]);
    hands.reconnect(Versions::Known);
    assert_eq!(sorted(&hands.delta()), [("a", "v1"), ("b", "")]);
}

/// Versions belong to the server that gave them out.
#[test]
fn another_server_is_not_told_the_versions_of_the_first() {
    let mut hands = Hands::wildcard(Variant::Delta, Cluster);
    hands.take(delta(Cluster, "1", &[("a", "1"), ("b", "1")], &[]));
    hands.reconnect(Versions::Unknown);
    assert_eq!(sorted(&hands.delta()), [("a", ""), ("b", "")]);
    hands.take(delta(Cluster, "1", &[("a", "1")], &[]));
    // What the other one has sent since is its own.
    hands.reconnect(Versions::Known);
    assert_eq!(sorted(&hands.delta()), [("a", "v1"), ("b", "")]);

    let mut hands = Hands::wildcard(Variant::StateOfTheWorld, Cluster);
    hands.take(state(Cluster, "X", "1", &[("a", "1")]));
    hands.reconnect(Versions::Unknown);
    assert_eq!(hands.state().version_info, "");
}

/// "The client's initial request on the new stream should indicate the most recent version seen by the client on the
/// previous stream."
#[test]
fn the_state_of_the_world_tells_its_version() {
    let mut hands = Hands::wildcard(Variant::StateOfTheWorld, Cluster);
    hands.take(state(Cluster, "X", "1", &[("a", "1")]));
    let received = hands.receive(state(Cluster, "Y", "2", &[("a", "2")]));
    hands.settle_refusing(received, &["a"]);
    hands.reconnect(Versions::Known);
    let request = hands.state();
    assert_eq!(
        (request.version_info.as_str(), request.response_nonce.as_str()),
        ("X", "")
    );
    assert!(request.resource_names.is_empty());
}

/// The rule of the empty list begins anew with each stream: what is named once may be everything again.
#[test]
fn a_new_stream_may_use_the_empty_list_again() {
    let mut hands = Hands::wildcard(Variant::StateOfTheWorld, Cluster);
    hands.subscribe(Cluster, &["a"]);
    hands.unsubscribe(Cluster, &["a"]);
    assert!(hands.state().resource_names.is_empty());
    hands.subscribe(Cluster, &["a"]);
    hands.sent();
    hands.unsubscribe(Cluster, &["a"]);
    assert_eq!(hands.state().resource_names, ["*"]);
    hands.reconnect(Versions::Known);
    assert!(hands.state().resource_names.is_empty());
}

/// A stream that ends takes its answers with it, and not what was taken.
#[test]
fn what_is_settled_after_its_stream_is_not_answered_on_the_next() {
    let mut hands = Hands::wildcard(Variant::Delta, Cluster);
    let received = hands.receive(delta(Cluster, "1", &[("a", "1")], &[]));
    hands.reconnect(Versions::Known);
    hands.sent();
    hands.settle(received);
    assert_eq!(hands.sent(), []);
    assert_eq!(hands.version(Cluster, "a").as_deref(), Some("v1"));
    let received = hands.receive(delta(Cluster, "1", &[("a", "1")], &[]));
    assert_eq!(received.unchanged, 1);
}

#[test]
fn unsent_answers_are_dropped_with_their_stream() {
    let mut hands = Hands::wildcard(Variant::Delta, Cluster);
    let received = hands.receive(delta(Cluster, "1", &[("a", "1")], &[]));
    hands.settle(received);
    hands.reconnect(Versions::Known);
    assert!(hands.delta().response_nonce.is_empty());
}

/// Everything held stays in force while there is no server ("the last known configuration ... will persist").
#[test]
fn a_lost_stream_changes_nothing() {
    let mut hands = Hands::wildcard(Variant::Delta, Cluster);
    hands.take(delta(Cluster, "1", &[("a", "1")], &[]));
    hands.client.disconnected();
    assert!(!hands.client.is_connected());
    hands.pass(3600);
    assert!(hands.client.expire(hands.now).is_empty());
    assert_eq!(hands.client.accepted(Cluster).count(), 1);
    assert_eq!(hands.sent(), []);
}

/// From disk: as if it had been taken.
#[test]
fn what_is_restored_is_told() {
    let mut hands = Hands::new(Variant::Delta);
    hands.client.subscribe_all(Cluster);
    let from_disk = [resource(Cluster, "a", "1"), resource(Secret, "never-wanted", "1")];
    hands.client.restore(from_disk.clone(), hands.now);
    hands.connect();
    let request = hands.delta();
    assert_eq!(sorted(&request), [("a", &**from_disk[0].version())]);
    assert_eq!(hands.client.accepted(Secret).count(), 0);
}

#[test]
fn a_type_is_answered_once_something_came_on_this_stream() {
    let mut hands = Hands::wildcard(Variant::Delta, Cluster);
    assert!(!hands.client.type_state(Cluster, hands.now).is_answered);
    hands.take(delta(Cluster, "1", &[], &[]));
    assert!(hands.client.type_state(Cluster, hands.now).is_answered);
    hands.reconnect(Versions::Known);
    assert!(!hands.client.type_state(Cluster, hands.now).is_answered);
}

/// What is undecided when a stream begins may come into force after it: then the server must say what it is to be.
#[test]
fn what_is_undecided_is_not_told_as_held() {
    let mut hands = Hands::wildcard(Variant::Delta, Cluster);
    hands.take(delta(
        Cluster,
        "1",
        &[("changing", "1"), ("leaving", "1"), ("same", "1")],
        &[],
    ));
    let undecided = hands.receive(delta(
        Cluster,
        "2",
        &[("changing", "2"), ("new", "1")],
        &["leaving"],
    ));
    hands.reconnect(Versions::Known);
    assert_eq!(
        sorted(&hands.delta()),
        [("changing", ""), ("leaving", ""), ("new", ""), ("same", "v1")]
    );
    hands.settle(undecided);
    assert_eq!(hands.version(Cluster, "changing").as_deref(), Some("v2"));

    let mut hands = Hands::wildcard(Variant::StateOfTheWorld, Cluster);
    hands.take(state(Cluster, "X", "1", &[("a", "1")]));
    let _undecided = hands.receive(state(Cluster, "Y", "2", &[("a", "2")]));
    hands.reconnect(Versions::Known);
    assert_eq!(hands.state().version_info, "");
}

/// A version that was taken in part, or decided after its stream, is beyond the one before it: a server that has gone
/// back to that one would take the client for having it.
#[test]
fn a_version_is_told_only_if_it_stands_for_what_is_held() {
    let mut hands = Hands::wildcard(Variant::StateOfTheWorld, Cluster);
    hands.take(state(Cluster, "X", "1", &[("a", "1"), ("b", "1")]));
    let received = hands.receive(state(Cluster, "Y", "2", &[("a", "2"), ("b", "2")]));
    hands.settle_refusing(received, &["a"]);
    assert_eq!(hands.state().version_info, "X");
    hands.reconnect(Versions::Known);
    assert_eq!(hands.state().version_info, "");

    let mut hands = Hands::wildcard(Variant::StateOfTheWorld, Cluster);
    hands.take(state(Cluster, "X", "1", &[("a", "1")]));
    let late = hands.receive(state(Cluster, "Y", "2", &[]));
    hands.reconnect(Versions::Known);
    hands.settle(late);
    assert_eq!(hands.state().version_info, "");
}

/// The server counts a lifetime from when it sent; how much of it is left here it does not know.
#[test]
fn what_has_a_lifetime_is_not_told_as_held() {
    let mut hands = Hands::named(Variant::Delta, Secret, &["a", "b"]);
    let lasting = discovery::Resource {
        ttl: seconds(60),
        ..wrapped(Secret, "a", "1")
    };
    let mut response = delta(Secret, "1", &[("b", "1")], &[]);
    response.resources.push(lasting);
    hands.take(response);
    hands.reconnect(Versions::Known);
    assert_eq!(sorted(&hands.delta()), [("b", "v1")]);
}
