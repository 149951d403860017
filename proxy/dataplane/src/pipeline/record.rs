//! What is noted of a request, and told once at its end: metrics, access log and flight recorder.

mod attempts;
mod flight;
mod grpc;
mod line;
mod told;
mod traces;

pub(super) use grpc::GrpcCall;
pub(super) use line::ORIGINAL_PATH;
pub(super) use traces::{KeptTrace, TraceScene};

use super::trace::RequestTrace;
use super::{RequestContext, Taken};
use crate::access_log::AccessLog;
use crate::authorization::Remarks;
use crate::connection::Accepted;
use crate::reply::Answer;
use crate::snapshot::{ClusterSlot, EndpointState};
use crate::tls::{self, KnownPeer};
use crate::worker::Worker;
use attempts::Current;
use line::OriginalPath;
use outrigger_config::model::{Name, Route, VirtualHost};
use outrigger_http1::{Fields, RequestHead, ResponseHead, Version};
use outrigger_telemetry::{
    CodeClass, DirectionCells, Event, EventKind, ListenerCells, ResponseFlags, RouteCells, RouteMetrics,
    Story,
};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// What stands for an index that is not known.
const NOWHERE: u32 = u32::MAX;

/// The story of one request.
pub(super) struct Record {
    started: Instant,
    /// What is kept only where an access log wants it.
    logged: Option<Box<Logged>>,
    version: Version,
    status: u16,
    flags: ResponseFlags,
    details: &'static str,
    request_ended: Option<Instant>,
    /// When the head of the last answer was there, counted from the start.
    upstream_answered: Option<Duration>,
    started_response: bool,
    attempts: u32,
    /// The attempt that is under way, or was the last to be.
    current: Current,
    /// What happened beside one attempt that was answered.
    story: Option<Box<Story>>,
    endpoint: Option<Arc<EndpointState>>,
    pub(super) cluster: Option<ClusterSlot>,
    /// Indexes of the virtual host and the route that take it, or [`NOWHERE`].
    found: [u32; 2],
    /// There where requests are traced.
    pub(super) trace: Option<Box<RequestTrace>>,
    /// There where it is a call of gRPC.
    grpc: Option<GrpcCall>,
    /// What was asked for, where something else is sent.
    original: Option<Box<Original>>,
    /// The head when policies were asked about it, where the route edits it.
    pub(super) asked: Option<Box<RequestHead>>,
    /// The last attempt's connection is TLS.
    sent_by_tls: bool,
    /// Which address the last attempt's connection went to, where the endpoint has several: few have.
    peer_address: Option<Box<SocketAddr>>,
    /// The client as trusted proxies tell it.
    pub(super) client: Option<IpAddr>,
    pub(super) bytes_received: u64,
    pub(super) bytes_sent: u64,
    pub(super) trailers: Option<Box<Fields>>,
}

/// Path and authority before they were rewritten.
struct Original {
    path: Box<str>,
    authority: Box<str>,
}

struct Logged {
    start_time: SystemTime,
    /// The target before any rewrite.
    path: String,
    original_path: OriginalPath,
    authority: String,
    route: Option<(Name, Name)>,
    remarks: Remarks,
    /// TLS of the last attempt's connection.
    upstream_tls: Option<tls::Session>,
    /// Our address on that connection.
    upstream_local_address: Option<SocketAddr>,
    /// The last attempt's protocol, once it had a connection.
    upstream_protocol: Option<&'static str>,
    response: ResponseHead,
}

impl Record {
    #[inline(always)]
    pub(super) fn begin(
        context: &RequestContext<'_>,
        version: Version,
        head: &RequestHead,
        grpc: Option<GrpcCall>,
    ) -> Record {
        let (chain, worker) = (context.chain(), context.worker());
        chain.listener.worker(worker.index).requests_active.inc();
        chain.direction.worker(worker.index).request_began();
        let logged = (!chain.http().access_logs.is_empty()).then(|| {
            Box::new(Logged {
                start_time: SystemTime::now(),
                path: head.path_and_query().to_owned(),
                original_path: OriginalPath::Field,
                authority: head.authority().to_owned(),
                route: None,
                remarks: Remarks::default(),
                upstream_tls: None,
                upstream_local_address: None,
                upstream_protocol: None,
                response: ResponseHead::new(),
            })
        });
        let started = worker.tick();
        Record {
            started,
            logged,
            version,
            status: 0,
            flags: ResponseFlags::NONE,
            details: "",
            request_ended: None,
            upstream_answered: None,
            started_response: false,
            attempts: 0,
            current: Current {
                number: 0,
                is_open: false,
                status: 0,
                started,
            },
            story: None,
            endpoint: None,
            cluster: None,
            found: [NOWHERE; 2],
            trace: None,
            grpc,
            original: None,
            asked: None,
            sent_by_tls: false,
            peer_address: None,
            client: None,
            bytes_received: 0,
            bytes_sent: 0,
            trailers: None,
        }
    }

