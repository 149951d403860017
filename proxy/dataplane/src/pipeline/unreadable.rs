//! Answering a request that could not be read, or only its head could.

use super::record::Record;
use super::{Request, RequestContext, respond, trace};
use crate::body::BodyLength;
use crate::refusals;
use crate::reply::LocalReply;
use crate::server::Downstream;
use outrigger_http1::RequestHead;

/// How much there is of the head of a request that is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// It was read to its end, and what is wrong is what it says.
    Whole,
    /// Nothing, or what came before the fault.
    Part,
}

/// Answers a request that could not be read.
pub(crate) async fn refuse(
    context: &RequestContext<'_>,
    downstream: &mut Downstream<'_>,
    head: &mut RequestHead,
    extent: Extent,
    reply: LocalReply,
) {
    let record = Record::begin(context, downstream.version(), head, None);
    let mut request = Request {
        head,
        length: BodyLength::None,
        record,
        upgrade: None,
        made: None,
        edge: None,
        coding: None,
        matched_path: None,
        cross_origin: None,
        session: None,
        authorized: None,
        hints: None,
        deadlines: None,
        may_have_run: false,
        limited: None,
        claims: None,
        pace: None,
    };
    let reason = match reply {
        LocalReply::Malformed { reason, .. } => reason,
        LocalReply::TlsOnPlainPort => refusals::TLS_ON_PLAIN_PORT,
        _ => refusals::HEAD_TIMEOUT,
    };
    context
        .listener()
        .refused_requests
        .refuse(refusals::index(reason));
    if context.chain().http().tokens.is_some() {
        // Which parameters hold tokens its route would have said: none is logged.
        request.record.hide_parameters(request.head, |_| true);
    }
    if extent == Extent::Whole {
        trace::begin_refused(&mut request, context);
    }
    respond::local(&mut request, downstream, context, None, reply).await;
    let metrics = &context.chain().http().routes.unmatched;
    request.record.finish(context, metrics, request.head, None);
}
