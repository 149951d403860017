//! What is in force, whatever comes in which order.

mod amends;

use super::*;
use crate::decode::DecodedCluster;
use outrigger_config::document::{Map, Path, Value, read_endpoints, read_parts};
use outrigger_config::{Environment, Source, load};

/// Bodies of these tests are words: `RouteConfiguration` "a b" sends to the clusters a and b; `Listener` "8080 r" listens
/// and uses r; `Cluster` "own" or "apart"; `ClusterLoadAssignment` "1 2" has two ports; "bad" is refused.
fn decode(resource: &Resource) -> Result<Decoded, Refusal> {
    let (name, body) = (resource.name(), std::str::from_utf8(resource.body()).unwrap());
    let words: Vec<&str> = body.split(' ').filter(|word| !word.is_empty()).collect();
    if words.contains(&"bad") {
        return Err(Refusal::whole(name, "it is bad"));
    }
    let label = decode::label(resource.resource_type(), name);
    let parts =
        |document: Map| read_parts(&label, document.into()).map_err(|faults| Refusal::of(name, &faults));
    let path = Path::root();
    let text = |text: &str| Value::text(&path, text);
    let one = |list: &str, map: Map| Map::new(&path).with(list, Value::list(&path, [map.into()]));
    let named = || Map::new(&path).with("name", text(name));
    Ok(match resource.resource_type() {
        ResourceType::Cluster => Decoded::Cluster(DecodedCluster {
            parts: parts(one("clusters", named()))?,
            endpoints: words.contains(&"apart").then(|| name.to_string()),
        }),
        ResourceType::ClusterLoadAssignment => {
            let endpoint = |word: &&str| {
                Map::new(&path)
                    .with("address", text(&format!("192.0.2.1:{word}")))
                    .into()
            };
            let endpoints = Value::list(&path, words.iter().map(endpoint));
            let document = Map::new(&path).with("endpoints", endpoints);
            Decoded::Endpoints(
                read_endpoints(&label, document.into()).map_err(|faults| Refusal::of(name, &faults))?,
            )
        }
        ResourceType::RouteConfiguration => {
            let route = |(index, cluster): (usize, &&str)| {
                let matches = Map::new(&path).with("prefix", text(&format!("/{index}")));
                let forward = Map::new(&path).with("cluster", text(cluster));
                Map::new(&path)
                    .with("match", matches.into())
                    .with("forward", forward.into())
                    .into()
            };
            let routes = Value::list(&path, words.iter().enumerate().map(route));
            let host = Map::new(&path)
                .with("name", text("all"))
                .with("domains", Value::list(&path, [text("*")]))
                .with("routes", routes);
            let hosts = Value::list(&path, [host.into()]);
            Decoded::RouteConfiguration(parts(one(
                "route_configurations",
                named().with("virtual_hosts", hosts),
            ))?)
        }
        ResourceType::Listener => {
            let http = Map::new(&path).with("route_configuration", text(words[1]));
            let chain = Map::new(&path).with("http", http.into());
            let listener = named()
                .with("address", text(&format!("127.0.0.1:{}", words[0])))
                .with("filter_chains", Value::list(&path, [chain.into()]));
            Decoded::Listener(parts(one("listeners", listener))?)
        }
        other => unreachable!("{other}"),
    })
}

struct World {
    assembly: Assembly,
    now: Instant,
}

use ResourceType::{Cluster as C, ClusterLoadAssignment as E, Listener as L, RouteConfiguration as R};

impl World {
    fn new() -> World {
        let source = Source {
            name: "base.yaml".into(),
            text: "clusters: [{name: local}]\n".into(),
        };
        let base = load(&source, &Environment::empty()).unwrap().config;
        World {
            assembly: Assembly::with_decoder(Arc::new(base), decode),
            now: Instant::now(),
        }
    }

