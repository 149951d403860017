//! Rollouts of a store in memory, over nodes that speak xDS with the register's sessions; time is passed in.

use super::super::kept;
use crate::access::NodeClaim;
use crate::audit::action;
use crate::fleet::{Agent, Fleet, Registration};
use crate::rollout::*;
use crate::store::{Commit, Documents, Draft, Source, Store, embedded};
use envoy_types::pb::envoy::config::core::v3::Node;
use outrigger_xds::resource::ResourceType;
use outrigger_xds::session::Refusal;
use outrigger_xds::session::{Client, Scope, Server, Variant, Versions, View};
use std::sync::Arc;
use std::time::{Duration, Instant};

const FILES: [(&str, &str); 3] = [
    (
        "catalog.yaml",
        include_str!("../../../../config/examples/mesh/catalog.yaml"),
    ),
    (
        "defaults.yaml",
        include_str!("../../../../config/examples/mesh/defaults.yaml"),
    ),
    (
        "gateway.yaml",
        include_str!("../../../../config/examples/mesh/gateway.yaml"),
    ),
];
const WEB: &str = include_str!("../../../../config/examples/mesh/web.yaml");

/// A fleet of one replica.
struct Replica {
    driver: Driver,
    fleet: Arc<Fleet>,
    nodes: Vec<Fake>,
}

/// A node, and the server's end of its stream.
struct Fake {
    claim: NodeClaim,
    registration: Registration,
    server: Server,
    client: Client,
    /// Clusters of this name are refused.
    refuses: Option<&'static str>,
}

impl Fake {
    fn connect(fleet: &Arc<Fleet>, name: &str, refuses: Option<&'static str>) -> Fake {
        let claim = NodeClaim {
            node: name.to_owned(),
            service: "shop/web".to_owned(),
        };
        let register = fleet.register();
        let owner = crate::access::Principal::Loopback;
        let entered = register.enter(Arc::clone(fleet), &claim, &owner, Agent::Outrigger, "1", None);
        let registration = entered.unwrap();
        let node = Node {
            id: name.to_owned(),
            ..Node::default()
        };
        let mut client = Client::new(Variant::Delta, Scope::Aggregated, node);
        client.subscribe_all(ResourceType::Cluster);
        client.connected(Versions::Known, Instant::now());
        Fake {
            claim,
            registration,
            server: Server::new(Variant::Delta, Scope::Aggregated, Arc::new(View::default())),
            client,
            refuses,
        }
    }

    /// Is told what the plan has for it, and answers.
    fn live(&mut self, fleet: &Fleet, now: Instant) {
        let NodeClaim { node, service } = &self.claim;
        let plan = fleet.plan();
        let revision = plan.of(node, service);
        if let Some(role) = revision.role(service, node, Agent::Outrigger) {
            self.server
                .update(Arc::clone(&revision.view(&role).unwrap().view), now);
        }
        loop {
            while let Some(request) = self.client.poll() {
                self.server.receive(request, now).unwrap();
            }
            let Some(response) = self.server.poll(now) else {
                break;
            };
            let received = self.client.receive(response, now).unwrap();
            let names = received
                .upserts
                .iter()
                .map(|resource| resource.name().to_string());
            let refused = names.filter(|name| self.refuses.is_some_and(|refused| name.contains(refused)));
            let refusal = |name| Refusal {
                name,
                reason: "cannot be had".into(),
            };
            let refused = refused.map(refusal).collect();
            self.client.settle(received.token, refused, now).unwrap();
        }
        self.registration.note(&self.server, None, now);
    }

    fn revision(&self) -> u64 {
        self.server.view().revision()
    }
}

impl Replica {
    fn new(store: &Arc<dyn Store>, name: Option<&str>, terms: Option<Terms>) -> Replica {
        let fleet = Arc::new(Fleet::new());
        let options = DriverOptions {
            terms,
            replica: name.map(str::to_owned),
            return_within: Duration::ZERO,
            ..DriverOptions::default()
        };
        Replica {
            driver: Driver::new(Arc::clone(&fleet), Arc::clone(store), options),
            fleet,
            nodes: Vec::new(),
        }
    }

    fn connect(&mut self, names: impl IntoIterator<Item = String>, refuses: Option<&'static str>) {
        for name in names {
            self.nodes.push(Fake::connect(&self.fleet, &name, refuses));
        }
    }

