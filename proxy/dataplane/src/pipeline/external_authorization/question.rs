//! What the service is told of a request, as a question to be sent and as the key of decisions that are kept.
//!
//! The key is all that is told, but for what is never twice the same: the time, the request's id, the client's port. So
//! a decision cannot have been made by anything that the next request may differ in. Where decisions are kept, only the
//! headers that the configuration lists are told, beside `authorization` and `cookie`.

use super::super::ask::Message;
use super::super::{Request, RequestContext, Taken};
use super::{Ahead, changes, grpc, http};
use crate::body::BodyLength;
use crate::external_authorization::{AuthorizationCodec, Question};
use crate::snapshot::ExternalAuthorizationPolicy;
use crate::tls::KnownPeer;
use outrigger_config::model::defaults::DECISION_KEY_BYTES_MAX;
use outrigger_config::model::{AuthorizationService, RouteExternalAuthorization};
use outrigger_http1::{Fields, KnownName};
use outrigger_traffic::value_matches;
use std::net::SocketAddr;
use std::time::SystemTime;

/// The method that is called.
const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";

/// Says whether the body that is told is not all of it, as Envoy does.
const PARTIAL_BODY: &str = "x-envoy-auth-partial-body";

/// Told wherever headers are, unless `request_headers` leaves it out over gRPC.
const AUTHORIZATION: &str = "authorization";

/// A question to a service.
pub(super) struct Asking<'a> {
    request: &'a Request<'a>,
    context: &'a RequestContext<'a>,
    policy: &'a ExternalAuthorizationPolicy,
    headers: Vec<(&'a str, Vec<u8>)>,
    body: Option<Vec<u8>>,
    extensions: Vec<(&'a str, &'a str)>,
    source: SocketAddr,
}

/// A question as it can be sent.
pub(super) enum Asked {
    Message(Box<Message>),
    /// The service's protocol has no words for it.
    NotExpressible,
}

impl<'a> Asking<'a> {
    pub(super) fn new(
        request: &'a Request<'a>,
        context: &'a RequestContext<'a>,
        taken: Taken<'a>,
        policy: &'a ExternalAuthorizationPolicy,
        ahead: Option<&Ahead>,
    ) -> Asking<'a> {
        let mut headers = told_headers(&request.head.fields, policy);
        let body = ahead.zip(policy.config.body().as_ref()).map(|(ahead, settings)| {
            let told = ahead.told(settings.bytes_max());
            let is_partial = match request.length {
                BodyLength::Exact(length) => told.len() as u64 != length,
                _ => ahead.ended.is_none() || told.len() < ahead.bytes(),
            };
            headers.push((PARTIAL_BODY, is_partial.to_string().into_bytes()));
            told
        });
        if let (Some(upgrade), AuthorizationService::Grpc(_)) = (&request.upgrade, policy.config.service()) {
            // The field itself went with the others of its hop.
            let offered = upgrade.offered().join(",");
            if !offered.is_empty() {
                headers.push((KnownName::Upgrade.as_str(), offered.into_bytes()));
            }
        }
        let ends = context.ends();
        Asking {
            request,
            context,
            policy,
            headers,
            body,
            extensions: extensions(taken, policy),
            source: match request.record.client {
                Some(client) => SocketAddr::new(client, 0),
                None => ends.remote,
            },
        }
    }

    fn question(&self) -> Question<'_> {
        let (head, ends) = (&*self.request.head, self.context.ends());
        let id = head.fields.get(KnownName::XRequestId).unwrap_or_default();
        Question {
            source: self.source,
            principal: ends.identity.as_deref().map(principal),
            certificate: match &ends.identity {
                Some(peer) if self.policy.config.include_peer_certificate() => Some(peer.encoded_leaf()),
                _ => None,
            },
            destination: ends.destination,
            destination_principal: ends.local.as_deref().map(principal),
            server_name: ends.server_name.as_deref(),
            time: SystemTime::now(),
            id: std::str::from_utf8(id).unwrap_or_default(),
            method: head.method.as_str(),
            scheme: head.scheme().unwrap_or("http"),
            authority: head.authority(),
            target: head.path_and_query(),
            protocol: self.request.record.protocol(),
            headers: self.headers.clone(),
            size: match self.request.length {
                // A decision that is kept was not made by it.
                _ if self.policy.config.cache().is_some() => None,
                BodyLength::None => Some(0),
                BodyLength::Exact(length) => Some(length),
                BodyLength::Unknown => None,
            },
            body: self.body.as_deref(),
            context: self.extensions.clone(),
        }
    }

    /// The question as a request to the service.
    pub(super) fn message(&self, codec: &dyn AuthorizationCodec) -> Asked {
        let question = self.question();
        let config = &self.policy.config;
        let message = match config.service() {
            AuthorizationService::Grpc(service) => {
                let authority = service
                    .authority()
                    .as_deref()
                    .unwrap_or(service.cluster().as_str());
                let check = codec.encode_check(&question);
                Some(grpc::message(CHECK, authority, config.timeout(), &check))
            }
            AuthorizationService::Http(service) => http::message(service, &question),
        };
        message.map_or(Asked::NotExpressible, |message| Asked::Message(Box::new(message)))
    }

    /// The key of its decision; none if no decisions are kept, or not for such requests.
    pub(super) fn key(&self) -> Option<Box<[u8]>> {
        if self.policy.config.cache().is_none() || self.body.is_some() {
            return None;
        }
        let question = self.question();
        let mut key = Key(Vec::new());
        key.add(question.method.as_bytes());
        key.add(question.authority.as_bytes());
        key.add(question.target.as_bytes());
        for (name, value) in &question.headers {
            key.add(name.as_bytes());
            key.add(value);
        }
        if let AuthorizationService::Grpc(_) = self.policy.config.service() {
            key.add(question.scheme.as_bytes());
            key.add(question.protocol.as_bytes());
            key.add(question.source.ip().to_string().as_bytes());
            key.add(question.destination.to_string().as_bytes());
            for optional in [
                question.server_name,
                question.principal,
                question.certificate,
                question.destination_principal,
            ] {
                key.add_optional(optional);
            }
            for (name, value) in &question.context {
                key.add(name.as_bytes());
                key.add(value.as_bytes());
            }
        }
        (key.0.len() <= DECISION_KEY_BYTES_MAX).then(|| key.0.into_boxed_slice())
    }
}

