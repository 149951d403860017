//! The conversations of both ends of the wire, as pure state machines.
//!
//! [`Client`] asks for resources, says which it took and which not; [`Server`] works out what to send from the node's
//! [`View`]. Neither has a socket, a task or a clock: messages go in and come out, and `now` is handed in. All four
//! variants of the protocol are spoken: state of the world or delta ([`Variant`]), aggregated or a stream for each
//! type ([`Scope`]). What the variants share is written once: a message of either is first turned into the same
//! [`offer`](client) or [`ask`](server), and only the last step writes one or the other.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Instant;
//! use envoy_types::pb::envoy::config::core::v3::Node;
//! use outrigger_xds::resource::{Resource, ResourceType};
//! use outrigger_xds::session::{Client, Scope, Server, Variant, Versions, View};
//!
//! let now = Instant::now();
//! let node = Node { id: "edge-1".into(), ..Node::default() };
//! // A Cluster of which only the name (field 1) is set.
//! let cluster = Resource::hashed(ResourceType::Cluster, "shop", vec![10, 4, b's', b'h', b'o', b'p']);
//!
//! let mut server = Server::new(Variant::Delta, Scope::Aggregated, Arc::new(View::new(1, [cluster])));
//! let mut client = Client::new(Variant::Delta, Scope::Aggregated, node);
//! client.subscribe_all(ResourceType::Cluster);
//! client.connected(Versions::Known, now);
//!
//! while let Some(request) = client.poll() {
//!     server.receive(request, now)?;
//! }
//! let response = server.poll(now).expect("there is a cluster to send");
//! let received = client.receive(response, now)?;
//! assert_eq!(&**received.upserts[0].name(), "shop");
//!
//! // Everything is taken, so the next request is an ACK.
//! client.settle(received.token, Vec::new(), now)?;
//! let acknowledgement = client.poll().expect("each response is answered");
//! server.receive(acknowledgement, now)?;
//! assert!(server.progress().is_settled());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The owner of a client also asks it for [`Client::replay`] after subscribing, for [`Client::expire`] when
//! [`Client::next_expiry`] has come, and for [`Client::poll`] after each of these; the owner of a server polls it after
//! each request, each [`Server::update`], and when [`Server::next_wake`] has come.

pub mod client;
mod interest;
pub mod server;
pub mod view;

pub use client::{Client, Received, Token, Versions};
pub use server::{Heard, Server};
pub use view::View;

use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
};

use crate::resource::ResourceType;

/// The name that subscribes to everything that the server has for the node.
pub const WILDCARD: &str = "*";

/// The feature by which a client says that it heeds lifetimes (xDS protocol, "TTL").
pub const FEATURE_TTL: &str = "xds.config.supports-resource-ttl";

/// The feature by which a client says that it reads wrapped resources in a state of the world (xDS protocol, "SotW TTL").
pub const FEATURE_WRAPPED: &str = "xds.config.supports-resource-in-sotw";

/// How resources are told: whole states or differences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// Each request names everything wanted; a response of listeners or clusters carries all of them.
    StateOfTheWorld,
    /// Requests and responses carry what changed.
    Delta,
}

/// What one stream is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every type on one stream (ADS).
    Aggregated,
    /// One type alone, whose type URL may be left out of requests.
    Only(ResourceType),
}

impl Scope {
    /// Whether a stream of this scope speaks of a type.
    #[must_use]
    pub fn covers(self, resource_type: ResourceType) -> bool {
        self == Self::Aggregated || self == Self::Only(resource_type)
    }

    /// The type that a type URL of a message names, or the stream's own if it names none.
    fn type_of(self, type_url: &str) -> Option<ResourceType> {
        match self {
            Self::Only(resource_type) if type_url.is_empty() => Some(resource_type),
            _ => ResourceType::of_type_url(type_url).filter(|resource_type| self.covers(*resource_type)),
        }
    }
}

/// A message of the client, in its variant.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Of the state of the world.
    StateOfTheWorld(DiscoveryRequest),
    /// Of delta.
    Delta(DeltaDiscoveryRequest),
}

/// A message of the server, in its variant.
#[derive(Clone, Debug, PartialEq)]
pub enum Response {
    /// Of the state of the world.
    StateOfTheWorld(DiscoveryResponse),
    /// Of delta.
    Delta(DeltaDiscoveryResponse),
}

/// A resource that was not taken, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The resource's name, or `#` and its place in the response if it had none that could be read.
    pub name: String,
    /// What is wrong, where in it, and what would be right.
    pub reason: String,
}

#[cfg(test)]
mod tests;
