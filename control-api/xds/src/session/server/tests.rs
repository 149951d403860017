//! The server against messages written by hand, rule by rule of the xDS protocol.

mod answers;
mod lifetimes;
mod order;
mod status;
mod streams;
mod subscriptions;

use std::time::Duration;

use envoy_types::pb::envoy::service::discovery::v3 as discovery;
use envoy_types::pb::google::rpc::Status;

use super::super::tests::{cluster_of, content, name_of, resource};
use super::super::view::Change;
use super::*;
use crate::resource::Resource;

use ResourceType::{Cluster, ClusterLoadAssignment, Listener, RouteConfiguration, Secret};

/// A session and the hands of its test.
struct Hands {
    server: Server,
    variant: Variant,
    now: Instant,
}

/// A response of either variant, in what both say.
#[derive(Debug, PartialEq)]
struct Told {
    resource_type: ResourceType,
    version: String,
    nonce: String,
    /// By (name, content); a heartbeat's content is `beat`.
    resources: Vec<(String, String)>,
    removed: Vec<String>,
}

impl Hands {
    fn new(variant: Variant, resources: impl IntoIterator<Item = Resource>) -> Self {
        let server = Server::new(variant, Scope::Aggregated, Arc::new(View::new(1, resources)));
        Self {
            server,
            variant,
            now: Instant::now(),
        }
    }

    fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    fn put(&mut self, resources: impl IntoIterator<Item = Resource>) {
        self.change(resources.into_iter().map(Change::Put));
    }

    fn remove(&mut self, resource_type: ResourceType, names: &[&str]) {
        self.change(
            names
                .iter()
                .map(|name| Change::Remove(resource_type, (*name).into())),
        );
    }

    fn change(&mut self, changes: impl IntoIterator<Item = Change>) {
        let view = self
            .server
            .view()
            .next(self.server.view().revision() + 1, changes);
        self.server.update(Arc::new(view), self.now);
    }

    fn receive(&mut self, request: Request) -> Heard {
        self.server
            .receive(request, self.now)
            .expect("a request that no rule forbids")
    }

    /// Asks for names in a first request, or for everything by none.
    fn ask(&mut self, resource_type: ResourceType, names: &[&str]) -> Heard {
        match self.variant {
            Variant::StateOfTheWorld => self.receive(state(resource_type, "", "", names)),
            Variant::Delta => self.receive(delta(resource_type, names, &[])),
        }
    }

    /// The next response, if there is one.
    fn told(&mut self) -> Option<Told> {
        self.server.poll(self.now).map(read)
    }

    /// The next response, of which there must be one.
    fn next(&mut self) -> Told {
        self.told().expect("something to send")
    }

    /// Acknowledges a response; a list of the state of the world must be told with it.
    fn take(&mut self, told: &Told, names: &[&str]) -> Heard {
        match self.variant {
            Variant::StateOfTheWorld => {
                self.receive(state(told.resource_type, &told.version, &told.nonce, names))
            }
            Variant::Delta => self.receive(answer(told, None)),
        }
    }

    fn refuse(&mut self, told: &Told, names: &[&str], message: &str) -> Heard {
        let error = Some(Status {
            code: 3,
            message: message.into(),
            details: Vec::new(),
        });
        match self.variant {
            Variant::StateOfTheWorld => {
                let Request::StateOfTheWorld(request) = state(told.resource_type, "", &told.nonce, names)
                else {
                    unreachable!()
                };
                self.receive(Request::StateOfTheWorld(discovery::DiscoveryRequest {
                    error_detail: error,
                    ..request
                }))
            }
            Variant::Delta => self.receive(answer(told, error)),
        }
    }

    /// Sends and takes until nothing is left, for sessions of wildcards or delta; what was told.
    fn settle(&mut self) -> Vec<Told> {
        let mut all = Vec::new();
        while let Some(told) = self.told() {
            self.take(&told, &[]);
            all.push(told);
        }
        all
    }

