//! What policies ask of connections and requests.

use outrigger_config::model::{Name, SpiffeId};
use serde_json::Value;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// What is known of a connection, and of a request on it.
///
/// # To decide again
/// A decision that is made again later, because policies changed, needs the same facts as the first one. Those of the
/// connection stay as they are for as long as it lives. Of a request that goes on for long, what it was when it was first
/// decided must be kept: method, authority, path and query, and the headers, as they were *after* sanitizing and *before*
/// any rewrite or edit of its route; and its [`Claims`]. A policy that comes later may ask for what none asked for
/// before, so all of it is to be kept, or nothing: `request` is none then, and what depends on it is not known, which
/// denies where a DENY policy might match, and where no ALLOW policy is certain to.
#[derive(Clone, Copy)]
pub struct Facts<'f> {
    /// The peer's verified certificate; none: it has none.
    pub peer: Option<&'f dyn PeerFacts>,
    /// The client's address: that of `x-forwarded-for` where proxies in front are trusted, else that of the connection.
    /// None: not known yet, since there is no request that could tell, or such proxies told no address.
    pub remote: Option<IpAddr>,
    /// The address of the connection's peer, PROXY protocol included.
    pub direct: IpAddr,
    /// Where the connection was meant for.
    pub destination: SocketAddr,
    /// The SNI, if there was one.
    pub server_name: Option<&'f str>,
    /// The request; none: there is none, or not yet, or it was not kept.
    pub request: Option<&'f dyn RequestFacts>,
}

impl fmt::Debug for Facts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Facts")
            .field("identity", &self.peer.and_then(|peer| peer.spiffe_id()))
            .field("remote", &self.remote)
            .field("direct", &self.direct)
            .field("destination", &self.destination)
            .finish_non_exhaustive()
    }
}

/// What a peer's verified certificate says.
pub trait PeerFacts {
    /// Its SPIFFE id, if it is a SPIFFE certificate.
    fn spiffe_id(&self) -> Option<&SpiffeId>;
    /// Calls `each` with its names: every URI and DNS name, or its subject if it has none.
    fn names(&self, each: &mut dyn FnMut(&str));
}

/// What a request says, sanitized.
pub trait RequestFacts {
    /// The method, as it came.
    fn method(&self) -> &str;
    /// The authority in force (absolute-form's before `host`'s), in any case, with or without a port.
    fn authority(&self) -> &str;
    /// The path, normalized ([`crate::path::normalize`]), without the query; empty for CONNECT, which has none.
    fn path(&self) -> &str;
    /// The query, without its `?`.
    fn query(&self) -> Option<&str>;
    /// Calls `each` with the value of every field of this name (lower case), in order.
    fn headers(&self, name: &str, each: &mut dyn FnMut(&[u8]));
    /// Claims of tokens that were verified; none: there are none.
    fn claims(&self) -> Option<&Claims>;
}

/// The payloads of a request's verified tokens, each with the provider that issued it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Claims {
    tokens: Vec<(Name, Arc<Value>)>,
}

impl Claims {
    /// Adds the payload of a verified token.
    pub fn add(&mut self, provider: Name, payload: impl Into<Arc<Value>>) {
        self.tokens.push((provider, payload.into()));
    }

    /// True if no token was verified.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Every token's provider and payload.
    pub fn tokens(&self) -> impl Iterator<Item = (&Name, &Value)> {
        self.tokens
            .iter()
            .map(|(provider, payload)| (provider, &**payload))
    }

    /// A claim, by its keys from the outside in, of the tokens of one provider, or of all. A claim that is `null` is not
    /// there.
    pub fn find<'c>(
        &'c self,
        provider: Option<&'c Name>,
        path: &'c [String],
    ) -> impl Iterator<Item = &'c Value> {
        self.tokens
            .iter()
            .filter(move |(issuer, _)| provider.is_none_or(|wanted| wanted == issuer))
            .filter_map(move |(_, payload)| path.iter().try_fold(&**payload, |value, key| value.get(key)))
            .filter(|value| !value.is_null())
    }
}
