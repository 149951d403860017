//! Second thoughts of a client, as its server hears them.

use std::sync::Arc;
use std::time::Instant;

use envoy_types::pb::envoy::config::core::v3::Node;

use super::super::server::Progress;
use super::super::view::Change;
use super::super::{Client, Refusal, Scope, Server, Variant, Versions, View};
use super::resource;
use crate::resource::{Resource, ResourceType};

use ResourceType::RouteConfiguration;

/// Both ends, with a perfect wire between them.
struct Pair {
    client: Client,
    server: Server,
    now: Instant,
}

impl Pair {
    fn new(variant: Variant, resources: impl IntoIterator<Item = Resource>) -> Self {
        let now = Instant::now();
        let node = Node {
            id: "node".into(),
            ..Node::default()
        };
        let mut client = Client::new(variant, Scope::Aggregated, node);
        assert!(client.subscribe(RouteConfiguration, ["a", "b"], now).is_empty());
        client.connected(Versions::Known, now);
        let server = Server::new(variant, Scope::Aggregated, Arc::new(View::new(1, resources)));
        Self { client, server, now }
    }

    /// Talks until nothing is left to be said; the client refuses these.
    fn talk(&mut self, refused: &[&str]) {
        loop {
            let mut is_quiet = true;
            while let Some(request) = self.client.poll() {
                self.server.receive(request, self.now).expect("a request to hear");
                is_quiet = false;
            }
            while let Some(response) = self.server.poll(self.now) {
                let received = self
                    .client
                    .receive(response, self.now)
                    .expect("a response to hear");
                let own = received.upserts.iter().map(|one| one.name().to_string());
                let refusals = own
                    .filter(|name| refused.contains(&name.as_str()))
                    .map(|name| Refusal {
                        name,
                        reason: "at once".into(),
                    });
                let refusals = refusals.collect();
                self.client
                    .settle(received.token, refusals, self.now)
                    .expect("the earliest");
                is_quiet = false;
            }
            if is_quiet {
                return;
            }
        }
    }

    fn put(&mut self, resource: Resource) {
        let view = self.server.view().next(2, [Change::Put(resource)]);
        self.server.update(Arc::new(view), self.now);
    }

    /// What the server knows to be refused.
    fn refused(&self) -> Vec<String> {
        let statuses = self.server.statuses(RouteConfiguration, self.now);
        let refused =
            statuses.filter_map(|status| Some(format!("{}: {}", status.name, status.refused?.reason)));
        refused.collect()
    }
}

const VARIANTS: [Variant; 2] = [Variant::StateOfTheWorld, Variant::Delta];

#[test]
fn what_is_refused_after_it_was_acknowledged_is_told_and_taken_back() {
    for variant in VARIANTS {
        let (first, second) = (
            resource(RouteConfiguration, "a", "1"),
            resource(RouteConfiguration, "a", "2"),
        );
        let mut pair = Pair::new(variant, [first.clone(), resource(RouteConfiguration, "b", "1")]);
        pair.talk(&[]);
        pair.put(second.clone());
        pair.talk(&[]);
        assert_eq!(pair.server.progress(), Progress::Settled);
        let second = pair
            .client
            .accepted(RouteConfiguration)
            .find(|one| &**one.name() == "a")
            .cloned();
        let second = second.expect("it was taken");
        pair.client
            .refuse_late(&second, "no more", Some(first.clone()), pair.now);
        pair.talk(&[]);
        assert_eq!(pair.refused(), ["a: no more"], "{variant:?}");
        assert_eq!(pair.server.progress(), Progress::Refused);
        let held = pair
            .client
            .state(RouteConfiguration, "a", pair.now)
            .expect("it is wanted");
        assert_eq!(
            held.version.as_ref(),
            Some(first.version()),
            "what is in force in its place"
        );
        // A subscription in between takes nothing back.
        assert!(
            pair.client
                .subscribe(RouteConfiguration, ["c"], pair.now)
                .is_empty()
        );
        pair.talk(&[]);
        assert_eq!(pair.refused(), ["a: no more"], "{variant:?}");
        assert!(pair.client.accept_late(&second, pair.now));
        assert!(!pair.client.accept_late(&second, pair.now), "once");
        pair.talk(&[]);
        assert!(pair.refused().is_empty(), "{variant:?}");
        assert_eq!(pair.server.progress(), Progress::Settled);
    }
}

#[test]
fn what_was_refused_at_once_may_be_taken_later() {
    let mut pair = Pair::new(
        Variant::Delta,
        [
            resource(RouteConfiguration, "a", "1"),
            resource(RouteConfiguration, "b", "1"),
        ],
    );
    pair.talk(&["a", "b"]);
    assert_eq!(pair.refused().len(), 2);
    pair.client
        .accept_late(&resource(RouteConfiguration, "a", "1"), pair.now);
    pair.talk(&[]);
    assert_eq!(pair.refused(), ["b: at once"]);
    assert!(
        !pair
            .client
            .accept_late(&resource(RouteConfiguration, "b", "0"), pair.now),
        "another version than the one that was refused"
    );
    pair.put(resource(RouteConfiguration, "b", "2"));
    pair.talk(&[]);
    assert!(pair.refused().is_empty());
}

#[test]
fn only_what_is_held_so_is_refused_late() {
    for variant in VARIANTS {
        let mut pair = Pair::new(variant, [resource(RouteConfiguration, "a", "1")]);
        pair.talk(&[]);
        pair.client.refuse_late(
            &resource(RouteConfiguration, "a", "0"),
            "an earlier one",
            None,
            pair.now,
        );
        pair.client.refuse_late(
            &resource(RouteConfiguration, "x", "1"),
            "a stranger",
            None,
            pair.now,
        );
        assert!(pair.client.poll().is_none());
        pair.talk(&[]);
        assert!(pair.refused().is_empty());
    }
}
