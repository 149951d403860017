//! Upgrades and CONNECT: what a client asks its connection or stream to become, whether policy lets it, and what is
//! said for that to the upstream and back, over either version of HTTP.
//!
//! Between the versions an upgrade (`GET` with `upgrade`, answered 101) and an extended CONNECT (RFC 8441: `CONNECT`
//! with `:protocol`, answered 2xx) say the same, and one becomes the other. Inside, both are a `GET`; routes see no
//! difference.
//!
//! What is not allowed is not asked for: over HTTP/1 the upgrade is ignored, as RFC 9110 section 7.8 has it; over HTTP/2
//! there is nothing else that the request could mean, and it is answered 403.

mod attempt;
mod websocket;

pub(super) use attempt::{Attempted, attempt};

use super::exchange::Stop;
use super::{Request, RequestContext, Taken};
use crate::body::BodyLength;
use crate::error::AttemptError;
use crate::reply::LocalReply;
use crate::server::{Asks, Downstream};
use outrigger_config::model::{ConnectAction, Forward};
use outrigger_http1::{Fields, KnownName, Method, RequestHead, ResponseHead};
use outrigger_telemetry::UpgradeProtocol;
use outrigger_traffic::retry::AttemptFailure;

/// Protocols of one `upgrade` field that are looked at; a client offers one.
const OFFERS_MAX: usize = 8;

/// The protocol that has rules of its own.
const WEBSOCKET: &str = "websocket";

/// What a client asks for, and from [`admit`] on what it gets if the upstream agrees.
pub(super) struct Upgrade {
    how: How,
    /// As the client wrote them, the one it likes best first; one once it is admitted, none for CONNECT.
    protocols: Vec<Box<str>>,
    /// `sec-websocket-key`: the client's, or one made here for an upstream that speaks HTTP/1.
    key: Option<Box<[u8]>>,
}

/// How it asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// HTTP/1's `upgrade`.
    Upgrade,
    /// HTTP/2's extended CONNECT.
    Extended,
    /// CONNECT, in either version.
    Connect,
}

impl Upgrade {
    /// What the request asks for beside an answer. Asked before hop-by-hop fields are dropped.
    #[inline]
    pub(super) fn of(downstream: &Downstream<'_>, head: &RequestHead) -> Option<Box<Upgrade>> {
        match downstream.asks() {
            Asks::Answer if head.method != Method::Connect => None,
            asks => Upgrade::read(asks, head),
        }
    }

    #[cold]
    fn read(asks: Asks<'_>, head: &RequestHead) -> Option<Box<Upgrade>> {
        let (how, protocols) = match asks {
            _ if head.method == Method::Connect => (How::Connect, Vec::new()),
            Asks::Extended(protocol) => (How::Extended, vec![protocol.into()]),
            Asks::Upgrade => (How::Upgrade, offers(&head.fields)),
            Asks::Answer => return None,
        };
        Some(Box::new(Upgrade {
            how,
            protocols,
            key: None,
        }))
    }

    fn protocol(&self) -> &str {
        self.protocols.first().map_or("", |protocol| protocol)
    }

    /// The protocols that the client asks for; none for CONNECT.
    pub(super) fn offered(&self) -> &[Box<str>] {
        &self.protocols
    }

    fn is_websocket(&self) -> bool {
        self.protocol().eq_ignore_ascii_case(WEBSOCKET)
    }

    /// The label under which it is counted.
    pub(super) fn label(&self) -> UpgradeProtocol {
        match self.how {
            How::Connect => UpgradeProtocol::Connect,
            _ if self.is_websocket() => UpgradeProtocol::WebSocket,
            _ => UpgradeProtocol::Other,
        }
    }

    /// Nothing but a tunnel is an answer that may be given with 2xx.
    pub(super) fn is_mandatory(&self) -> bool {
        self.how != How::Upgrade
    }

    /// What a stream is reset with when the other side of its tunnel was (RFC 8441 section 5, RFC 9113 section 8.5).
    pub(super) fn reset_reason(&self) -> h2::Reason {
        match self.how {
            How::Connect => h2::Reason::CONNECT_ERROR,
            _ => h2::Reason::CANCEL,
        }
    }

    /// Readies a head for an upstream of this version. May be called again, for another attempt.
    fn dress(&mut self, head: &mut RequestHead, http2: bool, random: [u64; 2]) -> Result<(), Stop> {
        let fields = &mut head.fields;
        fields.remove_known(KnownName::Connection);
        fields.remove_known(KnownName::Upgrade);
        if self.how == How::Connect {
            return Ok(());
        }
        if http2 {
            if self.is_websocket() && self.how == How::Upgrade && self.key.is_none() {
                // The client's answer is computed here.
                let key = websocket::client_key(fields).ok_or(Stop::Reply(LocalReply::Malformed {
                    status: 400,
                    reason: crate::refusals::WEBSOCKET_KEY,
                }))?;
                self.key = Some(key);
            }
            fields.remove(websocket::KEY);
            return Ok(());
        }
        fields.push_known(KnownName::Connection, b"upgrade");
        fields.push_known(KnownName::Upgrade, self.protocol().as_bytes());
        if self.is_websocket() {
            if self.how == How::Extended && self.key.is_none() {
                self.key = Some(websocket::make_key(random));
            }
            if let Some(key) = &self.key {
                fields.set(websocket::KEY.as_bytes(), key);
            }
        }
        Ok(())
    }

