//! A worker's table of destinations that are endpoints: one state for each, so that connections to it are pooled.
//!
//! Bounded by `endpoints_max`; what is used least recently goes first, and what nothing uses goes after `idle_timeout`.

use crate::pool::Pools;
use crate::snapshot::{ClusterPolicy, DestinationsPolicy, EndpointState};
use crate::worker::{LocalSnapshot, Worker};
use foldhash::HashMap;
use foldhash::fast::RandomState;
use lru::LruCache;
use outrigger_traffic::{EndpointHealth, EndpointLoad};
use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use tokio::time::Instant;

/// All destinations of a worker, by the key of their cluster's policy.
#[derive(Default)]
pub(crate) struct Destinations {
    tables: RefCell<HashMap<u64, Table>>,
}

/// The destinations of one cluster.
struct Table {
    cluster: Arc<ClusterPolicy>,
    entries: LruCache<Destination, Entry, RandomState>,
}

/// Where to, and from which address where that of the client is kept.
type Destination = (SocketAddr, Option<IpAddr>);

struct Entry {
    endpoint: Arc<EndpointState>,
    used: Instant,
}

impl Destinations {
    /// The endpoint of this destination, made if it is not there.
    pub(super) fn endpoint(
        &self,
        cluster: &Arc<ClusterPolicy>,
        policy: &DestinationsPolicy,
        worker: &Worker,
        destination: Destination,
    ) -> Arc<EndpointState> {
        let now = worker.now();
        let mut tables = self.tables.borrow_mut();
        let table = tables.entry(policy.key).or_insert_with(|| Table {
            cluster: Arc::clone(cluster),
            entries: LruCache::unbounded_with_hasher(RandomState::default()),
        });
        if let Some(entry) = table.entries.get_mut(&destination) {
            entry.used = now;
            return Arc::clone(&entry.endpoint);
        }
        let cells = cluster.metrics.worker(worker.index);
        while table.entries.len() >= policy.settings.endpoints_max() {
            let Some((_, entry)) = table.entries.pop_lru() else {
                break;
            };
            worker.pools.forget(entry.endpoint.id);
            cells.destinations_evicted.inc();
            cells.destinations.dec();
        }
        let (address, source) = destination;
        let endpoint = Arc::new(EndpointState {
            id: cluster.shared.next_endpoint_id(),
            address,
            address_text: address.to_string(),
            alternatives: Box::default(),
            load: Arc::new(EndpointLoad::new()),
            health: Arc::new(EndpointHealth::new()),
            source,
            preface: None,
            session_key: OnceLock::new(),
        });
        worker.pools.admit(endpoint.id);
        cells.destinations.inc();
        let entry = Entry {
            endpoint: Arc::clone(&endpoint),
            used: now,
        };
        table.entries.put(destination, entry);
        endpoint
    }

    /// Drops the tables of clusters that a snapshot does not have, with their pools.
    pub(crate) fn reap(&self, snapshot: &LocalSnapshot, pools: &Pools, worker: usize) {
        let mut tables = self.tables.borrow_mut();
        let policies: HashMap<u64, &Arc<ClusterPolicy>> = snapshot
            .clusters()
            .filter_map(|cluster| Some((cluster.destinations.as_ref()?.key, cluster)))
            .collect();
        tables.retain(|key, table| match policies.get(key) {
            Some(cluster) => {
                if !Arc::ptr_eq(&table.cluster, cluster) {
                    table.cluster = Arc::clone(cluster);
                    for (_, entry) in &table.entries {
                        pools.adopt(entry.endpoint.id, cluster);
                    }
                }
                true
            }
            None => {
                let cells = table.cluster.metrics.worker(worker);
                for (_, entry) in &table.entries {
                    pools.forget(entry.endpoint.id);
                    cells.destinations.dec();
                }
                false
            }
        });
    }

    /// Forgets what nothing has used for long.
    pub(crate) fn expire(&self, worker: &Worker, now: Instant) {
        for table in self.tables.borrow_mut().values_mut() {
            let Some(policy) = &table.cluster.destinations else {
                continue;
            };
            let idle = policy.settings.idle_timeout();
            let cells = table.cluster.metrics.worker(worker.index);
            while let Some((&destination, entry)) = table.entries.peek_lru() {
                if now.duration_since(entry.used) < idle {
                    break;
                }
                if entry.endpoint.load.active() > 0 {
                    // In use all the while, by one long stream.
                    if let Some(entry) = table.entries.get_mut(&destination) {
                        entry.used = now;
                    }
                    continue;
                }
                worker.pools.forget(entry.endpoint.id);
                table.entries.pop_lru();
                cells.destinations.dec();
            }
        }
    }
}
