//! The client against messages written by hand, rule by rule of the xDS protocol.

mod answers;
mod lifetimes;
mod news;
mod offers;
mod streams;
mod subscriptions;

use std::time::{Duration, Instant};

use envoy_types::pb::envoy::service::discovery::v3 as discovery;
use envoy_types::pb::google::protobuf;

use super::super::tests::resource;
use super::*;

use ResourceType::{Cluster, ClusterLoadAssignment, Listener, Secret};

/// A client and the hands of its test.
struct Hands {
    client: Client,
    now: Instant,
}

impl Hands {
    fn new(variant: Variant) -> Self {
        let node = Node {
            id: "node".into(),
            ..Node::default()
        };
        Self {
            client: Client::new(variant, Scope::Aggregated, node),
            now: Instant::now(),
        }
    }

    /// A connected client that has asked for everything of these types.
    fn wildcard(variant: Variant, resource_type: ResourceType) -> Self {
        let mut hands = Self::new(variant);
        hands.client.subscribe_all(resource_type);
        hands.connect();
        hands.sent();
        hands
    }

    /// A connected client that has asked for these names.
    fn named(variant: Variant, resource_type: ResourceType, names: &[&str]) -> Self {
        let mut hands = Self::new(variant);
        hands.subscribe(resource_type, names);
        hands.connect();
        hands.sent();
        hands
    }

    fn connect(&mut self) {
        self.client.connected(Versions::Known, self.now);
    }

    fn reconnect(&mut self, versions: Versions) {
        self.client.disconnected();
        self.client.connected(versions, self.now);
    }

    fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    fn subscribe(&mut self, resource_type: ResourceType, names: &[&str]) {
        assert!(
            self.client
                .subscribe(resource_type, names.iter().copied(), self.now)
                .is_empty()
        );
    }

    fn unsubscribe(&mut self, resource_type: ResourceType, names: &[&str]) {
        self.client.unsubscribe(resource_type, names.iter().copied());
    }

    /// Everything that is to be sent.
    fn sent(&mut self) -> Vec<Request> {
        std::iter::from_fn(|| self.client.poll()).collect()
    }

    /// The one request of delta that is to be sent.
    fn delta(&mut self) -> discovery::DeltaDiscoveryRequest {
        match self.sent().as_slice() {
            [Request::Delta(request)] => request.clone(),
            other => panic!("one request of delta was to be sent, not {other:?}"),
        }
    }

    /// The one request of the state of the world that is to be sent.
    fn state(&mut self) -> discovery::DiscoveryRequest {
        match self.sent().as_slice() {
            [Request::StateOfTheWorld(request)] => request.clone(),
            other => panic!("one request of the state of the world was to be sent, not {other:?}"),
        }
    }

    fn receive(&mut self, response: impl Into<Response>) -> Received {
        self.client
            .receive(response.into(), self.now)
            .expect("a response to receive")
    }

    fn receive_error(&mut self, response: impl Into<Response>) -> ReceiveError {
        self.client
            .receive(response.into(), self.now)
            .expect_err("a response to refuse")
    }

    fn settle(&mut self, received: Received) -> Settled {
        self.client
            .settle(received.token, Vec::new(), self.now)
            .expect("the earliest")
    }

    fn settle_refusing(&mut self, received: Received, names: &[&str]) -> Settled {
        let refused = names.iter().map(|name| refusal(name, "wrong")).collect();
        self.client
            .settle(received.token, refused, self.now)
            .expect("the earliest")
    }

    /// Receives and takes everything, and throws the answer away.
    fn take(&mut self, response: impl Into<Response>) {
        let received = self.receive(response);
        self.settle(received);
        self.sent();
    }

    fn version(&self, resource_type: ResourceType, name: &str) -> Option<String> {
        Some(
            self.client
                .state(resource_type, name, self.now)?
                .version?
                .to_string(),
        )
    }

    fn state_of(&self, resource_type: ResourceType, name: &str) -> ResourceState {
        self.client
            .state(resource_type, name, self.now)
            .expect("a resource that is wanted or held")
    }
}

impl From<discovery::DiscoveryResponse> for Response {
    fn from(response: discovery::DiscoveryResponse) -> Self {
        Self::StateOfTheWorld(response)
    }
}

impl From<discovery::DeltaDiscoveryResponse> for Response {
    fn from(response: discovery::DeltaDiscoveryResponse) -> Self {
        Self::Delta(response)
    }
}

fn refusal(name: &str, reason: &str) -> Refusal {
    Refusal {
        name: name.into(),
        reason: reason.into(),
    }
}

/// A response of the state of the world with resources of (name, content).
fn state(
    resource_type: ResourceType,
    version: &str,
    nonce: &str,
    resources: &[(&str, &str)],
) -> discovery::DiscoveryResponse {
    discovery::DiscoveryResponse {
        version_info: version.into(),
        resources: resources
            .iter()
            .map(|(name, content)| resource(resource_type, name, content).to_any())
            .collect(),
        type_url: resource_type.type_url().into(),
        nonce: nonce.into(),
        ..discovery::DiscoveryResponse::default()
    }
}

/// A response of delta with resources of (name, content), whose versions are `v` and the content.
fn delta(
    resource_type: ResourceType,
    nonce: &str,
    resources: &[(&str, &str)],
    removed: &[&str],
) -> discovery::DeltaDiscoveryResponse {
    discovery::DeltaDiscoveryResponse {
        resources: resources
            .iter()
            .map(|(name, content)| wrapped(resource_type, name, content))
            .collect(),
        removed_resources: removed.iter().map(|name| (*name).to_owned()).collect(),
        type_url: resource_type.type_url().into(),
        nonce: nonce.into(),
        ..discovery::DeltaDiscoveryResponse::default()
    }
}

fn wrapped(resource_type: ResourceType, name: &str, content: &str) -> discovery::Resource {
    discovery::Resource {
        name: name.into(),
        version: format!("v{content}"),
        resource: Some(resource(resource_type, name, content).to_any()),
        ..discovery::Resource::default()
    }
}

fn seconds(seconds: i64) -> Option<protobuf::Duration> {
    Some(protobuf::Duration { seconds, nanos: 0 })
}