    /// Offers, proposes, commits; gives the refused names with their reasons.
    fn offer(&mut self, resources: &[(ResourceType, &str, &str)]) -> Vec<String> {
        let upserts: Vec<Resource> = resources
            .iter()
            .map(|(kind, name, body)| Resource::hashed(*kind, *name, body.as_bytes().to_vec()))
            .collect();
        let mut refused = self.assembly.offer(&upserts, &[], self.now);
        self.settle(&mut refused);
        refused.iter().map(|(_, refusal)| refusal.to_string()).collect()
    }

    fn remove(&mut self, kind: ResourceType, name: &str) {
        self.assembly.offer(&[], &[(kind, name.into())], self.now);
        self.settle(&mut Vec::new());
    }

    fn settle(&mut self, refused: &mut Vec<(Resource, Refusal)>) -> bool {
        match self.assembly.propose(self.now, refused) {
            Next::InForce => false,
            Next::Put(proposal) => {
                self.assembly.commit(&proposal);
                proposal.only_endpoints
            }
            Next::Stuck(faults) => panic!("{faults}"),
        }
    }

    fn later(&mut self, time: Duration) {
        self.now += time;
        self.settle(&mut Vec::new());
    }

    /// Listeners, route configurations, clusters with the number of their endpoints.
    fn shown(&self) -> String {
        let config = self.assembly.in_force();
        let listeners = config.listeners().iter().map(|part| part.name().to_string());
        let routes = config
            .route_configurations()
            .iter()
            .map(|part| part.name().to_string());
        let clusters = config
            .clusters()
            .iter()
            .map(|part| format!("{}({})", part.name(), part.endpoints().len()));
        listeners
            .chain(routes)
            .chain(clusters)
            .collect::<Vec<_>>()
            .join(" ")
    }

    fn standing(&self, kind: ResourceType, name: &str) -> Standing {
        let mut all = self.assembly.standings();
        all.find(|one| one.resource_type == kind && &*one.name == name)
            .unwrap()
            .standing
    }
}

#[test]
fn nothing_refers_to_what_is_not_there_yet() {
    let mut world = World::new();
    world.offer(&[(L, "l", "8080 r")]);
    assert_eq!(world.shown(), "local(0)");
    assert_eq!(
        world.assembly.wanted().route_configurations,
        ["r".to_owned()].into()
    );
    world.offer(&[(R, "r", "a")]);
    assert_eq!(world.shown(), "local(0)");
    assert_eq!(
        world.standing(R, "r"),
        Standing::Waiting(vec!["cluster `a`".into()])
    );
    world.offer(&[(C, "a", "apart")]);
    assert_eq!(world.shown(), "local(0)");
    assert_eq!(world.assembly.wanted().endpoints, ["a".to_owned()].into());
    world.offer(&[(E, "a", "1 2")]);
    assert_eq!(world.shown(), "l r local(0) a(2)");
    assert_eq!(world.standing(R, "r"), Standing::InForce);
}

#[test]
fn a_change_waits_behind_what_is_in_force() {
    let mut world = World::new();
    world.offer(&[(L, "l", "8080 r"), (R, "r", "a"), (C, "a", "own")]);
    assert_eq!(world.shown(), "l r local(0) a(0)");
    let before = Arc::clone(world.assembly.in_force());
    world.offer(&[(R, "r", "a b")]);
    assert_eq!(
        before,
        *world.assembly.in_force(),
        "the route of before stays while b is not there"
    );
    world.offer(&[(C, "b", "own")]);
    assert_eq!(world.shown(), "l r local(0) a(0) b(0)");
    assert_eq!(
        world.assembly.in_force().route_configurations()[0].virtual_hosts()[0]
            .routes()
            .len(),
        2
    );
}

