//! Resources of the wire become documents, and those parts of the policy model.
//!
//! A decoder takes one message apart and makes values of the document's language, each with the field that it was made of.
//! It decides nothing that the document's reader decides: limits, choices and defaults are that reader's. A field that is
//! set and not supported is refused by its path; so is a message that carries fields which the generated types do not know.

mod access_log;
mod any;
pub(crate) mod carried;
mod cluster;
mod endpoints;
pub(crate) mod filters;
mod grpc;
pub(crate) mod http;
pub(crate) mod listener;
mod matching;
mod metadata;
mod refusal;
pub(crate) mod routes;
mod runtime;
mod secret;
mod source;
mod tls;
mod value;

pub(crate) use any::{decode as read_as, type_url, unpack};
pub(crate) use carried::{Carried, CarriedKind};
pub(crate) use cluster::OPTIONS_KEY;
pub(crate) use endpoints::SUBSETS_NAMESPACE;
pub(crate) use matching::escape;
pub(crate) use metadata::{Extras, NAMESPACE, NEARLY, extras};
pub(crate) use refusal::Refusals;
pub use refusal::{Fault, Refusal};
pub(crate) use runtime::NAME as RUNTIME;
pub(crate) use tls::SPIFFE_SECRET;
pub(crate) use value::ORDERED;

use crate::resource::ResourceType;
use crate::support::Message;
use outrigger_config::MeshConfig;
use outrigger_config::document::{EndpointSet, Parts, Path};
use prost::Name;

/// Takes a resource apart: `name` is what it is asked for by, `body` the message. Everything that is wrong with it is told
/// at once.
pub fn decode(type_url: &str, name: &str, body: &[u8]) -> Result<Decoded, Refusal> {
    let mut refusals = Refusals::default();
    let decoded = decode_into(&mut refusals, type_url, name, body);
    match decoded {
        Some(decoded) if refusals.is_empty() => Ok(decoded),
        _ => {
            if refusals.is_empty() {
                refusals.fault(&Path::root(), "it cannot be understood");
            }
            Err(refusals.into_refusal(name))
        }
    }
}

fn decode_into(refusals: &mut Refusals, type_url: &str, name: &str, body: &[u8]) -> Option<Decoded> {
    fn is<T: Name>(type_url: &str) -> bool {
        type_url.strip_prefix("type.googleapis.com/") == Some(T::full_name().as_str())
    }
    if is::<listener::Listener>(type_url) {
        let message = any::decode(refusals, &Path::root(), body)?;
        return listener::resource(refusals, name, &message).map(Decoded::Listener);
    }
    if is::<routes::RouteConfiguration>(type_url) {
        let message = any::decode(refusals, &Path::root(), body)?;
        return routes::resource(refusals, name, &message).map(Decoded::RouteConfiguration);
    }
    if is::<cluster::Message>(type_url) {
        let message = any::decode(refusals, &Path::root(), body)?;
        return cluster::decode(refusals, name, &message).map(Decoded::Cluster);
    }
    if is::<endpoints::Message>(type_url) {
        let message = any::decode(refusals, &Path::root(), body)?;
        return endpoints::decode(refusals, name, &message).map(Decoded::Endpoints);
    }
    if is::<secret::Message>(type_url) {
        let message = any::decode(refusals, &Path::root(), body)?;
        return secret::decode(refusals, name, &message).map(Decoded::Secret);
    }
    if is::<runtime::Message>(type_url) {
        let message = any::decode(refusals, &Path::root(), body)?;
        return runtime::decode(refusals, name, &message).map(Decoded::Runtime);
    }
    refusals.unsupported(&Path::root(), format!("the resource type {type_url}"));
    None
}

/// A fault if the message calls itself otherwise than the resource is called.
pub(crate) fn check_name(refusals: &mut Refusals, field: &'static str, name: &str, own: &str) {
    if name != own {
        let message = format!("the message is named `{own}`, the resource `{name}`");
        refusals.fault(&Path::root().field(field), message);
    }
}

/// Messages by the modules that read them.
pub(crate) const MESSAGES: &[&[&Message]] = &[
    access_log::MESSAGES,
    access_log::FILTER_MESSAGES,
    routes::MESSAGES,
    cluster::MESSAGES,
    endpoints::MESSAGES,
    grpc::MESSAGES,
    matching::MESSAGES,
    secret::MESSAGES,
    tls::MESSAGES,
    runtime::MESSAGES,
    source::MESSAGES,
];

/// What a resource of the wire became.
#[derive(Debug, Clone)]
pub enum Decoded {
    /// A listener with the policies that it carries. What it refers to is in [`Parts::references`].
    Listener(Parts),
    /// A route configuration with the policies that it carries.
    RouteConfiguration(Parts),
    /// A cluster.
    Cluster(DecodedCluster),
    /// The endpoints of the clusters that ask for them by the resource's name.
    Endpoints(EndpointSet),
    /// An identity or a trust bundle, named as the secret.
    Secret(Parts),
    /// Process-wide sections; see [`Process::apply`].
    Runtime(Process),
}

/// A cluster, and where its endpoints come from.
#[derive(Debug, Clone)]
pub struct DecodedCluster {
    /// The cluster; without endpoints if they come apart.
    pub parts: Parts,
    /// The name under which its endpoints are asked for (EDS); none: it has them.
    pub endpoints: Option<String>,
}

/// Process-wide sections, which are read against a base.
#[derive(Clone)]
pub struct Process {
    pub(crate) name: String,
    pub(crate) sections: serde_json::Map<String, serde_json::Value>,
}

impl std::fmt::Debug for Process {
    /// Names only: sections may hold what is sent to collectors.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sections: Vec<&String> = self.sections.keys().collect();
        f.debug_struct("Process")
            .field("name", &self.name)
            .field("sections", &sections)
            .finish()
    }
}

impl Process {
    /// It says what is sent to collectors in headers.
    pub(crate) fn holds_headers(&self) -> bool {
        let collectors = self
            .sections
            .get("telemetry")
            .map(|telemetry| &telemetry["collectors"]);
        let collectors = collectors.and_then(serde_json::Value::as_array);
        collectors.is_some_and(|all| all.iter().any(|one| one.get("headers").is_some()))
    }

    /// `base` with these sections in the place of its own.
    pub fn apply(&self, base: &MeshConfig) -> Result<MeshConfig, Refusal> {
        let document = value::json_map(&outrigger_config::document::Path::root(), &self.sections);
        outrigger_config::document::read_process(&format!("runtime `{}`", self.name), document.into(), base)
            .map_err(|faults| Refusal::of(&self.name, &faults))
    }
}

/// What diagnostics call a resource, so that a fault of the whole can be led back to it.
pub(crate) fn label(resource_type: ResourceType, name: &str) -> String {
    let what = match resource_type {
        ResourceType::Runtime => "runtime",
        ResourceType::Secret => "secret",
        ResourceType::Cluster => "cluster",
        ResourceType::ClusterLoadAssignment => "endpoints",
        ResourceType::Listener => "listener",
        ResourceType::RouteConfiguration => "route configuration",
    };
    format!("{what} `{name}`")
}
