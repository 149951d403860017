//! Connecting to an endpoint of a cluster for the bytes of one downstream connection.

use crate::connection::Ends;
use crate::io::Stream;
use crate::outlier;
use crate::pick::{self, Aim, NoEndpoint, Tried};
use crate::places::ConnectionPlace;
use crate::snapshot::{ClusterPolicy, EndpointState};
use crate::upstream::connect;
use crate::upstream::socket::LocalEnd;
use crate::worker::Worker;
use outrigger_telemetry::{ClusterMetrics, DestinationRefusal, Overflow, ResponseFlags};
use outrigger_traffic::health::Outcome;
use outrigger_traffic::retry::AttemptFailure;
use outrigger_traffic::{SubsetKey, hash};
use std::net::SocketAddr;
use std::sync::Arc;

/// A connection to an endpoint.
pub(crate) struct Dialled {
    stream: Stream,
    occupied: Occupied,
    pub(super) attempts: u32,
}

impl Dialled {
    /// The connection, and its counts.
    pub(super) fn into_stream(self) -> (Stream, Occupied) {
        (self.stream, self.occupied)
    }

    /// The endpoint's address: for a logical endpoint that of its addresses which answered.
    pub(super) fn address(&self) -> SocketAddr {
        let known = self.occupied.endpoint.address;
        self.stream.peer_address().unwrap_or(known)
    }

    /// Our address on it.
    pub(super) fn local_address(&self) -> Option<SocketAddr> {
        self.occupied.local.as_ref()?.address()
    }

    /// The connection, to wait for what the endpoint says first.
    pub(crate) fn stream(&mut self) -> &mut Stream {
        &mut self.stream
    }
}

/// Counts a connection at its endpoint, where balancing sees it, and at its cluster.
pub(super) struct Occupied {
    endpoint: Arc<EndpointState>,
    metrics: Arc<ClusterMetrics>,
    worker: usize,
    /// There once there is a connection.
    local: Option<LocalEnd>,
    /// Among the cluster's connections.
    _place: ConnectionPlace,
}

impl Drop for Occupied {
    fn drop(&mut self) {
        self.endpoint.load.end();
        self.metrics.worker(self.worker).connections_active.dec();
    }
}

/// Why there is no connection.
pub(crate) struct DialFault {
    pub(super) flags: ResponseFlags,
    pub(super) details: &'static str,
    /// Of the endpoint that was tried last.
    pub(super) address: Option<SocketAddr>,
    pub(super) attempts: u32,
    /// The client did not wait for it.
    pub(super) downstream_gone: bool,
}

impl DialFault {
    /// The client did not wait for the end, and what was tried is not known.
    pub(crate) fn given_up() -> DialFault {
        DialFault {
            flags: ResponseFlags::DC,
            details: "downstream_remote_disconnect",
            address: None,
            attempts: 0,
            downstream_gone: true,
        }
    }
}

/// How endpoints are tried.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DialTerms {
    pub(crate) attempts_max: u32,
    /// Clusters with consistent hashing pick by the client's address.
    pub(crate) hashes_source: bool,
    /// The subset that is asked for.
    pub(crate) subset: Option<SubsetKey>,
}

/// Dialling: the endpoints that were tried are known when it is given up halfway, too.
pub(crate) struct Dial {
    cluster: Arc<ClusterPolicy>,
    attempts_max: u32,
    tried: Tried,
    endpoint: Option<Arc<EndpointState>>,
}

impl Dial {
    /// To an endpoint of `cluster` for the client with these `ends`.
    pub(crate) fn new(cluster: Arc<ClusterPolicy>, terms: DialTerms, ends: &Ends) -> Dial {
        // Hashed as Envoy does: the text of the address, without its port.
        let hashes = terms.hashes_source && cluster.balancer.is_consistent();
        let aim = (hashes || terms.subset.is_some()).then(|| {
            Box::new(Aim {
                wish: None,
                hash: hashes.then(|| hash::of(ends.remote_ip.as_bytes())),
                subset: terms.subset,
            })
        });
        Dial {
            cluster,
            attempts_max: terms.attempts_max,
            tried: Tried::aiming(aim),
            endpoint: None,
        }
    }

    /// Tries endpoints until one is connected or the attempts are used up; each attempt has the cluster's connect
    /// timeout. Cancel safe: given up, it leaves nothing open.
    pub(crate) async fn run(&mut self, worker: &Worker, ends: &Ends) -> Result<Dialled, DialFault> {
        let cells = self.cluster.metrics.worker(worker.index);
        loop {
            let endpoint = match pick::pick(&self.cluster, worker, &mut self.tried, ends) {
                Ok(endpoint) => endpoint,
                Err(NoEndpoint::None) => return Err(self.fault(ResponseFlags::UH, "no_healthy_upstream")),
                Err(NoEndpoint::Refused(DestinationRefusal::NotAllowed)) => {
                    return Err(self.fault(ResponseFlags::UH, "destination_not_allowed"));
                }
                Err(NoEndpoint::Refused(DestinationRefusal::Loop)) => {
                    return Err(self.fault(ResponseFlags::UH, "destination_loop"));
                }
            };
            self.endpoint = Some(Arc::clone(&endpoint));
            let Some(place) = worker.pools.claim(worker, &self.cluster, &endpoint) else {
                // As Envoy: a connection does not wait for another to end, which may be hours.
                cells.overflows[Overflow::Connections].inc();
                return Err(self.fault(ResponseFlags::UO, "upstream_overflow"));
            };
            cells.attempts.inc();
            endpoint.load.begin();
            cells.connections_active.inc();
            let mut occupied = Occupied {
                endpoint: Arc::clone(&endpoint),
                metrics: Arc::clone(&self.cluster.metrics),
                worker: worker.index,
                local: None,
                _place: place,
            };
            let fault = match connect::connect_tcp(&self.cluster, &endpoint, worker).await {
                Ok((stream, local)) => {
                    if let Some(outlier) = &self.cluster.outlier {
                        outlier.record(&self.cluster, &endpoint, worker, Outcome::Connected);
                    }
                    occupied.local = Some(local);
                    return Ok(Dialled {
                        stream,
                        occupied,
                        attempts: self.tried.attempts(),
                    });
                }
                Err(fault) => fault,
            };
            if let Some(outlier) = &self.cluster.outlier
                && let Some(outcome) = outlier::failed(fault.failure)
            {
                outlier.record(&self.cluster, &endpoint, worker, outcome);
            }
            if self.tried.attempts() >= self.attempts_max {
                let timeout = fault.failure == AttemptFailure::ConnectTimeout;
                tracing::debug!(timeout, endpoint = %endpoint.address_text, "no endpoint could be connected to");
                return Err(self.fault(ResponseFlags::UF | ResponseFlags::URX, fault.detail));
            }
        }
    }

    /// What is noted when the client did not wait for the end.
    pub(super) fn abandoned(&self) -> DialFault {
        DialFault {
            address: self.endpoint.as_ref().map(|endpoint| endpoint.address),
            attempts: self.tried.attempts(),
            ..DialFault::given_up()
        }
    }

    fn fault(&self, flags: ResponseFlags, details: &'static str) -> DialFault {
        DialFault {
            flags,
            details,
            address: self.endpoint.as_ref().map(|endpoint| endpoint.address),
            attempts: self.tried.attempts(),
            downstream_gone: false,
        }
    }
}
