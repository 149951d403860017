//! The policy model: the only meaning of policy in Outrigger.
//!
//! Every value here has been checked: references are resolved, limits hold, patterns compile. A front (YAML today,
//! xDS later) builds it inside this crate; outside it can only be read. Nothing in the data plane validates again.

mod access_log;
mod authorization;
mod balancing;
mod breakers;
mod cluster;
mod control;
mod cors;
pub mod defaults;
mod discovery;
mod edge;
mod external_authorization;
mod fault;
mod headers;
mod health;
mod http;
mod identity;
mod jwt;
mod listener;
mod overload;
mod rate_limit;
mod retry;
mod route;
mod spiffe;
mod tcp;
mod telemetry;
mod tls;
mod tracing;

pub use access_log::*;
pub use authorization::*;
pub use balancing::*;
pub use breakers::*;
pub use cluster::*;
pub use control::*;
pub use cors::*;
pub use discovery::*;
pub use edge::*;
pub use external_authorization::*;
pub use fault::*;
pub use headers::*;
pub use health::*;
pub use http::*;
pub use identity::*;
pub use jwt::*;
pub use listener::*;
pub use overload::*;
pub use rate_limit::*;
pub use retry::*;
pub use route::*;
pub use spiffe::*;
pub use tcp::*;
pub use telemetry::*;
pub use tls::*;
pub use tracing::*;

