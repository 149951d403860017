//! What a route says of the endpoints of its clusters: what requests are hashed by, and the subsets that they go to.

use super::{View, line};
use outrigger_config::model::{Forward, HashSource};
use outrigger_traffic::{RequestView, query};

/// Tells what of the request its key is made of, and the subsets.
pub(super) fn describe(text: &mut String, forward: &Forward, view: &View<'_>) {
    for policy in forward.hash_policy() {
        let (what, is_there) = match policy.source() {
            HashSource::Header(name) => {
                let there = view.header(name.as_str(), &mut Vec::new()).is_some();
                (format!("header `{}`", name.as_str()), there)
            }
            HashSource::Cookie { name, ttl, .. } => {
                let mut joined = Vec::new();
                let sent = view.header("cookie", &mut joined);
                let there = outrigger_traffic::hash::cookie(sent.into_iter(), name).is_some();
                (format!("cookie `{name}`"), there || ttl.is_some())
            }
            HashSource::SourceAddress => ("the client's address".to_owned(), true),
            HashSource::Query(name) => {
                let there = query::values(view.query().unwrap_or_default(), name)
                    .next()
                    .is_some();
                (format!("query parameter `{name}`"), there)
            }
        };
        let found = if is_there {
            ""
        } else {
            ", which the request does not have"
        };
        line(text, format_args!("hashed by {what}{found}"));
        if is_there && policy.terminal() {
            break;
        }
    }
    for target in forward
        .clusters()
        .iter()
        .filter(|target| !target.subset().is_empty())
    {
        let pairs: Vec<String> = target
            .subset()
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        let (cluster, pairs) = (target.cluster(), pairs.join(", "));
        line(text, format_args!("subset of cluster `{cluster}`: {pairs}"));
    }
}