    /// Where the table of routes leads: indexes of a virtual host and, if one takes it, of a route.
    #[inline(always)]
    pub(super) fn find(&mut self, virtual_host: usize, route: Option<usize>) {
        // Configurations are bounded far below.
        let index = |index: usize| u32::try_from(index).unwrap_or(NOWHERE);
        self.found = [index(virtual_host), route.map_or(NOWHERE, index)];
    }

    /// The virtual host, if one takes it, and the route.
    #[inline(always)]
    fn found(&self) -> [Option<u32>; 2] {
        self.found
            .map(|index| Some(index).filter(|index| *index != NOWHERE))
    }

    /// Path or authority are about to be rewritten.
    pub(super) fn keep_original(&mut self, head: &RequestHead) {
        self.original.get_or_insert_with(|| {
            Box::new(Original {
                path: head.path().into(),
                authority: head.authority().into(),
            })
        });
    }

    pub(super) fn take_route(&mut self, virtual_host: &VirtualHost, route: &Route) {
        if let Some(logged) = &mut self.logged {
            logged.route = Some((virtual_host.name().clone(), route.name().clone()));
        }
    }

    /// Why it is answered as it is, in more words than a local reply has.
    #[cold]
    pub(super) fn explain(&mut self, details: String) {
        self.story().details = Some(details.into());
    }

    /// Something happened on the way; `subject`, `detail` and `value` as the kind has them.
    #[cold]
    pub(super) fn note(
        &mut self,
        now: Instant,
        kind: EventKind,
        subject: &str,
        detail: &'static str,
        value: u64,
    ) {
        let at = now.saturating_duration_since(self.started);
        self.story().note(Event {
            at,
            kind,
            subject: subject.into(),
            detail,
            value,
        });
    }

    #[cold]
    fn story(&mut self) -> &mut Story {
        self.story.get_or_insert_default()
    }

    /// What authorization policies had to say.
    pub(super) fn remark(&mut self, remarks: Remarks) {
        if let Some(logged) = &mut self.logged {
            logged.remarks = remarks;
        }
    }

    pub(super) fn is_logged(&self) -> bool {
        self.logged.is_some()
    }

    /// When the request's head was read.
    pub(super) fn started(&self) -> Instant {
        self.started
    }

    pub(super) fn flags(&self) -> ResponseFlags {
        self.flags
    }

    pub(super) fn status(&self) -> u16 {
        self.status
    }

