//! The policy model becomes resources of the wire.
//!
//! What Envoy's types can say is said by them, so that Envoy and gRPC obey it. The rest travels in metadata, in the
//! document's own words (see [`remainder`]): so nothing that the model can express is lost between two of ours, and
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

use outrigger_config::document::EndpointSet;
use outrigger_config::model::Discovery;
use outrigger_config::{MeshConfig, to_json};
use serde_json::Value as Json;

/// How a configuration is put on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EncodeOptions {
    /// Listed endpoints are resources of their own (EDS), so that a change of one is not a change of the cluster.
    pub endpoints_apart: bool,
}

/// Bodies of resources by their names. The bytes of a body follow from the configuration alone.
pub type Bodies = Vec<(String, Vec<u8>)>;

/// A configuration on the wire, in the order of its parts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
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

/// What encoders share: the configuration, also as it is written, and what they have made.
#[derive(Debug)]
pub(crate) struct Encoding<'c> {
    pub(crate) config: &'c MeshConfig,
    pub(crate) options: EncodeOptions,
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
        options: *options,
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
