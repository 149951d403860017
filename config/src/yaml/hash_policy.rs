//! What the hash of a request is made of.

use super::condition::only_true;
use super::forward::{cookie_name, cookie_path};
use super::reader::{Fields, Reader};
use super::scalar::{self, problem};
use super::shapes::{HASH_COOKIE, HASH_POLICY};
use super::tree::Node;
use crate::model::{HashPolicy, HashSource, defaults};
use crate::receipt::Code;

/// Policies of one route at most: each is looked at for each request.
const POLICIES_MAX: usize = 16;

/// The `hash_policy` of a forward.
pub(super) fn policies(reader: &mut Reader<'_>, forward: &Fields<'_>) -> Vec<HashPolicy> {
    let nodes = forward.list(reader, "hash_policy");
    if nodes.len() > POLICIES_MAX {
        let message = format!(
            "`hash_policy` has {} items; at most {POLICIES_MAX} are allowed",
            nodes.len()
        );
        reader.fault(forward.span_of("hash_policy"), message);
    }
    nodes
        .iter()
        .take(POLICIES_MAX)
        .filter_map(|node| policy(reader, node))
        .collect()
}

fn policy(reader: &mut Reader<'_>, node: &Node) -> Option<HashPolicy> {
    let fields = reader.fields(node, &HASH_POLICY)?;
    let header = fields
        .parsed(reader, "header", scalar::header_name)
        .map(HashSource::Header);
    let cookie = fields
        .node(reader, "cookie")
        .and_then(|node| cookie(reader, node));
    let address = only_true(reader, &fields, "source_address").then_some(HashSource::SourceAddress);
    let query = fields
        .parsed(reader, "query", |text| match text {
            "" => problem("a parameter's name may not be empty"),
            _ => Ok(text.to_owned()),
        })
        .map(HashSource::Query);
    let terminal = fields.boolean(reader, "terminal").unwrap_or(false);
    Some(HashPolicy {
        source: header.or(cookie).or(address).or(query)?,
        terminal,
    })
}

fn cookie(reader: &mut Reader<'_>, node: &Node) -> Option<HashSource> {
    let fields = reader.fields(node, &HASH_COOKIE)?;
    let name = fields.parsed(reader, "name", cookie_name);
    let ttl = fields.whole_seconds(reader, "ttl");
    let path = fields.parsed(reader, "path", cookie_path);
    if ttl.is_none() && fields.entry("path").is_some() {
        let message = "`path` has no effect: without `ttl` no cookie is given";
        reader.warn(
            Code::HashCookiePathUnused,
            fields.key_span_of("path"),
            message,
            "write `ttl`, or remove it",
        );
    }
    Some(HashSource::Cookie {
        name: name?,
        ttl,
        path: path.unwrap_or_else(|| defaults::HASH_COOKIE_PATH.to_owned()),
    })
}
