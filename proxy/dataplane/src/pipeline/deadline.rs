//! The time limits that a request comes with: its client's deadline (`grpc-timeout`, or what a believed peer tells), the age
//! that its stream may reach, and the time that it may take to come. They hold from the start of the request, whatever is
//! waited for, and a request whose deadline has passed is not sent.

use super::exchange::Stop;
use super::{Request, RequestContext, Taken, forward};
use crate::body::BodyLength;
use crate::head::{grpc_timeout, grpc_timeout_text};
use crate::refusals;
use crate::reply::LocalReply;
use crate::timer::{after, earlier};
use outrigger_config::model::{Forward, RouteAction};
use outrigger_http1::KnownName;
use outrigger_telemetry::DeadlineWait;
use outrigger_traffic::retry::{EXPECTED_TIMEOUT, HINTED_TIMEOUT};
use std::time::Duration;
use tokio::time::Instant;

/// The field of a route that bounds what clients ask for.
const CLIENT_TIMEOUT_MAX: &str = "client_timeout_max";

/// The limits of a request that has any. Boxed: most have none.
#[derive(Debug)]
pub(super) struct Deadlines {
    /// The client's.
    told: Option<Told>,
    /// When the stream reaches its greatest age.
    stream_end: Option<Instant>,
    /// When the request must have come to its end.
    request_end: Option<Instant>,
}

/// What the client tells of its deadline.
#[derive(Debug, Clone, Copy)]
struct Told {
    at: Instant,
    /// What it holds by: the header, or the limit of the route that is shorter.
    limit: &'static str,
}

/// A time limit that a request has reached.
pub(super) struct Reached {
    /// The header of the request, or the field of its route, that it holds by.
    pub(super) limit: &'static str,
    /// How long it is.
    pub(super) duration: Duration,
}

impl Deadlines {
    /// Reads what a request has. Its route is known.
    #[inline(always)]
    pub(super) fn of(
        request: &Request<'_>,
        context: &RequestContext<'_>,
        taken: Taken<'_>,
    ) -> Option<Box<Deadlines>> {
        let policy = match taken.route.action() {
            RouteAction::Forward(policy) => Some(policy),
            _ => None,
        };
        let age_max = policy.and_then(|policy| policy.stream_duration_max());
        let request_timeout = context.chain().http().options.request_timeout();
        if !request.is_grpc() && request.hints.is_none() && age_max.is_none() && request_timeout.is_none() {
            return None;
        }
        let timeout_max = policy.and_then(|policy| policy.client_timeout_max());
        Deadlines::read(request, age_max, request_timeout, timeout_max)
    }

    #[inline(never)]
    fn read(
        request: &Request<'_>,
        age_max: Option<Duration>,
        request_timeout: Option<Duration>,
        timeout_max: Option<Duration>,
    ) -> Option<Box<Deadlines>> {
        let started = request.record.started();
        let hinted = request.hints.as_ref().and_then(|hints| hints.time_left());
        let asked = if request.is_grpc() {
            grpc_timeout(&request.head.fields)
        } else {
            None
        };
        let told = |asked: Option<Duration>, header| {
            let asked = asked?;
            let (left, limit) = match timeout_max {
                Some(max) if max < asked => (max, CLIENT_TIMEOUT_MAX),
                _ => (asked, header),
            };
            let at = after(started, Some(left))?;
            Some(Told { at, limit })
        };
        let (hinted, asked) = (told(hinted, EXPECTED_TIMEOUT), told(asked, "grpc-timeout"));
        let deadlines = Deadlines {
            told: hinted.into_iter().chain(asked).min_by_key(|told| told.at),
            stream_end: after(started, age_max),
            request_end: after(started, request_timeout),
        };
        let has_any = deadlines.standing().or(deadlines.request_end);
        has_any.map(|_| Box::new(deadlines))
    }

    /// The first that holds whether the request has come to its end or not.
    pub(super) fn standing(&self) -> Option<Instant> {
        earlier(self.told.map(|told| told.at), self.stream_end)
    }

    /// When the request must have come to its end.
    pub(super) fn request_end(&self) -> Option<Instant> {
        self.request_end
    }

    /// When the stream reaches its greatest age.
    pub(super) fn stream_end(&self) -> Option<Instant> {
        self.stream_end
    }

    /// True if the client has told its deadline.
    pub(super) fn is_told(&self) -> bool {
        self.told.is_some()
    }
}

/// The first of the request's own limits before it is sent, if it has any.
pub(super) fn first(request: &Request<'_>) -> Option<Instant> {
    let deadlines = request.deadlines.as_ref()?;
    let request_end = deadlines.request_end.filter(|_| !has_come(request));
    earlier(deadlines.standing(), request_end)
}

/// True if the request has come to its end before any attempt at it.
fn has_come(request: &Request<'_>) -> bool {
    request.length == BodyLength::None || request.record.request_ended()
}