    /// The version that the client spoke, as logs and headers name it.
    pub(super) fn protocol(&self) -> &'static str {
        match self.version {
            Version::Http10 => "HTTP/1.0",
            Version::Http11 => "HTTP/1.1",
            Version::Http2 => "HTTP/2",
        }
    }

    /// The last attempt's endpoint.
    pub(super) fn endpoint(&self) -> Option<&EndpointState> {
        self.endpoint.as_deref()
    }

    /// The address of the last attempt's endpoint.
    pub(super) fn upstream_host(&self) -> Option<&str> {
        self.endpoint
            .as_ref()
            .map(|endpoint| endpoint.address_text.as_str())
    }

    /// The head of the answer to the attempt that is under way is here.
    pub(super) fn is_answered(&self) -> bool {
        self.current.status != 0
    }

    pub(super) fn has_started(&self) -> bool {
        self.started_response
    }

    pub(super) fn request_ended(&self) -> bool {
        self.request_ended.is_some()
    }

    /// When the request had come whole.
    pub(super) fn request_ended_at(&self) -> Option<Instant> {
        self.request_ended
    }

    pub(super) fn set_request_ended(&mut self, at: Option<Instant>) {
        self.request_ended = at;
    }

    pub(super) fn local_reply(&mut self, answer: &Answer) {
        self.answered_here(answer.status, answer.details);
        self.flags |= answer.flags;
    }

    /// Something happened on the way.
    pub(super) fn flag(&mut self, flags: ResponseFlags) {
        self.flags |= flags;
    }

    pub(super) fn answered_here(&mut self, status: u16, details: &'static str) {
        self.status = status;
        self.details = details;
    }

    pub(super) fn response_started(&mut self, head: &ResponseHead) {
        self.started_response = true;
        // What is sent: a gRPC fault is 200 on the wire.
        self.status = head.status;
        if self.grpc.is_some() {
            self.note_grpc_status(head);
        }
        if let Some(logged) = &mut self.logged {
            logged.response.clone_from(head);
        }
    }

    /// The client went away.
    pub(super) fn downstream_gone(&mut self) {
        self.flags |= ResponseFlags::DC;
        self.details = "downstream_remote_disconnect";
    }

    /// A tunnel ended otherwise than in order.
    pub(super) fn ended(&mut self, flags: ResponseFlags, details: &'static str) {
        self.flags |= flags;
        self.details = details;
    }

    /// The response had begun and could not be ended.
    pub(super) fn cut_off(&mut self, answer: Option<Answer>) {
        if let Some(answer) = answer {
            self.flags |= answer.flags;
            self.details = answer.details;
        }
    }

    /// `taken`: the route that took the request, if one did.
    pub(super) fn finish(
        &self,
        context: &RequestContext<'_>,
        metrics: &RouteMetrics,
        head: &RequestHead,
        taken: Option<Taken<'_>>,
    ) {
        let (chain, worker) = (context.chain(), context.worker());
        chain.listener.worker(worker.index).requests_active.dec();
        let now = worker.tick();
        let duration = now.duration_since(self.started);
        self.count(
            chain.direction.worker(worker.index),
            metrics.worker(worker.index),
            duration,
        );
        if let Some(peer) = &context.ends().identity {
            self.count_source(peer, worker);
        }
        if let Some(logged) = &self.logged {
            let cluster = self.cluster.and_then(|slot| context.snapshot.cluster(slot));
            let scene = Scene {
                accepted: context.accepted,
                access_logs: &chain.http().access_logs,
                chain: chain.config.name().as_str(),
                cluster: cluster.map(|cluster| cluster.config.name().as_str()),
            };
            self.write_line(&scene, logged, head, duration);
        }
        if let Some(trace) = &self.trace
            && (trace.sampled || trace.tail)
        {
            self.trace_ended(trace, context, head, taken, now);
        }
        let generation = context.snapshot.generation();
        self.tell_recorder(context.accepted, generation, head, (now, duration));
    }

    /// The request became a tunnel, and that has ended. Its time is that of its answer: how long people talk says
    /// nothing of how fast anything is.
    pub(super) fn tunnel_ended(
        self,
        (direction, listener): (&DirectionCells, &ListenerCells),
        route: &RouteCells,
        scene: &Scene<'_>,
        head: &RequestHead,
        asked: &Asked<'_>,
    ) {
        listener.requests_active.dec();
        let now = scene.accepted.worker.tick();
        let duration = now.duration_since(self.started);
        let answered = self.upstream_answered.unwrap_or(duration);
        self.count(direction, route, answered);
        if let Some(peer) = &scene.accepted.ends.identity {
            self.count_source(peer, &scene.accepted.worker);
        }
        if let Some(logged) = &self.logged {
            self.write_line(scene, logged, head, duration);
        }
        if let (Some(trace), Some(kept)) = (&self.trace, asked.trace)
            && (trace.sampled || trace.tail)
        {
            let scene = TraceScene {
                policy: &kept.policy,
                listener,
                ends: &scene.accepted.ends,
                head: asked.head,
                asked: asked.head,
                route: Some(kept.route()),
                changes: kept.changes(),
                cluster: scene.cluster,
            };
            self.tell_traces(trace, &scene, now, answered);
        }
        self.tell_recorder(scene.accepted, asked.generation, asked.head, (now, duration));
    }

    /// Counts the request where it came in and for its route.
    #[inline(always)]
    fn count(&self, direction: &DirectionCells, route: &RouteCells, duration: Duration) {
        let (class, duration) = (CodeClass::of(self.status), route.measure(duration));
        direction.request_ended(class, self.flags, duration);
        route.request_ended(class, self.flags, duration);
        route.request_bytes.add(self.bytes_received);
        route.response_bytes.add(self.bytes_sent);
        if self.grpc.is_some() {
            self.count_call(route);
        }
    }

    /// Counts the request for who has made it.
    #[cold]
    fn count_source(&self, peer: &KnownPeer, worker: &Worker) {
        let cells = peer.requests(&worker.metrics).worker(worker.index);
        cells.requests[CodeClass::of(self.status)].inc();
    }
}

/// What a tunnel was asked for, and by which configuration it was let through.
pub(super) struct Asked<'a> {
    pub(super) head: &'a RequestHead,
    pub(super) generation: u64,
    /// There where it is traced.
    pub(super) trace: Option<&'a KeptTrace>,
}

/// Where a request was served, as its log line tells.
pub(super) struct Scene<'s> {
    pub(super) accepted: &'s Accepted,
    pub(super) access_logs: &'s [AccessLog],
    pub(super) chain: &'s str,
    pub(super) cluster: Option<&'s str>,
}
