//! Waiting for an answer on behalf of a request.

use super::super::exchange::Stop;
use super::super::{Request, RequestContext, deadline, rights};
use crate::server::Downstream;
use outrigger_telemetry::DeadlineWait;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

/// Waits for as long as the client is there and in its right, and the request has time left; `wait` is what its time is
/// counted for if it passes here. Cancel safe if `answering` is.
///
/// # Errors
/// What the request ends with instead.
pub(in crate::pipeline) fn while_wanted<F: Future>(
    request: &Request<'_>,
    downstream: &mut Downstream<'_>,
    context: &RequestContext<'_>,
    wait: DeadlineWait,
    mut answering: Pin<&mut F>,
) -> impl Future<Output = Result<F::Output, Stop>> {
    let deadline = deadline::first(request);
    poll_fn(move |cx| {
        // Before the answer: nothing that has lost its right goes on by it.
        if let Some(lost) = rights::judge_due(context, request) {
            return Poll::Ready(Err(Stop::Reply(lost)));
        }
        if let Poll::Ready(answered) = answering.as_mut().poll(cx) {
            return Poll::Ready(Ok(answered));
        }
        if let Poll::Ready(error) = downstream.poll_gone(cx) {
            return Poll::Ready(Err(error.into()));
        }
        let late = downstream.timer().poll_until(cx, deadline);
        late.map(|()| Err(deadline::waited(request, context.worker().tick(), wait)))
    })
}
