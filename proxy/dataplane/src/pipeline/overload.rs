//! Refusing a request at its very start, because the process is near what it may have.

use super::{Request, RequestContext, respond, trace};
use crate::reply::LocalReply;
use crate::server::Downstream;
use outrigger_telemetry::{EventKind, OverloadRefusal};
use outrigger_traffic::overload::Resource;

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
    let (resource, percent) = match refusal {
        OverloadRefusal::Pressure => context.worker().overload.pressed(),
        OverloadRefusal::RequestsMax => (Some(Resource::Requests), 0),
    };
    let resource = resource.map_or("", Resource::as_str);
    let record = &mut request.record;
    record.note(
        now,
        EventKind::Overloaded,
        resource,
        refusal.as_str(),
        u64::from(percent),
    );
    if context.chain().http().tokens.is_some() {
        // Which parameters hold tokens its route would have said: none is logged.
        request.record.hide_parameters(request.head, |_| true);
    }
    trace::begin_refused(&mut request, context);
    respond::local(&mut request, downstream, context, None, LocalReply::Overloaded).await;
    let metrics = &context.chain().http().routes.unmatched;
    request.record.finish(context, metrics, request.head, None);
}
