//! Compiled policy: what the hot path reads. Immutable; published as a whole; parts that did not change are shared
//! with the snapshot before, so that pools, counts and sockets survive.
//!
//! Nothing here is looked up by name per request: routes hold slots of clusters, connections hold slots of chains.

mod compile;
mod edge;
mod limits;
pub(crate) mod rate_limit;
mod select;
pub(crate) mod tokens;

pub use compile::{CompileFault, Compiler};
pub(crate) use limits::LimitGauges;
pub use limits::priority_name;
pub use rate_limit::RateLimitPolicy;
pub(crate) use rate_limit::RateLimitSet;
pub(crate) use select::ConnectionFacts;

pub(crate) use edge::{EdgePolicy, MaintenancePolicy, PagePolicy, VirtualHostPolicy};

/// Endpoints that are checked before they are in force, by cluster and address (a logical endpoint's first): the compiler
/// gives an endpoint that is new the health that is here. One that is not here, of a cluster with health checks, has not
/// passed any.
pub type Newcomers = Arc<Mutex<HashMap<Name, HashMap<SocketAddr, Arc<EndpointHealth>>>>>;

/// What ties the data plane to whoever looks after its endpoints' health.
#[derive(Debug, Clone)]
pub struct HealthLinks {
    /// What is checked ahead.
    pub newcomers: Newcomers,
    /// Who is told of runs of failures. Bounded.
    pub alarms: mpsc::Sender<OutlierAlarm>,
}

impl Default for HealthLinks {
    /// Nothing is checked ahead, and nobody listens.
    fn default() -> HealthLinks {
        HealthLinks {
            newcomers: Newcomers::default(),
            alarms: mpsc::channel(1).0,
        }
    }
}

/// What discovery found, by cluster. A cluster that is not named keeps what it had.
pub type Discovered = foldhash::HashMap<Name, EndpointSet>;

/// What discovery found for one cluster, shared for as long as it does not change. Where all addresses are one endpoint
/// (logical DNS), only addresses have a meaning.
pub type EndpointSet = Arc<[model::Endpoint]>;

use crate::outlier::{OutlierAlarm, OutlierPolicy};
use crate::places::PlaceQueues;
use bytes::Bytes;
use outrigger_config::model::{self, Fraction, MeshConfig, Name};
use outrigger_identity::{Basis, Belief, Material, Revocations, UpstreamIdentity};
use outrigger_telemetry::{
    AccessLogFormat, AccessLogWriter, AuthorizationMetrics, ClusterMetrics, ListenerMetrics, PolicyMetrics,
    RouteMetrics,
};
use outrigger_traffic::adaptive::{AdaptiveLimit, AdaptiveState};
use outrigger_traffic::authorization::PolicySet;
use outrigger_traffic::breakers::ClusterBreakers;
use outrigger_traffic::fault::FaultState;
use outrigger_traffic::hedging::HedgeState;
use outrigger_traffic::retry::{Allowance, RequestCounts, RetryBudget, RetryDenial, RetryRules};
use outrigger_traffic::{
    Balancer, CorsPolicy, EndpointHealth, EndpointLoad, Pace, RouteTable, SessionKey, SessionPolicy,
    SessionTable, Standing, SubsetKey, TokenBucket, ZoneView,
};
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};
use tokens::{TokenPolicy, TokenProviders, TokenRequirement};
use tokio::sync::mpsc;

/// Index of a filter chain in [`Snapshot`]; stays the same across snapshots for as long as the chain's identity does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ChainSlot(pub(crate) u32);

/// Index of a cluster in [`Snapshot`]; stays the same across snapshots for as long as its name is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ClusterSlot(pub(crate) u32);

/// What makes two listening sockets the same: the address, and the listener's name where the kernel picks the port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SocketKey {
    pub(crate) address: SocketAddr,
    pub(crate) name: Option<Name>,
}

impl SocketKey {
    pub(crate) fn of(listener: &model::Listener) -> SocketKey {
        let name = (listener.address().port() == 0).then(|| listener.name().clone());
        SocketKey {
            address: listener.address(),
            name,
        }
    }
}

/// One compiled configuration.
#[derive(Debug)]
pub struct Snapshot {
    pub(crate) generation: u64,
    /// Counts publishes, those of endpoints or material alone included.
    pub(crate) revision: u64,
    pub(crate) config: Arc<MeshConfig>,
    /// What identities are made of.
    pub(crate) material: Arc<Material>,
    pub(crate) listeners: Vec<Arc<ListenerPolicy>>,
    pub(crate) chains: Vec<Option<Arc<ChainPolicy>>>,
    pub(crate) routes: Vec<Arc<RoutesPolicy>>,
    /// Compiled authorization policies, by their names.
    pub(crate) authorization: AuthorizationLevels,
    pub(crate) clusters: Vec<Option<Arc<ClusterPolicy>>>,
    pub(crate) tokens: Arc<TokenProviders>,
    pub(crate) rate_limits: Arc<[Arc<RateLimitPolicy>]>,
}

