//! Where the values of descriptors come from.

use crate::authorization::RequestFacts;
use crate::query;
use ipnet::IpNet;
use outrigger_config::model::{DescriptorPart, DescriptorSource, PathMatch, SpiffeId};
use serde_json::Value;
use std::borrow::Cow;
use std::net::IpAddr;

/// What is known of a request, or of a connection whose bytes are passed on.
#[derive(Clone, Copy)]
pub struct DescriptorFacts<'f> {
    /// The client: the peer of the connection, or whom trusted proxies in front name; none: they name nobody.
    pub remote: Option<IpAddr>,
    /// The peer's verified identity.
    pub identity: Option<&'f SpiffeId>,
    /// The request; none: there is none.
    pub request: Option<&'f dyn RequestFacts>,
    /// The route that takes it; none: there is none.
    pub route: Option<RouteFacts<'f>>,
}

/// The route that takes a request.
#[derive(Clone, Copy)]
pub struct RouteFacts<'f> {
    /// Its name.
    pub name: &'f str,
    /// Its virtual host's.
    pub virtual_host: &'f str,
    /// Its path condition.
    pub path: &'f PathMatch,
}

impl std::fmt::Debug for DescriptorFacts<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DescriptorFacts")
            .field("remote", &self.remote)
            .finish_non_exhaustive()
    }
}

/// Keys and values of a descriptor.
pub type Descriptor<'d> = Vec<(&'d str, Cow<'d, [u8]>)>;

/// A descriptor's keys and values; none if one of its parts is lacking.
pub fn describe<'d>(parts: &'d [DescriptorPart], facts: &DescriptorFacts<'d>) -> Option<Descriptor<'d>> {
    parts
        .iter()
        .map(|part| Some((part.key(), descriptor_value(part.source(), facts)?)))
        .collect()
}

/// The value of a part of a descriptor; none if it is lacking.
pub fn descriptor_value<'d>(
    source: &'d DescriptorSource,
    facts: &DescriptorFacts<'d>,
) -> Option<Cow<'d, [u8]>> {
    let request = facts.request;
    match source {
        DescriptorSource::Constant(text) => Some(text.as_bytes().into()),
        DescriptorSource::RemoteAddress { v4_prefix, v6_prefix } => {
            facts.remote.map(|remote| address(remote, *v4_prefix, *v6_prefix))
        }
        DescriptorSource::Header(name) => header(request?, name.as_str()),
        DescriptorSource::Query(name) => query::values(request?.query()?, name).next(),
        DescriptorSource::PathTemplate => facts.route.map(|route| path_text(route.path).as_bytes().into()),
        DescriptorSource::Path => Some(request?.path().as_bytes().into()),
        DescriptorSource::Method => Some(request?.method().as_bytes().into()),
        DescriptorSource::Host => Some(host(request?.authority())),
        DescriptorSource::SourceIdentity => facts.identity.map(|id| id.as_str().as_bytes().into()),
        DescriptorSource::Claim { provider, path } => {
            let claims = request?.claims()?;
            claims.find(provider.as_ref(), path).find_map(claim_text)
        }
        DescriptorSource::Route => facts.route.map(|route| route.name.as_bytes().into()),
        DescriptorSource::VirtualHost => facts.route.map(|route| route.virtual_host.as_bytes().into()),
    }
}

/// An address, or the network that it is in, as Envoy's `remote_address` and `masked_remote_address` write them.
fn address(remote: IpAddr, v4_prefix: u8, v6_prefix: u8) -> Cow<'static, [u8]> {
    let remote = remote.to_canonical();
    let prefix = if remote.is_ipv4() { v4_prefix } else { v6_prefix };
    let text = match IpNet::new(remote, prefix) {
        Ok(network) if network.prefix_len() < network.max_prefix_len() => network.trunc().to_string(),
        _ => remote.to_string(),
    };
    text.into_bytes().into()
}

/// All fields of the name, joined as one.
fn header<'f>(request: &'f dyn RequestFacts, name: &str) -> Option<Cow<'f, [u8]>> {
    let mut joined: Option<Vec<u8>> = None;
    request.headers(name, &mut |value| match &mut joined {
        None => joined = Some(value.to_vec()),
        Some(joined) => {
            joined.push(b',');
            joined.extend_from_slice(value);
        }
    });
    joined.map(Cow::Owned)
}

/// In lower case and without its port: one host is one value.
fn host(authority: &str) -> Cow<'_, [u8]> {
    let host = match authority.rfind([':', ']']) {
        Some(at) if authority.as_bytes()[at] == b':' => &authority[..at],
        _ => authority,
    };
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        host.to_ascii_lowercase().into_bytes().into()
    } else {
        host.as_bytes().into()
    }
}

/// A claim that is a text, a number or a boolean; lists and objects are no value.
fn claim_text(value: &Value) -> Option<Cow<'_, [u8]>> {
    match value {
        Value::String(text) => Some(text.as_bytes().into()),
        Value::Bool(value) => Some(if *value { &b"true"[..] } else { b"false" }.into()),
        Value::Number(number) => Some(number.to_string().into_bytes().into()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A path condition as it was written.
fn path_text(path: &PathMatch) -> &str {
    match path {
        PathMatch::Exact(text) | PathMatch::Prefix(text) | PathMatch::StringPrefix(text) => text,
        PathMatch::Template(template) => template.source(),
        PathMatch::Regex(pattern) => pattern.source(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_masked_and_those_of_a_family_in_another_are_its() {
        let text = |address: &str, v4, v6| {
            String::from_utf8(super::address(address.parse().unwrap(), v4, v6).into_owned()).unwrap()
        };
        assert_eq!(text("192.0.2.77", 32, 64), "192.0.2.77");
        assert_eq!(text("192.0.2.77", 24, 64), "192.0.2.0/24");
        assert_eq!(text("::ffff:192.0.2.77", 24, 64), "192.0.2.0/24");
        assert_eq!(text("2001:db8:1:2:3::4", 32, 64), "2001:db8:1:2::/64");
        assert_eq!(text("2001:db8::1", 32, 128), "2001:db8::1");
        assert_eq!(text("192.0.2.77", 0, 0), "0.0.0.0/0");
    }

    #[test]
    fn a_host_is_one_value_however_it_is_written() {
        for (authority, value) in [
            ("a.example", "a.example"),
            ("A.Example:8080", "a.example"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
        ] {
            assert_eq!(&*host(authority), value.as_bytes(), "{authority}");
        }
    }

    #[test]
    fn claims_that_are_no_single_value_are_lacking() {
        let text = |json: &str| {
            let value: Value = serde_json::from_str(json).unwrap();
            claim_text(&value).map(|bytes| String::from_utf8(bytes.into_owned()).unwrap())
        };
        assert_eq!(text("\"gold\"").as_deref(), Some("gold"));
        assert_eq!(text("7").as_deref(), Some("7"));
        assert_eq!(text("true").as_deref(), Some("true"));
        assert_eq!((text("[1]"), text("{}"), text("null")), (None, None, None));
    }
}
