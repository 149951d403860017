//! Resources of the wire become documents, and those parts of the policy model.
//!
//! A decoder takes one message apart and makes values of the document's language, each with the field that it was made of.
//! It decides nothing that the document's reader decides: limits, choices and defaults are that reader's. A field that is
//! set and not supported is refused by its path; so is a message that carries fields which the generated types do not know.

mod any;
mod metadata;
mod refusal;
mod value;

pub(crate) use any::unpack;
pub(crate) use metadata::{Extras, NAMESPACE, extras};
pub(crate) use refusal::Refusals;
pub use refusal::{Fault, Refusal};

use crate::support::Message;
use outrigger_config::MeshConfig;
use outrigger_config::document::{EndpointSet, Parts};

/// Messages by the modules that read them.
pub(crate) const MESSAGES: &[&[&Message]] = &[];

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
    /// Process-wide sections; see [`Decoded::process`].
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
#[derive(Debug, Clone)]
pub struct Process {
    pub(crate) name: String,
    pub(crate) sections: serde_json::Map<String, serde_json::Value>,
}

impl Process {
    /// `base` with these sections in the place of its own.
    pub fn apply(&self, base: &MeshConfig) -> Result<MeshConfig, Refusal> {
        let document = value::json_map(&outrigger_config::document::Path::root(), &self.sections);
        outrigger_config::document::read_process(&format!("runtime `{}`", self.name), document.into(), base)
            .map_err(|faults| Refusal::of(&self.name, &faults))
    }
}
