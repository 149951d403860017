//! How an endpoint is picked among those of a cluster.

use super::{HeaderName, Name, defaults, model};
use std::collections::BTreeMap;
use std::time::Duration;

/// How an endpoint is picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadBalancing {
    /// In turn, by weight.
    RoundRobin,
    /// At random, by weight.
    Random,
    /// Some at random (by weight); of them the one with the fewest active requests for its weight (Envoy's
    /// `LEAST_REQUEST`).
    LeastRequest {
        /// How many are looked at, at least 2: [`super::defaults::LEAST_REQUEST_CHOICES`].
        choices: u32,
    },
    /// Two at random (by weight); of them the one with the lower cost: its peak-sensitive moving average of response times
    /// multiplied by one more than its active requests (Finagle's and Linkerd's `PeakEWMA`).
    PeakEwma {
        /// How long an observation counts, as the time constant of the average:
        /// [`super::defaults::PEAK_EWMA_DECAY`].
        decay: Duration,
        /// What an endpoint that has not answered yet is taken to need: [`super::defaults::PEAK_EWMA_DEFAULT_RTT`].
        default_rtt: Duration,
    },
    /// Consistent hashing on a ring (ketama, xxHash64), by the route's hash policy.
    RingHash {
        /// Points on the ring at least: [`super::defaults::RING_SIZE_MIN`].
        size_min: u32,
        /// Points on the ring at most: [`super::defaults::RING_SIZE_MAX`].
        size_max: u32,
        /// An endpoint takes at most this share of the mean of active requests, percent, at least 100; the next on the
        /// ring takes the rest (consistent hashing with bounded loads; Envoy's `hash_balance_factor`). None: no bound.
        balance_factor: Option<u32>,
    },
    /// Consistent hashing by a table (Maglev), by the route's hash policy.
    Maglev {
        /// Entries of the table, a prime: [`super::defaults::MAGLEV_TABLE_SIZE`].
        table_size: u32,
        /// As for the ring.
        balance_factor: Option<u32>,
    },
}

impl LoadBalancing {
    /// It asks for the hash of a request.
    pub fn is_consistent(self) -> bool {
        matches!(
            self,
            LoadBalancing::RingHash { .. } | LoadBalancing::Maglev { .. }
        )
    }
}

model! {
    /// What stands between a cluster's endpoints and its balancer.
    pub struct BalancingOptions {
        /// New endpoints get their share little by little; none: at once. Of no effect with consistent hashing.
        copy slow_start: Option<SlowStart>,
        /// How localities share requests.
        by_ref localities: LocalityBalancing,
        /// A priority counts as whole while this share of its endpoints, multiplied by its healthy ones, fills it; percent,
        /// at least 100: [`super::defaults::OVERPROVISIONING_FACTOR_PERCENT`].
        copy overprovisioning_factor: u32,
        /// Where fewer endpoints than this are healthy, percent, health is not looked at any more; 0: never.
        /// [`super::defaults::PANIC_THRESHOLD_PERCENT`].
        copy panic_threshold: u32,
        /// In panic requests are refused (503, flag `UH`) rather than sent to endpoints that are not healthy (Envoy's
        /// `fail_traffic_on_panic`).
        copy fails_in_panic: bool,
        /// Subsets of endpoints that routes can ask for; none: routes that ask are not served.
        by_ref subsets: Option<Subsets>,
    }
}

impl Default for BalancingOptions {
    fn default() -> BalancingOptions {
        BalancingOptions {
            slow_start: None,
            localities: LocalityBalancing::Off,
            overprovisioning_factor: defaults::OVERPROVISIONING_FACTOR_PERCENT,
            panic_threshold: defaults::PANIC_THRESHOLD_PERCENT,
            fails_in_panic: false,
            subsets: None,
        }
    }
}

/// How the share of a new endpoint grows (Envoy's `slow_start_config`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SlowStart {
    pub(crate) window: Duration,
    pub(crate) aggression: f64,
    pub(crate) weight_min_percent: u32,
}

