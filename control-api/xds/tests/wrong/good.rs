//! The good resources: a set that is spoilt, `edge`, `shop`, `web` and `own`, and a set `beside` that is not.

use super::node::Resource;
use envoy_types::pb::google::protobuf::Any;
use outrigger_config::{Environment, Source, load};
use outrigger_xds::encode::{EncodeOptions, encode};
use outrigger_xds::resource::{self, ResourceType};
use prost::Message;

/// The name of the resources that stay good.
pub(crate) const BESIDE: &str = "beside";

pub(crate) struct Good {
    own: String,
    resources: Vec<resource::Resource>,
}

/// `turn` makes everything beside another.
fn document(own: &str, beside: &str, turn: u16) -> String {
    let listener = |name: &str, port: u16, routes: &str, identity: &str, timeout: u16| {
        format!(
            "  - {{name: {name}, address: '127.0.0.1:{port}', filter_chains: [{{tls: {{certificates: [{{identity: {identity}}}], handshake_timeout: {timeout}s}}, \
             http: {{route_configuration: {routes}}}}}]}}\n"
        )
    };
    let routes = |name: &str, cluster: &str, other: &str, timeout: u16| {
        format!(
            "  - {{name: {name}, virtual_hosts: [{{name: all, domains: ['*'], routes: [{{match: {{prefix: /two}}, forward: \
             {{weighted_clusters: [{{cluster: {cluster}, weight: 30}}, {{cluster: {other}, weight: 70}}]}}}}, {{match: \
             {{prefix: /}}, forward: {{cluster: {cluster}, timeout: {timeout}s}}}}]}}]}}\n"
        )
    };
    format!(
        "listeners:\n{}{}route_configurations:\n{}{}clusters:\n  - {{name: web, endpoints: [{{address: '192.0.2.1:80'}}]}}\n  \
         - {{name: beside, connect_timeout: {}s, endpoints: [{{address: '192.0.2.2:{}'}}]}}\nidentities:\n  - {{name: own, inline: {own}}}\n  \
         - {{name: beside, inline: {beside}}}\n",
        listener("edge", 8443, "shop", "own", 5),
        listener(BESIDE, 8444, BESIDE, BESIDE, 6 + turn),
        routes("shop", "web", BESIDE, 5),
        routes(BESIDE, BESIDE, "web", 6 + turn),
        1 + turn,
        80 + turn,
    )
}

fn inline() -> String {
    let issued = rcgen::generate_simple_self_signed(["shop.example".to_owned()]).unwrap();
    let quoted = |pem: String| serde_json::to_string(&pem).unwrap();
    let (chain, key) = (
        quoted(issued.cert.pem()),
        quoted(issued.signing_key.serialize_pem()),
    );
    format!("{{certificate_chain: {chain}, private_key: {key}}}")
}

fn encoded(document: &str) -> Vec<resource::Resource> {
    let source = Source {
        name: "good.yaml".into(),
        text: document.into(),
    };
    let config = load(&source, &Environment::empty())
        .unwrap_or_else(|faults| panic!("{faults}"))
        .config;
    let options = EncodeOptions {
        endpoints_apart: true,
        ..EncodeOptions::default()
    };
    encode(&config, &options).resources()
}

fn find<'r>(
    resources: &'r [resource::Resource],
    resource_type: ResourceType,
    name: &str,
) -> &'r resource::Resource {
    let is_it = |one: &&resource::Resource| one.resource_type() == resource_type && &**one.name() == name;
    resources
        .iter()
        .find(is_it)
        .unwrap_or_else(|| panic!("{resource_type} {name}"))
}

impl Good {
    pub(crate) fn new() -> Good {
        let own = inline();
        let resources = encoded(&document(&own, &inline(), 0));
        Good { own, resources }
    }

    /// All of a type, in this version.
    pub(crate) fn all(&self, resource_type: ResourceType, version: &str) -> Vec<Resource> {
        let of_type = self
            .resources
            .iter()
            .filter(|one| one.resource_type() == resource_type);
        of_type
            .map(|one| wrapped(resource_type, one.name(), version, one.body().to_vec()))
            .collect()
    }

    /// The good one of a type that is not spoilt, as it is in this turn.
    pub(crate) fn beside(&self, resource_type: ResourceType, turn: u16, version: &str) -> Resource {
        let resources = encoded(&document(&self.own, &inline(), turn));
        let found = find(&resources, resource_type, BESIDE);
        wrapped(resource_type, BESIDE, version, found.body().to_vec())
    }

    /// Its message.
    pub(crate) fn message<M: Message + Default>(&self, resource_type: ResourceType) -> M {
        let body = find(&self.resources, resource_type, spoilt(resource_type)).body();
        M::decode(&**body).unwrap()
    }
}

/// The name of the resource of a type that is spoilt.
pub(crate) fn spoilt(resource_type: ResourceType) -> &'static str {
    match resource_type {
        ResourceType::Runtime => "outrigger",
        ResourceType::Secret => "own",
        ResourceType::Cluster | ResourceType::ClusterLoadAssignment => "web",
        ResourceType::Listener => "edge",
        ResourceType::RouteConfiguration => "shop",
    }
}

/// A resource as a server sends it.
pub(crate) fn wrapped(resource_type: ResourceType, name: &str, version: &str, body: Vec<u8>) -> Resource {
    Resource {
        name: name.to_owned(),
        version: version.to_owned(),
        resource: Some(Any {
            type_url: resource_type.type_url().to_owned(),
            value: body,
        }),
        ..Resource::default()
    }
}
