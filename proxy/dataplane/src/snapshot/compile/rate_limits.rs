//! Rate limits: each is compiled once, and again only when it has changed; what it has counted stays.

use super::*;
use crate::rate_limit::since_epoch;
use crate::snapshot::rate_limit::{Counting, RateLimitPolicy, RateLimitSet};
use outrigger_config::model::{RateLimit, RateLimitCounting};
use outrigger_traffic::rate_limit::LocalLimit;

/// Rate limits while a configuration is compiled.
pub(super) struct RateLimits<'c> {
    all: Arc<[Arc<RateLimitPolicy>]>,
    by_name: HashMap<&'c Name, usize>,
}

impl<'c> RateLimits<'c> {
    pub(super) fn new(
        compiler: &Compiler,
        config: &'c MeshConfig,
        clusters: &HashMap<&Name, ClusterSlot>,
        previous: Option<&Snapshot>,
    ) -> RateLimits<'c> {
        let before: HashMap<&Name, &Arc<RateLimitPolicy>> = previous
            .iter()
            .flat_map(|previous| previous.rate_limits.iter())
            .map(|policy| (policy.config.name(), policy))
            .collect();
        let all: Arc<[_]> = config
            .rate_limits()
            .iter()
            .map(|config| compiler.rate_limit(config, clusters, before.get(config.name()).copied()))
            .collect();
        let names = config.rate_limits().iter().map(|config| config.name());
        RateLimits {
            all,
            by_name: names.enumerate().map(|(index, name)| (name, index)).collect(),
        }
    }

    /// The limits of these names; none if there are none.
    pub(super) fn set<'n>(&self, names: impl Iterator<Item = &'n Name>) -> Option<Arc<RateLimitSet>> {
        let mut limits: Vec<Arc<RateLimitPolicy>> = Vec::new();
        for name in names {
            let limit = &self.all[*self.by_name.get(name).expect("rate limits that are named exist")];
            if !limits.iter().any(|other| Arc::ptr_eq(other, limit)) {
                limits.push(Arc::clone(limit));
            }
        }
        let has_global = limits.iter().any(|limit| limit.local().is_none());
        (!limits.is_empty()).then(|| {
            Arc::new(RateLimitSet {
                limits: limits.into(),
                has_global,
            })
        })
    }

    /// The limits of a route with its virtual host's.
    pub(super) fn of_route(
        &self,
        host: &model::VirtualHost,
        route: &model::Route,
    ) -> Option<Arc<RateLimitSet>> {
        self.set(host.rate_limits().iter().chain(route.rate_limits()))
    }

    /// Whether a virtual host's routes have the limits that they had, by pointer.
    pub(super) fn is_unchanged(&self, host: &model::VirtualHost, before: &[RoutePolicy]) -> bool {
        host.routes().iter().zip(before).all(|(route, before)| {
            let now = self.of_route(host, route);
            RateLimitSet::same(now.as_ref(), before.rate_limits.as_ref())
        })
    }

    pub(super) fn finish(self) -> Arc<[Arc<RateLimitPolicy>]> {
        self.all
    }
}

impl Compiler {
    fn rate_limit(
        &self,
        config: &Arc<RateLimit>,
        clusters: &HashMap<&Name, ClusterSlot>,
        before: Option<&Arc<RateLimitPolicy>>,
    ) -> Arc<RateLimitPolicy> {
        let slot = match config.counting() {
            RateLimitCounting::Local(_) => None,
            RateLimitCounting::Global(global) => Some(clusters[global.cluster()]),
        };
        if let Some(before) = before
            && before.config == *config
            && before.slot() == slot
        {
            return Arc::clone(before);
        }
        let counting = match (config.counting(), slot) {
            (RateLimitCounting::Global(global), Some(slot)) => Counting::Global(global.clone(), slot),
            (RateLimitCounting::Global(_), None) => unreachable!("a global limit has a cluster"),
            (RateLimitCounting::Local(local), _) => {
                let before = before.and_then(|before| before.local());
                Counting::Local(LocalLimit::new(
                    config,
                    local,
                    before,
                    since_epoch(Instant::now()),
                ))
            }
        };
        let policy = RateLimitPolicy {
            counting,
            metrics: self.metrics.rate_limit(config.name().as_str()),
            config: Arc::clone(config),
        };
        policy.note_keys();
        Arc::new(policy)
    }
}

impl RateLimitPolicy {
    fn slot(&self) -> Option<ClusterSlot> {
        match self.counting {
            Counting::Local(_) => None,
            Counting::Global(_, slot) => Some(slot),
        }
    }

    /// Tells metrics how many values are counted.
    pub(crate) fn note_keys(&self) {
        let keys = i64::try_from(self.keys()).unwrap_or(i64::MAX);
        self.metrics.worker(0).keys.set(keys);
    }
}