#[test]
fn only_changed_endpoints_are_put_in_force_by_themselves() {
    let mut world = World::new();
    world.offer(&[
        (L, "l", "8080 r"),
        (R, "r", "a b"),
        (C, "a", "apart"),
        (C, "b", "own"),
        (E, "a", "1"),
    ]);
    let before = Arc::clone(world.assembly.in_force());
    let resource = Resource::hashed(E, "a", b"1 2".to_vec());
    world.assembly.offer(&[resource], &[], world.now);
    assert!(world.settle(&mut Vec::new()), "only endpoints");
    assert_eq!(world.shown(), "l r local(0) a(2) b(0)");
    let after = world.assembly.in_force();
    assert!(Arc::ptr_eq(&before.clusters()[2], &after.clusters()[2]));
    assert!(Arc::ptr_eq(&before.listeners()[0], &after.listeners()[0]));
    let nothing = Resource::hashed(E, "stranger", b"9".to_vec());
    world.assembly.offer(&[nothing], &[], world.now);
    assert!(matches!(
        world.assembly.propose(world.now, &mut Vec::new()),
        Next::InForce
    ));
}

#[test]
fn endpoints_touch_themselves_alone() {
    let mut world = World::new();
    world.offer(&[(L, "l", "8080 r"), (R, "r", "a b"), (E, "a", "1"), (E, "b", "1")]);
    world.offer(&[(C, "a", "apart"), (C, "b", "apart")]);
    assert!(world.assembly.take_touched().whole);
    assert_eq!(world.assembly.take_touched(), Touched::default());
    let version = |world: &World| {
        let standing = world.assembly.standing(E, "a").unwrap();
        standing.in_force.unwrap().0
    };
    let before = version(&world);
    world.offer(&[(E, "a", "1 2"), (E, "b", "1")]);
    let touched = world.assembly.take_touched();
    assert_eq!(
        touched,
        Touched {
            whole: false,
            endpoints: [Arc::from("a")].into()
        },
        "b is the same again"
    );
    assert_ne!(version(&world), before);
    world.offer(&[(E, "b", "bad")]);
    let touched = world.assembly.take_touched();
    assert!(!touched.whole && touched.endpoints.contains("b"), "{touched:?}");
    // What came by the short way is known to the long one, and what came first by the long way to the short one.
    world.offer(&[(R, "r", "b a")]);
    assert!(world.assembly.take_touched().whole);
    assert_eq!(world.shown(), "l r local(0) a(2) b(1)");
    world.offer(&[(E, "a", "1 2 3")]);
    assert_eq!(world.shown(), "l r local(0) a(3) b(1)");
}

#[test]
fn endpoints_that_could_not_be_put_in_force_leave_those_before() {
    let mut world = World::new();
    world.offer(&[
        (L, "l", "8080 r"),
        (R, "r", "a"),
        (C, "a", "apart"),
        (E, "a", "1"),
    ]);
    let resource = Resource::hashed(E, "a", b"1 2".to_vec());
    world.assembly.offer(&[resource], &[], world.now);
    let Next::Put(proposal) = world.assembly.propose(world.now, &mut Vec::new()) else {
        panic!("there is something to put in force");
    };
    assert!(proposal.only_endpoints);
    let refused = world.assembly.withdraw(&proposal, "no memory", None, world.now);
    assert_eq!(refused.len(), 1);
    assert!(world.assembly.take_touched().whole);
    world.settle(&mut Vec::new());
    assert_eq!(world.shown(), "l r local(0) a(1)");
    world.offer(&[(E, "a", "1 2 3")]);
    assert_eq!(world.shown(), "l r local(0) a(3)");
}

#[test]
fn a_bad_version_leaves_the_good_one_and_the_others_apply() {
    let mut world = World::new();
    world.offer(&[
        (L, "l", "8080 r"),
        (R, "r", "a"),
        (C, "a", "own"),
        (C, "b", "own"),
    ]);
    let refused = world.offer(&[(C, "a", "bad"), (C, "c", "own")]);
    assert_eq!(refused, ["`a`: it is bad"]);
    assert_eq!(world.shown(), "l r local(0) a(0) b(0) c(0)");
    let Standing::Refused { refusal, .. } = world.standing(C, "a") else {
        panic!()
    };
    assert_eq!(refusal.faults[0].message, "it is bad");
    world.offer(&[(C, "a", "own again")]);
    assert_eq!(world.standing(C, "a"), Standing::InForce);
}

