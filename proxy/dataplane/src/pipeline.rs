//! One request, in phases that can be read from top to bottom:
//!
//! 1. **begin**: count it, note when; refuse it ([`overload`]) if the process is near what it may have.
//! 2. **sanitize** ([`sanitize`]): normalize the path; drop hop-by-hop fields; replace what an untrusted client must
//!    not say.
//! 3. **match** ([`decide`]): virtual host, route, action. Some virtual hosts answer before any route ([`edge`]). Where the
//!    chain traces, the request's trace is taken up, or begun, by what its route says of it ([`trace`]).
//! 4. **authenticate** ([`authenticate`]): tokens, where they are asked for. **authorize** ([`authorize`]): policies are
//!    asked then, and after them maybe another service ([`external_authorization`]).
//! 5. **limit** ([`rate_limit`]): requests that come too often are refused.
//! 6. **act**: a CORS preflight ([`cors`]), a redirect or a direct response ([`respond`]) is answered, or attempts are
//!    made at an upstream ([`forward`]), each of which picks an endpoint, takes a pooled connection, sends ([`exchange`]),
//!    and classifies what came ([`attempts`]); [`mirror`] sends copies elsewhere.
//!    A fault ([`fault`]) comes just before the action, whatever that is.
//! 7. **record** ([`record`]): metrics and access log, once, at the end of the body.
//!
//! The whole request is served by one snapshot, taken at its start.

mod active;
mod affinity;
mod ask;
mod attempts;
mod authenticate;
mod authorize;
mod client_certificate;
mod compress;
mod cors;
mod deadline;
mod edge;
mod edits;
mod exchange;
mod external_authorization;
mod fault;
mod forward;
mod hints;
mod mirror;
mod notes;
mod overload;
mod pace;
pub(crate) mod rate_limit;
mod record;
mod respond;
mod rights;
mod sanitize;
mod session;
mod trace;
mod tunnel;
mod unreadable;
mod upgrade;

pub(crate) use tunnel::Tunnel;
pub(crate) use unreadable::{Extent, refuse};

use crate::body::BodyLength;
use crate::connection::{Accepted, Ends};
use crate::head::is_grpc;
use crate::refusals;
use crate::reply::LocalReply;
use crate::server::Downstream;
use crate::snapshot::{ChainPolicy, EdgePolicy, RoutePolicy};
use crate::worker::{LocalSnapshot, Worker};
use cors::CrossOrigin;
use deadline::Deadlines;
use edits::Known;
use external_authorization::Authorized;
use hints::Hints;
use outrigger_config::model::{self, CompressionAlgorithm, RouteAction};
use outrigger_http1::{KnownName, Method, RequestHead};
use outrigger_telemetry::{ListenerCells, UpgradeProtocol};
use outrigger_traffic::authorization::Claims;
use outrigger_traffic::edge::EdgeAnswer;
use outrigger_traffic::{Found, RequestView, forwarded};
use pace::Pace;
use rate_limit::{Counted, Limited};
use record::{GrpcCall, Record};
use session::Session;
use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use tunnel::Made;
use upgrade::Upgrade;

/// What a request is served with.
pub(crate) struct RequestContext<'c> {
    accepted: &'c Accepted,
    pub(crate) snapshot: &'c LocalSnapshot,
    /// The connection's filter chain in it.
    chain: &'c Arc<ChainPolicy>,
    /// The epoch of the connection's rights by which the request was found to be in its right.
    judged: Cell<u32>,
}

impl<'c> RequestContext<'c> {
    /// `snapshot`: by which the request is served, which the connection has adopted.
    pub(crate) fn new(accepted: &'c Accepted, snapshot: &'c LocalSnapshot) -> RequestContext<'c> {
        RequestContext {
            accepted,
            snapshot,
            chain: accepted.registration.control.chain(snapshot),
            judged: Cell::new(accepted.registration.control.rights.epoch()),
        }
    }

    /// True if the request must be judged: something may have been taken from it.
    #[inline]
    fn is_due(&self) -> bool {
        self.accepted.registration.control.rights.epoch() != self.judged.get()
    }

    fn worker(&self) -> &Rc<Worker> {
        &self.accepted.worker
    }

    pub(crate) fn chain(&self) -> &'c Arc<ChainPolicy> {
        self.chain
    }

    fn ends(&self) -> &Ends {
        &self.accepted.ends
    }

    /// True if the connection should end after the request at hand.
    fn is_draining(&self) -> bool {
        self.accepted.registration.control.is_draining()
    }

    fn listener(&self) -> &ListenerCells {
        self.chain().listener.worker(self.worker().index)
    }
}

