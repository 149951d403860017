//! "Eventual consistency considerations" and "Resource warming": make before break.

use super::*;

/// A session of all four, with one of each and everything taken.
fn settled(variant: Variant) -> Hands {
    let mut all = vec![
        resource(Listener, "l", "1"),
        resource(RouteConfiguration, "r", "1"),
    ];
    all.extend(discovered("x", "1"));
    let mut hands = Hands::new(variant, all);
    for (resource_type, names) in WANTED {
        hands.ask(resource_type, names);
    }
    while let Some(told) = hands.told() {
        hands.accept(&told);
    }
    assert!(hands.server.progress().is_settled());
    hands
}

/// What the client asks for: everything of clusters and listeners, and by name what hangs on them.
const WANTED: [(ResourceType, &[&str]); 4] = [
    (RouteConfiguration, &["r"]),
    (Listener, &[]),
    (ClusterLoadAssignment, &["x"]),
    (Cluster, &[]),
];

impl Hands {
    /// Takes a response with the list that stands in [`WANTED`].
    fn accept(&mut self, told: &Told) {
        let wanted = WANTED
            .iter()
            .find(|(resource_type, _)| *resource_type == told.resource_type);
        self.take(told, wanted.expect("one of the four").1);
    }
}

/// "CDS updates must always be pushed first. EDS updates must arrive after CDS updates for the respective clusters. LDS
/// updates must arrive after corresponding CDS/EDS updates. RDS updates ... after CDS/EDS/LDS updates."
#[test]
fn what_is_referred_to_goes_first() {
    for variant in [Variant::StateOfTheWorld, Variant::Delta] {
        let mut all = vec![
            resource(RouteConfiguration, "r", "1"),
            resource(Listener, "l", "1"),
        ];
        all.extend(discovered("x", "1"));
        let mut hands = Hands::new(variant, all);
        // In the order that is the worst.
        for (resource_type, names) in WANTED {
            hands.ask(resource_type, names);
        }
        let clusters = hands.next();
        let endpoints = hands.next();
        assert_eq!(types(&[clusters, endpoints]), [Cluster, ClusterLoadAssignment]);
        assert_eq!(hands.told(), None, "listeners wait for the answers");
    }
}

#[test]
fn listeners_and_routes_wait_for_answers() {
    for variant in [Variant::StateOfTheWorld, Variant::Delta] {
        let mut hands = settled(variant);
        let mut all = vec![
            resource(Listener, "l", "2"),
            resource(RouteConfiguration, "r", "2"),
        ];
        all.extend(discovered("x", "2"));
        hands.put(all);
        let clusters = hands.next();
        let endpoints = hands.next();
        assert_eq!(hands.told(), None);
        hands.accept(&clusters);
        assert_eq!(hands.told(), None);
        hands.accept(&endpoints);
        let listeners = hands.next();
        // A listener may be taken only when its routes are there: routes do not wait for the answer.
        let routes = hands.next();
        assert_eq!(
            types(&[clusters, endpoints, listeners, routes]),
            [Cluster, ClusterLoadAssignment, Listener, RouteConfiguration]
        );
    }
}

/// Every wait has an end: a client that does not answer clusters still gets its listeners.
#[test]
fn listeners_do_not_wait_for_ever() {
    let mut hands = settled(Variant::Delta);
    hands.put([resource(Cluster, "x", "2"), resource(Listener, "l", "2")]);
    assert_eq!(hands.next().resource_type, Cluster);
    assert_eq!(hands.told(), None);
    assert_eq!(hands.server.next_wake(hands.now), Some(hands.now + ACK_WAIT_MAX));
    hands.pass(15);
    assert_eq!(hands.next().resource_type, Listener);
    assert_eq!(hands.server.next_wake(hands.now), None);
}