#[test]
fn what_does_not_go_together_is_refused_by_the_name_of_what_is_new() {
    let mut world = World::new();
    world.offer(&[(L, "l", "8080 r"), (R, "r", "local")]);
    let refused = world.offer(&[(L, "m", "8080 r"), (C, "fine", "own")]);
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert!(
        refused[0].starts_with("`m`:") && refused[0].contains("have the address"),
        "{refused:?}"
    );
    assert_eq!(world.shown(), "l r local(0) fine(0)");
    let refused = world.offer(&[(C, "local", "own")]);
    assert!(
        refused.is_empty() || refused[0].contains("a second cluster `local`"),
        "{refused:?}"
    );
}

#[test]
fn waiting_ends() {
    let mut world = World::new();
    world.offer(&[(L, "l", "8080 r"), (R, "r", "a b"), (C, "a", "apart")]);
    assert_eq!(world.shown(), "local(0)");
    assert_eq!(world.assembly.next_look(), Some(world.now + WAIT_MAX));
    world.later(WAIT_MAX);
    assert_eq!(
        world.shown(),
        "l r local(0) a(0) b(0)",
        "without endpoints, and a stand-in"
    );
    assert_eq!(world.assembly.next_look(), None, "nothing is waited for any more");
    world.offer(&[(C, "b", "apart"), (E, "b", "1")]);
    assert_eq!(world.shown(), "l r local(0) a(0) b(1)");
}

#[test]
fn a_listener_is_never_there_without_its_routes() {
    let mut world = World::new();
    world.offer(&[(L, "l", "8080 r")]);
    world.later(WAIT_MAX * 3);
    assert_eq!(world.shown(), "local(0)");
    assert_eq!(world.assembly.next_look(), None);
}

#[test]
fn what_is_taken_away_stays_while_it_is_referred_to() {
    let mut world = World::new();
    world.offer(&[
        (L, "l", "8080 r"),
        (R, "r", "a"),
        (C, "a", "apart"),
        (E, "a", "1"),
        (C, "b", "own"),
    ]);
    world.remove(C, "a");
    assert_eq!(world.shown(), "l r local(0) a(1) b(0)");
    assert_eq!(world.standing(C, "a"), Standing::Leaving);
    world.offer(&[(R, "r", "b")]);
    assert_eq!(world.shown(), "l r local(0) b(0)");
    world.remove(R, "r");
    assert_eq!(world.shown(), "l r local(0) b(0)", "the listener needs it");
    world.remove(L, "l");
    assert_eq!(world.shown(), "local(0) b(0)");
}

#[test]
fn endpoints_that_go_after_their_cluster_are_forgotten() {
    let mut world = World::new();
    world.offer(&[(C, "a", "apart"), (E, "a", "1")]);
    world.remove(C, "a");
    world.remove(E, "a");
    assert_eq!(world.shown(), "local(0)");
    assert_eq!(world.assembly.standings().count(), 0);
}

#[test]
fn a_cluster_that_was_taken_away_is_stood_in_for_in_the_end() {
    let mut world = World::new();
    world.offer(&[
        (L, "l", "8080 r"),
        (R, "r", "a"),
        (C, "a", "apart"),
        (E, "a", "1"),
    ]);
    world.remove(C, "a");
    world.later(WAIT_MAX);
    world.later(WAIT_MAX);
    assert_eq!(world.shown(), "l r local(0) a(0)");
}

