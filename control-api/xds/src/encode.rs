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
use outrigger_config::model::{Cluster, Discovery, Name, RouteConfiguration};
use outrigger_config::{MeshConfig, to_json};
use serde_json::Value as Json;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

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
    /// Clusters and route configurations that were left out ([`encode_after`]).
    pub known: Vec<(ResourceType, String)>,
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
    /// Those of its clusters that are not known, in its order.
    pub(crate) clusters: Vec<Arc<Cluster>>,
    /// Those of its route configurations that are not known, in its order.
    pub(crate) route_configurations: Vec<Arc<RouteConfiguration>>,
    pub(crate) endpoints_apart: bool,
    /// The names of all trust bundles that speak for a trust domain.
    pub(crate) believed: Vec<String>,
    /// The document of the configuration, without endpoints, and without what is known.
    pub(crate) document: Json,
    pub(crate) encoded: Encoded,
}

impl<'c> Encoding<'c> {
    fn of(
        config: &'c MeshConfig,
        options: &EncodeOptions,
        clusters: Vec<Arc<Cluster>>,
        route_configurations: Vec<Arc<RouteConfiguration>>,
    ) -> Encoding<'c> {
        // Endpoints are said whole by messages: of many, the document would be made for nothing.
        let bare = clusters.iter().map(|cluster| match cluster.discovery() {
            Discovery::Static => Arc::new(cluster.with_endpoint_set(&EndpointSet::empty())),
            _ => Arc::clone(cluster),
        });
        let written = config.excerpt(bare.collect(), route_configurations.clone());
        Encoding {
            config,
            clusters,
            route_configurations,
            endpoints_apart: options.endpoints_apart,
            believed: believed(config, options),
            document: to_json(&written),
            encoded: Encoded::default(),
        }
    }

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
    encode_after(config, options, None)
}

/// As [`encode`], of the configuration that comes after one that these options put on the wire: of clusters, with their
/// endpoints, and route configurations that are the same ones by pointer, and that would be the same on the wire,
/// only the names are given, in [`Encoded::known`].
pub fn encode_after(config: &MeshConfig, options: &EncodeOptions, before: Option<&MeshConfig>) -> Encoded {
    let mut encoded = Encoded::default();
    let (clusters, known) = apart(
        config.clusters(),
        before.map_or(&[], |before| before.clusters()),
        Cluster::name,
    );
    encoded
        .known
        .extend(known.map(|name| (ResourceType::Cluster, name)));
    // What routes carry of these is theirs, too.
    let before = before.filter(|before| {
        before.authorization_policies() == config.authorization_policies()
            && before.jwt_providers() == config.jwt_providers()
            && before.rate_limits() == config.rate_limits()
    });
    let (route_configurations, known) = apart(
        config.route_configurations(),
        before.map_or(&[], |before| before.route_configurations()),
        RouteConfiguration::name,
    );
    let known = known.map(|name| (ResourceType::RouteConfiguration, name));
    encoded.known.extend(known);
    let mut encoding = Encoding::of(config, options, clusters, route_configurations);
    encoding.encoded = encoded;
    listener::encode(&mut encoding);
    cluster::encode(&mut encoding);
    routes::encode(&mut encoding);
    secret::encode(&mut encoding);
    runtime::encode(&mut encoding);
    encoding.encoded
}

/// The secrets of a configuration alone, as [`encode`] has them.
pub fn encode_secrets(config: &MeshConfig, options: &EncodeOptions) -> Bodies {
    let mut encoding = Encoding::of(config, options, Vec::new(), Vec::new());
    secret::encode(&mut encoding);
    encoding.encoded.secrets
}

/// Parts that are not among those before, and the names of those that are.
fn apart<T>(
    parts: &[Arc<T>],
    before: &[Arc<T>],
    name: fn(&T) -> &Name,
) -> (Vec<Arc<T>>, impl Iterator<Item = String>) {
    let before: HashMap<&Name, &Arc<T>> = before.iter().map(|part| (name(part), part)).collect();
    let is_known = |part: &&Arc<T>| {
        before
            .get(name(part))
            .is_some_and(|before| Arc::ptr_eq(before, part))
    };
    let (known, others): (Vec<&Arc<T>>, Vec<&Arc<T>>) = parts.iter().partition(is_known);
    let known: Vec<String> = known.into_iter().map(|part| name(part).to_string()).collect();
    (others.into_iter().cloned().collect(), known.into_iter())
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