/// Endpoints that change all the time do not starve listeners: only what changed no later is waited for.
#[test]
fn later_endpoints_do_not_hold_up_listeners() {
    let mut hands = settled(Variant::Delta);
    hands.put([
        resource(ClusterLoadAssignment, "x", "2"),
        resource(Listener, "l", "2"),
    ]);
    let endpoints = hands.next();
    assert_eq!(endpoints.resource_type, ClusterLoadAssignment);
    hands.pass(1);
    hands.put([resource(ClusterLoadAssignment, "x", "3")]);
    assert_eq!(hands.told(), None);
    hands.accept(&endpoints);
    assert_eq!(
        types(&[hands.next(), hands.next()]),
        [ClusterLoadAssignment, Listener]
    );
}

/// Endpoints of a new cluster, which the client asks for when it has the cluster, go before the routes to it.
#[test]
fn listeners_wait_for_endpoints_that_are_asked_for() {
    let mut hands = settled(Variant::Delta);
    let mut all = discovered("y", "1").to_vec();
    all.push(resource(RouteConfiguration, "r", "2"));
    hands.put(all);
    let clusters = hands.next();
    assert_eq!((clusters.resource_type, hands.told()), (Cluster, None));
    hands.pass(1);
    hands.receive(delta(ClusterLoadAssignment, &["y"], &[]));
    hands.accept(&clusters);
    let endpoints = hands.next();
    assert_eq!(endpoints.resources, pairs(&[("y", "1")]));
    assert_eq!(hands.told(), None);
    hands.accept(&endpoints);
    assert_eq!(hands.next().resource_type, RouteConfiguration);
}

/// A client may take a cluster only when it is warm: its endpoints do not wait for that answer.
#[test]
fn endpoints_asked_for_do_not_wait_for_clusters() {
    let mut hands = settled(Variant::Delta);
    hands.put(discovered("y", "1"));
    let _unanswered = hands.next();
    hands.put([cluster_of("z", "", "1")]);
    hands.receive(delta(ClusterLoadAssignment, &["y"], &[]));
    assert_eq!(hands.next().resources, pairs(&[("y", "1")]));
}

/// Endpoints made for the next version of a cluster do not reach the one before.
#[test]
fn changed_endpoints_wait_for_their_changed_cluster() {
    let mut hands = settled(Variant::Delta);
    hands.put([resource(Cluster, "other", "1")]);
    let clusters = hands.next();
    hands.put(discovered("x", "2"));
    assert_eq!(hands.told(), None);
    hands.accept(&clusters);
    let clusters = hands.next();
    assert_eq!(clusters.resources, pairs(&[("x", "2")]));
    assert_eq!(hands.next().resources, pairs(&[("x", "2")]));
}

/// "Warming of Cluster is completed only when a new ClusterLoadAssignment response is supplied by management server even
/// though there is no change in endpoints."
#[test]
fn endpoints_are_sent_again_after_their_cluster() {
    for (variant, service) in [
        (Variant::StateOfTheWorld, ""),
        (Variant::Delta, ""),
        (Variant::Delta, "service-of-x"),
    ] {
        let endpoints = if service.is_empty() { "x" } else { service };
        let all = [
            cluster_of("x", service, "1"),
            resource(ClusterLoadAssignment, endpoints, "1"),
            resource(Cluster, "y", "1"),
        ];
        let mut hands = Hands::new(variant, all);
        hands.ask(Cluster, &[]);
        let told = hands.next();
        hands.take(&told, &[]);
        hands.ask(ClusterLoadAssignment, &[endpoints]);
        let told = hands.next();
        hands.take(&told, &[endpoints]);
        hands.put([cluster_of("x", service, "2")]);
        let clusters = hands.next();
        assert_eq!(clusters.resource_type, Cluster);
        let again = hands.next();
        assert_eq!(again.resources, pairs(&[(endpoints, "1")]));
        hands.take(&again, &[endpoints]);
        hands.take(&clusters, &[]);
        assert_eq!(hands.told(), None, "and only once");
        // A cluster without discovered endpoints waits for none.
        hands.put([resource(Cluster, "y", "2")]);
        let clusters = hands.next();
        hands.take(&clusters, &[]);
        assert_eq!(hands.told(), None);
    }
}

