//! The breakers of one cluster.

use super::Breaker;
use outrigger_config::model::{BreakerThresholds, CircuitBreakers, RoutePriority};

/// What a breaker counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BreakerKind {
    /// Requests, those that wait for a connection included.
    Requests,
    /// Requests that wait for a connection.
    Pending,
    /// Connections.
    Connections,
}

impl BreakerKind {
    /// All of them.
    pub const ALL: [BreakerKind; 3] = [
        BreakerKind::Requests,
        BreakerKind::Pending,
        BreakerKind::Connections,
    ];

    /// Its name, in metrics and reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            BreakerKind::Requests => "requests",
            BreakerKind::Pending => "pending",
            BreakerKind::Connections => "connections",
        }
    }
}

/// A cluster's breakers for both priorities; kept across configurations, which only change the limits.
#[derive(Debug)]
pub struct ClusterBreakers {
    default_priority: PriorityBreakers,
    high_priority: PriorityBreakers,
}

/// The breakers that requests of one priority count against. Requests have a cache line of their own: every request
/// writes to it, and only a connection that is made to the others.
#[derive(Debug)]
pub struct PriorityBreakers {
    requests: Line,
    pending: Line,
    /// Beside `pending`: both change when a connection is made.
    connections: Breaker,
}

#[derive(Debug)]
#[repr(align(64))]
struct Line(Breaker);

impl ClusterBreakers {
    /// Breakers with these limits.
    pub fn new(thresholds: &CircuitBreakers) -> ClusterBreakers {
        ClusterBreakers {
            default_priority: PriorityBreakers::new(thresholds.default_priority()),
            high_priority: PriorityBreakers::new(thresholds.high_priority()),
        }
    }

    /// Puts other limits in force. What is in use stays in use.
    pub fn apply(&self, thresholds: &CircuitBreakers) {
        self.default_priority.apply(thresholds.default_priority());
        self.high_priority.apply(thresholds.high_priority());
    }

    /// The breakers of a priority.
    #[inline]
    pub fn of(&self, priority: RoutePriority) -> &PriorityBreakers {
        match priority {
            RoutePriority::Default => &self.default_priority,
            RoutePriority::High => &self.high_priority,
        }
    }

    /// Requests of both priorities that have begun and not ended.
    #[inline]
    pub fn requests_active(&self) -> u32 {
        let high = self.high_priority.requests.0.active();
        self.default_priority.requests.0.active().saturating_add(high)
    }
}

impl Default for ClusterBreakers {
    fn default() -> ClusterBreakers {
        ClusterBreakers::new(&CircuitBreakers::default())
    }
}

impl PriorityBreakers {
    fn new(thresholds: BreakerThresholds) -> PriorityBreakers {
        PriorityBreakers {
            requests: Line(Breaker::new(thresholds.requests_max())),
            pending: Line(Breaker::new(thresholds.pending_max())),
            connections: Breaker::new(thresholds.connections_max()),
        }
    }

    fn apply(&self, thresholds: BreakerThresholds) {
        self.requests.0.set_limit(thresholds.requests_max());
        self.pending.0.set_limit(thresholds.pending_max());
        self.connections.set_limit(thresholds.connections_max());
    }

    /// The breaker that every request passes.
    #[inline]
    pub fn requests(&self) -> &Breaker {
        &self.requests.0
    }

    /// The breaker of this kind.
    pub fn kind(&self, kind: BreakerKind) -> &Breaker {
        match kind {
            BreakerKind::Requests => &self.requests.0,
            BreakerKind::Pending => &self.pending.0,
            BreakerKind::Connections => &self.connections,
        }
    }
}