/// A route that takes a request: places in the model, and the policies there.
#[derive(Clone, Copy)]
struct Taken<'s> {
    virtual_host: &'s Arc<model::VirtualHost>,
    route: &'s model::Route,
    policy: &'s RoutePolicy,
}

/// A request on its way through the phases.
struct Request<'r> {
    head: &'r mut RequestHead,
    length: BodyLength,
    record: Record,
    /// What it asks for beside an answer.
    upgrade: Option<Box<Upgrade>>,
    /// The tunnel that it has become.
    made: Option<Box<Made>>,
    /// The edge policy of its virtual host.
    edge: Option<&'r EdgePolicy>,
    /// What its client likes best of what the filter chain compresses by.
    coding: Option<CompressionAlgorithm>,
    /// The path by which the route was found, where a header value names a part of it.
    matched_path: Option<Box<str>>,
    /// An allowed origin other than the server's.
    cross_origin: Option<Box<CrossOrigin>>,
    session: Option<Box<Session>>,
    /// What an authorization service, where one was asked, has left to do.
    authorized: Option<Box<Authorized>>,
    /// What a believed peer says of how it is to be retried and timed.
    hints: Option<Box<Hints>>,
    /// The time limits that it came with.
    deadlines: Option<Box<Deadlines>>,
    /// An attempt was made by which it may have run, and there was another after it.
    may_have_run: bool,
    /// What rate limits have left to tell.
    limited: Option<Box<Limited>>,
    /// What its tokens say that hold.
    claims: Option<Box<Claims>>,
    /// Slows its answer down.
    pace: Option<Box<Pace>>,
}

impl Request<'_> {
    /// It is a call of gRPC, and none that asks for a tunnel.
    fn is_grpc(&self) -> bool {
        self.record.is_grpc()
    }

    /// What header values are put together from.
    fn known<'k>(&'k self, context: &'k RequestContext<'k>, taken: Taken<'k>) -> Known<'k> {
        Known {
            ends: context.ends(),
            taken: Some(taken),
            record: &self.record,
            matched_path: self.matched_path.as_deref(),
        }
    }
}

