//! What the flight recorder is told of a request.

use super::Record;
use crate::connection::Accepted;
use outrigger_http1::{KnownName, RequestHead, Version};
use outrigger_telemetry::recorder::{Kind, Note, Protocol};
use outrigger_telemetry::trace::TraceId;
use outrigger_telemetry::{AttemptOutcome, AttemptStory};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::Instant;

impl Record {
    /// Tells the flight recorder, if there is one. `generation`: of the configuration that the request was served by.
    #[inline(always)]
    pub(super) fn tell_recorder(
        &self,
        accepted: &Accepted,
        generation: u64,
        head: &RequestHead,
        (now, duration): (Instant, Duration),
    ) {
        let mut recorder = accepted.worker.recorder.borrow_mut();
        let Some(recorder) = recorder.as_mut() else { return };
        let ends = &accepted.ends;
        let (path, authority) = match &self.original {
            None => (head.path(), head.authority()),
            Some(original) => (&*original.path, &*original.authority),
        };
        let (details, grpc_status) = match &self.story {
            None => (self.details, None),
            Some(story) => (story.details.as_deref().unwrap_or(self.details), self.grpc_end()),
        };
        let [virtual_host, route] = self.found();
        let attempt = match self.attempts {
            1 => self.only_attempt(duration),
            _ => self.last_attempt(now),
        };
        let id = head.fields.get(KnownName::XRequestId).unwrap_or_default();
        recorder.record(&Note {
            kind: Kind::Request,
            ended: now.into_std(),
            duration,
            status: self.status,
            flags: self.flags,
            attempts: self.attempts,
            protocol: match self.version {
                Version::Http10 => Protocol::Http10,
                Version::Http11 => Protocol::Http11,
                Version::Http2 => Protocol::Http2,
            },
            generation,
            chain: accepted.registration.control.slot().0,
            virtual_host,
            route,
            cluster: self.cluster.map(|slot| slot.0),
            connection: accepted.registration.control.id,
            bytes_received: self.bytes_received,
            bytes_sent: self.bytes_sent,
            last_attempt: attempt.as_ref(),
            peer: match self.client {
                None => ends.remote,
                // A proxy in front tells no port.
                Some(client) => SocketAddr::new(client, 0),
            },
            request_ended: self.request_ended.is_some(),
            trace_id: match self.trace_id() {
                Some(id) => Some(id.get()),
                None => {
                    let told = head.fields.get(KnownName::Traceparent);
                    told.and_then(TraceId::of_traceparent).map(TraceId::get)
                }
            },
            method: head.method.as_str(),
            path,
            authority,
            request_id: id,
            details,
            peer_id: match &ends.identity {
                None => "",
                Some(peer) => peer.spiffe_id.as_ref().map_or("", |id| id.as_str()),
            },
            story: self.story.as_deref(),
            grpc_status,
        });
    }

    /// [`Record::last_attempt`] of nearly all requests, by as little reckoning with times as will do.
    #[inline(always)]
    fn only_attempt(&self, duration: Duration) -> Option<AttemptStory> {
        let endpoint = self.endpoint.as_ref().filter(|_| self.current.is_open)?;
        let since = |at: Instant| match at == self.started {
            true => Duration::ZERO,
            false => at.saturating_duration_since(self.started),
        };
        let answered = self.upstream_answered.filter(|_| self.current.status != 0);
        Some(AttemptStory {
            number: 1,
            endpoint: self.peer_address.as_deref().copied().unwrap_or(endpoint.address),
            started: since(self.current.started),
            answered,
            ended: duration,
            outcome: match self.current.status {
                0 => AttemptOutcome::Cancelled,
                status => AttemptOutcome::Answered(status),
            },
        })
    }
}
