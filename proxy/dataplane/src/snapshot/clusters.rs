//! Clusters: what an attempt is made by, and what is counted of them whatever the configuration.

use super::{EndpointSet, EndpointState, LimitGauges};
use crate::outlier::OutlierPolicy;
use crate::places::PlaceQueues;
use outrigger_config::model;
use outrigger_identity::{Basis, Belief, UpstreamIdentity};
use outrigger_telemetry::ClusterMetrics;
use outrigger_traffic::adaptive::{AdaptiveLimit, AdaptiveState};
use outrigger_traffic::breakers::ClusterBreakers;
use outrigger_traffic::retry::{Allowance, RequestCounts, RetryBudget, RetryDenial};
use outrigger_traffic::{Balancer, SessionTable, Standing, ZoneView};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::sync::{Arc, OnceLock};
use std::time::{Instant, SystemTime};

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

/// The subsets of one cluster that somebody asks for.
pub(crate) type WantedSubsets = Arc<[Arc<BTreeMap<String, String>>]>;

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
