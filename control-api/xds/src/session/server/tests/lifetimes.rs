//! "TTL" and "SotW TTL".

use super::*;

const TTL: u64 = 30;

fn lasting(resource_type: ResourceType, name: &str) -> Resource {
    resource(resource_type, name, "1").with_ttl(Some(Duration::from_secs(TTL)))
}

/// The first request of a client with these features.
fn ask(hands: &mut Hands, resource_type: ResourceType, names: &[&str], features: &[&str]) {
    let node = Some(Node {
        client_features: strings(features),
        ..Node::default()
    });
    let request = match (
        hands.variant,
        state(resource_type, "", "", names),
        delta(resource_type, names, &[]),
    ) {
        (Variant::StateOfTheWorld, Request::StateOfTheWorld(request), _) => {
            Request::StateOfTheWorld(discovery::DiscoveryRequest { node, ..request })
        }
        (Variant::Delta, _, Request::Delta(request)) => {
            Request::Delta(discovery::DeltaDiscoveryRequest { node, ..request })
        }
        _ => unreachable!(),
    };
    hands.receive(request);
}

#[test]
fn a_lifetime_is_prolonged_before_it_ends() {
    for variant in [Variant::StateOfTheWorld, Variant::Delta] {
        let mut hands = Hands::new(variant, [lasting(Secret, "a"), resource(Secret, "b", "1")]);
        ask(&mut hands, Secret, &["a", "b"], &[FEATURE_TTL, FEATURE_WRAPPED]);
        let told = hands.next();
        assert_eq!(told.resources, pairs(&[("a", "1"), ("b", "1")]));
        hands.take(&told, &["a", "b"]);
        for _ in 0..3 {
            assert_eq!(
                hands.server.next_wake(hands.now),
                Some(hands.now + Duration::from_secs(TTL / 3))
            );
            hands.pass(TTL / 3 - 1);
            assert_eq!(hands.told(), None);
            hands.pass(1);
            let told = hands.next();
            assert_eq!(told.resources, pairs(&[("a", "beat")]), "{variant:?}");
            hands.take(&told, &["a", "b"]);
        }
        assert!(hands.server.progress().is_settled());
    }
}

/// Envoy would take a response of nothing but heartbeats for the state of the world.
#[test]
fn the_full_state_prolongs_lifetimes_as_a_whole() {
    let mut hands = Hands::new(
        Variant::StateOfTheWorld,
        [lasting(Cluster, "a"), resource(Cluster, "b", "1")],
    );
    ask(&mut hands, Cluster, &[], &[FEATURE_TTL, FEATURE_WRAPPED]);
    let told = hands.next();
    hands.take(&told, &[]);
    hands.pass(TTL / 3);
    assert_eq!(hands.next().resources, pairs(&[("a", "1"), ("b", "1")]));
}

/// "For clients that support the xds.config.supports-resource-ttl client feature".
#[test]
fn a_client_that_knows_no_lifetimes_is_told_none() {
    for (variant, features) in [
        (Variant::Delta, &[][..]),
        (Variant::StateOfTheWorld, &[]),
        (Variant::StateOfTheWorld, &[FEATURE_TTL]),
    ] {
        let mut hands = Hands::new(variant, [lasting(Secret, "a")]);
        ask(&mut hands, Secret, &["a"], features);
        match hands.server.poll(hands.now).expect("a response") {
            Response::StateOfTheWorld(response) => {
                assert_eq!(response.resources[0].type_url, Secret.type_url())
            }
            Response::Delta(response) => assert_eq!(response.resources[0].ttl, None),
        }
        if features.is_empty() {
            assert_eq!(hands.server.next_wake(hands.now), None);
        }
    }
}

#[test]
fn a_lifetime_that_changes_is_told() {
    let mut hands = Hands::new(Variant::Delta, [lasting(Secret, "a")]);
    ask(&mut hands, Secret, &["a"], &[FEATURE_TTL]);
    hands.settle();
    // "To remove the TTL, the management server resends the resource with the TTL field unset."
    hands.put([resource(Secret, "a", "1")]);
    assert_eq!(hands.settle()[0].resources, pairs(&[("a", "1")]));
    assert_eq!(hands.server.next_wake(hands.now), None);
    hands.pass(TTL);
    assert_eq!(hands.told(), None);
}

/// A client that refuses a heartbeat no longer has what it prolongs.
#[test]
fn a_refused_heartbeat_sends_the_resource() {
    let mut hands = Hands::new(Variant::Delta, [lasting(Secret, "a")]);
    ask(&mut hands, Secret, &["a"], &[FEATURE_TTL]);
    hands.settle();
    hands.pass(TTL / 3);
    let told = hands.next();
    hands.refuse(&told, &[], "a: version is not held");
    assert_eq!(hands.settle()[0].resources, pairs(&[("a", "1")]));
    assert!(hands.server.progress().is_settled());
}

#[test]
fn what_is_gone_is_not_prolonged() {
    let mut hands = Hands::new(Variant::Delta, [lasting(Secret, "a"), lasting(Secret, "b")]);
    ask(&mut hands, Secret, &["a", "b"], &[FEATURE_TTL]);
    hands.settle();
    hands.pass(15);
    hands.settle();
    hands.remove(Secret, &["a"]);
    hands.settle();
    hands.receive(delta(Secret, &[], &["b"]));
    assert_eq!(hands.server.next_wake(hands.now), None);
}

/// A name stands in a response once: removed, put or prolonged.
#[test]
fn what_is_removed_or_put_is_not_prolonged_beside() {
    let mut hands = Hands::new(Variant::Delta, ["a", "b", "c"].map(|name| lasting(Secret, name)));
    ask(&mut hands, Secret, &["a", "b", "c"], &[FEATURE_TTL]);
    hands.settle();
    hands.pass(15);
    hands.remove(Secret, &["a"]);
    hands.put([resource(Secret, "b", "2").with_ttl(Some(Duration::from_secs(TTL)))]);
    let told = hands.next();
    assert_eq!(
        (told.resources, told.removed),
        (pairs(&[("b", "2"), ("c", "beat")]), vec!["a".to_owned()])
    );
}
