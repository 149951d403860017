//! The upstream connection that is opened before it is known whether the client speaks TCP.

use super::outcomes::Outcome;
use crate::connection::Accepted;
use crate::io::Stream;
use crate::relay;
use crate::snapshot::ClusterPolicy;
use crate::tcp::Prepared;
use crate::tcp::dial::{Dial, DialFault, DialTerms, Dialled};
use bytes::BytesMut;
use outrigger_telemetry::UpstreamClose;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::Sleep;

/// What the upstream did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// It spoke, or ended where it is known to be TCP: the client's connection is TCP.
    Something,
}

/// A connection that is opened ahead, as far as it is.
pub(super) struct Ahead<'a> {
    accepted: &'a Accepted,
    cluster: Arc<ClusterPolicy>,
    terms: DialTerms,
    /// The destination is known to be TCP: what becomes of the connection then decides, too.
    is_known: bool,
    /// What the upstream says first counts from then on.
    grace: Option<Pin<Box<Sleep>>>,
    state: State<'a>,
    first: BytesMut,
}

/// How long a client of a destination that is known to be HTTP may be silent before it is taken for one that waits for
/// another protocol's server: a round trip, and then some. A server that speaks first at such a destination, too, is
/// heard as much later.
const HTTP_SILENCE: Duration = Duration::from_millis(200);

/// How long after its connection was accepted a client of a destination of which nothing is known may still speak
/// before its server: the server's greeting is held until then, once, so that a client that speaks HTTP at once is not
/// talked over by a greeting that came by a shorter way.
const GREETING_GRACE: Duration = Duration::from_millis(50);

type Dialling<'a> = Pin<Box<dyn Future<Output = Result<Dialled, DialFault>> + 'a>>;

enum State<'a> {
    /// It was of no use.
    None,
    /// The destination is known to be HTTP, whose clients speak at once: one that has not by then may be another's.
    Resting(Pin<Box<Sleep>>),
    Dialling(Dialling<'a>),
    Open(Dialled),
    Failed(DialFault),
}

fn dialling<'a>(cluster: &Arc<ClusterPolicy>, terms: DialTerms, accepted: &'a Accepted) -> Dialling<'a> {
    let mut dial = Dial::new(Arc::clone(cluster), terms, &accepted.ends);
    Box::pin(async move { dial.run(&accepted.worker, &accepted.ends).await })
}

impl<'a> Ahead<'a> {
    /// Nothing is opened before the first poll, and where the destination is known to be HTTP not before its client has
    /// been silent for a while.
    pub(super) fn new(
        cluster: Arc<ClusterPolicy>,
        terms: DialTerms,
        accepted: &'a Accepted,
        known: Option<Outcome>,
    ) -> Ahead<'a> {
        let state = match known {
            Some(Outcome::Http) => State::Resting(Box::pin(tokio::time::sleep(HTTP_SILENCE))),
            _ => State::Dialling(dialling(&cluster, terms, accepted)),
        };
        Ahead {
            accepted,
            cluster,
            terms,
            is_known: known == Some(Outcome::Tcp),
            grace: known
                .is_none()
                .then(|| Box::pin(tokio::time::sleep(GREETING_GRACE))),
            state,
            first: BytesMut::new(),
        }
    }

    /// Nothing is ever opened.
    pub(super) fn forbidden(
        cluster: Arc<ClusterPolicy>,
        terms: DialTerms,
        accepted: &'a Accepted,
    ) -> Ahead<'a> {
        Ahead {
            accepted,
            cluster,
            terms,
            is_known: false,
            grace: None,
            state: State::None,
            first: BytesMut::new(),
        }
    }

    pub(super) fn cluster(&self) -> &Arc<ClusterPolicy> {
        &self.cluster
    }

    /// Ready when the upstream has decided.
    pub(super) fn poll_said(&mut self, cx: &mut Context<'_>) -> Poll<Said> {
        loop {
            match &mut self.state {
                State::None => return Poll::Pending,
                State::Resting(rest) => {
                    ready!(rest.as_mut().poll(cx));
                    self.state = State::Dialling(dialling(&self.cluster, self.terms, self.accepted));
                }
                State::Failed(_) if self.is_known => return Poll::Ready(Said::Something),
                // The client may speak HTTP yet, which goes elsewhere.
                State::Failed(_) => self.state = State::None,
                State::Dialling(dialling) => {
                    self.state = match ready!(dialling.as_mut().poll(cx)) {
                        Ok(dialled) => State::Open(dialled),
                        Err(fault) => State::Failed(fault),
                    };
                }
                State::Open(_) if !self.first.is_empty() => {
                    if let Some(grace) = &mut self.grace {
                        ready!(grace.as_mut().poll(cx));
                    }
                    return Poll::Ready(Said::Something);
                }
                State::Open(dialled) => {
                    let scratch = &mut *self.accepted.worker.scratch.borrow_mut();
                    let mut read = ReadBuf::new(scratch);
                    let result = ready!(Pin::new(dialled.stream()).poll_read(cx, &mut read));
                    self.first.extend_from_slice(read.filled());
                    if self.is_known {
                        return Poll::Ready(Said::Something);
                    }
                    if result.is_ok() && !self.first.is_empty() {
                        continue;
                    }
                    // A server that has nothing to say to a client that says nothing: it may be waiting for HTTP.
                    self.discard();
                }
            }
        }
    }

    fn discard(&mut self) {
        if matches!(self.state, State::Open(_)) {
            let cells = self.cluster.metrics.worker(self.accepted.worker.index);
            cells.connections_closed[UpstreamClose::Unused].inc();
        }
        self.state = State::None;
    }

    /// What TCP goes on with; none if nothing was opened. Waits for the dial that is under way.
    pub(super) async fn into_prepared(mut self, downstream: &Stream) -> Option<Prepared> {
        let dialled = match std::mem::replace(&mut self.state, State::None) {
            State::None | State::Resting(_) => return None,
            State::Failed(fault) => Err(fault),
            State::Open(dialled) => Ok(dialled),
            State::Dialling(dialling) => tokio::select! {
                biased;
                dialled = dialling => dialled,
                () = relay::failed(downstream) => Err(DialFault::given_up()),
            },
        };
        Some(Prepared {
            cluster: Arc::clone(&self.cluster),
            dialled,
            first: std::mem::take(&mut self.first).freeze(),
        })
    }
}

impl Drop for Ahead<'_> {
    fn drop(&mut self) {
        self.discard();
    }
}
