//! What a route says of the endpoints of its clusters: the subset that requests go to, and what they are hashed by.

use super::session::Session;
use super::{Request, RequestContext};
use crate::snapshot::{AffinityPolicy, ClusterPolicy};
use outrigger_config::model::{HashPolicy, HashSource};
use outrigger_http1::KnownName;
use outrigger_traffic::{hash, query};
use std::net::IpAddr;

/// Notes what attempts at the route's target of this place are picked by.
#[cold]
pub(super) fn begin(
    request: &mut Request<'_>,
    context: &RequestContext<'_>,
    policy: &AffinityPolicy,
    target: usize,
    cluster: &ClusterPolicy,
) {
    let mut session = request.session.take().unwrap_or_default();
    session.aim.subset = policy.subsets.get(target).copied().flatten();
    if cluster.balancer.is_consistent() {
        session.aim.hash = hash_of(request, context, &policy.hash, &mut session);
    }
    request.session = Some(session);
}

/// The key of a request; none if it has nothing of what is hashed.
fn hash_of(
    request: &Request<'_>,
    context: &RequestContext<'_>,
    policies: &[HashPolicy],
    session: &mut Session,
) -> Option<u64> {
    let mut hash = None;
    for policy in policies {
        let part = match policy.source() {
            HashSource::Header(name) => hash::of_all(request.head.fields.find_all(name.as_str())),
            HashSource::Cookie { name, ttl, path } => {
                let fields = request.head.fields.get_all(KnownName::Cookie);
                match (hash::cookie(fields, name), ttl) {
                    (Some(value), _) => Some(hash::of(value)),
                    (None, Some(ttl)) => {
                        let value = format!("{:016x}", context.worker().random());
                        session.given.push(hash::set_cookie(name, &value, *ttl, path));
                        Some(hash::of(value.as_bytes()))
                    }
                    (None, None) => None,
                }
            }
            HashSource::SourceAddress => Some(hash::of(client(request, context).to_string().as_bytes())),
            HashSource::Query(name) => {
                let query = request.head.query().unwrap_or_default();
                query::values(query, name).next().map(|value| hash::of(&value))
            }
        };
        let Some(part) = part else { continue };
        hash = Some(hash::combine(hash, part));
        if policy.terminal() {
            break;
        }
    }
    hash
}

/// The client: the peer, or as trusted proxies in front tell it.
fn client(request: &Request<'_>, context: &RequestContext<'_>) -> IpAddr {
    let peer = || context.ends().remote.ip().to_canonical();
    request.record.client.unwrap_or_else(peer)
}