    /// Lets the driver do all that there is to do at a moment, and nodes answer.
    async fn at(&mut self, clock: &Clock, seconds: u64) -> Turned {
        let (now, at) = clock.at(seconds);
        loop {
            let turned = self.driver.turn(now, at).await.unwrap();
            for node in &mut self.nodes {
                node.live(&self.fleet, at);
            }
            if turned != Turned::Moved {
                // What nodes answered just now.
                let turned = self.driver.turn(now, at).await.unwrap();
                self.nodes.iter_mut().for_each(|node| node.live(&self.fleet, at));
                if turned != Turned::Moved {
                    return turned;
                }
            }
        }
    }

    fn with(&self, revision: u64) -> usize {
        self.nodes
            .iter()
            .filter(|node| node.revision() == revision)
            .count()
    }
}

struct Clock(Instant);

impl Clock {
    fn at(&self, seconds: u64) -> (Moment, Instant) {
        let passed = Duration::from_secs(seconds);
        (Moment(1_000_000).after(passed), self.0 + passed)
    }
}

async fn store() -> Arc<dyn Store> {
    Arc::new(embedded::in_memory(100).await.unwrap())
}

/// Makes the next revision: web calls the catalog, or does not.
async fn append(store: &dyn Store, uses_catalog: bool, comment: &str, terms: Option<&Terms>) -> u64 {
    let mut documents = Documents::new();
    for (name, text) in FILES {
        documents.insert(name, text).unwrap();
    }
    let web = match uses_catalog {
        true => WEB.to_owned(),
        false => WEB.replace("uses: [shop/catalog]", "uses: []"),
    };
    documents
        .insert("web.yaml", format!("# {comment}\n{web}"))
        .unwrap();
    let parent = store.position().await.unwrap().revision;
    let draft = Draft {
        author: "a".into(),
        time: Moment(1_000_000),
        reason: "r".into(),
        source: Source::Api,
        documents,
    };
    let mut commit = Commit::revision(parent, draft);
    if let Some(terms) = terms {
        commit = commit.record(wish(parent + 1, terms).unwrap());
    }
    store.commit(commit).await.unwrap().revision.unwrap().number
}

fn halves() -> Terms {
    Terms::read(
        ["50%", "100%"],
        Pause::For(Duration::from_secs(30)),
        SETTLE_TIMEOUT,
    )
    .unwrap()
}

fn names(prefix: &str) -> impl Iterator<Item = String> {
    (0..20).map(move |number| format!("{prefix}-{number}"))
}

async fn rollout(store: &dyn Store) -> Rollout {
    Kept::read(store).await.unwrap().unwrap().rollout
}

async fn actions(store: &dyn Store) -> Vec<String> {
    let entries = store.entries(1, 100).await.unwrap().into_iter();
    let what = entries.map(|entry| entry.what);
    what.filter(|what| what != action::REVISION_APPENDED).collect()
}

#[tokio::test]
async fn a_good_revision_reaches_everybody_stage_by_stage() {
    let (store, clock) = (store().await, Clock(Instant::now()));
    let mut one = Replica::new(&store, None, Some(halves()));
    one.connect(names("n"), None);
    append(&*store, false, "first", None).await;
    assert_eq!(one.at(&clock, 0).await, Turned::Idle);
    assert_eq!(one.with(1), 20, "there is nothing to go back to: at once");
    append(&*store, true, "second", None).await;
    assert_eq!(one.at(&clock, 1).await, Turned::Underway);
    let some = one.with(2);
    assert!((1..20).contains(&some), "{some}");
    assert_eq!(rollout(&*store).await.state, State::Staged);
    one.at(&clock, 30).await;
    assert_eq!(one.with(2), some, "the pause has not passed");
    one.at(&clock, 31).await;
    assert_eq!(one.with(2), 20);
    assert_eq!(one.fleet.plan().stable.number(), 1);
    assert_eq!(one.at(&clock, 61).await, Turned::Idle);
    assert_eq!(one.fleet.plan().stable.number(), 2);
    let told = [
        action::ROLLOUT_STARTED,
        action::ROLLOUT_ADVANCED,
        action::ROLLOUT_FINISHED,
    ];
    assert_eq!(actions(&*store).await, told);
}

