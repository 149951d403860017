//! Mirroring: copies of requests to other clusters, which never slow or fail the original.
//!
//! A copy shares the pieces of the request's body as they pass by, and is sent only once the whole request is here, by
//! a task of its own on the same worker: the original never waits for it and does not learn what becomes of it. What is
//! held is bounded by [`MIRRORS_MAX`] copies of [`MIRROR_BODY_BYTES_MAX`], and by what the process may keep; a copy for which there is no room at once is
//! dropped and counted. It is sent once, its answer is read to keep the connection and thrown away, and after
//! [`MIRROR_TIMEOUT`] it is given up. A worker that ends does not wait for its copies: they are cut.

use super::active::ActiveRequest;
use super::ask::{Asked, Broken, Message, UNANSWERED, attempt};
use super::{Request, RequestContext, Taken};
use crate::body::{BodyFrame, BodyLength};
use crate::buffered::Buffered;
use crate::pick::{Tried, pick};
use crate::snapshot::{ClusterPolicy, EndpointState};
use crate::worker::Worker;
use bytes::Bytes;
use outrigger_config::model::RoutePriority;
use outrigger_config::model::defaults::{
    MIRROR_ANSWER_BYTES_MAX, MIRROR_BODY_BYTES_MAX, MIRROR_TIMEOUT, MIRRORS_MAX,
};
use outrigger_http1::{Fields, ResponseHead};
use outrigger_telemetry::{CodeClass, MirrorDrop, RouteMetrics};
use outrigger_traffic::falls_within;
use smallvec::SmallVec;
use std::rc::Rc;
use std::sync::Arc;

/// What is put behind the host's name, as Envoy does, so that a mirror's logs tell copies from requests.
const SHADOW_SUFFIX: &str = "-shadow";

/// Pieces of a body that are kept; many small ones cost more than their bytes.
const PIECES_MAX: usize = 1024;

/// A request that is being copied, for one or more mirrors.
pub(super) struct MirrorCopy {
    targets: SmallVec<[Target; 1]>,
    message: Message,
    held: Buffered,
}

struct Target {
    cluster: Arc<ClusterPolicy>,
    endpoint: Arc<EndpointState>,
    ticket: Ticket,
}

/// A copy that counts against its worker's limit, and what has become of it.
struct Ticket {
    worker: Rc<Worker>,
    metrics: Arc<RouteMetrics>,
    /// Why it was dropped, should it end now; none: it was answered.
    dropped: Option<MirrorDrop>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mirrors = &self.worker.mirrors;
        mirrors.set(mirrors.get() - 1);
        let cells = self.metrics.worker(self.worker.index);
        match self.dropped {
            Some(reason) => cells.mirrors_dropped[reason].inc(),
            None => cells.mirrored.inc(),
        }
    }
}

/// Begins a copy of a request, whose head is as it is sent upstream, for those of the route's mirrors that take it.
pub(super) fn begin(
    request: &Request<'_>,
    context: &RequestContext<'_>,
    taken: Taken<'_>,
) -> Option<Box<MirrorCopy>> {
    let worker = context.worker();
    let cells = taken.policy.metrics.worker(worker.index);
    let mut targets = SmallVec::new();
    for (slot, fraction) in &taken.policy.mirrors {
        if !falls_within(*fraction, worker.random()) {
            continue;
        }
        if matches!(request.length, BodyLength::Exact(length) if length > MIRROR_BODY_BYTES_MAX as u64) {
            cells.mirrors_dropped[MirrorDrop::BodyTooLong].inc();
            continue;
        }
        if worker.mirrors.get() >= MIRRORS_MAX {
            cells.mirrors_dropped[MirrorDrop::Limit].inc();
            continue;
        }
        let cluster = context
            .snapshot
            .cluster(*slot)
            .expect("a route's clusters are in its snapshot");
        let Ok(endpoint) = pick(cluster, worker, &mut Tried::default(), context.ends()) else {
            cells.mirrors_dropped[MirrorDrop::NoEndpoint].inc();
            continue;
        };
        worker.mirrors.set(worker.mirrors.get() + 1);
        targets.push(Target {
            cluster: Arc::clone(cluster),
            endpoint,
            ticket: Ticket {
                worker: Rc::clone(worker),
                metrics: Arc::clone(&taken.policy.metrics),
                dropped: Some(MirrorDrop::Incomplete),
            },
        });
    }
    if targets.is_empty() {
        return None;
    }
    let mut head = request.head.clone();
    let authority = shadow_authority(head.authority());
    head.set_authority(&authority);
    Some(Box::new(MirrorCopy {
        targets,
        message: Message {
            head,
            length: request.length,
            pieces: Vec::new(),
            trailers: None,
        },
        held: Buffered::default(),
    }))
}