/// The answer to a request that comes without any time left; it is counted.
#[cold]
pub(super) fn on_arrival(
    request: &Request<'_>,
    context: &RequestContext<'_>,
    taken: Taken<'_>,
) -> Option<LocalReply> {
    let told = LocalReply::DeadlinePassed(DeadlineWait::Nothing);
    let now = context.worker().now();
    let reply = passed(request, now, has_come(request), told)?;
    count(context, taken, reply);
    Some(reply)
}

/// What a request ends with of which one of its own limits has passed; none: none has.
pub(super) fn passed(
    request: &Request<'_>,
    now: Instant,
    request_done: bool,
    told: LocalReply,
) -> Option<LocalReply> {
    let deadlines = request.deadlines.as_ref()?;
    let has_passed = |limit: Option<Instant>| limit.is_some_and(|limit| now >= limit);
    if !request_done && !request.record.has_started() && has_passed(deadlines.request_end) {
        Some(LocalReply::RequestTimeout)
    } else if has_passed(deadlines.stream_end) {
        Some(LocalReply::StreamDuration { request_done })
    } else {
        has_passed(deadlines.told.map(|told| told.at)).then_some(told)
    }
}

/// The first of the limits that a request has reached whose time is up: its client's deadline or, once it has been sent on,
/// its route's timeout. For whoever tells why.
#[cold]
pub(super) fn reached(
    request: &Request<'_>,
    taken: Option<Taken<'_>>,
    now: Instant,
    was_forwarded: bool,
) -> Option<Reached> {
    let started = request.record.started();
    let told = request.deadlines.as_ref().and_then(|deadlines| deadlines.told);
    let told = told.map(|told| (told.at, told.limit, told.at.saturating_duration_since(started)));
    let of_route = match taken.map(|taken| taken.route.action()) {
        Some(RouteAction::Forward(policy)) if was_forwarded => route_timeout(request, policy),
        _ => None,
    };
    let of_route = of_route
        .zip(request.record.request_ended_at())
        .and_then(|((timeout, limit), ended)| Some((after(ended, Some(timeout))?, limit, timeout)));
    told.into_iter()
        .chain(of_route)
        .filter(|(at, ..)| now >= *at)
        .min_by_key(|(at, ..)| *at)
        .map(|(_, limit, duration)| Reached { limit, duration })
}

/// The timeout that a request has by its route, from its end on, and what that holds by.
fn route_timeout(request: &Request<'_>, policy: &Forward) -> Option<(Duration, &'static str)> {
    let timeout = forward::route_timeout(request, policy)?;
    let hinted = request.hints.as_ref().and_then(|hints| hints.timeout());
    let limit = match hinted {
        None => "timeout",
        Some(asked) if asked == Some(timeout) => HINTED_TIMEOUT,
        Some(_) if policy.client_timeout_max().is_some() => CLIENT_TIMEOUT_MAX,
        Some(_) => "timeout",
    };
    Some((timeout, limit))
}

/// What a request ends with that waited for something, before any attempt at it, when the first of its limits passed.
#[cold]
pub(super) fn waited(request: &Request<'_>, now: Instant, wait: DeadlineWait) -> Stop {
    not_sent(request, now, has_come(request), wait)
}

/// What a request ends with whose time was up when it was to be sent.
#[cold]
pub(super) fn not_sent(request: &Request<'_>, now: Instant, request_done: bool, wait: DeadlineWait) -> Stop {
    let told = LocalReply::DeadlinePassed(wait);
    Stop::Reply(passed(request, now, request_done, told).unwrap_or(told))
}

/// Counts what is refused here for the want of time.
#[cold]
pub(super) fn count(context: &RequestContext<'_>, taken: Taken<'_>, reply: LocalReply) {
    match reply {
        LocalReply::DeadlinePassed(wait) => {
            let cells = taken.policy.metrics.worker(context.worker().index);
            cells.deadlines_passed[wait].inc();
        }
        LocalReply::RequestTimeout => context
            .listener()
            .refused_requests
            .refuse(refusals::index(refusals::REQUEST_TIMEOUT)),
        _ => {}
    }
}

/// Tells the next hop what is left: in `grpc-timeout`, or else as Envoy does. What is under a millisecond is one.
///
/// # Errors
/// Nothing is left.
#[inline(never)]
pub(super) fn tell(request: &mut Request<'_>, left: Duration) -> Result<(), Stop> {
    if left.is_zero() {
        return Err(Stop::Reply(LocalReply::DeadlinePassed(DeadlineWait::Connection)));
    }
    let fields = &mut request.head.fields;
    if request.record.is_grpc() {
        fields.set_known(KnownName::GrpcTimeout, grpc_timeout_text(left).as_bytes());
    } else {
        let left = left.as_millis().max(1);
        fields.set(EXPECTED_TIMEOUT.as_bytes(), left.to_string().as_bytes());
    }
    Ok(())
}
