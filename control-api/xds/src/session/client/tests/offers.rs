//! "Duplicate Resource Names", "Deleting Resources", "Knowing When a Requested Resource Does Not Exist", and responses
//! that cannot be read.

use envoy_types::pb::google::protobuf::Any;
use prost::Message;

use super::*;
use crate::resource::RESOURCE_BYTES_MAX;

/// "Clients should NACK responses that contain multiple instances of the same resource name."
#[test]
fn a_name_that_stands_twice_refuses_the_response() {
    let twice = [("a", "1"), ("b", "1"), ("a", "2")];
    let mut hands = Hands::wildcard(Variant::StateOfTheWorld, Cluster);
    hands.take(state(Cluster, "X", "A", &[("a", "0")]));
    let error = hands.receive_error(state(Cluster, "Y", "B", &twice));
    assert_eq!(error, ReceiveError::Duplicate(Cluster, "a".into()));
    let request = hands.state();
    assert_eq!(
        (request.version_info.as_str(), request.response_nonce.as_str()),
        ("X", "B")
    );
    assert!(
        request
            .error_detail
            .expect("a refusal")
            .message
            .contains("`a` more than once")
    );
    assert_eq!(names(&hands), ["a"]);
    assert_eq!(hands.version(Cluster, "a").as_deref(), Some("X"));

    let mut hands = Hands::wildcard(Variant::Delta, Cluster);
    assert_eq!(
        hands.receive_error(delta(Cluster, "B", &twice, &[])),
        ReceiveError::Duplicate(Cluster, "a".into())
    );
    assert_eq!(hands.delta().response_nonce, "B");
    // Put and removed at once is no clearer.
    let error = hands.receive_error(delta(Cluster, "C", &[("c", "1")], &["c"]));
    assert_eq!(error, ReceiveError::Duplicate(Cluster, "c".into()));
    assert_eq!(hands.client.accepted(Cluster).count(), 0);
}

fn names(hands: &Hands) -> Vec<String> {
    super::super::super::tests::names(hands.client.accepted(Cluster))
}

/// "If a previously seen resource is not present in a new response, that indicates that the resource has been removed";
/// "a response containing no resources means to delete all resources of that type".
#[test]
fn absence_removes_listeners_and_clusters() {
    let mut hands = Hands::wildcard(Variant::StateOfTheWorld, Cluster);
    hands.take(state(Cluster, "1", "1", &[("a", "1"), ("b", "1")]));
    let received = hands.receive(state(Cluster, "2", "2", &[("b", "1")]));
    assert_eq!(received.removed, ["a".into()]);
    assert_eq!(names(&hands), ["a", "b"], "held until the owner has decided");
    hands.settle(received);
    assert_eq!(names(&hands), ["b"]);
    let received = hands.receive(state(Cluster, "3", "3", &[]));
    assert_eq!(received.removed, ["b".into()]);
    hands.settle(received);
    assert!(names(&hands).is_empty());
}

/// "For other resource types, the API provides no mechanism for the server to tell the client that resources have been
/// deleted"; "an empty DiscoveryResponse is effectively a no-op".
#[test]
fn absence_removes_nothing_else() {
    for resource_type in [
        ClusterLoadAssignment,
        ResourceType::RouteConfiguration,
        Secret,
        ResourceType::Runtime,
    ] {
        let mut hands = Hands::named(Variant::StateOfTheWorld, resource_type, &["a", "b"]);
        hands.take(state(resource_type, "1", "1", &[("a", "1"), ("b", "1")]));
        for (nonce, resources) in [("2", &[("a", "2")][..]), ("3", &[])] {
            let received = hands.receive(state(resource_type, nonce, nonce, resources));
            assert!(received.removed.is_empty());
            hands.settle(received);
        }
        assert_eq!(hands.client.accepted(resource_type).count(), 2);
    }
}

/// In delta only `removed_resources` removes.
#[test]
fn delta_removes_by_name() {
    let mut hands = Hands::wildcard(Variant::Delta, Cluster);
    hands.take(delta(Cluster, "1", &[("a", "1"), ("b", "1")], &[]));
    hands.take(delta(Cluster, "2", &[("b", "2")], &[]));
    assert_eq!(names(&hands), ["a", "b"]);
    let received = hands.receive(delta(Cluster, "3", &[], &["a", "unheard-of"]));
    assert_eq!(received.removed, ["a".into()]);
    hands.settle(received);
    assert_eq!(names(&hands), ["b"]);
}

