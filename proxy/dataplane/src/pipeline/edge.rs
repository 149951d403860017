//! What a virtual host answers before any route is looked at: the redirect to HTTPS, and the maintenance page.

use super::respond;
use super::{Request, RequestContext};
use crate::reply::LocalReply;
use crate::server::Downstream;
use crate::snapshot::{EdgePolicy, PagePolicy};
use outrigger_http1::{Fields, KnownName, ResponseHead};
use outrigger_telemetry::EdgeAnswerKind;
use outrigger_traffic::edge::{self, EdgeAnswer, EdgeRequest};

/// What is answered in place of a route; none: routes decide. `sent`: the target as it was sent, if it is another now.
pub(super) fn answer(
    context: &RequestContext<'_>,
    request: &Request<'_>,
    edge: &EdgePolicy,
    sent: Option<&str>,
) -> Option<EdgeAnswer> {
    let maintenance = edge.maintenance.as_ref().map(|maintenance| &maintenance.config);
    edge::answer(
        edge.https_redirect.as_ref(),
        maintenance,
        &EdgeRequest {
            method: request.head.method.as_str(),
            is_https: is_https(request),
            is_grpc: request.is_grpc(),
            authority: request.head.authority(),
            target: sent.unwrap_or(request.head.path_and_query()),
            client: client(context, request),
        },
    )
}

/// Sends it.
pub(super) async fn send(
    request: &mut Request<'_>,
    downstream: &mut Downstream<'_>,
    context: &RequestContext<'_>,
    answer: EdgeAnswer,
) {
    let (kind, reply) = match answer {
        EdgeAnswer::Redirect { status, location } => {
            count(context, EdgeAnswerKind::HttpsRedirect);
            return redirect(request, downstream, context, status, &location).await;
        }
        EdgeAnswer::HttpsRequired => (EdgeAnswerKind::HttpsRequired, LocalReply::HttpsRequired),
        EdgeAnswer::HostMissing => (EdgeAnswerKind::HttpsRequired, LocalReply::HostMissing),
        EdgeAnswer::Maintenance => (EdgeAnswerKind::Maintenance, LocalReply::Maintenance),
    };
    count(context, kind);
    // Boxed: a rare answer must not make the future of every request larger.
    Box::pin(respond::local(request, downstream, context, None, reply)).await;
}

async fn redirect(
    request: &mut Request<'_>,
    downstream: &mut Downstream<'_>,
    context: &RequestContext<'_>,
    status: u16,
    location: &str,
) {
    request.record.answered_here(status, "https_redirect");
    let mut head = ResponseHead::new();
    head.status = status;
    head.fields.push_known(KnownName::Location, location.as_bytes());
    Box::pin(respond::send(
        request,
        downstream,
        context,
        None,
        head,
        bytes::Bytes::new(),
    ))
    .await;
}

/// Counts an answer.
pub(super) fn count(context: &RequestContext<'_>, kind: EdgeAnswerKind) {
    context.listener().edge_answers[kind].inc();
}

/// The page in place of a local reply with this status.
pub(super) fn page<'r>(request: &Request<'r>, reply: LocalReply, status: u16) -> Option<&'r PagePolicy> {
    let edge = request.edge?;
    match (&edge.maintenance, reply) {
        (Some(maintenance), LocalReply::Maintenance) => Some(&maintenance.page),
        _ => edge.error_page(status),
    }
}

/// What a maintenance page says of itself: when to come back, and that it is not to be kept, whatever its status.
pub(super) fn maintenance_fields(request: &Request<'_>, fields: &mut Fields) {
    fields.push_known(KnownName::CacheControl, b"no-store");
    let maintenance = request.edge.and_then(|edge| edge.maintenance.as_ref());
    if let Some(after) = maintenance.and_then(|maintenance| maintenance.config.retry_after()) {
        // Whole seconds, and never sooner than was meant.
        let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
        fields.push_known(KnownName::RetryAfter, seconds.to_string().as_bytes());
    }
}

/// Says that the host is to be asked by HTTPS only, if that is how it was asked: over plain HTTP the header must not
/// stand, and means nothing (RFC 6797 section 7.2).
pub(super) fn strict_transport_security(request: &Request<'_>, value: &str, fields: &mut Fields) {
    let name = KnownName::StrictTransportSecurity;
    if is_https(request) {
        fields.set_known(name, value.as_bytes());
    } else {
        fields.remove_known(name);
    }
}

/// True if the request came by HTTPS: over TLS, or a trusted proxy says so.
fn is_https(request: &Request<'_>) -> bool {
    request.head.scheme() == Some("https")
}

fn client(context: &RequestContext<'_>, request: &Request<'_>) -> std::net::IpAddr {
    let peer = || context.ends().remote.ip().to_canonical();
    request.record.client.unwrap_or_else(peer)
}
