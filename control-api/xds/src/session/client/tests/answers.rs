//! "ACK/NACK and resource type instance version", and partial application.

use envoy_types::pb::google::rpc::Status;
use prost::{Message, Name};

use super::*;

fn blamed(status: &Status) -> Vec<(String, String)> {
    let errors = status.details.iter().map(|detail| {
        assert_eq!(detail.type_url, discovery::ResourceError::type_url());
        let error = discovery::ResourceError::decode(&*detail.value).expect("a resource error");
        (
            error.resource_name.expect("a name").name,
            error.error_detail.expect("a reason").message,
        )
    });
    errors.collect()
}

/// "ACK signifies successful configuration update and contains the version_info from the DiscoveryResponse."
#[test]
fn everything_taken_is_acknowledged() {
    let mut hands = Hands::wildcard(Variant::StateOfTheWorld, Cluster);
    let received = hands.receive(state(Cluster, "X", "A", &[("a", "1"), ("b", "1")]));
    assert_eq!(hands.sent(), [], "nothing is answered before it is decided");
    assert_eq!(
        hands.settle(received),
        Settled {
            accepted: 2,
            refused: 0
        }
    );
    let request = hands.state();
    assert_eq!(
        (request.version_info.as_str(), request.response_nonce.as_str()),
        ("X", "A")
    );
    assert!(request.error_detail.is_none() && request.node.is_none());

    let mut hands = Hands::wildcard(Variant::Delta, Cluster);
    let received = hands.receive(delta(Cluster, "A", &[("a", "1")], &[]));
    hands.settle(received);
    let request = hands.delta();
    assert_eq!(request.response_nonce, "A");
    assert!(request.error_detail.is_none());
}

/// "NACK ... is indicated by the presence of the error_detail field. The version_info indicates the most recent version
/// that the client is using."
#[test]
fn anything_refused_refuses_the_response_and_names_it() {
    let mut hands = Hands::wildcard(Variant::StateOfTheWorld, Cluster);
    hands.take(state(Cluster, "X", "A", &[("a", "1"), ("b", "1")]));
    let received = hands.receive(state(Cluster, "Y", "B", &[("a", "2"), ("b", "2")]));
    let settled = hands.settle_refusing(received, &["b"]);
    assert_eq!(
        settled,
        Settled {
            accepted: 1,
            refused: 1
        }
    );
    let request = hands.state();
    assert_eq!(
        (request.version_info.as_str(), request.response_nonce.as_str()),
        ("X", "B")
    );
    let detail = request.error_detail.expect("a refusal");
    assert_eq!(detail.message, "b: wrong");
    assert_eq!(blamed(&detail), [("b".to_owned(), "wrong".to_owned())]);
    // The good one counts, the bad one keeps its last good version.
    assert_eq!(hands.version(Cluster, "a").as_deref(), Some("Y"));
    let bad = hands.state_of(Cluster, "b");
    assert_eq!(bad.version.as_deref(), Some("X"));
    assert_eq!(
        bad.refused.map(|refused| refused.version.to_string()).as_deref(),
        Some("Y")
    );
    assert_eq!(bad.presence, Presence::Held);
}

#[test]
fn a_refusal_lasts_until_a_version_is_taken() {
    let mut hands = Hands::wildcard(Variant::Delta, Cluster);
    hands.take(delta(Cluster, "1", &[("a", "1")], &[]));
    let start = hands.now;
    for (nonce, content) in [("2", "2"), ("3", "3")] {
        hands.pass(10);
        let received = hands.receive(delta(Cluster, nonce, &[("a", content)], &[]));
        hands.settle_refusing(received, &["a"]);
    }
    let refused = hands.state_of(Cluster, "a").refused.expect("refused");
    assert_eq!(
        (refused.since, refused.at),
        (start + Duration::from_secs(10), start + Duration::from_secs(20))
    );
    assert_eq!(&*refused.version, "v3");
    let state = hands.client.type_state(Cluster, hands.now);
    assert_eq!((state.refused, state.refused_since), (1, Some(refused.since)));
    // Taken back by the server: the last good one, which is held already.
    let received = hands.receive(delta(Cluster, "4", &[("a", "1")], &[]));
    assert_eq!((received.upserts.len(), received.unchanged), (0, 1));
    hands.settle(received);
    assert_eq!(hands.state_of(Cluster, "a").refused, None);
}

/// What it lacked may be there now, so a refused version that comes again is decided again.
#[test]
fn a_refused_version_is_offered_again() {
    let mut hands = Hands::wildcard(Variant::StateOfTheWorld, Cluster);
    for (version, nonce) in [("X", "A"), ("Y", "B")] {
        let received = hands.receive(state(Cluster, version, nonce, &[("a", "1")]));
        assert_eq!(received.upserts.len(), 1);
        hands.settle_refusing(received, &["a"]);
    }
}

/// The state of the world comes whole each time; only what changed is the owner's business.
#[test]
fn what_is_held_already_is_not_offered_again() {
    let mut hands = Hands::wildcard(Variant::StateOfTheWorld, Cluster);
    hands.take(state(Cluster, "X", "A", &[("a", "1"), ("b", "1")]));
    let received = hands.receive(state(Cluster, "Y", "B", &[("a", "1"), ("b", "2")]));
    assert_eq!((received.unchanged, received.upserts.len()), (1, 1));
    assert_eq!(hands.version(Cluster, "a").as_deref(), Some("Y"));
    hands.settle(received);
    assert_eq!(hands.version(Cluster, "b").as_deref(), Some("Y"));
}

