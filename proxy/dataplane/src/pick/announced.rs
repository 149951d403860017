//! Endpoints to which a downstream connection is announced by the PROXY protocol.
//!
//! What an upstream connection announced first, it announced for good: no other downstream connection may use it. So each
//! downstream connection has endpoints of its own there, which share everything with those of the cluster but their
//! pool, and which end with it.

use crate::connection::Ends;
use crate::proxy_protocol;
use crate::snapshot::{ClusterPolicy, EndpointState};
use crate::worker::Worker;
use outrigger_config::model::UpstreamProxyProtocol;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

/// Endpoints that one downstream connection has of its own at most; beyond that its oldest connections are not kept.
const ENDPOINTS_MAX: usize = 64;

/// A downstream connection's own endpoints. It costs nothing until there is one.
pub(crate) struct Announced {
    worker: Rc<Worker>,
    endpoints: RefCell<VecDeque<Own>>,
}

struct Own {
    of: Arc<EndpointState>,
    endpoint: Arc<EndpointState>,
}

impl Announced {
    pub(crate) fn new(worker: &Rc<Worker>) -> Announced {
        Announced {
            worker: Rc::clone(worker),
            endpoints: RefCell::default(),
        }
    }

    /// The endpoint itself, or, if the cluster is spoken to by the PROXY protocol, the connection's own in its place.
    #[inline(always)]
    pub(super) fn endpoint(
        &self,
        cluster: &ClusterPolicy,
        endpoint: Arc<EndpointState>,
        ends: &Ends,
    ) -> Arc<EndpointState> {
        match cluster.config.proxy_protocol() {
            None => endpoint,
            Some(settings) => self.own(cluster, settings, endpoint, ends),
        }
    }

    #[cold]
    fn own(
        &self,
        cluster: &ClusterPolicy,
        settings: &UpstreamProxyProtocol,
        endpoint: Arc<EndpointState>,
        ends: &Ends,
    ) -> Arc<EndpointState> {
        let mut endpoints = self.endpoints.borrow_mut();
        let known = endpoints.iter_mut().find(|own| own.of.id == endpoint.id);
        if let Some(own) = known {
            if !Arc::ptr_eq(&own.of, &endpoint) {
                // Its addresses have changed; what is connected stays.
                let preface = own.endpoint.preface.clone();
                own.endpoint = Arc::new(endpoint.with_preface(own.endpoint.id, preface));
                own.of = endpoint;
            }
            // A publish in between has forgotten it.
            self.worker.pools.admit(own.endpoint.id);
            return Arc::clone(&own.endpoint);
        }
        if endpoints.len() >= ENDPOINTS_MAX
            && let Some(oldest) = endpoints.pop_front()
        {
            self.worker.pools.forget(oldest.endpoint.id);
        }
        let preface = proxy_protocol::encode(settings, ends.remote, ends.destination, &ends.tlvs);
        let own = Arc::new(endpoint.with_preface(cluster.shared.next_endpoint_id(), Some(preface)));
        self.worker.pools.admit(own.id);
        endpoints.push_back(Own {
            of: endpoint,
            endpoint: Arc::clone(&own),
        });
        own
    }
}

impl std::fmt::Debug for Announced {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Announced").finish_non_exhaustive()
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        for own in self.endpoints.borrow().iter() {
            self.worker.pools.forget(own.endpoint.id);
        }
    }
}
