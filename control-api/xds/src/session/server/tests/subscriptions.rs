//! "How the client specifies what resources to return", "Grouping Resources into Responses", "Unsubscribing From
//! Resources", "Knowing When a Requested Resource Does Not Exist".

use super::*;

const BOTH: [Variant; 2] = [Variant::StateOfTheWorld, Variant::Delta];

fn clusters() -> Vec<Resource> {
    vec![resource(Cluster, "a", "1"), resource(Cluster, "b", "1")]
}

#[test]
fn nothing_is_sent_before_it_is_asked_for() {
    for variant in BOTH {
        let mut hands = Hands::new(variant, clusters());
        assert_eq!(hands.told(), None);
        hands.put([resource(Cluster, "a", "2")]);
        assert_eq!(hands.told(), None);
        assert_eq!(hands.server.progress(), Progress::Underway);
    }
}

#[test]
fn an_empty_first_list_asks_for_everything() {
    for variant in BOTH {
        let mut hands = Hands::new(variant, clusters());
        assert_eq!(hands.ask(Cluster, &[]).asked, 1);
        let told = hands.next();
        assert_eq!(told.resources, pairs(&[("a", "1"), ("b", "1")]));
        assert_eq!(hands.told(), None);
        hands.take(&told, &[]);
        assert_eq!(hands.told(), None);
        assert!(hands.server.progress().is_settled());
    }
}

/// Also when there is nothing: a client that starts waits for it.
#[test]
fn everything_is_answered_even_if_it_is_nothing() {
    for variant in BOTH {
        for names in [&[][..], &["*"]] {
            let mut hands = Hands::new(variant, []);
            hands.ask(Listener, names);
            let told = hands.next();
            assert!(told.resources.is_empty() && told.removed.is_empty());
            hands.take(&told, names);
            assert!(hands.server.progress().is_settled());
        }
    }
}

/// "For Listener and Cluster resource types": an empty list of others asks for nothing.
#[test]
fn an_empty_first_list_of_other_types_asks_for_nothing() {
    for variant in BOTH {
        let mut hands = Hands::new(variant, [resource(Secret, "a", "1")]);
        assert_eq!(hands.ask(Secret, &[]).asked, 0);
        assert_eq!(hands.told(), None);
    }
}

#[test]
fn names_ask_for_themselves() {
    for variant in BOTH {
        for resource_type in ResourceType::ALL {
            let all = ["a", "b"].map(|name| resource(resource_type, name, "1"));
            let mut hands = Hands::new(variant, all);
            hands.ask(resource_type, &["b"]);
            let told = hands.next();
            assert_eq!(told.resources, pairs(&[("b", "1")]));
            hands.take(&told, &["b"]);
            hands.put([resource(resource_type, "a", "2")]);
            assert_eq!(hands.told(), None, "{resource_type} a was not asked for");
        }
    }
}

/// The example of the section, in the state of the world.
#[test]
fn the_example_of_the_state_of_the_world() {
    let mut hands = Hands::new(Variant::StateOfTheWorld, clusters());
    hands.ask(Cluster, &[]);
    let told = hands.next();
    // `*` and A: continuing the subscription to everything, adding one to A.
    let heard = hands.take(&told, &["*", "a"]);
    assert_eq!((heard.asked, heard.dropped), (1, 0));
    let told = hands.next();
    assert_eq!(told.resources.len(), 2);
    // A: unsubscribing from everything.
    let heard = hands.take(&told, &["a"]);
    assert_eq!((heard.asked, heard.dropped), (0, 1));
    hands.put([resource(Cluster, "b", "2")]);
    assert_eq!(hands.told(), None);
    hands.put([resource(Cluster, "a", "2")]);
    let told = hands.next();
    assert_eq!(told.resources, pairs(&[("a", "2")]));
    // Nothing: unsubscribing from A, and not everything again.
    let heard = hands.take(&told, &[]);
    assert_eq!((heard.asked, heard.dropped), (0, 1));
    hands.put([resource(Cluster, "a", "3")]);
    assert_eq!(hands.told(), None);
}

