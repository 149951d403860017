//! Responses that come from here: local replies, redirects, direct responses; and what every response goes through.

use super::authenticate;
use super::cors;
use super::edge;
use super::edits::edit_response;
use super::notes;
use super::rights;
use super::sanitize::proxy_header;
use super::session;
use super::{Request, RequestContext, Taken, upgrade};
use crate::body::BodyLength;
use crate::error::DownstreamError;
use crate::reply::{Answer, LocalReply, Stalled};
use crate::server::Downstream;
use bytes::Bytes;
use outrigger_config::model::{DirectResponse, Redirect};
use outrigger_http1::{Fields, KnownName, Method, ResponseHead, strip_hop_by_hop};
use outrigger_telemetry::EdgeAnswerKind;
use outrigger_traffic::rewrite::redirect_location;
use std::future::poll_fn;
use std::task::{Poll, ready};

/// Bytes of a request's body that are read and thrown away before an answer from here, if they are there already, so
/// that the connection can go on.
const DISCARD_BYTES_MAX: usize = 64 * 1024;

/// Sends a local reply: an HTTP response, or a gRPC status to a gRPC request.
pub(super) async fn local(
    request: &mut Request<'_>,
    downstream: &mut Downstream<'_>,
    context: &RequestContext<'_>,
    taken: Option<Taken<'_>>,
    reply: LocalReply,
) {
    let answer = reply.answer();
    request.record.local_reply(&answer);
    notes::local_reply(request, context, taken, reply);
    let mut head = ResponseHead::new();
    let body = if request.is_grpc() {
        grpc_head(&mut head, &answer);
        Bytes::new()
    } else if let Some(page) = edge::page(request, reply, answer.status) {
        if reply != LocalReply::Maintenance {
            edge::count(context, EdgeAnswerKind::ErrorPage);
        }
        head.status = page.status.unwrap_or(answer.status);
        head.fields
            .push_known(KnownName::ContentType, page.content_type.as_bytes());
        page.body.clone()
    } else {
        head.status = answer.status;
        head.fields.push_known(KnownName::ContentType, b"text/plain");
        Bytes::from_static(answer.body.as_bytes())
    };
    if reply == LocalReply::Maintenance {
        edge::maintenance_fields(request, &mut head.fields);
    }
    if let LocalReply::Unauthenticated(fault) = reply {
        authenticate::challenge(fault, request.head, &mut head.fields);
    }
    // It says to a proxy in front that the request did not run, and can be sent again.
    if answer.flags.contains(outrigger_telemetry::ResponseFlags::UO)
        && !request.may_have_run
        && !reply.may_have_run()
    {
        head.fields.push(b"x-envoy-overloaded", b"true");
    }
    if reply == LocalReply::Overloaded {
        // As Envoy tells what it refused by itself from what an upstream's breaker did.
        head.fields.push(b"x-envoy-local-overloaded", b"true");
    }
    send(request, downstream, context, taken, head, body).await;
}

/// A gRPC response that consists of its trailers (gRPC's `PROTOCOL-HTTP2.md`, "Trailers-Only").
pub(super) fn grpc_head(head: &mut ResponseHead, answer: &Answer) {
    head.status = 200;
    head.fields
        .push_known(KnownName::ContentType, b"application/grpc");
    push_grpc_status(&mut head.fields, answer);
}

/// Ends a gRPC response whose head is out with the status that stands for `answer`, and remembers it. False if that
/// cannot be: it is no gRPC over HTTP/2, or data still waits for the client's window.
pub(super) fn end_grpc(
    request: &mut Request<'_>,
    downstream: &mut Downstream<'_>,
    answer: Option<&Answer>,
) -> bool {
    let (true, Some(answer)) = (request.is_grpc(), answer) else {
        return false;
    };
    let mut trailers = Fields::new();
    push_grpc_status(&mut trailers, answer);
    let ended = downstream.end_early(&trailers);
    if ended {
        request.record.trailers = Some(Box::new(trailers));
    }
    ended
}

fn push_grpc_status(fields: &mut Fields, answer: &Answer) {
    let mut digits = [0u8; 2];
    let status = if answer.grpc_status < 10 {
        digits[0] = b'0' + answer.grpc_status;
        &digits[..1]
    } else {
        digits = [b'0' + answer.grpc_status / 10, b'0' + answer.grpc_status % 10];
        &digits[..]
    };
    fields.push_known(KnownName::GrpcStatus, status);
    // Bodies of local replies are printable ASCII without `%`, and need no percent-encoding.
    fields.push_known(KnownName::GrpcMessage, answer.body.trim_end().as_bytes());
}

/// Sends a redirect.
pub(super) async fn redirect(
    request: &mut Request<'_>,
    downstream: &mut Downstream<'_>,
    context: &RequestContext<'_>,
    taken: Taken<'_>,
    redirect: &Redirect,
) {
    let location = redirect_location(
        redirect,
        taken.route.matches().path(),
        request.head.scheme().unwrap_or("http"),
        request.head.authority(),
        request.head.path(),
        request.head.query(),
    );
    request.record.answered_here(redirect.status(), "redirect");
    let mut head = ResponseHead::new();
    head.status = redirect.status();
    head.fields.push_known(KnownName::Location, location.as_bytes());
    send(request, downstream, context, Some(taken), head, Bytes::new()).await;
}

