//! What traces are told of a request: its spans, where they are kept.

use super::super::trace::{RequestTrace, changes, template};
use super::super::{RequestContext, Taken};
use super::Record;
use crate::connection::Ends;
use crate::snapshot::{RouteTracing, TracingPolicy};
use outrigger_config::model::Name;
use outrigger_http1::{KnownName, RequestHead, Version};
use outrigger_telemetry::ListenerCells;
use outrigger_telemetry::trace::{SentRequest, TraceId, TracedRequest, TracedRoute, is_error};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// Where a request was traced.
pub(in super::super) struct TraceScene<'s> {
    pub(in super::super) policy: &'s TracingPolicy,
    pub(in super::super) listener: &'s ListenerCells,
    pub(in super::super) ends: &'s Ends,
    pub(in super::super) head: &'s RequestHead,
    /// The head when policies were asked about it.
    pub(in super::super) asked: &'s RequestHead,
    pub(in super::super) route: Option<TracedRoute<'s>>,
    pub(in super::super) cluster: Option<&'s str>,
    /// What is otherwise there in the policy.
    pub(in super::super) changes: Option<&'s RouteTracing>,
}

/// What a tunnel keeps to tell at its end.
pub(in super::super) struct KeptTrace {
    pub(in super::super) policy: Arc<TracingPolicy>,
    virtual_host: Name,
    route: Name,
    template: Option<String>,
    changes: Option<Arc<RouteTracing>>,
}

impl KeptTrace {
    pub(in super::super) fn of(policy: &Arc<TracingPolicy>, taken: Taken<'_>) -> KeptTrace {
        KeptTrace {
            policy: Arc::clone(policy),
            virtual_host: taken.virtual_host.name().clone(),
            route: taken.route.name().clone(),
            template: template(taken.route).map(Cow::into_owned),
            changes: taken.policy.tracing.clone(),
        }
    }

    pub(in super::super) fn changes(&self) -> Option<&RouteTracing> {
        self.changes.as_deref()
    }

    pub(in super::super) fn route(&self) -> TracedRoute<'_> {
        TracedRoute {
            virtual_host: self.virtual_host.as_str(),
            name: self.route.as_str(),
            template: self.template.as_deref(),
        }
    }
}

impl Record {
    /// The index of the virtual host that takes the request, if one does.
    pub(in super::super) fn virtual_host(&self) -> Option<usize> {
        usize::try_from(self.found()[0]?).ok()
    }

    /// The trace that the request belongs to, where it is traced.
    pub(in super::super) fn trace_id(&self) -> Option<TraceId> {
        self.trace.as_ref().map(|trace| trace.trace_id)
    }

    /// Sends the spans of a request that was served here to its end, if they are kept.
    #[inline(never)]
    pub(super) fn trace_ended(
        &self,
        trace: &RequestTrace,
        context: &RequestContext<'_>,
        head: &RequestHead,
        taken: Option<Taken<'_>>,
        now: Instant,
    ) {
        let Some(policy) = &context.chain().http().tracing else {
            return;
        };
        let template = taken.and_then(|taken| template(taken.route));
        let cluster = self.cluster.and_then(|slot| context.snapshot.cluster(slot));
        let scene = TraceScene {
            policy,
            listener: context.listener(),
            ends: context.ends(),
            head,
            asked: self.asked.as_deref().unwrap_or(head),
            route: taken.map(|taken| TracedRoute {
                virtual_host: taken.virtual_host.name().as_str(),
                name: taken.route.name().as_str(),
                template: template.as_deref(),
            }),
            cluster: cluster.map(|cluster| cluster.config.name().as_str()),
            changes: changes(self, context, taken),
        };
        let waited = now.saturating_duration_since(self.started);
        self.tell_traces(trace, &scene, now, waited);
    }

    /// Sends the request's spans, if they are kept. `waited`: how long it took, for whoever asks whether that was slow.
    #[inline(never)]
    pub(super) fn tell_traces(
        &self,
        trace: &RequestTrace,
        scene: &TraceScene<'_>,
        now: Instant,
        waited: Duration,
    ) {
        let grpc_status = self.grpc_status();
        if !trace.sampled {
            let failed = is_error(self.status, grpc_status, self.flags);
            match scene.policy.tail.keeps(failed, waited) {
                Some(reason) => scene.listener.traces_kept_at_end[reason].inc(),
                None => return,
            }
        }
        let head = scene.head;
        let (target, authority) = match &self.original {
            None => (Cow::Borrowed(head.path_and_query()), head.authority()),
            Some(original) => {
                let mark = if head.query().is_some() { "?" } else { "" };
                let query = head.query().unwrap_or_default();
                let target = format!("{}{mark}{query}", original.path);
                (Cow::Owned(target), &*original.authority)
            }
        };
        let duration = now.saturating_duration_since(self.started);
        let told = self.told(scene);
        let traced = TracedRequest {
            trace_id: trace.trace_id,
            span_id: trace.span_id,
            parent: trace.parent,
            flags: trace.flags(),
            tracestate: trace.state(&head.fields),
            // The clock on the wall is read for those alone that are kept.
            start: SystemTime::now() - duration,
            duration,
            name: told.name.as_deref(),
            method: head.method.as_str(),
            scheme: head.scheme().unwrap_or("http"),
            target: &target,
            authority,
            sent: SentRequest {
                scheme: if self.sent_by_tls { "https" } else { "http" },
                target: head.path_and_query(),
                authority: head.authority(),
            },
            protocol_version: match self.version {
                Version::Http10 => "1.0",
                Version::Http11 => "1.1",
                Version::Http2 => "2",
            },
            client: self.client.unwrap_or(scene.ends.remote.ip()),
            peer: scene.ends.peer,
            user_agent: head.fields.get(KnownName::UserAgent),
            request_id: head.fields.get(KnownName::XRequestId),
            route: scene.route,
            cluster: scene.cluster,
            status: self.status,
            grpc: self.is_grpc(),
            grpc_status,
            response_flags: self.flags,
            details: self.details,
            story: self.story.as_deref(),
            last_attempt: self.last_attempt(now),
            attributes: &told.attributes,
        };
        scene.policy.sink.try_send(traced.spans());
    }
}
