//! Why an exchange stops before its time.

use crate::error::{AttemptError, DownstreamError};
use crate::reply::{LocalReply, Stalled};
use outrigger_traffic::retry::AttemptFailure;

/// Why a request got no (further) response from an upstream.
pub(in super::super) enum Stop {
    /// The attempt failed; another may be allowed.
    Attempt(AttemptError),
    /// The request ends with an answer from here.
    Reply(LocalReply),
    /// The client is gone, or what it sends cannot go on.
    Downstream(DownstreamError),
}

impl Stop {
    /// There is no answer because of the upstream, and how long it took to know says something of how busy that is.
    pub(in super::super) fn tells_time(&self) -> bool {
        match self {
            Stop::Attempt(error) => error.failure.tells_time(),
            Stop::Reply(reply) => match reply {
                LocalReply::Attempt { failure, .. } => failure.tells_time(),
                LocalReply::RouteTimeout | LocalReply::DeadlinePassed(_) => true,
                // Else it is the client that was waited for.
                LocalReply::StreamIdle(stalled) => *stalled == Stalled::Endpoint,
                LocalReply::StreamDuration { request_done } => *request_done,
                _ => false,
            },
            Stop::Downstream(_) => false,
        }
    }

    /// What passed its time while nothing of the attempt had been sent did not run.
    pub(super) fn before_sending(mut self) -> Stop {
        if let Stop::Attempt(error) = &mut self
            && error.failure == AttemptFailure::TimedOut
        {
            error.failure = AttemptFailure::TimedOutBeforeSend;
        }
        self
    }
}

impl From<AttemptError> for Stop {
    fn from(error: AttemptError) -> Stop {
        Stop::Attempt(error)
    }
}

impl From<DownstreamError> for Stop {
    fn from(error: DownstreamError) -> Stop {
        Stop::Downstream(error)
    }
}
