//! Picking an endpoint for an attempt at a cluster: by its balancer, or where the downstream connection was meant for.
//!
//! The one place that does so: requests, TCP connections and mirrors all come here. It connects to nothing.

mod announced;
mod destinations;

pub(crate) use announced::Announced;
pub(crate) use destinations::Destinations;

use crate::connection::Ends;
use crate::interception::comparable;
use crate::snapshot::{ClusterPolicy, EndpointState};
use crate::worker::Worker;
use outrigger_telemetry::{DestinationRefusal, ZoneRouting};
use outrigger_traffic::{PickContext, PickNotes, SubsetKey};
use smallvec::SmallVec;
use std::sync::Arc;

/// What the attempts of one request or connection have tried.
#[derive(Debug, Default)]
pub(crate) struct Tried {
    attempts: u32,
    /// Places among the cluster's endpoints.
    endpoints: SmallVec<[usize; 2]>,
    aim: Option<Box<Aim>>,
}

/// What the attempts of a request or connection are picked by, where that is more than the cluster.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Aim {
    pub(crate) wish: Option<Wish>,
    /// The key, for consistent hashing.
    pub(crate) hash: Option<u64>,
    /// The subset that is asked for.
    pub(crate) subset: Option<SubsetKey>,
}

/// Where attempts should go before a balancer is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wish {
    /// A place among the cluster's endpoints; none: the one that was wished for is not there.
    pub(crate) endpoint: Option<usize>,
    /// There and nowhere else, however often; else only the first attempt goes there.
    pub(crate) strict: bool,
}

impl Tried {
    /// Nothing yet.
    pub(crate) fn aiming(aim: Option<Box<Aim>>) -> Tried {
        Tried {
            aim,
            ..Tried::default()
        }
    }

    /// The endpoint that is wished for; an error if it is not there and no other will do.
    fn wished(&self) -> Result<Option<usize>, NoEndpoint> {
        match self.aim.as_ref().and_then(|aim| aim.wish) {
            None => Ok(None),
            Some(Wish {
                endpoint,
                strict: true,
            }) => endpoint.map(Some).ok_or(NoEndpoint::None),
            Some(Wish { endpoint, .. }) => Ok(endpoint.filter(|place| !self.endpoints.contains(place))),
        }
    }

    /// The endpoints that were tried may be picked again like any other.
    pub(crate) fn forget_endpoints(&mut self) {
        self.endpoints.clear();
    }

    /// What was picked last could not be used, and nothing was sent: it was no attempt, and is not picked again if there is
    /// another.
    pub(crate) fn pass_over(&mut self) {
        self.attempts -= 1;
    }

    /// How many attempts were picked for.
    pub(crate) fn attempts(&self) -> u32 {
        self.attempts
    }
}

/// Why there is no endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoEndpoint {
    /// The cluster has none that may be used.
    None,
    /// It goes where connections were meant for, and this one must not go there.
    Refused(DestinationRefusal),
}

/// Picks the endpoint of the next attempt at a cluster, another than before if there is one, for the downstream
/// connection with these `ends`.
#[inline(always)]
pub(crate) fn pick(
    cluster: &Arc<ClusterPolicy>,
    worker: &Worker,
    tried: &mut Tried,
    ends: &Ends,
) -> Result<Arc<EndpointState>, NoEndpoint> {
    let endpoint = unannounced(cluster, worker, tried, ends)?;
    Ok(ends.announced.endpoint(cluster, endpoint, ends))
}

#[inline(always)]
fn unannounced(
    cluster: &Arc<ClusterPolicy>,
    worker: &Worker,
    tried: &mut Tried,
    ends: &Ends,
) -> Result<Arc<EndpointState>, NoEndpoint> {
    tried.attempts += 1;
    if cluster.destinations.is_some() {
        return by_destination(cluster, worker, ends).map_err(|refusal| {
            cluster.metrics.worker(worker.index).destinations_refused[refusal].inc();
            NoEndpoint::Refused(refusal)
        });
    }
    let index = match tried.wished()? {
        Some(index) => index,
        None => balanced(cluster, worker, tried).ok_or(NoEndpoint::None)?,
    };
    tried.endpoints.push(index);
    Ok(Arc::clone(&cluster.endpoints[index]))
}

#[inline(always)]
fn balanced(cluster: &ClusterPolicy, worker: &Worker, tried: &Tried) -> Option<usize> {
    let aim = tried.aim.as_deref();
    let picked = cluster.balancer.pick(&PickContext {
        random: worker.random(),
        hash: aim.and_then(|aim| aim.hash),
        avoid: &tried.endpoints,
        subset: aim.and_then(|aim| aim.subset),
        requests_active: cluster.requests_active(),
        now: worker.now().into_std(),
    });
    if !picked.notes.is_none() {
        count(picked.notes, cluster, worker);
    }
    picked.endpoint
}

#[cold]
fn count(notes: PickNotes, cluster: &ClusterPolicy, worker: &Worker) {
    let cells = cluster.metrics.worker(worker.index);
    if notes.has(PickNotes::PANIC) {
        cells.panics.inc();
    }
    if notes.has(PickNotes::SUBSET_FALLBACK) {
        cells.subset_fallbacks.inc();
    }
    for (note, result) in [
        (PickNotes::ZONE_DIRECT, ZoneRouting::Direct),
        (PickNotes::ZONE_SAMPLED, ZoneRouting::Sampled),
        (PickNotes::ZONE_CROSS, ZoneRouting::Cross),
        (PickNotes::ZONE_NO_ROOM, ZoneRouting::NoRoom),
        (PickNotes::ZONE_UNKNOWN, ZoneRouting::Unknown),
        (PickNotes::ZONE_SMALL, ZoneRouting::Small),
    ] {
        if notes.has(note) {
            cells.zone_routing[result].inc();
        }
    }
}

#[cold]
fn by_destination(
    cluster: &Arc<ClusterPolicy>,
    worker: &Worker,
    ends: &Ends,
) -> Result<Arc<EndpointState>, DestinationRefusal> {
    let policy = cluster
        .destinations
        .as_ref()
        .expect("only clusters of original destinations come here");
    let mut address = comparable(ends.destination);
    if let Some(port) = policy.settings.port() {
        address.set_port(port);
    }
    let allow = policy.settings.allow();
    if !allow.is_empty() && !allow.iter().any(|prefix| prefix.contains(&address.ip())) {
        return Err(DestinationRefusal::NotAllowed);
    }
    if worker.ourselves.listens_on(address) {
        tracing::debug!(%address, cluster = %cluster.config.name(), "refusing to connect to ourselves");
        return Err(DestinationRefusal::Loop);
    }
    let source = policy
        .settings
        .keep_source()
        .then(|| comparable(ends.remote).ip());
    Ok(worker
        .destinations
        .endpoint(cluster, policy, worker, (address, source)))
}
