//! Both ends against each other, and what their tests share.

mod amends;
mod arbitrary;
mod convergence;
mod order;
mod proportion;
mod world;

use std::sync::Arc;

use prost::Message;

use crate::resource::{Resource, ResourceType};

/// A message with a name and nothing else that any type knows, and for a cluster the name of its endpoints.
#[derive(Clone, PartialEq, prost::Message)]
struct Body {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "3")]
    endpoints: Option<Endpoints>,
    #[prost(string, tag = "1000")]
    content: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Endpoints {
    #[prost(string, tag = "2")]
    name: String,
}

/// A resource with some content.
pub(super) fn resource(resource_type: ResourceType, name: &str, content: &str) -> Resource {
    let body = Body {
        name: name.into(),
        endpoints: None,
        content: content.into(),
    };
    Resource::hashed(resource_type, name, body.encode_to_vec())
}

/// A cluster whose endpoints are discovered under `endpoints`, or under its own name.
pub(super) fn cluster_of(name: &str, endpoints: &str, content: &str) -> Resource {
    let endpoints = Some(Endpoints {
        name: endpoints.into(),
    });
    let body = Body {
        name: name.into(),
        endpoints,
        content: content.into(),
    };
    Resource::hashed(ResourceType::Cluster, name, body.encode_to_vec())
}

/// What was written into a resource.
pub(super) fn content(resource: &Resource) -> String {
    Body::decode(&**resource.body()).expect("a test's body").content
}

/// The names of resources, in their order.
pub(super) fn names<'a>(resources: impl IntoIterator<Item = &'a Resource>) -> Vec<String> {
    resources
        .into_iter()
        .map(|resource| resource.name().to_string())
        .collect()
}

/// Texts of shared names, in their order.
pub(super) fn texts<'a>(names: impl IntoIterator<Item = &'a Arc<str>>) -> Vec<String> {
    names.into_iter().map(|name| name.to_string()).collect()
}

/// The name that a body gives itself.
pub(super) fn name_of(body: &[u8]) -> String {
    Body::decode(body).expect("a test's body").name
}
