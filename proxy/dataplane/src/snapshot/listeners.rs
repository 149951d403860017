//! Listeners: their sockets' keys, and what a connection meets before a filter chain is picked.

use super::ChainSlot;
use outrigger_config::model::{self, Name};
use outrigger_telemetry::ListenerMetrics;
use outrigger_traffic::{Pace, TokenBucket};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

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