/// The same in delta.
#[test]
fn the_example_of_delta() {
    let mut hands = Hands::new(Variant::Delta, clusters());
    hands.ask(Cluster, &[]);
    hands.settle();
    hands.receive(delta(Cluster, &["a"], &[]));
    assert_eq!(hands.settle()[0].resources, pairs(&[("a", "1")]));
    hands.receive(delta(Cluster, &[], &["*"]));
    hands.put([resource(Cluster, "b", "2")]);
    assert_eq!(hands.told(), None);
    hands.put([resource(Cluster, "a", "2")]);
    assert_eq!(hands.settle()[0].resources, pairs(&[("a", "2")]));
    hands.receive(delta(Cluster, &[], &["a"]));
    hands.put([resource(Cluster, "a", "3")]);
    assert_eq!(hands.told(), None);
}

/// "The server must include the complete state of the world" of listeners and clusters, and of nothing else.
#[test]
fn a_change_is_told_with_the_full_state_or_alone() {
    for variant in BOTH {
        for resource_type in ResourceType::ALL {
            let all = ["a", "b"].map(|name| resource(resource_type, name, "1"));
            let mut hands = Hands::new(variant, all);
            hands.ask(resource_type, &["*"]);
            let told = hands.next();
            hands.take(&told, &["*"]);
            hands.put([resource(resource_type, "a", "2")]);
            let told = hands.next();
            let is_full = variant == Variant::StateOfTheWorld && resource_type.is_full_state();
            let expected = if is_full {
                &[("a", "2"), ("b", "1")][..]
            } else {
                &[("a", "2")]
            };
            assert_eq!(told.resources, pairs(expected), "{variant:?} {resource_type}");
        }
    }
}

/// "When the client sends a new request that changes the set of resources being requested, the server must resend any
/// newly requested resources."
#[test]
fn names_added_on_demand_are_sent() {
    let all = ["a", "b"].map(|name| resource(ClusterLoadAssignment, name, "1"));
    let mut hands = Hands::new(Variant::StateOfTheWorld, all.clone());
    hands.ask(ClusterLoadAssignment, &["a"]);
    let told = hands.next();
    hands.take(&told, &["a"]);
    let heard = hands.take(&told, &["a", "b"]);
    assert_eq!((heard.asked, heard.acknowledged), (1, 0));
    assert_eq!(hands.next().resources, pairs(&[("b", "1")]));

    let mut hands = Hands::new(Variant::Delta, all);
    hands.ask(ClusterLoadAssignment, &["a"]);
    hands.settle();
    hands.receive(delta(ClusterLoadAssignment, &["b"], &[]));
    assert_eq!(hands.settle()[0].resources, pairs(&[("b", "1")]));
    // "The server must still provide those resources": the client may have forgotten them.
    hands.receive(delta(ClusterLoadAssignment, &["a"], &[]));
    assert_eq!(hands.settle()[0].resources, pairs(&[("a", "1")]));
    hands.receive(delta(ClusterLoadAssignment, &["*"], &[]));
    assert_eq!(hands.settle()[0].resources.len(), 2);
    hands.receive(delta(ClusterLoadAssignment, &["*"], &[]));
    assert_eq!(
        hands.settle()[0].resources.len(),
        2,
        "asked for again, sent again"
    );
}

/// "If one of those resources springs into existence later, the server must send an update."
#[test]
fn what_is_not_there_is_told_and_sent_when_it_comes() {
    let mut hands = Hands::new(Variant::Delta, []);
    hands.ask(ClusterLoadAssignment, &["a"]);
    let told = hands.next();
    assert_eq!(
        (told.resources.len(), told.removed.as_slice()),
        (0, &["a".to_owned()][..])
    );
    hands.take(&told, &[]);
    assert!(hands.server.progress().is_settled());
    hands.put([resource(ClusterLoadAssignment, "a", "1")]);
    assert_eq!(hands.settle()[0].resources, pairs(&[("a", "1")]));
    // Asked for again when it is gone again, it is said again.
    hands.pass(15);
    hands.remove(ClusterLoadAssignment, &["a"]);
    assert_eq!(hands.settle()[0].removed, ["a"]);
    hands.receive(delta(ClusterLoadAssignment, &["a"], &[]));
    assert_eq!(hands.settle()[0].removed, ["a"]);

    let mut hands = Hands::new(Variant::StateOfTheWorld, []);
    hands.ask(ClusterLoadAssignment, &["a"]);
    assert_eq!(hands.told(), None, "the state of the world cannot say it");
    hands.put([resource(ClusterLoadAssignment, "a", "1")]);
    assert_eq!(hands.next().resources, pairs(&[("a", "1")]));
}

