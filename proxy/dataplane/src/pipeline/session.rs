//! Session cookies: a request whose cookie names an endpoint goes there, and an answer from another endpoint than the
//! cookie names brings a new one. The request's cookie is passed on as it came.

use super::{Request, RequestContext, Taken};
use crate::pick::{Aim, Wish};
use outrigger_http1::{Fields, KnownName};
use outrigger_telemetry::SessionCookieUse;
use outrigger_traffic::{SessionKey, SessionPolicy};

/// What a request says of where it should go.
#[derive(Default)]
pub(super) struct Session {
    /// The session cookie's key.
    key: Option<SessionKey>,
    /// Where attempts should go.
    pub(super) aim: Aim,
    /// Cookies that the answer is to bring, for the hash of later requests.
    pub(super) given: Vec<String>,
}

/// Reads the request's cookie. Gives the target of the route, by its place, whose cluster has the endpoint that it names, if
/// the route sends anything there: a client stays with its endpoint, whatever the shares of clusters are, and while it
/// drains. An endpoint that is not healthy keeps nobody.
pub(super) fn begin(
    request: &mut Request<'_>,
    context: &RequestContext<'_>,
    taken: Taken<'_>,
    policy: &SessionPolicy,
) -> Option<usize> {
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
        aim: Aim {
            wish: key.map(|_| Wish {
                endpoint: found.map(|(_, endpoint)| endpoint),
                strict: policy.is_strict(),
            }),
            ..Aim::default()
        },
        given: Vec::new(),
    }));
    found.map(|(target, _)| target)
}

fn find(context: &RequestContext<'_>, taken: Taken<'_>, key: SessionKey) -> Option<(usize, usize)> {
    let mut sum_before = 0;
    let targets = taken.policy.clusters.iter().zip(&taken.policy.weights);
    for (target, (&slot, &sum)) in targets.enumerate() {
        let weight = sum - std::mem::replace(&mut sum_before, sum);
        let cluster = context
            .snapshot
            .cluster(slot)
            .expect("a route's clusters are in its snapshot");
        if weight > 0
            && let Some(endpoint) = cluster.sessions().find(key)
            && cluster.balancer.keeps(endpoint)
        {
            return Some((target, endpoint));
        }
    }
    None
}

/// Adds the cookies that the client is given: for the hash of its requests, and for its session.
#[cold]
pub(super) fn finish(
    context: &RequestContext<'_>,
    request: &Request<'_>,
    taken: Taken<'_>,
    fields: &mut Fields,
) {
    for cookie in request.session.iter().flat_map(|session| &session.given) {
        fields.push_known(KnownName::SetCookie, cookie.as_bytes());
    }
    if let Some(policy) = &taken.policy.session {
        keep(context, request, policy, fields);
    }
}

/// Adds the cookie of the endpoint that has answered, unless the client has it.
fn keep(context: &RequestContext<'_>, request: &Request<'_>, policy: &SessionPolicy, fields: &mut Fields) {
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
