//! A client, its owner, and servers that come and go, joined by streams that keep order and lose what is under way.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use envoy_types::pb::envoy::config::core::v3::Node;
use fastrand::Rng;

use super::super::client::UNSETTLED_MAX;
use super::super::view::Change;
use super::super::{
    Client, Received, Refusal, Request, Response, Scope, Server, Token, Variant, Versions, View,
};
use super::content;
use crate::resource::{Resource, ResourceType};

/// What the owner refuses begins with this.
pub(super) const BAD: &str = "bad";

/// A stream with what is under way on it.
pub(super) struct Link {
    pub(super) server: Server,
    up: VecDeque<Request>,
    down: VecDeque<Response>,
}

/// One stream's worth of a client.
pub(super) struct End {
    pub(super) scope: Scope,
    pub(super) client: Client,
    pub(super) link: Option<Link>,
    /// Received and not decided, by type in the order of coming.
    undecided: BTreeMap<ResourceType, VecDeque<Undecided>>,
}

struct Undecided {
    token: Token,
    upserts: Vec<Resource>,
    removed: Vec<Arc<str>>,
}

pub(super) struct World {
    pub(super) variant: Variant,
    pub(super) now: Instant,
    pub(super) view: Arc<View>,
    pub(super) ends: Vec<End>,
    /// What the owner wants by name.
    pub(super) wanted: BTreeSet<(ResourceType, String)>,
    /// What the owner has applied.
    pub(super) held: BTreeMap<(ResourceType, String), String>,
    pub(super) rng: Rng,
}

impl World {
    pub(super) fn new(variant: Variant, scopes: &[Scope], seed: u64) -> Self {
        let end = |scope: &Scope| {
            let mut client = Client::new(
                variant,
                *scope,
                Node {
                    id: "node".into(),
                    ..Node::default()
                },
            );
            for resource_type in [ResourceType::Listener, ResourceType::Cluster] {
                if scope.covers(resource_type) {
                    client.subscribe_all(resource_type);
                }
            }
            End {
                scope: *scope,
                client,
                link: None,
                undecided: BTreeMap::new(),
            }
        };
        Self {
            variant,
            now: Instant::now(),
            view: Arc::new(View::default()),
            ends: scopes.iter().map(end).collect(),
            wanted: BTreeSet::new(),
            held: BTreeMap::new(),
            rng: Rng::with_seed(seed),
        }
    }

    pub(super) fn change(&mut self, changes: impl IntoIterator<Item = Change>) {
        let previous = Arc::clone(&self.view);
        self.view = Arc::new(previous.next(previous.revision() + 1, changes));
        for end in &mut self.ends {
            let Some(link) = &mut end.link else { continue };
            link.server.update(Arc::clone(&self.view), self.now);
            // Now and then an older view comes late.
            if self.rng.u8(..8) == 0 {
                link.server.update(Arc::clone(&previous), self.now);
                link.server.update(Arc::clone(&self.view), self.now);
            }
        }
    }

    pub(super) fn want(&mut self, resource_type: ResourceType, name: &str) {
        if self.wanted.insert((resource_type, name.to_owned())) {
            let now = self.now;
            let end = self.end_of(resource_type);
            assert!(end.client.subscribe(resource_type, [name], now).is_empty());
            while let Some(received) = self.end_of(resource_type).client.replay() {
                self.received(received);
            }
        }
    }

    pub(super) fn unwant(&mut self, resource_type: ResourceType, name: &str) {
        if self.wanted.remove(&(resource_type, name.to_owned())) {
            self.end_of(resource_type)
                .client
                .unsubscribe(resource_type, [name]);
            self.held.remove(&(resource_type, name.to_owned()));
        }
    }

    fn end_of(&mut self, resource_type: ResourceType) -> &mut End {
        self.ends
            .iter_mut()
            .find(|end| end.scope.covers(resource_type))
            .expect("each type has a stream")
    }

    pub(super) fn connect(&mut self, end: usize, versions: Versions) {
        let end = &mut self.ends[end];
        if end.link.is_none() {
            let server = Server::new(self.variant, end.scope, Arc::clone(&self.view));
            end.link = Some(Link {
                server,
                up: VecDeque::new(),
                down: VecDeque::new(),
            });
            end.client.connected(versions, self.now);
        }
    }

    /// Loses a stream and everything under way.
    pub(super) fn disconnect(&mut self, end: usize) {
        let end = &mut self.ends[end];
        if end.link.take().is_some() {
            end.client.disconnected();
        }
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.now += time;
        for end in &mut self.ends {
            for (resource_type, name) in end.client.expire(self.now) {
                assert!(
                    self.held.remove(&(resource_type, name.to_string())).is_some(),
                    "only what is held expires"
                );
            }
        }
    }

