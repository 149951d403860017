//! What is noted of a connection whose bytes are passed on, and told once at its end: access log and flight recorder.

use super::dial::{DialFault, Dialled};
use super::rate_limit::Refusal;
use super::{ConnectionClose, downstream_close, policy};
use crate::access_log;
use crate::authorization::Remarks;
use crate::connection::Accepted;
use crate::relay::{RelayEnd, Relayed};
use crate::rights;
use crate::snapshot::{ChainPolicy, ClusterPolicy, ClusterSlot};
use crate::tls;
use crate::worker::{LocalSnapshot, Worker};
use outrigger_telemetry::recorder::{Kind, Note, Protocol};
use outrigger_telemetry::{AttemptOutcome, AttemptStory, RequestRecord, ResponseFlags};
use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// The story of one connection so far.
pub(super) struct Record {
    /// Read only where an access log wants it.
    start_time: Option<SystemTime>,
    upstream: Option<SocketAddr>,
    local: Option<SocketAddr>,
    /// TLS of the connection to the endpoint, where an access log may want it.
    tls: Option<tls::Session>,
    attempts: u32,
    remarks: Remarks,
    /// The configuration that it is served by.
    generation: u64,
    /// Where its bytes go; none until that is known.
    cluster: Option<ClusterSlot>,
}

/// How it ended.
pub(super) struct Outcome {
    pub(super) close: ConnectionClose,
    flags: ResponseFlags,
    details: Option<Cow<'static, str>>,
    bytes_received: u64,
    bytes_sent: u64,
}

impl Outcome {
    pub(super) fn of(relayed: Relayed) -> Outcome {
        let (flags, details) = match relayed.end {
            RelayEnd::Closed { .. } => (ResponseFlags::NONE, None),
            RelayEnd::DownstreamReset => (ResponseFlags::DC, Some("downstream_remote_reset")),
            RelayEnd::UpstreamReset => (ResponseFlags::UC, Some("upstream_remote_reset")),
            RelayEnd::Idle => (ResponseFlags::SI, Some("tcp_session_idle_timeout")),
            RelayEnd::Deadline => (ResponseFlags::DT, Some("tcp_max_downstream_connection_duration")),
            RelayEnd::Drained => (ResponseFlags::NONE, Some("drain_timeout")),
            RelayEnd::RightLost(lost) => (ResponseFlags::NONE, Some(lost.as_str())),
            RelayEnd::UpstreamLost(_) => (ResponseFlags::UC, Some(rights::UPSTREAM_LOST)),
        };
        Outcome {
            close: downstream_close(relayed.end),
            flags,
            details: details.map(Cow::Borrowed),
            bytes_received: relayed.bytes_up,
            bytes_sent: relayed.bytes_down,
        }
    }
}

impl Record {
    pub(super) fn begin(accepted: &Accepted, chain: &ChainPolicy, snapshot: &LocalSnapshot) -> Record {
        chain.listener.worker(accepted.worker.index).tcp_connections.inc();
        Record {
            // The chain was picked moments ago: what lies between is counted by the clock that measures it.
            start_time: (!policy(chain).access_logs.is_empty())
                .then(|| SystemTime::now() - accepted.opened.elapsed()),
            upstream: None,
            local: None,
            tls: None,
            attempts: 0,
            remarks: Remarks::default(),
            generation: snapshot.generation(),
            cluster: None,
        }
    }

    /// It goes to this cluster of its chain.
    pub(super) fn picked(&mut self, cluster: &ClusterPolicy, chain: &ChainPolicy, snapshot: &LocalSnapshot) {
        let is_picked = |slot: &&ClusterSlot| {
            let of_chain = snapshot.cluster(**slot);
            of_chain.is_some_and(|of_chain| of_chain.config.name() == cluster.config.name())
        };
        self.cluster = policy(chain).clusters.iter().find(is_picked).copied();
    }

    pub(super) fn connected(&mut self, dialled: &mut Dialled, cluster: &ClusterPolicy, worker: &Worker) {
        self.upstream = Some(dialled.address());
        self.local = dialled.local_address();
        self.attempts = dialled.attempts;
        if self.start_time.is_some() {
            self.tls = tls::Session::of(dialled.stream(), cluster, worker);
        }
    }

    /// What authorization policies had to say.
    pub(super) fn remark(&mut self, remarks: Remarks) {
        self.remarks = remarks;
    }

    /// The end of a connection that policies do not allow. `details`: which, for logs.
    pub(super) fn unauthorized(details: String) -> Outcome {
        Outcome {
            close: ConnectionClose::Unauthorized,
            flags: ResponseFlags::NONE,
            details: Some(Cow::Owned(details)),
            bytes_received: 0,
            bytes_sent: 0,
        }
    }