/// So too when the cluster changed while the client was away and it says that it has the endpoints.
#[test]
fn endpoints_held_from_before_are_sent_again_after_their_cluster() {
    let [cluster, endpoints] = discovered("x", "2");
    for clusters_first in [true, false] {
        let mut hands = Hands::new(Variant::Delta, [cluster.clone(), endpoints.clone()]);
        let held = returning(ClusterLoadAssignment, &["x"], &[("x", endpoints.version())]);
        if clusters_first {
            hands.receive(returning(Cluster, &[], &[("x", "old")]));
            assert_eq!(hands.next().resource_type, Cluster);
            hands.receive(held);
        } else {
            hands.receive(held);
            hands.receive(returning(Cluster, &[], &[("x", "old")]));
            assert_eq!(hands.next().resource_type, Cluster);
        }
        assert_eq!(hands.next().resources, pairs(&[("x", "2")]), "{clusters_first}");
    }
}

/// "Stale CDS clusters and related EDS endpoints (ones no longer being referenced) can then be removed."
#[test]
fn removals_wait_for_who_may_refer_to_them() {
    for variant in [Variant::StateOfTheWorld, Variant::Delta] {
        let mut hands = settled(variant);
        // The route goes over from x to y.
        let mut changes: Vec<Change> = discovered("y", "1").map(Change::Put).into();
        changes.push(Change::Put(resource(RouteConfiguration, "r", "2")));
        changes.push(Change::Remove(Cluster, "x".into()));
        changes.push(Change::Remove(ClusterLoadAssignment, "x".into()));
        hands.change(changes);
        let clusters = hands.next();
        // The full state goes on to hold what may not go yet.
        let expected = if variant == Variant::Delta {
            &[("y", "1")][..]
        } else {
            &[("x", "1"), ("y", "1")]
        };
        assert_eq!(
            (clusters.resources.clone(), clusters.removed.len()),
            (pairs(expected), 0)
        );
        hands.accept(&clusters);
        let routes = hands.next();
        assert_eq!(routes.resource_type, RouteConfiguration);
        assert_eq!(hands.told(), None);
        hands.accept(&routes);
        let broken = hands.next();
        assert_eq!(broken.resource_type, Cluster);
        match variant {
            Variant::StateOfTheWorld => assert_eq!(broken.resources, pairs(&[("y", "1")])),
            Variant::Delta => assert_eq!((broken.resources.len(), broken.removed.len()), (0, 1)),
        }
        hands.accept(&broken);
        let endpoints = hands.told().map(|told| (told.resource_type, told.removed));
        let expected = (variant == Variant::Delta).then(|| (ClusterLoadAssignment, vec!["x".to_owned()]));
        assert_eq!(endpoints, expected);
    }
}

/// A refused route is in force in its last good version, which uses the cluster that is to go.
#[test]
fn removals_wait_for_refusals_to_end() {
    let mut hands = settled(Variant::Delta);
    hands.change([
        Change::Put(resource(RouteConfiguration, "r", "2")),
        Change::Remove(Cluster, "x".into()),
    ]);
    let routes = hands.next();
    hands.refuse(&routes, &[], "r: no");
    hands.pass(3600);
    assert_eq!(hands.told(), None);
    assert_eq!(hands.server.progress(), Progress::Refused);
    let leaving = hands.status_of(Cluster, "x");
    assert_eq!(
        (leaving.current, leaving.lag),
        (None, Some(Duration::from_secs(3600)))
    );
    hands.put([resource(RouteConfiguration, "r", "3")]);
    let routes = hands.next();
    hands.accept(&routes);
    let clusters = hands.next();
    assert_eq!(clusters.removed, ["x"]);
    hands.accept(&clusters);
    assert!(hands.server.progress().is_settled());
}