    fn status_of(&self, resource_type: ResourceType, name: &str) -> ResourceStatus {
        self.server
            .status(resource_type, name, self.now)
            .expect("a resource that is wanted or sent")
    }
}

fn read(response: Response) -> Told {
    let of = |any: &envoy_types::pb::google::protobuf::Any| {
        content(&Resource::new(Cluster, "", "", any.value.clone()))
    };
    let wrapped = |resource: &discovery::Resource| {
        (
            resource.name.clone(),
            resource.resource.as_ref().map_or_else(|| "beat".to_owned(), of),
        )
    };
    let mut told = match response {
        Response::StateOfTheWorld(response) => Told {
            resource_type: ResourceType::of_type_url(&response.type_url).expect("a known type"),
            version: response.version_info,
            nonce: response.nonce,
            resources: response
                .resources
                .iter()
                .map(|any| state_resource(any, of, wrapped))
                .collect(),
            removed: Vec::new(),
        },
        Response::Delta(response) => Told {
            resource_type: ResourceType::of_type_url(&response.type_url).expect("a known type"),
            version: response.system_version_info,
            nonce: response.nonce,
            resources: response.resources.iter().map(wrapped).collect(),
            removed: response.removed_resources,
        },
    };
    told.resources.sort();
    told.removed.sort();
    told
}

fn state_resource(
    any: &envoy_types::pb::google::protobuf::Any,
    of: impl Fn(&envoy_types::pb::google::protobuf::Any) -> String,
    wrapped: impl Fn(&discovery::Resource) -> (String, String),
) -> (String, String) {
    use prost::{Message, Name};
    if any.type_url == discovery::Resource::type_url() {
        return wrapped(&discovery::Resource::decode(&*any.value).expect("a wrapper"));
    }
    let name = name_of(&any.value);
    (name, of(any))
}

fn state(resource_type: ResourceType, version: &str, nonce: &str, names: &[&str]) -> Request {
    Request::StateOfTheWorld(discovery::DiscoveryRequest {
        version_info: version.into(),
        resource_names: strings(names),
        type_url: resource_type.type_url().into(),
        response_nonce: nonce.into(),
        ..discovery::DiscoveryRequest::default()
    })
}

fn delta(resource_type: ResourceType, subscribe: &[&str], unsubscribe: &[&str]) -> Request {
    Request::Delta(discovery::DeltaDiscoveryRequest {
        type_url: resource_type.type_url().into(),
        resource_names_subscribe: strings(subscribe),
        resource_names_unsubscribe: strings(unsubscribe),
        ..discovery::DeltaDiscoveryRequest::default()
    })
}

/// A first request of delta that tells what is held.
fn returning(resource_type: ResourceType, subscribe: &[&str], held: &[(&str, &str)]) -> Request {
    let Request::Delta(request) = delta(resource_type, subscribe, &[]) else {
        unreachable!()
    };
    let held = held
        .iter()
        .map(|(name, version)| ((*name).to_owned(), (*version).to_owned()));
    Request::Delta(discovery::DeltaDiscoveryRequest {
        initial_resource_versions: held.collect(),
        ..request
    })
}

fn answer(told: &Told, error_detail: Option<Status>) -> Request {
    let Request::Delta(request) = delta(told.resource_type, &[], &[]) else {
        unreachable!()
    };
    Request::Delta(discovery::DeltaDiscoveryRequest {
        response_nonce: told.nonce.clone(),
        error_detail,
        ..request
    })
}

fn strings(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Names and contents, as they are told.
fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(name, content)| ((*name).to_owned(), (*content).to_owned()))
        .collect()
}

fn types(told: &[Told]) -> Vec<ResourceType> {
    told.iter().map(|told| told.resource_type).collect()
}

/// A cluster with discovered endpoints, and the endpoints.
fn discovered(name: &str, content: &str) -> [Resource; 2] {
    [
        cluster_of(name, "", content),
        resource(ClusterLoadAssignment, name, content),
    ]
}