    /// Judges the upstream's answer; true if it makes a tunnel.
    fn judge(&self, response: &ResponseHead, http2: bool, tunnelled: bool) -> Result<bool, AttemptError> {
        let invalid = |detail| Err(AttemptError::new(AttemptFailure::ResponseInvalid, detail));
        if !tunnelled {
            // An ordinary response with 2xx would tell a client of HTTP/2 that its tunnel is there.
            return match self.how {
                How::Extended if (200..300).contains(&response.status) => invalid("upgrade_not_switched"),
                _ => Ok(false),
            };
        }
        if let (How::Extended, false, Some(key)) = (self.how, http2, &self.key) {
            let mut accepts = response.fields.find_all(websocket::ACCEPT);
            let (accept, other) = (accepts.next(), accepts.next());
            if accept != Some(&websocket::accept(key)[..]) || other.is_some() {
                return invalid("websocket_accept_mismatch");
            }
        }
        Ok(true)
    }

    /// Turns the upstream's answer, sanitized, into the head by which the client learns of its tunnel.
    fn answer(&self, response: &mut ResponseHead, http2: bool) {
        let fields = &mut response.fields;
        // Tunnels have no length (RFC 9110 section 9.3.6).
        fields.remove_known(KnownName::ContentLength);
        match self.how {
            How::Connect => {}
            How::Extended => {
                if !http2 {
                    response.status = 200;
                }
                fields.remove(websocket::ACCEPT);
            }
            How::Upgrade => {
                response.status = 101;
                fields.push_known(KnownName::Connection, b"upgrade");
                fields.push_known(KnownName::Upgrade, self.protocol().as_bytes());
                if let (true, Some(key)) = (http2, &self.key) {
                    fields.set(websocket::ACCEPT.as_bytes(), &websocket::accept(key));
                }
            }
        }
    }
}

/// The protocols of `upgrade`, in the client's order.
fn offers(fields: &Fields) -> Vec<Box<str>> {
    let values = fields.get_all(KnownName::Upgrade);
    let members = values.filter_map(|value| std::str::from_utf8(value).ok());
    let members = members.flat_map(|value| value.split(',')).map(str::trim);
    members
        .filter(|member| !member.is_empty())
        .take(OFFERS_MAX)
        .map(Box::from)
        .collect()
}

/// Decides by policy what becomes of what the client asks for. An upgrade that is ignored is gone afterwards; an error
/// is the answer.
pub(super) fn admit(
    request: &mut Request<'_>,
    context: &RequestContext<'_>,
    policy: &Forward,
) -> Result<(), LocalReply> {
    let Some(upgrade) = &mut request.upgrade else {
        return Ok(());
    };
    let label = upgrade.label();
    if upgrade.how != How::Connect {
        let options = &context.chain().http().options;
        let allowed = policy.upgrades().as_ref().unwrap_or(options.upgrades());
        upgrade.protocols.retain(|offer| {
            let is_allowed = allowed.iter().any(|name| name.eq_ignore_ascii_case(offer));
            // A WebSocket begins with GET (RFC 6455 section 4.1).
            let is_possible = request.head.method == Method::Get || !offer.eq_ignore_ascii_case(WEBSOCKET);
            is_allowed && is_possible
        });
        upgrade.protocols.truncate(1);
        if upgrade.protocols.is_empty() {
            context.listener().upgrades_denied[label].inc();
            if upgrade.is_mandatory() {
                // It stays: no answer may look like the tunnel.
                return Err(LocalReply::UpgradeRefused);
            }
            request.upgrade = None;
            return Ok(());
        }
    }
    // What follows is the tunnel's.
    request.length = BodyLength::None;
    request.head.fields.remove_known(KnownName::ContentLength);
    Ok(())
}

/// Whether a request that an answer of this status is given to here may have it: 2xx would say that there is a tunnel.
pub(super) fn may_answer(request: &Request<'_>, status: u16) -> Result<(), LocalReply> {
    match &request.upgrade {
        Some(upgrade) if upgrade.is_mandatory() && (200..300).contains(&status) => Err(match upgrade.how {
            How::Connect => LocalReply::ConnectRefused,
            _ => LocalReply::UpgradeRefused,
        }),
        _ => Ok(()),
    }
}

/// True if the request is a CONNECT that ends here.
fn terminates(upgrade: &Upgrade, taken: Taken<'_>) -> bool {
    let outrigger_config::model::RouteAction::Forward(policy) = taken.route.action() else {
        return false;
    };
    upgrade.how == How::Connect && policy.connect() == ConnectAction::Terminate
}
