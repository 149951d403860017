//! Make before break: what of one type has to wait for another (xDS protocol, "Eventual consistency considerations").
//!
//! - Clusters go first and wait for nothing; then endpoints. Changed endpoints of a changed cluster wait until that
//!   cluster is on its way. Endpoints that the client asks for are never held up by an unanswered response of clusters,
//!   since a client may acknowledge clusters only when they are warm.
//! - Listeners, then routes, wait until the clusters and endpoints of the same update, and endpoints that the client has
//!   asked for, are sent and answered; but no longer than [`ACK_WAIT_MAX`], since a client may not answer at all.
//! - Clusters, endpoints, routes and secrets are removed only when everything that may refer to them is as it is to be:
//!   sent, answered and not refused. A refused route still uses the clusters of its last good version. That wait has no
//!   end, because nothing is lost by it; but a type that the client has not asked for within [`ACK_WAIT_MAX`] of the
//!   first request is not waited for.
//!
//! The order holds within a stream: separate streams know nothing of each other. Endpoints are sent again after a change
//! of their cluster, because Envoy warms that anew; routes are not sent again after a change of their listener, because
//! Envoy uses those that it has (the note in "Resource warming").

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::conversation::Conversation;
use crate::resource::ResourceType;

/// How long listeners and routes wait for the answer to clusters and endpoints: as long as clients are to wait for a
/// resource before they take it for absent (xDS protocol, 15 seconds).
pub const ACK_WAIT_MAX: Duration = Duration::from_secs(15);

/// What a type that was never asked for means to those that it may refer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Silence {
    /// The client may yet ask for it: on a new stream it says one after the other what it holds.
    MayEnd,
    /// The client holds none of it, or the stream is not about it.
    IsFinal,
}

/// Whether resources of a type may be put now, and whether they may be removed now.
pub(super) fn allowed(
    conversations: &[Conversation],
    resource_type: ResourceType,
    silence: Silence,
    now: Instant,
) -> (bool, bool) {
    let of = |resource_type: ResourceType| &conversations[resource_type.index()];
    let is_done = |user: &Conversation| {
        if user.is_open() {
            user.is_quiet()
        } else {
            silence == Silence::IsFinal
        }
    };
    let quiet = |users: &[ResourceType]| users.iter().all(|user| is_done(of(*user)));
    use ResourceType::{Cluster, ClusterLoadAssignment, Listener, RouteConfiguration, Runtime, Secret};
    match resource_type {
        Runtime => (true, true),
        Secret => (true, quiet(&[Cluster, Listener])),
        Cluster => (true, quiet(&[Listener, RouteConfiguration])),
        ClusterLoadAssignment => (true, quiet(&[Listener, RouteConfiguration, Cluster])),
        // A listener may take over the address of one that goes: both are told at once.
        Listener => {
            let is_due = is_released(conversations, Listener, now);
            (is_due, is_due)
        }
        RouteConfiguration => {
            let is_due = is_released(conversations, RouteConfiguration, now);
            (is_due, is_due && quiet(&[Listener]))
        }
    }
}

/// The endpoints that wait for their cluster: it is to be sent and not among what was just sent.
pub(super) fn held_back(conversations: &[Conversation], resource_type: ResourceType) -> BTreeSet<Arc<str>> {
    let clusters = &conversations[ResourceType::Cluster.index()];
    let endpoints = &conversations[ResourceType::ClusterLoadAssignment.index()];
    let is_idle = endpoints.puts.is_empty() || clusters.puts.is_empty() || endpoints.outstanding.is_some();
    if resource_type != ResourceType::ClusterLoadAssignment || is_idle {
        return BTreeSet::new();
    }
    let sent: BTreeSet<&Arc<str>> = clusters
        .outstanding
        .iter()
        .flat_map(|outstanding| &outstanding.names)
        .collect();
    let waiting = endpoints
        .puts
        .keys()
        .filter(|name| clusters.puts.contains_key(*name) && !sent.contains(name));
    waiting.cloned().collect()
}

/// When the next type that waits for answers waits no longer.
pub(super) fn next_release(conversations: &[Conversation]) -> Option<Instant> {
    let waiting = [ResourceType::Listener, ResourceType::RouteConfiguration]
        .into_iter()
        .filter_map(|resource_type| {
            let conversation = &conversations[resource_type.index()];
            let newest = newest(conversation)?;
            let is_waiting = conversation.outstanding.is_none() && is_awaited(conversations, newest);
            is_waiting.then(|| oldest(conversation)?.checked_add(ACK_WAIT_MAX))?
        });
    waiting.min()
}

/// Whether anything that is to be removed waits for the silence to be final.
pub(super) fn is_silence_awaited(conversations: &[Conversation]) -> bool {
    conversations
        .iter()
        .any(|conversation| !conversation.leaving.is_empty())
        && conversations.iter().any(|conversation| !conversation.is_open())
}

fn is_released(conversations: &[Conversation], resource_type: ResourceType, now: Instant) -> bool {
    let conversation = &conversations[resource_type.index()];
    let (Some(oldest), Some(newest)) = (oldest(conversation), newest(conversation)) else {
        return true;
    };
    now.saturating_duration_since(oldest) >= ACK_WAIT_MAX || !is_awaited(conversations, newest)
}

/// Whether clusters or endpoints that came to be sent no later than `newest`, or that the client asks for, are not yet
/// sent and answered.
fn is_awaited(conversations: &[Conversation], newest: Instant) -> bool {
    let made_first = [ResourceType::Cluster, ResourceType::ClusterLoadAssignment];
    made_first
        .into_iter()
        .map(|resource_type| &conversations[resource_type.index()])
        .any(|conversation| {
            conversation
                .puts
                .values()
                .any(|wanted| wanted.is_forced || wanted.since <= newest)
                || conversation.answer_due.is_some_and(|since| since <= newest)
                || conversation
                    .outstanding
                    .as_ref()
                    .is_some_and(|outstanding| outstanding.is_forced || outstanding.since <= newest)
        })
}

fn oldest(conversation: &Conversation) -> Option<Instant> {
    let puts = conversation.puts.values().map(|wanted| wanted.since);
    let leaving = conversation.leaving.values().copied();
    puts.chain(leaving).chain(conversation.answer_due).min()
}

/// When anything of what is still to be told last changed: what came before it is made first.
fn newest(conversation: &Conversation) -> Option<Instant> {
    let is_due = !conversation.puts.is_empty()
        || !conversation.leaving.is_empty()
        || conversation.answer_due.is_some();
    conversation.touched.filter(|_| is_due)
}
