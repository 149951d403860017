//! What believed peers say in a request's headers of how it is to be retried and timed, and of faults that it asks for. Of
//! all others those headers are taken off, and from believed ones too once they are read: none of them goes upstream as it
//! came.

use super::RequestContext;
use outrigger_config::model::Forward;
use outrigger_http1::Fields;
use outrigger_traffic::fault::{AskedFaults, FAULT_HEADERS};
use outrigger_traffic::retry::{HINT_HEADERS, RetryHints, RetryRules};
use std::sync::Arc;
use std::time::Duration;

/// The hints of one request.
pub(super) struct Hints {
    retry: RetryHints,
    faults: AskedFaults,
}

impl Hints {
    /// Reads them, if there are any and the peer is believed. Asked only where the head has a field that could be one.
    #[cold]
    pub(super) fn read(context: &RequestContext<'_>, fields: &Fields) -> Option<Box<Hints>> {
        if !fields.iter().any(|field| is_hint(field.name)) || !is_believed(context) {
            return None;
        }
        let mut retry = RetryHints::default();
        let mut faults = AskedFaults::default();
        for field in fields.iter() {
            retry.note(field.name, field.value);
            faults.note(field.name, field.value);
        }
        Some(Box::new(Hints { retry, faults }))
    }

    /// Faults that it asks for.
    pub(super) fn faults(&self) -> &AskedFaults {
        &self.faults
    }

    /// How often the request was repeated before it came here.
    pub(super) fn retry_number(&self) -> u32 {
        self.retry.retry_number()
    }

    /// To what the peer lowers the budget of the request's retries, in percent.
    pub(super) fn budget_percent(&self) -> Option<u32> {
        self.retry.budget_percent()
    }

    /// How long the request may still take, if the peer says.
    pub(super) fn time_left(&self) -> Option<Duration> {
        self.retry.time_left()
    }

    /// The timeout that it asks for, as it came; `Some(None)`: none at all.
    pub(super) fn timeout(&self) -> Option<Option<Duration>> {
        self.retry.timeout()
    }

    /// The timeout of each attempt that it asks for.
    pub(super) fn per_try_timeout(&self) -> Option<Duration> {
        self.retry.per_try_timeout()
    }

    /// The rules in force for the request.
    pub(super) fn rules(&self, route: Option<&Arc<RetryRules>>) -> Option<Arc<RetryRules>> {
        if !self.retry.changes_attempts() {
            return route.cloned();
        }
        let route = route.map(|rules| &**rules);
        Some(Arc::new(RetryRules::hinted(route, &self.retry)))
    }

    /// The route's timeout for the request: the peer's, at most the longest that the route has for peers.
    pub(super) fn route_timeout(&self, policy: &Forward) -> Option<Option<Duration>> {
        let asked = self.retry.timeout()?;
        let own = policy.timeout().filter(|_| policy.timeout_explicit());
        Some(match (asked, policy.client_timeout_max().or(own)) {
            (Some(asked), Some(max)) => Some(asked.min(max)),
            (asked, max) => asked.or(max),
        })
    }
}

/// True if a field of this name is a hint.
pub(super) fn is_hint(name: &[u8]) -> bool {
    let mut hints = HINT_HEADERS.iter().chain(&FAULT_HEADERS);
    hints.any(|hint| hint.as_bytes() == name)
}

/// Whether the connection's peer is believed. Like trusted proxies it is the one that a PROXY protocol header names.
pub(super) fn is_believed(context: &RequestContext<'_>) -> bool {
    let peers = context.chain().http().options.hint_peers();
    let ends = context.ends();
    let id = ends.identity.as_ref().and_then(|peer| peer.spiffe_id.as_ref());
    if let Some(id) = id
        && (peers.authenticated() || peers.identities().iter().any(|wanted| wanted.matches(id)))
    {
        return true;
    }
    let address = ends.remote.ip().to_canonical();
    peers.addresses().iter().any(|network| network.contains(&address))
}