impl Snapshot {
    /// Counts accepted configurations, from 1.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Counts what was published, from 1: configurations, and changes of discovered endpoints and of material between them.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The configuration that was compiled.
    pub fn config(&self) -> &Arc<MeshConfig> {
        &self.config
    }

    /// What identities are made of, in this snapshot.
    pub fn material(&self) -> &Arc<Material> {
        &self.material
    }

    /// Whom is believed no more; the same by pointer for as long as nothing of it changes.
    pub fn revocations(&self) -> &Arc<Revocations> {
        self.material.revocations()
    }

    /// All clusters, for `/clusters`.
    pub fn clusters(&self) -> impl Iterator<Item = &Arc<ClusterPolicy>> {
        self.clusters.iter().flatten()
    }

    /// All rate limits, for `/rate_limits`.
    pub fn rate_limits(&self) -> &[Arc<RateLimitPolicy>] {
        &self.rate_limits
    }

    pub(crate) fn chain(&self, slot: ChainSlot) -> Option<&Arc<ChainPolicy>> {
        self.chains.get(slot.0 as usize)?.as_ref()
    }

    pub(crate) fn cluster(&self, slot: ClusterSlot) -> Option<&Arc<ClusterPolicy>> {
        self.clusters.get(slot.0 as usize)?.as_ref()
    }

    /// True if a listener takes connections that were not addressed to it.
    pub(crate) fn intercepts(&self) -> bool {
        let off = model::Interception::Off;
        self.listeners
            .iter()
            .any(|listener| listener.config.interception() != off)
    }

    pub(crate) fn listener(&self, key: &SocketKey) -> Option<&Arc<ListenerPolicy>> {
        self.listeners.iter().find(|listener| listener.key == *key)
    }
}

/// Compiled authorization policies by the names that chains and routes list.
pub(crate) type AuthorizationLevels = Arc<foldhash::HashMap<Box<[Name]>, Arc<AuthorizationLevel>>>;

/// A listener's compiled policy.
#[derive(Debug)]
pub(crate) struct ListenerPolicy {
    pub(crate) key: SocketKey,
    pub(crate) config: Arc<model::Listener>,
    pub(crate) chains: Vec<ChainSlot>,
    pub(crate) detection: Detection,
    pub(crate) shared: Arc<ListenerShared>,
    /// There if the rate of new connections is limited.
    pub(crate) rate: Option<Arc<ConnectionPace>>,
    pub(crate) metrics: Arc<ListenerMetrics>,
}

/// Counts of a listener that policy reads; process-wide, kept across snapshots.
#[derive(Debug, Default)]
pub(crate) struct ListenerShared {
    pub(crate) connections: AtomicUsize,
}

/// How often connections may come to a listener; process-wide, kept across snapshots.
#[derive(Debug)]
pub(crate) struct ConnectionPace {
    pace: Pace,
    bucket: TokenBucket,
    /// The epoch of the bucket's times.
    since: Instant,
}

impl ConnectionPace {
    /// That of a rate. What was taken at the one before stays taken.
    pub(crate) fn new(
        rate: model::ConnectionRate,
        before: Option<&Arc<ConnectionPace>>,
    ) -> Arc<ConnectionPace> {
        let pace = Pace::new(rate.per_second(), Duration::from_secs(1), rate.burst());
        match before {
            Some(before) if before.pace == pace => Arc::clone(before),
            Some(before) => Arc::new(ConnectionPace {
                pace,
                bucket: before.bucket.carried(before.since.elapsed(), &before.pace, &pace),
                since: before.since,
            }),
            None => Arc::new(ConnectionPace {
                pace,
                bucket: TokenBucket::new(),
                since: Instant::now(),
            }),
        }
    }

    /// Whether one more connection may come now.
    pub(crate) fn allows(&self) -> bool {
        self.bucket.take(self.since.elapsed(), &self.pace).is_ok()
    }
}

/// What must be seen before a listener's filter chain can be picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detection {
    /// Nothing: no chain terminates TLS, and none asks what a ClientHello says.
    Nothing,
    /// A ClientHello: every chain terminates TLS.
    Tls,
    /// The first byte, and a ClientHello if it begins one.
    FirstBytes,
}