#[tokio::test]
async fn a_revision_that_a_node_refuses_goes_back_by_itself() {
    let (store, clock) = (store().await, Clock(Instant::now()));
    let mut one = Replica::new(&store, None, None);
    one.connect(names("n"), Some("catalog"));
    append(&*store, false, "first", None).await;
    one.at(&clock, 0).await;
    append(&*store, true, "second", Some(&halves())).await;
    assert_eq!(one.at(&clock, 1).await, Turned::Idle);
    let back = rollout(&*store).await;
    assert_eq!((back.state, back.stage, back.stable), (State::RolledBack, 0, 1));
    assert!(
        back.why.contains("refused Cluster") && back.by == BY_ITSELF,
        "{}",
        back.why
    );
    let refused: Vec<&str> = back
        .refusals
        .iter()
        .map(|refusal| refusal.node.as_str())
        .collect();
    assert!(
        (1..20).contains(&refused.len()),
        "only those of the first stage: {refused:?}"
    );
    assert_eq!(one.with(1), 20, "all have the stable revision again");
    assert!(
        one.fleet
            .register()
            .all()
            .iter()
            .all(|status| status.in_force == Some(1))
    );
    assert_eq!(
        actions(&*store).await,
        [action::ROLLOUT_STARTED, action::ROLLOUT_REVERTED]
    );

    // A server that starts finds it so, though the current revision is the refused one.
    let mut again = Replica::new(&store, None, None);
    again.connect(names("n"), Some("catalog"));
    assert_eq!(again.at(&clock, 2).await, Turned::Idle);
    assert_eq!((again.with(1), store.position().await.unwrap().revision), (20, 2));

    // The next one goes its own way.
    append(&*store, false, "mended", Some(&halves())).await;
    assert_eq!(again.at(&clock, 3).await, Turned::Underway);
    assert_eq!(
        (rollout(&*store).await.stable, rollout(&*store).await.revision),
        (1, 3)
    );
}

#[tokio::test]
async fn what_a_node_refused_before_is_not_held_against_the_revision() {
    let (store, clock) = (store().await, Clock(Instant::now()));
    let mut one = Replica::new(&store, None, None);
    one.connect(names("n"), Some("catalog"));
    append(&*store, true, "first", None).await;
    one.at(&clock, 0).await;
    append(&*store, true, "second", Some(&halves())).await;
    one.at(&clock, 1).await;
    assert_eq!(rollout(&*store).await.state, State::Staged);
}

#[tokio::test]
async fn a_newer_revision_takes_the_place_of_one_that_is_out() {
    let (store, clock) = (store().await, Clock(Instant::now()));
    let mut one = Replica::new(&store, None, Some(halves()));
    one.connect(names("n"), None);
    append(&*store, false, "first", None).await;
    one.at(&clock, 0).await;
    append(&*store, true, "second", None).await;
    one.at(&clock, 1).await;
    append(&*store, true, "third", None).await;
    one.at(&clock, 2).await;
    let now = rollout(&*store).await;
    assert_eq!((now.revision, now.stable, now.stage), (3, 1, 0));
    assert_eq!((one.with(2), one.with(1) + one.with(3)), (0, 20));
    assert!(
        actions(&*store)
            .await
            .contains(&action::ROLLOUT_SUPERSEDED.to_owned())
    );
}

#[tokio::test]
async fn people_hold_advance_and_roll_back_but_not_past_a_refusal() {
    let (store, clock) = (store().await, Clock(Instant::now()));
    let mut one = Replica::new(&store, None, Some(halves()));
    one.connect(names("n"), None);
    append(&*store, false, "first", None).await;
    one.at(&clock, 0).await;
    append(&*store, true, "second", None).await;
    one.at(&clock, 1).await;
    let (fleet, now) = (Arc::clone(&one.fleet), clock.at(1).0);
    let tell = |told, revision| command(&*store, (&fleet, None), revision, told, ("token `a`", "why"), now);
    assert!(matches!(
        tell(Command::Hold, 1).await,
        Err(CommandError::None { current: Some(2), .. })
    ));
    tell(Command::Hold, 2).await.unwrap();
    one.at(&clock, 1_000).await;
    assert_eq!(
        (rollout(&*store).await.state, rollout(&*store).await.stage),
        (State::Held, 0)
    );
    // A node of the first stage comes that refuses; nobody has looked since.
    let chosen = one.fleet.plan();
    let release = chosen.release.as_ref().unwrap();
    let late = (0..100).map(|number| format!("late-{number}"));
    let late = late.filter(|name| release.has(name, "shop/web")).take(1);
    one.connect(late, Some("catalog"));
    one.nodes
        .iter_mut()
        .for_each(|node| node.live(&fleet, clock.at(1_000).1));
    let told = tell(Command::Advance, 2).await;
    assert!(
        matches!(told, Err(CommandError::Disobeyed(Disobeyed::Refused(_)))),
        "{told:?}"
    );
    one.at(&clock, 1_001).await;
    assert_eq!(rollout(&*store).await.state, State::RolledBack);
    assert!(matches!(
        tell(Command::Advance, 2).await,
        Err(CommandError::Disobeyed(Disobeyed::Over { .. }))
    ));
}

