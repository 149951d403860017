//! Asking over HTTP, as Envoy's `http_service`: the request's own method, host and path, the headers that are told, and
//! the body if it is told. 200 is yes, 5xx is no answer, and everything else is a no that the client is told.

use super::super::ask::{Message, Reply};
use super::{Fault, changes};
use crate::body::BodyLength;
use crate::external_authorization::{
    Allowance, Answer, Denial, HeaderChange, HeaderChangeKind, Question, Verdict,
};
use bytes::Bytes;
use outrigger_config::model::HttpAuthorizationService;
use outrigger_http1::{KnownName, Method, RequestHead, strip_hop_by_hop};
use outrigger_traffic::value_matches;

/// Names of headers that the upstream is not to get, as Envoy reads it.
const TO_REMOVE: &str = "x-envoy-auth-headers-to-remove";

/// What a client that is denied always gets of the answer: what Envoy gives it, and what its body is.
const ALWAYS_TOLD: [&str; 6] = [
    "content-encoding",
    "content-type",
    "location",
    "proxy-authenticate",
    "set-cookie",
    "www-authenticate",
];

/// The question as a request. `None` if it cannot be asked so: CONNECT would ask for a tunnel.
pub(super) fn message(service: &HttpAuthorizationService, question: &Question<'_>) -> Option<Message> {
    let mut head = RequestHead::new();
    head.method =
        Method::from_bytes(question.method.as_bytes()).filter(|method| *method != Method::Connect)?;
    head.set_authority(service.authority().as_deref().unwrap_or(question.authority));
    let target = match question.target {
        "*" if !service.path_prefix().is_empty() => service.path_prefix().clone(),
        target => format!("{}{target}", service.path_prefix()),
    };
    head.set_path_and_query(&target);
    for (name, value) in &question.headers {
        if !changes::is_ours(name) {
            head.fields.push(name.as_bytes(), value);
        }
    }
    let body = Bytes::copy_from_slice(question.body.unwrap_or_default());
    let length = body.len() as u64;
    // HTTP/2 has the fields only.
    head.fields
        .push_known(KnownName::ContentLength, length.to_string().as_bytes());
    Some(Message {
        head,
        length: BodyLength::Exact(length),
        pieces: if body.is_empty() { Vec::new() } else { vec![body] },
        trailers: None,
    })
}

/// What the service answered.
pub(super) fn read(mut reply: Reply, service: &HttpAuthorizationService) -> Result<Answer, Fault> {
    strip_hop_by_hop(&mut reply.head.fields);
    let verdict = match reply.head.status {
        200 => Verdict::Allowed(Box::new(Allowance {
            request_headers: chosen(&reply, true, |name| {
                let wanted = service.upstream_headers();
                wanted.iter().any(|wanted| value_matches(wanted, name.as_bytes()))
            }),
            request_headers_removed: removed(&reply),
            ..Allowance::default()
        })),
        500..600 => return Err(Fault::Status),
        status => Verdict::Denied(Box::new(Denial {
            status: Some(status),
            headers: chosen(&reply, false, |name| {
                let wanted = service.client_headers();
                ALWAYS_TOLD.contains(&name)
                    || wanted.iter().any(|wanted| value_matches(wanted, name.as_bytes()))
            }),
            body: reply.body,
        })),
    };
    Ok(Answer {
        verdict,
        has_metadata: false,
    })
}

/// Fields of the answer, but for those that are about the answer itself. `replace`: the first of a name takes the place of
/// what is there.
fn chosen(reply: &Reply, replace: bool, is_wanted: impl Fn(&str) -> bool) -> Vec<HeaderChange> {
    let mut chosen: Vec<HeaderChange> = Vec::new();
    for field in reply.head.fields.iter() {
        let Ok(name) = std::str::from_utf8(field.name) else {
            continue;
        };
        if changes::is_ours(name) || name == TO_REMOVE || !is_wanted(name) {
            continue;
        }
        let is_first = !chosen.iter().any(|change| change.name == name);
        chosen.push(HeaderChange {
            kind: if replace && is_first {
                HeaderChangeKind::Set
            } else {
                HeaderChangeKind::Append
            },
            name: name.to_owned(),
            value: field.value.to_vec(),
        });
    }
    chosen
}

fn removed(reply: &Reply) -> Vec<String> {
    let values = reply.head.fields.find_all(TO_REMOVE);
    values
        .filter_map(|value| std::str::from_utf8(value).ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .collect()
}
