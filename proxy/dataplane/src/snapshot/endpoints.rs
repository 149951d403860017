//! Endpoints: their addresses, and what is counted and learnt of them whatever the configuration.

use bytes::Bytes;
use outrigger_traffic::{EndpointHealth, EndpointLoad, SessionKey};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};

/// An endpoint's state; process-wide, kept across snapshots while address and connection settings stay.
#[derive(Debug)]
pub struct EndpointState {
    /// Keys the workers' pools; never used twice.
    pub(crate) id: u64,
    /// What it is known by; where connections go, unless there are `alternatives`.
    pub(crate) address: SocketAddr,
    pub(crate) address_text: String,
    /// All addresses of a logical endpoint, each as good as the other; empty for an endpoint that is one address.
    pub(crate) alternatives: Box<[SocketAddr]>,
    /// Shared, as `health` is, by all states that the cluster has had for this address.
    pub(crate) load: Arc<EndpointLoad>,
    pub(crate) health: Arc<EndpointHealth>,
    /// The address that connections to it have here; none: the kernel's choice. It is a client's, not ours.
    pub(crate) source: Option<IpAddr>,
    /// What connections begin with: a PROXY protocol header.
    pub(crate) preface: Option<Bytes>,
    /// Made when it is first asked for.
    pub(crate) session_key: OnceLock<SessionKey>,
}

impl EndpointState {
    /// What a session cookie says of it; `cluster` is its cluster's name.
    pub(crate) fn session_key(&self, cluster: &str) -> SessionKey {
        *self
            .session_key
            .get_or_init(|| SessionKey::of(cluster, &self.address_text))
    }

    /// The same endpoint with a pool of its own, whose connections begin with `preface`.
    pub(crate) fn with_preface(&self, id: u64, preface: Option<Bytes>) -> EndpointState {
        EndpointState {
            id,
            address: self.address,
            address_text: self.address_text.clone(),
            alternatives: self.alternatives.clone(),
            load: Arc::clone(&self.load),
            health: Arc::clone(&self.health),
            source: self.source,
            preface,
            session_key: self.session_key.clone(),
        }
    }

    /// Where; the first address of a logical endpoint.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Everywhere that a new connection may go; never empty.
    pub fn addresses(&self) -> &[SocketAddr] {
        if self.alternatives.is_empty() {
            std::slice::from_ref(&self.address)
        } else {
            &self.alternatives
        }
    }

    /// What was learnt of its health. Shared by all states that its cluster has had for this address: it outlives
    /// configurations, discovery and other material, for as long as the cluster has the address. After a change the
    /// cluster needs [`crate::DataPlane::set_health`].
    pub fn health(&self) -> &Arc<EndpointHealth> {
        &self.health
    }

    /// Requests that are on their way to it.
    pub fn requests_active(&self) -> u32 {
        self.load.active()
    }

    /// Connections to it that are open or being made.
    pub fn connections(&self) -> u32 {
        self.load.connections()
    }
}