    /// The end of a connection that comes too often.
    pub(super) fn rate_limited(refusal: Refusal) -> Outcome {
        Outcome {
            close: ConnectionClose::RateLimited,
            flags: refusal.flags,
            details: Some(Cow::Owned(refusal.details)),
            bytes_received: 0,
            bytes_sent: 0,
        }
    }

    /// The end of a connection for which no endpoint could be had.
    pub(super) fn not_connected(&mut self, fault: DialFault) -> Outcome {
        self.upstream = fault.address;
        self.attempts = fault.attempts;
        Outcome {
            close: if fault.downstream_gone {
                ConnectionClose::Error
            } else {
                ConnectionClose::Upstream
            },
            flags: fault.flags,
            details: Some(Cow::Borrowed(fault.details)),
            bytes_received: 0,
            bytes_sent: 0,
        }
    }

    pub(super) fn finish(
        self,
        accepted: &Accepted,
        chain: &ChainPolicy,
        cluster: Option<&ClusterPolicy>,
        outcome: Outcome,
    ) {
        self.tell_recorder(accepted, &outcome);
        let Some(start_time) = self.start_time else { return };
        let ends = &accepted.ends;
        let downstream_tls = ends
            .tls
            .map(|terms| terms.record(ends.identity.as_deref(), ends.local.as_deref()));
        let upstream_tls = self.tls.as_ref().map(tls::Session::record);
        let record = RequestRecord {
            start_time,
            protocol: None,
            response_code: 0,
            response_code_details: None,
            connection_termination_details: outcome.details.as_deref(),
            authorization_shadow_result: self.remarks.shadow.as_deref(),
            authorization_audited: self.remarks.audited.as_deref(),
            response_flags: outcome.flags,
            bytes_received: outcome.bytes_received,
            bytes_sent: outcome.bytes_sent,
            duration: accepted.opened.elapsed(),
            request_duration: None,
            response_duration: None,
            upstream_host: self.upstream,
            upstream_cluster: cluster.map(|cluster| cluster.config.name().as_str()),
            upstream_local_address: self.local,
            upstream_protocol: None,
            upstream_transport_failure_reason: None,
            upstream_request_attempt_count: self.attempts,
            trace_id: None,
            span_id: None,
            trace_flags: 0,
            route_name: None,
            virtual_host: None,
            downstream_remote_address: Some(ends.remote),
            downstream_direct_remote_address: Some(ends.peer),
            downstream_local_address: Some(ends.destination),
            requested_server_name: ends.server_name.as_deref(),
            downstream_tls: downstream_tls.as_ref(),
            upstream_tls: upstream_tls.as_ref(),
            connection_id: accepted.registration.control.id,
            filter_chain_name: Some(chain.config.name().as_str()),
            request: &(),
            response: &(),
            trailers: None,
        };
        access_log::tell(&policy(chain).access_logs, &record, &accepted.worker);
    }

    fn tell_recorder(&self, accepted: &Accepted, outcome: &Outcome) {
        let mut recorder = accepted.worker.recorder.borrow_mut();
        let Some(recorder) = recorder.as_mut() else { return };
        let ends = &accepted.ends;
        let ended = Instant::now();
        let duration = ended.duration_since(accepted.opened);
        let attempt = self.upstream.map(|endpoint| AttemptStory {
            number: self.attempts,
            endpoint,
            started: Duration::ZERO,
            answered: None,
            ended: duration,
            // What it failed of, if it did, is the connection's end.
            outcome: AttemptOutcome::Cancelled,
        });
        recorder.record(&Note {
            kind: Kind::Connection,
            ended: ended.into_std(),
            duration,
            status: 0,
            flags: outcome.flags,
            attempts: self.attempts,
            protocol: Protocol::Bytes,
            generation: self.generation,
            chain: accepted.registration.control.slot().0,
            virtual_host: None,
            route: None,
            cluster: self.cluster.map(|slot| slot.0),
            connection: accepted.registration.control.id,
            bytes_received: outcome.bytes_received,
            bytes_sent: outcome.bytes_sent,
            last_attempt: attempt.as_ref(),
            peer: ends.remote,
            request_ended: false,
            trace_id: None,
            method: "",
            path: "",
            authority: ends.server_name.as_deref().unwrap_or_default(),
            request_id: b"",
            details: outcome.details.as_deref().unwrap_or_default(),
            peer_id: match &ends.identity {
                None => "",
                Some(peer) => peer.spiffe_id.as_ref().map_or("", |id| id.as_str()),
            },
            story: None,
            grpc_status: None,
        });
    }
}