/// The authority that a copy is sent with. An IPv6 address has no name that could be longer.
fn shadow_authority(authority: &str) -> String {
    match authority.rsplit_once(':') {
        _ if authority.is_empty() || authority.starts_with('[') => authority.to_owned(),
        Some((host, port)) => format!("{host}{SHADOW_SUFFIX}:{port}"),
        None => format!("{authority}{SHADOW_SUFFIX}"),
    }
}

impl MirrorCopy {
    /// Adds a piece of the body. False if there is no room for it: the copy is to be dropped.
    pub(super) fn add(&mut self, piece: &Bytes) -> bool {
        if piece.is_empty() {
            return true;
        }
        let is_too_long = self.held.bytes() + piece.len() > MIRROR_BODY_BYTES_MAX
            || self.message.pieces.len() == PIECES_MAX;
        if is_too_long {
            return self.refuse(MirrorDrop::BodyTooLong);
        }
        let has_room = self
            .targets
            .first()
            .is_some_and(|target| self.held.try_keep(&target.ticket.worker, piece.len()));
        if !has_room {
            return self.refuse(MirrorDrop::Memory);
        }
        self.message.pieces.push(piece.clone());
        true
    }

    fn refuse(&mut self, reason: MirrorDrop) -> bool {
        for target in &mut self.targets {
            target.ticket.dropped = Some(reason);
        }
        false
    }

    /// The request is whole: sends the copies.
    pub(super) fn send(mut self, trailers: Option<&Fields>) {
        self.message.trailers = trailers.map(|trailers| Box::new(trailers.clone()));
        let message = Rc::new((self.message, self.held));
        for mut target in self.targets {
            target.ticket.dropped = Some(MirrorDrop::Drain);
            tokio::task::spawn_local(run(target, Rc::clone(&message)));
        }
    }
}

/// Sends a copy; what all copies of a request share counts until the last has ended.
async fn run(target: Target, message: Rc<(Message, Buffered)>) {
    let Target {
        cluster,
        endpoint,
        mut ticket,
    } = target;
    let worker = Rc::clone(&ticket.worker);
    let Ok(active) = ActiveRequest::begin(&cluster, &worker, RoutePriority::Default) else {
        cluster.metrics.worker(worker.index).requests[UNANSWERED].inc();
        ticket.dropped = Some(MirrorDrop::Overflow);
        return;
    };
    let mut response = ResponseHead::new();
    let mut left = MIRROR_ANSWER_BYTES_MAX;
    let mut throw_away = |frame: BodyFrame| match &frame {
        BodyFrame::Data { bytes, .. } => match left.checked_sub(bytes.len()) {
            Some(less) => {
                left = less;
                true
            }
            None => false,
        },
        BodyFrame::Trailers(_) | BodyFrame::End => true,
    };
    let asked = Asked::default();
    let attempting = attempt(
        &worker,
        &cluster,
        &endpoint,
        &active,
        &message.0,
        (&mut response, &mut throw_away),
        &asked,
    );
    let attempted = tokio::time::timeout(MIRROR_TIMEOUT, attempting).await;
    let tells_time = match &attempted {
        Ok(ended) => ended.as_ref().is_err_and(Broken::tells_time),
        Err(_) => true,
    };
    if tells_time {
        active.failed(&worker);
    }
    let (status, dropped) = match attempted {
        Ok(Ok(())) => (response.status, None),
        Ok(Err(broken)) => (
            response.status,
            Some(match broken {
                Broken::Connect(_) => MirrorDrop::Connect,
                Broken::Exchange(_) => MirrorDrop::Failed,
                Broken::Unwanted => MirrorDrop::AnswerTooLong,
            }),
        ),
        Err(_) => {
            asked.timed_out(&worker, &cluster);
            (0, Some(MirrorDrop::Timeout))
        }
    };
    let class = match status {
        0 => UNANSWERED,
        status => CodeClass::of(status),
    };
    active.cells.requests[class].inc();
    ticket.dropped = dropped;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_known_by_its_host() {
        for (authority, shadow) in [
            ("a.example", "a.example-shadow"),
            ("a.example:8080", "a.example-shadow:8080"),
            ("10.0.0.1:80", "10.0.0.1-shadow:80"),
            ("[::1]:80", "[::1]:80"),
            ("[::1]", "[::1]"),
            ("", ""),
        ] {
            assert_eq!(shadow_authority(authority), shadow);
        }
    }
}