/// Each goes when everything is gone that may refer to it.
#[test]
fn routes_endpoints_and_secrets_go_after_their_users() {
    let mut hands = settled(Variant::Delta);
    hands.put([resource(Secret, "s", "1")]);
    hands.ask(Secret, &["s"]);
    hands.settle();
    hands.change([
        Change::Remove(Listener, "l".into()),
        Change::Remove(RouteConfiguration, "r".into()),
        Change::Remove(Cluster, "x".into()),
        Change::Remove(ClusterLoadAssignment, "x".into()),
        Change::Remove(Secret, "s".into()),
    ]);
    let told = hands.settle();
    assert_eq!(
        types(&told),
        [
            Listener,
            RouteConfiguration,
            Cluster,
            Secret,
            ClusterLoadAssignment
        ]
    );
    assert!(
        told.iter()
            .all(|told| told.removed.len() == 1 && told.resources.is_empty())
    );
}

/// A listener may take over the address of one that goes.
#[test]
fn listeners_come_and_go_at_once() {
    let mut hands = settled(Variant::Delta);
    hands.change([
        Change::Put(resource(Listener, "new", "1")),
        Change::Remove(Listener, "l".into()),
    ]);
    let told = hands.next();
    assert_eq!(
        (told.resources, told.removed),
        (pairs(&[("new", "1")]), vec!["l".to_owned()])
    );
}

/// Separate streams know nothing of each other.
#[test]
fn a_stream_of_one_type_waits_for_nobody() {
    let now = Instant::now();
    let view = View::new(1, [resource(Cluster, "x", "1")]);
    let mut server = Server::new(Variant::Delta, Scope::Only(Cluster), Arc::new(view.clone()));
    server.receive(delta(Cluster, &[], &[]), now).expect("a request");
    let told = read(server.poll(now).expect("a response"));
    server.receive(answer(&told, None), now).expect("a request");
    server.update(Arc::new(view.next(2, [Change::Remove(Cluster, "x".into())])), now);
    assert_eq!(read(server.poll(now).expect("a response")).removed, ["x"]);
}

/// A route that waits and changes once more waits for the clusters of that change too.
#[test]
fn a_later_change_waits_for_its_own_clusters() {
    let mut hands = settled(Variant::Delta);
    hands.put([
        resource(Cluster, "x", "2"),
        resource(RouteConfiguration, "r", "2"),
    ]);
    let first = hands.next();
    hands.pass(1);
    hands.put([
        resource(Cluster, "y", "1"),
        resource(RouteConfiguration, "r", "3"),
    ]);
    hands.accept(&first);
    let second = hands.next();
    assert_eq!((second.resource_type, hands.told()), (Cluster, None));
    hands.accept(&second);
    assert_eq!(hands.next().resources, pairs(&[("r", "3")]));
}

/// So too if they cannot be sent yet because later endpoints are unanswered.
#[test]
fn listeners_wait_for_endpoints_that_are_asked_for_behind_others() {
    let mut hands = settled(Variant::Delta);
    hands.put([
        resource(RouteConfiguration, "r", "2"),
        resource(Cluster, "x", "2"),
    ]);
    let clusters = hands.next();
    hands.pass(1);
    hands.put([resource(ClusterLoadAssignment, "x", "3")]);
    let endpoints = hands.next();
    hands.receive(delta(ClusterLoadAssignment, &["y"], &[]));
    hands.accept(&clusters);
    assert_eq!(hands.told(), None);
    hands.accept(&endpoints);
    assert_eq!(hands.next().removed, ["y"]);
}

/// A list that is overtaken may ask for endpoints: what it asks for is known when the answer to the response that
/// overtook it comes.
#[test]
fn listeners_wait_for_lists_that_are_overtaken() {
    let mut hands = settled(Variant::StateOfTheWorld);
    hands.put([
        resource(RouteConfiguration, "r", "2"),
        resource(Cluster, "y", "1"),
    ]);
    let clusters = hands.next();
    hands.pass(1);
    hands.put([
        resource(ClusterLoadAssignment, "x", "3"),
        resource(ClusterLoadAssignment, "y", "1"),
    ]);
    let endpoints = hands.next();
    let heard = hands.receive(state(ClusterLoadAssignment, "", "overtaken", &["x", "y"]));
    assert!(heard.is_stale);
    hands.accept(&clusters);
    assert_eq!(hands.told(), None);
    hands.take(&endpoints, &["x", "y"]);
    assert_eq!(hands.next().resources, pairs(&[("y", "1")]));
}
