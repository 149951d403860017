//! A virtual host's compiled edge policy.

use bytes::Bytes;
use outrigger_config::model;
use std::sync::Arc;

/// A virtual host's compiled policy.
#[derive(Debug, Clone)]
pub(crate) struct VirtualHostPolicy {
    /// Indices as in the model.
    pub(crate) routes: Arc<[super::RoutePolicy]>,
    /// There if anything in it is.
    pub(crate) edge: Option<Arc<EdgePolicy>>,
    /// What it changes in the chain's tracing, for requests that no route takes, too.
    pub(crate) tracing: Option<Arc<super::RouteTracing>>,
}

/// What a virtual host does for browsers.
#[derive(Debug, PartialEq)]
pub(crate) struct EdgePolicy {
    pub(crate) https_redirect: Option<model::HttpsRedirect>,
    /// The value of `strict-transport-security`.
    pub(crate) hsts: Option<String>,
    pub(crate) maintenance: Option<MaintenancePolicy>,
    /// Pages by the status of the local reply that they stand for.
    pub(crate) error_pages: Vec<(u16, Arc<PagePolicy>)>,
}

impl EdgePolicy {
    /// The page in place of a local reply with this status.
    pub(crate) fn error_page(&self, status: u16) -> Option<&PagePolicy> {
        let found = self.error_pages.iter().find(|(other, _)| *other == status);
        found.map(|(_, page)| page.as_ref())
    }
}

/// A page for everybody but some.
#[derive(Debug, PartialEq)]
pub(crate) struct MaintenancePolicy {
    pub(crate) config: model::Maintenance,
    pub(crate) page: PagePolicy,
}

/// A page, its file read.
#[derive(Debug, PartialEq)]
pub(crate) struct PagePolicy {
    /// None: that of the reply.
    pub(crate) status: Option<u16>,
    pub(crate) content_type: String,
    pub(crate) body: Bytes,
}