#[test]
fn what_could_not_be_put_in_force_is_refused_and_tried_no_more() {
    let mut world = World::new();
    world.offer(&[(R, "r", "local")]);
    let resources = [
        Resource::hashed(L, "l", b"8080 r".to_vec()),
        Resource::hashed(C, "a", b"own".to_vec()),
    ];
    world.assembly.offer(&resources, &[], world.now);
    let Next::Put(proposal) = world.assembly.propose(world.now, &mut Vec::new()) else {
        panic!()
    };
    let refused = world.assembly.withdraw(
        &proposal,
        "the address is in use",
        Some((L, Some("l"))),
        world.now,
    );
    assert_eq!(refused.len(), 1);
    world.settle(&mut Vec::new());
    assert_eq!(world.shown(), "r local(0) a(0)", "the cluster is in force");
    assert!(matches!(world.standing(L, "l"), Standing::Refused { .. }));
}

#[test]
fn the_same_again_changes_nothing() {
    let mut world = World::new();
    let all = [
        (L, "l", "8080 r"),
        (R, "r", "a"),
        (C, "a", "apart"),
        (E, "a", "1"),
    ];
    world.offer(&all);
    let before = Arc::clone(world.assembly.in_force());
    world.offer(&all);
    assert!(Arc::ptr_eq(&before, world.assembly.in_force()));
    assert_eq!(world.assembly.keepable().len(), 4);
}

#[test]
fn the_new_party_of_a_conflict_is_refused_whichever_name_comes_first() {
    let mut world = World::new();
    world.offer(&[(L, "m", "8080 r"), (R, "r", "local")]);
    let refused = world.offer(&[(L, "a", "8080 r"), (C, "fine", "own")]);
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert!(refused[0].starts_with("`a`:"), "{refused:?}");
    assert_eq!(world.shown(), "m r local(0) fine(0)");
}

#[test]
fn what_waits_is_not_refused_for_others() {
    let mut world = World::new();
    world.offer(&[(R, "waits", "nowhere")]);
    let resources = [
        Resource::hashed(L, "l", b"8080 r".to_vec()),
        Resource::hashed(R, "r", b"local".to_vec()),
    ];
    world.assembly.offer(&resources, &[], world.now);
    let Next::Put(proposal) = world.assembly.propose(world.now, &mut Vec::new()) else {
        panic!()
    };
    let refused = world.assembly.withdraw(&proposal, "no", None, world.now);
    assert_eq!(refused.len(), 2, "{refused:?}");
    assert!(matches!(world.standing(R, "waits"), Standing::Waiting(_)));
}

#[test]
fn the_same_version_with_another_body_is_another() {
    let mut world = World::new();
    let version = |body: &[u8]| Resource::new(E, "a", "1", body.to_vec());
    world.offer(&[(L, "l", "8080 r"), (R, "r", "a"), (C, "a", "apart")]);
    world.assembly.offer(&[version(b"1")], &[], world.now);
    world.settle(&mut Vec::new());
    world.assembly.offer(&[version(b"1 2")], &[], world.now);
    world.settle(&mut Vec::new());
    assert_eq!(world.shown(), "l r local(0) a(2)");
}

#[test]
fn what_the_version_in_force_needs_stays_wanted_while_another_waits() {
    let mut world = World::new();
    world.offer(&[(L, "l", "8080 r"), (R, "r", "local")]);
    world.offer(&[(L, "l", "8080 s")]);
    let wanted = world.assembly.wanted().route_configurations;
    assert_eq!(wanted, ["r".to_owned(), "s".to_owned()].into());
}

#[test]
fn going_back_to_the_good_version_is_forgiven() {
    let mut world = World::new();
    world.offer(&[(C, "a", "own")]);
    world.offer(&[(C, "a", "bad")]);
    assert!(matches!(world.standing(C, "a"), Standing::Refused { .. }));
    world.assembly.forgive(C, |name| name == "a");
    assert_eq!(world.standing(C, "a"), Standing::InForce);
}
