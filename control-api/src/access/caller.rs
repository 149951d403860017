//! Who calls: by a token, a verified client certificate, or from this machine.

use super::{Access, Denied, Role, TokenDigest};
use crate::listen::Peer;
use http::{Extensions, HeaderMap, header};
use outrigger_config::model::SpiffeId;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

/// Who somebody is to us. As text it is what the audit log says of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Principal {
    /// The id of a verified client certificate.
    Identity(SpiffeId),
    /// The name of a token.
    Token(String),
    /// Whoever calls from this machine, where that is believed.
    Loopback,
    /// Nobody is known.
    Anonymous,
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Principal::Identity(id) => id.fmt(f),
            Principal::Token(name) => write!(f, "token `{name}`"),
            Principal::Loopback => f.write_str("this machine (loopback)"),
            Principal::Anonymous => f.write_str("nobody who is known"),
        }
    }
}

/// Who calls, with the roles that were granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    principal: Principal,
    roles: Vec<Role>,
    peer: Option<Arc<Peer>>,
    expires: Option<SystemTime>,
}

impl Caller {
    /// Who.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// What was granted.
    pub fn roles(&self) -> &[Role] {
        &self.roles
    }

    /// The other end of the connection; none if nothing is known of it.
    pub fn peer(&self) -> Option<&Peer> {
        self.peer.as_deref()
    }

    /// From when on what was shown does not hold any more: whoever serves a caller for long ends then. None: never.
    pub fn expires(&self) -> Option<SystemTime> {
        self.expires
    }

    /// Somebody with these roles, as [`Access::identify`] would find.
    pub(crate) fn new(principal: Principal, roles: Vec<Role>, peer: Option<Arc<Peer>>) -> Caller {
        Caller {
            principal,
            roles,
            peer,
            expires: None,
        }
    }
}

impl Access {
    /// Who sent a request: `extensions` and `headers` are the request's, over HTTP or gRPC, as [`crate::listen`] hands it
    /// on. A token counts more than a certificate, and a certificate more than where the call comes from; a token that
    /// does not hold is refused, whatever else was shown. Who shows nothing is [`Principal::Anonymous`], who may nothing.
    ///
    /// # Errors
    /// If the token is unknown or expired, or `authorization` holds something else.
    pub fn identify(
        &self,
        extensions: &Extensions,
        headers: &HeaderMap,
        now: SystemTime,
    ) -> Result<Caller, Denied> {
        let peer = extensions.get::<Arc<Peer>>();
        if let Some(token) = bearer(headers)? {
            return self.identify_token(token, peer, now);
        }
        let (principal, roles) = match peer {
            Some(peer) => match peer.spiffe_id() {
                Some(id) => (Principal::Identity(id.clone()), self.roles_of(id)),
                None if self.loopback && is_local(peer) => {
                    check_not_by_a_page(headers)?;
                    (Principal::Loopback, vec![Role::Administrator])
                }
                None => (Principal::Anonymous, Vec::new()),
            },
            None => (Principal::Anonymous, Vec::new()),
        };
        Ok(Caller::new(principal, roles, peer.cloned()))
    }

    fn identify_token(
        &self,
        token: &str,
        peer: Option<&Arc<Peer>>,
        now: SystemTime,
    ) -> Result<Caller, Denied> {
        let Some(grant) = self.tokens.get(&TokenDigest::of(token)) else {
            return Err(Denied::unauthenticated("the token is not known"));
        };
        if grant.expires.is_some_and(|expires| now >= expires) {
            let reason = format!("token `{}` has expired", grant.name);
            return Err(Denied::unauthenticated(reason));
        }
        let principal = Principal::Token(grant.name.clone());
        let caller = Caller::new(principal, grant.roles.clone(), peer.cloned());
        Ok(Caller {
            expires: grant.expires,
            ..caller
        })
    }

    fn roles_of(&self, id: &SpiffeId) -> Vec<Role> {
        let granted = self.identities.iter().filter(|grant| grant.identity.matches(id));
        granted.flat_map(|grant| grant.roles.iter().cloned()).collect()
    }
}

/// The token of `authorization: Bearer`; none if there is no such header.
///
/// # Errors
/// If there are several, or it is of another scheme.
pub(crate) fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Denied> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let wrong = || Denied::unauthenticated("expected one `authorization: Bearer TOKEN`");
    if values.next().is_some() {
        return Err(wrong());
    }
    let (scheme, token) = value
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .ok_or_else(wrong)?;
    match scheme.eq_ignore_ascii_case("bearer") {
        true => Ok(Some(token.trim())),
        false => Err(wrong()),
    }
}

/// Both ends on this machine: whoever reaches an address of the network through a relay of this machine is not here.
fn is_local(peer: &Peer) -> bool {
    peer.address.ip().to_canonical().is_loopback() && peer.local_address.ip().to_canonical().is_loopback()
}

/// A browser on this machine carries other people's pages: what they send has an `origin`, and after their name was
/// pointed here a `host` that is not ours. Over HTTP/2 without TLS no browser comes.
fn check_not_by_a_page(headers: &HeaderMap) -> Result<(), Denied> {
    let named = [header::HOST, header::ORIGIN];
    let foreign = named.iter().find(|name| {
        let values = headers.get_all(*name);
        values
            .iter()
            .any(|value| !value.to_str().is_ok_and(names_this_machine))
    });
    match foreign {
        None => Ok(()),
        Some(name) => Err(Denied::unauthenticated(format!(
            "header `{name}` names another machine: the loopback default is for `localhost`, 127.0.0.1 and [::1]"
        ))),
    }
}

/// `host` with or without a port, or an origin: `http://host:port`.
fn names_this_machine(text: &str) -> bool {
    let host = text.split_once("://").map_or(text, |(_, rest)| rest);
    let host = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.rsplit_once(':').map_or(host, |(host, _)| host),
    };
    match host.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_this_machine_are_known() {
        for (text, ours) in [
            ("localhost", true),
            ("LOCALHOST:18001", true),
            ("127.0.0.1:80", true),
            ("127.3.2.1", true),
            ("[::1]:80", true),
            ("http://localhost:3000", true),
            ("http://[::1]", true),
            ("null", false),
            ("localhost.example.com", false),
            ("http://evil.example:18001", false),
            ("192.0.2.1", false),
            ("", false),
        ] {
            assert_eq!(names_this_machine(text), ours, "{text}");
        }
    }
}