/// Serves one request to its end. The head is edited on the way. A request that becomes a tunnel is served when its
/// client knows; the caller runs the tunnel, without what only the request needed.
pub(crate) async fn serve(
    context: &RequestContext<'_>,
    downstream: &mut Downstream<'_>,
    head: &mut RequestHead,
    length: BodyLength,
) -> Option<Box<Tunnel>> {
    let upgrade = Upgrade::of(downstream, head);
    // A status of gRPC goes with 200, which would say that there is a tunnel.
    let grpc = (upgrade.is_none() && is_grpc(&head.fields)).then(GrpcCall::default);
    let mut request = Request {
        record: Record::begin(context, downstream.version(), head, grpc),
        head,
        length,
        upgrade,
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
    let worker = context.worker();
    let chain = context.chain();
    let hops = trusted_hops(context);
    if hops > 0 && asks_for_client(context, &request.record) {
        let told = request.head.fields.get_all(KnownName::XForwardedFor);
        request.record.client = forwarded::client(told, hops);
    }
    let _place = if worker.overload.concerns_requests() {
        match worker.overload.admit_request(worker.random()) {
            Ok(place) => place,
            Err(refusal) => {
                Box::pin(overload::refuse(request, downstream, context, refusal)).await;
                return None;
            }
        }
    } else {
        None
    };
    let metrics;
    let mut route = None;
    let tracing = chain.http().tracing.as_deref();
    // Before reserved headers are taken off: it may be one of them.
    let is_forced = tracing.is_some_and(|policy| trace::take_force_header(context, policy, request.head));
    match sanitize::sanitize(context, request.head, hops, &mut request.hints) {
        Err(reply) => {
            metrics = &chain.http().routes.unmatched;
            if let LocalReply::BadPath { reason } = reply {
                context
                    .listener()
                    .refused_requests
                    .refuse(refusals::index(reason));
            }
            if let Some(policy) = tracing {
                trace::begin(&mut request, context, policy, None, is_forced);
            }
            respond::local(&mut request, downstream, context, None, reply).await;
        }
        Ok(sent) => match decide(context, chain, &mut request, sent.as_deref()) {
            Decision::Edge(answer) => {
                metrics = &chain.http().routes.unmatched;
                if let Some(policy) = tracing {
                    trace::begin(&mut request, context, policy, None, is_forced);
                }
                edge::send(&mut request, downstream, context, answer).await;
            }
            Decision::NoRoute => {
                metrics = &chain.http().routes.unmatched;
                if let Some(policy) = tracing {
                    trace::begin(&mut request, context, policy, None, is_forced);
                }
                let reply = unrouted(&request, context);
                respond::local(&mut request, downstream, context, None, reply).await;
            }
            Decision::Route(taken) => {
                metrics = &taken.policy.metrics;
                request.record.take_route(taken.virtual_host, taken.route);
                if taken.policy.names_path {
                    request.matched_path = Some(request.head.path().into());
                }
                route = Some(taken);
                if let Some(policy) = tracing {
                    trace::begin(&mut request, context, policy, Some(taken), is_forced);
                }
                let active = &metrics.worker(context.worker().index).requests_active;
                active.inc();
                act(&mut request, downstream, context, taken).await;
                active.dec();
            }
        },
    }
    if let Some(made) = request.made.take() {
        return Some(Box::new(Tunnel::begin(*made, request, context, metrics, route)));
    }
    request.record.finish(context, metrics, request.head, route);
    None
}

/// The answer to a request that no route takes.
fn unrouted(request: &Request<'_>, context: &RequestContext<'_>) -> LocalReply {
    if request.head.method != Method::Connect {
        return LocalReply::NoRoute;
    }
    let cells = context.listener();
    cells.refused_requests.refuse(refusals::index(refusals::CONNECT));
    cells.upgrades_denied[UpgradeProtocol::Connect].inc();
    LocalReply::ConnectRefused
}

async fn act(
    request: &mut Request<'_>,
    downstream: &mut Downstream<'_>,
    context: &RequestContext<'_>,
    taken: Taken<'_>,
) {
    if let Some(policy) = &taken.policy.cors
        && cors::begin(request, context, taken, policy)
    {
        // Boxed: preflights are few, and the future of every request would have room for them.
        return Box::pin(cors::preflight(request, downstream, context, taken, policy)).await;
    }
    request.deadlines = Deadlines::of(request, context, taken);
    if request.deadlines.is_some()
        && let Some(reply) = deadline::on_arrival(request, context, taken)
    {
        return Box::pin(respond::local(request, downstream, context, Some(taken), reply)).await;
    }
    if let Some(policy) = &context.chain().http().tokens
        && let Err(fault) = authenticate::authenticate(request, context, taken, policy)
    {
        let reply = LocalReply::Unauthenticated(fault);
        return Box::pin(respond::local(request, downstream, context, Some(taken), reply)).await;
    }
    authorize::keep(request, context.chain(), taken);
    if authorize::applies(context.chain(), taken)
        && let Err(reply) = authorize::authorize(request, context, taken)
    {
        return Box::pin(respond::local(request, downstream, context, Some(taken), reply)).await;
    }
    if let Some(policy) = &context.chain().http().external_authorization
        && external_authorization::applies(taken)
    {
        // Boxed: it is large, and most requests do without.
        let authorizing = external_authorization::authorize(request, downstream, context, taken, policy);
        if !Box::pin(authorizing).await {
            return;
        }
    }
    if rate_limit::applies(context.chain(), taken) {
        match rate_limit::count(request, context, taken) {
            Counted::Passed => {}
            Counted::Ask if Box::pin(rate_limit::ask(request, downstream, context, taken)).await => {}
            Counted::Ask => return,
            Counted::Refused(reply) => {
                return Box::pin(respond::local(request, downstream, context, Some(taken), reply)).await;
            }
        }
    }
    if context.chain().http().injects_faults
        && let Some(policy) = fault::policy(context, taken)
        && let Some(injection) = fault::choose(request, context, taken, policy)
        && !Box::pin(fault::inject(request, downstream, context, taken, injection)).await
    {
        return;
    }
    match taken.route.action() {
        RouteAction::Forward(policy) => {
            // Pinned where it is made: awaited by itself it would be moved twice, and it is large.
            pin!(forward::forward(request, downstream, context, taken, policy)).await
        }
        RouteAction::Redirect(redirect) => {
            respond::redirect(request, downstream, context, taken, redirect).await
        }
        RouteAction::DirectResponse(direct) => {
            respond::direct(request, downstream, context, taken, direct).await
        }
    }
}

/// True if something is decided by who the client is, or tells of it.
fn asks_for_client(context: &RequestContext<'_>, record: &Record) -> bool {
    let chain = context.chain();
    record.is_logged()
        || context.worker().recorder.borrow().is_some()
        || chain.http().routes.asks_for_clients
        || chain.authorization.is_some()
        || chain.http().external_authorization.is_some()
        || chain.http().tracing.is_some()
}

/// How many proxies in front are trusted. With the PROXY protocol the peer is the one that it names: who wrote the
/// request, where the load balancer only passed it on (so it is in Envoy).
fn trusted_hops(context: &RequestContext<'_>) -> u32 {
    let options = &context.chain().http().options;
    match options.xff_num_trusted_hops() {
        0 => 0,
        hops => {
            let peer = context.ends().remote.ip().to_canonical();
            forwarded::trusted_hops(hops, options.trusted_proxies(), peer)
        }
    }
}

/// What becomes of a request.
enum Decision<'s> {
    /// Its virtual host answers before any route.
    Edge(EdgeAnswer),
    /// Nothing takes it.
    NoRoute,
    /// This route takes it.
    Route(Taken<'s>),
}

/// Decides what becomes of the request, and remembers its virtual host's edge policy. `sent`: the target as it was sent,
/// if it is another now.
fn decide<'s>(
    context: &RequestContext<'_>,
    chain: &'s ChainPolicy,
    request: &mut Request<'s>,
    sent: Option<&str>,
) -> Decision<'s> {
    if chain.http().tokens.is_some() {
        authenticate::take_off_claims(context, request.head);
    }
    let routes = &chain.http().routes;
    let (virtual_host, route) = match routes.table.find(&HeadView(request.head, context.ends())) {
        Found::NoVirtualHost => return Decision::NoRoute,
        Found::NoRoute { virtual_host } => (virtual_host, None),
        Found::Route { virtual_host, route } => (virtual_host, Some(route)),
    };
    request.record.find(virtual_host, route);
    let policy = &routes.virtual_hosts[virtual_host];
    if let Some(edge) = &policy.edge {
        request.edge = Some(edge);
        if let Some(answer) = edge::answer(context, request, edge, sent) {
            return Decision::Edge(answer);
        }
    }
    let model = &routes.config.virtual_hosts()[virtual_host];
    route.map_or(Decision::NoRoute, |route| {
        Decision::Route(Taken {
            virtual_host: model,
            route: &model.routes()[route],
            policy: &policy.routes[route],
        })
    })
}

