//! Filter chains: what a connection is served by.

use super::tokens::TokenPolicy;
use super::{ClusterSlot, RateLimitSet, RoutesPolicy, TracingPolicy};
use crate::access_log::AccessLog;
use outrigger_config::model::{self, Name};
use outrigger_identity::{Basis, Belief};
use outrigger_telemetry::{AuthorizationMetrics, DirectionMetrics, ListenerMetrics, PolicyMetrics};
use outrigger_traffic::SubsetKey;
use outrigger_traffic::authorization::PolicySet;
use outrigger_traffic::fault::FaultState;
use std::sync::Arc;

/// A filter chain's compiled policy.
pub(crate) struct ChainPolicy {
    pub(crate) config: model::FilterChain,
    pub(crate) tls: Option<TlsPolicy>,
    /// There where HTTP may be spoken.
    pub(crate) http: Option<HttpPolicy>,
    /// There where bytes may be passed on as they are.
    pub(crate) tcp: Option<TcpPolicy>,
    pub(crate) listener: Arc<ListenerMetrics>,
    pub(crate) direction: Arc<DirectionMetrics>,
    /// Authorization policies of its own.
    pub(crate) authorization: Option<Arc<AuthorizationLevel>>,
    /// Counts of decisions, by policies of routes too.
    pub(crate) authorization_metrics: Arc<AuthorizationMetrics>,
}

impl ChainPolicy {
    /// The same chain with other TLS.
    pub(super) fn with_tls(&self, tls: TlsPolicy) -> ChainPolicy {
        ChainPolicy {
            config: self.config.clone(),
            tls: Some(tls),
            http: self.http.clone(),
            tcp: self.tcp.clone(),
            listener: Arc::clone(&self.listener),
            direction: Arc::clone(&self.direction),
            authorization: self.authorization.clone(),
            authorization_metrics: Arc::clone(&self.authorization_metrics),
        }
    }

    /// True if plain text is served where TLS is terminated.
    pub(crate) fn is_permissive(&self) -> bool {
        self.tls
            .as_ref()
            .is_some_and(|tls| tls.settings.mode() == model::TlsMode::Permissive)
    }

    /// How HTTP is spoken; only for connections on which it is: a chain that ceases to speak it becomes another chain.
    pub(crate) fn http(&self) -> &HttpPolicy {
        self.http
            .as_ref()
            .expect("a connection that speaks HTTP has a chain that does")
    }
}

impl std::fmt::Debug for ChainPolicy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChainPolicy")
            .field("name", self.config.name())
            .finish_non_exhaustive()
    }
}

/// TLS termination of a chain.
#[derive(Debug, Clone)]
pub(crate) struct TlsPolicy {
    pub(crate) config: Arc<rustls::ServerConfig>,
    /// What it was built from; with `basis`, what a publish compares, so that nothing new keeps its sessions.
    pub(crate) settings: model::DownstreamTls,
    /// The material that it was built from.
    pub(crate) basis: Basis,
    /// Whom it believes, to ask again; none: clients are asked for no certificate.
    pub(crate) belief: Option<Arc<Belief>>,
}

/// The HTTP side of a filter chain.
#[derive(Clone)]
pub(crate) struct HttpPolicy {
    pub(crate) options: model::HttpOptions,
    pub(crate) routes: Arc<RoutesPolicy>,
    /// There if the chain, or a route of it, asks for tokens.
    pub(crate) tokens: Option<Arc<TokenPolicy>>,
    pub(crate) access_logs: Arc<[AccessLog]>,
    /// Faults of routes that do not say otherwise.
    pub(crate) fault: Option<Arc<FaultPolicy>>,
    /// There is that, or some route has a fault of its own.
    pub(crate) injects_faults: bool,
    /// Another service is asked for each request.
    pub(crate) external_authorization: Option<Arc<ExternalAuthorizationPolicy>>,
    /// How requests are traced.
    pub(crate) tracing: Option<Arc<TracingPolicy>>,
    /// Limits that apply to every request that a route takes.
    pub(crate) rate_limits: Option<Arc<RateLimitSet>>,
}

impl HttpPolicy {
    /// Clients may upgrade to something, by some route: what HTTP/2 clients are told.
    pub(crate) fn allows_upgrades(&self) -> bool {
        self.routes.allows_upgrades || !self.options.upgrades().is_empty()
    }
}

/// The TCP side of a filter chain.
#[derive(Clone)]
pub(crate) struct TcpPolicy {
    pub(crate) options: model::TcpProxy,
    pub(crate) clusters: Vec<ClusterSlot>,
    /// Cumulative weights of `clusters`.
    pub(crate) weights: Vec<u32>,
    /// Limits on new connections.
    pub(crate) rate_limits: Option<Arc<RateLimitSet>>,
    /// The subset that is asked for of each, if there is any.
    pub(crate) subsets: Option<Arc<[Option<SubsetKey>]>>,
    pub(crate) access_logs: Arc<[AccessLog]>,
}

/// Compiled authorization policies by the names that chains and routes list.
pub(crate) type AuthorizationLevels = Arc<foldhash::HashMap<Box<[Name]>, Arc<AuthorizationLevel>>>;

/// Authorization policies of a filter chain, or of a route.
#[derive(Debug)]
pub(crate) struct AuthorizationLevel {
    pub(crate) set: PolicySet,
    /// Counts, by the index of a policy in the set.
    pub(crate) metrics: Box<[Arc<PolicyMetrics>]>,
}

/// A fault and what is counted of it.
#[derive(Debug)]
pub(crate) struct FaultPolicy {
    pub(crate) config: Arc<model::Fault>,
    pub(crate) state: Arc<FaultState>,
}

/// Whom a chain asks whether its requests may go on.
pub(crate) struct ExternalAuthorizationPolicy {
    pub(crate) config: model::ExternalAuthorization,
    pub(crate) cluster: ClusterSlot,
    /// Keys the workers' decisions; never used twice.
    pub(crate) id: u64,
}
