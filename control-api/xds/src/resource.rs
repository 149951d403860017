//! A resource of the wire: one named, versioned, encoded unit of policy, and the types that there are.
//!
//! Nothing here reads what is inside a body but its name: `decode` and `encode` do.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::google::protobuf::Any;
use xxhash_rust::xxh64::xxh64;

/// The longest name of a resource that is read from a peer, in bytes. Names of Envoy's control planes are host names
/// with prefixes (under 300 bytes) or `xdstp:` addresses; this leaves room for long ones.
pub const RESOURCE_NAME_BYTES_MAX: usize = 2_048;

/// The largest body of one resource that is read from a peer, in bytes: 100,000 endpoints in one cluster take about
/// 6 MiB.
pub const RESOURCE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The most resources of one type that one conversation holds or names. Ten times the largest mesh that is measured.
pub const RESOURCES_MAX: usize = 100_000;

/// The types of resources that are spoken, in the order in which a server makes: what is referred to comes first.
///
/// Scoped routes, virtual hosts on demand and extension configurations are not spoken: nothing in the model needs them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceType {
    /// Layers of runtime (RTDS).
    Runtime,
    /// Identities and trust bundles (SDS).
    Secret,
    /// Clusters (CDS).
    Cluster,
    /// The endpoints of a cluster (EDS).
    ClusterLoadAssignment,
    /// Listeners (LDS).
    Listener,
    /// Route configurations (RDS).
    RouteConfiguration,
}

impl ResourceType {
    /// Every type, in the order of the enumeration.
    pub const ALL: [Self; 6] = [
        Self::Runtime,
        Self::Secret,
        Self::Cluster,
        Self::ClusterLoadAssignment,
        Self::Listener,
        Self::RouteConfiguration,
    ];

    /// The type URL, as requests, responses and `Any` write it.
    #[must_use]
    pub fn type_url(self) -> &'static str {
        match self {
            Self::Runtime => "type.googleapis.com/envoy.service.runtime.v3.Runtime",
            Self::Secret => "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
            Self::Cluster => "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            Self::ClusterLoadAssignment => {
                "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
            }
            Self::Listener => "type.googleapis.com/envoy.config.listener.v3.Listener",
            Self::RouteConfiguration => "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
        }
    }

    /// The type of a type URL, if it is spoken here.
    #[must_use]
    pub fn of_type_url(type_url: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|resource_type| resource_type.type_url() == type_url)
    }

    /// The name of the message: `Cluster`, `ClusterLoadAssignment`…
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Runtime => "Runtime",
            Self::Secret => "Secret",
            Self::Cluster => "Cluster",
            Self::ClusterLoadAssignment => "ClusterLoadAssignment",
            Self::Listener => "Listener",
            Self::RouteConfiguration => "RouteConfiguration",
        }
    }

    /// Whether a response of the state of the world carries the full state of this type, so that absence is removal,
    /// and whether a first request without names means all of them (xDS protocol, "Grouping Resources into Responses"
    /// and "How the client specifies what resources to return").
    #[must_use]
    pub fn is_full_state(self) -> bool {
        matches!(self, Self::Listener | Self::Cluster)
    }

    /// The place in [`ResourceType::ALL`].
    pub(crate) fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for ResourceType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// One encoded resource. A clone is a count: the name, the version and the body are shared.
///
/// Two resources of the same type, name and version are taken for the same one, so a version must follow from the
/// content: [`Resource::hashed`] makes such a version.
#[derive(Clone)]
pub struct Resource(Arc<Inner>);

struct Inner {
    resource_type: ResourceType,
    name: Arc<str>,
    version: Arc<str>,
    body: Arc<[u8]>,
    ttl: Option<Duration>,
    digest: u64,
}

impl Resource {
    /// A resource of this version; `body` is the encoded message, without the `Any` around it.
    #[must_use]
    pub fn new(
        resource_type: ResourceType,
        name: impl Into<Arc<str>>,
        version: impl Into<Arc<str>>,
        body: impl Into<Arc<[u8]>>,
    ) -> Self {
        let (name, version) = (name.into(), version.into());
        let digest = digest_of(&name, &version, None);
        Self(Arc::new(Inner {
            resource_type,
            name,
            version,
            body: body.into(),
            ttl: None,
            digest,
        }))
    }

    /// A resource whose version is the hash of its body, 16 hexadecimal digits.
    #[must_use]
    pub fn hashed(
        resource_type: ResourceType,
        name: impl Into<Arc<str>>,
        body: impl Into<Arc<[u8]>>,
    ) -> Self {
        let body = body.into();
        let version = format!("{:016x}", xxh64(&body, 0));
        Self::new(resource_type, name, version, body)
    }

    /// The same resource, to be dropped by the client when it has not heard of it for `ttl`.
    #[must_use]
    pub fn with_ttl(&self, ttl: Option<Duration>) -> Self {
        let inner = &self.0;
        Self(Arc::new(Inner {
            resource_type: inner.resource_type,
            name: Arc::clone(&inner.name),
            version: Arc::clone(&inner.version),
            body: Arc::clone(&inner.body),
            ttl,
            digest: digest_of(&inner.name, &inner.version, ttl),
        }))
    }