/// A head and its connection, as route matching reads them.
struct HeadView<'h>(&'h RequestHead, &'h Ends);

impl RequestView for HeadView<'_> {
    fn is_connect(&self) -> bool {
        self.0.method == Method::Connect
    }

    fn method(&self) -> &str {
        self.0.method.as_str()
    }

    fn source_identity(&self) -> Option<&model::SpiffeId> {
        self.1.identity.as_ref()?.spiffe_id.as_ref()
    }

    fn host(&self) -> &str {
        host_without_port(self.0.authority())
    }

    fn path(&self) -> &str {
        self.0.path()
    }

    fn query(&self) -> Option<&str> {
        self.0.query()
    }

    fn header<'a>(&'a self, name: &str, joined: &'a mut Vec<u8>) -> Option<&'a [u8]> {
        let mut values = self.0.fields.find_all(name);
        let first = values.next()?;
        let Some(second) = values.next() else {
            return Some(first);
        };
        joined.extend_from_slice(first);
        for value in std::iter::once(second).chain(values) {
            joined.push(b',');
            joined.extend_from_slice(value);
        }
        Some(joined)
    }
}

/// An authority without its port; the brackets of an IPv6 address stay.
fn host_without_port(authority: &str) -> &str {
    match authority.rfind([':', ']']) {
        Some(at) if authority.as_bytes()[at] == b':' => &authority[..at],
        _ => authority,
    }
}

/// True if the method is idempotent by RFC 9110 section 9.2.2.
fn is_idempotent(method: &Method) -> bool {
    method.is_idempotent()
}

/// True if the request asks for an interim answer before its body.
fn drop_expectation(head: &mut RequestHead) {
    head.fields.remove_known(KnownName::Expect);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_dropped_and_addresses_kept() {
        for (authority, host) in [
            ("a", "a"),
            ("a:1", "a"),
            ("[::1]", "[::1]"),
            ("[::1]:80", "[::1]"),
            ("", ""),
            ("10.0.0.1:2", "10.0.0.1"),
        ] {
            assert_eq!(host_without_port(authority), host);
        }
    }
}