/// One that could not be read is not absent; and if nobody knows which one it is, nothing is.
#[test]
fn a_malformed_resource_is_not_taken_for_absent() {
    let mut hands = Hands::wildcard(Variant::StateOfTheWorld, Cluster);
    hands.take(state(Cluster, "1", "1", &[("a", "1"), ("b", "1")]));
    let mut nameless = state(Cluster, "2", "2", &[("c", "1")]);
    nameless.resources.push(Any {
        type_url: Cluster.type_url().into(),
        value: vec![0xff, 0xff],
    });
    let received = hands.receive(nameless);
    assert!(received.removed.is_empty());
    assert_eq!((received.upserts.len(), received.malformed.len()), (1, 1));
    assert_eq!(received.malformed[0].name, "#1");
    assert_eq!(
        hands.settle(received),
        Settled {
            accepted: 1,
            refused: 1
        }
    );
    assert!(
        hands
            .state()
            .error_detail
            .expect("a refusal")
            .message
            .starts_with("#1: it is not a message")
    );
    assert_eq!(names(&hands), ["a", "b", "c"]);

    let mut named = state(Cluster, "3", "3", &[("b", "1")]);
    let wrapper = discovery::Resource {
        aliases: vec!["x".into()],
        ..wrapped(Cluster, "a", "2")
    };
    named.resources.push(any_of(&wrapper));
    let received = hands.receive(named);
    assert_eq!(received.removed, ["c".into()]);
    hands.settle(received);
    assert_eq!(names(&hands), ["a", "b"]);
    assert!(
        hands
            .state_of(Cluster, "a")
            .refused
            .expect("refused")
            .reason
            .contains("`aliases`")
    );
}

fn any_of(wrapper: &discovery::Resource) -> Any {
    use prost::Name;
    Any {
        type_url: discovery::Resource::type_url(),
        value: wrapper.encode_to_vec(),
    }
}

/// "The client will silently ignore any supplied resources that were not explicitly requested."
#[test]
fn what_was_not_asked_for_is_passed_over() {
    let mut hands = Hands::named(Variant::Delta, Secret, &["a"]);
    let mut response = delta(Secret, "1", &[("a", "1"), ("b", "1")], &["c"]);
    response.resources.push(discovery::Resource {
        aliases: vec!["x".into()],
        ..wrapped(Secret, "d", "1")
    });
    let received = hands.receive(response);
    assert_eq!(
        (received.upserts.len(), received.unasked, received.malformed.len()),
        (1, 2, 0)
    );
    assert!(received.removed.is_empty());
    hands.settle(received);
    assert!(hands.delta().error_detail.is_none());
}

/// Wrappers in the state of the world carry the version of the one resource.
#[test]
fn wrapped_resources_of_the_state_of_the_world_are_read() {
    let mut hands = Hands::wildcard(Variant::StateOfTheWorld, Cluster);
    let mut response = state(Cluster, "X", "A", &[("plain", "1")]);
    response.resources.push(any_of(&wrapped(Cluster, "wrapped", "7")));
    hands.take(response);
    assert_eq!(hands.version(Cluster, "plain").as_deref(), Some("X"));
    assert_eq!(hands.version(Cluster, "wrapped").as_deref(), Some("v7"));
}

#[test]
fn each_way_to_be_malformed_is_named() {
    let long = "x".repeat(crate::resource::RESOURCE_NAME_BYTES_MAX + 1);
    let negative = Some(protobuf::Duration {
        seconds: -1,
        nanos: 0,
    });
    let constrained = discovery::ResourceName {
        name: "a".into(),
        dynamic_parameter_constraints: Some(discovery::DynamicParameterConstraints::default()),
    };
    let good = || wrapped(Cluster, "a", "1");
    let body = |value: Vec<u8>| {
        Some(Any {
            type_url: Cluster.type_url().into(),
            value,
        })
    };
    let cases: Vec<(discovery::Resource, &str, &str)> = vec![
        (
            discovery::Resource {
                aliases: vec!["b".into()],
                ..good()
            },
            "a",
            "`aliases` is not implemented",
        ),
        (
            discovery::Resource {
                resource_name: Some(constrained),
                ..good()
            },
            "a",
            "`resource_name.dynamic_parameter_constraints`",
        ),
        (
            discovery::Resource {
                ttl: negative,
                ..good()
            },
            "a",
            "`ttl` must be longer than nothing",
        ),
        (
            discovery::Resource {
                ttl: seconds(0),
                ..good()
            },
            "a",
            "`ttl` must be longer than nothing",
        ),
        (
            discovery::Resource {
                name: "b".into(),
                ..good()
            },
            "b",
            "it calls itself \"a\"",
        ),
        (
            discovery::Resource {
                resource: None,
                ..good()
            },
            "a",
            "it has no body",
        ),
        (
            discovery::Resource {
                name: String::new(),
                resource: None,
                ..good()
            },
            "#0",
            "a name has 1 to",
        ),
        (wrapped(Cluster, &long, "1"), "#0", "this one has 2049"),
        (
            discovery::Resource {
                resource: body(vec![0x0a, 0xff]),
                ..good()
            },
            "a",
            "it is not a message",
        ),
        (
            discovery::Resource {
                resource: body(vec![0; RESOURCE_BYTES_MAX + 1]),
                ..good()
            },
            "a",
            "more than 16777216",
        ),
        (
            discovery::Resource {
                resource: Some(resource(Listener, "a", "1").to_any()),
                ..good()
            },
            "a",
            "expected \"type.googleapis.com/envoy.config.cluster.v3.Cluster\"",
        ),
    ];
    for (bad, name, reason) in cases {
        let mut hands = Hands::wildcard(Variant::Delta, Cluster);
        let response = discovery::DeltaDiscoveryResponse {
            resources: vec![bad],
            ..delta(Cluster, "1", &[], &[])
        };
        let received = hands.receive(response);
        assert!(received.upserts.is_empty(), "{reason}");
        assert_eq!(received.malformed.len(), 1, "{reason}");
        let refusal = received.malformed[0].clone();
        assert_eq!(refusal.name, name, "{reason}");
        assert!(refusal.reason.contains(reason), "{} for {reason}", refusal.reason);
        hands.settle(received);
        assert!(
            hands
                .delta()
                .error_detail
                .expect("a refusal")
                .message
                .contains(reason)
        );
    }
}