use crate::diagnostic::{Diagnostic, placed};
use crate::receipt::Counts;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Declares a model struct with private fields and one getter a field, so that a field's documentation stands once.
/// `copy` getters return the value, `by_ref` getters borrow it.
macro_rules! model {
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$field_meta:meta])* $kind:ident $field:ident: $ty:ty,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name { $(pub(crate) $field: $ty,)* }
        impl $name { $(model!(@getter $kind $(#[$field_meta])* $field $ty);)* }
    };
    (@getter copy $(#[$m:meta])* $field:ident $ty:ty) => {
        $(#[$m])* pub fn $field(&self) -> $ty { self.$field }
    };
    (@getter by_ref $(#[$m:meta])* $field:ident $ty:ty) => {
        $(#[$m])* pub fn $field(&self) -> &$ty { &self.$field }
    };
}
pub(crate) use model;

/// A name that policy refers to: a listener's, a cluster's, a virtual host's, a route's. 1 to 253 characters of
/// `A-Z a-z 0-9 . _ : / -`; cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(pub(crate) Arc<str>);

impl Name {
    /// The name's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a piece of policy was written: shown by `outrigger explain`; it takes no part in comparisons, so that moving
/// a line changes nothing.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    pub(crate) file: Option<Arc<str>>,
    pub(crate) line: u32,
    pub(crate) column: u32,
    pub(crate) path: Option<Arc<str>>,
}

impl Origin {
    /// The field of the resource that the policy came from, if it came from one; `file` is then the resource's name.
    pub fn path(&self) -> Option<&str> {
        self.path.as_deref()
    }
    /// The file, if the policy came from one.
    pub fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }
    /// The line, counted from 1; 0 when unknown.
    pub fn line(&self) -> u32 {
        self.line
    }
    /// The column, counted from 1; 0 when unknown.
    pub fn column(&self) -> u32 {
        self.column
    }
}

impl PartialEq for Origin {
    fn eq(&self, _: &Origin) -> bool {
        true
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(file) if let Some(path) = &self.path => f.write_str(&placed(file, path)),
            Some(file) => write!(f, "{file}:{}:{}", self.line, self.column),
            None => write!(f, "line {}, column {}", self.line, self.column),
        }
    }
}

model! {
    /// One complete, valid configuration. Listeners, route configurations and clusters are shared by `Arc`, so that
    /// the difference of two configurations can compare pointers before values.
    pub struct MeshConfig {
        /// The admin endpoint.
        by_ref admin: Admin,
        /// Process-wide settings that are read once, at start.
        by_ref runtime: Runtime,
        /// How the process ends.
        by_ref drain: Drain,
        /// All listeners, in the order of the document; names are unique.
        by_ref listeners: Vec<Arc<Listener>>,
        /// All route configurations, in the order of the document; names are unique.
        by_ref route_configurations: Vec<Arc<RouteConfiguration>>,
        /// All clusters, in the order of the document; names are unique.
        by_ref clusters: Vec<Arc<Cluster>>,
        /// All identities, in the order of the document; names are unique.
        by_ref identities: Vec<Arc<Identity>>,
        /// All trust bundles, in the order of the document; names and trust domains are unique.
        by_ref trust_bundles: Vec<Arc<TrustBundle>>,
        /// Whom is believed no more.
        by_ref revocation: Revocation,
        /// All authorization policies, in the order of the document; names are unique.
        by_ref authorization_policies: Vec<Arc<AuthorizationPolicy>>,
        /// All JWT providers, in the order of the document; names are unique.
        by_ref jwt_providers: Vec<Arc<JwtProvider>>,
        /// All rate limits, in the order of the document; names are unique.
        by_ref rate_limits: Vec<Arc<RateLimit>>,
        /// Limits of the whole process.
        by_ref overload: Overload,
        /// What the process tells collectors.
        by_ref telemetry: Telemetry,
        /// The control plane that policy comes from, too; none: none. Changing it needs a restart.
        by_ref control: Option<Control>,
        /// What looked odd while it was read.
        by_ref notes: Notes,
    }
}

/// What looked odd while a configuration was read; it takes no part in comparisons, as [`Origin`] does not.
#[derive(Debug, Clone, Default)]
pub struct Notes {
    kept: Arc<[Diagnostic]>,
    counts: Counts,
}

impl Notes {
    /// `counts`: of these warnings and of those that were not kept.
    pub(crate) fn new(kept: Vec<Diagnostic>, counts: Counts) -> Notes {
        Notes {
            kept: kept.into(),
            counts,
        }
    }

    /// How many there are of each code, those that were not kept included.
    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Warnings, as they were found; the lines that they point at are not kept.
    pub fn as_slice(&self) -> &[Diagnostic] {
        &self.kept
    }
}

impl PartialEq for Notes {
    fn eq(&self, _: &Notes) -> bool {
        true
    }
}

impl MeshConfig {
    /// The index of the cluster with this name.
    pub fn cluster_index(&self, name: &Name) -> Option<usize> {
        self.clusters.iter().position(|cluster| &cluster.name == name)
    }
    /// The index of the route configuration with this name.
    pub fn route_configuration_index(&self, name: &Name) -> Option<usize> {
        self.route_configurations
            .iter()
            .position(|routes| &routes.name == name)
    }
}

model! {
    /// The admin endpoint: readiness, metrics, dumps.
    pub struct Admin {
        /// Where it listens: [`defaults::ADMIN_ADDRESS`].
        copy address: SocketAddr,
    }
}

model! {
    /// Settings read once, at start; changing them needs a restart, and a reload that changes them says so.
    pub struct Runtime {
        /// Number of worker threads; none means one per available core.
        copy workers: Option<usize>,
        /// The mark (`SO_MARK`) of sockets to upstreams, by which rules of the kernel know them; none: not marked. Needs
        /// the capability CAP_NET_ADMIN. Never 0.
        copy socket_mark: Option<u32>,
        /// Where this proxy runs; none: unknown.
        by_ref locality: Option<Locality>,
    }
}

model! {
    /// How the process ends after SIGTERM.
    pub struct Drain {
        /// How long connections are still accepted after readiness has turned false: [`defaults::DRAIN_GRACE`].
        copy grace: Duration,
        /// How long requests in flight may take after that: [`defaults::DRAIN_TIMEOUT`].
        copy timeout: Duration,
    }
}
