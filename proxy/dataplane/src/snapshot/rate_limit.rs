//! Compiled rate limits.

use super::ClusterSlot;
use crate::rate_limit::since_epoch;
use outrigger_config::model;
use outrigger_telemetry::RateLimitMetrics;
use outrigger_traffic::rate_limit::LocalLimit;
use std::sync::Arc;
use std::time::Instant;

/// A rate limit.
#[derive(Debug)]
pub struct RateLimitPolicy {
    pub(crate) config: Arc<model::RateLimit>,
    pub(crate) counting: Counting,
    pub(crate) metrics: Arc<RateLimitMetrics>,
}

/// Who counts.
#[derive(Debug)]
pub(crate) enum Counting {
    Local(LocalLimit),
    /// A service in this cluster.
    Global(model::GlobalRateLimit, ClusterSlot),
}

impl RateLimitPolicy {
    /// Its configuration.
    pub fn config(&self) -> &Arc<model::RateLimit> {
        &self.config
    }

    /// What was decided by it.
    pub fn metrics(&self) -> &Arc<RateLimitMetrics> {
        &self.metrics
    }

    /// Values that are counted here now; 0 for a limit without a descriptor, and where a service counts.
    pub fn keys(&self) -> usize {
        self.local().map_or(0, LocalLimit::keys)
    }

    /// Tokens that are left of the one bucket of a limit without a descriptor.
    pub fn tokens_left(&self) -> Option<u32> {
        self.local()?.left(since_epoch(Instant::now()))
    }

    pub(crate) fn local(&self) -> Option<&LocalLimit> {
        match &self.counting {
            Counting::Local(limit) => Some(limit),
            Counting::Global(..) => None,
        }
    }
}

/// The rate limits of a filter chain, or of a route with its virtual host's.
#[derive(Debug)]
pub(crate) struct RateLimitSet {
    /// In the order in which they were listed; no limit stands twice.
    pub(crate) limits: Box<[Arc<RateLimitPolicy>]>,
    /// One of them asks a service.
    pub(crate) has_global: bool,
}

impl RateLimitSet {
    /// The same limits, by pointer.
    pub(crate) fn same(one: Option<&Arc<RateLimitSet>>, other: Option<&Arc<RateLimitSet>>) -> bool {
        match (one, other) {
            (None, None) => true,
            (Some(one), Some(other)) => {
                let mut pairs = one.limits.iter().zip(&other.limits);
                one.limits.len() == other.limits.len() && pairs.all(|(one, other)| Arc::ptr_eq(one, other))
            }
            _ => false,
        }
    }
}
