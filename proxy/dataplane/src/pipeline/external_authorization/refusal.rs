//! What a client is told that does not get through.

use super::super::exchange::Stop;
use super::super::{Request, RequestContext, Taken, deadline, notes, respond, rights};
use super::{Fault, changes};
use crate::error::DownstreamError;
use crate::external_authorization::Denial;
use crate::refusals;
use crate::reply::LocalReply;
use crate::server::Downstream;
use outrigger_http1::{KnownName, ResponseHead};

/// Status of a denial that names none, as Envoy's.
const DENIED_STATUS: u16 = 403;

/// Bytes of a denial's body that a gRPC client gets as its message.
const GRPC_MESSAGE_BYTES_MAX: usize = 1024;

/// Tells the client what the service says.
pub(super) async fn deny(
    request: &mut Request<'_>,
    downstream: &mut Downstream<'_>,
    context: &RequestContext<'_>,
    taken: Taken<'_>,
    denial: &Denial,
) {
    let status = denial.status.unwrap_or(DENIED_STATUS);
    let reply = LocalReply::ExternallyDenied { status };
    tell(request, downstream, context, taken, reply, denial).await;
}

/// Tells the client that nothing was decided; `denial` is what the service has to say of that.
pub(super) async fn fail(
    request: &mut Request<'_>,
    downstream: &mut Downstream<'_>,
    context: &RequestContext<'_>,
    taken: Taken<'_>,
    fault: Fault,
    status: u16,
    denial: Option<&Denial>,
) {
    let reply = LocalReply::ExternalAuthorizationFailed {
        status: denial.and_then(|denial| denial.status).unwrap_or(status),
        details: match fault {
            // Envoy's names.
            Fault::InvalidChange => "ext_authz_invalid",
            _ => "ext_authz_error",
        },
    };
    match denial {
        Some(denial) => tell(request, downstream, context, taken, reply, denial).await,
        None => respond::local(request, downstream, context, Some(taken), reply).await,
    }
}

async fn tell(
    request: &mut Request<'_>,
    downstream: &mut Downstream<'_>,
    context: &RequestContext<'_>,
    taken: Taken<'_>,
    reply: LocalReply,
    denial: &Denial,
) {
    if denial.headers.is_empty() && denial.body.is_empty() {
        // It says no more than that: the virtual host's pages may.
        return respond::local(request, downstream, context, Some(taken), reply).await;
    }
    let answer = reply.answer();
    request.record.local_reply(&answer);
    notes::local_reply(request, context, Some(taken), reply);
    let mut head = ResponseHead::new();
    let mut body = denial.body.clone();
    if request.is_grpc() {
        respond::grpc_head(&mut head, &answer);
        if !body.is_empty() {
            let message = percent_encoded(&body[..body.len().min(GRPC_MESSAGE_BYTES_MAX)]);
            head.fields.set_known(KnownName::GrpcMessage, &message);
            body.clear();
        }
        let of_grpc = [
            KnownName::ContentType,
            KnownName::GrpcStatus,
            KnownName::GrpcMessage,
        ];
        let is_free = |name: &str| of_grpc.iter().all(|known| known.as_str() != name);
        for change in denial.headers.iter().filter(|change| is_free(&change.name)) {
            changes::write(&mut head.fields, std::slice::from_ref(change));
        }
    } else {
        head.status = answer.status;
        changes::write(&mut head.fields, &denial.headers);
        if !body.is_empty() && !head.fields.contains(KnownName::ContentType) {
            head.fields.push_known(KnownName::ContentType, b"text/plain");
        }
    }
    respond::send(request, downstream, context, Some(taken), head, body).await;
}

/// A text as `grpc-message` holds it (gRPC's `PROTOCOL-HTTP2.md`).
fn percent_encoded(text: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(text.len());
    for &byte in text.trim_ascii() {
        match byte {
            b' '..=b'$' | b'&'..=b'~' => encoded.push(byte),
            _ => encoded.extend_from_slice(format!("%{byte:02X}").as_bytes()),
        }
    }
    encoded
}

/// Ends a request of which no answer can be had.
pub(in crate::pipeline) async fn stop(
    request: &mut Request<'_>,
    downstream: &mut Downstream<'_>,
    context: &RequestContext<'_>,
    taken: Taken<'_>,
    stop: Stop,
) {
    let stop = match rights::connection_lost(context) {
        // Its connection was cut, of which it has heard in another way.
        Some(lost) if matches!(stop, Stop::Downstream(_)) => Stop::Reply(LocalReply::RightLost(lost)),
        _ => stop,
    };
    let reply = match stop {
        Stop::Reply(LocalReply::RightLost(lost)) => {
            return rights::end(request, downstream, context, taken, lost).await;
        }
        Stop::Reply(reply) => {
            deadline::count(context, taken, reply);
            reply
        }
        Stop::Downstream(DownstreamError::Malformed(error)) => {
            let refused = &context.listener().refused_requests;
            refused.refuse(refusals::index(error.reason()));
            LocalReply::Malformed {
                status: error.status(),
                reason: error.reason(),
            }
        }
        Stop::Downstream(error) => {
            tracing::debug!(%error, "the downstream ended a request");
            request.record.downstream_gone();
            return downstream.abort();
        }
        // Nothing was attempted.
        Stop::Attempt(_) => return downstream.abort(),
    };
    respond::local(request, downstream, context, Some(taken), reply).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reply::Answer;
    use outrigger_telemetry::ResponseFlags;

    #[test]
    fn messages_are_percent_encoded() {
        assert_eq!(percent_encoded(b"a b"), b"a b");
        assert_eq!(percent_encoded("50%\né\n".as_bytes()), b"50%25%0A%C3%A9");
    }

    #[test]
    fn answers_say_who_refused() {
        let denied = LocalReply::ExternallyDenied { status: 401 }.answer();
        assert_eq!(
            (denied.status, denied.grpc_status, denied.details),
            (401, 16, "ext_authz_denied")
        );
        assert!(denied.flags.contains(ResponseFlags::UAEX));
        let Answer { status, flags, .. } = LocalReply::ExternalAuthorizationFailed {
            status: 403,
            details: "ext_authz_error",
        }
        .answer();
        assert_eq!((status, flags), (403, ResponseFlags::UAEX));
    }
}
