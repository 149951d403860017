//! The policy model becomes resources of the wire.
//!
//! What Envoy's types can say is said by them, so that Envoy and gRPC obey it. The rest travels in metadata, in the
//! document's own words (see `encode/remainder.rs`): so nothing that the model can express is lost between two of ours, and
//! [`Encoded::only_ours`] tells what others would not obey.

mod access_log;
mod api_listener;
mod canonical;
mod cluster;
mod endpoints;
pub(crate) mod filters;
mod listener;
mod matching;
mod remainder;
mod routes;
mod runtime;
mod secret;
mod tls;
mod value;

pub use api_listener::api_listener;
pub use cluster::endpoints_of;
pub(crate) use remainder::Remainder;

use crate::resource::{Resource, ResourceType};
use outrigger_config::document::EndpointSet;
use outrigger_config::model::Discovery;
use outrigger_config::{MeshConfig, to_json};
use serde_json::Value as Json;
use std::fmt;

/// How a configuration is put on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EncodeOptions {
    /// Listed endpoints are resources of their own (EDS), so that a change of one is not a change of the cluster.
    pub endpoints_apart: bool,
    /// Trust bundles beside those of the configuration that speak for a trust domain, and are sent by somebody else: who
    /// believes by SPIFFE asks for them, too.
    pub trust_bundles: Vec<String>,
}

/// Bodies of resources by their names. The bytes of a body follow from the configuration alone.
pub type Bodies = Vec<(String, Vec<u8>)>;

/// A configuration on the wire, in the order of its parts.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Encoded {
    /// Listeners.
    pub listeners: Bodies,
    /// Route configurations.
    pub route_configurations: Bodies,
    /// Clusters.
    pub clusters: Bodies,
    /// Endpoints of clusters, where they are apart.
    pub endpoints: Bodies,
    /// Identities and trust bundles.
    pub secrets: Bodies,
    /// What is said of the whole process.
    pub runtime: Bodies,
    /// What only this project's proxies obey: the resource (`cluster a`) and the document's field.
    pub only_ours: Vec<(String, String)>,
}

impl Encoded {
    /// Every body with its type.
    fn bodies(&self) -> [(ResourceType, &Bodies); 6] {
        [
            (ResourceType::Listener, &self.listeners),
            (ResourceType::RouteConfiguration, &self.route_configurations),
            (ResourceType::Cluster, &self.clusters),
            (ResourceType::ClusterLoadAssignment, &self.endpoints),
            (ResourceType::Secret, &self.secrets),
            (ResourceType::Runtime, &self.runtime),
        ]
    }

    /// All of it as resources, whose versions are hashes of their bodies.
    pub fn resources(&self) -> Vec<Resource> {
        let hashed = |(kind, bodies): (ResourceType, &Bodies)| {
            let one =
                |(name, body): &(String, Vec<u8>)| Resource::hashed(kind, name.as_str(), body.as_slice());
            bodies.iter().map(one).collect::<Vec<_>>()
        };
        self.bodies().into_iter().flat_map(hashed).collect()
    }
}

impl fmt::Debug for Encoded {
    /// Names only: bodies may hold private keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Encoded");
        for (kind, bodies) in self.bodies() {
            let names: Vec<&String> = bodies.iter().map(|(name, _)| name).collect();
            shown.field(kind.name(), &names);
        }
        shown.finish_non_exhaustive()
    }
}

/// What encoders share: the configuration, also as it is written, and what they have made.
#[derive(Debug)]
pub(crate) struct Encoding<'c> {
    pub(crate) config: &'c MeshConfig,
    pub(crate) endpoints_apart: bool,
    /// The names of all trust bundles that speak for a trust domain.
    pub(crate) believed: Vec<String>,
    /// The document of the configuration, without endpoints.
    pub(crate) document: Json,
    pub(crate) encoded: Encoded,
}

impl Encoding<'_> {
    /// A part as it is written: the item of a top-level list.
    pub(crate) fn written(&self, list: &str, index: usize) -> Remainder {
        Remainder::of(self.document[list][index].clone())
    }

    /// Notes fields that only ours obey.
    pub(crate) fn note<'n>(&mut self, resource: &str, fields: impl Iterator<Item = &'n str>) {
        let noted = fields.map(|field| (resource.to_owned(), field.to_owned()));
        self.encoded.only_ours.extend(noted);
    }
}

/// Puts a configuration on the wire.
pub fn encode(config: &MeshConfig, options: &EncodeOptions) -> Encoded {
    // Endpoints are said whole by messages: of many, the document would be made for nothing.
    let bare: Vec<_> = config
        .clusters()
        .iter()
        .filter(|cluster| *cluster.discovery() == Discovery::Static)
        .map(|cluster| cluster.with_endpoint_set(&EndpointSet::empty()).into())
        .collect();
    let mut encoding = Encoding {
        config,
        endpoints_apart: options.endpoints_apart,
        believed: believed(config, options),
        document: to_json(&config.with_clusters(&bare)),
        encoded: Encoded::default(),
    };
    listener::encode(&mut encoding);
    cluster::encode(&mut encoding);
    routes::encode(&mut encoding);
    secret::encode(&mut encoding);
    runtime::encode(&mut encoding);
    encoding.encoded
}

fn believed(config: &MeshConfig, options: &EncodeOptions) -> Vec<String> {
    let bundles = config.trust_bundles().iter();
    let speaking = bundles.filter(|bundle| bundle.trust_domain().is_some());
    let mut names: Vec<String> = speaking.map(|bundle| bundle.name().as_str().to_owned()).collect();
    names.extend(options.trust_bundles.iter().cloned());
    names.sort();
    names.dedup();
    names
}