#[tokio::test]
async fn replicas_take_steps_together_and_one_that_starts_goes_on() {
    let (store, clock) = (store().await, Clock(Instant::now()));
    let mut one = Replica::new(&store, Some("one"), Some(halves()));
    let mut two = Replica::new(&store, Some("two"), Some(halves()));
    one.connect(names("n"), None);
    two.connect(names("m"), None);
    append(&*store, false, "first", None).await;
    one.at(&clock, 0).await;
    two.at(&clock, 0).await;
    assert_eq!((one.with(1), two.with(1)), (20, 20));
    append(&*store, true, "second", None).await;
    for second in 1..10 {
        one.at(&clock, second).await;
        two.at(&clock, second).await;
    }
    assert_eq!(rollout(&*store).await.state, State::Staged);
    let (first, second) = (one.with(2), two.with(2));
    assert!((1..20).contains(&first) && (1..20).contains(&second));
    let all = survey(&*store, &one.fleet, Some("one"), &rollout(&*store).await)
        .await
        .unwrap();
    assert_eq!(
        all.settled.count,
        first + second,
        "each knows of the other's nodes"
    );

    // One is started anew, and its nodes come back.
    let mut one = Replica::new(&store, Some("one"), Some(halves()));
    one.connect(names("n"), None);
    for second in 10..=60 {
        one.at(&clock, second).await;
        two.at(&clock, second).await;
    }
    assert_eq!((one.with(2), two.with(2)), (20, 20));
    let advanced = actions(&*store).await;
    let count = advanced
        .iter()
        .filter(|what| *what == action::ROLLOUT_ADVANCED)
        .count();
    assert_eq!(count, 1, "no step is taken twice: {advanced:?}");

    // A node of the one refuses: it is the other that stops, too.
    append(&*store, false, "third", None).await;
    for second in 61..200 {
        one.at(&clock, second).await;
        two.at(&clock, second).await;
    }
    append(&*store, true, "fourth", None).await;
    one.nodes
        .iter_mut()
        .for_each(|node| node.refuses = Some("catalog"));
    one.at(&clock, 200).await;
    two.at(&clock, 200).await;
    let stable = rollout(&*store).await;
    assert_eq!((stable.state, stable.stable), (State::RolledBack, 3));
    assert_eq!((one.with(3), two.with(3)), (20, 20));
}

#[tokio::test]
async fn a_report_of_a_replica_that_has_gone_is_waited_for_and_then_forgotten() {
    let (store, clock) = (store().await, Clock(Instant::now()));
    let mut one = Replica::new(&store, Some("one"), Some(halves()));
    one.connect(names("n"), None);
    append(&*store, false, "first", None).await;
    one.at(&clock, 0).await;
    append(&*store, true, "second", None).await;
    let waiting = Observation {
        is_complete: true,
        waiting: Tally {
            count: 1,
            names: vec!["gone".into()],
        },
        ..Observation::default()
    };
    let report = kept::Report {
        revision: 2,
        stage: 0,
        seen: waiting,
    };
    kept::report(&*store, "gone", 0, &report).await.unwrap();
    for second in 1..12 {
        one.at(&clock, second).await;
    }
    assert_eq!(rollout(&*store).await.state, State::Advancing);
    for second in 12..25 {
        one.at(&clock, second).await;
    }
    assert_eq!(rollout(&*store).await.state, State::Staged);
    assert_eq!(kept::reports(&*store).await.unwrap().len(), 1);
}