/// "For those resource types, deletions are indicated implicitly by parent resources": nothing is sent, and if it comes
/// again it is sent again.
#[test]
fn removals_are_told_where_they_can_be() {
    for variant in BOTH {
        for resource_type in ResourceType::ALL {
            let all = ["a", "b"].map(|name| resource(resource_type, name, "1"));
            let mut hands = Hands::new(variant, all);
            hands.ask(resource_type, &["*"]);
            let told = hands.next();
            hands.take(&told, &["*"]);
            hands.pass(15);
            hands.remove(resource_type, &["a"]);
            let told = hands.told();
            match (variant, resource_type.is_full_state(), told) {
                (Variant::Delta, _, Some(told)) => {
                    assert_eq!(
                        (told.resources.len(), told.removed.as_slice()),
                        (0, &["a".to_owned()][..])
                    );
                    hands.take(&told, &[]);
                }
                (Variant::StateOfTheWorld, true, Some(told)) => {
                    assert_eq!(told.resources, pairs(&[("b", "1")]));
                    hands.take(&told, &["*"]);
                }
                (Variant::StateOfTheWorld, false, None) => {}
                (_, _, told) => panic!("{variant:?} {resource_type} {told:?}"),
            }
            assert!(
                hands.server.progress().is_settled(),
                "{variant:?} {resource_type}"
            );
            hands.put([resource(resource_type, "a", "1")]);
            let told = hands.next();
            assert!(
                told.resources.contains(&("a".to_owned(), "1".to_owned())),
                "{variant:?} {resource_type}"
            );
        }
    }
}

/// "The server must send a response that includes the specific resource in either" list.
#[test]
fn unsubscribing_beside_a_wildcard_is_answered() {
    let mut hands = Hands::new(Variant::Delta, clusters());
    hands.ask(Cluster, &["*", "a", "never"]);
    hands.settle();
    hands.receive(delta(Cluster, &[], &["a", "never", "phantom"]));
    let told = hands.next();
    assert_eq!(told.resources, pairs(&[("a", "1")]));
    assert_eq!(told.removed, ["never"]);
}

/// "A server does not need to send any response if a request does nothing except unsubscribe"; "phantom
/// unsubscriptions" are ignored.
#[test]
fn unsubscribing_is_not_answered() {
    let mut hands = Hands::new(Variant::Delta, clusters());
    hands.ask(Cluster, &["a", "b"]);
    hands.settle();
    let heard = hands.receive(delta(Cluster, &[], &["a", "phantom"]));
    assert_eq!((heard.asked, heard.dropped), (0, 1));
    assert_eq!(hands.told(), None);
    assert!(hands.server.status(Cluster, "a", hands.now).is_none());
}

/// A view that comes back to what the client has before anything was sent.
#[test]
fn a_change_taken_back_is_not_sent() {
    for variant in BOTH {
        let mut hands = Hands::new(variant, clusters());
        hands.ask(Cluster, &["*"]);
        let told = hands.next();
        hands.put([resource(Cluster, "a", "2")]);
        hands.remove(Cluster, &["b"]);
        hands.put(clusters());
        hands.take(&told, &["*"]);
        assert_eq!(hands.told(), None);
        assert!(hands.server.progress().is_settled());
    }
}

#[test]
fn types_that_are_not_spoken_are_passed_over() {
    let mut hands = Hands::new(Variant::Delta, []);
    let request = discovery::DeltaDiscoveryRequest {
        type_url: "type.googleapis.com/x".into(),
        ..Default::default()
    };
    assert_eq!(hands.receive(Request::Delta(request)), Heard::default());
    assert_eq!(hands.told(), None);
}