    /// Moves one message a step further, in either direction. Returns whether there was one.
    pub(super) fn carry(&mut self, end: usize, step: u8) -> bool {
        // An owner that has enough to decide reads on later.
        let has_enough = |undecided: &VecDeque<Undecided>| undecided.len() >= UNSETTLED_MAX;
        let full = self.ends[end]
            .undecided
            .iter()
            .find(|(_, undecided)| has_enough(undecided));
        if let Some((resource_type, _)) = full {
            let resource_type = *resource_type;
            self.decide(resource_type);
        }
        let now = self.now;
        let end = &mut self.ends[end];
        let Some(link) = &mut end.link else { return false };
        match step {
            0 => end
                .client
                .poll()
                .map(|request| link.up.push_back(request))
                .is_some(),
            1 => match link.up.pop_front() {
                Some(request) => link
                    .server
                    .receive(request, now)
                    .map(|_| true)
                    .expect("a client that keeps the rules"),
                None => false,
            },
            2 => link
                .server
                .poll(now)
                .map(|response| link.down.push_back(response))
                .is_some(),
            _ => match link.down.pop_front() {
                Some(response) => {
                    let received = end
                        .client
                        .receive(response, now)
                        .expect("a server that keeps the rules");
                    self.received(received);
                    true
                }
                None => false,
            },
        }
    }

    /// What hangs on a cluster or a listener is asked for as soon as that comes.
    fn received(&mut self, received: Received) {
        // Nothing but a heartbeat that comes too late is malformed here.
        assert!(
            received
                .malformed
                .iter()
                .all(|refusal| refusal.reason.contains("no body")),
            "{received:?}"
        );
        let hanging = hanging_on(received.resource_type);
        for resource in received.upserts.iter().filter(|_| hanging.is_some()) {
            self.want(hanging.expect("filtered"), resource.name());
        }
        let undecided = Undecided {
            token: received.token,
            upserts: received.upserts,
            removed: received.removed,
        };
        let end = self.end_of(received.resource_type);
        end.undecided
            .entry(received.resource_type)
            .or_default()
            .push_back(undecided);
    }

    /// The owner decides the earliest response of a type. Returns whether there was one.
    pub(super) fn decide(&mut self, resource_type: ResourceType) -> bool {
        let earliest = self
            .end_of(resource_type)
            .undecided
            .entry(resource_type)
            .or_default()
            .pop_front();
        let Some(Undecided {
            token,
            upserts,
            removed,
        }) = earliest
        else {
            return false;
        };
        let mut refused = Vec::new();
        for resource in upserts {
            let name = resource.name().to_string();
            let written = content(&resource);
            if written.starts_with(BAD) {
                refused.push(Refusal {
                    name,
                    reason: "it is bad".into(),
                });
            } else if self.is_wanted(resource_type, &name) {
                self.held.insert((resource_type, name), written);
            }
        }
        for name in removed {
            self.held.remove(&(resource_type, name.to_string()));
            if let Some(hanging) = hanging_on(resource_type) {
                self.unwant(hanging, &name);
            }
        }
        let now = self.now;
        self.end_of(resource_type)
            .client
            .settle(token, refused, now)
            .expect("the earliest");
        true
    }

    pub(super) fn is_wanted(&self, resource_type: ResourceType, name: &str) -> bool {
        resource_type.is_full_state() || self.wanted.contains(&(resource_type, name.to_owned()))
    }

    /// Carries and decides until nothing moves, and lets time pass until nothing waits for it.
    pub(super) fn come_to_rest(&mut self) {
        for end in 0..self.ends.len() {
            self.connect(end, Versions::Known);
        }
        let end_of_waiting = self.now + Duration::from_secs(60);
        for _ in 0..100_000 {
            let mut moved = false;
            for end in 0..self.ends.len() {
                for step in 0..4 {
                    while self.carry(end, step) {
                        moved = true;
                    }
                }
            }
            for resource_type in ResourceType::ALL {
                while self.decide(resource_type) {
                    moved = true;
                }
            }
            if moved {
                continue;
            }
            let wakes = self
                .ends
                .iter()
                .filter_map(|end| end.link.as_ref()?.server.next_wake(self.now));
            match wakes.min().filter(|wake| *wake <= end_of_waiting) {
                Some(wake) => self.pass(wake - self.now),
                None => return,
            }
        }
        panic!("it never comes to rest");
    }

    /// What the client says that it took is what the owner has applied, at any time.
    pub(super) fn check_books(&self) {
        let mut accepted = BTreeMap::new();
        for end in &self.ends {
            for resource_type in ResourceType::ALL {
                for resource in end.client.accepted(resource_type) {
                    accepted.insert((resource_type, resource.name().to_string()), content(resource));
                }
            }
        }
        assert_eq!(accepted, self.held);
    }
}

/// What is asked for by the name of a resource of this type.
fn hanging_on(resource_type: ResourceType) -> Option<ResourceType> {
    match resource_type {
        ResourceType::Cluster => Some(ResourceType::ClusterLoadAssignment),
        ResourceType::Listener => Some(ResourceType::RouteConfiguration),
        _ => None,
    }
}