impl SlowStart {
    /// From the moment that an endpoint is there, or healthy again, to its whole share.
    pub fn window(self) -> Duration {
        self.window
    }
    /// The share is the part of the window that has passed, to the power of 1 / this; above 0. 1: in proportion.
    pub fn aggression(self) -> f64 {
        self.aggression
    }
    /// The share at first, percent of the whole: [`super::defaults::SLOW_START_WEIGHT_MIN_PERCENT`].
    pub fn weight_min_percent(self) -> u32 {
        self.weight_min_percent
    }
}

/// How the localities of a priority share requests.
#[derive(Debug, Clone, PartialEq)]
pub enum LocalityBalancing {
    /// Localities are not looked at.
    Off,
    /// By the weights of localities, lowered where too few of their endpoints are healthy (Envoy's
    /// `locality_weighted_lb_config`).
    Weighted,
    /// Requests stay in this proxy's own zone as far as it can take its share of all (Envoy's `zone_aware_lb_config`).
    ZoneAware(ZoneAware),
}

model! {
    /// Zone-aware routing. Needs [`super::Runtime::locality`].
    pub struct ZoneAware {
        /// The cluster of the proxies that send to this one, by which the share of this zone is known; it exists.
        by_ref local_cluster: Name,
        /// Requests that are routed so, percent: [`super::defaults::ZONE_ROUTING_PERCENT`].
        copy routing_percent: u32,
        /// Clusters with fewer endpoints are not: [`super::defaults::ZONE_CLUSTER_SIZE_MIN`].
        copy cluster_size_min: u32,
        /// A request goes to another zone only where this one has no healthy endpoint (as Kubernetes'
        /// `trafficDistribution: PreferClose`).
        copy strict: bool,
    }
}

/// Where something runs; empty parts are unknown.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Locality {
    pub(crate) region: String,
    pub(crate) zone: String,
    pub(crate) sub_zone: String,
}

impl Locality {
    /// The region.
    pub fn region(&self) -> &str {
        &self.region
    }
    /// The zone within the region.
    pub fn zone(&self) -> &str {
        &self.zone
    }
    /// The part of the zone, such as a rack.
    pub fn sub_zone(&self) -> &str {
        &self.sub_zone
    }
}

model! {
    /// The share of a locality in a priority.
    pub struct LocalityWeight {
        /// Which.
        by_ref locality: Locality,
        /// In which priority.
        copy priority: u32,
        /// Its share; 0: none.
        copy weight: u32,
    }
}

model! {
    /// How endpoints are grouped by their metadata (Envoy's `lb_subset_config`).
    pub struct Subsets {
        /// Sets of metadata keys by whose values endpoints are grouped; none is empty, none stands twice.
        by_ref selectors: Vec<Vec<String>>,
        /// What happens to a request for a subset that is not there.
        by_ref fallback: SubsetFallback,
    }
}

/// What happens to a request for a subset that is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubsetFallback {
    /// It is refused (503, flag `UH`).
    None,
    /// It goes to any endpoint.
    Any,
    /// It goes to an endpoint with this metadata.
    Default(BTreeMap<String, String>),
}

/// What the hash of a request is made of, for consistent hashing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashPolicy {
    pub(crate) source: HashSource,
    pub(crate) terminal: bool,
}

impl HashPolicy {
    /// What is hashed; a request that does not have it is not hashed by this.
    pub fn source(&self) -> &HashSource {
        &self.source
    }
    /// If this gave a hash, those after it are not looked at.
    pub fn terminal(&self) -> bool {
        self.terminal
    }
}

/// What is hashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HashSource {
    /// A header's value.
    Header(HeaderName),
    /// A cookie's value.
    Cookie {
        /// Its name, a token of RFC 6265.
        name: String,
        /// A request without it is given one, with this `Max-Age` (zero: for the browser's session); none: it is not hashed.
        ttl: Option<Duration>,
        /// The `Path` of the cookie that is given.
        path: String,
    },
    /// The client's address, without its port.
    SourceAddress,
    /// The first value of a query parameter.
    Query(String),
}