/// Whom a certificate names: by its first URI, its first DNS name, or its subject, as in Envoy.
fn principal(peer: &KnownPeer) -> &str {
    let names = peer.uri_names.first().or(peer.dns_names.first());
    names.map_or(peer.subject.as_str(), String::as_str)
}

/// Parts with their lengths, so that no two lists of parts are the same bytes.
struct Key(Vec<u8>);

impl Key {
    fn add(&mut self, part: &[u8]) {
        self.0.extend_from_slice(&(part.len() as u64).to_ne_bytes());
        self.0.extend_from_slice(part);
    }

    fn add_optional(&mut self, part: Option<&str>) {
        self.0.push(u8::from(part.is_some()));
        self.add(part.unwrap_or_default().as_bytes());
    }
}

/// What is told beside the request: the chain's, and the route's in place of those of the same key.
fn extensions<'a>(taken: Taken<'a>, policy: &'a ExternalAuthorizationPolicy) -> Vec<(&'a str, &'a str)> {
    let mut merged: Vec<(&str, &str)> = Vec::new();
    let route = match taken.route.external_authorization() {
        Some(RouteExternalAuthorization::Context(context)) => Some(context),
        _ => None,
    };
    for (key, value) in policy.config.context().iter() {
        if route.is_none_or(|route| !route.contains_key(key)) {
            merged.push((key, value));
        }
    }
    merged.extend(
        route
            .into_iter()
            .flatten()
            .map(|(key, value)| (key.as_str(), value.as_str())),
    );
    merged
}

/// Headers that are told, one for each name.
fn told_headers<'a>(fields: &'a Fields, policy: &ExternalAuthorizationPolicy) -> Vec<(&'a str, Vec<u8>)> {
    let mut told: Vec<(&str, Vec<u8>)> = Vec::new();
    for field in fields.iter() {
        // Names are tokens.
        let name = std::str::from_utf8(field.name).unwrap_or_default();
        // What is said of the body is ours to say.
        if !is_told(name, policy) || name == PARTIAL_BODY {
            continue;
        }
        match told.iter_mut().find(|(known, _)| *known == name) {
            Some((_, value)) => {
                let between: &[u8] = if name == "cookie" { b"; " } else { b"," };
                value.extend_from_slice(between);
                value.extend_from_slice(field.value);
            }
            None => told.push((name, field.value.to_vec())),
        }
    }
    told
}

fn is_told(name: &str, policy: &ExternalAuthorizationPolicy) -> bool {
    let is_grpc = matches!(policy.config.service(), AuthorizationService::Grpc(_));
    // What is only ever read by us says nothing of the request.
    if changes::is_ours(name) && !(is_grpc && matches!(name, "content-length" | "te" | "trailer")) {
        return false;
    }
    let is_listed = match policy.config.request_headers() {
        Some(listed) => listed.iter().any(|wanted| value_matches(wanted, name.as_bytes())),
        None => is_grpc,
    };
    if !is_listed && (is_grpc || name != AUTHORIZATION) {
        return false;
    }
    policy.config.cache().as_ref().is_none_or(|cache| {
        matches!(name, AUTHORIZATION | "cookie") || cache.headers().iter().any(|told| told.as_str() == name)
    })
}