#[test]
fn responses_of_one_type_are_settled_in_their_order() {
    let mut hands = Hands::wildcard(Variant::Delta, Cluster);
    let first = hands.receive(delta(Cluster, "1", &[("a", "1")], &[]));
    let second = hands.receive(delta(Cluster, "2", &[("a", "2")], &[]));
    let error = hands
        .client
        .settle(second.token, Vec::new(), hands.now)
        .expect_err("the second");
    assert_eq!(error, SettleError::OutOfOrder(Cluster));
    hands.settle(first);
    assert_eq!(hands.version(Cluster, "a").as_deref(), Some("v1"));
}

#[test]
fn types_are_settled_independently() {
    let mut hands = Hands::wildcard(Variant::Delta, Cluster);
    hands.client.subscribe_all(Listener);
    hands.sent();
    let _clusters = hands.receive(delta(Cluster, "1", &[("a", "1")], &[]));
    let listeners = hands.receive(delta(Listener, "2", &[("a", "1")], &[]));
    hands.settle(listeners);
    let request = hands.delta();
    assert_eq!(
        (request.type_url.as_str(), request.response_nonce.as_str()),
        (Listener.type_url(), "2")
    );
}

#[test]
fn unsettled_responses_are_bounded() {
    let mut hands = Hands::wildcard(Variant::Delta, Cluster);
    let all: Vec<Received> = (0..UNSETTLED_MAX)
        .map(|nonce| hands.receive(delta(Cluster, &nonce.to_string(), &[], &[])))
        .collect();
    let error = hands.receive_error(delta(Cluster, "more", &[], &[]));
    assert_eq!(error, ReceiveError::Overrun(Cluster));
    for received in all {
        hands.settle(received);
    }
    assert_eq!(hands.sent().len(), UNSETTLED_MAX);
    assert!(hands.receive(delta(Cluster, "more", &[], &[])).upserts.is_empty());
}

#[test]
fn a_later_version_that_is_refused_leaves_the_earlier_one() {
    let mut hands = Hands::wildcard(Variant::Delta, Cluster);
    let first = hands.receive(delta(Cluster, "1", &[("a", "1")], &[]));
    let second = hands.receive(delta(Cluster, "2", &[("a", "2")], &[]));
    hands.settle(first);
    hands.settle_refusing(second, &["a"]);
    assert_eq!(hands.version(Cluster, "a").as_deref(), Some("v1"));
}

/// A removal and what is offered after it, both undecided.
#[test]
fn what_is_offered_after_its_removal_stays() {
    let mut hands = Hands::wildcard(Variant::Delta, Cluster);
    hands.take(delta(Cluster, "1", &[("a", "1")], &[]));
    let removal = hands.receive(delta(Cluster, "2", &[], &["a"]));
    let again = hands.receive(delta(Cluster, "3", &[("a", "1")], &[]));
    assert_eq!((removal.removed.len(), again.upserts.len()), (1, 1));
    hands.settle(removal);
    assert_eq!(hands.version(Cluster, "a"), None);
    hands.settle(again);
    assert_eq!(hands.version(Cluster, "a").as_deref(), Some("v1"));
}

#[test]
fn what_is_unsubscribed_meanwhile_is_not_taken() {
    let mut hands = Hands::named(Variant::Delta, Secret, &["a"]);
    let received = hands.receive(delta(Secret, "1", &[("a", "1")], &[]));
    hands.unsubscribe(Secret, &["a"]);
    assert_eq!(hands.settle(received), Settled::default());
    assert_eq!(hands.client.accepted(Secret).count(), 0);
    assert_eq!(hands.delta().response_nonce, "1");
}

#[test]
fn an_error_detail_is_bounded_and_counts_what_it_leaves_out() {
    let mut hands = Hands::wildcard(Variant::Delta, Cluster);
    let names: Vec<String> = (0..200).map(|number| format!("cluster-{number}")).collect();
    let resources: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "1")).collect();
    let received = hands.receive(delta(Cluster, "1", &resources, &[]));
    // A character of several bytes lies across the cut.
    let reason = format!(
        "{}ö{}",
        "x".repeat(REASON_BYTES_MAX - 1),
        "y".repeat(REASON_BYTES_MAX)
    );
    let refused = names.iter().map(|name| refusal(name, &reason)).collect();
    hands
        .client
        .settle(received.token, refused, hands.now)
        .expect("the earliest");
    let detail = hands.delta().error_detail.expect("a refusal");
    let told = blamed(&detail).len();
    assert!(
        told > 0 && detail.message.len() <= ERROR_DETAIL_BYTES_MAX + 64,
        "{}",
        detail.message.len()
    );
    assert!(detail.message.ends_with(&format!("and {} more", 200 - told)));
    assert!(
        blamed(&detail)
            .iter()
            .all(|(_, reason)| reason.len() < REASON_BYTES_MAX)
    );
}

/// An owner may refuse for the sake of something that is held: a route whose cluster goes.
#[test]
fn the_owner_may_blame_what_did_not_come() {
    let mut hands = Hands::wildcard(Variant::Delta, Cluster);
    hands.take(delta(Cluster, "1", &[("a", "1")], &[]));
    let received = hands.receive(delta(Cluster, "2", &[("b", "1")], &[]));
    hands.settle_refusing(received, &["a"]);
    assert!(hands.delta().error_detail.is_some());
    assert_eq!(hands.version(Cluster, "b").as_deref(), Some("v1"));
    assert!(hands.state_of(Cluster, "a").refused.is_some());
}