    /// The type.
    #[must_use]
    pub fn resource_type(&self) -> ResourceType {
        self.0.resource_type
    }

    /// The name, unique within its type.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.0.name
    }

    /// The version: opaque, equal only for equal content.
    #[must_use]
    pub fn version(&self) -> &Arc<str> {
        &self.0.version
    }

    /// The encoded message.
    #[must_use]
    pub fn body(&self) -> &Arc<[u8]> {
        &self.0.body
    }

    /// How long a client keeps it without hearing of it; for ever if none.
    #[must_use]
    pub fn ttl(&self) -> Option<Duration> {
        self.0.ttl
    }

    /// The body with its type, as messages carry it: a copy of the body.
    #[must_use]
    pub fn to_any(&self) -> Any {
        Any {
            type_url: self.0.resource_type.type_url().to_owned(),
            value: self.0.body.to_vec(),
        }
    }

    /// Whether both are one allocation: the quick way to see that nothing changed.
    #[must_use]
    pub fn is_shared_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// A hash of name, version and lifetime; the digest of a set is the sum of its resources' digests.
    pub(crate) fn digest(&self) -> u64 {
        self.0.digest
    }

    /// Whether a peer that has `other` has this one too: the lifetime counts, since it is told with the resource.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        self.is_shared_with(other) || (self.0.version == other.0.version && self.0.ttl == other.0.ttl)
    }
}

fn digest_of(name: &str, version: &str, ttl: Option<Duration>) -> u64 {
    let ttl = ttl.map_or(0, |ttl| xxh64(&ttl.as_nanos().to_le_bytes(), 0));
    xxh64(version.as_bytes(), xxh64(name.as_bytes(), ttl))
}

impl PartialEq for Resource {
    fn eq(&self, other: &Self) -> bool {
        self.is_shared_with(other)
            || (self.0.resource_type == other.0.resource_type
                && self.0.name == other.0.name
                && self.0.version == other.0.version
                && self.0.ttl == other.0.ttl
                && self.0.body == other.0.body)
    }
}

impl Eq for Resource {}

impl fmt::Debug for Resource {
    /// Bodies may hold private keys: they are never written.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} {:?} at {:?}",
            self.0.resource_type, self.0.name, self.0.version
        )?;
        match self.0.ttl {
            Some(ttl) => write!(formatter, " for {ttl:?}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::envoy::config::cluster::v3::Cluster;
    use envoy_types::pb::envoy::config::endpoint::v3::ClusterLoadAssignment;
    use envoy_types::pb::envoy::config::listener::v3::Listener;
    use envoy_types::pb::envoy::config::route::v3::RouteConfiguration;
    use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::Secret;
    use envoy_types::pb::envoy::service::runtime::v3::Runtime;
    use prost::Name;

    use super::*;

    #[test]
    fn type_urls_are_those_of_the_generated_messages() {
        let generated = [
            (ResourceType::Runtime, Runtime::type_url()),
            (ResourceType::Secret, Secret::type_url()),
            (ResourceType::Cluster, Cluster::type_url()),
            (
                ResourceType::ClusterLoadAssignment,
                ClusterLoadAssignment::type_url(),
            ),
            (ResourceType::Listener, Listener::type_url()),
            (ResourceType::RouteConfiguration, RouteConfiguration::type_url()),
        ];
        for (place, (resource_type, type_url)) in generated.into_iter().enumerate() {
            assert_eq!(resource_type.type_url(), type_url);
            assert!(type_url.ends_with(resource_type.name()));
            assert_eq!(ResourceType::of_type_url(&type_url), Some(resource_type));
            assert_eq!(ResourceType::ALL[place], resource_type);
            assert_eq!(resource_type.index(), place);
        }
        assert_eq!(
            ResourceType::of_type_url("type.googleapis.com/envoy.config.route.v3.VirtualHost"),
            None
        );
    }

    #[test]
    fn a_hashed_version_follows_the_body() {
        let one = Resource::hashed(ResourceType::Cluster, "a", vec![1]);
        let same = Resource::hashed(ResourceType::Cluster, "a", vec![1]);
        let other = Resource::hashed(ResourceType::Cluster, "a", vec![2]);
        assert_eq!(one, same);
        assert!(!one.is_shared_with(&same));
        assert_ne!(one.version(), other.version());
        assert_ne!(one, one.with_ttl(Some(Duration::from_secs(1))));
    }

    #[test]
    fn debug_never_shows_the_body() {
        let secret = Resource::hashed(ResourceType::Secret, "identity", b"PRIVATE".to_vec());
        assert!(!format!("{secret:?}").contains("PRIVATE"));
        assert!(!format!("{secret:?}").contains("80, 82"));
    }
}