#[test]
fn a_stream_of_one_type_needs_no_type_url() {
    let view = Arc::new(View::new(1, clusters()));
    let now = Instant::now();
    let mut server = Server::new(Variant::Delta, Scope::Only(Cluster), Arc::clone(&view));
    let heard = server
        .receive(Request::Delta(discovery::DeltaDiscoveryRequest::default()), now)
        .expect("its type");
    assert_eq!(heard.resource_type, Some(Cluster));
    assert_eq!(read(server.poll(now).expect("all")).resources.len(), 2);
    assert_eq!(
        server
            .receive(delta(Listener, &[], &[]), now)
            .expect("passed over"),
        Heard::default()
    );
}

#[test]
fn what_no_client_may_do_ends_the_stream() {
    let long = "x".repeat(RESOURCE_NAME_BYTES_MAX + 1);
    let many: Vec<String> = (0..=RESOURCES_MAX).map(|number| number.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let held: Vec<(&str, &str)> = many.iter().map(|name| (*name, "1")).collect();
    let locator = || vec![discovery::ResourceLocator::default()];
    let with = |change: fn(&mut discovery::DeltaDiscoveryRequest, Vec<discovery::ResourceLocator>)| {
        let Request::Delta(mut request) = delta(Cluster, &[], &[]) else {
            unreachable!()
        };
        change(&mut request, locator());
        Request::Delta(request)
    };
    let cases = [
        (
            delta(Cluster, &["a", &long], &[]),
            Violation::Name(Cluster, RESOURCE_NAME_BYTES_MAX + 1),
        ),
        (delta(Cluster, &[""], &[]), Violation::Name(Cluster, 0)),
        (
            delta(Cluster, &many, &[]),
            Violation::TooMany(Cluster, RESOURCES_MAX + 1),
        ),
        (
            returning(Cluster, &[], &held),
            Violation::TooMany(Cluster, RESOURCES_MAX + 1),
        ),
        (state(Cluster, "", "", &["a"]), Violation::OtherVariant),
        (
            with(|request, locators| request.resource_locators_subscribe = locators),
            Violation::NotImplemented(Cluster, "resource_locators_subscribe"),
        ),
        (
            with(|request, locators| request.resource_locators_unsubscribe = locators),
            Violation::NotImplemented(Cluster, "resource_locators_unsubscribe"),
        ),
    ];
    for (request, violation) in cases {
        let mut hands = Hands::new(Variant::Delta, []);
        assert_eq!(hands.server.receive(request, hands.now), Err(violation));
    }
    // In portions it is no less.
    let mut hands = Hands::new(Variant::Delta, []);
    hands.receive(delta(Cluster, &many[1..], &[]));
    let error = hands.server.receive(delta(Cluster, &many[..1], &[]), hands.now);
    assert_eq!(error, Err(Violation::TooMany(Cluster, RESOURCES_MAX + 1)));
}

#[test]
fn a_stream_is_one_nodes() {
    let as_node = |id: &str| {
        let Request::Delta(request) = delta(Cluster, &[], &[]) else {
            unreachable!()
        };
        Request::Delta(discovery::DeltaDiscoveryRequest {
            node: Some(Node {
                id: id.into(),
                ..Node::default()
            }),
            ..request
        })
    };
    let mut hands = Hands::new(Variant::Delta, []);
    assert_eq!(hands.server.node(), None);
    hands.receive(as_node("one"));
    hands.receive(as_node("one"));
    assert_eq!(hands.server.node().map(|node| node.id.as_str()), Some("one"));
    let error = hands.server.receive(as_node("other"), hands.now);
    assert_eq!(error, Err(Violation::OtherNode("one".into(), "other".into())));
}

/// What was still to be sent when the wildcard was given up is not sent.
#[test]
fn a_wildcard_given_up_takes_along_what_is_unsent() {
    let mut hands = Hands::new(Variant::Delta, clusters());
    hands.ask(Cluster, &[]);
    hands.settle();
    hands.put([resource(Cluster, "c", "1")]);
    hands.receive(delta(Cluster, &["a"], &["*"]));
    assert_eq!(hands.settle()[0].resources, pairs(&[("a", "1")]));
    assert!(hands.server.progress().is_settled());
}
