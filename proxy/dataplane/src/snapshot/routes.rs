//! Routes: what a request is served by.

use super::tokens::TokenRequirement;
use super::{AuthorizationLevel, ClusterSlot, FaultPolicy, RateLimitSet, RouteTracing, VirtualHostPolicy};
use outrigger_config::model::{self, Fraction};
use outrigger_telemetry::RouteMetrics;
use outrigger_traffic::hedging::HedgeState;
use outrigger_traffic::retry::RetryRules;
use outrigger_traffic::{CorsPolicy, RouteTable, SessionPolicy, SubsetKey};
use std::sync::Arc;

/// A route configuration's compiled policy.
#[derive(Debug)]
pub(crate) struct RoutesPolicy {
    pub(crate) config: Arc<model::RouteConfiguration>,
    pub(crate) table: RouteTable,
    /// Indices as in the model.
    pub(crate) virtual_hosts: Vec<VirtualHostPolicy>,
    /// Clusters of routes that have a session cookie.
    pub(crate) session_clusters: Box<[ClusterSlot]>,
    /// Some policy, some header value, or some key of requests, asks for the client's address.
    pub(crate) asks_for_clients: bool,
    /// Some route has authorization policies of its own.
    pub(crate) authorizes: bool,
    /// Some route asks for tokens by itself.
    pub(crate) asks_for_tokens: bool,
    /// Some route has a fault of its own.
    pub(crate) injects_faults: bool,
    /// Some route allows upgrades of its own.
    pub(crate) allows_upgrades: bool,
    /// Counts of requests that no route took.
    pub(crate) unmatched: Arc<RouteMetrics>,
}

/// A route's compiled policy.
#[derive(Debug)]
pub(crate) struct RoutePolicy {
    pub(crate) clusters: Vec<ClusterSlot>,
    /// Cumulative weights of `clusters`.
    pub(crate) weights: Vec<u32>,
    /// Which of the clusters' breakers its requests count against.
    pub(crate) priority: model::RoutePriority,
    /// Clusters that get copies, and the share of requests that each gets.
    pub(crate) mirrors: Box<[(ClusterSlot, Fraction)]>,
    pub(crate) cors: Option<Arc<CorsPolicy>>,
    pub(crate) session: Option<Box<SessionPolicy>>,
    /// When attempts are repeated; none: by default.
    pub(crate) retry: Option<Arc<RetryRules>>,
    /// There where requests are hedged.
    pub(crate) hedging: Option<Box<HedgePolicy>>,
    /// What is said of endpoints: subsets, and what is hashed.
    pub(crate) affinity: Option<Box<AffinityPolicy>>,
    /// Tokens that requests need, in place of the chain's; `Some(None)`: none are looked at.
    pub(crate) tokens: Option<Option<TokenRequirement>>,
    /// Authorization policies of its own.
    pub(crate) authorization: Option<Arc<AuthorizationLevel>>,
    /// A fault in place of the chain's; `Some(None)`: none.
    pub(crate) fault: Option<Option<Arc<FaultPolicy>>>,
    /// What it and its virtual host change in the chain's tracing.
    pub(crate) tracing: Option<Arc<RouteTracing>>,
    /// Rate limits of its virtual host, and its own.
    pub(crate) rate_limits: Option<Arc<RateLimitSet>>,
    /// What is sent upstream may be another head than the one that came.
    pub(crate) edits_requests: bool,
    /// Some header value names a variable of the path, which a rewrite may change.
    pub(crate) names_path: bool,
    pub(crate) metrics: Arc<RouteMetrics>,
}

/// How a route's requests are hedged, and what was learnt of them: the latter lives on for as long as the route's name.
#[derive(Debug)]
pub(crate) struct HedgePolicy {
    pub(crate) settings: model::Hedging,
    pub(crate) state: Arc<HedgeState>,
}

/// What a route says of the endpoints of its clusters.
#[derive(Debug)]
pub(crate) struct AffinityPolicy {
    /// What the key of a request is made of.
    pub(crate) hash: Box<[model::HashPolicy]>,
    /// The subset that is asked for of each of the route's clusters.
    pub(crate) subsets: Box<[Option<SubsetKey>]>,
}
