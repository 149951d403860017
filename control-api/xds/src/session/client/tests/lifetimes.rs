//! "TTL" and "SotW TTL".

use envoy_types::pb::google::protobuf::Any;
use prost::{Message, Name};

use super::*;

fn lasting(name: &str, content: &str, ttl: i64) -> discovery::Resource {
    discovery::Resource {
        ttl: seconds(ttl),
        ..wrapped(Secret, name, content)
    }
}

/// A resource that only prolongs its lifetime.
fn heartbeat(name: &str, content: &str, ttl: i64) -> discovery::Resource {
    discovery::Resource {
        resource: None,
        ..lasting(name, content, ttl)
    }
}

fn of(nonce: &str, resources: Vec<discovery::Resource>) -> discovery::DeltaDiscoveryResponse {
    discovery::DeltaDiscoveryResponse {
        resources,
        ..delta(Secret, nonce, &[], &[])
    }
}

fn held() -> Hands {
    let mut hands = Hands::named(Variant::Delta, Secret, &["a"]);
    hands.take(of("1", vec![lasting("a", "1", 10)]));
    hands
}

/// "Each resource will have its own TTL expiry time, at which point the resource will be expired."
#[test]
fn a_lifetime_ends() {
    let mut hands = held();
    assert_eq!(
        hands.client.next_expiry(),
        Some(hands.now + Duration::from_secs(10))
    );
    hands.pass(9);
    assert!(hands.client.expire(hands.now).is_empty());
    hands.pass(1);
    assert_eq!(hands.client.expire(hands.now), [(Secret, "a".into())]);
    assert_eq!(hands.client.accepted(Secret).count(), 0);
    assert_eq!(hands.client.next_expiry(), None);
    assert!(hands.client.expire(hands.now).is_empty());
    // It may come again, in the same version too.
    assert_eq!(
        hands.receive(of("2", vec![lasting("a", "1", 10)])).upserts.len(),
        1
    );
}

/// "Resource unset and version matching the most recently sent version can be used to update the TTL. These resources
/// will not be treated as resource updates."
#[test]
fn a_heartbeat_prolongs_and_changes_nothing() {
    let mut hands = held();
    hands.pass(9);
    let received = hands.receive(of("2", vec![heartbeat("a", "1", 20)]));
    assert_eq!((received.upserts.len(), received.unchanged), (0, 1));
    assert_eq!(
        hands.client.next_expiry(),
        Some(hands.now + Duration::from_secs(20))
    );
    hands.settle(received);
    assert!(hands.delta().error_detail.is_none());
}

#[test]
fn a_heartbeat_of_another_version_is_refused() {
    let mut hands = held();
    let received = hands.receive(of("2", vec![heartbeat("a", "other", 20)]));
    assert_eq!(received.malformed.len(), 1);
    hands.settle(received);
    assert!(hands.delta().error_detail.is_some());
    assert_eq!(
        hands.client.next_expiry(),
        Some(hands.now + Duration::from_secs(10))
    );
}

/// The server does not know yet that the lifetime is over: the refusal tells it.
#[test]
fn a_heartbeat_of_what_has_expired_is_refused() {
    let mut hands = held();
    hands.pass(10);
    assert_eq!(hands.client.expire(hands.now).len(), 1);
    let received = hands.receive(of("2", vec![heartbeat("a", "1", 10)]));
    assert_eq!(received.malformed.len(), 1);
}

/// "To remove the TTL, the management server resends the resource with the TTL field unset."
#[test]
fn sending_it_without_a_lifetime_ends_the_lifetime() {
    let mut hands = held();
    let received = hands.receive(delta(Secret, "2", &[("a", "1")], &[]));
    assert_eq!(received.unchanged, 1);
    assert_eq!(hands.client.next_expiry(), None);
}

/// The lifetime of an undecided resource begins when it came.
#[test]
fn a_lifetime_begins_with_the_response() {
    let mut hands = Hands::named(Variant::Delta, Secret, &["a"]);
    let start = hands.now;
    let received = hands.receive(of("1", vec![lasting("a", "1", 10)]));
    let beat = hands.receive(of("2", vec![heartbeat("a", "1", 30)]));
    assert_eq!(beat.malformed, []);
    hands.pass(5);
    assert_eq!(hands.client.next_expiry(), None);
    hands.settle(received);
    hands.settle(beat);
    assert_eq!(hands.client.next_expiry(), Some(start + Duration::from_secs(30)));
}

#[test]
fn a_heartbeat_of_what_was_refused_is_no_further_fault() {
    let mut hands = held();
    let received = hands.receive(of("2", vec![lasting("a", "2", 10)]));
    hands.settle_refusing(received, &["a"]);
    hands.sent();
    let received = hands.receive(of("3", vec![heartbeat("a", "2", 10)]));
    assert_eq!(received.malformed, []);
}

#[test]
fn what_expires_is_not_held_by_a_stale_entry() {
    let mut hands = held();
    hands.unsubscribe(Secret, &["a"]);
    assert_eq!(hands.client.next_expiry(), None);
    hands.subscribe(Secret, &["a"]);
    hands.pass(10);
    assert!(hands.client.expire(hands.now).is_empty());
}

/// "Any resource within the response that look like a heartbeat resource will only be used to update the TTL": a
/// response of nothing else says nothing about what is absent.
#[test]
fn heartbeats_of_the_state_of_the_world_are_no_state_of_the_world() {
    let wrap = |resource: discovery::Resource| Any {
        type_url: discovery::Resource::type_url(),
        value: resource.encode_to_vec(),
    };
    let lasting = |body: bool| {
        let resource = discovery::Resource {
            ttl: seconds(10),
            ..wrapped(Cluster, "a", "1")
        };
        wrap(if body {
            resource
        } else {
            discovery::Resource {
                resource: None,
                ..resource
            }
        })
    };
    let mut hands = Hands::wildcard(Variant::StateOfTheWorld, Cluster);
    let mut response = state(Cluster, "X", "1", &[("b", "1")]);
    response.resources.push(lasting(true));
    hands.take(response);
    hands.pass(5);
    let response = discovery::DiscoveryResponse {
        resources: vec![lasting(false)],
        ..state(Cluster, "X", "2", &[])
    };
    let received = hands.receive(response);
    assert_eq!((received.removed.len(), received.unchanged), (0, 1));
    assert_eq!(
        hands.client.next_expiry(),
        Some(hands.now + Duration::from_secs(10))
    );
    hands.settle(received);
    // Beside others it stands for its resource.
    let mut response = state(Cluster, "Y", "3", &[("c", "1")]);
    response.resources.push(lasting(false));
    assert_eq!(hands.receive(response).removed, ["b".into()]);
}
