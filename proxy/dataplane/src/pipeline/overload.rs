//! Refusing a request at its very start, because the process is near what it may have.

use super::{Request, RequestContext, respond, trace};
use crate::reply::LocalReply;
use crate::server::Downstream;
use outrigger_telemetry::{EventKind, OverloadRefusal};

/// Answers a request that is not served.
#[cold]
pub(super) async fn refuse(
    mut request: Request<'_>,
    downstream: &mut Downstream<'_>,
    context: &RequestContext<'_>,
    refusal: OverloadRefusal,
) {
    context.listener().overload_refusals[refusal].inc();
    let now = context.worker().now();
    request
        .record
        .note(now, EventKind::Overloaded, "", refusal.as_str(), 0);
    if context.chain().http().tokens.is_some() {
        // Which parameters hold tokens its route would have said: none is logged.
        request.record.hide_parameters(request.head, |_| true);
    }
    trace::begin_refused(&mut request, context);
    respond::local(&mut request, downstream, context, None, LocalReply::Overloaded).await;
    let metrics = &context.chain().http().routes.unmatched;
    request.record.finish(context, metrics, request.head, None);
}