#[test]
fn responses_without_an_answer_are_errors() {
    let mut hands = Hands::wildcard(Variant::Delta, Cluster);
    let unknown = discovery::DeltaDiscoveryResponse {
        type_url: "type.googleapis.com/x".into(),
        ..delta(Cluster, "1", &[], &[])
    };
    assert_eq!(
        hands.receive_error(unknown),
        ReceiveError::UnknownType("type.googleapis.com/x".into())
    );
    assert_eq!(
        hands.receive_error(delta(Listener, "1", &[("a", "1")], &[])),
        ReceiveError::Unasked(Listener)
    );
    assert_eq!(
        hands.receive_error(delta(Cluster, "", &[("a", "1")], &[])),
        ReceiveError::NoNonce(Cluster)
    );
    assert_eq!(
        hands.receive_error(state(Cluster, "1", "1", &[])),
        ReceiveError::OtherVariant
    );
    hands.client.disconnected();
    assert_eq!(
        hands.receive_error(delta(Cluster, "1", &[], &[])),
        ReceiveError::Disconnected
    );
    hands.connect();
    assert_eq!(
        hands.receive_error(delta(Cluster, "1", &[], &[])),
        ReceiveError::Unasked(Cluster),
        "not on this stream"
    );
}

#[test]
fn a_response_of_too_many_is_refused_as_a_whole() {
    let mut hands = Hands::wildcard(Variant::Delta, Cluster);
    let removed = (0..=RESOURCES_MAX).map(|number| number.to_string()).collect();
    let response = discovery::DeltaDiscoveryResponse {
        removed_resources: removed,
        ..delta(Cluster, "1", &[("a", "1")], &[])
    };
    assert_eq!(
        hands.receive_error(response),
        ReceiveError::TooMany(Cluster, RESOURCES_MAX + 2)
    );
    assert!(hands.delta().error_detail.is_some());
}

/// "The server will send a DeltaDiscoveryResponse message that contains that resource's name in removed_resources."
#[test]
fn delta_says_what_does_not_exist() {
    let mut hands = Hands::named(Variant::Delta, ClusterLoadAssignment, &["a"]);
    assert_eq!(
        hands.state_of(ClusterLoadAssignment, "a").presence,
        Presence::Requested
    );
    let received = hands.receive(delta(ClusterLoadAssignment, "1", &[], &["a"]));
    assert_eq!(received.removed, ["a".into()]);
    hands.settle(received);
    assert_eq!(
        hands.state_of(ClusterLoadAssignment, "a").presence,
        Presence::Absent
    );
    // "Clients must be prepared for the resource to be created at any time."
    hands.take(delta(ClusterLoadAssignment, "2", &[("a", "1")], &[]));
    assert_eq!(
        hands.state_of(ClusterLoadAssignment, "a").presence,
        Presence::Held
    );
}

/// "Clients are expected to use a timeout (recommended duration is 15 seconds)."
#[test]
fn time_says_what_does_not_exist_in_the_state_of_the_world() {
    let mut hands = Hands::named(Variant::StateOfTheWorld, ClusterLoadAssignment, &["a"]);
    hands.pass(14);
    assert_eq!(
        hands.state_of(ClusterLoadAssignment, "a").presence,
        Presence::Requested
    );
    hands.pass(1);
    assert_eq!(
        hands.state_of(ClusterLoadAssignment, "a").presence,
        Presence::Absent
    );
    // A new stream is asked anew.
    hands.reconnect(Versions::Known);
    assert_eq!(
        hands.state_of(ClusterLoadAssignment, "a").presence,
        Presence::Requested
    );
}