/// Sends a direct response.
pub(super) async fn direct(
    request: &mut Request<'_>,
    downstream: &mut Downstream<'_>,
    context: &RequestContext<'_>,
    taken: Taken<'_>,
    direct: &DirectResponse,
) {
    if let Err(reply) = upgrade::may_answer(request, direct.status()) {
        return local(request, downstream, context, Some(taken), reply).await;
    }
    request.record.answered_here(direct.status(), "direct_response");
    let mut head = ResponseHead::new();
    head.status = direct.status();
    if !direct.body().is_empty() {
        head.fields
            .push_known(KnownName::ContentType, direct.content_type().as_bytes());
    }
    let body = Bytes::copy_from_slice(direct.body().as_bytes());
    send(request, downstream, context, Some(taken), head, body).await;
}

/// Sends a response from here.
pub(super) async fn send(
    request: &mut Request<'_>,
    downstream: &mut Downstream<'_>,
    context: &RequestContext<'_>,
    taken: Option<Taken<'_>>,
    mut head: ResponseHead,
    body: Bytes,
) {
    head.fields.push_known(
        KnownName::Date,
        httpdate::fmt_http_date(std::time::SystemTime::now()).as_bytes(),
    );
    finish_head(context, request, taken, &mut head.fields);
    if let Err(reply) = upgrade::may_answer(request, head.status) {
        // A page may have a status of its own, but only an upstream tells a client that its tunnel is there.
        head.status = reply.answer().status;
    }
    // What follows a CONNECT may be meant for its tunnel: it is never read as a request.
    let request_done = request.head.method != Method::Connect
        && (request.length == BodyLength::None
            || request.record.request_ended()
            || discard(downstream).await)
        && !(request.upgrade.is_some() && downstream.has_early_bytes());
    let may_go_on = request_done && !context.is_draining();
    let is_head = request.head.method == Method::Head;
    let length = if body.is_empty() {
        BodyLength::None
    } else {
        BodyLength::Exact(body.len() as u64)
    };
    if is_head || downstream.version() == outrigger_http1::Version::Http2 {
        let digits = body.len().to_string();
        head.fields.set_known(KnownName::ContentLength, digits.as_bytes());
    }
    request.record.response_started(&head);
    let sent = async {
        if is_head {
            downstream.send_head(&head, BodyLength::None, may_go_on)?;
        } else {
            downstream.send_head(&head, length, may_go_on)?;
            if !body.is_empty() {
                request.record.bytes_sent += body.len() as u64;
                downstream.send_data(body, true)?;
            }
        }
        let idle = context.chain().http().options.stream_idle_timeout();
        super::exchange::flush(downstream, context, idle).await
    };
    if let Err(error) = sent.await {
        not_sent(request, context, taken, &error);
        downstream.abort();
    }
}

/// Remembers why an answer from here did not reach its client.
#[cold]
fn not_sent(
    request: &mut Request<'_>,
    context: &RequestContext<'_>,
    taken: Option<Taken<'_>>,
    error: &DownstreamError,
) {
    let reply = match (rights::connection_lost(context), error) {
        (Some(lost), _) => {
            context.listener().requests_cut[lost].inc();
            LocalReply::RightLost(lost)
        }
        (None, DownstreamError::Stalled) => LocalReply::StreamIdle(Stalled::Reader),
        (None, _) => return request.record.downstream_gone(),
    };
    request.record.cut_off(Some(reply.answer()));
    notes::local_reply(request, context, taken, reply);
}

/// Reads and throws away what is there of the request's body; true if that was all of it.
async fn discard(downstream: &mut Downstream<'_>) -> bool {
    let mut discarded = 0;
    let whole = poll_fn(|cx| {
        while discarded < DISCARD_BYTES_MAX {
            match ready!(downstream.poll_discard(cx)) {
                Some((bytes, false)) => discarded += bytes,
                Some((_, true)) => return Poll::Ready(true),
                None => return Poll::Ready(false),
            }
        }
        Poll::Ready(false)
    });
    // Only what is there: nothing is waited for.
    tokio::select! {
        biased;
        whole = whole => whole,
        () = std::future::ready(()) => false,
    }
}

/// What a response from an upstream goes through before it is sent.
#[inline(always)]
pub(super) fn prepare(
    context: &RequestContext<'_>,
    request: &Request<'_>,
    taken: Taken<'_>,
    head: &mut ResponseHead,
) {
    strip_hop_by_hop(&mut head.fields);
    finish_head(context, request, Some(taken), &mut head.fields);
    if request.session.is_some() {
        session::finish(context, request, taken, &mut head.fields);
    }
}

#[inline(always)]
fn finish_head(
    context: &RequestContext<'_>,
    request: &Request<'_>,
    taken: Option<Taken<'_>>,
    fields: &mut Fields,
) {
    let options = &context.chain().http().options;
    proxy_header(fields, KnownName::Server, options.server_header());
    proxy_header(fields, KnownName::Via, options.via_header());
    if let Some(taken) = taken {
        for edits in [
            taken.route.response_headers(),
            taken.virtual_host.response_headers(),
        ] {
            if !edits.is_empty() {
                edit_response(fields, edits, request.head, &request.known(context, taken));
            }
        }
        if let Some(policy) = &taken.policy.cors {
            cors::finish(policy, request.cross_origin.as_deref(), fields);
        }
    }
    if let Some(authorized) = &request.authorized {
        authorized.finish(fields);
    }
    if let Some(limited) = &request.limited {
        limited.finish(fields);
    }
    if let Some(hsts) = request.edge.and_then(|edge| edge.hsts.as_ref()) {
        edge::strict_transport_security(request, hsts, fields);
    }
}
