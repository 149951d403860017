//! Session cookies: a request whose cookie names an endpoint goes there, and an answer from another endpoint than the
//! cookie names brings a new one. The request's cookie is passed on as it came.

use super::{Request, RequestContext, Taken};
use crate::pick::Wish;
use crate::snapshot::ClusterSlot;
use outrigger_http1::{Fields, KnownName};
use outrigger_telemetry::SessionCookieUse;
use outrigger_traffic::{SessionKey, SessionPolicy};

/// What a request's session cookie says.
pub(super) struct Session {
    /// The cookie's key.
    key: Option<SessionKey>,
    /// Where attempts should go.
    pub(super) wish: Option<Wish>,
}

/// Reads the request's cookie. Gives the cluster of the endpoint that it names, if the route sends anything there:
/// a client stays with its endpoint, whatever the shares of clusters are.
pub(super) fn begin(
    request: &mut Request<'_>,
    context: &RequestContext<'_>,
    taken: Taken<'_>,
    policy: &SessionPolicy,
) -> Option<ClusterSlot> {
    let key = policy.key_in(request.head.fields.get_all(KnownName::Cookie));
    let found = key.and_then(|key| find(context, taken, key));
    let uses = &taken
        .policy
        .metrics
        .worker(context.worker().index)
        .session_cookies;
    uses[match (key, found) {
        (None, _) => SessionCookieUse::New,
        (Some(_), Some(_)) => SessionCookieUse::Kept,
        (Some(_), None) if policy.is_strict() => SessionCookieUse::Refused,
        (Some(_), None) => SessionCookieUse::Moved,
    }]
    .inc();
    request.session = Some(Box::new(Session {
        key,
        wish: key.map(|_| Wish {
            endpoint: found.map(|(_, endpoint)| endpoint),
            strict: policy.is_strict(),
        }),
    }));
    found.map(|(slot, _)| slot)
}

fn find(context: &RequestContext<'_>, taken: Taken<'_>, key: SessionKey) -> Option<(ClusterSlot, usize)> {
    let mut sum_before = 0;
    for (&slot, &sum) in taken.policy.clusters.iter().zip(&taken.policy.weights) {
        let weight = sum - std::mem::replace(&mut sum_before, sum);
        let cluster = context
            .snapshot
            .cluster(slot)
            .expect("a route's clusters are in its snapshot");
        if weight > 0
            && let Some(endpoint) = cluster.sessions().find(key)
        {
            return Some((slot, endpoint));
        }
    }
    None
}

/// Adds the cookie of the endpoint that has answered, unless the client has it.
pub(super) fn finish(
    context: &RequestContext<'_>,
    request: &Request<'_>,
    policy: &SessionPolicy,
    fields: &mut Fields,
) {
    let cluster = request
        .record
        .cluster
        .and_then(|slot| context.snapshot.cluster(slot));
    let (Some(cluster), Some(endpoint)) = (cluster, request.record.endpoint()) else {
        return;
    };
    let key = endpoint.session_key(cluster.config.name().as_str());
    // Where requests go where connections were meant for, a cookie has no say.
    let came = request.session.as_ref().and_then(|session| session.key.as_ref());
    if came == Some(&key) || cluster.destinations.is_some() {
        return;
    }
    // Told by this listener, or by a proxy in front that it trusts.
    let https = request.head.fields.get(KnownName::XForwardedProto) == Some(b"https");
    fields.push_known(KnownName::SetCookie, policy.set_cookie(key, https).as_bytes());
}