/// An access log: what a line holds, and where it goes.
pub(crate) struct AccessLog {
    pub(crate) format: AccessLogFormat,
    pub(crate) writer: Arc<AccessLogWriter>,
}

/// A filter chain's compiled policy.
pub(crate) struct ChainPolicy {
    pub(crate) config: model::FilterChain,
    pub(crate) tls: Option<TlsPolicy>,
    /// There where HTTP may be spoken.
    pub(crate) http: Option<HttpPolicy>,
    /// There where bytes may be passed on as they are.
    pub(crate) tcp: Option<TcpPolicy>,
    pub(crate) listener: Arc<ListenerMetrics>,
    /// Authorization policies of its own.
    pub(crate) authorization: Option<Arc<AuthorizationLevel>>,
    /// Counts of decisions, by policies of routes too.
    pub(crate) authorization_metrics: Arc<AuthorizationMetrics>,
}

impl ChainPolicy {
    /// The same chain with other TLS.
    fn with_tls(&self, tls: TlsPolicy) -> ChainPolicy {
        ChainPolicy {
            config: self.config.clone(),
            tls: Some(tls),
            http: self.http.clone(),
            tcp: self.tcp.clone(),
            listener: Arc::clone(&self.listener),
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

/// Authorization policies of a filter chain, or of a route.
#[derive(Debug)]
pub(crate) struct AuthorizationLevel {
    pub(crate) set: PolicySet,
    /// Counts, by the index of a policy in the set.
    pub(crate) metrics: Box<[Arc<PolicyMetrics>]>,
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

impl HttpPolicy {
    /// Clients may upgrade to something, by some route: what HTTP/2 clients are told.
    pub(crate) fn allows_upgrades(&self) -> bool {
        self.routes.allows_upgrades || !self.options.upgrades().is_empty()
    }
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
    /// Limits that apply to every request that a route takes.
    pub(crate) rate_limits: Option<Arc<RateLimitSet>>,
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

/// The subsets of one cluster that somebody asks for.
pub(crate) type WantedSubsets = Arc<[Arc<BTreeMap<String, String>>]>;

impl Snapshot {
    /// Puts the limits of clusters that are not what they were before in force.
    pub(crate) fn limit_clusters(&self, before: &Snapshot) {
        for (slot, cluster) in self.clusters.iter().enumerate() {
            let Some(cluster) = cluster else { continue };
            let old = before.clusters.get(slot).and_then(Option::as_ref);
            if !old.is_some_and(|old| Arc::ptr_eq(&old.config, &cluster.config)) {
                cluster.shared.limit(&cluster.config);
            }
        }
    }
}

/// A cluster's compiled policy.
#[derive(Debug)]
pub struct ClusterPolicy {
    pub(crate) config: Arc<model::Cluster>,
    /// What its endpoints were made of, where the configuration does not list them.
    pub(crate) discovered: Option<EndpointSet>,
    pub(crate) endpoints: Vec<Arc<EndpointState>>,
    pub(crate) balancer: Balancer,
    /// There where outliers are looked for.
    pub(crate) outlier: Option<Box<OutlierPolicy>>,
    /// What `balancer` was made by beside the configuration.
    pub(crate) wanted_subsets: WantedSubsets,
    pub(crate) zones: Option<Arc<ZoneView>>,
    /// There if endpoints are where downstream connections were meant for.
    pub(crate) destinations: Option<DestinationsPolicy>,
    /// Made by the compiler where a route has a session cookie.
    pub(crate) sessions: OnceLock<SessionTable>,
    pub(crate) tls: Option<UpstreamTlsPolicy>,
    pub(crate) shared: Arc<ClusterShared>,
    /// What each endpoint may have at most; none: nothing is limited.
    pub(crate) endpoint_limits: Option<model::EndpointThresholds>,
    /// A limit on requests that follows response times.
    pub(crate) adaptive: Option<Arc<AdaptiveLimit>>,
    pub(crate) limit_gauges: LimitGauges,
    pub(crate) metrics: Arc<ClusterMetrics>,
}

impl ClusterPolicy {
    /// Its endpoints by what session cookies say of them.
    pub(crate) fn sessions(&self) -> &SessionTable {
        let key = |endpoint: &Arc<EndpointState>| endpoint.session_key(self.config.name().as_str());
        self.sessions
            .get_or_init(|| SessionTable::new(self.endpoints.iter().map(key)))
    }

    /// The cluster's configuration.
    pub fn config(&self) -> &Arc<model::Cluster> {
        &self.config
    }

    /// What discovery found, where the configuration does not list endpoints.
    pub fn discovered(&self) -> Option<&EndpointSet> {
        self.discovered.as_ref()
    }

    /// Its endpoints with their state, in the order of the configuration or of what was discovered.
    pub fn endpoints(&self) -> &[Arc<EndpointState>] {
        &self.endpoints
    }

    /// What is said of the endpoint at a place among [`ClusterPolicy::endpoints`]: weight, priority, locality, status; none
    /// for a logical one.
    pub fn member(&self, place: usize) -> Option<&model::Endpoint> {
        match self.config.discovery() {
            model::Discovery::Static => self.config.endpoints().get(place),
            model::Discovery::StrictDns(_) => self.discovered.as_ref()?.get(place),
            model::Discovery::LogicalDns(_) | model::Discovery::OriginalDestination(_) => None,
        }
    }

    /// TLS to its endpoints; none: plain text.
    pub fn identity(&self) -> Option<&Arc<UpstreamIdentity>> {
        self.tls.as_ref().map(|tls| &tls.identity)
    }

    /// True if the endpoint at a place is to get no new work, by what is said of it.
    pub(crate) fn is_draining(&self, place: usize) -> bool {
        let status = self.member(place).map(model::Endpoint::status);
        status == Some(model::EndpointStatus::Draining)
    }

    /// True if its endpoint is a name with several addresses.
    pub(crate) fn is_logical(&self) -> bool {
        matches!(self.config.discovery(), model::Discovery::LogicalDns(_))
    }

    /// Retries under way, and retries and requests of the last ten seconds.
    pub fn retries(&self, now: Instant) -> (u32, u32, u32) {
        let shared = &self.shared;
        let begun = shared.request_counts().begun;
        let since = now.saturating_duration_since(shared.since);
        let (retries, requests) = shared.retry_budget.recent(begun, since);
        (shared.retry_budget.active(), retries, requests)
    }

    /// What is in force of its endpoints' health and shares.
    pub fn balancer(&self) -> &Balancer {
        &self.balancer
    }

    /// Where the endpoint at a place stands now; it is in force once it is published.
    pub fn standing(&self, place: usize) -> Option<Standing> {
        let state = self.endpoints.get(place)?;
        let status = self
            .member(place)
            .map_or(model::EndpointStatus::Healthy, model::Endpoint::status);
        Some(state.health.standing(status))
    }

    /// What is in use of it, and how much may be.
    pub fn breakers(&self) -> &ClusterBreakers {
        &self.shared.breakers
    }

    /// How its limit stands that follows response times, if it has one.
    pub fn adaptive(&self) -> Option<AdaptiveState> {
        Some(self.adaptive.as_ref()?.state())
    }

    /// Requests that are on their way to this cluster.
    pub fn requests_active(&self) -> u32 {
        self.shared.breakers.requests_active()
    }
}

/// How endpoints are made of the destinations of downstream connections.
#[derive(Debug)]
pub(crate) struct DestinationsPolicy {
    pub(crate) settings: model::OriginalDestination,
    /// Keys the workers' tables; changes when connections that were made are not as good any more. Never used twice.
    pub(crate) key: u64,
}

/// TLS to a cluster.
#[derive(Debug, Clone)]
pub(crate) struct UpstreamTlsPolicy {
    pub(crate) identity: Arc<UpstreamIdentity>,
    /// The same without ALPN, for bytes that are passed on: what protocol they are is not ours to say.
    pub(crate) plain_config: Arc<rustls::ClientConfig>,
    /// What it was built from.
    pub(crate) settings: (model::UpstreamTls, model::UpstreamProtocol),
    /// The material that it was built from.
    pub(crate) basis: Basis,
    /// Whom it believes, to ask again.
    pub(crate) belief: Option<Arc<Belief>>,
}

impl UpstreamTlsPolicy {
    /// Until when the certificate that we show is valid.
    pub(crate) fn own_expiry(&self) -> Option<SystemTime> {
        let credential = self.basis.credentials().flatten().next()?;
        Some(credential.facts().validity.not_after)
    }
}

/// Counts of a cluster that policy reads; process-wide, kept across snapshots.
#[derive(Debug)]
pub(crate) struct ClusterShared {
    /// What is in use, and how much may be.
    pub(crate) breakers: ClusterBreakers,
    /// Who waits for a connection.
    pub(crate) places: PlaceQueues,
    /// Requests since the beginning; wraps around.
    pub(crate) requests_begun: AtomicU32,
    pub(crate) retry_budget: RetryBudget,
    /// The epoch of the budget's times.
    pub(crate) since: Instant,
    /// Where the ids of endpoints come from that workers make.
    pub(crate) endpoint_ids: Arc<AtomicU64>,
}

impl ClusterShared {
    /// A request begins, if there may be one more. `true` must be followed by the end of one of its breaker's.
    #[inline]
    #[must_use]
    pub(crate) fn begin_request(&self, priority: model::RoutePriority, now: Instant) -> bool {
        use std::sync::atomic::Ordering;
        if !self.breakers.of(priority).requests().try_begin() {
            return false;
        }
        let begun = self.requests_begun.fetch_add(1, Ordering::Relaxed);
        if begun.is_multiple_of(RetryBudget::OBSERVED_EVERY) {
            self.observe_requests(begun, now);
        }
        true
    }

    #[cold]
    fn observe_requests(&self, begun: u32, now: Instant) {
        self.retry_budget
            .observe(begun, now.saturating_duration_since(self.since));
    }

    /// Begins a retry, if the budget allows one more.
    pub(crate) fn begin_retry(&self, allowance: Allowance, now: Instant) -> Result<(), RetryDenial> {
        self.retry_budget.try_begin(
            allowance,
            self.request_counts(),
            now.saturating_duration_since(self.since),
        )
    }

    fn request_counts(&self) -> RequestCounts {
        use std::sync::atomic::Ordering;
        RequestCounts {
            active: self.breakers.requests_active(),
            begun: self.requests_begun.load(Ordering::Relaxed),
        }
    }

    /// Puts a configuration's limits in force.
    pub(crate) fn limit(&self, cluster: &model::Cluster) {
        self.breakers.apply(cluster.circuit_breakers());
        for priority in [model::RoutePriority::Default, model::RoutePriority::High] {
            self.places.of(priority).look_again();
        }
    }

    /// The id of an endpoint that a worker makes.
    pub(crate) fn next_endpoint_id(&self) -> u64 {
        self.endpoint_ids
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed)
    }
}

/// An endpoint's state; process-wide, kept across snapshots while address and connection settings stay.
#[derive(Debug)]
pub struct EndpointState {
    /// Keys the workers' pools; never used twice.
    pub(crate) id: u64,
    /// What it is known by; where connections go, unless there are `alternatives`.
    pub(crate) address: SocketAddr,
    pub(crate) address_text: String,
    /// All addresses of a logical endpoint, each as good as the other; empty for an endpoint that is one address.
    pub(crate) alternatives: Box<[SocketAddr]>,
    /// Shared, as `health` is, by all states that the cluster has had for this address.
    pub(crate) load: Arc<EndpointLoad>,
    pub(crate) health: Arc<EndpointHealth>,
    /// The address that connections to it have here; none: the kernel's choice. It is a client's, not ours.
    pub(crate) source: Option<IpAddr>,
    /// What connections begin with: a PROXY protocol header.
    pub(crate) preface: Option<Bytes>,
    /// Made when it is first asked for.
    pub(crate) session_key: OnceLock<SessionKey>,
}

impl EndpointState {
    /// What a session cookie says of it; `cluster` is its cluster's name.
    pub(crate) fn session_key(&self, cluster: &str) -> SessionKey {
        *self
            .session_key
            .get_or_init(|| SessionKey::of(cluster, &self.address_text))
    }

    /// The same endpoint with a pool of its own, whose connections begin with `preface`.
    pub(crate) fn with_preface(&self, id: u64, preface: Option<Bytes>) -> EndpointState {
        EndpointState {
            id,
            address: self.address,
            address_text: self.address_text.clone(),
            alternatives: self.alternatives.clone(),
            load: Arc::clone(&self.load),
            health: Arc::clone(&self.health),
            source: self.source,
            preface,
            session_key: self.session_key.clone(),
        }
    }

    /// Where; the first address of a logical endpoint.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Everywhere that a new connection may go; never empty.
    pub fn addresses(&self) -> &[SocketAddr] {
        if self.alternatives.is_empty() {
            std::slice::from_ref(&self.address)
        } else {
            &self.alternatives
        }
    }

    /// What was learnt of its health. Shared by all states that its cluster has had for this address: it outlives
    /// configurations, discovery and other material, for as long as the cluster has the address. After a change the
    /// cluster needs [`crate::DataPlane::set_health`].
    pub fn health(&self) -> &Arc<EndpointHealth> {
        &self.health
    }

    /// Requests that are on their way to it.
    pub fn requests_active(&self) -> u32 {
        self.load.active()
    }

    /// Connections to it that are open or being made.
    pub fn connections(&self) -> u32 {
        self.load.connections()
    }
}
