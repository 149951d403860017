//! What a balancer is made of: its members, and what they are balanced by.

use super::{EndpointLoad, Standing};
use outrigger_config::model::{BalancingOptions, LoadBalancing, Locality, LocalityWeight, ZoneAware};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// An endpoint as its balancer sees it.
#[derive(Debug, Clone)]
pub struct Member<'a> {
    /// What it is hashed by, the same in every process: `IP:PORT`, or the name of a logical endpoint.
    pub key: &'a str,
    /// Its share; 0 counts as 1.
    pub weight: u32,
    /// Higher numbers serve where lower ones cannot.
    pub priority: u32,
    /// Where it runs; none: unknown.
    pub locality: Option<&'a Locality>,
    /// What subsets are made by; none: nothing.
    pub metadata: Option<&'a BTreeMap<String, String>>,
    /// Whether it may serve.
    pub standing: Standing,
    /// Sessions that it has stay with it.
    pub keeps: bool,
    /// Since when it serves, from [`Plan::epoch`]; zero: all along. Counts with slow start only.
    pub since: Duration,
    /// What it is doing.
    pub load: &'a Arc<EndpointLoad>,
}

/// What members are balanced by.
#[derive(Debug, Clone)]
pub struct Plan<'a> {
    /// How an endpoint is picked.
    pub policy: LoadBalancing,
    /// What stands between endpoints and picks.
    pub options: &'a BalancingOptions,
    /// Shares of localities.
    pub locality_weights: &'a [LocalityWeight],
    /// For zone-aware balancing: who else sends, and from where; none: nobody knows, and zones are not looked at.
    pub zones: Option<&'a ZoneView>,
    /// The subsets that routes ask for.
    pub subsets: &'a [Arc<BTreeMap<String, String>>],
    /// Now, from `epoch`.
    pub now: Duration,
    /// The beginning of times: the same in all plans of a process.
    pub epoch: Instant,
}

/// Where the proxies run that send to a cluster, this one among them (Envoy's local cluster).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ZoneView {
    /// Where this proxy runs.
    pub own: Locality,
    /// Healthy ones of each locality; unknown localities are left out.
    pub senders: BTreeMap<Locality, u32>,
    /// So few are healthy that their shares say nothing.
    pub in_panic: bool,
}

impl ZoneView {
    /// The view of a cluster whose members are the proxies that send, in panic below `panic_threshold` percent.
    pub fn of<'a>(
        own: &Locality,
        members: impl Iterator<Item = (Option<&'a Locality>, Standing)>,
        panic_threshold: u32,
    ) -> ZoneView {
        let mut view = ZoneView {
            own: own.clone(),
            ..ZoneView::default()
        };
        let (mut all, mut usable) = (0u64, 0u64);
        let counts = |standing: Standing| !matches!(standing, Standing::Draining | Standing::Unchecked);
        for (locality, standing) in members.filter(|(_, standing)| counts(*standing)) {
            all += 1;
            usable += u64::from(standing != Standing::Unhealthy);
            if standing == Standing::Healthy
                && let Some(locality) = locality
            {
                *view.senders.entry(locality.clone()).or_default() += 1;
            }
        }
        view.in_panic = usable * 100 < all * u64::from(panic_threshold);
        view
    }
}

/// The settings of zone-aware balancing, if a plan has them.
pub(super) fn zone_aware<'a>(plan: &Plan<'a>) -> Option<&'a ZoneAware> {
    match plan.options.localities() {
        outrigger_config::model::LocalityBalancing::ZoneAware(settings) => Some(settings),
        _ => None,
    }
}
