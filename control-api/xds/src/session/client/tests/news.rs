//! What is new of the node: told with the next request, or with one of its own.

use super::*;

fn told(node: Option<Node>) -> Option<String> {
    match node?.metadata?.fields.remove("receipt")?.kind? {
        Kind::StringValue(text) => Some(text),
        other => panic!("{other:?}"),
    }
}

#[test]
fn news_go_in_a_request_of_their_own_where_there_is_no_other() {
    let mut hands = Hands::wildcard(Variant::Delta, Cluster);
    hands.client.tell("receipt", Some("one".to_owned()));
    let request = hands.delta();
    assert_eq!(request.type_url, Cluster.type_url());
    assert!(request.response_nonce.is_empty() && request.resource_names_subscribe.is_empty());
    assert_eq!(told(request.node).as_deref(), Some("one"));
    assert!(hands.sent().is_empty(), "once is enough");
    hands.client.tell("receipt", Some("one".to_owned()));
    assert!(hands.sent().is_empty(), "it is nothing new");
    hands.client.tell("receipt", None);
    let request = hands.delta();
    assert!(request.node.is_some());
    assert_eq!(told(request.node), None);
}

#[test]
fn the_first_request_of_a_stream_tells_all() {
    let mut hands = Hands::wildcard(Variant::Delta, Cluster);
    hands.client.tell("receipt", Some("one".to_owned()));
    hands.reconnect(Versions::Known);
    assert_eq!(told(hands.delta().node).as_deref(), Some("one"));
    assert!(hands.sent().is_empty());
}

#[test]
fn in_the_state_of_the_world_the_answer_that_was_given_is_given_again() {
    let mut hands = Hands::wildcard(Variant::StateOfTheWorld, Cluster);
    hands.client.tell("receipt", Some("one".to_owned()));
    assert!(hands.sent().is_empty(), "nothing came that could be answered");
    let received = hands.receive(state(Cluster, "1", "a", &[("x", "1")]));
    hands.settle(received);
    let request = hands.state();
    assert_eq!(told(request.node).as_deref(), Some("one"), "with the answer");
    hands.client.tell("receipt", Some("two".to_owned()));
    let request = hands.state();
    assert_eq!(
        (request.response_nonce.as_str(), request.version_info.as_str()),
        ("a", "1")
    );
    assert!(request.error_detail.is_none());
    assert_eq!(told(request.node).as_deref(), Some("two"));
}

#[test]
fn a_refusal_is_not_taken_back_by_news() {
    let mut hands = Hands::wildcard(Variant::StateOfTheWorld, Cluster);
    let received = hands.receive(state(Cluster, "1", "a", &[("x", "1")]));
    hands.settle_refusing(received, &["x"]);
    assert!(hands.state().error_detail.is_some());
    hands.client.tell("receipt", Some("one".to_owned()));
    assert!(hands.sent().is_empty());
}
